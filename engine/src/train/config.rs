//! What a run is made of, read from TOML; an unknown key, a wrong type or a value that cannot be is refused
//! with its line before anything starts.

mod check;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use check::located;

use super::error::{TrainError, io};
use super::schedule::Decay;
use crate::data::Views;
use crate::systems::train::Weights;
use crate::systems::{ConfigError, SystemConfig, Task};

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
    /// Any, lateral ones too, as in Clinical-BERT.
    All,
}

impl From<ViewChoice> for Views {
    fn from(choice: ViewChoice) -> Self {
        match choice {
            ViewChoice::Frontal => Self::Frontal,
            ViewChoice::Ap => Self::Ap,
            ViewChoice::Pa => Self::Pa,
            ViewChoice::All => Self::All,
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
    /// Every image of a study that has several, not only its first.
    #[serde(default)]
    pub every_image: bool,
    /// Train on so many studies at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Validate on so many studies at most.
    #[serde(default = "validate_limit")]
    pub validate_limit: usize,
    /// Vary images: `true` for a small shift and contrast, or what is wanted of each. Left stays left unless `flip` says
    /// otherwise.
    #[serde(default)]
    pub augment: AugmentChoice,
    /// Train on the validation split too, when what is to be chosen has been chosen; nothing is validated
    /// then.
    #[serde(default)]
    pub all: bool,
    /// Learn to write a phantom's report in one wording and one order instead of the many that it is dictated
    /// in, so that each word hangs on what is seen; other objectives read the report as it was.
    #[serde(default, alias = "plain")]
    pub canonical_report: bool,
    /// So many copies of each report with a simulated mistake in them, each of another kind as far as the report has room for it: reports
    /// that do not match their own image, for objectives that take such.
    #[serde(default)]
    pub mistakes: usize,
    /// Questions that are asked of a picture at once, drawn anew each time it is shown.
    #[serde(default = "questions")]
    pub questions: usize,
    /// A folder that keeps decoded pictures for the next run, and what a frozen image encoder makes of them.
    /// Without it they are kept in memory for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// A list of Medical Subject Headings, one a line, beside those that the data sets publish of their reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<PathBuf>,
    /// Make a vocabulary of this run's reports where `init` has one already: what words share is taken over, the rest is drawn.
    #[serde(default)]
    pub own_words: bool,
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

/// How images are varied, each time they are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Shift by up to this share of the side, in each direction.
    pub shift: f32,
    /// Stretch contrast about the middle by up to this share.
    pub contrast: f32,
    /// Add up to this much of the range.
    pub brightness: f32,
    /// Show a square of this share of the image's area, from least to most, at full size; `[1, 1]` for all of it, above 1
    /// for black around it.
    pub crop: [f32; 2],
    /// Turn by up to so many degrees, either way.
    pub rotation: f32,
    /// Flip left and right in half of the cases: never where a side is learned.
    pub flip: bool,
}

impl Default for Augment {
    /// A small shift and contrast.
    fn default() -> Self {
        Self {
            shift: 1.0 / 28.0,
            contrast: 0.15,
            brightness: 0.08,
            crop: [1.0, 1.0],
            rotation: 0.0,
            flip: false,
        }
    }
}

/// Whether and how images are varied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AugmentChoice {
    /// Not, or by the default.
    Switch(bool),
    /// So.
    Own(Augment),
}

impl Default for AugmentChoice {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl AugmentChoice {
    /// How images are varied; `None` where they are not.
    pub fn get(self) -> Option<Augment> {
        match self {
            Self::Switch(on) => on.then(Augment::default),
            Self::Own(augment) => Some(augment),
        }
    }
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
    /// Peak learning rate.
    #[serde(alias = "rate")]
    pub lr: f64,
    /// Learning rate of the image encoder; the same where it is not given, 0 freezes it.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "image_rate")]
    pub backbone_lr: Option<f64>,
    /// Learning rate of the heads; the same where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "head_rate")]
    pub head_lr: Option<f64>,
    /// Parts of the model that do not learn, by the first word of their parameters' names, such as `image`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
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
    /// How the learning rate decays after warm-up: cosine, linear, poly or constant.
    #[serde(default)]
    pub schedule: Decay,
    /// Share of the steps that warm up.
    #[serde(default = "warmup")]
    pub warmup: f64,
    /// The learning rate ends at this share of its peak.
    #[serde(default = "min_lr", alias = "floor")]
    pub min_lr: f64,
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

fn min_lr() -> f64 {
    0.01
}

fn power() -> f64 {
    0.9
}

/// Which checkpoint is kept beside the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// A value of `metrics.jsonl`, such as `validation_report` or `validation_vqa_accuracy`.
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
    /// Tasks that are scored on the held-out studies at each checkpoint, as `hilum evaluate` scores them; those of the
    /// objectives but drafts, which take long, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Vec<Task>>,
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

    /// The model's config: the preset's with `model` laid over it.
    ///
    /// # Errors
    /// An unknown preset, or a key of `model` that the system does not have or that has a wrong type.
    pub fn model_config<C: SystemConfig>(&self) -> Result<C, Fault> {
        let unknown = || format!("{:?} is not one of: {}", self.preset, C::PRESETS.join(", "));
        let preset = C::preset(&self.preset).ok_or_else(|| (Cow::from("preset"), unknown()))?;
        let wrong = |e: serde_json::Error| (Cow::from("model"), e.to_string());
        let mut config = serde_json::to_value(preset).map_err(wrong)?;
        lay_over(&mut config, serde_json::to_value(&self.model).map_err(wrong)?);
        let config: C = serde_json::from_value(config).map_err(wrong)?;
        config
            .validate()
            .map_err(|ConfigError { key, must }| (format!("model.{key}").into(), format!("must {must}")))?;
        Ok(config)
    }

    /// Whether an objective has a weight.
    pub fn on(&self, objective: &str) -> bool {
        self.objectives.get(objective).is_some_and(|w| *w > 0.0)
    }

    /// The weights of step `step`'s objectives; `draw` in [0, 1) chooses the mix.
    pub fn weights(&self, draw: f64) -> Weights {
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
        Weights(weights)
    }
}

/// Puts the entries of `own` in the place of those of `base`, table by table.
pub(super) fn lay_over(base: &mut serde_json::Value, own: serde_json::Value) {
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
