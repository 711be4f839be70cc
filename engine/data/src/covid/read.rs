//! Reads the COVID-19 Image Data Collection by its table's header.

use std::path::{Path, PathBuf};

use super::classes::{NAMES, classes, ordered};
use super::{IMAGES, MASKS, METADATA};
use crate::collect::{ImageIndex, Projection, StudyCollector, by_patient, is_file_name};
use crate::error::DataError;
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::study::Study;
use crate::table::{Table, find};
use hilum_text::{Certainty, Finding, Labels, Report};

/// Percent of the patients that validate and that test.
const SHARES: (u64, u64) = (10, 20);

/// Reads the data set below `root`; each radiograph is a study of its own. CT slices and lateral views are of
/// another view. None of the published tables has a column `split`; where one was added, it holds for the rows that fill it in.
///
/// # Errors
/// When the table is missing or damaged, no file at all is there, or the choice leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::Covid, options)?;
    let path = find(root, METADATA).ok_or_else(|| DataError::NoTable {
        root: root.to_owned(),
        name: METADATA,
        layout: Layout::Covid,
    })?;
    let table = Table::open(path.clone())?;
    let columns = ["filename", "patientid", "view", "finding", "clinical_notes"].map(|c| table.column(c));
    let [name, patient, view, finding, notes] = columns;
    let (name, patient, view, finding, notes) = (name?, patient?, view?, finding?, notes?);
    let modality = table.column("modality").ok();
    let own_split = table.column("split").ok();
    let pictures = ImageIndex::of(root, &[IMAGES])?;
    let mut occurring: Vec<String> = Vec::new();
    let mut unlabelled = 0;
    let mut drawn = false;
    table.for_each(|line, row| {
        let wrong = |value: &str, expected| DataError::Value {
            path: path.clone(),
            line,
            value: value.to_owned(),
            expected,
        };
        let (image, subject) = (&row[name], &row[patient]);
        // CT volumes have names of archives; they are not read, but what leads out of the folder is an error.
        if !is_file_name(image) {
            return Err(wrong(image, "file name"));
        }
        if subject.is_empty() {
            return Err(wrong(subject, "patientid"));
        }
        let labelled = classes(&row[finding]);
        occurring.extend(labelled.iter().flatten().cloned());
        let split = match own_split
            .map(|column| &row[column])
            .filter(|name| !name.is_empty())
        {
            Some(name) => name
                .parse()
                .map_err(|_| wrong(name, "split (train, validate or test)"))?,
            None => {
                drawn = true;
                by_patient(subject, SHARES.0, SHARES.1)
            }
        };
        let radiograph = modality.is_none_or(|m| row[m].is_empty() || row[m].eq_ignore_ascii_case("X-ray"));
        let projection = if radiograph {
            Projection::read(&row[view])
        } else {
            Projection::Slice
        };
        if !collector.wants(split, projection, image) {
            return Ok(());
        }
        let path = match pictures.find(image) {
            Ok(path) => path,
            Err(missing) => {
                collector.counts.miss(missing);
                return Ok(());
            }
        };
        unlabelled += usize::from(labelled.is_none());
        let study = Study::new(
            image.to_owned(),
            subject.to_owned(),
            path,
            projection.view(),
            split,
        );
        collector.add(
            image,
            Study {
                report: Report {
                    findings: join(&row[notes]),
                    impression: String::new(),
                },
                labels: labelled.as_deref().map(to_chexpert),
                judged: if labelled.is_some() { &NAMES } else { &[] },
                classes: labelled.unwrap_or_default(),
                ..study
            },
        );
        Ok(())
    })?;
    collector.classes = ordered(occurring.iter());
    if drawn {
        collector.notes.push(
            "no split is published: of the patients, drawn by number, a fifth tests and a tenth validates"
                .into(),
        );
    }
    if unlabelled > 0 {
        collector.notes.push(format!(
            "{unlabelled} pictures have no label (\"todo\" or \"Unknown\")"
        ));
    }
    let masks = masks(root)?;
    if masks > 0 {
        collector.notes.push(format!("{masks} lung masks are in {MASKS}"));
    }
    collector.finish()
}

fn masks(root: &Path) -> Result<usize, DataError> {
    let folder: PathBuf = root.join(MASKS);
    match folder.is_dir() {
        true => Ok(std::fs::read_dir(&folder)
            .map_err(DataError::io("read", &folder))?
            .count()),
        false => Ok(0),
    }
}

/// The categories that mean the same: pneumonia of whichever kind, and No Finding.
pub(super) fn to_chexpert(classes: &[String]) -> Labels {
    let mut labels: Labels = [None; 14];
    for (name, finding) in [
        ("Pneumonia", Finding::Pneumonia),
        ("No Finding", Finding::NoFinding),
    ] {
        if classes.iter().any(|c| c == name) {
            labels[finding as usize] = Some(Certainty::Positive);
        }
    }
    labels
}

/// Lines joined and runs of spaces made one.
fn join(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
