//! The work of one seed: phantoms, what stands for ImageNet's weights and BERT-base, each variant's
//! trainings, what they score.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::super::begin::train;
use super::super::config::RunConfig;
use super::super::error::{TrainError, io};
use super::super::folder::{Run, Which};
use super::rows::{TASKS, TableTask, Variant};
use super::{Cell, RESAMPLES, TableError, TableOptions, Tables};
use crate::bundle::{Label, Manifest, load_model};
use crate::data::phantom::Institution;
use crate::data::{Format, Layout, ReadOptions, Split, Study, WriteOptions, load, write_phantoms};
use crate::systems::Task;
use crate::tasks::{Cases, EvaluateOptions, Session, evaluate, spreads};
use crate::text::{LabelSet, Specials, Tokenizer};

/// Sizes of the model that the tables compare: `tiny` with a picture of 128 px and 16 visual tokens, which
/// carry what the image encoder reads of findings, since so few steps hardly teach a transformer to read them
/// off the map.
const MODEL: &str = "preprocessing = { size = 128, norm = \"per_image\" }\nmax_tokens = 70\n\
                     ours = { findings_head = true, global_prior = true, grid_positions = true }\n\
                     bert = { vocabulary = 700, width = 96, layers = 2, heads = 4, intermediate = 256, positions = 96, dropout = 0.0 }\n";

/// The image encoder that the variants share.
const RESNET: &str = "image = { channels = 1, width = 12, block = \"basic\", depths = [1, 1, 1, 1] }\n";

/// What stands for ImageNet's weights, and for BERT-base's.
const FROM_IMAGES: &[&str] = &["image", "map_findings"];
const FROM_TEXT: &[&str] = &["text", "encoder", "pooler", "mlm"];

/// Each column's score, and its resamples.
type Scored = BTreeMap<String, (f64, Vec<f64>)>;

/// One training of the tables.
#[derive(Clone, Copy)]
struct Training<'a> {
    data: &'a [PathBuf],
    /// What it begins with, and which parts of it are taken; all of them where none is named.
    init: Option<(&'a Path, &'static [&'static str])>,
    /// Whether the image encoder learns.
    sees: bool,
    /// The image encoder, a line of the config's `model`.
    image: &'static str,
    objectives: &'a str,
    /// More lines of the config's `model`.
    model: &'a str,
    rate: f64,
    /// Before scaling.
    steps: usize,
}

/// The work of one seed.
pub(super) struct Bench<'a> {
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
        let first = self.phantoms(Institution::First, 3000)?;
        let second = self.phantoms(Institution::Second, 400)?;
        let seeing = Training {
            data: &first,
            init: None,
            sees: true,
            image: RESNET,
            objectives: "findings = 1.0",
            model: "",
            rate: 3e-3,
            steps: 1500,
        };
        let encoder = self.train("encoder", &seeing)?;
        // Text that sees text alone, whatever picture stands beside it.
        let language = Training {
            init: Some((&encoder, FROM_IMAGES)),
            sees: false,
            objectives: "mlm = 1.0",
            model: "scheme = \"non_crossing\"",
            rate: 2e-3,
            steps: 1800,
            ..seeing
        };
        let language = self.train("language", &language)?;
        for variant in self.options.variants() {
            let key = variant.key;
            let image = variant.image.unwrap_or(RESNET);
            let begun = match variant.image {
                Some(image) => {
                    let own = Training {
                        init: Some((&language, FROM_TEXT)),
                        image,
                        ..seeing
                    };
                    self.train(&format!("{key}-encoder"), &own)?
                }
                None => language.clone(),
            };
            let pretrained = match variant.scheme {
                Some(scheme) => {
                    let sampled = variant.sampled;
                    let pretraining = Training {
                        init: Some((&begun, &[])),
                        sees: false,
                        image,
                        objectives: "mlm = 1.0\nitm = 1.0",
                        model: &format!(
                            "scheme = \"{scheme}\"\nsampled = {sampled}\nmlm_on_negatives = false"
                        ),
                        rate: 1e-3,
                        steps: 1200,
                        ..seeing
                    };
                    self.train(&format!("{key}-pretraining"), &pretraining)?
                }
                None => begun,
            };
            for (institution, data, part) in [("first", &first, 1), ("second", &second, 2)] {
                for task in TASKS.into_iter().filter(|task| self.asked(variant, task)) {
                    let tuning = Training {
                        data,
                        init: Some((&pretrained, &[])),
                        sees: false,
                        image,
                        objectives: task.objectives,
                        model: &format!(
                            "{}diagnosis = {}\nanswer_softmax = true\nsampled = 16",
                            variant.model,
                            task.task == Task::Findings
                        ),
                        rate: task.rate,
                        steps: task.steps / part,
                    };
                    let run = self.train(&format!("{key}-{institution}-{}", task.name), &tuning)?;
                    let scores = self.score(&run, data, task)?;
                    let cells = tables.cells.entry(institution.to_owned()).or_default();
                    let cells = cells
                        .entry(task.name.to_owned())
                        .or_default()
                        .entry(variant.name.to_owned())
                        .or_default();
                    for (column, (value, values)) in scores {
                        let cell: &mut Cell = cells.entry(column).or_default();
                        cell.seeds.push(value);
                        cell.values.extend(values);
                    }
                }
            }
        }
        Ok(())
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
                    size: 128,
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
        let Training {
            data: roots,
            init,
            image,
            objectives,
            model,
            rate,
            ..
        } = *training;
        let steps = self.scaled(training.steps);
        let from = init.map_or(String::new(), |(init, parts)| {
            format!("init = {init:?}\ninit_only = {parts:?}\n")
        });
        let image_rate = if training.sees { "" } else { "backbone_lr = 0.0\n" };
        let text = format!(
            "system = \"medvill\"\npreset = \"tiny\"\nout = {out:?}\nseed = {seed}\ncheckpoint_every = {steps}\n{from}\
             [model]\n{MODEL}{image}{model}\n[data]\nroots = {roots:?}\ncache = {cache:?}\nquestions = 4\n\
             [objectives]\n{objectives}\n[optim]\nlr = {rate:?}\n{image_rate}weight_decay = 0.01\nbatch = 16\nsteps = {steps}\n",
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
    fn score(&self, run: &Path, roots: &[PathBuf], task: TableTask) -> Result<Scored, TableError> {
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
        if task.task == Task::Findings {
            // The head on CLS either way: an image alone is one whose report says nothing.
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
                if let (true, Some(value)) = (
                    task.columns.iter().any(|c| c.0 == name),
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
