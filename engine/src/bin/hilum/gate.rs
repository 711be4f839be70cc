//! `hilum gate fit|check`: what a bundle's training pictures look like to it, and what it then says of others.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hilum::bundle::{gate, put_files};
use hilum::data::{Layout, ReadOptions, Split, Study, load as load_data};
use hilum::image::{WindowChoice, decode_file};
use hilum::metrics::auroc;
use hilum::tasks::{Session, fit_gate};
use indicatif::ProgressBar;
use serde_json::json;

use super::globals::Globals;
use super::session;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Fits a bundle's gate to the training and validation splits of the data that its model was trained on.
    Fit(Fit),
    /// Counts what a bundle's gate flags in folders of pictures.
    Check(Check),
}

#[derive(clap::Args)]
pub struct Fit {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    /// A data set's folder; several are joined.
    #[arg(long, required = true)]
    data: Vec<PathBuf>,
    /// Their layout, where it is not recognised by their files.
    #[arg(long)]
    layout: Option<Layout>,
    /// A folder of pictures of one kind that are known to be foreign though the model may be at home with them; several are several
    /// kinds.
    #[arg(long)]
    unlike: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub struct Check {
    /// The bundle; without it, the demo bundle.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// A folder of pictures such as the model was trained on, which it has not seen.
    #[arg(long)]
    own: PathBuf,
    /// Folders of other pictures.
    #[arg(required = true)]
    others: Vec<PathBuf>,
    /// Pictures of a folder at most, spread over it.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
}

pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<()> {
    match command {
        Command::Fit(args) => fit(args, globals),
        Command::Check(args) => check(args, globals),
    }
}

fn fit(args: &Fit, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let (_, session) = session::open(Some(&args.bundle), &chosen.device)?;
    let mut studies: Vec<Study> = Vec::new();
    for root in &args.data {
        studies.extend(load_data(root, args.layout, &ReadOptions::default())?.studies);
    }
    studies.retain(Study::has_image);
    let of = |split| {
        studies
            .iter()
            .filter(|s| s.split == split)
            .map(|s| s.image.clone())
            .collect::<Vec<_>>()
    };
    let (train, validate) = (of(Split::Train), of(Split::Validate));
    let known = args.unlike.iter().map(|folder| files_below(folder));
    let known = known.collect::<anyhow::Result<Vec<_>>>()?;
    let count: usize = known.iter().map(Vec::len).sum();
    let bar = ProgressBar::new((train.len() + validate.len() + count) as u64);
    let gate = fit_gate(&session, &train, &validate, &known, &mut |read| {
        bar.set_position(read as u64)
    })?;
    bar.finish_and_clear();
    let bytes = gate.bytes()?;
    put_files(&args.bundle, &[(gate::FILE, &bytes)])?;
    globals.tell(
        &json!({
            "bundle": args.bundle, "train": train.len(), "validate": validate.len(),
            "axes": gate.variances.data.len(), "dimensions": gate.dimensions(), "limit": gate.limit.data[0],
            "known": args.unlike.len(), "bytes": bytes.len(),
        }),
        format_args!(
            "{}: a gate of {} axes among {} numbers a picture, fitted to {} pictures, its limit to {}; {:.2} MB",
            args.bundle.display(),
            gate.variances.data.len(),
            gate.dimensions(),
            train.len(),
            validate.len(),
            bytes.len() as f64 / 1e6
        ),
    )
}

/// What was found in a folder.
struct Folder {
    name: String,
    unlikeness: Vec<f64>,
    unreadable: usize,
}

fn check(args: &Check, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let (_, session) = session::open(args.bundle.as_deref(), &chosen.device)?;
    let folders = std::iter::once(&args.own).chain(&args.others);
    let folders: Vec<Folder> = folders
        .map(|folder| judge(&session, folder, args.limit.into()))
        .collect::<anyhow::Result<_>>()?;
    let own = &folders[0].unlikeness;
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for folder in &folders {
        let count = folder.unlikeness.len();
        let flagged = folder.unlikeness.iter().filter(|v| **v > 1.0).count();
        let mut sorted = folder.unlikeness.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[count / 2];
        // Foreign pictures are the positives.
        let scores: Vec<f64> = own.iter().chain(&folder.unlikeness).copied().collect();
        let truth: Vec<bool> = (0..scores.len()).map(|at| at >= own.len()).collect();
        let told = (folder.name != folders[0].name)
            .then(|| auroc(&scores, &truth))
            .flatten();
        rows.push(json!({
            "folder": folder.name, "pictures": count, "unreadable": folder.unreadable,
            "flagged": flagged as f64 / count as f64, "median": median, "auroc": told,
        }));
        lines.push(format!(
            "{:40} {count:5} pictures, {:5.1}% flagged, unlikeness {median:6.2} at the median{}{}",
            folder.name,
            100.0 * flagged as f64 / count as f64,
            told.map(|told| format!(", AUROC {told:.3}")).unwrap_or_default(),
            match folder.unreadable {
                0 => String::new(),
                unreadable => format!(", {unreadable} files that are no pictures"),
            }
        ));
    }
    globals.tell(
        &json!({ "folders": rows, "device": chosen.name }),
        lines.join("\n"),
    )
}

/// The unlikeness of a folder's pictures.
fn judge(session: &Session, folder: &Path, limit: usize) -> anyhow::Result<Folder> {
    let files = files_below(folder)?;
    let step = files.len().div_ceil(limit).max(1);
    let (mut unlikeness, mut unreadable) = (Vec::new(), 0);
    for file in files.iter().step_by(step) {
        let Ok(gray) = decode_file(file).and_then(|r| r.display(&WindowChoice::Default)) else {
            unreadable += 1;
            continue;
        };
        let image = session.encode_gray(&gray);
        let judged = pollster::block_on(session.unlikeness(&image))?;
        let Some(judged) = judged else {
            anyhow::bail!("the bundle has no gate; add one with hilum gate fit");
        };
        unlikeness.push(judged.0);
    }
    anyhow::ensure!(
        !unlikeness.is_empty(),
        "{} holds no picture that can be read",
        folder.display()
    );
    Ok(Folder {
        name: folder.display().to_string(),
        unlikeness,
        unreadable,
    })
}

/// All files below a folder, in the order of their names: a DICOM file need have no ending.
fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => collect(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}
