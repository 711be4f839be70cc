//! `hilum data DIR`: what a data set holds, before anything is trained on it.

use std::path::PathBuf;

use anyhow::Result;

use crate::globals::{Globals, say};
use hilum::data::{Layout, ReadOptions, Split, Summary, Views, load};

/// Count a data set: studies and patients by split, labels, questions, missing files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data set's folder.
    dir: PathBuf,
    /// Its layout, where it is not recognised by its files.
    #[arg(long)]
    layout: Option<Layout>,
    /// Which projections: frontal, ap, pa or all.
    #[arg(long, default_value = "frontal", value_parser = ["frontal", "ap", "pa", "all"])]
    views: String,
    /// One part alone: train, validate or test.
    #[arg(long)]
    split: Option<Split>,
    /// Every picture of a study that has several.
    #[arg(long)]
    every_image: bool,
}

/// Runs the command.
pub fn run(args: &Args, globals: &Globals) -> Result<()> {
    let views = match args.views.as_str() {
        "ap" => Views::Ap,
        "pa" => Views::Pa,
        "all" => Views::All,
        _ => Views::Frontal,
    };
    let options = ReadOptions {
        split: args.split,
        views,
        every_image: args.every_image,
    };
    let summary = Summary::of(&load(&args.dir, args.layout, &options)?);
    if globals.json {
        say(serde_json::to_string(&summary)?)
    } else {
        print(&summary, args)
    }
}

fn print(s: &Summary, args: &Args) -> Result<()> {
    say(format!(
        "{} studies of {} subjects in {} ({})",
        s.n,
        s.subjects,
        args.dir.display(),
        s.layout
    ))?;
    say(format!(
        "{:<12}{:>9}{:>10}{:>9}{:>9}{:>11}",
        "split", "studies", "subjects", "images", "reports", "questions"
    ))?;
    for (name, p) in Split::ALL
        .iter()
        .filter_map(|split| s.splits.get_key_value(split.name()))
        .chain([(&"all", &s.all)])
    {
        say(format!(
            "{name:<12}{:>9}{:>10}{:>9}{:>9}{:>11}",
            p.studies, p.subjects, p.images, p.reports, p.questions
        ))?;
    }
    let told = |pairs: Vec<String>| {
        if pairs.is_empty() {
            "none".to_owned()
        } else {
            pairs.join(", ")
        }
    };
    say(format!(
        "views: {}",
        told(s.views.iter().map(|(view, n)| format!("{view} {n}")).collect())
    ))?;
    if !s.labels.is_empty() {
        say(format!(
            "\n{:<28}{:>9}{:>8}{:>10}{:>11}{:>8}",
            "label", "positive", "share", "negative", "uncertain", "blank"
        ))?;
        for (name, l) in &s.labels {
            let all = l.positive + l.negative + l.uncertain + l.blank;
            let share = 100.0 * l.positive as f64 / all.max(1) as f64;
            let row = format!(
                "{:>9}{share:>7.1}%{:>10}{:>11}{:>8}",
                l.positive, l.negative, l.uncertain, l.blank
            );
            say(format!("{name:<28}{row}"))?;
        }
    }
    if !s.classes.is_empty() {
        say(format!(
            "\n{:<28}{:>9}{:>8}   ({} studies labelled)",
            "class", "studies", "share", s.labelled
        ))?;
        for (name, n) in &s.classes {
            say(format!(
                "{name:<28}{n:>9}{:>7.1}%",
                100.0 * *n as f64 / s.labelled.max(1) as f64
            ))?;
        }
    }
    if s.all.questions > 0 {
        say(format!(
            "\n{} questions: {} closed, {} open",
            s.all.questions, s.closed, s.open
        ))?;
        for (what, counts) in [("organ", &s.question_organs), ("kind", &s.question_kinds)] {
            say(format!("{what:<28}{:>9}", "questions"))?;
            for (name, n) in counts {
                say(format!(
                    "{:<28}{n:>9}",
                    if name.is_empty() {
                        "not published"
                    } else {
                        name.as_str()
                    }
                ))?;
            }
        }
    }
    say(format!(
        "\nleft out: {} pictures of other views, {} further pictures of a study, {} studies for want of a file",
        s.other_views, s.further_images, s.missing
    ))?;
    if s.shared_subjects > 0 {
        say(format!(
            "{} subjects are in more than one split, as published",
            s.shared_subjects
        ))?;
    }
    for path in &s.missing_files {
        say(format!("missing: {}", path.display()))?;
    }
    if s.missing > s.missing_files.len() {
        say(format!("missing: {} more", s.missing - s.missing_files.len()))?;
    }
    for note in &s.notes {
        say(format!("note: {note}"))?;
    }
    Ok(())
}
