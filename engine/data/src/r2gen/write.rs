//! Phantoms in R2Gen's layout of IU X-Ray.

use std::path::Path;

use serde::Serialize;

use super::{ANNOTATION, IMAGES, LISTS};
use crate::collect::by_patient;
use crate::error::DataError;
use crate::phantom::{self, Phantom};
use crate::plan::Planned;
use crate::study::{Counts, Split};
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture};

#[derive(Serialize)]
struct Annotation {
    train: Vec<Entry>,
    val: Vec<Entry>,
    test: Vec<Entry>,
}

/// One report of `annotation.json`.
#[derive(Serialize)]
pub(crate) struct Entry {
    id: String,
    report: String,
    image_path: Vec<String>,
    split: &'static str,
}

impl Entry {
    /// An entry of a part of the data set.
    pub(crate) fn new(id: String, report: String, image_path: Vec<String>, split: Split) -> Self {
        let split = LISTS[split as usize];
        Self {
            id,
            report,
            image_path,
            split,
        }
    }
}

/// The number is the report's and the patient's.
fn subject(p: &Planned) -> String {
    format!("CXR{}", p.subject)
}

fn id(p: &Planned) -> String {
    format!("{}_IM-0001", subject(p))
}

/// Writes the data set into an empty folder that is there: one report a patient, one picture a report, seven tenths
/// to train, one to validate and two to test.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, true, |subject, _| {
        by_patient(&format!("CXR{subject}"), 10, 20)
    });
    for p in &mut planned {
        p.image = format!("{}/0.{}", id(p), options.format.extension());
    }
    let images = options.root.join(IMAGES);
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        make_folder(&images.join(id(p)))?;
        write_picture(&images.join(&p.image), drawn, p, options.format)?;
        let names = Names {
            study: id(p),
            subject: subject(p),
            image: p.image.clone(),
        };
        Ok(truth(p, names, drawn, options.institution))
    };
    let truths = draw_all(&planned, options, each, progress)?;
    let entry = |p: &Planned| {
        let report = phantom::report_at(&p.description, options.institution).findings;
        Entry::new(id(p), report, vec![p.image.clone()], p.split)
    };
    write_annotation(&options.root, planned.iter().map(entry).collect())?;
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |_| None))
}

/// Writes `annotation.json` into the root, each entry in its part's list.
pub(crate) fn write_annotation(root: &Path, entries: Vec<Entry>) -> Result<(), DataError> {
    let mut parts = LISTS.map(|_| Vec::new());
    for entry in entries {
        if let Some(part) = LISTS.iter().position(|name| *name == entry.split) {
            parts[part].push(entry);
        }
    }
    let [train, val, test] = parts;
    let path = root.join(ANNOTATION);
    let text = serde_json::to_string(&Annotation { train, val, test }).map_err(|e| DataError::Io {
        action: "write",
        path: path.clone(),
        source: e.into(),
    })?;
    std::fs::write(&path, text).map_err(DataError::io("write", &path))
}
