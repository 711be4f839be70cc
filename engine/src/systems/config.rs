//! What the config of a system must tell: presets, what cannot run, and what the data of a run settle.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::image::Preprocessing;
use crate::nn::Arrays;
use crate::text::{LabelSet, Sections};

/// What is wrong with a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the config key {key} must {must}")]
pub struct ConfigError {
    /// Which key.
    pub key: &'static str,
    /// What it must be or do.
    pub must: &'static str,
}

impl ConfigError {
    /// The first of some rules that does not hold: a key, whether its rule holds, and what it must be or do.
    ///
    /// # Errors
    /// That rule.
    pub fn first(rules: impl IntoIterator<Item = (&'static str, bool, &'static str)>) -> Result<(), Self> {
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, must)) => Err(Self { key, must }),
            None => Ok(()),
        }
    }
}

/// The first of some obstacles that is there, as [`SystemConfig::validate_objectives`] tells it.
///
/// # Errors
/// That obstacle.
pub fn first_obstacle(obstacles: impl IntoIterator<Item = (bool, &'static str)>) -> Result<(), &'static str> {
    match obstacles.into_iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(what),
        None => Ok(()),
    }
}

/// How a system reads text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSpec {
    /// Tokens of a text at most, the closing SEP apart.
    pub max_tokens: usize,
    /// Tokens of the vocabulary; where the run makes it, at most.
    pub vocabulary: usize,
    /// Words that occur so often make the vocabulary; `None` for word pieces.
    pub occurrences: Option<u64>,
    /// What of a report is read.
    pub sections: Sections,
}

/// The config of a system, as run configs and bundles hold it.
pub trait SystemConfig: Clone + Serialize + DeserializeOwned {
    /// The system's name on the command line, in configs and in bundles.
    const NAME: &'static str;

    /// The names of its presets.
    const PRESETS: &'static [&'static str];

    /// The preset of that name.
    fn preset(name: &str) -> Option<Self>;

    /// Refuses a config that cannot run.
    ///
    /// # Errors
    /// Names the key and what it must be.
    fn validate(&self) -> Result<(), ConfigError>;

    /// Refuses objectives that a model of this config cannot learn.
    ///
    /// # Errors
    /// The rest of a sentence: what an objective needs.
    fn validate_objectives(&self, on: &dyn Fn(&str) -> bool) -> Result<(), &'static str>;

    /// This config with what the data of a run settle.
    ///
    /// # Errors
    /// Names the key that the data do not serve.
    fn with_data(self, data: &DataFacts<'_>) -> Result<Self, ConfigError>;

    /// This config with what a published checkpoint tells of itself, such as its vocabulary.
    fn adapt(self, _checkpoint: &Arrays) -> Self {
        self
    }

    /// This config with other labels than the preset's, for a published checkpoint that has its own.
    fn with_labels(self, _labels: &[String]) -> Self {
        self
    }

    /// How an image becomes its input.
    fn preprocessing(&self) -> &Preprocessing;

    /// How it reads text; `None` for a system of images alone.
    fn text(&self) -> Option<TextSpec>;

    /// The labels that it learns, in the order of its heads.
    fn labels(&self) -> LabelSet;

    /// Answers that its head for questions knows; 0 where the data settle it.
    fn answers(&self) -> usize {
        0
    }
}

/// What the data of a run settle.
pub struct DataFacts<'a> {
    /// Tokens of the tokenizer; 0 where no text is read.
    pub vocabulary: usize,
    /// Tokens of the tokenizer that are whole words for a side (left, right, bilateral, both).
    pub side_tokens: usize,
    /// Tokens of the answers that are known, closing SEP included; empty ones where nothing is read.
    pub answers: &'a [Vec<u32>],
    /// Studies to learn from.
    pub studies: usize,
    /// Studies that go through the model together.
    pub together: usize,
    /// Tokens of the tokenizer that are words of Medical Subject Headings, ascending; `None` where the run goes on with a
    /// vocabulary and no heading is told.
    pub mesh: Option<&'a [u32]>,
    /// Which objectives have a weight.
    pub on: &'a dyn Fn(&str) -> bool,
}
