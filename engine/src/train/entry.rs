//! The entry to training: what comes before the first step, for any system.

use std::path::PathBuf;

use burn::tensor::Device;

use super::config::RunConfig;
use super::corpus::{Corpus, CorpusOptions};
use super::error::{TrainError, io};
use super::folder::{self, Run, Which};
use super::init::{Init, first_model, prepare, tell_changes};
use super::run::{Loop, Progress};
use super::validate::Validation;
use crate::data::{Split, Study};
use crate::systems::train::Vocabulary;
use crate::systems::{SystemConfig, Trainable, names, with_system};
use crate::text::Sections;

/// Trains as `config` says, from scratch, from `init`, or on from its own newest checkpoint with `resume`.
///
/// `more_words` are further texts for the tokenizer. `stop` is asked after each step: when it says so, a checkpoint is
/// written and the run ends there.
///
/// # Errors
/// See [`TrainError`]; what was trained until the newest checkpoint stays.
pub fn train(
    config: &RunConfig,
    studies: &[Study],
    more_words: &[String],
    device: &Device,
    resume: bool,
    stop: &dyn Fn() -> bool,
    progress: &dyn Fn(Progress<'_>),
) -> Result<PathBuf, TrainError> {
    let run = Arguments {
        config,
        studies,
        more_words,
        device,
        resume,
        stop,
        progress,
    };
    with_system!(
        config.system.as_str(),
        S => run.train::<S>(),
        Err(TrainError::Config {
            path: config.out.clone(),
            reason: format!("system {:?} is not one of: {}", config.system, names()),
        })
    )
}

/// What [`train`] is given.
struct Arguments<'a> {
    config: &'a RunConfig,
    studies: &'a [Study],
    more_words: &'a [String],
    device: &'a Device,
    resume: bool,
    stop: &'a dyn Fn() -> bool,
    progress: &'a dyn Fn(Progress<'_>),
}

impl Arguments<'_> {
    /// The studies of some splits that serve an objective, at most so many.
    fn part<S: Trainable>(&self, splits: &[Split], most: usize) -> Vec<Study> {
        let on = || S::OBJECTIVES.iter().filter(|o| self.config.on(o.name));
        let serves = |s: &&Study| {
            let written = !s.report.longer().is_empty();
            on().any(|o| (!o.image || s.has_image()) && (!o.text || written))
        };
        let of = self.studies.iter().filter(|s| splits.contains(&s.split));
        of.filter(serves).take(most).cloned().collect()
    }

    fn train<S: Trainable>(&self) -> Result<PathBuf, TrainError> {
        let (config, dir) = (self.config, &self.config.out);
        let refuse = |reason: String| {
            Err(TrainError::Run {
                path: dir.clone(),
                reason,
            })
        };
        let whole = folder::newest(dir)?;
        if !self.resume && whole.is_some() {
            return refuse(
                "it holds a run already; pass --resume to go on with it, or name another out".to_owned(),
            );
        }
        std::fs::create_dir_all(dir).map_err(io("creating", dir))?;
        let own = whole
            .as_ref()
            .map(|_| Run::open(dir, Which::Newest))
            .transpose()?;
        if let Some(run) = &own {
            // A run of another system is told before anything of it is read.
            run.model_config::<S::Config>()?;
        }
        if let (Some(run), Some(whole)) = (&own, whole)
            && run.step >= config.optim.steps
        {
            return Ok(whole);
        }
        let init = match (&own, &config.init) {
            (None, Some(from)) => Some(Init::open(from)?),
            _ => None,
        };
        if own.is_some() {
            tell_changes(config, &|note| (self.progress)(Progress::Note(note)));
        }
        let (learned, judged): (&[Split], &[Split]) = if config.data.all {
            (&[Split::Train, Split::Validate], &[])
        } else {
            (&[Split::Train], &[Split::Validate])
        };
        let training = self.part::<S>(learned, config.data.limit.unwrap_or(usize::MAX));
        let held_out = self.part::<S>(judged, config.data.validate_limit);
        if training.is_empty() {
            let on = S::OBJECTIVES.iter().filter(|o| config.on(o.name));
            let (image, text) = on.fold((true, true), |(i, t), o| (i && o.image, t && o.text));
            let what = match (image, text) {
                (true, true) => "an image and a report",
                (true, false) => "an image",
                (false, true) => "a report",
                (false, false) => "an image or a report",
            };
            return Err(TrainError::Empty {
                reason: format!("the data sets have no study with {what} in their training split"),
            });
        }
        if config.data.mistakes > 0 && !S::MISTAKES {
            return Err(TrainError::Config {
                path: config.out.clone(),
                reason: format!(
                    "data.mistakes is for systems that learn from mistaken reports, which {} does not; leave it out",
                    S::Config::NAME
                ),
            });
        }
        let reads = S::OBJECTIVES.iter().any(|o| o.text && config.on(o.name));
        let prepared = prepare::<S::Config>(
            config,
            reads,
            own.as_ref(),
            init.as_ref(),
            &training,
            self.more_words,
        )?;
        for note in &prepared.notes {
            (self.progress)(Progress::Note(note));
        }
        folder::write_about(config, prepared.tokenizer.as_ref(), &prepared.answers)?;
        let labels = prepared.model.labels();
        let options = CorpusOptions {
            preprocessing: *prepared.model.preprocessing(),
            max_tokens: prepared.model.text().map_or(0, |text| text.max_tokens),
            sections: prepared
                .model
                .text()
                .map_or_else(Sections::default, |text| text.sections),
            tokenizer: prepared.tokenizer.as_ref(),
            answers: &prepared.answers,
            labels: &labels,
            negatives: S::NEGATIVES,
            views: S::views(&|objective| self.config.on(objective)),
        };
        let corpus = Corpus::new(&training, &options, &config.data)?;
        let validation = Corpus::new(&held_out, &options, &config.data)?;
        let model: S = first_model(config, &prepared, own.as_ref(), init.as_ref(), self.device)?;
        let vocabulary = prepared
            .tokenizer
            .as_ref()
            .map(Vocabulary::new)
            .unwrap_or_default();
        let held_out = Validation::new::<S>(config, &prepared, held_out);
        Loop {
            config,
            device: self.device,
            vocabulary,
            corpus,
            validation,
            held_out,
            own,
            stop: self.stop,
            progress: self.progress,
        }
        .run(model)
    }
}
