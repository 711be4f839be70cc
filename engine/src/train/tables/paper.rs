//! What the tables of a paper compare, as data: variants are rows, tasks have columns, and each row is a chain of
//! trainings.

use std::fmt;

use serde::Serialize;

use crate::systems::Task;

/// Whose phantoms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Domain {
    /// The first institution's chests, on which all are pre-trained.
    First,
    /// The second's: other patients, exposures and prose.
    Second,
    /// Abdomens.
    Abdomen,
}

/// Both institutions.
pub(super) const CHESTS: &[Domain] = &[Domain::First, Domain::Second];

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Abdomen => "abdomen",
        })
    }
}

/// The tables of one paper.
#[derive(Clone, Copy, Debug)]
pub struct PaperTables {
    /// The system, as configs name it.
    pub system: &'static str,
    /// The preset that the config's `model` begins with.
    pub(super) preset: &'static str,
    /// Lines of the config's `model` in all trainings.
    pub(super) model: &'static str,
    /// Features that are remembered in all trainings, or as many as there are studies to train on where those are fewer.
    pub(super) queue: Option<usize>,
    /// Lines of the config's `data` in all trainings.
    pub(super) data: &'static str,
    /// Lines of the config's `optim` in all trainings.
    pub(super) optim: &'static str,
    /// Side of the phantoms, in pixels.
    pub(super) size: usize,
    /// Phantoms for training; those of the first institution are among them.
    pub(super) phantoms: &'static [(Domain, usize)],
    /// What is made once a seed, in this order.
    pub(super) base: &'static [Stage],
    /// The rows; what the others are compared with comes first.
    pub variants: &'static [Variant],
    /// The tables.
    pub tasks: &'static [TableTask],
    /// Orderings of the paper that are looked for.
    pub(super) claims: &'static [Claim],
}

/// One row that the paper has above another in a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The table.
    pub(super) task: &'static str,
    /// The column.
    pub(super) column: &'static str,
    /// The key of the variant with the greater value.
    pub(super) above: &'static str,
    /// The key of the other.
    pub(super) below: &'static str,
}

impl PaperTables {
    /// The variant of a key.
    pub fn variant(&self, key: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.key == key)
    }
}

/// One training.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// As folders name it; a variant's stage follows the variant's key.
    pub(super) name: &'static str,
    /// Where it trains another system than the paper's: that one, its preset, and lines of its `model` in place of the paper's.
    pub(super) system: Option<[&'static str; 3]>,
    /// The stage that it begins with, and which parts of its weights are taken; all where none is named.
    pub(super) init: Option<(&'static str, &'static [&'static str])>,
    /// Whether the image encoder learns.
    pub(super) backbone: bool,
    /// Lines of the config's `objectives`.
    pub(super) objectives: &'static str,
    /// Lines of the config's `model`.
    pub(super) model: &'static str,
    /// Learning rate.
    pub(super) lr: f64,
    /// Steps, before scaling.
    pub(super) steps: usize,
}

impl Stage {
    /// Of the paper's system as it is, over an image encoder that stays as it is.
    pub(super) const PLAIN: Self = Self {
        name: "",
        system: None,
        init: None,
        backbone: false,
        objectives: "",
        model: "",
        lr: 1e-3,
        steps: 0,
    };
}

/// A row.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Variant {
    /// As the tables name it.
    pub name: &'static str,
    /// As options and folders name it.
    pub key: &'static str,
    /// Made only where it is named.
    pub apart: bool,
    /// Lines of the config's `model` in all of its trainings.
    #[serde(skip)]
    pub(super) model: &'static str,
    /// Lines of the config's `model` in its fine-tuning.
    #[serde(skip)]
    pub(super) tuning: &'static str,
    /// Lines of the config's `model` that are changed when its runs are scored, not when they are trained.
    #[serde(skip)]
    pub(super) reading: &'static str,
    /// The key of the variant whose runs are scored in its place, under `reading`; it trains nothing itself.
    #[serde(skip)]
    pub(super) of: Option<&'static str>,
    /// Its own trainings before fine-tuning, each after the one before or after one of the base.
    #[serde(skip)]
    pub(super) stages: &'static [Stage],
    /// The stage that fine-tuning begins with.
    #[serde(skip)]
    pub(super) pretrained: &'static str,
    /// Tasks that it has a row for.
    pub(super) tasks: &'static [&'static str],
}

/// A task with the columns of its table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TableTask {
    /// As the tables name it.
    pub name: &'static str,
    /// What is scored.
    pub task: Task,
    /// The paper's table.
    pub table: &'static str,
    /// Whose phantoms it is scored on.
    #[serde(skip)]
    pub(super) domains: &'static [Domain],
    /// Pre-training that goes on, on the phantoms of the task, before they are learned from; of variants that were pre-trained.
    #[serde(skip)]
    pub(super) before: Option<Stage>,
    /// Fine-tuning; in the second institution it takes half as many steps. `None`: what is pre-trained is scored as it is.
    #[serde(skip)]
    pub(super) tuning: Option<Stage>,
    /// How it is scored once more, if it is.
    #[serde(skip)]
    pub(super) again: Option<Again>,
    /// Score names, and whether less is better.
    pub columns: &'static [(&'static str, bool)],
}

/// A second way to score a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// By images whose reports say nothing, under names that begin with `image_`.
    ImageAlone,
    /// By the very partner of each query instead of one with its labels, under names that begin with `exact_`.
    Exact,
}

impl Again {
    /// What its scores' names begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::ImageAlone => "image_",
            Self::Exact => "exact_",
        }
    }
}
