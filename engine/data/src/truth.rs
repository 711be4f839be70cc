//! The file that says what each phantom of a written data set shows in truth: one JSON object a line, in
//! every layout.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::files::any_case;
use super::phantom::{Description, Institution, Kind, Phantom};
use super::plan::Planned;
use super::study::Split;

/// Its name, beside the layout's own tables.
pub const TRUTH_FILE: &str = "phantom.jsonl";

/// No line of it comes near to this many bytes.
const MOST_LINE: u64 = 1 << 20;

/// One line of [`TRUTH_FILE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The study, as in the layout's tables.
    pub study_id: String,
    /// The patient.
    pub subject_id: String,
    /// The image, as in the layout's tables.
    pub dicom_id: String,
    /// The part of the data set.
    pub split: Split,
    /// Pixels a side, in which the boxes are.
    pub size: usize,
    /// Whose equipment and prose it is.
    #[serde(default)]
    pub institution: Institution,
    /// What it shows.
    pub description: Description,
    /// Where that is seen; a bilateral observation has a box a side.
    pub boxes: Vec<TruthBox>,
}

/// Where one observation is seen: `left` and `top` are inside the box, `right` and `bottom` just outside, in
/// pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // said above
pub struct TruthBox {
    /// Index into the description's observations.
    pub observation: usize,
    /// What it is.
    pub kind: Kind,
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

/// The names of one phantom in its layout's tables.
pub(crate) struct Names {
    pub(crate) study: String,
    pub(crate) subject: String,
    pub(crate) image: String,
}

/// The truth of a drawn study under the names of its layout.
pub(crate) fn truth(planned: &Planned, names: Names, phantom: &Phantom, institution: Institution) -> Truth {
    let boxes = phantom.findings.iter().filter_map(|(observation, _, place)| {
        let kind = planned.description.observations.get(*observation)?.kind;
        let (left, top, right, bottom) = (place.left, place.top, place.right, place.bottom);
        Some(TruthBox {
            observation: *observation,
            kind,
            left,
            top,
            right,
            bottom,
        })
    });
    Truth {
        study_id: names.study,
        subject_id: names.subject,
        dicom_id: names.image,
        split: planned.split,
        size: phantom.size,
        institution,
        description: planned.description.clone(),
        boxes: boxes.collect(),
    }
}

/// What each phantom shows, by its image; empty for a collection of patients.
///
/// # Errors
/// When the file cannot be read, or a line of it is no such object.
pub(crate) fn read_truths(root: &Path) -> Result<HashMap<String, Description>, DataError> {
    let mut truths = HashMap::new();
    let Some(path) = any_case(&root.join(TRUTH_FILE)) else {
        return Ok(truths);
    };
    let mut reader = BufReader::new(File::open(&path).map_err(DataError::io("read", &path))?);
    for number in 1.. {
        let mut line = String::new();
        let read = reader
            .by_ref()
            .take(MOST_LINE)
            .read_line(&mut line)
            .map_err(DataError::io("read", &path))?;
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

/// Writes the file into the root.
pub(crate) fn write_truths(root: &Path, truths: &[Truth]) -> Result<(), DataError> {
    let path = root.join(TRUTH_FILE);
    let mut text = String::new();
    for truth in truths {
        let line = serde_json::to_string(truth).map_err(|e| DataError::Io {
            action: "write",
            path: path.clone(),
            source: e.into(),
        })?;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    }
    std::fs::write(&path, text).map_err(DataError::io("write", &path))
}
