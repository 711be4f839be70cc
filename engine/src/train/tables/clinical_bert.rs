//! Clinical-BERT's ablations on phantoms (Yan and Pei 2022, Tables 3 to 5): reports by what was pre-trained, and the size K of the
//! sparse attention; beside them what the paper lacks, a model without pre-training and the image encoder alone.
//!
//! The first institution stands for MIMIC-CXR, on which all are pre-trained, the second for IU X-Ray, with a vocabulary of its own.
//! What the paper takes from elsewhere is made once a seed: an image encoder, trained on findings, stands for ImageNet's weights, and
//! a language model of the reports, without their images, for BERT-base. The encoder stays as it is after that: so few steps
//! would rather spoil it, and its maps are computed once.

use super::paper::{CHESTS, Claim, Domain, PaperTables, Stage, TableTask, Variant};
use crate::systems::Task;

const fn pretraining(objectives: &'static str) -> Stage {
    Stage {
        name: "pretraining",
        init: Some(("language", &[])),
        objectives,
        steps: 2000,
        ..Stage::PLAIN
    }
}

/// Clinical-BERT, pre-trained with all of its tasks.
const WHOLE: Variant = Variant {
    name: "+ CD + MMM + IMM, K = 4 of 16",
    key: "whole",
    apart: false,
    model: "matching.keep = 4\n",
    tuning: "diagnosis = \"cls\"\n",
    reading: "",
    of: None,
    stages: &[pretraining(ALL)],
    pretrained: "pretraining",
    tasks: &["generation", "diagnosis"],
};

const ALL: &str = "s2s = 1.0\nbi = 1.0\ncd = 1.0\nmmm = 1.0\nimm = 1.0";

/// What is pre-trained without image-MeSH matching.
macro_rules! without_matching {
    ($name:literal, $key:literal, $objectives:literal, $tasks:expr) => {
        Variant {
            name: $name,
            key: $key,
            model: "",
            stages: &[pretraining($objectives)],
            tasks: $tasks,
            ..WHOLE
        }
    };
}

/// Another K; of the paper's 49 regions 6, 8, 12, 16, 20 and 24 are 2, 3, 4, 5, 7 and 8 of 16.
macro_rules! keeping {
    ($name:literal, $key:literal, $model:literal, $apart:literal) => {
        Variant {
            name: $name,
            key: $key,
            apart: $apart,
            model: $model,
            tasks: &["generation"],
            ..WHOLE
        }
    };
}

const fn tuning(objectives: &'static str, model: &'static str, lr: f64, steps: usize) -> Stage {
    Stage {
        objectives,
        model,
        lr,
        steps,
        ..Stage::PLAIN
    }
}

const fn more(task: &'static str, column: &'static str, above: &'static str, below: &'static str) -> Claim {
    Claim {
        task,
        column,
        above,
        below,
    }
}

/// The tables.
pub const CLINICAL_BERT: PaperTables = PaperTables {
    system: "clinical-bert",
    preset: "tiny",
    model: "preprocessing = { size = 128, norm = \"per_image\" }\nmax_tokens = 90\n\
            image.densenet = { channels = 1, width = 16, growth = 8, depths = [2, 3, 4, 3] }\n\
            bert = { vocabulary = 900, width = 96, layers = 2, heads = 4, intermediate = 256, positions = 100, dropout = 0.0 }\n",
    queue: None,
    data: "own_words = true\n",
    optim: "batch = 16\nweight_decay = 0.01\n",
    size: 128,
    phantoms: &[(Domain::First, 2000), (Domain::Second, 400)],
    base: &[
        Stage {
            name: "encoder",
            backbone: true,
            objectives: "diagnosis = 1.0",
            model: "diagnosis = \"cells\"\n",
            lr: 3e-3,
            steps: 1500,
            ..Stage::PLAIN
        },
        Stage {
            name: "language",
            init: Some(("encoder", &["image"])),
            objectives: "language = 1.0",
            steps: 1500,
            ..Stage::PLAIN
        },
    ],
    variants: &[
        WHOLE,
        Variant {
            name: "+ CD + MMM + IMM, dense",
            key: "dense",
            // The preset's K goes only where the table says how many are kept: all of them are no choice.
            model: "matching.keep = 16\n",
            tasks: &["generation"],
            ..WHOLE
        },
        without_matching!(
            "+ CD + MMM",
            "mmm",
            "s2s = 1.0\nbi = 1.0\ncd = 1.0\nmmm = 1.0",
            &["generation"]
        ),
        without_matching!("+ CD", "cd", "s2s = 1.0\nbi = 1.0\ncd = 1.0", &["generation"]),
        without_matching!(
            "MLM only",
            "mlm",
            "s2s = 1.0\nbi = 1.0",
            &["generation", "diagnosis"]
        ),
        Variant {
            name: "No pre-training",
            key: "none",
            model: "",
            stages: &[],
            pretrained: "language",
            ..WHOLE
        },
        Variant {
            name: "DenseNet alone",
            key: "densenet",
            model: "",
            tuning: "diagnosis = \"cells\"\n",
            stages: &[],
            pretrained: "encoder",
            tasks: &["diagnosis"],
            ..WHOLE
        },
        keeping!("K = 2", "k-2", "matching.keep = 2\n", false),
        keeping!("K = 3", "k-3", "matching.keep = 3\n", true),
        keeping!("K = 5", "k-5", "matching.keep = 5\n", true),
        keeping!("K = 7", "k-7", "matching.keep = 7\n", true),
        keeping!("K = 8", "k-8", "matching.keep = 8\n", false),
    ],
    tasks: &[
        TableTask {
            name: "generation",
            task: Task::Draft,
            table: "4 and 5",
            domains: CHESTS,
            before: None,
            tuning: Some(tuning("report = 1.0", "", 1e-3, 600)),
            again: None,
            columns: &[
                ("bleu_1", false),
                ("bleu_2", false),
                ("bleu_4", false),
                ("rouge_l", false),
                ("cider", false),
                ("meteor", false),
                ("micro_f1", false),
                ("mesh_recall", false),
                ("mesh_area", true),
                ("length_distance", true),
            ],
        },
        TableTask {
            name: "diagnosis",
            task: Task::Findings,
            table: "3",
            domains: CHESTS,
            before: None,
            tuning: Some(tuning("diagnosis = 1.0", "", 5e-4, 300)),
            again: None,
            columns: &[("macro_auroc", false), ("micro_auroc", false)],
        },
    ],
    claims: &[
        more("generation", "bleu_1", "cd", "mlm"),
        more("generation", "bleu_1", "mmm", "cd"),
        more("generation", "bleu_1", "whole", "mmm"),
        more("generation", "bleu_1", "whole", "dense"),
        more("generation", "bleu_1", "whole", "k-2"),
        more("generation", "bleu_1", "k-8", "k-2"),
        more("generation", "bleu_1", "whole", "k-8"),
        more("generation", "cider", "cd", "mlm"),
        more("generation", "cider", "mmm", "cd"),
        more("generation", "cider", "whole", "dense"),
        more("generation", "micro_f1", "whole", "mlm"),
        more("generation", "mesh_recall", "whole", "mlm"),
        more("generation", "mesh_area", "dense", "whole"),
        more("generation", "length_distance", "mlm", "whole"),
        more("diagnosis", "macro_auroc", "whole", "mlm"),
        more("diagnosis", "macro_auroc", "whole", "densenet"),
    ],
};
