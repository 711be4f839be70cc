//! MedViLL's release (Moon et al. 2022): pre-trained and fine-tuned files, and the parts it starts from.
//!
//! The release takes torchvision's ResNet apart into a Sequential: 0 is the first convolution, 1 its norm, 4
//! to 7 the four stages. Its visual embedding holds the text's position and segment tables and norm as well,
//! the same modules, which its files therefore store twice.

use super::{Rename, Table, bert, densenet, resnet};

/// The release's own names. Fine-tuned files lack the prefix `enc.`, or have `bert.`, and say `cls.` for
/// `mlm.`.
const RELEASE: &[Rename] = &[
    ("img_encoder.model.0.weight", "image.conv1.weight"),
    ("img_encoder.model.1.*", "image.bn1.*"),
    ("img_encoder.model.4.**", "image.layer1.**"),
    ("img_encoder.model.5.**", "image.layer2.**"),
    ("img_encoder.model.6.**", "image.layer3.**"),
    ("img_encoder.model.7.**", "image.layer4.**"),
    (
        "txt_embeddings.word_embeddings.weight",
        "text.word_embeddings.weight",
    ),
    (
        "txt_embeddings.position_embeddings.weight",
        "text.position_embeddings.weight",
    ),
    (
        "txt_embeddings.token_type_embeddings.weight",
        "text.token_type_embeddings.weight",
    ),
    ("txt_embeddings.LayerNorm.*", "text.norm.*"),
    ("img_embeddings.img_embeddings.*", "visual.projection.*"),
    (
        "img_embeddings.word_embeddings.weight",
        "text.word_embeddings.weight",
    ),
    (
        "img_embeddings.position_embeddings.weight",
        "text.position_embeddings.weight",
    ),
    (
        "img_embeddings.token_type_embeddings.weight",
        "text.token_type_embeddings.weight",
    ),
    ("img_embeddings.LayerNorm.*", "text.norm.*"),
    ("mlm.predictions.transform.dense.*", "mlm.transform.*"),
    ("mlm.predictions.transform.LayerNorm.*", "mlm.norm.*"),
    ("mlm.predictions.decoder.weight", "text.word_embeddings.weight"),
    ("mlm.predictions.decoder.bias", "mlm.decoder.bias"),
    ("mlm.predictions.bias", "mlm.decoder.bias"),
    ("itm.linear.*", "itm.*"),
];

/// MedViLL's import table.
pub const TABLE: Table = Table {
    system: "medvill",
    prefixes: &["enc.", "bert."],
    endings: bert::LEGACY_ENDINGS,
    renames: &[
        RELEASE,
        bert::EMBEDDINGS,
        bert::ENCODER,
        bert::POOLER,
        bert::MLM_HEAD,
        resnet::TORCHVISION,
        densenet::TORCHVISION,
    ],
    dropped: &[
        ("fc.*", "it is ResNet's classifier of ImageNet"),
        ("classifier.*", "it is DenseNet's classifier of ImageNet"),
        (
            "cls.seq_relationship.*",
            "it is BERT's head for the next sentence, which MedViLL does not have",
        ),
    ],
    strangers: &[],
    head: None,
};
