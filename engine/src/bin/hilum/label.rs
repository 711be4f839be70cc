//! `hilum label`: CheXpert's 14 labels of a table of reports.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use hilum::data::read_reports;
use hilum::text::{LEXICON, Labeler, foreign_language};

use crate::globals::Globals;

/// Label reports as CheXpert's labeler does
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A CSV of reports, its cells separated by commas, semicolons or tabs: the column "Report Impression",
    /// "Reports", "report" or the like, else "findings" and "impression" together, else the one that reads
    /// like prose; one column needs no header
    reports: PathBuf,
    /// Where to write the CSV: Reports and 14 columns, 1.0 present, 0.0 absent, -1.0 uncertain, blank not
    /// mentioned
    #[arg(long)]
    out: PathBuf,
    /// Read in plain sense, as a radiologist would, instead of with the accidents of CheXpert's parser
    #[arg(long, conflicts_with_all = ["lexicon", "overlay"])]
    plain: bool,
    /// Another lexicon, in the form of engine/src/text/lexicon.toml; without --overlay it is read alone
    #[arg(long)]
    lexicon: Option<PathBuf>,
    /// What to lay over the lexicon, in the form of engine/src/text/lexicon-chexpert.toml and instead of it
    #[arg(long)]
    overlay: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let labeler = labeler(args)?;
    let same =
        fs::canonicalize(&args.out).is_ok_and(|out| fs::canonicalize(&args.reports).is_ok_and(|r| r == out));
    ensure!(
        !same,
        "{} would overwrite the reports; name another file with --out",
        args.out.display()
    );
    // The labels are written only when all rows could be read, so that no half a table is taken for a whole
    // one.
    let mut labels = Vec::new();
    let mut reports = read_reports(&args.reports)?;
    let foreign: Vec<&str> = reports
        .texts
        .iter()
        .filter_map(|text| foreign_language(text))
        .collect();
    if !foreign.is_empty() {
        let languages: BTreeSet<&str> = foreign.iter().copied().collect();
        let languages: Vec<&str> = languages.into_iter().collect();
        reports.notes.push(format!(
            "{} of the reports are not English ({}, by their words or letters); the labeler reads English alone, so their labels stay blank",
            foreign.len(),
            languages.join(", ")
        ));
    }
    let mut table = csv::Writer::from_writer(Vec::new());
    for text in std::iter::once("Reports").chain(reports.texts.iter().map(String::as_str)) {
        table.write_record([text])?;
    }
    let done = labeler
        .label_csv(&table.into_inner()?[..], &mut labels)
        .with_context(|| args.reports.display().to_string())?;
    let file = fs::File::create(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    let mut file = BufWriter::new(file);
    file.write_all(&labels)
        .and_then(|()| file.flush())
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    for note in &reports.notes {
        eprintln!("note: {note}");
    }
    let columns = reports.columns.join(", ");
    let column = match reports.columns.len() {
        0 => String::new(),
        1 => format!(" of column {columns:?}"),
        _ => format!(" of columns {columns}"),
    };
    globals.tell(
        &serde_json::json!({
            "n": done.reports,
            "column": (!columns.is_empty()).then_some(&columns),
            "out": args.out,
            "notes": reports.notes,
        }),
        format_args!(
            "{} reports{column} labelled: {}",
            done.reports,
            args.out.display()
        ),
    )
}

/// The labeler that the arguments ask for.
fn labeler(args: &Args) -> anyhow::Result<Labeler> {
    let read = |path: &Path, what: &str| {
        fs::read_to_string(path).with_context(|| format!("cannot read the {what} {}", path.display()))
    };
    let named = |path: &Path| path.display().to_string();
    match (&args.lexicon, &args.overlay) {
        (None, None) if args.plain => Ok(Labeler::new()),
        (None, None) => Ok(Labeler::like_chexpert()),
        (Some(path), None) => Labeler::from_toml(&read(path, "lexicon")?).with_context(|| named(path)),
        (None, Some(path)) => {
            Labeler::with_overlay(LEXICON, &read(path, "overlay")?).with_context(|| named(path))
        }
        (Some(lexicon), Some(overlay)) => {
            Labeler::with_overlay(&read(lexicon, "lexicon")?, &read(overlay, "overlay")?)
                .with_context(|| format!("{} with {}", lexicon.display(), overlay.display()))
        }
    }
}
