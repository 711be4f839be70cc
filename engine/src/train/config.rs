//! What a run is made of, read from TOML; an unknown key, a wrong type or a value that cannot be is refused with its line
//! before anything starts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{TrainError, io};
use super::schedule::Fall;
use crate::data::{Layout, Views};
use crate::systems::learn::Learner;
use crate::systems::medvill::{self, MedVill, MedVillConfig, MedVillError};

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
    /// Train on the validation split too, when what is to be chosen has been chosen.
    #[serde(default)]
    pub all: bool,
    /// Make an example of each question instead of each study.
    #[serde(default)]
    pub by_question: bool,
    /// A folder that keeps decoded pictures for the next run. Without it they are kept in memory for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Reports of further data sets from whose words the tokenizer is made, too.
    #[serde(default)]
    pub more_words: Vec<PathBuf>,
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
    /// Take only the parameters under these names from `init` and draw the rest; all of them where it is empty.
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
        let refuse = |reason: String| TrainError::Config { path: path.to_owned(), reason };
        let config: Self = toml::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        config.check().map_err(|(key, reason)| refuse(located(&text, &key, &reason)))?;
        Ok(config)
    }

    /// The model's sizes: the preset's with `model` laid over it.
    ///
    /// # Errors
    /// Names the key of `model` that the system does not have or that has a wrong type.
    pub fn sizes(&self) -> Result<MedVillConfig, Fault> {
        let preset = MedVillConfig::preset(&self.preset).unwrap_or_else(MedVillConfig::demo);
        let wrong = |e: serde_json::Error| (Cow::from("model"), e.to_string());
        let mut sizes = serde_json::to_value(preset).map_err(wrong)?;
        lay_over(&mut sizes, serde_json::to_value(&self.model).map_err(wrong)?);
        let sizes: MedVillConfig = serde_json::from_value(sizes).map_err(wrong)?;
        sizes
            .check()
            .map_err(|MedVillError::Config { key, must }| (format!("model.{key}").into(), format!("must {must}")))?;
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

    fn check(&self) -> Result<(), Fault> {
        let fail = |key: &'static str, reason: String| Err((Cow::from(key), reason));
        if self.system != medvill::NAME {
            return fail("system", format!("{:?} is not one of: {}", self.system, medvill::NAME));
        }
        let presets = medvill::PRESETS;
        if !presets.contains(&self.preset.as_str()) {
            return fail("preset", format!("{:?} is not one of: {}", self.preset, presets.join(", ")));
        }
        if self.checkpoint_every == 0 {
            return fail("checkpoint_every", "must be at least 1".to_owned());
        }
        if self.init.is_none() && !self.init_only.is_empty() {
            return fail("init_only", "needs init".to_owned());
        }
        if let Some(init) = self.init.as_ref().filter(|init| !init.is_dir()) {
            return fail("init", format!("{:?} is not a folder", init.display().to_string()));
        }
        let sizes = self.sizes()?;
        self.check_optim()?;
        self.check_objectives(&sizes)?;
        self.check_data()
    }

    fn check_optim(&self) -> Result<(), Fault> {
        let o = &self.optim;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let none_or_more = |v: f64| v >= 0.0 && v.is_finite();
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let below_one = |v: f64| (0.0..1.0).contains(&v);
        let rules: [(&'static str, bool, String); 15] = [
            ("optim.rate", positive(o.rate), format!("{} must be greater than 0", o.rate)),
            ("optim.image_rate", none_or_more(o.image_rate.unwrap_or(0.0)), "must be 0 or more".to_owned()),
            ("optim.head_rate", none_or_more(o.head_rate.unwrap_or(0.0)), "must be 0 or more".to_owned()),
            ("optim.layer_decay", positive(o.layer_decay) && o.layer_decay <= 1.0, "must be in (0, 1]".to_owned()),
            ("optim.weight_decay", none_or_more(o.weight_decay), format!("{} must be 0 or more", o.weight_decay)),
            ("optim.betas", o.betas.into_iter().all(below_one), "must be two numbers in [0, 1)".to_owned()),
            ("optim.momentum", below_one(o.momentum), "must be in [0, 1)".to_owned()),
            ("optim.warmup", share(o.warmup), format!("{} must be a share of the steps, 0 to 1", o.warmup)),
            ("optim.floor", share(o.floor), format!("{} must be a share of the peak, 0 to 1", o.floor)),
            ("optim.power", positive(o.power), "must be greater than 0".to_owned()),
            ("optim.clip", positive(o.clip), format!("{} must be greater than 0", o.clip)),
            ("optim.ema", below_one(o.ema), "must be in [0, 1)".to_owned()),
            ("optim.batch", (1..=65_536).contains(&o.batch), format!("{} must be 1 to 65536", o.batch)),
            (
                "optim.accumulate",
                (1..=o.batch).contains(&o.accumulate),
                format!("{} must be 1 to the batch, {}", o.accumulate, o.batch),
            ),
            ("optim.steps", o.steps > 0, "must be at least 1".to_owned()),
        ];
        match rules.into_iter().find(|rule| !rule.1) {
            Some((key, _, reason)) => Err((key.into(), reason)),
            None => Ok(()),
        }
    }

    fn check_objectives(&self, sizes: &MedVillConfig) -> Result<(), Fault> {
        let fail = |key: &'static str, reason: String| Err((Cow::from(key), reason));
        let known = MedVill::OBJECTIVES;
        if let Some(name) = self.objectives.keys().find(|name| !known.contains(&name.as_str())) {
            return fail("objectives", format!("{name:?} is not one of: {}", known.join(", ")));
        }
        if let Some((name, weight)) = self.objectives.iter().find(|(_, w)| !(**w >= 0.0 && w.is_finite())) {
            return fail("objectives", format!("{name} = {weight} must be 0 or more"));
        }
        let on = |name: &str| self.objectives.get(name).is_some_and(|w| *w > 0.0);
        if !known.iter().any(|name| on(name)) {
            return fail("objectives", "must name one at least, with a weight greater than 0".to_owned());
        }
        if on("sides") && !on("report") {
            return fail("objectives", "sides needs report, whose words it is about".to_owned());
        }
        if on("findings") && !sizes.map_findings {
            return fail("objectives", "findings needs model.map_findings = true".to_owned());
        }
        if (on("diagnosis") || on("diagnosis_image")) && !sizes.diagnosis {
            return fail("objectives", "diagnosis needs model.diagnosis = true".to_owned());
        }
        if on("identity") && sizes.picture_vector == 0 {
            return fail("objectives", "identity needs model.picture_vector".to_owned());
        }
        if sizes.towers && (on("mlm") || on("itm") || on("report")) {
            return fail(
                "objectives",
                "a model with towers has no joint reading to pre-train or to draft with".to_owned(),
            );
        }
        for mix in &self.mix {
            if !(mix.share > 0.0 && mix.share.is_finite()) {
                return fail("mix.share", format!("{} must be greater than 0", mix.share));
            }
            if let Some(name) = mix.of.iter().find(|name| !on(name)) {
                return fail("mix.of", format!("{name:?} is none of the objectives with a weight"));
            }
            if mix.of.is_empty() {
                return fail("mix.of", "must name an objective".to_owned());
            }
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), Fault> {
        let fail = |key: &'static str, reason: String| Err((Cow::from(key), reason));
        let data = &self.data;
        if data.limit == Some(0) {
            return fail("data.limit", "must be at least 1".to_owned());
        }
        if let Some(layout) = &data.layout {
            layout.parse::<Layout>().map_err(|e| (Cow::from("data.layout"), e.to_string()))?;
        }
        if data.roots.is_empty() {
            return fail("data.roots", "must name at least one folder".to_owned());
        }
        for (key, roots) in [("data.roots", &data.roots), ("data.more_words", &data.more_words)] {
            if let Some(root) = roots.iter().find(|root| !root.is_dir()) {
                return fail(key, format!("\"{}\" is not a folder", root.display()));
            }
        }
        Ok(())
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

/// The sentence of a fault with the line at which the key, or else its table, stands.
fn located(text: &str, key: &str, reason: &str) -> String {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut inside = String::new();
    let mut table_line = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line.trim_matches(|c| c == '[' || c == ']').trim().to_owned();
            table_line = table_line.or_else(|| (inside == key || inside == table).then_some(number + 1));
        }
        if inside == table && line.split_once('=').is_some_and(|(left, _)| left.trim() == name) {
            return format!("line {}: {key} {reason}", number + 1);
        }
    }
    table_line.map_or_else(|| format!("{key} {reason}"), |line| format!("line {line}: {key} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        std::fs::write(&path, text.replace("ROOT", &dir.path().display().to_string())).unwrap();
        RunConfig::read(&path).map(|_| "accepted".to_owned()).unwrap_or_else(|e| e.to_string())
    }

    const GOOD: &str = "system = \"medvill\"\npreset = \"demo\"\nout = \"x\"\n[data]\nroots = [\"ROOT\"]\n\
                        [objectives]\nmlm = 1.0\n[optim]\nrate = 1e-3\nbatch = 8\nsteps = 10\n";

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(refusal(GOOD), "accepted");
        for (from, to, wants) in [
            ("out = \"x\"", "out = \"x\"\nrates = 3", ["rates", "line 4"]),
            ("rate = 1e-3", "rate = \"fast\"", ["rate", "line 9"]),
            ("rate = 1e-3", "rate = -1.0", ["optim.rate", "line 9"]),
            ("mlm = 1.0", "mlm = 1.0\nmemory = 1.0", ["memory", "line 6"]),
            ("mlm = 1.0", "diagnosis = 1.0", ["model.diagnosis", "line 6"]),
            ("ROOT", "/no/such/folder", ["data.roots", "line 5"]),
            ("demo", "huge", ["preset", "line 2"]),
            ("batch = 8", "batch = 8\naccumulate = 9", ["optim.accumulate", "line 11"]),
            ("[data]", "[model]\nsizes = 3\n[data]", ["sizes", "line 4"]),
            ("[data]", "[model]\nbert = { heads = 7 }\n[data]", ["bert.heads", "line 4"]),
            ("[optim]", "[[mix]]\nshare = 1.0\nof = [\"itm\"]\n[optim]", ["itm", "line 10"]),
        ] {
            let message = refusal(&GOOD.replacen(from, to, 1));
            assert!(wants.iter().all(|w| message.contains(w)), "{to}: {message}");
        }
    }

    #[test]
    fn mixes_share_the_steps() {
        let text = GOOD.replace(
            "mlm = 1.0",
            "mlm = 1.0\nitm = 2.0\n[[mix]]\nshare = 3\nof = [\"mlm\"]\n[[mix]]\nshare = 1\nof = [\"itm\"]",
        );
        let config: RunConfig = toml::from_str(&text).unwrap();
        let steps = (0..100).map(|i| config.weights(f64::from(i) / 100.0));
        assert_eq!(steps.filter(|w| w.keys().eq(["mlm"])).count(), 75);
    }
}
