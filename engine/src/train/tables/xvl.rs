//! Medical X-VL's ablations and comparisons on phantoms (Park et al. 2022, Tables 1 to 4 and 6, Figure 4).
//!
//! The first institution stands for MIMIC-CXR, on which all are pre-trained; the second has other patients, exposures and prose; the
//! second domain is the abdomen. What the paper takes from elsewhere is made once a seed: MedViLL's small ResNet, trained on findings and
//! their sides, stays as it is under all of them, so that its maps are computed once; a ViT over it that tells the same stands for ImageNet's
//! weights, and a model of the reports, without their images, for BERT-base. Phantoms' reports are often each other's equals, and the likest of a
//! batch most of all: hard negatives of matching are mostly no negatives, so they have a row of their own and the other rows draw theirs with
//! equal chances. Table 5 needs films of several collections and is not among them.

use super::paper::{Again, CHESTS, Claim, Domain, PaperTables, Stage, TableTask, Variant};
use crate::systems::Task;

const fn pretraining(objectives: &'static str) -> Stage {
    Stage {
        name: "pretraining",
        init: Some(("language", &[])),
        objectives,
        steps: 700,
        ..Stage::PLAIN
    }
}

const fn tuning(objectives: &'static str, model: &'static str, steps: usize) -> Stage {
    Stage {
        objectives,
        model,
        steps,
        ..Stage::PLAIN
    }
}

const ALL: &str = "contrast = 1.0\nitm = 1.0\nmlm = 1.0\nmim = 1.0";

/// The proposed model.
const WHOLE: Variant = Variant {
    name: "Medical X-VL",
    key: "whole",
    apart: false,
    model: "",
    tuning: "",
    reading: "",
    of: None,
    stages: &[pretraining(ALL)],
    pretrained: "pretraining",
    tasks: &["retrieval", "check", "generation", "vqa", "abdomen"],
};

/// A row of Table 1 that is a training of its own.
macro_rules! without {
    ($name:literal, $key:literal, $model:literal, $objectives:expr) => {
        Variant {
            name: $name,
            key: $key,
            model: $model,
            stages: &[pretraining($objectives)],
            tasks: &["retrieval", "check"],
            ..WHOLE
        }
    };
}

/// A row of Table 1 that reads the whole model by one path.
macro_rules! by_path {
    ($name:literal, $key:literal, $reading:literal) => {
        Variant {
            name: $name,
            key: $key,
            reading: $reading,
            of: Some("whole"),
            tasks: &["retrieval", "check"],
            ..WHOLE
        }
    };
}

/// What ALBEF (Li et al. 2021) has of it: one path, no masked images, no keywords; TCL (Yang et al. 2022) adds contrast within each modality.
const ALBEF: &str = "paths = \"text\"\nkeyword = 1.0\ncontrast.intra = false\n";
const TCL: &str = "paths = \"text\"\nkeyword = 1.0\n";
/// CoCa (Yu et al. 2022) compares features and writes captions, without a teacher.
const COCA: &str = "paths = \"neither\"\nkeyword = 1.0\ncontrast.intra = false\ncontrast.lambda = 0.0\n";

const fn more(task: &'static str, column: &'static str, above: &'static str, below: &'static str) -> Claim {
    Claim {
        task,
        column,
        above,
        below,
    }
}

const WRITTEN: &[(&str, bool)] = &[
    ("bleu_4", false),
    ("meteor", false),
    ("rouge_l", false),
    ("cider", false),
    ("precision", false),
    ("recall", false),
    ("micro_f1", false),
    ("different_drafts", false),
];

