//! CheXpert (Irvin et al. 2019), in its full and its small release.
//!
//! ```text
//! train.csv, valid.csv              Path, Sex, Age, Frontal/Lateral, AP/PA, and the 14 categories: 1.0, 0.0, -1.0 or blank
//! train/patient00001/study1/view1_frontal.jpg       also below CheXpert-v1.0-small/ and the like, as Path says
//! valid/...
//! ```
//!
//! The publisher's valid.csv, labelled by radiologists, is what the tables of papers are made of: here it is
//! `test`. Of the training patients a twentieth, drawn by their number, validates.

mod read;
mod write;

pub use read::load;
pub(crate) use write::write;

use std::path::Path;

use super::table;

const TRAIN: &str = "train.csv";
const VALID: &str = "valid.csv";

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    [TRAIN, VALID]
        .iter()
        .any(|name| table::has_columns(root, name, &["Path", "Frontal/Lateral", "AP/PA"]))
}

#[cfg(test)]
mod tests;
