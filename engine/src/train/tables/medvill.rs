//! MedViLL's masking schemes and baselines on phantoms (Moon et al. 2021, Tables II to V), and the ablations of
//! section 4.4.
//!
//! What the paper takes from elsewhere is made once a seed: an image encoder, trained on findings, stands for
//! ImageNet's weights and stays as it is, as the release leaves it; a language model, trained on masked words
//! of the reports without their pictures, stands for BERT-base. Each variant is pre-trained over the two and
//! fine-tuned for each task.

use super::paper::{Again, CHESTS, Domain, PaperTables, Stage, TableTask, Variant};
use crate::systems::Task;

/// The image encoder that the variants share, a quarter of R-50's width and depth.
const R50: &str = "image = { channels = 1, width = 12, block = \"basic\", depths = [1, 1, 1, 1] }\n";
/// As R-101 has four times the third stage of R-50, so has the small one.
const R101: &str = "image = { channels = 1, width = 12, block = \"basic\", depths = [1, 1, 4, 1] }\n";
/// D-121's blocks are a third as deep.
const D121: &str = "densenet = { channels = 1, width = 16, growth = 8, depths = [2, 4, 8, 5] }\n";

/// What stands for ImageNet's weights, and for BERT-base's.
const FROM_IMAGES: &[&str] = &["image", "map_findings"];
const FROM_TEXT: &[&str] = &["text", "encoder", "pooler", "mlm"];

const ENCODER: Stage = Stage {
    name: "encoder",
    backbone: true,
    objectives: "findings = 1.0",
    lr: 3e-3,
    steps: 1500,
    ..Stage::PLAIN
};

/// Pre-training on so many of 16 visual tokens; on a variant's own encoder where it has one.
const fn pretraining(model: &'static str) -> Stage {
    Stage {
        name: "pretraining",
        init: Some(("language", &[])),
        objectives: "mlm = 1.0\nitm = 1.0",
        model,
        steps: 1200,
        ..Stage::PLAIN
    }
}

/// Fine-tuning for a task.
const fn tuning(objectives: &'static str, model: &'static str, lr: f64, steps: usize) -> Stage {
    Stage {
        objectives,
        model,
        lr,
        steps,
        ..Stage::PLAIN
    }
}

/// MedViLL without pre-training.
const PLAIN: Variant = Variant {
    name: "Fine-tuning only",
    key: "fine-tuning-only",
    apart: false,
    model: R50,
    tuning: "",
    reading: "",
    of: None,
    stages: &[],
    pretrained: "language",
    tasks: &["diagnosis", "retrieval", "vqa", "generation"],
};

/// MedViLL pre-trained under a scheme.
macro_rules! scheme {
    ($name:literal, $key:literal, $scheme:literal) => {
        Variant {
            name: $name,
            key: $key,
            stages: &[pretraining(concat!(
                "scheme = \"",
                $scheme,
                "\"\nsampled = 11\nmlm_on_negatives = false\n"
            ))],
            pretrained: "pretraining",
            ..PLAIN
        }
    };
}

/// BAR over all 16 visual tokens.
const BAR_ALL: &str = "scheme = \"bar\"\nsampled = 16\nmlm_on_negatives = false\n";
const BAR: &str = "scheme = \"bar\"\nsampled = 11\nmlm_on_negatives = false\n";

/// BAR over an image encoder of its own, which is trained as the shared one is and meets its language model.
const OWN_ENCODER: &[Stage] = &[
    Stage {
        init: Some(("language", FROM_TEXT)),
        ..ENCODER
    },
    Stage {
        init: Some(("encoder", &[])),
        ..pretraining(BAR)
    },
];

