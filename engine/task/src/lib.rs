//! What can be asked of a model: the tasks, one spelling for manifest, command line, protocol, tables and page;
//! one form of request, partial result and result; and the report that is written from findings.

mod checked;
mod looks;
pub mod structured;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use checked::{
    CheckLimits, Checked, CheckedSentence, CheckedWord, Contradiction, Doubt, Mark, Suggestion, odds,
};
pub use looks::{Looked, Word, words};

/// A task that a bundle may offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Write a report of a radiograph.
    Draft,
    /// Say which findings a radiograph shows, with calibrated probabilities.
    Findings,
    /// Answer a question about a radiograph.
    Vqa,
    /// Find the cases of a gallery that match a radiograph or a text.
    Retrieve,
    /// Say what of a report a radiograph speaks against.
    Check,
}

impl Task {
    /// All tasks, in the order in which a page shows them.
    pub const ALL: [Self; 5] = [
        Self::Draft,
        Self::Check,
        Self::Findings,
        Self::Retrieve,
        Self::Vqa,
    ];

    /// As it is spelled everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Findings => "findings",
            Self::Vqa => "vqa",
            Self::Retrieve => "retrieve",
            Self::Check => "check",
        }
    }

    /// The names of some tasks, joined by commas.
    pub fn list(tasks: &[Self]) -> String {
        tasks
            .iter()
            .map(|task| task.name())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || format!("{text:?} is not a task; the tasks are {}", Self::list(&Self::ALL));
        Self::ALL
            .into_iter()
            .find(|task| task.name() == text)
            .ok_or_else(known)
    }
}

impl Serialize for Task {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What is asked of a model about the radiograph at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskRequest {
    /// Write its report.
    Draft,
    /// Say where the tokens of a draft of it looked.
    Looks {
        /// Their ids, as [`Piece::id`] gives them.
        tokens: Vec<u32>,
    },
    /// Read its findings.
    Findings,
    /// Answer a question about it.
    Vqa {
        /// The question.
        question: String,
    },
    /// Search the bundle's gallery.
    Retrieve {
        /// A report or part of one; without it, the radiograph is what is searched for.
        text: Option<String>,
    },
    /// Check a report of it.
    Check {
        /// The report.
        text: String,
    },
}

impl TaskRequest {
    /// The task that serves it.
    pub const fn task(&self) -> Task {
        match self {
            Self::Draft | Self::Looks { .. } => Task::Draft,
            Self::Findings => Task::Findings,
            Self::Vqa { .. } => Task::Vqa,
            Self::Retrieve { .. } => Task::Retrieve,
            Self::Check { .. } => Task::Check,
        }
    }
}

/// What there is of a result before it is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Partial {
    /// The next words of a draft.
    Text(String),
    /// Bytes of the gallery that have arrived, of how many.
    Loading(u64, u64),
    /// Cases that have been compared, of how many.
    Comparing(u64, u64),
    /// Words of a report that have been weighed, of how many.
    Weighing(u64, u64),
}

/// How unlike what the model was trained on a picture is, as a multiple of what 99 in 100 pictures of its own validation set stay
/// within.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unlikeness(pub f64);

impl Unlikeness {
    /// Whether what the model says of the picture is not to be believed.
    pub fn is_foreign(self) -> bool {
        self.0 > 1.0
    }
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskResult {
    /// The report.
    Draft(Drafted),
    /// Where a draft's tokens looked; nothing where the model cannot tell.
    Looks(Option<Looked>),
    /// All labels, most probable first.
    Findings(Vec<Reading>),
    /// Answers, most probable first.
    Vqa(Vec<Answer>),
    /// The best matches of the gallery.
    Retrieve(Found),
    /// What was found of a report.
    Check(Box<Checked>),
    /// It was cancelled before there was a result.
    Cancelled,
}

/// One token of a draft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Its number in the vocabulary.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// Its probability, given the radiograph and the tokens before it.
    pub probability: f32,
    /// Its log-probability minus that of the runner-up.
    pub margin: f32,
}

/// A draft that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drafted {
    /// The whole text.
    pub text: String,
    /// Its tokens.
    pub pieces: Vec<Piece>,
    /// Whether the model ended it, rather than the limit or the reader.
    pub finished: bool,
    /// Whether the reader stopped it.
    pub stopped: bool,
    /// Milliseconds to encode the radiograph; 0 where it was encoded before.
    pub encode_ms: f64,
    /// Milliseconds to the first token, encoding included.
    pub first_ms: f64,
    /// Tokens a second.
    pub pieces_per_s: f64,
}

/// How well a model told a label on test data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// The area under the ROC curve.
    pub auroc: f64,
    /// The lower end of its 95% interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Cases that show the label.
    pub positives: usize,
}

impl Area {
    /// Whether it cannot be told from chance.
    pub fn is_chance(self) -> bool {
        // What is no number tells nothing, too.
        self.low.is_nan() || self.low <= 0.5
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { auroc, low, high, .. } = self;
        write!(f, "AUC {auroc:.2} ({low:.2} to {high:.2})")?;
        if self.is_chance() {
            f.write_str(", no better than chance")?;
        }
        Ok(())
    }
}

/// One finding, read from a radiograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The label's name.
    pub name: String,
    /// Its calibrated probability.
    pub probability: f64,
    /// The probability from which it counts as present.
    pub operating_point: f64,
    /// Whether it counts as present.
    pub present: bool,
    /// On which side, for a present finding of a model that tells sides.
    pub side: Option<String>,
    /// How well the model told it on test data, where its bundle says so.
    pub area: Option<Area>,
}

/// An answer with its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The answer.
    pub text: String,
    /// Its probability.
    pub probability: f32,
}

/// How near a case is to what was searched for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closeness {
    /// The probability that radiograph and report belong together.
    Probability(f32),
    /// The correlation of what a model sees in two radiographs, -1 to 1, over what the gallery's cases have in common.
    Similarity(f32),
}

impl Closeness {
    /// "probability" or "similarity".
    pub fn name(self) -> &'static str {
        match self {
            Self::Probability(_) => "probability",
            Self::Similarity(_) => "similarity",
        }
    }

    /// The number.
    pub fn value(self) -> f32 {
        match self {
            Self::Probability(value) | Self::Similarity(value) => value,
        }
    }
}

/// A case of the gallery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its name in its collection.
    pub id: String,
    /// How near it is.
    pub closeness: Closeness,
    /// The findings that it shows.
    pub labels: Vec<String>,
    /// Its report; empty where none is published.
    pub report: String,
    /// Its thumbnail, [`Found::side`] pixels a side, one byte each; empty where there is none.
    #[serde(with = "serde_bytes")]
    pub thumbnail: Vec<u8>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Where the cases come from.
    pub source: String,
    /// How many were searched.
    pub searched: usize,
    /// Pixels a side of their thumbnails.
    pub side: usize,
    /// The best matches, best first.
    pub cases: Vec<Case>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_one_spelling() {
        for task in Task::ALL {
            assert_eq!(task.name().parse(), Ok(task));
        }
        let error = "drafting".parse::<Task>().expect_err("it is not one");
        assert!(
            error.contains("drafting") && error.contains("draft, check, findings"),
            "{error}"
        );
    }
}
