//! Data sets: the phantom, and the layouts in which radiograph collections are published, one file each.
//!
//! Every loader gives [`Study`] values, so that what follows does not know where they came from.

mod error;
pub mod layout;
pub mod mimic_cxr;
pub mod phantom;
mod study;
mod table;
pub mod write;

pub use error::DataError;
pub use layout::{Layout, Loaded, ReadOptions, Views, load, recognise};
pub use study::{Counts, Question, Split, Study};
pub use write::{Format, WriteOptions, write_phantoms};
