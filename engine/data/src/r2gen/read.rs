//! Reads R2Gen's `annotation.json` and the pictures that it names.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ANNOTATION, IMAGES, LISTS};
use crate::collect::{Projection, StudyCollector, is_file_name};
use crate::error::DataError;
use crate::files::{any_case, picture};
use crate::json::{Row, lists};
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::study::{Split, Study};
use hilum_text::Report;

/// MIMIC-CXR's file has about 200 MB.
const MOST: u64 = 2 << 30;

/// Where pictures are unpacked to.
const FOLDERS: [&str; 3] = [IMAGES, "files", ""];

struct Entry {
    /// As the file names it.
    id: String,
    subject: String,
    /// Of MIMIC-CXR several entries are pictures of one study.
    study: String,
    report: String,
    /// Paths below the pictures' folder.
    images: Vec<String>,
}

/// Reads the data set below `root`, in the order of the file. Of a study with several pictures the first is read,
/// unless `every_image` is set.
///
/// # Errors
/// When the file is missing, damaged or lacks a split, an entry stands in two of them, no picture at all is there,
/// or the choice leaves nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::R2Gen, options)?;
    let path = any_case(&root.join(ANNOTATION)).ok_or_else(|| DataError::NoTable {
        root: root.to_owned(),
        name: ANNOTATION,
        layout: Layout::R2Gen,
    })?;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut subjects: HashMap<String, HashSet<usize>> = HashMap::new();
    let mut repeated = 0;
    for (list, rows) in lists(&path, MOST, LISTS)?.into_iter().enumerate() {
        for row in rows {
            let entry = Entry::read(&row, list)?;
            match seen.insert(entry.id.clone(), list) {
                Some(other) if other != list => {
                    return Err(row.error(format!(
                        "{:?} stands in {:?} too, so that training would see what is tested",
                        entry.id, LISTS[other]
                    )));
                }
                Some(_) => repeated += 1,
                None => {
                    subjects.entry(entry.subject.clone()).or_default().insert(list);
                    take(root, entry, Split::ALL[list], &mut collector);
                }
            }
        }
    }
    let shared = subjects.values().filter(|lists| lists.len() > 1).count();
    if shared > 0 {
        collector.notes.push(format!(
            "{shared} patients are in several of the published splits"
        ));
    }
    if repeated > 0 {
        collector
            .notes
            .push(format!("{repeated} entries that repeat another are left out"));
    }
    collector
        .notes
        .push("projections are not published: which of a study's pictures is lateral is not known".into());
    collector.finish()
}

/// Takes those pictures of an entry that are wanted and there.
fn take(root: &Path, entry: Entry, split: Split, collector: &mut StudyCollector<'_>) {
    for image in &entry.images {
        if !collector.wants(split, Projection::Unknown, &entry.study) {
            continue;
        }
        let Some(path) = locate(root, image) else {
            collector.counts.miss(root.join(IMAGES).join(image));
            continue;
        };
        let report = Report {
            findings: entry.report.clone(),
            impression: String::new(),
        };
        let study = Study::new(entry.study.clone(), entry.subject.clone(), path, None, split);
        collector.add(image, Study { report, ..study });
    }
}

impl Entry {
    fn read(row: &Row, list: usize) -> Result<Self, DataError> {
        let id = row.text(&["id"])?;
        let images = match row.get(&["image_path"]) {
            Some(Value::String(one)) => vec![one.clone()],
            _ => row.texts("image_path")?,
        };
        if images.is_empty() {
            return Err(row.error(format!("{id:?} has no picture in its \"image_path\"")));
        }
        let below = |path: &&String| path.split('/').all(is_file_name);
        if let Some(astray) = images.iter().find(|path| !below(path)) {
            return Err(row.error(format!("{id:?} has {astray:?}, no path below {IMAGES}/")));
        }
        let told = row.text_or_empty(&["split"])?;
        if !told.is_empty() && told.parse() != Ok(Split::ALL[list]) {
            return Err(row.error(format!("{id:?} has the split {told:?}")));
        }
        if row.get(&["report"]).is_none() {
            return Err(row.error(format!("{id:?} has no field \"report\"")));
        }
        let report = row.text_or_empty(&["report"])?;
        let subject = row.text_or_empty(&["subject_id"])?;
        let study = row.text_or_empty(&["study_id"])?;
        Ok(Self {
            subject: if subject.is_empty() {
                subject_of(&id).to_owned()
            } else {
                subject
            },
            study: if study.is_empty() { id.clone() } else { study },
            report: report.split_whitespace().collect::<Vec<_>>().join(" "),
            images,
            id,
        })
    }
}

/// "CXR9" of "CXR9_IM-0001": IU X-Ray has one report a patient. Any other name is a patient's.
fn subject_of(id: &str) -> &str {
    match id.split_once('_') {
        Some((report, _))
            if report
                .strip_prefix("CXR")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) =>
        {
            report
        }
        _ => id,
    }
}

/// A picture below one of the folders, also with another ending.
fn locate(root: &Path, image: &str) -> Option<PathBuf> {
    let places = FOLDERS.map(|folder| root.join(folder).join(image));
    let named = places.iter().find(|path| path.is_file()).cloned();
    named.or_else(|| places.iter().find_map(|path| picture(path)))
}
