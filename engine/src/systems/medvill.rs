//! MedViLL (Moon et al., "Multi-modal Understanding and Generation for Medical Images and Text via
//! Vision-Language Pre-Training", 2021): a ResNet's last map and the words of the report in one BERT, under
//! interchangeable masks.
//!
//! The sequence is CLS, V1..VK, SEP, W1..WN, SEP (section 3.2). *Release* marks what only the authors' code
//! tells, *ours* what neither tells.

mod answering;
mod bilinear;
mod config;
mod drafting;
mod findings;
mod image;
mod losses;
mod pretraining;
mod recurrent;
mod sizes;

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::activation::{relu, sigmoid, tanh};
use burn::tensor::{Device, Int, Tensor};

use self::findings::map_findings_layer;
use super::learn::{Sizes, SizesError, ints};
use crate::kernels::{Mask, Rule};
use crate::nn::{Attend, Encoder, MlmHead, TextEmbeddings, linear};
use crate::text::Specials;

pub use bilinear::{Bilinear, BilinearConfig};
pub use config::{MedVillConfig, Scheme};
pub use drafting::DraftState;
pub use image::ImageEncoder;
pub use pretraining::Masked;
pub use recurrent::Recurrent;

/// The projection of visual features into BERT's width (*release*: before position, segment and norm; the
/// paper's eq. 2 adds them before).
#[derive(Module, Debug)]
pub struct VisualEmbeddings {
    projection: Linear,
    grid: Option<Embedding>,
    findings: Option<Linear>,
    cells: Option<Linear>,
}

/// Answer classes: linear, ReLU, linear (*release*: twice the width between).
#[derive(Module, Debug)]
pub struct AnswerHead {
    inner: Linear,
    output: Linear,
}

/// The model.
#[derive(Module, Debug)]
pub struct MedVill {
    image: ImageEncoder,
    text: TextEmbeddings,
    visual: VisualEmbeddings,
    encoder: Encoder,
    pooler: Linear,
    mlm: MlmHead,
    itm: Linear,
    map_findings: Option<Linear>,
    map_view: Option<Linear>,
    diagnosis: Option<Linear>,
    answers: Option<AnswerHead>,
    bilinear: Option<Bilinear>,
    picture_vector: Option<Linear>,
    picture_norm: Option<BatchNorm>,
    identity: Option<Linear>,
    recurrent: Option<Recurrent>,
    #[module(skip)]
    config: MedVillConfig,
}

/// What one pass over picture and text gives.
pub struct Encoded {
    /// Last hidden states, `(batch, K + 2 + tokens, width)`.
    pub hidden: Tensor<3>,
    /// `tanh` of the pooled CLS, `(batch, width)`.
    pub pooled: Tensor<2>,
}

impl MedVill {
    /// Random weights.
    ///
    /// # Errors
    /// When the config cannot run.
    pub fn new(config: &MedVillConfig, device: &Device) -> Result<Self, SizesError> {
        config.check()?;
        let (bert, features) = (&config.bert, config.features());
        Ok(Self {
            image: ImageEncoder::new(config, device),
            text: TextEmbeddings::new(bert, device),
            visual: VisualEmbeddings {
                projection: linear(features, bert.width, device),
                grid: config.own_grid.then(|| {
                    let initializer = Initializer::Normal { mean: 0.0, std: 0.3 };
                    let table = EmbeddingConfig::new(config.visual_tokens(), bert.width);
                    table.with_initializer(initializer).init(device)
                }),
                findings: config
                    .findings_projection
                    .then(|| loud_linear(3 * 14, bert.width, device)),
                cells: config
                    .cells_projection
                    .then(|| loud_linear(14, bert.width, device)),
            },
            encoder: Encoder::new(bert, device),
            pooler: linear(bert.width, bert.width, device),
            mlm: MlmHead::new(bert, config.mlm_norm_eps, device),
            itm: linear(bert.width, 2, device),
            map_findings: config.map_findings.then(|| map_findings_layer(features, device)),
            map_view: config.map_view.then(|| linear(features, 1, device)),
            diagnosis: config.diagnosis.then(|| linear(bert.width, 14, device)),
            answers: (config.answers > 0).then(|| AnswerHead {
                inner: linear(bert.width, 2 * bert.width, device),
                output: linear(2 * bert.width, config.answers, device),
            }),
            bilinear: Bilinear::new(config, device),
            picture_vector: (config.picture_vector > 0)
                .then(|| linear(features, config.picture_vector, device)),
            picture_norm: (config.picture_vector > 0)
                .then(|| BatchNormConfig::new(config.picture_vector).init(device)),
            identity: (config.identities > 0)
                .then(|| linear(config.picture_vector, config.identities, device)),
            recurrent: config.recurrent.then(|| Recurrent::new(bert.width, device)),
            config: config.clone(),
        })
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.pooler.weight.val().device()
    }

