//! Figures of publications with their captions, as ROCO and MedICaT pass them on (Pelka et al. 2018; Subramanian et al. 2020), one a line.
//!
//! ```text
//! captions.jsonl      image, text (or caption), split (train, validate or test); one figure a line
//! images/             the pictures
//! ```
//!
//! A caption stands for the report, as its findings. Which patient a figure is of is not published: each is taken for its own, and whoever
//! made the table has to put near-duplicates into one split. Where rows name no split, a tenth each, drawn by name, validates and tests.

mod read;
mod write;

pub use read::load;
pub(crate) use write::write;

use std::path::Path;

use super::files::any_case;

const CAPTIONS: &str = "captions.jsonl";
/// Where the pictures lie: there, or beside the table.
const FOLDERS: [&str; 2] = ["images", ""];

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    any_case(&root.join(CAPTIONS)).is_some()
}

#[cfg(test)]
mod tests;
