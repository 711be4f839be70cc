//! One report of the collection, whichever form it was published in.

/// A report and what belongs to it.
pub(super) struct Entry {
    /// "CXR1".
    pub(super) uid: String,
    pub(super) findings: String,
    pub(super) impression: String,
    /// Names and projections; an unknown projection is empty.
    pub(super) images: Vec<(String, String)>,
    /// Those of NIH's classes, and "normal", that it has; `None` where it is not labelled.
    pub(super) classes: Option<Vec<String>>,
}
