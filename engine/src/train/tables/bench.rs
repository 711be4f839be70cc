//! The work of one seed: phantoms, what all variants begin with, each variant's trainings, what they score.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::super::config::RunConfig;
use super::super::entry::train;
use super::super::error::{TrainError, io};
use super::super::folder::{Run, Which};
use super::paper::{PaperTables, Stage, TableTask, Variant};
use super::{RESAMPLES, Scored, TableError, TableOptions, Tables};
use crate::bundle::{Label, Manifest, load_model};
use crate::data::phantom::Institution;
use crate::data::{Format, Layout, ReadOptions, Split, Study, WriteOptions, load, write_phantoms};
use crate::tasks::{Cases, EvaluateOptions, Session, evaluate, spreads};
use crate::text::{LabelSet, Specials, Tokenizer};

/// Where a training begins, on what, and how its config goes on.
struct Training<'a> {
    stage: &'a Stage,
    data: &'a [PathBuf],
    init: Option<&'a Path>,
    /// Lines of the config's `model` beside the stage's own.
    model: &'a str,
    /// Before scaling.
    steps: usize,
}

/// The work of one seed.
pub(super) struct Bench<'a> {
    pub(super) paper: &'a PaperTables,
    pub(super) options: &'a TableOptions,
    pub(super) seed: u64,
    pub(super) root: PathBuf,
    pub(super) device: &'a Device,
    pub(super) progress: &'a dyn Fn(&str),
}

