//! `hilum evaluate --bundle B --task T --data DIR`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use hilum::bundle::{Bundle, put_manifest};
use hilum::data::{Layout, ReadOptions, Split, Study, load as load_data};
use hilum::metrics::{Lengths, TTest};
use hilum::systems::Task;
use hilum::tasks::{Area, EvaluateOptions, Scores, Spread, auroc_name, compare, evaluate, spreads};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::globals::{Globals, say};
use super::session;

#[derive(clap::Args)]
pub struct Args {
    /// The bundle; without it, the demo bundle.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// What to score.
    #[arg(long)]
    task: Task,
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
    /// findings: read the report beside the image, as the paper's diagnosis does.
    #[arg(long)]
    with_report: bool,
    /// findings: paint over a part of each picture, LEFT,TOP,RIGHT,BOTTOM as shares of it, to see what is read elsewhere.
    #[arg(long, value_parser = area, conflicts_with = "record")]
    blank: Option<Rectangle>,
    /// draft: hypotheses kept, 1 is greedy; what the model's paper has where nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    beam: Option<u8>,
    /// draft: write how long drafts and references are as a picture.
    #[arg(long, value_name = "F.svg")]
    lengths: Option<PathBuf>,
    /// vqa: all answers, also those that the form of the question rules out.
    #[arg(long)]
    any_answer: bool,
    /// vqa: answers that the model writes, instead of those that it chooses.
    #[arg(long)]
    written: bool,
    /// retrieve: candidates of a trial.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    candidates: u32,
    /// retrieve: only the query's own report or radiograph counts as found, not another one with the same labels.
    #[arg(long)]
    exact: bool,
    /// retrieve: trials in each direction, at most. check: reports of which each word is weighed, and for
    /// which the gallery is asked for a better one than another patient's.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    trials: u32,
    /// Mean and deviation of every score over so many resamples; the paper has 30.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    bootstraps: u32,
    /// Compare with this bundle by a t-test over the resamples.
    #[arg(long, requires = "bootstraps")]
    against: Option<PathBuf>,
    /// findings: record each label's AUROC with its 95% interval in the bundle, with this sentence on what it was computed on; the
    /// page shows them beside the bars. At least 200 resamples.
    #[arg(long, value_name = "SENTENCE", requires = "bootstraps", requires = "bundle")]
    record: Option<String>,
    /// Write drafts or answers beside their references, or who found whom, to this file, one JSON object a line.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Left, top, right and bottom, 0 to 1.
type Rectangle = [f32; 4];

fn area(text: &str) -> Result<Rectangle, String> {
    let numbers: Vec<f32> = text
        .split(',')
        .map(|n| n.trim().parse().map_err(|_| format!("{n:?} is not a number")))
        .collect::<Result<_, _>>()?;
    match numbers[..] {
        [left, top, right, bottom]
            if 0.0 <= left && left < right && right <= 1.0 && 0.0 <= top && top < bottom && bottom <= 1.0 =>
        {
            Ok([left, top, right, bottom])
        }
        _ => Err("it takes LEFT,TOP,RIGHT,BOTTOM between 0 and 1, such as 0.1,0.1,0.9,0.8".to_owned()),
    }
}

/// What one bundle scored.
struct Outcome {
    n: usize,
    scores: Scores,
    spreads: BTreeMap<String, Spread>,
    /// What is not resampled.
    more: Map<String, Value>,
}

/// Resamples of which an interval is recorded, at least.
const RECORDED: u32 = 200;

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    if args.blank.is_some() && args.task != Task::Findings {
        bail!("--blank is for --task findings");
    }
    if args.record.is_some() && (args.task != Task::Findings || args.bootstraps < RECORDED) {
        bail!(
            "--record takes the AUROC of findings over at least {RECORDED} resamples: --task findings --bootstraps 1000"
        );
    }
    let split = match args.split.as_str() {
        "all" => None,
        name => Some(name.parse::<Split>().map_err(anyhow::Error::msg)?),
    };
    let loaded = load_data(&args.data, args.layout, &ReadOptions::default())?;
    let usable = |s: &Study| split.is_none_or(|w| s.split == w) && s.has_image();
    let mut studies: Vec<_> = loaded.studies.into_iter().filter(usable).collect();
    studies.truncate(args.limit.unwrap_or(usize::MAX));
    if studies.is_empty() {
        bail!(
            "{} has no study in the split {}; choose another with --split",
            args.data.display(),
            args.split
        );
    }
    if args.task != Task::Draft && (args.beam.is_some() || args.lengths.is_some()) {
        bail!("--beam and --lengths are for --task draft");
    }
    let ours = score(
        args,
        globals,
        args.bundle.as_deref(),
        &studies,
        args.out.as_deref(),
    )?;
    if let Some(path) = &args.lengths {
        let lengths = ours.more.get("lengths").cloned().unwrap_or_default();
        let lengths: Lengths = serde_json::from_value(lengths)?;
        std::fs::write(path, lengths.svg()).with_context(|| path.display().to_string())?;
    }
    if let (Some(tested), Some(bundle)) = (&args.record, &args.bundle) {
        record(bundle, tested, &ours)?;
    }
    let theirs = args
        .against
        .as_deref()
        .map(|bundle| score(args, globals, Some(bundle), &studies, None))
        .transpose()?;
    let tests = theirs
        .as_ref()
        .map(|theirs| compare(&ours.spreads, &theirs.spreads))
        .unwrap_or_default();
    if globals.json {
        let mut object = ours.more;
        object.insert("n".to_owned(), json!(ours.n));
        for (name, value) in &ours.scores {
            object.entry(name.clone()).or_insert(json!(value));
        }
        if args.bootstraps > 0 {
            object.insert("bootstrap".to_owned(), json!(ours.spreads));
        }
        if let Some(theirs) = theirs {
            object.insert(
                "against".to_owned(),
                json!({ "scores": theirs.scores, "t_test": tests }),
            );
        }
        return say(Value::Object(object).to_string());
    }
    print_findings(&ours.more);
    print(&ours, theirs.as_ref(), &tests);
    Ok(())
}