/// The tables. `tiny` has a picture of 128 px and 16 visual tokens here, which carry what the image encoder reads of
/// findings, since so few steps hardly teach a transformer to read them off the map.
pub const MEDVILL: PaperTables = PaperTables {
    system: "medvill",
    preset: "tiny",
    model: "preprocessing = { size = 128, norm = \"per_image\" }\nmax_tokens = 70\n\
            ours = { findings_head = true, global_prior = true, grid_positions = true }\n\
            bert = { vocabulary = 700, width = 96, layers = 2, heads = 4, intermediate = 256, positions = 96, dropout = 0.0 }\n",
    queue: None,
    data: "",
    optim: "batch = 16\nweight_decay = 0.01\n",
    size: 128,
    phantoms: &[(Domain::First, 3000), (Domain::Second, 400)],
    base: &[
        Stage {
            model: R50,
            ..ENCODER
        },
        // Text that sees text alone, whatever picture stands beside it.
        Stage {
            name: "language",
            init: Some(("encoder", FROM_IMAGES)),
            objectives: "mlm = 1.0",
            model: "image = { channels = 1, width = 12, block = \"basic\", depths = [1, 1, 1, 1] }\nscheme = \"non_crossing\"\n",
            lr: 2e-3,
            steps: 1800,
            ..Stage::PLAIN
        },
    ],
    variants: &[
        scheme!("MedViLL (BAR)", "bar", "bar"),
        scheme!("Bi & S2S", "bi-s2s", "bi_and_seq2_seq"),
        scheme!("Bi", "bi", "bi"),
        scheme!("S2S", "s2s", "seq2_seq"),
        scheme!("Non-crossing", "non-crossing", "non_crossing"),
        PLAIN,
        Variant {
            name: "CNN & Transformer",
            key: "cnn-transformer",
            tuning: "baseline = \"dual_encoder\"\n",
            tasks: &["diagnosis", "retrieval", "vqa"],
            ..PLAIN
        },
        Variant {
            name: "MedViLL, all features",
            key: "all-features",
            apart: true,
            stages: &[pretraining(BAR_ALL)],
            pretrained: "pretraining",
            ..PLAIN
        },
        Variant {
            name: "MedViLL, R-101",
            key: "r-101",
            apart: true,
            model: R101,
            stages: OWN_ENCODER,
            pretrained: "pretraining",
            ..PLAIN
        },
        Variant {
            name: "MedViLL, D-121",
            key: "d-121",
            apart: true,
            model: D121,
            stages: OWN_ENCODER,
            pretrained: "pretraining",
            ..PLAIN
        },
        Variant {
            name: "TieNet's writer",
            key: "tienet",
            apart: true,
            tuning: "baseline = \"tienet\"\n",
            tasks: &["generation"],
            ..PLAIN
        },
    ],
    tasks: &[
        TableTask {
            name: "diagnosis",
            task: Task::Findings,
            table: "II",
            domains: CHESTS,
            before: None,
            tuning: Some(tuning(
                "diagnosis = 1.0\ndiagnosis_image = 1.0",
                "answer_softmax = true\nsampled = 16\ndiagnosis = true",
                1e-3,
                600,
            )),
            // The head on CLS reads image and report, or the image alone.
            again: Some(Again::ImageAlone),
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
            domains: CHESTS,
            before: None,
            tuning: Some(tuning(
                "pairs = 1.0",
                "answer_softmax = true\nsampled = 16",
                5e-4,
                500,
            )),
            again: None,
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
            domains: CHESTS,
            before: None,
            tuning: Some(tuning(
                "vqa = 1.0",
                "answer_softmax = true\nsampled = 16",
                1e-3,
                800,
            )),
            again: None,
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
            domains: CHESTS,
            before: None,
            tuning: Some(tuning(
                "report = 1.0",
                "answer_softmax = true\nsampled = 16",
                1e-3,
                400,
            )),
            again: None,
            columns: &[
                ("perplexity", true),
                ("bleu_4", false),
                ("precision", false),
                ("recall", false),
                ("micro_f1", false),
            ],
        },
    ],
    claims: &[],
};
