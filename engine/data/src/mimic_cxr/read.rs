//! Reads MIMIC-CXR-JPG by its tables' headers, with the official split.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{CHEXPERT, METADATA, NEGBIO, SPLIT, report_file, study_folder};
use crate::collect::{Projection, StudyCollector};
use crate::error::DataError;
use crate::files;
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::phantom::View;
use crate::study::{Counts, Split, Study};
use crate::table::{Table, certainty, find, label_columns, read_text};
use hilum_text::{Labels, Report};

/// No report of the collection comes near to this many bytes.
const MOST_REPORT: u64 = 1 << 20;

/// Reads the data set below `root`.
///
/// A study is one picture, the first of the metadata table in the views that were asked for unless `every_image` is set. Studies
/// whose picture or report is not there are counted and listed, so that a part of the collection can be read
/// with the tables of the whole.
///
/// # Errors
/// When a table is missing or damaged, a report is far too long, no file at all is there, or the choice
/// leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::MimicCxr, options)?;
    let splits = read_splits(root)?;
    let labels = read_labels(root)?;
    for image in choose(root, &splits, &mut collector)? {
        let Some((path, report)) = files_of(root, &image, &mut collector.counts)? else {
            continue;
        };
        let labels = labels.get(&image.study).copied();
        let study = Study::new(image.study, image.subject, path, image.view, image.split);
        collector.add(
            &image.dicom,
            Study {
                report,
                labels,
                ..study
            },
        );
    }
    collector.finish()
}

/// One line of the metadata table that was chosen.
struct Image {
    dicom: String,
    subject: String,
    study: String,
    view: Option<View>,
    split: Split,
}

fn open(root: &Path, name: &'static str) -> Result<Table, DataError> {
    let path = find(root, name).ok_or_else(|| DataError::NoTable {
        root: root.to_owned(),
        name,
        layout: Layout::MimicCxr,
    })?;
    Table::open(path)
}

/// The split of each image.
fn read_splits(root: &Path) -> Result<HashMap<String, Split>, DataError> {
    let table = open(root, SPLIT)?;
    let (dicom, split) = (table.column("dicom_id")?, table.column("split")?);
    let path = table.path.clone();
    let mut splits = HashMap::new();
    table.for_each(|line, row| {
        let value = &row[split];
        let parsed = value.parse().map_err(|_| DataError::Value {
            path: path.clone(),
            line,
            value: value.to_owned(),
            expected: "split (train, validate or test)",
        })?;
        splits.insert(row[dicom].to_owned(), parsed);
        Ok(())
    })?;
    Ok(splits)
}

/// The labels of each study: CheXpert's, else NegBio's, else none.
fn read_labels(root: &Path) -> Result<HashMap<String, Labels>, DataError> {
    let Some(path) = find(root, CHEXPERT).or_else(|| find(root, NEGBIO)) else {
        return Ok(HashMap::new());
    };
    let table = Table::open(path.clone())?;
    let study = table.column("study_id")?;
    let columns = label_columns(&table)?;
    let mut labels = HashMap::new();
    table.for_each(|line, row| {
        let mut of_study: Labels = [None; 14];
        for (finding, column) in &columns {
            let cell = &row[*column];
            of_study[*finding as usize] = certainty(cell).map_err(|()| DataError::Value {
                path: path.clone(),
                line,
                value: cell.to_owned(),
                expected: "label (1.0, 0.0, -1.0 or blank)",
            })?;
        }
        labels.insert(row[study].to_owned(), of_study);
        Ok(())
    })?;
    Ok(labels)
}

/// The images of the chosen split and views, in the metadata table's order.
fn choose(
    root: &Path,
    splits: &HashMap<String, Split>,
    collector: &mut StudyCollector<'_>,
) -> Result<Vec<Image>, DataError> {
    let table = open(root, METADATA)?;
    let column = |name| table.column(name);
    let (dicom, subject) = (column("dicom_id")?, column("subject_id")?);
    let (study, position) = (column("study_id")?, column("ViewPosition")?);
    let path = table.path.clone();
    let mut images = Vec::new();
    table.for_each(|line, row| {
        // Identifiers become parts of paths: nothing but what the publisher uses may pass.
        let identifier = |column: usize, fits: fn(&char) -> bool| {
            let value = &row[column];
            if value.is_empty() || value.len() > 64 || !value.chars().all(|c| fits(&c)) {
                let (path, value) = (path.clone(), value.to_owned());
                return Err(DataError::Value {
                    path,
                    line,
                    value,
                    expected: "identifier",
                });
            }
            Ok(value.to_owned())
        };
        let dicom = identifier(dicom, |c| c.is_ascii_alphanumeric() || "-_".contains(*c))?;
        let subject = identifier(subject, char::is_ascii_digit)?;
        let study = identifier(study, char::is_ascii_digit)?;
        let Some(&split) = splits.get(&dicom) else {
            return Err(DataError::Value {
                path: path.clone(),
                line,
                value: dicom,
                expected: "image of the split table",
            });
        };
        // What is neither AP nor PA, a blank too, is of another view: the published table names every one.
        let projection = match Projection::read(&row[position]) {
            Projection::Unknown => Projection::Other,
            known => known,
        };
        if !collector.wants(split, projection, &study) {
            return Ok(());
        }
        images.push(Image {
            dicom,
            subject,
            study,
            view: projection.view(),
            split,
        });
        Ok(())
    })?;
    Ok(images)
}

/// An image's file and its report; `None`, and noted, where one is not there.
fn files_of(root: &Path, image: &Image, counts: &mut Counts) -> Result<Option<(PathBuf, Report)>, DataError> {
    let folder = root.join(study_folder(&image.subject, &image.study));
    let named = |ending: &str| folder.join(format!("{}.{ending}", image.dicom));
    // The endings first that the publisher uses; in whichever case, or another one, they are looked up after.
    let usual = ["jpg", "png", "dcm"].into_iter().map(named).find(|p| p.is_file());
    let Some(picture) = usual.or_else(|| files::picture(&named("jpg"))) else {
        counts.miss(named("jpg"));
        return Ok(None);
    };
    let below = report_file(&image.subject, &image.study);
    let report = [root.join(&below), root.join("mimic-cxr-reports").join(&below)]
        .iter()
        .find_map(|path| files::any_case(path));
    let Some(report) = report else {
        counts.miss(root.join(below));
        return Ok(None);
    };
    Ok(Some((picture, Report::parse(&read_text(&report, MOST_REPORT)?))))
}
