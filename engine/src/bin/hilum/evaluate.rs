//! `hilum evaluate --bundle B --task T --data DIR`.

use std::path::PathBuf;

use anyhow::bail;
use hilum::data::{Layout, ReadOptions, Split, load as load_data};
use hilum::metrics::DraftScores;
use hilum::tasks::evaluate_drafts;
use indicatif::ProgressBar;

use super::draft::{Loaded, load};
use super::globals::{Globals, say};

#[derive(clap::Args)]
pub struct Args {
    /// The bundle; without it, the demo bundle.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// What to score.
    #[arg(long, value_parser = ["draft"])]
    task: String,
    /// The data set's folder.
    #[arg(long)]
    data: PathBuf,
    /// Its layout, where it is not recognised by its files.
    #[arg(long)]
    layout: Option<Layout>,
    /// train, validate, test or all.
    #[arg(long, default_value = "test", value_parser = ["train", "validate", "test", "all"])]
    split: String,
    /// Score so many studies at most.
    #[arg(long)]
    limit: Option<usize>,
    /// Write drafts beside their references to this file, one JSON object a line.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let split = match args.split.as_str() {
        "all" => None,
        name => Some(name.parse::<Split>().map_err(anyhow::Error::msg)?),
    };
    let loaded = load_data(&args.data, args.layout, &ReadOptions::default())?;
    let mut studies: Vec<_> = loaded.studies.into_iter().filter(|s| split.is_none_or(|w| s.split == w)).collect();
    studies.truncate(args.limit.unwrap_or(usize::MAX));
    if studies.is_empty() {
        bail!("{} has no study in the split {}; choose another with --split", args.data.display(), args.split);
    }
    let chosen = globals.open_device()?;
    let Loaded { model, tokenizer, .. } = load(args.bundle.as_deref(), &chosen.device)?;
    let bar = ProgressBar::new(studies.len() as u64);
    let outcome = pollster::block_on(evaluate_drafts(&model, &tokenizer, &studies, &chosen.device, |done| {
        bar.set_position(done as u64);
    }))?;
    bar.finish_and_clear();
    if let Some(path) = &args.out {
        let lines: Vec<String> = outcome.lines.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        std::fs::write(path, lines.join("\n") + "\n")?;
    }
    if globals.json {
        say(serde_json::to_string(&outcome.scores)?)?;
    } else {
        print(&outcome.scores);
    }
    Ok(())
}

fn print(scores: &DraftScores) {
    let side = |accuracy: Option<f64>| accuracy.map_or("    -".to_owned(), |a| format!("{a:5.3}"));
    println!("{:28} {:>5} {:>9} {:>6} {:>5} {:>5}", "finding", "n", "precision", "recall", "f1", "side");
    for (name, s) in &scores.findings {
        let side = side(s.side_accuracy);
        println!("{name:28} {:5} {:9.3} {:6.3} {:5.3} {side}", s.support, s.precision, s.recall, s.f1);
    }
    let side = side(scores.side_accuracy);
    println!(
        "{:28} {:5} {:9.3} {:6.3} {:5.3} {side}",
        "micro, of reports", scores.n, scores.precision, scores.recall, scores.micro_f1
    );
}
