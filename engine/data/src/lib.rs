//! Data sets: the phantoms of chest and abdomen, and the layouts in which radiograph collections are published, one file each.
//!
//! Every loader gives [`Study`] values, so that what follows does not know where they came from.

pub mod abdomen;
pub mod chexpert;
mod collect;
pub mod cov_ctr;
pub mod covid;
mod delimited;
mod error;
pub mod figures;
mod files;
mod json;
mod kind;
pub mod layout;
mod load;
pub mod mimic_cxr;
pub mod nih14;
pub mod openi;
mod parallel;
pub mod phantom;
mod plan;
pub mod r2gen;
mod reports;
mod study;
mod summary;
mod table;
#[cfg(not(target_family = "wasm"))]
mod tar;
mod targets;
#[cfg(test)]
mod testing;
mod truth;
pub mod vqa_rad;
pub mod write;

pub use abdomen::write_abdomens;
pub use delimited::{decode, read_words};
pub use error::DataError;
pub use kind::Kind;
pub use layout::{Layout, Loaded, NoSuchLayout, ReadOptions, Views};
pub use load::{load, recognise};
pub use parallel::par_map;
pub use reports::{Reports, read_reports};
pub use study::{Counts, FindingBox, Question, Split, Study};
pub use summary::Summary;
pub use truth::{TRUTH_FILE, Truth, TruthBox};
pub use write::{Body, Format, WriteOptions, write_phantoms};
