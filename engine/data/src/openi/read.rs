//! Reads the Indiana University collection, with or without its pictures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::source::entries;
use super::{CHEXPERT, NORMAL};
use crate::collect::{ImageIndex, Projection, StudyCollector, by_patient};
use crate::error::DataError;
use crate::files::any_case;
use crate::json::rows;
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::nih14::{CLASSES, JUDGED, to_chexpert};
use crate::study::Study;
use hilum_text::{Certainty, Finding, Labels, Report};

/// Where pictures are unpacked to.
const FOLDERS: [&str; 5] = [
    "images",
    "NLMCXR_png",
    "images/images_normalized",
    "images_normalized",
    ".",
];

/// The labels of all reports as JSON have a few megabytes.
const MOST_LABELS: u64 = 256 << 20;

/// Reads the data set below `root`.
///
/// Of a report with pictures the first that is frontal, or of which that is not published, makes its study; the
/// first of any where all views are asked for.
/// Labels in CheXpert's categories are those of the hand labels that mean the same, else the CheXpert
/// labeler's.
///
/// # Errors
/// When no form of the reports is there or it is damaged, no picture at all is there of those that were
/// chosen, or nothing was chosen.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::OpenI, options)?;
    let by_labeler = read_labels(root)?;
    let pictures = ImageIndex::of(root, &FOLDERS)?;
    let (mut empty, mut named) = (0, 0);
    for entry in entries(root)? {
        let split = by_patient(&entry.uid, 10, 10);
        if entry.classes.is_some() && collector.classes.is_empty() {
            collector.classes = CLASSES.into_iter().chain([NORMAL]).map(str::to_owned).collect();
        }
        let labels = match &entry.classes {
            Some(classes) => Some(to_chexpert(classes, classes.iter().any(|c| c == NORMAL))),
            None => by_labeler.get(&entry.uid).copied(),
        };
        let report = Report {
            findings: entry.findings,
            impression: entry.impression,
        };
        let silent = report.findings.is_empty() && report.impression.is_empty();
        let study = |path: PathBuf, projection: Projection| Study {
            report: report.clone(),
            labels,
            judged: if entry.classes.is_some() { &JUDGED } else { &[] },
            classes: entry.classes.clone().unwrap_or_default(),
            mesh: entry.mesh.clone(),
            ..Study::new(
                entry.uid.clone(),
                entry.uid.clone(),
                path,
                projection.view(),
                split,
            )
        };
        if pictures.is_empty() || entry.images.is_empty() {
            named += entry.images.len();
            if !collector.wants_split(split) || !collector.wants_text() {
                continue;
            }
            if silent {
                empty += 1;
            } else {
                collector.add(&entry.uid, study(PathBuf::new(), Projection::Unknown));
            }
            continue;
        }
        for (image, projection) in &entry.images {
            let projection = Projection::read(projection);
            if !collector.wants(split, projection, &entry.uid) {
                continue;
            }
            match pictures.find(image) {
                Ok(path) => collector.add(image, study(path, projection)),
                Err(missing) => collector.counts.miss(missing),
            }
        }
    }
    collector.notes.push(
        "no split is published: a tenth each of the reports, drawn by number, validates and tests".into(),
    );
    if pictures.is_empty() {
        collector.notes.push(format!(
            "none of the {named} pictures is there: the studies are of text alone"
        ));
    }
    if empty > 0 {
        collector.notes.push(format!(
            "{empty} reports with neither picture nor findings nor impression are left out"
        ));
    }
    collector.finish()
}

/// Positive categories by the CheXpert labeler; it tells nothing of the others.
fn read_labels(root: &Path) -> Result<HashMap<String, Labels>, DataError> {
    let mut all = HashMap::new();
    let Some(path) = any_case(&root.join(CHEXPERT)) else {
        return Ok(all);
    };
    for row in rows(&path, MOST_LABELS)? {
        let mut labels: Labels = [None; 14];
        for name in row.texts("positive")? {
            let finding = Finding::from_name(&name)
                .ok_or_else(|| row.error(format!("{name:?} is none of CheXpert's categories")))?;
            labels[finding as usize] = Some(Certainty::Positive);
        }
        let id = row.text(&["id", "uid"])?;
        all.insert(
            if id.starts_with("CXR") {
                id
            } else {
                format!("CXR{id}")
            },
            labels,
        );
    }
    Ok(all)
}
