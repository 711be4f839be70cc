//! One report of the collection, whichever form it was published in.

use super::xml::join;

/// A report and what belongs to it.
pub(super) struct Entry {
    /// "CXR1".
    pub(super) uid: String,
    pub(super) findings: String,
    pub(super) impression: String,
    /// Names and projections; an unknown projection is empty.
    pub(super) images: Vec<(String, String)>,
    /// Medical Subject Headings, each once.
    pub(super) mesh: Vec<String>,
    /// Those of NIH's classes, and "normal", that it has; `None` where it is not labelled.
    pub(super) classes: Option<Vec<String>>,
}

/// Headings, each once; lines and runs of spaces become single spaces.
pub(super) fn headings(published: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for heading in published.map(|h| join(&h)) {
        if !heading.is_empty() && !all.contains(&heading) {
            all.push(heading);
        }
    }
    all
}
