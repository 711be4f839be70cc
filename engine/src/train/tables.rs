//! The papers' tables in small: MedViLL's masking schemes and baselines on phantoms (Moon et al. 2021, Tables II to V).
//!
//! What the paper takes from elsewhere is made once a seed: an image encoder, trained on findings, stands for ImageNet's weights
//! and stays as it is, as the release leaves it; a language model, trained on masked words of the reports without their
//! pictures, stands for BERT-base. Each variant is pre-trained over the two and fine-tuned for each task, on the institution of
//! its pre-training and on a second one of other patients, exposures and prose. Scores are those of 30 resamples, ten a seed
//! with three seeds.

mod render;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::Serialize;

use super::config::RunConfig;
use super::error::{TrainError, io};
use super::folder::{Run, Which};
use super::run::train;
use crate::data::phantom::Institution;
use crate::data::{Format, Layout, ReadOptions, Split, Study, WriteOptions, load, write_phantoms};
use crate::metrics::{TTest, t_test};
use crate::nn;
use crate::systems::medvill::MedVill;
use crate::tasks::{
    Cases, EvaluateError, Spread, evaluate_answers, evaluate_drafts, evaluate_findings, evaluate_retrieval, spreads,
};

pub use render::{markdown, svg};

/// Resamples in all, over the seeds (section 4.2).
const RESAMPLES: usize = 30;

/// How large the tables are.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// Seeds, each with phantoms and weights of its own.
    pub seeds: u64,
    /// Multiplies steps and phantoms; 1 is for two cores and an hour. Above 1 no more phantoms are tested.
    pub scale: f64,
    /// A part alone, for other processes to make the others.
    pub part: Option<Part>,
    /// Keys of the variants to compare; all where it is empty.
    pub variants: Vec<String>,
    /// Names of the tasks; all where it is empty.
    pub tasks: Vec<String>,
}

impl TableOptions {
    /// Makes `out` the folder of these seeds and this scale, before parts are made in it: what is there already is not made again,
    /// so that another number of either would go unnoticed.
    ///
    /// # Errors
    /// When the folder holds tables of others, or cannot be written.
    pub fn claim(&self, out: &Path) -> Result<(), TableError> {
        let (kept, own) = (out.join("options.json"), serde_json::json!({ "seeds": self.seeds, "scale": self.scale }));
        std::fs::create_dir_all(out).map_err(io("creating", out))?;
        if !kept.exists() {
            return Ok(std::fs::write(&kept, own.to_string()).map_err(io("writing", &kept))?);
        }
        let found = std::fs::read_to_string(&kept).map_err(io("reading", &kept))?;
        match serde_json::from_str::<serde_json::Value>(&found) {
            Ok(found) if found == own => Ok(()),
            _ => Err(TableError::Others { out: out.to_owned(), found, own: own.to_string() }),
        }
    }

    /// The variants that are asked for, of the part that is.
    fn variants(&self) -> impl Iterator<Item = &'static Variant> {
        let ours = |key: &str| self.part.is_none_or(|part| part.variant == Some(key));
        VARIANTS.iter().filter(move |v| asked(&self.variants, v.key) && ours(v.key))
    }

    /// What processes can make beside each other: first the parts that all variants of a seed begin with, then the variants.
    pub fn parts(&self) -> [Vec<Part>; 2] {
        let seeds = 0..self.seeds;
        let variants = |seed| self.variants().map(move |v| Part { seed, variant: Some(v.key) });
        [seeds.clone().map(|seed| Part { seed, variant: None }).collect(), seeds.flat_map(variants).collect()]
    }
}

fn asked(chosen: &[String], key: &str) -> bool {
    chosen.is_empty() || chosen.iter().any(|c| c == key)
}

/// What one process may make beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of this seed.
    pub seed: u64,
    /// The variant of this key, its pre-training and its tasks; `None`: phantoms and what all variants begin with.
    pub variant: Option<&'static str>,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seed, self.variant.unwrap_or(BASE))
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not SEED:{BASE} or SEED:VARIANT");
        let (seed, variant) = text.split_once(':').ok_or_else(wrong)?;
        let key = VARIANTS.iter().map(|v| v.key).find(|key| *key == variant);
        if key.is_none() && variant != BASE {
            return Err(wrong());
        }
        Ok(Self { seed: seed.parse().map_err(|_| wrong())?, variant: key })
    }
}

/// How a part is called that is no variant.
const BASE: &str = "base";

/// A variant of section 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// As the tables name it.
    pub name: &'static str,
    /// As options and folders name it.
    pub key: &'static str,
    /// The scheme of its pre-training; `None` for none.
    scheme: Option<&'static str>,
    towers: bool,
}

