//! Abdominal phantoms to disk, in R2Gen's layout: pictures, and one `annotation.json` with a report and a split each.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{AbdominalFinding, Description, describe, draw, report};
use crate::collect::by_patient;
use crate::error::DataError;
use crate::layout::Layout;
use crate::phantom::Institution;
use crate::r2gen;
use crate::study::{Counts, Split};
use crate::write::{Picture, WriteOptions, check, draw_batches, make_folder, plan, write_pixels};

/// The file that says what each abdominal phantom of a written data set shows in truth: one JSON object a line.
/// Its name is not that of the chest's, which the readers know.
pub const TRUTH_FILE: &str = "abdomen.jsonl";

/// One line of [`TRUTH_FILE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbdomenTruth {
    /// The study and the patient, as in the layout's table.
    pub study_id: String,
    /// The image, as in the layout's table.
    pub image: String,
    /// The part of the data set.
    pub split: Split,
    /// Pixels a side.
    pub size: usize,
    /// What it shows.
    pub description: Description,
    /// What of that is clinically important.
    pub findings: Vec<AbdominalFinding>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Studies, subjects and splits; none of the chest's categories.
    pub counts: Counts,
    /// Studies that show each finding, in the order of [`AbdominalFinding::ALL`].
    pub positive: [usize; AbdominalFinding::ALL.len()],
    /// Studies that show none.
    pub normal: usize,
}

/// Draws abdominal phantoms and writes them as a data set. `progress` is told how many are done.
///
/// # Errors
/// When the layout is another than R2Gen's, whose tables are the chest's, or the institution than the first; when a
/// number is out of bounds, the folder holds something, or a file cannot be written.
pub fn write_abdomens(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Written, DataError> {
    if options.layout != Layout::R2Gen {
        return Err(DataError::NotSupported {
            layout: options.layout,
            verb: "filled with abdominal radiographs",
            instead: "r2gen",
        });
    }
    if options.institution != Institution::First {
        return Err(DataError::OneInstitution);
    }
    check(options)?;
    let planned = plan(options, true, |subject, _| by_patient(&name(subject), 10, 20));
    let images = options.root.join(r2gen::IMAGES);
    let mut truths: Vec<AbdomenTruth> = planned
        .iter()
        .map(|p| {
            let description = describe(p.description.seed);
            AbdomenTruth {
                study_id: name(p.subject),
                image: format!("{}/0.{}", name(p.subject), options.format.extension()),
                split: p.split,
                size: options.size,
                findings: description.findings(),
                description,
            }
        })
        .collect();
    let each = |truth: &AbdomenTruth| -> Result<(), DataError> {
        make_folder(&images.join(&truth.study_id))?;
        let drawn = draw(&truth.description, options.size)?;
        let picture = Picture {
            size: drawn.size,
            pixels: &drawn.pixels,
            pixels_12bit: &drawn.pixels_12bit,
            seed: truth.description.seed,
            subject: &truth.study_id,
            study: truth.description.seed >> 1,
            view: "AP",
            body_part: "ABDOMEN",
        };
        write_pixels(&images.join(&truth.image), &picture, options.format)
    };
    draw_batches(&truths, each, progress)?;
    let entries: Vec<r2gen::Entry> = truths
        .iter()
        .map(|truth| {
            let (id, image) = (truth.study_id.clone(), vec![truth.image.clone()]);
            r2gen::Entry::new(id, report(&truth.description), image, truth.split)
        })
        .collect();
    r2gen::write_annotation(&options.root, entries)?;
    truths.sort_by(|a, b| a.study_id.cmp(&b.study_id));
    write_truths(&options.root, &truths)?;
    Ok(counted(&truths))
}

/// The number is the report's and the patient's.
fn name(subject: u64) -> String {
    format!("ABD{subject}")
}

fn counted(truths: &[AbdomenTruth]) -> Written {
    let mut written = Written::default();
    for truth in truths {
        written.counts.add(truth.split, None);
        written.normal += usize::from(truth.findings.is_empty());
        for finding in &truth.findings {
            written.positive[*finding as usize] += 1;
        }
    }
    written.counts.subjects = truths.len();
    written
}

fn write_truths(root: &Path, truths: &[AbdomenTruth]) -> Result<(), DataError> {
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
