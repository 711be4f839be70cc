//! The Indiana University chest X-ray collection, which NLM publishes as Open-i (Demner-Fushman et al. 2016).
//!
//! ```text
//! ecgen-radiology/1.xml             the published reports; also as ecgen-radiology.tgz or NLMCXR_reports.tgz, or in the root itself
//! indiana_reports.csv               uid, findings, impression, MeSH (headings joined by semicolons)
//! indiana_projections.csv           uid, filename, projection: tells frontal from lateral
//! reports.jsonl                     uid, findings, impression, images with their projection and view, labels14,
//!                                   mesh_major, mesh_auto
//! images/, NLMCXR_png/              the pictures, where there are any
//! gold14.csv                        labels by hand: NIH's 14 classes and "normal"
//! chexpert_labels.jsonl             positive categories by the CheXpert labeler
//! ```
//!
//! The richest form that is there is read: JSON lines, else XML, else CSV. A report of which no picture is
//! published is a study of text alone, and so are all where no picture is there
//! ([`crate::Study::has_image`]). "XXXX" stands for what was taken out to hide the patient and is left as it
//! is. One report is one patient; no split is published: a tenth each, drawn by number, validates and tests.

mod entry;
mod read;
mod source;
mod write;
mod xml;

pub use read::load;
pub(crate) use write::write;

use std::path::Path;

use super::{files, table};

const LINES: &str = "reports.jsonl";
const XML_FOLDER: &str = "ecgen-radiology";
const ARCHIVES: [&str; 4] = [
    "ecgen-radiology.tgz",
    "NLMCXR_reports.tgz",
    "ecgen-radiology.tar.gz",
    "NLMCXR_reports.tar.gz",
];
const REPORTS: &str = "indiana_reports.csv";
const PROJECTIONS: &str = "indiana_projections.csv";
const GOLD: &str = "gold14.csv";
const CHEXPERT: &str = "chexpert_labels.jsonl";

/// The class of a picture that shows nothing.
const NORMAL: &str = "normal";

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    [LINES]
        .iter()
        .chain(&ARCHIVES)
        .any(|name| files::any_case(&root.join(name)).is_some())
        || table::has_columns(root, REPORTS, &["uid", "findings", "impression"])
        || root.join(XML_FOLDER).is_dir()
        || source::has_xml(root)
}

#[cfg(test)]
mod tests;