fn score(
    args: &Args,
    globals: &Globals,
    bundle: Option<&Path>,
    studies: &[Study],
    out: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let chosen = globals.open_device()?;
    let (bundle, session) = session::open(bundle, &chosen.device)?;
    let gallery = (args.task == Task::Check).then(|| session::gallery(&bundle, &session));
    let gallery = gallery.transpose()?.flatten();
    let cases = match args.task {
        Task::Retrieve => (args.trials as u64).min(studies.len() as u64),
        Task::Vqa => studies.iter().map(|s| s.questions.len() as u64).sum(),
        Task::Draft | Task::Findings | Task::Check => studies.len() as u64,
    };
    let bar = ProgressBar::new(cases);
    let tick = |done: usize| bar.set_position(done as u64);
    let seed = globals.seed.unwrap_or(0);
    let options = EvaluateOptions {
        with_report: args.with_report,
        blank: args.blank,
        beam: args.beam.map(usize::from),
        by_form: !args.any_answer,
        written: args.written,
        candidates: args.candidates as usize,
        trials: args.trials as usize,
        exact: args.exact,
        gallery: gallery.as_ref(),
        seed,
    };
    let cases = pollster::block_on(evaluate(&session, args.task, studies, &options, tick))?;
    bar.finish_and_clear();
    if let Some(path) = out {
        let lines = cases.lines().into_iter().map(|line| format!("{line}\n"));
        std::fs::write(path, lines.collect::<String>())?;
    }
    let spreads = if args.bootstraps > 0 {
        spreads(cases.as_ref(), args.bootstraps as usize, seed)
    } else {
        BTreeMap::new()
    };
    Ok(Outcome {
        n: cases.len(),
        scores: cases.all(),
        spreads,
        more: cases.more()?,
    })
}

/// Writes the areas into the bundle's manifest.
fn record(bundle: &Path, tested: &str, outcome: &Outcome) -> anyhow::Result<()> {
    let mut manifest = Bundle::open(bundle)?.manifest().clone();
    for label in manifest.labels.iter_mut().filter(|label| label.side.is_none()) {
        label.area = area_of(&label.name, outcome);
    }
    manifest.provenance.tested = tested.to_owned();
    put_manifest(bundle, &manifest)?;
    Ok(())
}

/// The area of a label; `None` where it is not a number.
fn area_of(label: &str, outcome: &Outcome) -> Option<Area> {
    let name = auroc_name(label);
    let spread = outcome.spreads.get(&name)?;
    let counts = outcome.more.get("labels")?.as_array()?;
    let positives = counts.iter().find(|count| count["name"] == label)?["positives"].as_u64()?;
    Some(Area {
        auroc: *outcome.scores.get(&name)?,
        low: spread.low,
        high: spread.high,
        positives: usize::try_from(positives).ok()?,
    })
}

/// The scores of each finding, where there are some.
fn print_findings(more: &Map<String, Value>) {
    let Some(findings) = more.get("findings").and_then(Value::as_object) else {
        return;
    };
    println!(
        "{:28} {:>5} {:>9} {:>6} {:>5} {:>5}",
        "finding", "n", "precision", "recall", "f1", "side"
    );
    for (name, score) in findings {
        let number = |key: &str| score[key].as_f64();
        let told = |key: &str| number(key).map_or("-".to_owned(), |value| format!("{value:.3}"));
        println!(
            "{name:28} {:>5} {:>9} {:>6} {:>5} {:>5}",
            score["support"],
            told("precision"),
            told("recall"),
            told("f1"),
            told("side_accuracy")
        );
    }
}

fn print(ours: &Outcome, theirs: Option<&Outcome>, tests: &BTreeMap<String, TTest>) {
    println!("{} cases", ours.n);
    for (name, value) in &ours.scores {
        let spread = ours
            .spreads
            .get(name)
            .map(|s| {
                format!(
                    "  {:.4} (sd {:.4}, 95% {:.4} to {:.4})",
                    s.mean, s.sd, s.low, s.high
                )
            })
            .unwrap_or_default();
        let other = theirs
            .and_then(|t| t.scores.get(name))
            .map(|v| format!("  against {v:.4}"))
            .unwrap_or_default();
        let test = tests
            .get(name)
            .map(|t| format!("  p {:.2e}", t.p))
            .unwrap_or_default();
        println!("{name:36} {value:.4}{spread}{other}{test}");
    }
    for (name, value) in ours.more.iter().filter(|(_, value)| value.is_number()) {
        println!("{name:36} {value}");
    }
    let notes = ours.more.get("notes").and_then(Value::as_array);
    for note in notes.into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("note: {note}");
    }
}
