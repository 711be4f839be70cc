//! Reads COV-CTR by its table's header.

use std::collections::HashSet;
use std::path::Path;

use super::{COVID, JUDGED, RENAMED, SHARES, TABLE, figure, to_chexpert};
use crate::collect::{ImageIndex, Projection, StudyCollector, by_patient, is_file_name};
use crate::error::DataError;
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::study::Study;
use crate::table::{Table, find};
use hilum_text::Report;

/// Where the pictures lie.
const FOLDERS: [&str; 3] = ["", "images", "COV-CTR"];

/// Reads the data set below `root`; each picture is a study of its own, by the first of its rows.
///
/// # Errors
/// When the table is missing or damaged, no file at all is there, or the choice leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::CovCtr, options)?;
    let path = find(root, TABLE)
        .or_else(|| find(root, RENAMED))
        .ok_or_else(|| DataError::NoTable {
            root: root.to_owned(),
            name: TABLE,
            layout: Layout::CovCtr,
        })?;
    let table = Table::open(path.clone())?;
    let (name, findings, covid) = (
        table.column("image_id")?,
        table.column("findings")?,
        table.column("COVID")?,
    );
    let impression = table.column("impression").ok();
    let pictures = ImageIndex::of(root, &FOLDERS)?;
    let (mut seen, mut repeated) = (HashSet::new(), 0);
    table.for_each(|line, row| {
        let wrong = |value: &str, expected| DataError::Value {
            path: path.clone(),
            line,
            value: value.to_owned(),
            expected,
        };
        let image = &row[name];
        if !is_file_name(image) {
            return Err(wrong(image, "file name"));
        }
        let covid = match &row[covid] {
            "1" | "1.0" => true,
            "0" | "0.0" => false,
            other => return Err(wrong(other, "label of COVID (1 or 0)")),
        };
        // Some pictures have a second report.
        if !seen.insert(image.to_owned()) {
            repeated += 1;
            return Ok(());
        }
        let subject = figure(image);
        let split = by_patient(subject, SHARES.0, SHARES.1);
        if !collector.wants(split, Projection::Unknown, image) {
            return Ok(());
        }
        let path = match pictures.find(image) {
            Ok(path) => path,
            Err(missing) => {
                collector.counts.miss(missing);
                return Ok(());
            }
        };
        let report = Report {
            findings: plain(&row[findings]),
            impression: impression.map_or_else(String::new, |column| plain(&row[column])),
        };
        let study = Study::new(image.to_owned(), subject.to_owned(), path, None, split);
        collector.add(
            image,
            Study {
                report,
                labels: Some(to_chexpert(covid)),
                judged: &JUDGED,
                classes: if covid { vec![COVID.to_owned()] } else { Vec::new() },
                ..study
            },
        );
        Ok(())
    })?;
    collector.classes = vec![COVID.to_owned()];
    collector.notes.push(
        "no split is published: of the figures, drawn by name, a fifth tests and a tenth validates".into(),
    );
    if repeated > 0 {
        collector.notes.push(format!(
            "{repeated} rows of a picture that has one before are left out"
        ));
    }
    collector.finish()
}

/// Lines joined and runs of spaces made one.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
