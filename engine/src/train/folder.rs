//! A run's folder: `config.toml`, `tokenizer.json`, `answers.json`, `metrics.jsonl`, `curves.svg`,
//! `checkpoints/`.
//!
//! A checkpoint is a folder that gets its name only when all of it is on the disk, so that what has a name is
//! whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::RunConfig;
use super::curves;
use super::error::{TrainError, io};
use crate::bundle::checkpoint::{read, write_safetensors};
use crate::nn::{Arrays, QueueMarks};
use crate::systems::SystemConfig;
use crate::text::Tokenizer;

/// How many of the newest checkpoints are kept.
const KEPT: usize = 2;

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    #[default]
    Newest,
    /// The best by the run's own measure.
    Best,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub step: usize,
    #[serde(alias = "rate")]
    pub lr: f64,
    /// Since this process began to train.
    pub seconds: f64,
    /// Of these, how long the loop stood waiting for pictures.
    pub waited: f64,
    #[serde(flatten)]
    pub values: BTreeMap<String, f32>,
}

/// The best value of a run so far, and at which step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// The value.
    pub value: f32,
    /// The step after which it was measured.
    pub step: usize,
}

/// What a checkpoint holds beside its tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    pub step: usize,
    pub optimizer_steps: u64,
    pub model: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestSoFar>,
    /// Where each queue of the memory stands: its next row, and how many are filled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<String, QueueMarks>,
}

/// The tensors of a checkpoint, by file.
pub(super) struct Tensors {
    pub weights: Arrays,
    pub optimizer: Arrays,
    pub average: Option<Arrays>,
    /// Rows of queues under `queue.`, centres under `centre.`.
    pub memory: Arrays,
}

/// A run's folder, read.
pub struct Run {
    /// The folder.
    pub dir: PathBuf,
    /// Steps done at this checkpoint.
    pub step: usize,
    /// Sizes of the model, as its system has them.
    pub model: serde_json::Value,
    /// Its weights.
    pub weights: Arrays,
    /// The average of its weights, where the run keeps one.
    pub average: Option<Arrays>,
    /// The optimiser's state.
    pub(super) optimizer: Arrays,
    /// Queues and centres.
    pub(super) memory: Arrays,
    pub(super) state: State,
}

impl Run {
    /// A whole checkpoint of a run.
    ///
    /// # Errors
    /// When the folder holds none or it cannot be read.
    pub fn open(dir: &Path, which: Which) -> Result<Self, TrainError> {
        let none = |reason: &str| TrainError::Run {
            path: dir.to_owned(),
            reason: reason.to_owned(),
        };
        let checkpoint = match which {
            Which::Newest => newest(dir)?.ok_or_else(|| none("it has no whole checkpoint; train it first")),
            Which::Best => list(dir, "best-")?
                .pop()
                .ok_or_else(|| none("it kept no best checkpoint; set best in its config")),
        }?;
        let path = checkpoint.join("state.json");
        let text = std::fs::read_to_string(&path).map_err(io("reading", &path))?;
        let state: State = serde_json::from_str(&text).map_err(|e| TrainError::Run {
            path,
            reason: e.to_string(),
        })?;
        let average = checkpoint.join("average.safetensors");
        let memory = checkpoint.join("memory.safetensors");
        Ok(Self {
            dir: dir.to_owned(),
            step: state.step,
            model: state.model.clone(),
            weights: read(&checkpoint.join("weights.safetensors"))?,
            average: average.is_file().then(|| read(&average)).transpose()?,
            optimizer: read(&checkpoint.join("optimizer.safetensors"))?,
            memory: if memory.is_file() {
                read(&memory)?
            } else {
                Arrays::new()
            },
            state,
        })
    }

