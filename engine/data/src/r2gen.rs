//! What R2Gen (Chen et al. 2020) was trained on, as its authors pass it on: IU X-Ray or MIMIC-CXR with the splits that
//! most papers on report generation compare by.
//!
//! ```text
//! annotation.json                    {"train": [...], "val": [...], "test": [...]}, of IU X-Ray with entries
//!                                    {"id": "CXR9_IM-0001", "report": "...", "image_path": ["CXR9_IM-0001/0.png", ...], "split": "train"}
//!                                    and of MIMIC-CXR with "subject_id" and "study_id" and one picture an entry
//! images/CXR9_IM-0001/0.png          the pictures, below images/, files/ or the root
//! ```
//!
//! The report is one text, the findings. Projections are not published: of IU X-Ray's two pictures the first is
//! read, or both where every image of a study is asked for. The splits are the file's own.

mod read;
mod write;

pub use read::load;
pub(crate) use write::{Entry, write, write_annotation};

use std::path::Path;

use super::files::any_case;

const ANNOTATION: &str = "annotation.json";
pub(crate) const IMAGES: &str = "images";

/// The lists, in the order of [`crate::Split::ALL`].
const LISTS: [&str; 3] = ["train", "val", "test"];

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    any_case(&root.join(ANNOTATION)).is_some()
}

#[cfg(test)]
mod tests;