    /// The sizes.
    pub fn config(&self) -> &MedVillConfig {
        &self.config
    }

    /// Pixels in [0, 1] as the network wants them.
    ///
    /// # Shapes
    /// - pixels `(batch, size, size)` -> `(batch, channels, size, size)`
    pub fn picture(&self, pixels: Tensor<3>) -> Tensor<4> {
        let normed = if self.config.standardise {
            let [batch, rows, columns] = pixels.dims();
            let flat = pixels.reshape([batch, rows * columns]);
            let centred = flat.clone() - flat.mean_dim(1);
            let deviation = centred.clone().square().mean_dim(1).sqrt().add_scalar(1e-3);
            (centred / deviation).reshape([batch, rows, columns])
        } else {
            let [mean, deviation] = self.config.pixel_norm;
            pixels.sub_scalar(mean).div_scalar(deviation)
        };
        let normed: Tensor<4> = normed.unsqueeze_dim(1);
        normed.repeat_dim(1, self.config.channels())
    }

    /// The cells of the last map, row by row (section 3.1).
    ///
    /// # Shapes
    /// - picture `(batch, channels, size, size)` -> `(batch, K, features)`
    pub fn encode_image(&self, picture: Tensor<4>, watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<3> {
        let map = self.image.forward(picture, watch);
        let [batch, features, rows, columns] = map.dims();
        map.reshape([batch, features, rows * columns]).swap_dims(1, 2)
    }

    /// CLS, the visual tokens and SEP, embedded (*release*: three separate calls, so that SEP has position
    /// 0). Where the config says so, visual tokens carry a table of the grid's own and the probabilities of
    /// [`MedVill::map_findings`], of the whole map and of their cell.
    ///
    /// # Shapes
    /// - features `(batch, tokens, features)` -> `(batch, tokens + 2, width)`
    ///
    /// `grid` holds the map index of each token, which is its position.
    pub fn embed_context(&self, features: Tensor<3>, grid: &[usize], specials: Specials) -> Tensor<3> {
        let [batch, tokens, _] = features.dims();
        let device = features.device();
        let positions = grid
            .iter()
            .map(|&i| i as i32)
            .cycle()
            .take(batch * tokens)
            .collect::<Vec<_>>();
        let positions = ints(positions, [batch, tokens], &device);
        let mut projected = self.visual.projection.forward(features.clone());
        let carried = self.visual.cells.is_some() || self.visual.findings.is_some();
        if let Some(layer) = self.map_findings.as_ref().filter(|_| carried) {
            let cells = layer.forward(features);
            if let Some(projection) = &self.visual.cells {
                // The first 14 are those of anywhere.
                projected = projected + projection.forward(sigmoid(cells.clone().narrow(2, 0, 14)));
            }
            if let Some(projection) = &self.visual.findings {
                let probabilities = sigmoid(self.pool_findings(cells, grid)).reshape([batch, 1, 3 * 14]);
                projected = projected + projection.forward(probabilities);
            }
        }
        if let Some(grid) = &self.visual.grid {
            projected = projected + grid.forward(positions.clone());
        }
        let visual = self.text.embed(projected, positions, 0);
        let single = |word: u32, position: usize| {
            let position = ints(vec![position as i32; batch], [batch, 1], &device);
            self.text
                .forward(ints(vec![word as i32; batch], [batch, 1], &device), position, 0)
        };
        let after = if self.config.separator_after_visual {
            tokens + 1
        } else {
            0
        };
        Tensor::cat(
            vec![single(specials.cls, 0), visual, single(specials.sep, after)],
            1,
        )
    }

    /// Words at positions that begin with `first`, segment 1.
    ///
    /// # Shapes
    /// - words `(batch, tokens)` -> `(batch, tokens, width)`
    pub fn embed_words(&self, words: Tensor<2, Int>, first: usize) -> Tensor<3> {
        let [batch, tokens] = words.dims();
        let positions = (first..first + tokens)
            .map(|p| p as i32)
            .cycle()
            .take(batch * tokens)
            .collect();
        let positions = ints(positions, [batch, tokens], &words.device());
        self.text.forward(words, positions, 1)
    }

    /// The text as a scheme wants it: under [`Scheme::NonCrossing`] a second CLS opens it, at position 0
    /// (*ours*), since the first CLS cannot see it; the sequence is one token longer then.
    ///
    /// # Shapes
    /// - words `(batch, tokens)` -> `(batch, tokens, width)` or `(batch, tokens + 1, width)`
    pub fn embed_text(&self, words: Tensor<2, Int>, scheme: Scheme, specials: Specials) -> Tensor<3> {
        if scheme != Scheme::NonCrossing {
            return self.embed_words(words, 0);
        }
        let batch = words.dims()[0];
        let cls = ints(vec![specials.cls as i32; batch], [batch, 1], &words.device());
        self.embed_words(Tensor::cat(vec![cls, words], 1), 0)
    }

    /// The encoder over an embedded sequence.
    ///
    /// # Shapes
    /// - context `(batch, K + 2, width)`, text `(batch, tokens, width)` of [`MedVill::embed_text`]
    ///
    /// `lengths` counts the columns that are no padding, context included.
    pub fn encode(
        &self,
        context: Tensor<3>,
        text: Tensor<3>,
        rule: Rule,
        lengths: Vec<usize>,
        watch: impl FnMut(usize, &Tensor<3>),
    ) -> Encoded {
        let columns = context.dims()[1];
        self.encode_sequence(Tensor::cat(vec![context, text], 1), columns, rule, lengths, watch)
    }

    /// [`MedVill::encode`] of a sequence in one piece, of which the first `context` columns are no text.
    fn encode_sequence(
        &self,
        sequence: Tensor<3>,
        context: usize,
        rule: Rule,
        lengths: Vec<usize>,
        watch: impl FnMut(usize, &Tensor<3>),
    ) -> Encoded {
        let [batch, _, width] = sequence.dims();
        let attend = Attend::new(Mask {
            rule,
            context,
            query_start: 0,
            lengths,
        });
        let hidden = self.encoder.forward(sequence, &attend, &mut [], watch);
        let pool = |column: usize| {
            self.pool(
                hidden
                    .clone()
                    .slice([0..batch, column..column + 1, 0..width])
                    .reshape([batch, width]),
            )
        };
        // Neither CLS sees the other's modality under this rule, so matching takes their product (*ours*).
        let pooled = if rule == Rule::NonCrossing {
            pool(0) * pool(context)
        } else {
            pool(0)
        };
        Encoded { hidden, pooled }
    }

    /// Logits of the masked-language-model head for rows of hidden states.
    ///
    /// # Shapes
    /// - hidden `(rows, width)` -> `(rows, vocabulary)`
    pub fn mlm_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.mlm.forward(hidden, self.text.words())
    }

