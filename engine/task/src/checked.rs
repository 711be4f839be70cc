//! A report that was checked against a radiograph.

use serde::{Deserialize, Serialize};

/// What a model finds of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The probability that report and radiograph belong together.
    pub matching: f32,
    /// The same with every side of the report exchanged, left for right; `None` where it names none.
    pub exchanged: Option<f32>,
    /// Its words that were weighed, in their order.
    pub words: Vec<CheckedWord>,
    /// Words behind these that the model does not read, since the text is too long for it.
    pub unread: usize,
}

/// A word, hidden from the model and predicted from the radiograph and all other words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedWord {
    /// Where it begins in the report, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// As it is written.
    pub written: String,
    /// Its probability.
    pub probability: f32,
    /// The likeliest word in its place; for a side, the likeliest side.
    pub likeliest: String,
    /// The probability of that.
    pub likeliest_probability: f32,
    /// Whether it tells a side.
    pub side: bool,
}

impl CheckedWord {
    /// How much likelier another word is in its place, as a logarithm; 0 where it is the likeliest itself.
    pub fn doubt(&self) -> f32 {
        let least = f32::MIN_POSITIVE;
        (self.likeliest_probability.max(least).ln() - self.probability.max(least).ln()).max(0.0)
    }
}
