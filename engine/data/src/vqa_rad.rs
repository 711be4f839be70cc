//! VQA-RAD (Lau et al. 2018): questions about radiographs, CT and MR of head, chest and abdomen.
//!
//! ```text
//! images/synpic54610.jpg            or "VQA_RAD Image Folder/"
//! train.jsonl, test.jsonl           one question a line
//! trainset.json, testset.json       an array, as many works pass it on; read where the files above are not there
//! VQA_RAD Dataset Public.json       an array, as published: phrase types test_freeform and test_para test
//! ```
//!
//! A study is one image with its questions of one split: the official test asks about images of training too,
//! so that an image may come twice. Which patient an image is of is not published; each is taken for its own.
//! Unless rows say "validate" themselves, a tenth of the training images, drawn by name, validates. A
//! training row that repeats a question of the test is left out.

mod read;
mod write;

pub use read::load;
pub(crate) use write::write;

use std::path::Path;

use super::files::any_case;

const TRAIN: [&str; 2] = ["train.jsonl", "trainset.json"];
const TEST: [&str; 2] = ["test.jsonl", "testset.json"];
const PUBLIC: &str = "VQA_RAD Dataset Public.json";
const FOLDERS: [&str; 2] = ["images", "VQA_RAD Image Folder"];

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    TRAIN
        .iter()
        .chain(&TEST)
        .chain([&PUBLIC])
        .any(|name| any_case(&root.join(name)).is_some())
}

#[cfg(test)]
mod tests;
