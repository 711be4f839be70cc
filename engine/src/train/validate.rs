//! What a checkpoint is worth, measured as `hilum evaluate` measures it; and what a system remembers, to and from arrays.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::config::RunConfig;
use super::error::TrainError;
use super::folder::Run;
use super::init::Prepared;
use crate::bundle::{Label, Manifest};
use crate::data::Study;
use crate::nn::{Arrays, FeatureQueue, read_array, vector};
use crate::systems::train::Memory;
use crate::systems::{SystemConfig, Task, Trainable};
use crate::tasks::{EvaluateOptions, Session, evaluate};
use crate::text::Tokenizer;

/// Candidates and trials of retrieval at a checkpoint.
const CANDIDATES: usize = 20;

/// The held-out studies and the tasks that they are scored in.
pub(super) struct Validation {
    studies: Vec<Study>,
    tasks: Vec<Task>,
    manifest: Manifest,
    tokenizer: Option<Tokenizer>,
    seed: u64,
}

impl Validation {
    pub(super) fn new<S: Trainable>(
        config: &RunConfig,
        prepared: &Prepared<S::Config>,
        studies: Vec<Study>,
    ) -> Self {
        let mut trained = S::learned(&|objective| config.on(objective));
        trained.sort_unstable();
        trained.dedup();
        let tasks = config.validate.clone().unwrap_or_else(|| {
            // Writing reports, and reading each of them with many mistakes, takes longer than training between two checkpoints.
            let quick = trained
                .iter()
                .filter(|task| !matches!(task, Task::Draft | Task::Check));
            quick.copied().collect()
        });
        let mut manifest = Manifest::new("run", &config.system, &config.preset, serde_json::Value::Null);
        manifest.labels = prepared.model.labels().labels.iter().map(Label::new).collect();
        manifest.answers = prepared.answers.clone();
        Self {
            studies,
            tasks,
            manifest,
            tokenizer: prepared.tokenizer.clone(),
            seed: config.seed,
        }
    }

    /// The scores of a model in all tasks, `validation_TASK_SCORE` each; a task of which the held-out studies hold no case is
    /// left out.
    pub(super) fn score<S: Trainable>(
        &self,
        model: S,
        device: &Device,
    ) -> Result<BTreeMap<String, f32>, TrainError> {
        let mut scores = BTreeMap::new();
        if self.tasks.is_empty() || self.studies.is_empty() {
            return Ok(scores);
        }
        let session = Session::from_parts(
            self.manifest.clone(),
            model.into(),
            self.tokenizer.clone(),
            device.clone(),
        )?;
        let options = EvaluateOptions {
            candidates: CANDIDATES,
            trials: CANDIDATES,
            seed: self.seed,
            ..EvaluateOptions::default()
        };
        for &task in &self.tasks {
            let serves = |s: &&Study| match task {
                Task::Findings => s.has_image(),
                Task::Vqa => s.has_image() && !s.questions.is_empty(),
                Task::Draft | Task::Retrieve | Task::Check => s.has_image() && !s.report.longer().is_empty(),
            };
            let studies: Vec<Study> = self.studies.iter().filter(serves).cloned().collect();
            if studies.len() < 2 {
                continue;
            }
            let cases = pollster::block_on(evaluate(&session, task, &studies, &options, |_| ()))?;
            let named = cases.all().into_iter();
            scores.extend(named.map(|(name, value)| (format!("validation_{task}_{name}"), value as f32)));
        }
        Ok(scores)
    }
}

/// Rows of queues under `queue.`, centres under `centre.`.
pub(super) fn save_memory(memory: &Memory) -> Result<Arrays, TrainError> {
    let mut arrays = Arrays::new();
    for (name, queue) in &memory.queues {
        arrays.insert(format!("queue.{name}"), queue.state()?.0);
    }
    for (name, centre) in &memory.centres {
        arrays.insert(format!("centre.{name}"), read_array(name, centre.clone())?);
    }
    Ok(arrays)
}

/// What a checkpoint remembers.
pub(super) fn restore_memory(run: &Run, device: &Device) -> Result<Memory, TrainError> {
    let mut memory = Memory::default();
    for (name, array) in &run.memory {
        let damaged = || TrainError::Run {
            path: run.dir.clone(),
            reason: format!("its checkpoint's {name} is damaged; delete the newest checkpoint and resume"),
        };
        if let Some(name) = name.strip_prefix("queue.") {
            let position = *run.state.queues.get(name).ok_or_else(damaged)?;
            let queue = FeatureQueue::restore(array, position, device).ok_or_else(damaged)?;
            memory.queues.insert(name.to_owned(), queue);
        } else if let Some(name) = name.strip_prefix("centre.") {
            memory.centres.insert(name.to_owned(), vector(array, device));
        }
    }
    Ok(memory)
}
