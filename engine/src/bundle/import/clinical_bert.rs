//! What Clinical-BERT starts from (Yan and Pei 2022): BERT-base and torchvision's DenseNet-121. Its own weights were not published.

use super::{Table, bert, densenet};

/// Clinical-BERT's import table.
pub const TABLE: Table = Table {
    system: "clinical-bert",
    prefixes: &["bert.", "module.", "densenet121.", "model."],
    endings: bert::LEGACY_ENDINGS,
    renames: &[bert::EMBEDDINGS, bert::ENCODER, densenet::TORCHVISION],
    dropped: &[
        ("classifier.**", "it is DenseNet's classifier of ImageNet"),
        (
            "pooler.dense.*",
            "it is BERT's pooler, and Clinical-BERT reads CLS as it is",
        ),
        (
            "cls.**",
            "it is a head of BERT's own pre-training, and Clinical-BERT's heads begin at random",
        ),
    ],
    strangers: &[(
        "layer4.**",
        "it is a ResNet; Clinical-BERT's image encoder is torchvision's densenet121",
    )],
    head: None,
};
