//! What is going to be written: one study of phantoms.

use super::phantom::Description;
use super::study::Split;

/// One study that will be drawn.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) subject: u64,
    pub(crate) study: u64,
    /// The image's name: five groups of eight hexadecimal digits, as MIMIC-CXR's.
    pub(crate) image: String,
    pub(crate) split: Split,
    pub(crate) description: Description,
}
