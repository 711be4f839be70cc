//! `hilum export --from RUN --out B --weights f32|f16|q8`.

use std::path::PathBuf;

use hilum::bundle::{Dtype, Manifest, Provenance, write};
use hilum::systems::medvill;
use hilum::train::{Run, RunConfig};

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

pub fn run(args: &Args, _globals: &Globals) -> anyhow::Result<()> {
    let run = Run::open(&args.from)?;
    let tokenizer = Run::tokenizer(&args.from)?;
    let config: RunConfig = toml::from_str(&std::fs::read_to_string(args.from.join("config.toml"))?)?;
    let folder = args.out.file_name().and_then(|n| n.to_str()).unwrap_or("bundle").to_owned();
    let name = args.name.clone().unwrap_or(folder);
    let mut manifest = Manifest::new(&name, medvill::NAME, &config.preset, serde_json::to_value(&run.model)?);
    manifest.tasks = vec!["draft".to_owned()];
    let objectives = serde_json::to_string(&config.objectives)?;
    manifest.provenance = Provenance {
        data: args.data.clone().unwrap_or_else(|| format!("{:?} ({})", config.data.roots, config.data.layout)),
        training: format!("{} steps of {}, objectives {objectives}", run.step, config.optim.batch),
        command: args.command.clone().unwrap_or_default(),
        seeds: vec![config.seed],
        engine_version: String::new(),
    };
    let manifest = write(&args.out, manifest, &run.weights, Some(&tokenizer.to_json()?), args.weights)?;
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    println!("{}: {} files, {:.1} MB", args.out.display(), manifest.files.len(), bytes as f64 / 1e6);
    Ok(())
}
