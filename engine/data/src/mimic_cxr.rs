//! MIMIC-CXR-JPG 2.0.0 (Johnson et al. 2019) with the report files of MIMIC-CXR, as published on PhysioNet.
//!
//! ```text
//! files/p10/p10000032/s50414267/<dicom_id>.jpg      also .png, or .dcm as in MIMIC-CXR
//! files/p10/p10000032/s50414267.txt                 or below mimic-cxr-reports/
//! mimic-cxr-2.0.0-split.csv                         each table plain or as .csv.gz
//! mimic-cxr-2.0.0-metadata.csv
//! mimic-cxr-2.0.0-chexpert.csv
//! mimic-cxr-2.0.0-negbio.csv
//! phantom.jsonl                                     of phantoms only: what each shows in truth
//! ```

mod read;
mod write;

pub use read::load;
pub(crate) use write::write;

use std::path::{Path, PathBuf};

use super::table;
use hilum_text::Finding;

const SPLIT: &str = "mimic-cxr-2.0.0-split.csv";
const METADATA: &str = "mimic-cxr-2.0.0-metadata.csv";
const CHEXPERT: &str = "mimic-cxr-2.0.0-chexpert.csv";
const NEGBIO: &str = "mimic-cxr-2.0.0-negbio.csv";

/// The label columns in the published order, which is alphabetical.
const COLUMNS: [Finding; 14] = [
    Finding::Atelectasis,
    Finding::Cardiomegaly,
    Finding::Consolidation,
    Finding::Edema,
    Finding::EnlargedCardiomediastinum,
    Finding::Fracture,
    Finding::LungLesion,
    Finding::LungOpacity,
    Finding::NoFinding,
    Finding::PleuralEffusion,
    Finding::PleuralOther,
    Finding::Pneumonia,
    Finding::Pneumothorax,
    Finding::SupportDevices,
];

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    table::find(root, SPLIT).is_some() && table::find(root, METADATA).is_some()
}

/// `files/p10/p10000032`, from the root; the group is the number's first two digits.
fn subject_folder(subject: &str) -> PathBuf {
    let group: String = subject.chars().take(2).collect();
    PathBuf::from("files")
        .join(format!("p{group}"))
        .join(format!("p{subject}"))
}

/// `files/p10/p10000032/s50414267`, from the root.
fn study_folder(subject: &str, study: &str) -> PathBuf {
    subject_folder(subject).join(format!("s{study}"))
}

/// `files/p10/p10000032/s50414267.txt`, from the root.
fn report_file(subject: &str, study: &str) -> PathBuf {
    subject_folder(subject).join(format!("s{study}.txt"))
}

#[cfg(test)]
mod tests;
