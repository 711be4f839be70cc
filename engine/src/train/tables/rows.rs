//! What the tables compare: variants are rows, tasks have columns.

use serde::Serialize;

use crate::systems::Task;

/// A variant of section 4.3, or an ablation of section 4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// As the tables name it.
    pub name: &'static str,
    /// As options and folders name it.
    pub key: &'static str,
    /// Made only where it is named: the others take an hour.
    pub apart: bool,
    /// The scheme of its pre-training; `None` for none.
    pub(super) scheme: Option<&'static str>,
    /// Visual tokens in pre-training, of 16.
    pub(super) sampled: usize,
    /// An image encoder of its own, as a line of the config's `model`; `None` for the one that all others
    /// share.
    pub(super) image: Option<&'static str>,
    /// More lines of the config's `model`.
    pub(super) model: &'static str,
    /// Tasks that it has a row for.
    pub(super) tasks: &'static [&'static str],
}

impl Variant {
    /// MedViLL under a scheme, or without pre-training.
    const fn of(name: &'static str, key: &'static str, scheme: Option<&'static str>) -> Self {
        let tasks = &["diagnosis", "retrieval", "vqa", "generation"];
        Self {
            name,
            key,
            apart: false,
            scheme,
            sampled: 11,
            image: None,
            model: "",
            tasks,
        }
    }
}

/// The rows of the tables: masking schemes and baselines, then what stands apart, the ablations of visual
/// features and TieNet. As R-101 has four times the third stage of R-50, so has the small one; D-121's blocks
/// are a third as deep.
pub const VARIANTS: [Variant; 11] = [
    Variant::of("MedViLL (BAR)", "bar", Some("bar")),
    Variant::of("Bi & S2S", "bi-s2s", Some("bi_and_seq2_seq")),
    Variant::of("Bi", "bi", Some("bi")),
    Variant::of("S2S", "s2s", Some("seq2_seq")),
    Variant::of("Non-crossing", "non-crossing", Some("non_crossing")),
    Variant::of("Fine-tuning only", "fine-tuning-only", None),
    Variant {
        model: "baseline = \"dual_encoder\"\n",
        tasks: &["diagnosis", "retrieval", "vqa"],
        ..Variant::of("CNN & Transformer", "cnn-transformer", None)
    },
    Variant {
        apart: true,
        sampled: 16,
        ..Variant::of("MedViLL, all features", "all-features", Some("bar"))
    },
    Variant {
        apart: true,
        image: Some("image = { channels = 1, width = 12, block = \"basic\", depths = [1, 1, 4, 1] }\n"),
        ..Variant::of("MedViLL, R-101", "r-101", Some("bar"))
    },
    Variant {
        apart: true,
        image: Some("densenet = { channels = 1, width = 16, growth = 8, depths = [2, 4, 8, 5] }\n"),
        ..Variant::of("MedViLL, D-121", "d-121", Some("bar"))
    },
    Variant {
        apart: true,
        model: "baseline = \"tienet\"\n",
        tasks: &["generation"],
        ..Variant::of("TieNet's writer", "tienet", None)
    },
];

/// A task with the columns of its table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TableTask {
    /// As the tables name it.
    pub name: &'static str,
    /// What is scored.
    pub task: Task,
    /// The paper's table.
    pub table: &'static str,
    pub(super) objectives: &'static str,
    /// Learning rate and steps of its fine-tuning on the first institution; on the second half as many.
    pub(super) rate: f64,
    pub(super) steps: usize,
    /// Score names, and whether less is better.
    pub columns: &'static [(&'static str, bool)],
}

/// The four tasks.
pub const TASKS: [TableTask; 4] = [
    TableTask {
        name: "diagnosis",
        task: Task::Findings,
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
        task: Task::Retrieve,
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
        task: Task::Vqa,
        table: "IV",
        objectives: "vqa = 1.0",
        rate: 1e-3,
        steps: 800,
        columns: &[
            ("accuracy_open", false),
            ("accuracy_closed", false),
            ("swapped_accuracy", false),
        ],
    },
    TableTask {
        name: "generation",
        task: Task::Draft,
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
