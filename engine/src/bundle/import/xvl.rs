//! Medical X-VL's release (Park et al. 2022), and what it starts from: timm's ViT-S/16 and Hugging Face's BERT.

use super::{Rename, Table, bert};

/// The image encoder, in the release's wrapper and bare, and its mask token.
const IMAGE: &[Rename] = &[
    ("visual_encoder.backbone.**", "visual_encoder.**"),
    ("patch_embed.**", "visual_encoder.patch_embed.**"),
    ("blocks.**", "visual_encoder.blocks.**"),
    ("cls_token", "visual_encoder.cls_token"),
    ("pos_embed", "visual_encoder.pos_embed"),
    ("norm.*", "visual_encoder.norm.*"),
];

/// What is the release's own.
const HEADS: &[Rename] = &[
    ("visual_encoder.backbone.masked_embed", "masked_embed"),
    ("head.mlp.0.*", "head.layer.0.*"),
    ("head.mlp.2.*", "head.layer.1.*"),
    ("head.mlp.4.*", "head.layer.2.*"),
    ("head.last_layer.*", "head.last_layer.*"),
    ("vision_proj.*", "vision_proj.*"),
    ("text_proj.*", "text_proj.*"),
    ("itm_head_t.*", "itm_head_t.*"),
    ("itm_head_v.*", "itm_head_v.*"),
    ("temp", "temp"),
];

/// Medical X-VL's import table.
pub const TABLE: Table = Table {
    system: "xvl",
    prefixes: &[
        "text_encoder.bert.",
        "text_encoder.",
        "module.",
        "bert.",
        "model.",
    ],
    endings: bert::LEGACY_ENDINGS,
    renames: &[
        HEADS,
        IMAGE,
        bert::EMBEDDINGS,
        bert::ENCODER,
        bert::CROSS_ATTENTION,
        bert::MLM_HEAD,
    ],
    dropped: &[
        ("visual_encoder_m.**", MOMENTUM),
        ("text_encoder_m.**", MOMENTUM),
        ("vision_proj_m.*", MOMENTUM),
        ("text_proj_m.*", MOMENTUM),
        ("head_m.**", MOMENTUM),
        ("image_queue", QUEUE),
        ("text_queue", QUEUE),
        ("queue_ptr", QUEUE),
        (
            "head.last_layer2.*",
            "its head for patches is the one for CLS, saved twice",
        ),
        ("head.weight", "it is ViT's classifier of ImageNet"),
        ("head.bias", "it is ViT's classifier of ImageNet"),
        (
            "pooler.dense.*",
            "it is BERT's pooler, and Medical X-VL reads CLS as it is",
        ),
        (
            "cls.seq_relationship.*",
            "it is BERT's head for the next sentence",
        ),
    ],
    strangers: &[
        (
            "layer4.**",
            "it is a ResNet; Medical X-VL's image encoder is a ViT",
        ),
        (
            "features.denseblock1.**",
            "it is a DenseNet; Medical X-VL's image encoder is a ViT",
        ),
    ],
    head: None,
};

const MOMENTUM: &str = "the momentum teacher is made anew from the student";
const QUEUE: &str = "queues are filled anew by training";