    fn pool(&self, cls: Tensor<2>) -> Tensor<2> {
        tanh(self.pooler.forward(cls))
    }

    /// Logits of the fourteen categories (section 4.1); `None` where the config has no such heads.
    ///
    /// # Shapes
    /// - pooled `(batch, width)` -> `(batch, 14)`
    pub fn diagnosis_logits(&self, pooled: Tensor<2>) -> Option<Tensor<2>> {
        self.diagnosis.as_ref().map(|layer| layer.forward(pooled))
    }

    /// Logits of the answers; `None` where the config has none.
    ///
    /// # Shapes
    /// - joint `(batch, width)` of [`MedVill::judge`] -> `(batch, answers)`
    pub fn answer_logits(&self, joint: Tensor<2>) -> Option<Tensor<2>> {
        let head = self.answers.as_ref()?;
        Some(head.output.forward(relu(head.inner.forward(joint))))
    }

    /// Logits of not matched, matched (image-report matching, IRM).
    ///
    /// # Shapes
    /// - pooled `(batch, width)` -> `(batch, 2)`
    pub fn itm_logits(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.itm.forward(pooled)
    }
}

/// A linear layer whose few inputs near 1 are heard beside visual features, whose sum over many channels is
/// about 1.
fn loud_linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let layer = linear(inputs, outputs, device);
    let initializer = Initializer::Normal { mean: 0.0, std: 0.5 };
    Linear {
        weight: initializer.init([inputs, outputs], device),
        ..layer
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
