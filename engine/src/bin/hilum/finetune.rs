//! `hilum pretrain CONFIG.toml` and `hilum finetune CONFIG.toml`: one loop, which does what the config's objectives say.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::data::{ReadOptions, Study, load};
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
    /// Train without the studies whose files are missing.
    #[arg(long)]
    allow_missing: bool,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let mut config = RunConfig::read(&args.config)?;
    config.seed = globals.seed.unwrap_or(config.seed);
    let chosen = globals.open_device()?;
    eprintln!("training {} {} on {}", config.system, config.preset, chosen.name);
    let layout = config.data.layout.as_deref().map(str::parse).transpose()?;
    let options = ReadOptions {
        views: config.data.views.into(),
        every_image: config.data.every_image,
        ..ReadOptions::default()
    };
    let mut studies = Vec::new();
    for root in &config.data.roots {
        let loaded = load(root, layout, &options)?;
        let missing = loaded.counts.missing;
        eprintln!(
            "{}: {} studies, {missing} files missing",
            root.display(),
            loaded.studies.len()
        );
        if missing > 0 && !args.allow_missing {
            let first = loaded
                .counts
                .missing_files
                .first()
                .map(|p| p.display().to_string())
                .unwrap_or_default();
            anyhow::bail!(
                "{missing} files of {} are missing, the first is {first}; bring them, or pass --allow-missing",
                root.display()
            );
        }
        studies.extend(loaded.studies);
    }
    let mut more_words = Vec::new();
    for root in &config.data.more_words {
        let loaded = load(root, None, &ReadOptions::default())?;
        let text = |study: &Study| study.report.longer().to_owned();
        more_words.extend(loaded.studies.iter().map(text));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::SeqCst))?;
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} [{elapsed}, {eta} left] {msg}",
    )?);
    let report = |progress: Progress<'_>| match progress {
        Progress::Note(note) => bar.println(note),
        Progress::Step(step, steps, losses) => {
            bar.set_length(steps as u64);
            bar.set_position(step as u64);
            let losses: Vec<String> = losses
                .iter()
                .map(|(name, value)| format!("{name} {value:.4}"))
                .collect();
            bar.set_message(losses.join(", "));
        }
        Progress::Checkpoint(path) => bar.println(format!("checkpoint {}", path.display())),
    };
    let stopped = || stop.load(Ordering::SeqCst);
    let newest = train(
        &config,
        &studies,
        &more_words,
        &chosen.device,
        args.resume,
        &stopped,
        &report,
    )?;
    bar.finish_and_clear();
    globals.tell(&serde_json::json!({ "checkpoint": newest }), newest.display())
}
