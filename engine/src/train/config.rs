//! What a run is made of, read from TOML; an unknown key or a wrong type is refused with its line before anything starts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a run did not start or did not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The config is not what it must be; `reason` has line and key.
    #[error("the config {path} cannot be used: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and key where known.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {path} failed: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data do not serve.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// A picture could not be read.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: crate::image::ImageError,
    },
    /// Words.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
    /// Weights.
    #[error(transparent)]
    Weights(#[from] crate::nn::ParameterError),
    /// Files of weights.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// Sizes of the model.
    #[error(transparent)]
    Model(#[from] crate::systems::medvill::MedVillError),
    /// The loss is no number any more.
    #[error("the loss became {loss} at step {step}; lower optim.rate or set optim.clip")]
    Diverged {
        /// The step.
        step: usize,
        /// The loss.
        loss: f32,
    },
    /// Nothing to learn from.
    #[error("no example is left to train on: {reason}")]
    Empty {
        /// Why.
        reason: String,
    },
}

/// Where examples come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folders of data sets in their published layout.
    pub roots: Vec<PathBuf>,
    /// The layout.
    #[serde(default = "mimic")]
    pub layout: String,
    /// Train on so many examples at most.
    pub limit: Option<usize>,
    /// Shift pictures by a few pixels and vary their contrast, never flip them: left stays left.
    #[serde(default)]
    pub augment: bool,
}

fn mimic() -> String {
    "mimic-cxr".to_owned()
}

/// Weights of the losses; what is zero is not computed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveWeights {
    /// Findings and sides from the picture's map alone (binary cross-entropy). *Ours*.
    #[serde(default)]
    pub findings: f64,
    /// Every word of the report from the words before it, as the drafter predicts it (cross-entropy). *Ours*.
    #[serde(default)]
    pub report: f64,
    /// Beside `report`, the same over the words that tell a side alone. *Ours*.
    #[serde(default)]
    pub sides: f64,
    /// Masked words under S2S, 15 %, 80/10/10 (MedViLL, section 3.3).
    #[serde(default)]
    pub mlm: f64,
}

/// How weights move.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimConfig {
    /// Peak rate.
    pub rate: f64,
    /// Rate of the image encoder; the same where it is not given, 0 freezes it.
    pub image_rate: Option<f64>,
    /// Decoupled weight decay, on matrices and kernels, not on norms and biases.
    #[serde(default)]
    pub weight_decay: f64,
    /// Share of the steps in which the rate rises; it falls as a cosine afterwards.
    #[serde(default = "warmup")]
    pub warmup: f64,
    /// Largest global norm of the gradients.
    #[serde(default = "clip")]
    pub clip: f64,
    /// Examples a step.
    pub batch: usize,
    /// Steps in all.
    pub steps: usize,
}

fn warmup() -> f64 {
    0.05
}

fn clip() -> f64 {
    1.0
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
    /// Examples.
    pub data: DataConfig,
    /// Losses.
    pub objectives: ObjectiveWeights,
    /// Optimiser.
    pub optim: OptimConfig,
}

fn checkpoint_every() -> usize {
    250
}

impl RunConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the key and the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(|source| TrainError::Io {
            doing: "reading",
            path: path.to_owned(),
            source,
        })?;
        let refuse = |reason: String| TrainError::Config { path: path.to_owned(), reason };
        let config: Self = toml::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        config.check().map_err(refuse)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.system != crate::systems::medvill::NAME {
            return Err(format!("system = \"{}\" is not one of: {}", self.system, crate::systems::medvill::NAME));
        }
        let presets = crate::systems::medvill::PRESETS;
        if !presets.contains(&self.preset.as_str()) {
            return Err(format!("preset = \"{}\" is not one of: {}", self.preset, presets.join(", ")));
        }
        let optim = &self.optim;
        if optim.batch == 0 || optim.steps == 0 {
            return Err("optim.batch and optim.steps must be at least 1".to_owned());
        }
        if !(optim.rate > 0.0 && optim.rate.is_finite()) {
            return Err(format!("optim.rate = {} must be greater than 0", optim.rate));
        }
        if !(0.0..=1.0).contains(&optim.warmup) {
            return Err(format!("optim.warmup = {} must be a share of the steps, 0 to 1", optim.warmup));
        }
        if optim.batch > 65_536 {
            return Err(format!("optim.batch = {} must be at most 65536", optim.batch));
        }
        if !(optim.clip > 0.0 && optim.clip.is_finite()) {
            return Err(format!("optim.clip = {} must be greater than 0", optim.clip));
        }
        if !(optim.weight_decay >= 0.0 && optim.weight_decay.is_finite()) {
            return Err(format!("optim.weight_decay = {} must be 0 or more", optim.weight_decay));
        }
        if optim.image_rate.is_some_and(|rate| !(rate >= 0.0 && rate.is_finite())) {
            return Err("optim.image_rate must be 0 or more".to_owned());
        }
        if self.data.augment && optim.image_rate == Some(0.0) {
            return Err("data.augment does nothing where optim.image_rate = 0; drop one of them".to_owned());
        }
        if self.checkpoint_every == 0 {
            return Err("checkpoint_every must be at least 1".to_owned());
        }
        if self.init.is_none() && !self.init_only.is_empty() {
            return Err("init_only needs init".to_owned());
        }
        let ObjectiveWeights { findings, report, sides, mlm } = self.objectives;
        let weights = [findings, report, sides, mlm];
        if weights.iter().any(|w| !w.is_finite() || *w < 0.0) || weights.iter().all(|w| *w == 0.0) {
            return Err("objectives must be 0 or more, and one of them more than 0".to_owned());
        }
        if sides > 0.0 && report == 0.0 {
            return Err("objectives.sides needs objectives.report, whose words it is about".to_owned());
        }
        if self.data.roots.is_empty() {
            return Err("data.roots must name at least one folder".to_owned());
        }
        if let Some(root) = self.data.roots.iter().find(|root| !root.is_dir()) {
            return Err(format!("data.roots: \"{}\" is not a folder", root.display()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        std::fs::write(&path, "system = \"medvill\"\npreset = \"demo\"\nout = \"x\"\nrates = 3\n").unwrap();
        let message = RunConfig::read(&path).unwrap_err().to_string();
        assert!(message.contains("rates") && message.contains("line 4"), "{message}");
    }
}