/// The rows of the tables.
pub const VARIANTS: [Variant; 7] = [
    Variant { name: "MedViLL (BAR)", key: "bar", scheme: Some("bar"), towers: false },
    Variant { name: "Bi & S2S", key: "bi-s2s", scheme: Some("bi_and_seq2_seq"), towers: false },
    Variant { name: "Bi", key: "bi", scheme: Some("bi"), towers: false },
    Variant { name: "S2S", key: "s2s", scheme: Some("seq2_seq"), towers: false },
    Variant { name: "Non-crossing", key: "non-crossing", scheme: Some("non_crossing"), towers: false },
    Variant { name: "Fine-tuning only", key: "fine-tuning-only", scheme: None, towers: false },
    Variant { name: "CNN & Transformer", key: "cnn-transformer", scheme: None, towers: true },
];

/// A task with the columns of its table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TableTask {
    /// As the tables name it.
    pub name: &'static str,
    /// The paper's table.
    pub table: &'static str,
    objectives: &'static str,
    /// Learning rate and steps of its fine-tuning on the first institution; on the second half as many.
    rate: f64,
    steps: usize,
    /// Score names, and whether less is better.
    pub columns: &'static [(&'static str, bool)],
}

/// The four tasks.
pub const TASKS: [TableTask; 4] = [
    TableTask {
        name: "diagnosis",
        table: "II",
        objectives: "diagnosis = 1.0\ndiagnosis_image = 1.0",
        rate: 1e-3,
        steps: 600,
        columns: &[
            ("micro_auroc", false),
            ("micro_f1_14", false),
            ("image_micro_auroc", false),
            ("image_micro_f1_14", false),
        ],
    },
    TableTask {
        name: "retrieval",
        table: "III",
        objectives: "pairs = 1.0",
        rate: 5e-4,
        steps: 500,
        columns: &[
            ("image_to_report_hit_at_5", false),
            ("image_to_report_mrr", false),
            ("report_to_image_hit_at_5", false),
            ("report_to_image_mrr", false),
        ],
    },
    TableTask {
        name: "vqa",
        table: "IV",
        objectives: "vqa = 1.0",
        rate: 1e-3,
        steps: 800,
        columns: &[("accuracy_open", false), ("accuracy_closed", false), ("swapped_accuracy", false)],
    },
    TableTask {
        name: "generation",
        table: "V",
        objectives: "report = 1.0",
        rate: 1e-3,
        steps: 400,
        columns: &[
            ("perplexity", true),
            ("bleu_4", false),
            ("precision", false),
            ("recall", false),
            ("micro_f1", false),
        ],
    },
];

/// One cell's resampled scores.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cell {
    /// Mean over all resamples.
    pub mean: f64,
    /// Their standard deviation.
    pub sd: f64,
    /// The score of each seed, not resampled.
    pub seeds: Vec<f64>,
    /// Against MedViLL's, by resamples.
    pub against: Option<TTest>,
    #[serde(skip)]
    values: Vec<f64>,
}

/// A row's cells by column.
pub type Row = BTreeMap<String, Cell>;
/// A table's rows by variant.
pub type Rows = BTreeMap<String, Row>;

/// All tables: institution, task, variant, column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tables {
    /// The cells.
    pub cells: BTreeMap<String, BTreeMap<String, Rows>>,
    /// Seeds.
    pub seeds: u64,
    /// What multiplied steps and phantoms.
    pub scale: f64,
}

/// Why tables were not made.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The folder is another's.
    #[error("{} holds tables of {found}, not of {own}; name another folder or delete it", out.display())]
    Others {
        /// The folder.
        out: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it was to be.
        own: String,
    },
    /// An evaluation failed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

impl From<crate::data::DataError> for TableError {
    fn from(error: crate::data::DataError) -> Self {
        Self::Train(error.into())
    }
}

/// Sizes of the model that the tables compare: `tiny` with a picture of 128 px and 16 visual tokens, which carry what the image
/// encoder reads of findings, since so few steps hardly teach a transformer to read them off the map.
const MODEL: &str = "size = 128\nwords = 70\nstandardise = true\nmap_findings = true\nfindings_projection = true\nown_grid = true\n\
                     image = { channels = 1, width = 12, block = \"basic\", depths = [1, 1, 1, 1] }\n\
                     bert = { vocabulary = 700, width = 96, layers = 2, heads = 4, intermediate = 256, positions = 96, dropout = 0.0 }\n";

