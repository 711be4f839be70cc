//! Reads MIMIC-CXR-JPG by its tables' headers, with the official split.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{CHEXPERT, METADATA, NEGBIO, SPLIT, report_file, study_folder};
use crate::data::error::DataError;
use crate::data::layout::{Layout, Loaded, ReadOptions, Views};
use crate::data::phantom::{Description, View};
use crate::data::study::{Counts, Split, Study};
use crate::data::table::{Table, find, read_text};
use crate::data::write::{TRUTH_FILE, Truth};
use crate::text::{Certainty, Finding, Labels, Report};

/// No report of the collection comes near to this many bytes.
const MOST_REPORT: u64 = 1 << 20;

/// Nor a line of the truth file.
const MOST_LINE: u64 = 1 << 20;

/// Reads the data set below `root`.
///
/// A study is one picture, the first frontal one of the metadata table unless `every_image` is set. Studies whose picture or report is
/// not there are counted and listed, so that a part of the collection can be read with the tables of the whole.
///
/// # Errors
/// When a table is missing or damaged, a report is far too long, no file at all is there, or the choice leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let splits = read_splits(root)?;
    let labels = read_labels(root)?;
    let mut truths = read_truths(root)?;
    let mut counts = Counts::default();
    let images = choose(root, options, &splits, &mut counts)?;
    let chosen = images.len();
    let mut studies = Vec::new();
    let mut subjects = HashSet::new();
    for image in images {
        let Some((path, report)) = files(root, &image, &mut counts)? else { continue };
        let labels = labels.get(&image.study).copied();
        counts.add(image.split, labels.as_ref());
        subjects.insert(image.subject.clone());
        studies.push(Study {
            image: path,
            view: Some(image.view),
            report,
            labels,
            labelled: false,
            classes: Vec::new(),
            questions: Vec::new(),
            split: image.split,
            description: truths.remove(&image.dicom),
            id: image.study,
            subject: image.subject,
        });
    }
    counts.subjects = subjects.len();
    match (chosen, studies.is_empty()) {
        (0, _) => Err(DataError::NothingChosen { root: root.to_owned() }),
        (_, true) => Err(DataError::NothingThere {
            root: root.to_owned(),
            expected: chosen,
            first: counts.missing_files.first().cloned().unwrap_or_default(),
        }),
        _ => Ok(Loaded { layout: Layout::MimicCxr, studies, counts, classes: Vec::new(), notes: Vec::new() }),
    }
}

/// One line of the metadata table that was chosen.
struct Image {
    dicom: String,
    subject: String,
    study: String,
    view: View,
    split: Split,
}

fn open(root: &Path, name: &'static str) -> Result<Table, DataError> {
    let path =
        find(root, name).ok_or_else(|| DataError::NoTable { root: root.to_owned(), name, layout: Layout::MimicCxr })?;
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
    let Some(path) = find(root, CHEXPERT).or_else(|| find(root, NEGBIO)) else { return Ok(HashMap::new()) };
    let table = Table::open(path.clone())?;
    let study = table.column("study_id")?;
    let columns: Vec<(Finding, usize)> =
        table.headers().iter().enumerate().filter_map(|(i, h)| Some((Finding::from_name(h)?, i))).collect();
    for finding in Finding::ALL {
        if !columns.iter().any(|(f, _)| *f == finding) {
            return Err(DataError::Column { path, column: finding.name().to_owned() });
        }
    }
    let mut labels = HashMap::new();
    table.for_each(|line, row| {
        let mut of_study: Labels = [None; 14];
        for (finding, column) in &columns {
            of_study[*finding as usize] = match &row[*column] {
                "" => None,
                "1.0" | "1" => Some(Certainty::Positive),
                "0.0" | "0" => Some(Certainty::Negative),
                "-1.0" | "-1" => Some(Certainty::Uncertain),
                other => {
                    return Err(DataError::Value {
                        path: path.clone(),
                        line,
                        value: other.to_owned(),
                        expected: "label (1.0, 0.0, -1.0 or blank)",
                    });
                }
            };
        }
        labels.insert(row[study].to_owned(), of_study);
        Ok(())
    })?;
    Ok(labels)
}

/// What each phantom shows, by its image; empty for a collection of patients.
fn read_truths(root: &Path) -> Result<HashMap<String, Description>, DataError> {
    let path = root.join(TRUTH_FILE);
    let mut truths = HashMap::new();
    if !path.is_file() {
        return Ok(truths);
    }
    let mut reader = BufReader::new(File::open(&path).map_err(DataError::io("read", &path))?);
    for number in 1.. {
        let mut line = String::new();
        let read = reader.by_ref().take(MOST_LINE).read_line(&mut line).map_err(DataError::io("read", &path))?;
        if read == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let truth: Truth = serde_json::from_str(&line).map_err(|_| DataError::Value {
            path: path.clone(),
            line: number,
            value: line.chars().take(40).collect(),
            expected: "description of a phantom",
        })?;
        truths.insert(truth.dicom_id, truth.description);
    }
    Ok(truths)
}

/// The images of the chosen split and views, in the metadata table's order.
fn choose(
    root: &Path,
    options: &ReadOptions,
    splits: &HashMap<String, Split>,
    counts: &mut Counts,
) -> Result<Vec<Image>, DataError> {
    let table = open(root, METADATA)?;
    let column = |name| table.column(name);
    let (dicom, subject) = (column("dicom_id")?, column("subject_id")?);
    let (study, position) = (column("study_id")?, column("ViewPosition")?);
    let path = table.path.clone();
    let mut taken = HashSet::new();
    let mut images = Vec::new();
    table.for_each(|line, row| {
        // Identifiers become parts of paths: nothing but what the publisher uses may pass.
        let identifier = |column: usize, fits: fn(&char) -> bool| {
            let value = &row[column];
            if value.is_empty() || value.len() > 64 || !value.chars().all(|c| fits(&c)) {
                let (path, value) = (path.clone(), value.to_owned());
                return Err(DataError::Value { path, line, value, expected: "identifier" });
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
        if options.split.is_some_and(|wanted| wanted != split) {
            return Ok(());
        }
        let view = match (row[position].to_ascii_uppercase().as_str(), options.views) {
            ("AP", Views::Frontal | Views::Ap) => View::Ap,
            ("PA", Views::Frontal | Views::Pa) => View::Pa,
            _ => {
                counts.other_views += 1;
                return Ok(());
            }
        };
        if !taken.insert(study.clone()) && !options.every_image {
            counts.further_images += 1;
            return Ok(());
        }
        images.push(Image { dicom, subject, study, view, split });
        Ok(())
    })?;
    Ok(images)
}

/// An image's file and its report; `None`, and noted, where one is not there.
fn files(root: &Path, image: &Image, counts: &mut Counts) -> Result<Option<(PathBuf, Report)>, DataError> {
    let folder = root.join(study_folder(&image.subject, &image.study));
    let named = |ending: &str| folder.join(format!("{}.{ending}", image.dicom));
    let Some(picture) = ["jpg", "png", "dcm"].into_iter().map(named).find(|p| p.is_file()) else {
        counts.miss(named("jpg"));
        return Ok(None);
    };
    let below = report_file(&image.subject, &image.study);
    let report = [root.join(&below), root.join("mimic-cxr-reports").join(&below)].into_iter().find(|p| p.is_file());
    let Some(report) = report else {
        counts.miss(root.join(below));
        return Ok(None);
    };
    Ok(Some((picture, Report::parse(&read_text(&report, MOST_REPORT)?))))
}
