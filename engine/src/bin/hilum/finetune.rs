//! `hilum finetune CONFIG.toml`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::data::{ReadOptions, load};
use hilum::train::{Progress, RunConfig, train};
use indicatif::{ProgressBar, ProgressStyle};

use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The run's config.
    config: PathBuf,
    /// Go on from the run's newest checkpoint.
    #[arg(long)]
    resume: bool,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let mut config = RunConfig::read(&args.config)?;
    config.seed = globals.seed.unwrap_or(config.seed);
    let chosen = globals.open_device()?;
    eprintln!("training {} {} on {}", config.system, config.preset, chosen.name);
    let mut studies = Vec::new();
    for root in &config.data.roots {
        let loaded = load(root, Some(config.data.layout.parse()?), &ReadOptions::default())?;
        eprintln!("{}: {} studies, {} files missing", root.display(), loaded.studies.len(), loaded.counts.missing);
        studies.extend(loaded.studies);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::SeqCst))?;
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} [{elapsed}, {eta} left] {msg}")?);
    let report = |progress: Progress<'_>| match progress {
        Progress::Reading(done, total) => {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message("pictures read");
        }
        Progress::Step(step, steps, losses) => {
            bar.set_length(steps as u64);
            bar.set_position(step as u64);
            let losses: Vec<String> = losses.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            bar.set_message(losses.join(", "));
        }
        Progress::Checkpoint(path) => bar.println(format!("checkpoint {}", path.display())),
    };
    let newest = train(&config, &studies, &chosen.device, args.resume, &|| stop.load(Ordering::SeqCst), &report)?;
    bar.finish_and_clear();
    globals.tell(&serde_json::json!({ "checkpoint": newest }), newest.display())
}
