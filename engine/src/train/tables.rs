//! Small-scale versions of the papers' tables, on phantoms: variants of a system compared after the same trainings.
//!
//! Each variant is trained on a first institution and fine-tuned for each task on it and on a second one of other
//! patients, exposures and prose. Scores are those of 30 resamples, ten a seed with three seeds.

mod bench;
mod clinical_bert;
mod medvill;
mod paper;
mod render;
mod xvl;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::Serialize;

use super::error::{TrainError, io};
use crate::metrics::{TTest, t_test};
use crate::tasks::{EvaluateError, Spread};
use bench::Bench;

pub use paper::{PaperTables, TableTask, Variant};
pub use render::{markdown, svg};

/// The papers whose tables can be made.
pub static PAPERS: [PaperTables; 3] = [medvill::MEDVILL, clinical_bert::CLINICAL_BERT, xvl::XVL];

/// Each column's score, and its resamples.
type Scored = BTreeMap<String, (f64, Vec<f64>)>;

/// Resamples in all, over the seeds (MedViLL, section 4.2).
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
    /// Keys of the variants to compare; all that do not stand apart where it is empty.
    pub variants: Vec<String>,
    /// Names of the tasks; all where it is empty.
    pub tasks: Vec<String>,
}

impl TableOptions {
    /// Makes `out` the folder of these seeds and this scale, before parts are made in it: what is there
    /// already is not made again, so that another number of either would go unnoticed.
    ///
    /// # Errors
    /// When the folder holds tables of others, or cannot be written.
    pub fn claim(&self, out: &Path) -> Result<(), TableError> {
        let (kept, own) = (
            out.join("options.json"),
            serde_json::json!({ "seeds": self.seeds, "scale": self.scale }),
        );
        std::fs::create_dir_all(out).map_err(io("creating", out))?;
        if !kept.exists() {
            return Ok(std::fs::write(&kept, own.to_string()).map_err(io("writing", &kept))?);
        }
        let found = std::fs::read_to_string(&kept).map_err(io("reading", &kept))?;
        match serde_json::from_str::<serde_json::Value>(&found) {
            Ok(found) if found == own => Ok(()),
            _ => Err(TableError::Others {
                out: out.to_owned(),
                found,
                own: own.to_string(),
            }),
        }
    }

    /// The variants that are asked for, of the part that is.
    fn variants(&self, paper: &PaperTables) -> impl Iterator<Item = &'static Variant> {
        let of_part = |key: &str| {
            let part = self.part.as_ref();
            part.is_none_or(|part| part.variant.as_deref() == Some(key))
        };
        let asked = |variant: &Variant| {
            if self.variants.is_empty() {
                !variant.apart
            } else {
                self.variants.iter().any(|key| key == variant.key)
            }
        };
        let all = paper.variants.iter();
        all.filter(move |variant| asked(variant) && of_part(variant.key))
    }

    /// What processes can make beside each other: first the parts that all variants of a seed begin with,
    /// then the variants.
    pub fn parts(&self, paper: &PaperTables) -> [Vec<Part>; 2] {
        let seeds = 0..self.seeds;
        // What is read of another's runs waits for those.
        let variants = |seed| {
            self.variants(paper)
                .filter(|v| v.of.is_none())
                .map(move |v| Part {
                    seed,
                    variant: Some(v.key.to_owned()),
                })
        };
        [
            seeds.clone().map(|seed| Part { seed, variant: None }).collect(),
            seeds.flat_map(variants).collect(),
        ]
    }
}

/// What one process may make beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of this seed.
    pub seed: u64,
    /// The variant of this key, its pre-training and its tasks; `None`: phantoms and what all variants begin
    /// with.
    pub variant: Option<String>,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seed, self.variant.as_deref().unwrap_or(BASE))
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not SEED:{BASE} or SEED:VARIANT");
        let (seed, variant) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self {
            seed: seed.parse().map_err(|_| wrong())?,
            variant: (variant != BASE).then(|| variant.to_owned()),
        })
    }
}

/// How a part is called that is no variant.
const BASE: &str = "base";

/// One cell's resampled scores.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cell {
    /// Mean over all resamples.
    pub mean: f64,
    /// Their standard deviation.
    pub sd: f64,
    /// The score of each seed, not resampled.
    pub seeds: Vec<f64>,
    /// Against the first variant's, by resamples.
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

impl Tables {
    fn add(&mut self, institution: &str, task: &TableTask, variant: &Variant, scores: Scored) {
        let rows = self.cells.entry(institution.to_owned()).or_default();
        let rows = rows.entry(task.name.to_owned()).or_default();
        let row = rows.entry(variant.name.to_owned()).or_default();
        for (column, (value, values)) in scores {
            let cell = row.entry(column).or_default();
            cell.seeds.push(value);
            cell.values.extend(values);
        }
    }
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

/// Makes all tables of a paper in `out`: phantoms, runs, and what they score. What is there already is not made again.
///
/// # Errors
/// Whatever a training or an evaluation meets.
pub fn tables(
    paper: &PaperTables,
    options: TableOptions,
    out: &Path,
    device: &Device,
    progress: &dyn Fn(&str),
) -> Result<Tables, TableError> {
    let mut tables = Tables {
        seeds: options.seeds,
        scale: options.scale,
        ..Tables::default()
    };
    for seed in (0..options.seeds).filter(|seed| options.part.as_ref().is_none_or(|part| part.seed == *seed))
    {
        let bench = Bench {
            paper,
            options: &options,
            seed,
            root: out.join(format!("seed-{seed}")),
            device,
            progress,
        };
        bench.run(&mut tables)?;
    }
    let first = paper.variants[0].name;
    for tasks in tables.cells.values_mut() {
        for variants in tasks.values_mut() {
            let ours = variants.get(first).cloned().unwrap_or_default();
            for (variant, columns) in variants.iter_mut() {
                for (name, cell) in columns {
                    let spread = Spread::of(std::mem::take(&mut cell.values));
                    (cell.mean, cell.sd) = (spread.mean, spread.sd);
                    let own = ours.get(name).filter(|_| variant != first);
                    cell.against = own.and_then(|own| t_test(&own.values, &spread.values));
                }
            }
        }
    }
    Ok(tables)
}
