//! `hilum export --from RUN --out B --weights f32|f16|q8`.

use std::path::PathBuf;

use hilum::bundle::Dtype;
use hilum::train::{ExportOptions, Which, export};

use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The run's folder; given several times, the runs become an ensemble.
    #[arg(long, required = true)]
    from: Vec<PathBuf>,
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
    let options = ExportOptions {
        weights: args.weights,
        which: if args.best { Which::Best } else { Which::Newest },
        average: args.average,
        name: args.name.clone(),
        data: args.data.clone(),
        command: args.command.clone(),
    };
    let chosen = globals.open_device()?;
    let note = |note: &str| eprintln!("{note}");
    let manifest = export(&args.from, &args.out, &options, &chosen.device, &note)?;
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
