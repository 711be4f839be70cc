//! What a run is made of, read from TOML; an unknown key, a wrong type or a value that cannot be is refused
//! with its line before anything starts.

mod check;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use check::located;

use super::error::{TrainError, io};
use super::schedule::Fall;
use crate::data::Views;
use crate::systems::learn::{Sizes, SizesError};

/// Which projections are learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ViewChoice {
    /// AP and PA.
    #[default]
    Frontal,
    /// AP alone, as in MedViLL.
    Ap,
    /// PA alone.
    Pa,
}

impl From<ViewChoice> for Views {
    fn from(choice: ViewChoice) -> Self {
        match choice {
            ViewChoice::Frontal => Self::Frontal,
            ViewChoice::Ap => Self::Ap,
            ViewChoice::Pa => Self::Pa,
        }
    }
}

/// Where examples come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folders of data sets in their published layout.
    pub roots: Vec<PathBuf>,
    /// Their layout; recognised by their files where it is not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Projections.
    #[serde(default)]
    pub views: ViewChoice,
    /// Train on so many studies at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Validate on so many studies at most.
    #[serde(default = "validate_limit")]
    pub validate_limit: usize,
    /// Shift pictures by a few pixels and vary their contrast, never flip them: left stays left.
    #[serde(default)]
    pub augment: bool,
    /// Say questions in other words: their like, words of little weight dropped, now and then another order.
    #[serde(default)]
    pub vary_questions: bool,
    /// Train on the validation split too, when what is to be chosen has been chosen; nothing is validated
    /// then.
    #[serde(default)]
    pub all: bool,
    /// Learn to write a phantom's report in one wording and one order instead of the many that it is dictated
    /// in, so that each word hangs on what is seen; other objectives read the report as it was.
    #[serde(default)]
    pub plain: bool,
    /// Make an example of each question instead of each study.
    #[serde(default)]
    pub by_question: bool,
    /// Questions that are asked of a picture at once, drawn anew each time it is shown.
    #[serde(default = "questions")]
    pub questions: usize,
    /// A folder that keeps decoded pictures for the next run, and what a frozen image encoder makes of them.
    /// Without it they are kept in memory for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Reports of further data sets from whose words the tokenizer is made, too.
    #[serde(default)]
    pub more_words: Vec<PathBuf>,
}

fn questions() -> usize {
    1
}

fn validate_limit() -> usize {
    256
}

/// A set of objectives that some of the steps learn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// In this share of the steps, beside the shares of the other mixes.
    pub share: f64,
    /// These objectives.
    pub of: Vec<String>,
}

/// The rule that moves weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// AdamW (Loshchilov and Hutter 2019).
    #[default]
    AdamW,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// How weights move.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimConfig {
    /// The rule.
    #[serde(default)]
    pub method: Method,
    /// Peak rate.
    pub rate: f64,
    /// Rate of the image encoder; the same where it is not given, 0 freezes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_rate: Option<f64>,
    /// Rate of the heads; the same where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_rate: Option<f64>,
    /// Each transformer layer has the rate of the one above it times this.
    #[serde(default = "one")]
    pub layer_decay: f64,
    /// Weight decay, on matrices and kernels, not on norms and biases; decoupled for AdamW.
    #[serde(default)]
    pub weight_decay: f64,
    /// AdamW's decays of its moments.
    #[serde(default = "betas")]
    pub betas: [f64; 2],
    /// SGD's momentum.
    #[serde(default = "momentum")]
    pub momentum: f64,
    /// How the rate falls after its rise: cosine, linear, poly or constant.
    #[serde(default)]
    pub schedule: Fall,
    /// Share of the steps in which the rate rises.
    #[serde(default = "warmup")]
    pub warmup: f64,
    /// The rate ends at this share of its peak.
    #[serde(default = "floor")]
    pub floor: f64,
    /// Exponent of the schedule `poly`.
    #[serde(default = "power")]
    pub power: f64,
    /// Largest global norm of the gradients.
    #[serde(default = "one")]
    pub clip: f64,
    /// Keep an average of the weights: each step it takes 1 - ema of the new ones. 0 for none.
    #[serde(default)]
    pub ema: f64,
    /// Examples a step.
    pub batch: usize,
    /// A step's batch goes through the network in so many parts, one after another.
    #[serde(default = "single")]
    pub accumulate: usize,
    /// Steps in all.
    pub steps: usize,
}

