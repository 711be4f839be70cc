//! `hilum phantom`: synthetic radiographs with reports and truth, written as a published data set is laid out.

use std::path::PathBuf;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::globals::{Globals, say};
use hilum::data::phantom::Institution;
use hilum::data::{Counts, Format, Layout, Split, WriteOptions, write_phantoms};
use hilum::text::Finding;

/// Draw synthetic radiographs and write them, with reports and labels, as a data set.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many studies.
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Pixels a side, 64 to 4096.
    #[arg(long, default_value_t = 512)]
    size: usize,
    /// png, jpg or dicom.
    #[arg(long, default_value_t)]
    format: Format,
    /// The published layout to follow: mimic-cxr, openi, r2gen, vqa-rad, nih14, chexpert, covid or cov-ctr.
    #[arg(long, default_value_t = Layout::MimicCxr)]
    layout: Layout,
    /// Put every study into one split: train, validate or test.
    #[arg(long)]
    split: Option<Split>,
    /// first, or second: other patients, equipment and prose, to test what carries over.
    #[arg(long, default_value_t)]
    institution: Institution,
    /// The new data set's folder.
    #[arg(long)]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, globals: &Globals) -> Result<()> {
    let options = WriteOptions {
        root: args.out.clone(),
        layout: args.layout,
        count: args.count,
        size: args.size,
        format: args.format,
        seed: globals.seed.unwrap_or(0),
        split_all: args.split,
        institution: args.institution,
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} phantoms, {eta} left")?;
    let bar = ProgressBar::new(args.count as u64).with_style(style);
    let written = write_phantoms(&options, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let counts = written?;
    if globals.json {
        say(as_json(&counts, args))
    } else {
        print_table(&counts, args)
    }
}

fn share(count: usize, counts: &Counts) -> f64 {
    count as f64 / counts.studies.max(1) as f64
}

fn as_json(counts: &Counts, args: &Args) -> Value {
    let positive: Map<String, Value> = Finding::ALL
        .iter()
        .map(|f| (f.name().to_owned(), json!(counts.positive[*f as usize])))
        .collect();
    json!({
        "out": args.out,
        "layout": args.layout.name(),
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

fn print_table(counts: &Counts, args: &Args) -> Result<()> {
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
        args.layout
    ))?;
    say(format!("train {train}, validate {validate}, test {test}"))?;
    say(format!("{:<28}{:>9}{:>9}", "", "positive", "share"))?;
    for finding in Finding::ALL {
        let count = counts.positive[finding as usize];
        say(format!(
            "{:<28}{count:>9}{:>8.1}%",
            finding.name(),
            100.0 * share(count, counts)
        ))?;
    }
    Ok(())
}
