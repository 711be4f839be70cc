//! `hilum export --from RUN --out B --weights f32|f16|q8`.

use std::path::PathBuf;

use hilum::bundle::{Arrays, Dtype, Label, Manifest, Provenance, load_model, write};
use hilum::data::{ReadOptions, Split, load as load_data};
use hilum::tasks::{calibrate, evaluate_findings};
use hilum::text::{Finding, Tokenizer};
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
    let folder = args
        .out
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or("bundle")
        .to_owned();
    let name = args.name.clone().unwrap_or(folder);
    let mut manifest = Manifest::new(&name, &config.system, &config.preset, run.model.clone());
    let objective = |names: &[&str]| {
        names
            .iter()
            .any(|name| config.objectives.get(*name).is_some_and(|w| *w > 0.0))
    };
    let tasks = [
        ("draft", objective(&["report", "mlm"])),
        (
            "findings",
            objective(&["diagnosis", "diagnosis_image"]) || reads_findings(&config),
        ),
        ("retrieve", objective(&["pairs", "itm"])),
        ("vqa", objective(&["vqa"])),
    ];
    manifest.tasks = tasks
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    manifest.provenance = Provenance {
        data: args.data.clone().unwrap_or_else(|| {
            format!(
                "{:?} ({})",
                config.data.roots,
                config.data.layout.as_deref().unwrap_or("layout by its files")
            )
        }),
        training: training(&run, &config),
        command: args.command.clone().unwrap_or_default(),
        seeds: seeds(&config),
        engine_version: String::new(),
    };
    let weights = match (args.average, &run.average) {
        (false, _) => &run.weights,
        (true, Some(average)) => average,
        (true, None) => anyhow::bail!(
            "{} keeps no average of its weights; leave --average out",
            args.from.display()
        ),
    };
    manifest.answers = Run::answers(&args.from)?;
    if manifest.tasks.iter().any(|task| task == "findings") {
        manifest.labels = labels(&manifest, weights, &tokenizer, &config, globals)?;
    }
    let manifest = write(
        &args.out,
        manifest,
        weights,
        Some(&tokenizer.to_json()?),
        args.weights,
    )?;
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    globals.tell(
        &serde_json::json!({ "bundle": args.out, "files": manifest.files.len(), "bytes": bytes }),
        format_args!(
            "{}: {} files, {:.1} MB",
            args.out.display(),
            manifest.files.len(),
            bytes as f64 / 1e6
        ),
    )
}

/// Whether the map's own layer was trained on findings, in this run or in one before it since which the image
/// encoder stood.
fn reads_findings(config: &RunConfig) -> bool {
    let stood = config.optim.image_rate == Some(0.0);
    let taken = config.init_only.is_empty() || config.init_only.iter().any(|part| part == "map_findings");
    config.objectives.get("findings").is_some_and(|w| *w > 0.0)
        || stood && taken && before(config).is_some_and(|(config, _)| reads_findings(&config))
}

/// The fourteen categories with temperature and operating point, fitted on the validation split of the run's
/// data.
fn labels(
    manifest: &Manifest,
    weights: &Arrays,
    tokenizer: &Tokenizer,
    config: &RunConfig,
    globals: &Globals,
) -> anyhow::Result<Vec<Label>> {
    let layout = config.data.layout.as_deref().map(str::parse).transpose()?;
    let mut studies = Vec::new();
    for root in config.data.roots.iter().filter(|root| root.is_dir()) {
        let read = load_data(
            root,
            layout,
            &ReadOptions {
                split: Some(Split::Validate),
                ..ReadOptions::default()
            },
        );
        studies.extend(
            read.into_iter()
                .flat_map(|loaded| loaded.studies)
                .filter(|study| study.has_image()),
        );
    }
    let plain = |finding: Finding| Label {
        name: finding.name().to_owned(),
        operating_point: None,
        temperature: None,
    };
    if studies.is_empty() {
        eprintln!(
            "the run's data have no validation split here: probabilities stay as they are, present from one half on"
        );
        return Ok(Finding::ALL.map(plain).to_vec());
    }
    let chosen = globals.open_device()?;
    let model = load_model(manifest, weights.clone(), &chosen.device)?;
    let read = evaluate_findings(
        &model,
        tokenizer,
        &studies,
        false,
        Default::default(),
        &chosen.device,
        |_| (),
    );
    let cases = pollster::block_on(read)?;
    let fitted = calibrate(&cases.logits, &cases.truth);
    eprintln!(
        "temperatures and operating points fitted on {} studies of the validation split",
        studies.len()
    );
    let label = |finding: Finding| Label {
        operating_point: Some(fitted[finding as usize].operating_point),
        temperature: Some(fitted[finding as usize].temperature),
        ..plain(finding)
    };
    Ok(Finding::ALL.map(label).to_vec())
}

/// A run in words, and before it the run that it began with.
fn training(run: &Run, config: &RunConfig) -> String {
    let o = &config.objectives;
    let objectives: Vec<String> = o
        .iter()
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(name, weight)| format!("{name} x{weight}"))
        .collect();
    let own = format!(
        "{} steps of {} examples on {}",
        run.step,
        config.optim.batch,
        objectives.join(" and ")
    );
    let before = before(config)
        .and_then(|(config, dir)| Some(training(&Run::open(&dir, Which::Newest).ok()?, &config)));
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