/// Makes all tables in `out`: phantoms, runs, and what they score. What is there already is not made again.
///
/// # Errors
/// Whatever a training or an evaluation meets.
pub fn tables(
    options: TableOptions,
    out: &Path,
    device: &Device,
    progress: &dyn Fn(&str),
) -> Result<Tables, TableError> {
    let mut tables = Tables { seeds: options.seeds, scale: options.scale, ..Tables::default() };
    for seed in (0..options.seeds).filter(|seed| options.part.is_none_or(|part| part.seed == *seed)) {
        let bench = Bench { options: &options, seed, root: out.join(format!("seed-{seed}")), device, progress };
        bench.run(&mut tables)?;
    }
    for tasks in tables.cells.values_mut() {
        for variants in tasks.values_mut() {
            let ours = variants.get(VARIANTS[0].name).cloned().unwrap_or_default();
            for (variant, columns) in variants.iter_mut() {
                for (name, cell) in columns {
                    let spread = Spread::of(std::mem::take(&mut cell.values));
                    (cell.mean, cell.sd) = (spread.mean, spread.sd);
                    let own = ours.get(name).filter(|_| variant != VARIANTS[0].name);
                    cell.against = own.and_then(|own| t_test(&own.values, &spread.values));
                }
            }
        }
    }
    Ok(tables)
}

/// Each column's score, and its resamples.
type Scored = BTreeMap<String, (f64, Vec<f64>)>;

/// One training of the tables.
#[derive(Clone, Copy)]
struct Training<'a> {
    data: &'a [PathBuf],
    /// What it begins with, and whether it takes the image encoder alone; it is trained only where nothing is given.
    init: Option<(&'a Path, bool)>,
    objectives: &'a str,
    /// Lines of the config's `model`.
    model: &'a str,
    rate: f64,
    /// Before scaling.
    steps: usize,
}

/// The work of one seed.
struct Bench<'a> {
    options: &'a TableOptions,
    seed: u64,
    root: PathBuf,
    device: &'a Device,
    progress: &'a dyn Fn(&str),
}

