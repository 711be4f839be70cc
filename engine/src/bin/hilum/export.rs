//! `hilum export --from RUN --out B --weights f32|f16|q8`.

use std::path::PathBuf;

use hilum::bundle::{Dtype, Manifest, Provenance, write};
use hilum::systems::medvill;
use hilum::train::{Run, RunConfig, Which};

use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The run's folder.
    #[arg(long)]
    from: PathBuf,
    /// The bundle's folder.
    #[arg(long)]
    out: PathBuf,
    /// How weights are stored: f32, f16 or q8.
    #[arg(long, default_value = "f16")]
    weights: Dtype,
    /// The checkpoint that the run's config calls the best, instead of the newest.
    #[arg(long)]
    best: bool,
    /// The average of the weights that the run keeps (optim.ema), instead of the weights.
    #[arg(long)]
    average: bool,
    /// The bundle's name.
    #[arg(long)]
    name: Option<String>,
    /// What it was trained on and how, for its provenance.
    #[arg(long)]
    data: Option<String>,
    /// The command that makes it again.
    #[arg(long)]
    command: Option<String>,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let which = if args.best { Which::Best } else { Which::Newest };
    let run = Run::open(&args.from, which)?;
    let tokenizer = Run::tokenizer(&args.from)?;
    let config: RunConfig = toml::from_str(&std::fs::read_to_string(args.from.join("config.toml"))?)?;
    let folder = args.out.file_name().and_then(|n| n.to_str()).unwrap_or("bundle").to_owned();
    let name = args.name.clone().unwrap_or(folder);
    let mut manifest = Manifest::new(&name, medvill::NAME, &config.preset, serde_json::to_value(&run.model)?);
    let objective = |names: &[&str]| names.iter().any(|name| config.objectives.get(*name).is_some_and(|w| *w > 0.0));
    let tasks = [
        ("draft", objective(&["report", "mlm"])),
        ("findings", objective(&["findings", "diagnosis", "diagnosis_image"])),
        ("retrieve", objective(&["pairs", "itm"])),
        ("vqa", objective(&["vqa"])),
    ];
    manifest.tasks = tasks.iter().filter(|(_, has)| *has).map(|(name, _)| (*name).to_owned()).collect();
    manifest.provenance = Provenance {
        data: args.data.clone().unwrap_or_else(|| {
            format!("{:?} ({})", config.data.roots, config.data.layout.as_deref().unwrap_or("layout by its files"))
        }),
        training: training(&run, &config),
        command: args.command.clone().unwrap_or_default(),
        seeds: seeds(&config),
        engine_version: String::new(),
    };
    let weights = match (args.average, &run.average) {
        (false, _) => &run.weights,
        (true, Some(average)) => average,
        (true, None) => anyhow::bail!("{} keeps no average of its weights; leave --average out", args.from.display()),
    };
    manifest.answers = Run::answers(&args.from)?;
    let manifest = write(&args.out, manifest, weights, Some(&tokenizer.to_json()?), args.weights)?;
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    globals.tell(
        &serde_json::json!({ "bundle": args.out, "files": manifest.files.len(), "bytes": bytes }),
        format_args!("{}: {} files, {:.1} MB", args.out.display(), manifest.files.len(), bytes as f64 / 1e6),
    )
}

/// A run in words, and before it the run that it began with.
fn training(run: &Run, config: &RunConfig) -> String {
    let o = &config.objectives;
    let objectives: Vec<String> =
        o.iter().filter(|(_, weight)| **weight > 0.0).map(|(name, weight)| format!("{name} x{weight}")).collect();
    let own = format!("{} steps of {} examples on {}", run.step, config.optim.batch, objectives.join(" and "));
    let before =
        before(config).and_then(|(config, dir)| Some(training(&Run::open(&dir, Which::Newest).ok()?, &config)));
    before.map_or(own.clone(), |before| format!("{before}; then {own}"))
}

fn seeds(config: &RunConfig) -> Vec<u64> {
    let mut seeds = before(config).map_or(Vec::new(), |(config, _)| seeds(&config));
    seeds.push(config.seed);
    seeds
}

/// The config of the run that `init` names, where it is a run that is still there.
fn before(config: &RunConfig) -> Option<(RunConfig, PathBuf)> {
    let dir = config.init.clone()?;
    let text = std::fs::read_to_string(dir.join("config.toml")).ok()?;
    Some((toml::from_str(&text).ok()?, dir))
}
