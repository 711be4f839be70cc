//! Reads CheXpert by its tables' headers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{TRAIN, VALID};
use crate::collect::{Projection, StudyCollector, by_patient, is_file_name, stem};
use crate::error::DataError;
use crate::files::picture;
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::study::{Split, Study};
use crate::table::{Table, certainty, find, label_columns};

/// Percent of the training patients that validate.
const VALIDATE: u64 = 5;

/// Reads the data set below `root`. A study is one picture, the first in the views that were asked for unless `every_image` is
/// set.
///
/// # Errors
/// When both tables are missing or one is damaged, no file at all is there, or the choice leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::CheXpert, options)?;
    let mut patients: [HashSet<String>; 2] = Default::default();
    let tables = [find(root, TRAIN), find(root, VALID)];
    if tables.iter().all(Option::is_none) {
        return Err(DataError::NoTable {
            root: root.to_owned(),
            name: TRAIN,
            layout: Layout::CheXpert,
        });
    }
    for (i, path) in tables.into_iter().enumerate() {
        match path {
            Some(path) => read(root, path, i == 1, &mut collector, &mut patients[i])?,
            None => collector
                .notes
                .push(format!("{} is not there", [TRAIN, VALID][i])),
        }
    }
    if let Some(both) = patients[0].intersection(&patients[1]).next() {
        return Err(DataError::Row {
            path: root.join(TRAIN),
            at: both.clone(),
            what: format!("this patient is in {VALID} too, so that training would see what is tested"),
        });
    }
    collector
        .notes
        .push("valid.csv tests; a twentieth of the patients of train.csv, drawn by name, validates".into());
    collector.finish()
}

fn read(
    root: &Path,
    table: PathBuf,
    held_out: bool,
    collector: &mut StudyCollector<'_>,
    patients: &mut HashSet<String>,
) -> Result<(), DataError> {
    let table = Table::open(table)?;
    let columns = ["Path", "Frontal/Lateral", "AP/PA"].map(|c| table.column(c));
    let [path, side, position] = columns;
    let (path, side, position) = (path?, side?, position?);
    let findings = label_columns(&table)?;
    let file = table.path.clone();
    let mut seen = HashSet::new();
    table.for_each(|line, row| {
        let wrong = |value: &str, expected| DataError::Value {
            path: file.clone(),
            line,
            value: value.to_owned(),
            expected,
        };
        let published = &row[path];
        let parts: Vec<&str> = published.split('/').collect();
        let [.., patient, study, file_name] = parts.as_slice() else {
            return Err(wrong(
                published,
                "path of a picture (.../patient00001/study1/view1_frontal.jpg)",
            ));
        };
        if !parts.iter().all(|p| is_file_name(p)) {
            return Err(wrong(published, "path below the data set"));
        }
        if !seen.insert(published.to_owned()) {
            return Err(wrong(published, "new picture: it stands in the table twice"));
        }
        patients.insert((*patient).to_owned());
        let split = if held_out {
            Split::Test
        } else {
            by_patient(patient, VALIDATE, 0)
        };
        let projection = match row[side].to_ascii_lowercase().as_str() {
            "frontal" => Projection::read(&row[position]),
            "lateral" => Projection::Other,
            _ => return Err(wrong(&row[side], "projection (Frontal or Lateral)")),
        };
        let id = format!("{patient}/{study}");
        if !collector.wants(split, projection, &id) {
            return Ok(());
        }
        let Some(found) = locate(root, &parts) else {
            collector.counts.miss(root.join(published));
            return Ok(());
        };
        let mut labels = [None; 14];
        for (finding, column) in &findings {
            labels[*finding as usize] = certainty(&row[*column])
                .map_err(|()| wrong(&row[*column], "label (1.0, 0.0, -1.0 or blank)"))?;
        }
        let name = format!("{id}/{}", stem(file_name));
        let study = Study {
            labels: Some(labels),
            ..Study::new(id, (*patient).to_owned(), found, projection.view(), split)
        };
        collector.add(&name, study);
        Ok(())
    })
}

/// The file of a published path: below the root, or without its first component where the root is that folder
/// itself; also with the ending that a phantom of another format has.
fn locate(root: &Path, parts: &[&str]) -> Option<PathBuf> {
    for skipped in 0..=parts.len().saturating_sub(3) {
        let path: PathBuf = std::iter::once(root.to_owned())
            .chain(parts[skipped..].iter().map(PathBuf::from))
            .collect();
        if let Some(path) = picture(&path) {
            return Some(path);
        }
    }
    None
}