impl Bench<'_> {
    fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.options.scale).round() as usize).max(1)
    }

    fn run(&self, tables: &mut Tables) -> Result<(), TableError> {
        let first = self.phantoms(Institution::First, 3000)?;
        let second = self.phantoms(Institution::Second, 400)?;
        let training =
            Training { data: &first, init: None, objectives: "findings = 1.0", model: "", rate: 3e-3, steps: 1500 };
        let encoder = self.train("encoder", &training)?;
        // Text that sees text alone, whatever picture stands beside it.
        let language = Training {
            init: Some((&encoder, true)),
            objectives: "mlm = 1.0",
            model: "scheme = \"non_crossing\"",
            rate: 2e-3,
            steps: 1800,
            ..training
        };
        let language = self.train("language", &language)?;
        for variant in self.options.variants() {
            let key = variant.key;
            let pretrained = match variant.scheme {
                Some(scheme) => {
                    let pretraining = Training {
                        init: Some((&language, false)),
                        objectives: "mlm = 1.0\nitm = 1.0",
                        model: &format!("scheme = \"{scheme}\"\nsampled = 11\nmlm_on_strangers = false"),
                        rate: 1e-3,
                        steps: 1200,
                        ..training
                    };
                    self.train(&format!("{key}-pretraining"), &pretraining)?
                }
                None => language.clone(),
            };
            for (institution, data, part) in [("first", &first, 1), ("second", &second, 2)] {
                for task in TASKS.into_iter().filter(|t| asked(&self.options.tasks, t.name)) {
                    if variant.towers && task.name == "generation" {
                        continue;
                    }
                    let towers = if variant.towers { "towers = true\n" } else { "" };
                    let tuning = Training {
                        data,
                        init: Some((&pretrained, false)),
                        objectives: task.objectives,
                        model: &format!(
                            "{towers}diagnosis = {}\nanswer_softmax = true\nsampled = 16",
                            task.name == "diagnosis"
                        ),
                        rate: task.rate,
                        steps: task.steps / part,
                    };
                    let run = self.train(&format!("{key}-{institution}-{}", task.name), &tuning)?;
                    let scores = self.score(&run, data, task)?;
                    let cells = tables.cells.entry(institution.to_owned()).or_default();
                    let cells =
                        cells.entry(task.name.to_owned()).or_default().entry(variant.name.to_owned()).or_default();
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

    /// Phantoms of an institution: so many for training, 64 for validation, 200 for tests, fewer where all is scaled down.
    fn phantoms(&self, institution: Institution, count: usize) -> Result<Vec<PathBuf>, TableError> {
        let mut roots = Vec::new();
        let few = |count: usize| self.scaled(count).clamp(16, count);
        for (number, (split, count)) in
            [(Split::Train, self.scaled(count)), (Split::Validate, few(64)), (Split::Test, few(200))]
                .into_iter()
                .enumerate()
        {
            let root = self.root.join(format!("{institution}-{split}"));
            if !root.is_dir() {
                (self.progress)(&format!("seed {}: {count} phantoms of institution {institution}, {split}", self.seed));
                let seed = 50_000_000
                    + self.seed * 1_000_000
                    + number as u64 * 200_000
                    + if institution == Institution::Second { 100_000 } else { 0 };
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
        let Training { data: roots, init, objectives, model, rate, .. } = *training;
        let steps = self.scaled(training.steps);
        let from = init.map_or(String::new(), |(init, image_only)| {
            format!("init = {init:?}\n{}", if image_only { "init_only = [\"image\", \"map_findings\"]\n" } else { "" })
        });
        let image_rate = if init.is_some() { "image_rate = 0.0\n" } else { "" };
        let text = format!(
            "system = \"medvill\"\npreset = \"tiny\"\nout = {out:?}\nseed = {seed}\ncheckpoint_every = {steps}\n{from}\
             [model]\n{MODEL}{model}\n[data]\nroots = {roots:?}\ncache = {cache:?}\nby_question = {by_question}\n\
             [objectives]\n{objectives}\n[optim]\nrate = {rate:?}\n{image_rate}weight_decay = 0.01\nbatch = 16\nsteps = {steps}\n",
            seed = self.seed,
            cache = self.root.join("cache"),
            by_question = objectives.contains("vqa"),
        );
        let wrong = |e: toml::de::Error| TrainError::Config { path: out.clone(), reason: e.to_string() };
        let config: RunConfig = toml::from_str(&text).map_err(wrong)?;
        (self.progress)(&format!("seed {}: {name}, {steps} steps", self.seed));
        train(&config, &self.studies(roots)?, &[], self.device, true, &|| false, &|_| ())?;
        Ok(out)
    }

    /// What a run scores in a task; kept beside the run.
    fn score(&self, run: &Path, roots: &[PathBuf], task: TableTask) -> Result<Scored, TableError> {
        let kept = run.join("scores.json");
        if let Some(scores) = std::fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(scores);
        }
        let opened = Run::open(run, Which::Newest)?;
        let tokenizer = Run::tokenizer(run)?;
        let model = MedVill::new(&opened.sizes()?, self.device).map_err(TrainError::from)?;
        let model = nn::load(model, &opened.weights, self.device, false).map_err(TrainError::from)?;
        let studies: Vec<Study> = self.studies(roots)?.into_iter().filter(|s| s.split == Split::Test).collect();
        let device = self.device;
        let mut all: Vec<(&str, Box<dyn Cases>)> = Vec::new();
        match task.name {
            "diagnosis" => {
                // The head on CLS either way: a picture alone is one whose report says nothing.
                let alone = studies.iter().cloned().map(|study| Study { report: Default::default(), ..study });
                for (prefix, studies) in [("", studies.clone()), ("image_", alone.collect())] {
                    let none = Default::default();
                    let read = evaluate_findings(&model, &tokenizer, &studies, true, none, device, |_| ());
                    all.push((prefix, Box::new(pollster::block_on(read)?)));
                }
            }
            "retrieval" => {
                let ranked = evaluate_retrieval(&model, &tokenizer, &studies, 100, 40, self.seed, device, |_| ());
                all.push(("", Box::new(pollster::block_on(ranked)?)));
            }
            "vqa" => {
                let known = Run::answers(run)?;
                let answered = evaluate_answers(&model, &tokenizer, &known, &studies, device, |_| ());
                all.push(("", Box::new(pollster::block_on(answered)?)));
            }
            _ => {
                let drafted = evaluate_drafts(&model, &tokenizer, &studies, device, |_| ());
                all.push(("", Box::new(pollster::block_on(drafted)?)));
            }
        }
        let resamples = RESAMPLES / self.options.seeds.max(1) as usize;
        let mut scores = BTreeMap::new();
        for (prefix, cases) in all {
            let whole = cases.all();
            for (name, spread) in spreads(cases.as_ref(), resamples.max(2), self.seed) {
                let name = format!("{prefix}{name}");
                if let (true, Some(value)) =
                    (task.columns.iter().any(|c| c.0 == name), whole.get(&name[prefix.len()..]))
                {
                    scores.insert(name, (*value, spread.values));
                }
            }
        }
        let text = serde_json::to_vec(&scores).unwrap_or_default();
        std::fs::write(&kept, text).map_err(io("writing", &kept))?;
        Ok(scores)
    }
}
