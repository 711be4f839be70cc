//! The work of one seed: phantoms, what all variants begin with, each variant's trainings, what they score.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::super::config::{RunConfig, lay_over};
use super::super::entry::train;
use super::super::error::{TrainError, io};
use super::super::folder::{Run, Which};
use super::paper::{Again, Domain, PaperTables, Stage, TableTask, Variant};
use super::{RESAMPLES, Scored, TableError, TableOptions, Tables};
use crate::bundle::{Label, Manifest, load_model};
use crate::data::phantom::Institution;
use crate::data::{
    Format, Layout, ReadOptions, Split, Study, WriteOptions, load, write_abdomens, write_phantoms,
};
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
        let mut data = BTreeMap::new();
        for &(domain, count) in paper.phantoms {
            data.insert(domain, self.phantoms(domain, count)?);
        }
        let first = data.get(&Domain::First).map_or(&[][..], Vec::as_slice);
        let mut base = BTreeMap::new();
        for stage in paper.base {
            let run = self.stage(stage.name, stage, first, &base, "")?;
            base.insert(stage.name, run);
        }
        for variant in self.options.variants(paper) {
            // What another variant has trained is there already, or is trained now.
            let trained = variant.of.and_then(|of| paper.variant(of)).unwrap_or(variant);
            let mut stages = base.clone();
            for stage in trained.stages {
                let name = format!("{}-{}", trained.key, stage.name);
                let run = self.stage(&name, stage, first, &stages, trained.model)?;
                stages.insert(stage.name, run);
            }
            let Some(pretrained) = stages.get(trained.pretrained) else {
                continue;
            };
            for (domain, data) in &data {
                let asked = |task: &&TableTask| task.domains.contains(domain) && self.asked(variant, task);
                for task in paper.tasks.iter().filter(asked) {
                    let run = self.tuned(*domain, data, task, trained, pretrained)?;
                    let scores = self.score(&run, *domain, data, task, variant)?;
                    tables.add(&domain.to_string(), task, variant, scores);
                }
            }
        }
        Ok(())
    }

    /// The run that a task scores: what is pre-trained, or its fine-tuning on the phantoms of the task.
    fn tuned(
        &self,
        domain: Domain,
        data: &[PathBuf],
        task: &TableTask,
        trained: &Variant,
        pretrained: &Path,
    ) -> Result<PathBuf, TableError> {
        let name = format!("{}-{domain}-{}", trained.key, task.name);
        let mut init = pretrained.to_owned();
        if let Some(stage) = task.before.as_ref().filter(|_| !trained.stages.is_empty()) {
            let before = Training {
                stage,
                data,
                init: Some(&init),
                model: trained.model,
                steps: stage.steps,
            };
            init = self.train(&format!("{name}-before"), &before)?;
        }
        let Some(stage) = &task.tuning else {
            return Ok(init);
        };
        let tuning = Training {
            stage,
            data,
            init: Some(&init),
            model: &format!("{}{}", trained.model, trained.tuning),
            steps: stage.steps / if domain == Domain::Second { 2 } else { 1 },
        };
        self.train(&name, &tuning)
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

    /// Phantoms of a domain: so many for training, 64 for validation, 200 for tests, fewer where all is
    /// scaled down.
    fn phantoms(&self, domain: Domain, count: usize) -> Result<Vec<PathBuf>, TableError> {
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
            let root = self.root.join(format!("{domain}-{split}"));
            if !root.is_dir() {
                (self.progress)(&format!(
                    "seed {}: {count} phantoms, {domain}, {split}",
                    self.seed
                ));
                let seed = 50_000_000
                    + self.seed * 1_000_000
                    + number as u64 * 200_000
                    + u64::from(domain == Domain::Second) * 100_000;
                // Renamed when it is whole, so that what was broken off is made again.
                let part = root.with_extension("part");
                if part.is_dir() {
                    std::fs::remove_dir_all(&part).map_err(io("emptying", &part))?;
                }
                let (layout, institution) = match domain {
                    Domain::First => (Layout::MimicCxr, Institution::First),
                    Domain::Second => (Layout::MimicCxr, Institution::Second),
                    Domain::Abdomen => (Layout::R2Gen, Institution::First),
                };
                let options = WriteOptions {
                    root: part.clone(),
                    layout,
                    count,
                    size: self.paper.size,
                    format: Format::Png,
                    seed,
                    split_all: Some(split),
                    institution,
                };
                match domain {
                    Domain::Abdomen => write_abdomens(&options, &mut |_| ()).map(|_| ())?,
                    _ => write_phantoms(&options, &mut |_| ()).map(|_| ())?,
                }
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
        let studies = self.studies(training.data)?;
        let to_train = studies.iter().filter(|s| s.split == Split::Train).count();
        let config = self.config(name, training, to_train)?;
        let steps = config.optim.steps;
        (self.progress)(&format!("seed {}: {name}, {steps} steps", self.seed));
        train(&config, &studies, &[], self.device, true, &|| false, &|_| ())?;
        Ok(config.out)
    }

    /// The config of a training on so many studies: the paper's lines, then the stage's.
    fn config(&self, name: &str, training: &Training<'_>, to_train: usize) -> Result<RunConfig, TrainError> {
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
        let paper = self.paper;
        let [system, preset, common] = stage.system.unwrap_or([paper.system, paper.preset, paper.model]);
        let (data, optim) = (paper.data, paper.optim);
        let Stage {
            objectives,
            model: own,
            lr,
            ..
        } = stage;
        let queue = paper.queue.filter(|_| stage.system.is_none());
        let queue = queue.map(|queue| queue.min(to_train));
        let queue = queue.map_or_else(String::new, |queue| format!("contrast.queue = {queue}\n"));
        let wrong = |error: &dyn Error| TrainError::Config {
            path: out.clone(),
            reason: error.to_string(),
        };
        // What is said last holds.
        let mut said = serde_json::json!({});
        for lines in [common, &queue, model, own] {
            let lines: toml::Table = toml::from_str(lines).map_err(|e| wrong(&e))?;
            lay_over(&mut said, serde_json::to_value(lines).map_err(|e| wrong(&e))?);
        }
        let model = toml::to_string(&serde_json::json!({ "model": said })).map_err(|e| wrong(&e))?;
        let text = format!(
            "system = \"{system}\"\npreset = \"{preset}\"\nout = {out:?}\nseed = {seed}\ncheckpoint_every = {steps}\n{from}\
             {model}\n[data]\nroots = {roots:?}\ncache = {cache:?}\nquestions = 4\n{data}\
             [objectives]\n{objectives}\n[optim]\nlr = {lr:?}\n{backbone_lr}{optim}steps = {steps}\n",
            seed = self.seed,
            cache = self.root.join("cache"),
        );
        let config: RunConfig = toml::from_str(&text).map_err(|e| wrong(&e))?;
        let checked = config.check();
        checked.map_err(|(key, reason)| TrainError::Config {
            path: out,
            reason: format!("{key} {reason}"),
        })?;
        Ok(config)
    }

    /// What a variant's run scores in a task; kept beside the run.
    fn score(
        &self,
        run: &Path,
        domain: Domain,
        roots: &[PathBuf],
        task: &TableTask,
        variant: &Variant,
    ) -> Result<Scored, TableError> {
        let kept = run.join(format!("scores-{}-{domain}-{}.json", variant.key, task.name));
        if let Some(scores) = std::fs::read(&kept)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        {
            return Ok(scores);
        }
        let session = self.session(run, variant.reading)?;
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
        let score = |studies: &[Study], options: &EvaluateOptions<'_>| {
            pollster::block_on(evaluate(&session, task.task, studies, options, |_| ()))
        };
        let mut all: Vec<(&str, Box<dyn Cases>)> = vec![("", score(&studies, &options)?)];
        if let Some(again) = task.again {
            let cases = match again {
                Again::ImageAlone => {
                    let silent = |study: &Study| Study {
                        report: Default::default(),
                        ..study.clone()
                    };
                    let alone: Vec<Study> = studies.iter().map(silent).collect();
                    score(&alone, &options)?
                }
                Again::Exact => {
                    let exact = EvaluateOptions {
                        exact: true,
                        ..options
                    };
                    score(&studies, &exact)?
                }
            };
            all.push((again.prefix(), cases));
        }
        let resamples = RESAMPLES / self.options.seeds.max(1) as usize;
        let mut scores = BTreeMap::new();
        for (prefix, cases) in all {
            let whole = cases.all();
            for (name, spread) in spreads(cases.as_ref(), resamples.max(2), self.seed) {
                let name = format!("{prefix}{name}");
                // What drafts of other images score, and what is found by chance, stands beside what the images' own do.
                let column = name.strip_prefix("swapped_").unwrap_or(&name);
                let column = column.strip_suffix("_by_chance").unwrap_or(column);
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

    /// A run's newest checkpoint at work, with other lines of the config's `model` where it is read otherwise than it was trained.
    fn session(&self, run: &Path, reading: &str) -> Result<Session, TableError> {
        let mut opened = Run::open(run, Which::Newest)?;
        let wrong = |reason: String| TrainError::Run {
            path: run.to_owned(),
            reason,
        };
        let lines: toml::Table = toml::from_str(reading).map_err(|e| wrong(e.to_string()))?;
        let lines = serde_json::to_value(lines).map_err(|e| wrong(e.to_string()))?;
        lay_over(&mut opened.model, lines);
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

#[cfg(test)]
mod tests {
    use super::super::PAPERS;
    use super::*;

    #[test]
    fn every_training_of_every_row_has_a_config_that_holds() {
        let folder = tempfile::tempdir().unwrap();
        let data = [folder.path().to_owned()];
        let options = TableOptions {
            seeds: 1,
            scale: 1.0,
            part: None,
            variants: Vec::new(),
            tasks: Vec::new(),
        };
        for paper in &PAPERS {
            let bench = Bench {
                paper,
                options: &options,
                seed: 0,
                root: folder.path().to_owned(),
                device: &Device::flex(),
                progress: &|_| (),
            };
            let check = |name: &str, stage: &Stage, init: Option<&Path>, model: &str| {
                let training = Training {
                    stage,
                    data: &data,
                    init,
                    model,
                    steps: stage.steps,
                };
                let config = bench.config(name, &training, 2000);
                let config = config.unwrap_or_else(|e| panic!("{} {name}: {e}", paper.system));
                assert_eq!(
                    (config.optim.steps, config.optim.lr),
                    (stage.steps, stage.lr),
                    "{name}"
                );
            };
            let begun = Some(folder.path());
            for stage in paper.base {
                check(stage.name, stage, stage.init.and(begun), "");
            }
            for variant in paper.variants {
                for stage in variant.stages {
                    check(variant.key, stage, stage.init.and(begun), variant.model);
                }
                let model = format!("{}{}", variant.model, variant.tuning);
                for task in paper
                    .tasks
                    .iter()
                    .filter(|task| variant.tasks.contains(&task.name))
                {
                    for stage in task.before.iter().chain(&task.tuning) {
                        check(&format!("{} {}", variant.key, task.name), stage, begun, &model);
                    }
                }
            }
        }
    }
}