fn one() -> f64 {
    1.0
}

fn single() -> usize {
    1
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn momentum() -> f64 {
    0.9
}

fn warmup() -> f64 {
    0.05
}

fn floor() -> f64 {
    0.01
}

fn power() -> f64 {
    0.9
}

/// Which checkpoint is kept beside the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// A value of `metrics.jsonl`, such as `validation_report` or `validation_accuracy`.
    pub key: String,
    /// Whether more is better.
    #[serde(default)]
    pub higher: bool,
}

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The system.
    pub system: String,
    /// The preset.
    pub preset: String,
    /// The run's folder.
    pub out: PathBuf,
    /// A run or a bundle to begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Take only the parameters under these names from `init` and draw the rest; all of them where it is
    /// empty.
    #[serde(default)]
    pub init_only: Vec<String>,
    /// Seed of weights, order, masks and dropout.
    #[serde(default)]
    pub seed: u64,
    /// Steps between checkpoints.
    #[serde(default = "checkpoint_every")]
    pub checkpoint_every: usize,
    /// Keep the checkpoint that is best by a value of validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Sizes and switches that differ from the preset's.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub model: toml::Table,
    /// Examples.
    pub data: DataConfig,
    /// Weights of the losses, by the name of the objective; what is not named is not computed.
    pub objectives: BTreeMap<String, f64>,
    /// Steps that learn from some of the objectives only; without, each step learns from all of them.
    #[serde(default)]
    pub mix: Vec<Mix>,
    /// Optimiser.
    pub optim: OptimConfig,
}

fn checkpoint_every() -> usize {
    250
}

/// What is wrong: a dotted key, and the rest of a sentence.
pub type Fault = (Cow<'static, str>, String);

impl RunConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the key and the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(io("reading", path))?;
        let refuse = |reason: String| TrainError::Config {
            path: path.to_owned(),
            reason,
        };
        let config: Self = toml::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        config
            .check()
            .map_err(|(key, reason)| refuse(located(&text, &key, &reason)))?;
        Ok(config)
    }

    /// The model's sizes: the preset's with `model` laid over it.
    ///
    /// # Errors
    /// An unknown preset, or a key of `model` that the system does not have or that has a wrong type.
    pub fn sizes<C: Sizes>(&self) -> Result<C, Fault> {
        let unknown = || format!("{:?} is not one of: {}", self.preset, C::PRESETS.join(", "));
        let preset = C::preset(&self.preset).ok_or_else(|| (Cow::from("preset"), unknown()))?;
        let wrong = |e: serde_json::Error| (Cow::from("model"), e.to_string());
        let mut sizes = serde_json::to_value(preset).map_err(wrong)?;
        lay_over(&mut sizes, serde_json::to_value(&self.model).map_err(wrong)?);
        let sizes: C = serde_json::from_value(sizes).map_err(wrong)?;
        sizes
            .check()
            .map_err(|SizesError { key, must }| (format!("model.{key}").into(), format!("must {must}")))?;
        Ok(sizes)
    }

    /// The weights of step `step`'s objectives; `draw` in [0, 1) chooses the mix.
    pub fn weights(&self, draw: f64) -> BTreeMap<String, f64> {
        let total: f64 = self.mix.iter().map(|m| m.share).sum();
        let mut left = draw * total;
        let chosen = self.mix.iter().find(|m| {
            left -= m.share;
            left < 0.0
        });
        let mut weights = self.objectives.clone();
        if let Some(mix) = chosen.or(self.mix.last()) {
            weights.retain(|name, _| mix.of.contains(name));
        }
        weights
    }
}

/// Puts the entries of `own` in the place of those of `base`, table by table.
fn lay_over(base: &mut serde_json::Value, own: serde_json::Value) {
    match (base, own) {
        (serde_json::Value::Object(base), serde_json::Value::Object(own)) => {
            for (key, value) in own {
                match base.get_mut(&key) {
                    Some(place) => lay_over(place, value),
                    None => _ = base.insert(key, value),
                }
            }
        }
        (base, own) => *base = own,
    }
}