/// The tables.
pub const XVL: PaperTables = PaperTables {
    system: "xvl",
    preset: "demo",
    model: "preprocessing.size = 128\nvit = { size = 4, width = 96 }\nmax_tokens = 90\nmasked = 0.3\nhard_negatives = false\ndiagnosis = true\nsides = true\n\
            bert = { vocabulary = 900, width = 96, intermediate = 256, positions = 100, dropout = 0.0 }\n",
    queue: Some(512),
    data: "",
    optim: "batch = 16\nweight_decay = 0.01\nema = 0.99\n",
    size: 128,
    phantoms: &[
        (Domain::First, 2000),
        (Domain::Second, 400),
        (Domain::Abdomen, 400),
    ],
    base: &[
        Stage {
            name: "encoder",
            system: Some(["medvill", "demo", "preprocessing.size = 128\nsampled = 16\n"]),
            backbone: true,
            objectives: "findings = 1.0",
            lr: 2e-3,
            steps: 1300,
            ..Stage::PLAIN
        },
        Stage {
            name: "language",
            init: Some(("encoder", &["image"])),
            objectives: "diagnosis = 5.0\nlanguage = 1.0",
            lr: 2e-3,
            steps: 900,
            ..Stage::PLAIN
        },
    ],
    variants: &[
        WHOLE,
        without!(
            "w/o alternating encoder",
            "alternating",
            "alternating = false\n",
            ALL
        ),
        by_path!("Text path alone", "text-path", "paths = \"text\"\n"),
        by_path!("Image path alone", "image-path", "paths = \"image\"\n"),
        without!("w/o contrast", "contrast", "", "itm = 1.0\nmlm = 1.0\nmim = 1.0"),
        without!("w/o MLM", "mlm", "", "contrast = 1.0\nitm = 1.0\nmim = 1.0"),
        without!("w/o MIM", "mim", "", "contrast = 1.0\nitm = 1.0\nmlm = 1.0"),
        without!("w/o distillation", "distillation", "contrast.lambda = 0.0\n", ALL),
        without!(
            "with hard negatives",
            "hard-negatives",
            "hard_negatives = true\n",
            ALL
        ),
        without!("w/o keyword weighting", "keyword", "keyword = 1.0\n", ALL),
        Variant {
            name: "ALBEF-style",
            key: "albef",
            model: ALBEF,
            stages: &[pretraining("contrast = 1.0\nitm = 1.0\nmlm = 1.0")],
            tasks: &["retrieval", "generation", "vqa"],
            ..WHOLE
        },
        Variant {
            name: "TCL-style",
            key: "tcl",
            model: TCL,
            stages: &[pretraining("contrast = 1.0\nitm = 1.0\nmlm = 1.0")],
            tasks: &["retrieval", "generation", "vqa"],
            ..WHOLE
        },
        Variant {
            name: "CoCa-style",
            key: "coca",
            model: COCA,
            stages: &[pretraining("contrast = 1.0\nreport = 1.0")],
            tasks: &["retrieval", "generation"],
            ..WHOLE
        },
        Variant {
            name: "No pre-training",
            key: "none",
            stages: &[],
            pretrained: "language",
            tasks: &["retrieval", "generation", "vqa", "abdomen"],
            ..WHOLE
        },
    ],
    tasks: &[
        TableTask {
            name: "retrieval",
            task: Task::Retrieve,
            table: "1 and 2",
            domains: CHESTS,
            before: None,
            tuning: None,
            again: Some(Again::Exact),
            columns: &[
                ("image_to_report_hit_at_1", false),
                ("image_to_report_hit_at_5", false),
                ("image_to_report_hit_at_10", false),
                ("report_to_image_hit_at_1", false),
                ("report_to_image_hit_at_5", false),
                ("report_to_image_hit_at_10", false),
                ("exact_hit_at_1", false),
                ("exact_hit_at_10", false),
            ],
        },
        TableTask {
            name: "check",
            task: Task::Check,
            table: "of Figure 4",
            domains: &[Domain::First],
            before: None,
            tuning: None,
            again: None,
            columns: &[
                ("auroc_side_swap_by_match", false),
                ("auroc_wrong_report", false),
                ("auroc_side_swap", false),
            ],
        },
        TableTask {
            name: "generation",
            task: Task::Draft,
            table: "3",
            domains: CHESTS,
            before: None,
            tuning: Some(tuning("report = 1.0", "", 500)),
            again: None,
            columns: WRITTEN,
        },
        TableTask {
            name: "vqa",
            task: Task::Vqa,
            table: "4",
            domains: &[Domain::First],
            before: None,
            tuning: Some(tuning("vqa = 1.0", "decoder = 2\n", 500)),
            again: None,
            columns: &[
                ("accuracy_open", false),
                ("accuracy_closed", false),
                ("swapped_accuracy", false),
                ("blank_accuracy", false),
            ],
        },
        TableTask {
            name: "abdomen",
            task: Task::Draft,
            table: "6",
            domains: &[Domain::Abdomen],
            before: Some(tuning(ALL, "", 300)),
            tuning: Some(tuning("report = 1.0", "", 300)),
            again: None,
            columns: &[
                ("bleu_4", false),
                ("meteor", false),
                ("rouge_l", false),
                ("cider", false),
                ("different_drafts", false),
            ],
        },
    ],
    claims: &[
        more("retrieval", "image_to_report_hit_at_1", "whole", "contrast"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "distillation"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "mlm"),
        more(
            "retrieval",
            "image_to_report_hit_at_1",
            "distillation",
            "contrast",
        ),
        more("retrieval", "image_to_report_hit_at_1", "mlm", "distillation"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "alternating"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "text-path"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "image-path"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "mim"),
        more("retrieval", "image_to_report_hit_at_1", "hard-negatives", "whole"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "keyword"),
        more("retrieval", "report_to_image_hit_at_1", "whole", "contrast"),
        more("retrieval", "report_to_image_hit_at_1", "whole", "distillation"),
        more("retrieval", "report_to_image_hit_at_1", "whole", "mlm"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "albef"),
        more("retrieval", "image_to_report_hit_at_1", "albef", "tcl"),
        more("retrieval", "image_to_report_hit_at_1", "tcl", "coca"),
        more("retrieval", "image_to_report_hit_at_1", "whole", "none"),
        more("generation", "bleu_4", "whole", "none"),
        more("generation", "bleu_4", "whole", "coca"),
        more("generation", "bleu_4", "whole", "albef"),
        more("generation", "micro_f1", "whole", "none"),
        more("generation", "micro_f1", "whole", "coca"),
        more("vqa", "accuracy_open", "whole", "none"),
        more("vqa", "accuracy_open", "whole", "albef"),
        more("vqa", "accuracy_closed", "whole", "none"),
        more("abdomen", "bleu_4", "whole", "none"),
        more("abdomen", "cider", "whole", "none"),
        more("abdomen", "different_drafts", "whole", "none"),
    ],
};
