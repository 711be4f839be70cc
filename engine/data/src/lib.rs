//! Data sets: the phantom, and the layouts in which radiograph collections are published, one file each.
//!
//! Every loader gives [`Study`] values, so that what follows does not know where they came from.

pub mod chexpert;
pub mod covid;
mod error;
mod gather;
mod json;
pub mod layout;
pub mod mimic_cxr;
pub mod nih14;
pub mod openi;
mod parallel;
pub mod phantom;
mod study;
mod summary;
mod table;
mod tar;
mod targets;
#[cfg(test)]
mod testing;
mod truth;
pub mod vqa_rad;
pub mod write;

pub use error::DataError;
pub use layout::{Layout, Loaded, ReadOptions, Views, load, recognise};
pub use parallel::par_map;
pub use study::{Counts, Question, Split, Study};
pub use summary::Summary;
pub use truth::{TRUTH_FILE, Truth, TruthBox};
pub use write::{Format, WriteOptions, write_phantoms};
