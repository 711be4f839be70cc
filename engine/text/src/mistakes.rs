//! Simulated errors of a report, for training and measuring what detects them: those of Medical X-VL (Park et al. 2022, "Clinical
//! application for human error detection"), and others that radiologists make.
//!
//! The paper swaps left and right, and takes another patient's report. Beside the first stand a finding put in, one left out,
//! a severity turned round and a device that ends in the wrong place. Every mistake is one of the patient, not of the prose: where
//! a report says a thing twice, both places are changed, and what would contradict the change goes.

mod device;
mod inserted;
mod left_out;
mod prose;
mod severity;
mod sides;
mod table;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Labeler;

pub use sides::swap_one_side;

/// A kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mistake {
    /// Every left is a right and every right a left.
    SideSwap,
    /// A finding is stated that the report does not state.
    Inserted,
    /// A finding is not stated.
    LeftOut,
    /// A finding is small where it was large, or the other way round.
    Severity,
    /// A tube, line or lead ends in the wrong place.
    Device,
}

impl Mistake {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::SideSwap,
        Self::Inserted,
        Self::LeftOut,
        Self::Severity,
        Self::Device,
    ];

    /// As files name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SideSwap => "side_swap",
            Self::Inserted => "inserted",
            Self::LeftOut => "left_out",
            Self::Severity => "severity",
            Self::Device => "device",
        }
    }

    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SideSwap => "left and right swapped",
            Self::Inserted => "finding put in",
            Self::LeftOut => "finding left out",
            Self::Severity => "severity turned round",
            Self::Device => "device misplaced",
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A report with a mistake in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistaken {
    /// The report.
    pub text: String,
    /// The bytes of `text` that were changed, in order, with the spaces that came or went; empty where words were left out.
    pub spans: Vec<Range<usize>>,
    /// What stood in each span; empty where words were put in.
    pub original: Vec<String>,
}

impl Mistaken {
    /// The report before the mistake.
    pub fn undone(&self) -> String {
        let (mut out, mut at) = (String::with_capacity(self.text.len()), 0);
        for (span, original) in self.spans.iter().zip(&self.original) {
            out.push_str(&self.text[at..span.start]);
            out.push_str(original);
            at = span.end;
        }
        out.push_str(&self.text[at..]);
        out
    }
}

/// Makes a mistake in a report: its text, with headings or without. `pick(n)` gives a number below `n`, the caller's chance; n is
/// never 0, and the same picks make the same mistake.
///
/// `None` where the report offers nothing to change.
///
/// - [`Mistake::SideSwap`] turns every whole word "left" into "right" and back, "left-sided" too, and in any case of letters; not
///   where the word is no side ("right now"). See [`swap_one_side`] for a harder one.
/// - [`Mistake::Inserted`] states a finding that the report does not state and does not suspect. A sentence that denies it gives
///   way, and what else that sentence denied stays denied.
/// - [`Mistake::LeftOut`] removes the sentences that state a finding, whatever else they say, and those that suspect it. A numbered
///   list is numbered anew, which counts among the spans.
/// - [`Mistake::Severity`] turns how large or how severe a finding is into the opposite, wherever the report says it of that finding.
/// - [`Mistake::Device`] has a tube, line or lead end where it should not.
pub fn make(
    mistake: Mistake,
    report: &str,
    labeler: &Labeler,
    pick: &mut dyn FnMut(usize) -> usize,
) -> Option<Mistaken> {
    match mistake {
        Mistake::SideSwap => sides::swap_all(report),
        Mistake::Inserted => inserted::make(report, labeler, pick),
        Mistake::LeftOut => left_out::make(report, labeler, pick),
        Mistake::Severity => severity::make(report, labeler, pick),
        Mistake::Device => device::make(report, pick),
    }
}

/// [`Mistake::SideSwap`] by itself; `None` where the report names no side.
pub fn swap_sides(report: &str) -> Option<Mistaken> {
    sides::swap_all(report)
}

/// The sentences of a report, in bytes: from the first sign to the stop, its number or heading included.
pub fn sentences(report: &str) -> Vec<Range<usize>> {
    let sentences = prose::Prose::read(report).sentences;
    sentences.into_iter().map(|sentence| sentence.span).collect()
}

/// Bytes of a report, and what takes their place.
type Edit = (Range<usize>, String);

/// Makes the edits, which may be in any order; of two that overlap the first is made. `None` where nothing changes.
fn apply(report: &str, mut edits: Vec<Edit>) -> Option<Mistaken> {
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    let mut made = Mistaken {
        text: String::with_capacity(report.len()),
        spans: Vec::new(),
        original: Vec::new(),
    };
    let mut at = 0;
    for (span, with) in edits {
        let original = report.get(span.clone()).unwrap_or_default();
        if span.start < at || original == with {
            continue;
        }
        made.text.push_str(&report[at..span.start]);
        let start = made.text.len();
        made.text.push_str(&with);
        made.spans.push(start..made.text.len());
        made.original.push(original.to_owned());
        at = span.end;
    }
    made.text.push_str(&report[at..]);
    (!made.spans.is_empty()).then_some(made)
}

/// One of some things, by the caller's chance; `None` of none.
fn choose<'a, T>(of: &'a [T], pick: &mut dyn FnMut(usize) -> usize) -> Option<&'a T> {
    match of.len() {
        0 => None,
        n => of.get(pick(n).min(n - 1)),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod real;

#[cfg(test)]
pub(crate) use real::reports as real_reports;
