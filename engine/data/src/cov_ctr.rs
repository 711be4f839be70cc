//! COV-CTR (Li et al. 2020): pictures of CT from the literature on COVID-19 with reports in Chinese.
//!
//! ```text
//! reports_ZH_EN.csv      image_id, findings, terminologies, COVID, impression, reports_En; or reports.csv
//! 83%2.jpg               the pictures, beside the table or below images/
//! ```
//!
//! The report is the Chinese one, findings and impression; `COVID` is 1 or 0. As published the pictures are slices of
//! CT, no radiographs, and no patient is named: what stands before a name's "%" is one figure, whose panels share a split.
//! None is published: by that name a fifth tests and a tenth validates.

mod read;
mod write;

pub use read::load;
pub(crate) use write::write;

use std::path::Path;

use super::table;
use hilum_text::{Certainty, Finding, Labels};

const TABLE: &str = "reports_ZH_EN.csv";
/// As others rename it.
const RENAMED: &str = "reports.csv";

/// The one class, as the label set of COVID-19 spells it.
const COVID: &str = "COVID-19";

/// What was looked for.
const JUDGED: [&str; 1] = [COVID];

/// Percent of the figures that validate and that test.
const SHARES: (u64, u64) = (10, 20);

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    table::find(root, TABLE).is_some() || table::has_columns(root, RENAMED, &["image_id", "findings"])
}

/// COVID-19 is a pneumonia; of CheXpert's other categories nothing is known.
fn to_chexpert(covid: bool) -> Labels {
    let mut labels: Labels = [None; 14];
    if covid {
        labels[Finding::Pneumonia as usize] = Some(Certainty::Positive);
    }
    labels
}

/// The figure that a picture is a panel of.
fn figure(image: &str) -> &str {
    match image.split_once('%') {
        Some((figure, _)) if !figure.is_empty() => figure,
        _ => super::files::stem(image),
    }
}

#[cfg(test)]
mod tests;
