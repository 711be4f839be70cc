//! COVID-19 Image Data Collection (Cohen et al. 2020).
//!
//! ```text
//! metadata.csv      filename, patientid, view, finding, clinical_notes; also modality and folder where they are there
//! images/           the radiographs
//! lung_masks/       optional
//! ```
//!
//! The publisher gives no split: a fifth of the patients tests and a tenth validates, drawn by number. The
//! clinical notes, which tell of the patient as well as of the picture, are the report's findings. The
//! finding "todo" or "Unknown" is no label.

mod classes;
mod read;
mod write;

pub use read::load;
pub(crate) use write::{finding, write};

use std::path::Path;

use super::table;

const METADATA: &str = "metadata.csv";
const IMAGES: &str = "images";
const MASKS: &str = "lung_masks";

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    table::has_columns(root, METADATA, &["patientid", "finding", "view", "filename"])
}

#[cfg(test)]
mod tests;