    /// The config with which the run was begun.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn config(&self) -> Result<RunConfig, TrainError> {
        let path = self.dir.join("config.toml");
        let text = std::fs::read_to_string(&path).map_err(io("reading", &path))?;
        toml::from_str(&text).map_err(|e| TrainError::Config {
            path,
            reason: e.to_string(),
        })
    }

    /// The config of the model.
    ///
    /// # Errors
    /// When it is that of another system.
    pub fn model_config<C: SystemConfig>(&self) -> Result<C, TrainError> {
        let refuse = |reason: String| TrainError::Run {
            path: self.dir.clone(),
            reason,
        };
        let system = self.config()?.system;
        if system != C::NAME {
            return Err(refuse(format!(
                "it is a run of the system {system}, not of {}; name another out, or its own system",
                C::NAME
            )));
        }
        let wrong = |e: serde_json::Error| refuse(format!("its model is not one of {}: {e}", C::NAME));
        serde_json::from_value(self.model.clone()).map_err(wrong)
    }

    /// The tokenizer of a run; `None` for a run of images alone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tokenizer(dir: &Path) -> Result<Option<Tokenizer>, TrainError> {
        let path = dir.join("tokenizer.json");
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).map_err(io("reading", &path))?;
        Ok(Some(Tokenizer::from_json(&bytes)?))
    }

    /// The answers that a run's head knows; none where it has no such head.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn answers(dir: &Path) -> Result<Vec<String>, TrainError> {
        let path = dir.join("answers.json");
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let bytes = std::fs::read(&path).map_err(io("reading", &path))?;
        serde_json::from_slice(&bytes).map_err(|e| TrainError::Run {
            path,
            reason: e.to_string(),
        })
    }
}

/// Finished checkpoints whose names begin so, oldest first.
fn list(dir: &Path, prefix: &str) -> Result<Vec<PathBuf>, TrainError> {
    let folder = dir.join("checkpoints");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut whole = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(io("listing", &folder))? {
        let path = entry.map_err(io("listing", &folder))?.path();
        if path
            .file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.starts_with(prefix))
        {
            whole.push(path);
        }
    }
    whole.sort();
    Ok(whole)
}

/// The newest whole checkpoint.
pub(super) fn newest(dir: &Path) -> Result<Option<PathBuf>, TrainError> {
    Ok(list(dir, "step-")?.pop())
}

/// Waits until a file or folder is on the disk and not in a cache alone.
fn settle(path: &Path) -> Result<(), TrainError> {
    match File::open(path).and_then(|f| f.sync_all()) {
        // Folders cannot be opened everywhere; their entries are then settled by the system in its own time.
        Err(_) if path.is_dir() => Ok(()),
        other => other.map_err(io("settling", path)),
    }
}

/// Writes a checkpoint under a name of no meaning, waits for the disk, and only then names it.
fn write_checkpoint(dir: &Path, name: &str, state: &State, tensors: &Tensors) -> Result<PathBuf, TrainError> {
    let folder = dir.join("checkpoints");
    let whole = folder.join(name);
    // The run is the same wherever it passes this step, so what has the name is what would be written.
    if whole.is_dir() {
        return Ok(whole);
    }
    let unfinished = folder.join("unfinished");
    if unfinished.is_dir() {
        std::fs::remove_dir_all(&unfinished).map_err(io("removing", &unfinished))?;
    }
    std::fs::create_dir_all(&unfinished).map_err(io("creating", &unfinished))?;
    let files = [
        ("weights.safetensors", Some(&tensors.weights)),
        ("optimizer.safetensors", Some(&tensors.optimizer)),
        ("average.safetensors", tensors.average.as_ref()),
        (
            "memory.safetensors",
            Some(&tensors.memory).filter(|m| !m.is_empty()),
        ),
    ];
    for (name, arrays) in files {
        let Some(arrays) = arrays else { continue };
        let path = unfinished.join(name);
        write_safetensors(&path, arrays)?;
        settle(&path)?;
    }
    let path = unfinished.join("state.json");
    let text = serde_json::to_string_pretty(state).map_err(|e| TrainError::Run {
        path: path.clone(),
        reason: e.to_string(),
    })?;
    std::fs::write(&path, text).map_err(io("writing", &path))?;
    settle(&path)?;
    settle(&unfinished)?;
    std::fs::rename(&unfinished, &whole).map_err(io("naming", &unfinished))?;
    settle(&folder)?;
    Ok(whole)
}

