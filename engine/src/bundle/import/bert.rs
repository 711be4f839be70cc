//! BERT under the names of Hugging Face's library and of the older `pytorch-pretrained-bert`.

use super::Rename;

/// LayerNorm's parameters were once called after the letters of its formula.
pub const LEGACY_ENDINGS: &[Rename] = &[
    ("LayerNorm.gamma", "LayerNorm.weight"),
    ("LayerNorm.beta", "LayerNorm.bias"),
];

/// Word, position and segment tables with their norm.
pub const EMBEDDINGS: &[Rename] = &[
    ("embeddings.word_embeddings.weight", "text.word_embeddings.weight"),
    (
        "embeddings.position_embeddings.weight",
        "text.position_embeddings.weight",
    ),
    (
        "embeddings.token_type_embeddings.weight",
        "text.token_type_embeddings.weight",
    ),
    ("embeddings.LayerNorm.*", "text.norm.*"),
];

/// Transformer layers.
pub const ENCODER: &[Rename] = &[
    (
        "encoder.layer.*.attention.self.query.*",
        "encoder.layer.*.attention.query.*",
    ),
    (
        "encoder.layer.*.attention.self.key.*",
        "encoder.layer.*.attention.key.*",
    ),
    (
        "encoder.layer.*.attention.self.value.*",
        "encoder.layer.*.attention.value.*",
    ),
    (
        "encoder.layer.*.attention.output.dense.*",
        "encoder.layer.*.attention.output.*",
    ),
    (
        "encoder.layer.*.attention.output.LayerNorm.*",
        "encoder.layer.*.attention.norm.*",
    ),
    (
        "encoder.layer.*.intermediate.dense.*",
        "encoder.layer.*.intermediate.*",
    ),
    ("encoder.layer.*.output.dense.*", "encoder.layer.*.output.*"),
    (
        "encoder.layer.*.output.LayerNorm.*",
        "encoder.layer.*.output_norm.*",
    ),
];

/// Cross-attention of a layer, as ALBEF adds it (Li et al. 2021).
pub const CROSS_ATTENTION: &[Rename] = &[
    (
        "encoder.layer.*.crossattention.self.query.*",
        "encoder.layer.*.crossattention.query.*",
    ),
    (
        "encoder.layer.*.crossattention.self.key.*",
        "encoder.layer.*.crossattention.key.*",
    ),
    (
        "encoder.layer.*.crossattention.self.value.*",
        "encoder.layer.*.crossattention.value.*",
    ),
    (
        "encoder.layer.*.crossattention.output.dense.*",
        "encoder.layer.*.crossattention.output.*",
    ),
    (
        "encoder.layer.*.crossattention.output.LayerNorm.*",
        "encoder.layer.*.crossattention.norm.*",
    ),
];

/// The layer over CLS.
pub const POOLER: &[Rename] = &[("pooler.dense.*", "pooler.*")];

/// The masked-language head. Its decoder is the word table, which newer files store twice; its bias is stored
/// beside the decoder, in newer files also inside it.
pub const MLM_HEAD: &[Rename] = &[
    ("cls.predictions.transform.dense.*", "mlm.transform.*"),
    ("cls.predictions.transform.LayerNorm.*", "mlm.norm.*"),
    ("cls.predictions.decoder.weight", "text.word_embeddings.weight"),
    ("cls.predictions.decoder.bias", "mlm.decoder.bias"),
    ("cls.predictions.bias", "mlm.decoder.bias"),
];
