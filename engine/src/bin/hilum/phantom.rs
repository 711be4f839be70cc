//! `hilum phantom`: synthetic radiographs with reports and truth, written as a published data set is laid out.

use std::path::PathBuf;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::globals::{Globals, say};
use hilum::data::abdomen::{AbdominalFinding, Written};
use hilum::data::phantom::Institution;
use hilum::data::{Body, Counts, Format, Layout, Split, WriteOptions, write_abdomens, write_phantoms};
use hilum::text::Finding;

/// Draw synthetic radiographs and write them, with reports and labels, as a data set.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// chest or abdomen.
    #[arg(long, default_value_t)]
    body: Body,
    /// How many studies.
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Pixels a side, 64 to 4096.
    #[arg(long, default_value_t = 512)]
    size: usize,
    /// png, jpg or dicom.
    #[arg(long, default_value_t)]
    format: Format,
    /// The published layout to follow: mimic-cxr (unless said otherwise), openi, r2gen, vqa-rad, nih14, chexpert,
    /// covid, cov-ctr or figures; of abdomens r2gen.
    #[arg(long)]
    layout: Option<Layout>,
    /// Put every study into one split: train, validate or test.
    #[arg(long)]
    split: Option<Split>,
    /// first, or second: other patients, equipment and prose, to test what carries over; of abdomens first only.
    #[arg(long, default_value_t)]
    institution: Institution,
    /// The new data set's folder.
    #[arg(long)]
    out: PathBuf,
}

impl Args {
    /// The layout that was named, or the body's usual one.
    fn layout(&self) -> Layout {
        self.layout.unwrap_or(match self.body {
            Body::Chest => Layout::MimicCxr,
            Body::Abdomen => Layout::R2Gen,
        })
    }
}

/// Runs the command.
pub fn run(args: &Args, globals: &Globals) -> Result<()> {
    let options = WriteOptions {
        root: args.out.clone(),
        layout: args.layout(),
        count: args.count,
        size: args.size,
        format: args.format,
        seed: globals.seed.unwrap_or(0),
        split_all: args.split,
        institution: args.institution,
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} phantoms, {eta} left")?;
    let bar = ProgressBar::new(args.count as u64).with_style(style);
    let mut progress = |done: usize| bar.set_position(done as u64);
    let written = match args.body {
        Body::Chest => write_phantoms(&options, &mut progress).map(|counts| (chests(&counts), counts)),
        Body::Abdomen => {
            write_abdomens(&options, &mut progress).map(|written| (abdomens(&written), written.counts))
        }
    };
    bar.finish_and_clear();
    let (positive, counts) = written?;
    if globals.json {
        say(as_json(&positive, &counts, args))
    } else {
        print_table(&positive, &counts, args)
    }
}

/// How many studies show a finding, by its name.
type Positive = Vec<(&'static str, usize)>;

fn chests(counts: &Counts) -> Positive {
    let count = |f: Finding| (f.name(), counts.positive[f as usize]);
    Finding::ALL.into_iter().map(count).collect()
}

fn abdomens(written: &Written) -> Positive {
    let count = |f: AbdominalFinding| (f.name(), written.positive[f as usize]);
    let findings = AbdominalFinding::ALL.into_iter().map(count);
    std::iter::once(("No finding", written.normal))
        .chain(findings)
        .collect()
}

fn share(count: usize, counts: &Counts) -> f64 {
    count as f64 / counts.studies.max(1) as f64
}

fn as_json(positive: &Positive, counts: &Counts, args: &Args) -> Value {
    let positive: Map<String, Value> = positive
        .iter()
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    json!({
        "out": args.out,
        "body": args.body.to_string(),
        "layout": args.layout().name(),
        "format": args.format.to_string(),
        "institution": args.institution,
        "size": args.size,
        "n": counts.studies,
        "subjects": counts.subjects,
        "train": counts.train,
        "validate": counts.validate,
        "test": counts.test,
        "positive": positive,
    })
}

fn print_table(positive: &Positive, counts: &Counts, args: &Args) -> Result<()> {
    let Counts {
        studies,
        subjects,
        train,
        validate,
        test,
        ..
    } = counts;
    say(format!(
        "{studies} phantoms of {subjects} subjects in {} ({})",
        args.out.display(),
        args.layout()
    ))?;
    say(format!("train {train}, validate {validate}, test {test}"))?;
    say(format!("{:<28}{:>9}{:>9}", "", "positive", "share"))?;
    for (name, count) in positive {
        say(format!(
            "{name:<28}{count:>9}{:>8.1}%",
            100.0 * share(*count, counts)
        ))?;
    }
    Ok(())
}