/// Writes the newest checkpoint, and as the best one too where `is_best`; older ones go.
pub(super) fn save(
    dir: &Path,
    state: &State,
    tensors: &Tensors,
    is_best: bool,
) -> Result<PathBuf, TrainError> {
    let name = format!("{:08}", state.step);
    if is_best {
        let best = write_checkpoint(dir, &format!("best-{name}"), state, tensors)?;
        for old in list(dir, "best-")?.iter().filter(|p| **p != best) {
            std::fs::remove_dir_all(old).map_err(io("removing", old))?;
        }
    }
    let whole = write_checkpoint(dir, &format!("step-{name}"), state, tensors)?;
    let old = list(dir, "step-")?;
    for old in old.iter().rev().skip(KEPT) {
        std::fs::remove_dir_all(old).map_err(io("removing", old))?;
    }
    Ok(whole)
}

/// Writes what a run needs to be read again: its config, its tokenizer, its answers.
pub(super) fn write_about(
    config: &RunConfig,
    tokenizer: Option<&Tokenizer>,
    answers: &[String],
) -> Result<(), TrainError> {
    let write = |name: &str, bytes: &[u8]| {
        let path = config.out.join(name);
        std::fs::write(&path, bytes).map_err(io("writing", &path))
    };
    let refuse = |name: &str, reason: String| TrainError::Run {
        path: config.out.join(name),
        reason,
    };
    let text = toml::to_string_pretty(config).map_err(|e| refuse("config.toml", e.to_string()))?;
    write("config.toml", text.as_bytes())?;
    if !answers.is_empty() {
        let text =
            serde_json::to_string_pretty(answers).map_err(|e| refuse("answers.json", e.to_string()))?;
        write("answers.json", text.as_bytes())?;
    }
    match tokenizer {
        Some(tokenizer) => write("tokenizer.json", &tokenizer.to_json()?),
        None => Ok(()),
    }
}

/// The log from its beginning, or, when resuming, with the lines after the checkpoint dropped.
pub(super) fn open_log(dir: &Path, start: usize) -> Result<File, TrainError> {
    let path = dir.join("metrics.jsonl");
    let kept: String = std::fs::read_to_string(&path)
        .unwrap_or_default()
        .lines()
        .filter(|line| serde_json::from_str::<Line>(line).is_ok_and(|l| l.step <= start))
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(&path, kept).map_err(io("writing", &path))?;
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .map_err(io("opening", &path))
}

/// Adds a line to the log.
pub(super) fn log(file: &mut File, dir: &Path, line: &Line) -> Result<(), TrainError> {
    let path = dir.join("metrics.jsonl");
    let text = serde_json::to_string(line).map_err(|e| TrainError::Run {
        path: path.clone(),
        reason: e.to_string(),
    })?;
    writeln!(file, "{text}").map_err(io("writing", &path))
}

/// Draws the curves of the log.
pub(super) fn draw(dir: &Path) -> Result<(), TrainError> {
    let path = dir.join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).map_err(io("reading", &path))?;
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in text.lines().filter_map(|l| serde_json::from_str::<Line>(l).ok()) {
        for (name, value) in line.values.into_iter().filter(|(name, _)| name != "norm") {
            series
                .entry(name)
                .or_default()
                .push((line.step as f64, f64::from(value)));
        }
    }
    for points in series.values_mut() {
        // Training losses are drawn as means of about 200 stretches, else the noise hides the slope.
        let chunk = points.len().div_ceil(200).max(1);
        *points = points
            .chunks(chunk)
            .map(|c| {
                (
                    c[c.len() - 1].0,
                    c.iter().map(|p| p.1).sum::<f64>() / c.len() as f64,
                )
            })
            .collect();
    }
    let path = dir.join("curves.svg");
    std::fs::write(&path, curves::svg(&series.into_iter().collect::<Vec<_>>())).map_err(io("writing", &path))
}
