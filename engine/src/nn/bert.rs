//! BERT (Devlin et al. 2019): embeddings, masked-language-model head; its layers are
//! [`super::TransformerLayer`]s.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{Encoder, INITIALIZER_RANGE, LayerConfig, LayerNorm, dense, tied_dense};

/// Sizes of a BERT encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BertConfig {
    /// Words of the vocabulary.
    pub vocabulary: usize,
    /// Width of the hidden states.
    pub width: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Attention heads; divide the width.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Dropout probability in training.
    pub dropout: f64,
    /// Epsilon of the layer norms.
    pub norm_eps: f64,
    /// Standard deviation of random weights, BERT's 0.02. What a layer adds to CLS grows with it and with the root of the width: in a
    /// narrow model that learns from nothing, one over that root tells texts apart from the first step.
    #[serde(default = "initializer_range", skip_serializing_if = "is_initializer_range")]
    pub initializer_range: f64,
}

const fn initializer_range() -> f64 {
    INITIALIZER_RANGE
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_initializer_range(range: &f64) -> bool {
    *range == INITIALIZER_RANGE
}

impl BertConfig {
    /// BERT-base, uncased.
    pub fn base() -> Self {
        Self {
            vocabulary: 30_522,
            width: 768,
            layers: 12,
            heads: 12,
            intermediate: 3072,
            positions: 512,
            dropout: 0.1,
            norm_eps: 1e-12,
            initializer_range: INITIALIZER_RANGE,
        }
    }

    /// What keeps it from running: the key, and what that must be. A damaged or hostile manifest must not make us allocate:
    /// nothing published comes near these bounds.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let small = self.vocabulary <= 1 << 20
            && self.width <= 8192
            && self.intermediate <= 65_536
            && self.positions <= 65_536
            && self.layers <= 128;
        let rules = [
            (
                "bert",
                small,
                "have at most 2^20 tokens, width 8192, 128 layers, and 65536 positions and inner units",
            ),
            (
                "bert",
                self.vocabulary >= 6 && self.layers > 0 && self.intermediate > 0,
                "have tokens, layers and inner units",
            ),
            (
                "bert.heads",
                self.heads > 0 && self.width > 0 && self.width.is_multiple_of(self.heads),
                "divide bert.width",
            ),
            (
                "bert.dropout",
                (0.0..1.0).contains(&self.dropout),
                "be at least 0 and less than 1",
            ),
            (
                "bert.initializer_range",
                self.initializer_range > 0.0 && self.initializer_range <= 1.0,
                "be greater than 0 and at most 1",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, must)) => Err((key, must)),
            None => Ok(()),
        }
    }

    /// One of its layers.
    pub const fn layer(&self) -> LayerConfig {
        LayerConfig {
            dropout: self.dropout,
            norm_eps: self.norm_eps,
            initializer_range: self.initializer_range,
            ..LayerConfig::new(self.width, self.heads, self.intermediate)
        }
    }
}

/// Word, position and segment tables with one norm.
#[derive(Module, Debug)]
pub struct TextEmbeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    norm: LayerNorm,
    dropout: Dropout,
}

impl TextEmbeddings {
    /// Two segments, as BERT has them.
    pub fn new(config: &BertConfig, device: &Device) -> Self {
        let table = |rows| {
            let initializer = Initializer::Normal {
                mean: 0.0,
                std: config.initializer_range,
            };
            EmbeddingConfig::new(rows, config.width)
                .with_initializer(initializer)
                .init(device)
        };
        Self {
            word_embeddings: table(config.vocabulary),
            position_embeddings: table(config.positions),
            token_type_embeddings: table(2),
            norm: LayerNorm::new(config.width, config.norm_eps, device),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// # Shapes
    /// - words, positions `(batch, tokens)` -> `(batch, tokens, width)`
    pub fn forward(&self, words: Tensor<2, Int>, positions: Tensor<2, Int>, segment: usize) -> Tensor<3> {
        self.embed(self.word_embeddings.forward(words), positions, segment)
    }

    /// The same for what is embedded already (visual tokens), `(batch, tokens, width)`.
    pub fn embed(&self, content: Tensor<3>, positions: Tensor<2, Int>, segment: usize) -> Tensor<3> {
        let segments = Tensor::full(positions.dims(), segment as i64, &positions.device());
        let sum = content + self.position_embeddings.forward(positions);
        self.dropout.forward(
            self.norm
                .forward_sum(sum, self.token_type_embeddings.forward(segments)),
        )
    }

    /// The word table, `(vocabulary, width)`, to which the language-model head is tied.
    pub fn words(&self) -> Tensor<2> {
        self.word_embeddings.weight.val()
    }
}

impl Encoder {
    /// BERT's encoder: layers as the config says, norms after, no memory.
    pub fn new(config: &BertConfig, device: &Device) -> Self {
        Self::from_layers(&vec![config.layer(); config.layers], device)
    }
}

/// The bias of the output layer, whose weights are the word table.
#[derive(Module, Debug)]
pub struct OutputBias {
    bias: Param<Tensor<1>>,
}

/// Masked-language-model head: linear, GELU, norm, then the word table and a bias.
#[derive(Module, Debug)]
pub struct MlmHead {
    transform: Linear,
    norm: LayerNorm,
    decoder: OutputBias,
}

impl MlmHead {
    /// `norm_eps` differs from the encoder's in the released code of MedViLL (1e-5 there).
    pub fn new(config: &BertConfig, norm_eps: f64, device: &Device) -> Self {
        Self {
            transform: config.layer().linear(config.width, config.width, true, device),
            norm: LayerNorm::new(config.width, norm_eps, device),
            decoder: OutputBias {
                bias: Initializer::Zeros.init([config.vocabulary], device),
            },
        }
    }

    /// # Shapes
    /// - hidden `(rows, width)`, words `(vocabulary, width)` -> logits `(rows, vocabulary)`
    pub fn forward(&self, hidden: Tensor<2>, words: Tensor<2>) -> Tensor<2> {
        let hidden = self.norm.forward(dense(&self.transform, hidden, true));
        tied_dense(hidden, words, self.decoder.bias.val())
    }
}