impl Bench<'_> {
    fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.options.scale).round() as usize).max(1)
    }

    fn asked(&self, variant: &Variant, task: &TableTask) -> bool {
        let tasks = &self.options.tasks;
        variant.tasks.contains(&task.name) && (tasks.is_empty() || tasks.iter().any(|name| name == task.name))
    }

    pub(super) fn run(&self, tables: &mut Tables) -> Result<(), TableError> {
        let paper = self.paper;
        let first = self.phantoms(Institution::First, paper.phantoms[0])?;
        let second = self.phantoms(Institution::Second, paper.phantoms[1])?;
        let mut base = BTreeMap::new();
        for stage in paper.base {
            let run = self.stage(stage.name, stage, &first, &base, "")?;
            base.insert(stage.name, run);
        }
        for variant in self.options.variants(paper) {
            let key = variant.key;
            let mut stages = base.clone();
            for stage in variant.stages {
                let run = self.stage(
                    &format!("{key}-{}", stage.name),
                    stage,
                    &first,
                    &stages,
                    variant.model,
                )?;
                stages.insert(stage.name, run);
            }
            let pretrained = stages.get(variant.pretrained).map(PathBuf::as_path);
            for (institution, data, part) in [("first", &first, 1), ("second", &second, 2)] {
                for task in paper.tasks.iter().filter(|task| self.asked(variant, task)) {
                    let tuning = Training {
                        stage: &task.tuning,
                        data,
                        init: pretrained,
                        model: &format!("{}{}", variant.model, variant.tuning),
                        steps: task.tuning.steps / part,
                    };
                    let run = self.train(&format!("{key}-{institution}-{}", task.name), &tuning)?;
                    let scores = self.score(&run, data, task)?;
                    tables.add(institution, task, variant, scores);
                }
            }
        }
        Ok(())
    }

    /// The training of a stage, after the one of `stages` that it names.
    fn stage(
        &self,
        name: &str,
        stage: &Stage,
        data: &[PathBuf],
        stages: &BTreeMap<&str, PathBuf>,
        model: &str,
    ) -> Result<PathBuf, TableError> {
        let training = Training {
            stage,
            data,
            init: stage
                .init
                .and_then(|(before, _)| stages.get(before))
                .map(PathBuf::as_path),
            model,
            steps: stage.steps,
        };
        self.train(name, &training)
    }

    /// Phantoms of an institution: so many for training, 64 for validation, 200 for tests, fewer where all is
    /// scaled down.
    fn phantoms(&self, institution: Institution, count: usize) -> Result<Vec<PathBuf>, TableError> {
        let mut roots = Vec::new();
        let few = |count: usize| self.scaled(count).clamp(16, count);
        for (number, (split, count)) in [
            (Split::Train, self.scaled(count)),
            (Split::Validate, few(64)),
            (Split::Test, few(200)),
        ]
        .into_iter()
        .enumerate()
        {
            let root = self.root.join(format!("{institution}-{split}"));
            if !root.is_dir() {
                (self.progress)(&format!(
                    "seed {}: {count} phantoms of institution {institution}, {split}",
                    self.seed
                ));
                let seed = 50_000_000
                    + self.seed * 1_000_000
                    + number as u64 * 200_000
                    + if institution == Institution::Second {
                        100_000
                    } else {
                        0
                    };
                // Renamed when it is whole, so that what was broken off is made again.
                let part = root.with_extension("part");
                if part.is_dir() {
                    std::fs::remove_dir_all(&part).map_err(io("emptying", &part))?;
                }
                let options = WriteOptions {
                    root: part.clone(),
                    layout: Layout::MimicCxr,
                    count,
                    size: self.paper.size,
                    format: Format::Png,
                    seed,
                    split_all: Some(split),
                    institution,
                };
                write_phantoms(&options, &mut |_| ())?;
                std::fs::rename(&part, &root).map_err(io("renaming", &part))?;
            }
            roots.push(root);
        }
        Ok(roots)
    }

    fn studies(&self, roots: &[PathBuf]) -> Result<Vec<Study>, TableError> {
        let mut studies = Vec::new();
        for root in roots {
            studies.extend(load(root, None, &ReadOptions::default())?.studies);
        }
        Ok(studies)
    }

    fn train(&self, name: &str, training: &Training<'_>) -> Result<PathBuf, TableError> {
        let out = self.root.join("runs").join(name);
        let &Training {
            stage,
            data: roots,
            init,
            model,
            steps,
        } = training;
        let steps = self.scaled(steps);
        let parts = stage.init.map_or(&[][..], |(_, parts)| parts);
        let from = init.map_or(String::new(), |init| {
            format!("init = {init:?}\ninit_only = {parts:?}\n")
        });
        let backbone_lr = if stage.backbone { "" } else { "backbone_lr = 0.0\n" };
        let PaperTables {
            system,
            preset,
            model: common,
            data,
            ..
        } = self.paper;
        let Stage {
            objectives,
            model: own,
            lr,
            ..
        } = stage;
        let text = format!(
            "system = \"{system}\"\npreset = \"{preset}\"\nout = {out:?}\nseed = {seed}\ncheckpoint_every = {steps}\n{from}\
             [model]\n{common}{model}{own}\n[data]\nroots = {roots:?}\ncache = {cache:?}\nquestions = 4\n{data}\
             [objectives]\n{objectives}\n[optim]\nlr = {lr:?}\n{backbone_lr}weight_decay = 0.01\nbatch = 16\nsteps = {steps}\n",
            seed = self.seed,
            cache = self.root.join("cache"),
        );
        let wrong = |e: toml::de::Error| TrainError::Config {
            path: out.clone(),
            reason: e.to_string(),
        };
        let config: RunConfig = toml::from_str(&text).map_err(wrong)?;
        (self.progress)(&format!("seed {}: {name}, {steps} steps", self.seed));
        train(
            &config,
            &self.studies(roots)?,
            &[],
            self.device,
            true,
            &|| false,
            &|_| (),
        )?;
        Ok(out)
    }

    /// What a run scores in a task; kept beside the run.
    fn score(&self, run: &Path, roots: &[PathBuf], task: &TableTask) -> Result<Scored, TableError> {
        let kept = run.join("scores.json");
        if let Some(scores) = std::fs::read(&kept)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        {
            return Ok(scores);
        }
        let session = self.session(run)?;
        let studies: Vec<Study> = self
            .studies(roots)?
            .into_iter()
            .filter(|s| s.split == Split::Test)
            .collect();
        let options = EvaluateOptions {
            with_report: true,
            trials: 40,
            seed: self.seed,
            ..EvaluateOptions::default()
        };
        let score =
            |studies: &[Study]| pollster::block_on(evaluate(&session, task.task, studies, &options, |_| ()));
        let mut all: Vec<(&str, Box<dyn Cases>)> = vec![("", score(&studies)?)];
        if task.image_alone {
            let alone: Vec<Study> = studies
                .iter()
                .cloned()
                .map(|study| Study {
                    report: Default::default(),
                    ..study
                })
                .collect();
            all.push(("image_", score(&alone)?));
        }
        let resamples = RESAMPLES / self.options.seeds.max(1) as usize;
        let mut scores = BTreeMap::new();
        for (prefix, cases) in all {
            let whole = cases.all();
            for (name, spread) in spreads(cases.as_ref(), resamples.max(2), self.seed) {
                let name = format!("{prefix}{name}");
                // What drafts of other images score stands beside what the images' own do.
                let column = name.strip_prefix("swapped_").unwrap_or(&name);
                if let (true, Some(value)) = (
                    task.columns.iter().any(|c| c.0 == name || c.0 == column),
                    whole.get(&name[prefix.len()..]),
                ) {
                    scores.insert(name, (*value, spread.values));
                }
            }
        }
        let text = serde_json::to_vec(&scores).map_err(|e| TrainError::Run {
            path: kept.clone(),
            reason: e.to_string(),
        })?;
        std::fs::write(&kept, text).map_err(io("writing", &kept))?;
        Ok(scores)
    }
    /// A run's newest checkpoint at work.
    fn session(&self, run: &Path) -> Result<Session, TableError> {
        let opened = Run::open(run, Which::Newest)?;
        let config = opened.config()?;
        let tokenizer = Run::tokenizer(run)?;
        let specials = tokenizer.as_ref().map_or(Specials::BERT, Tokenizer::specials);
        let mut manifest = Manifest::new("run", &config.system, &config.preset, opened.model);
        manifest.answers = Run::answers(run)?;
        manifest.labels = LabelSet::chexpert14().labels.iter().map(Label::new).collect();
        let model = load_model(&manifest, opened.weights, specials, self.device).map_err(TrainError::from)?;
        let session = Session::from_parts(manifest, model, tokenizer, self.device.clone());
        Ok(session.map_err(TrainError::from)?)
    }
}
