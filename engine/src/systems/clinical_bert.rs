//! Clinical-BERT (Yan and Pei, "Clinical-BERT: Vision-Language Pre-training for Radiograph Diagnosis and Reports Generation",
//! AAAI 2022): the cells of a DenseNet's last map and the words of the report in one BERT, pre-trained with three tasks of the
//! domain beside masked language modelling.
//!
//! The sequence is CLS, V1..VK, SEP, W1..WN, SEP ("Input Representations"). *Ours* marks what the paper leaves open; no code was
//! released. The config is in `config`, image-MeSH matching in `matching`, how it writes in `generation`, the losses in
//! `objectives`, its named intermediates in `trace`.

mod config;
mod generation;
mod matching;
mod objectives;
#[cfg(not(target_family = "wasm"))]
mod trace;

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor};

#[cfg(not(target_family = "wasm"))]
use super::TraceInputError;
use super::{ConfigError, Generator, Input, Spec, System, SystemConfig, Task};
use crate::kernels::{Mask, MaskKind};
#[cfg(not(target_family = "wasm"))]
use crate::nn::{AnyArrays, Trace};
use crate::nn::{
    AttentionPass, Encoder, ImageEncoder, LayerNorm, TextEmbeddings, column, column_of, dense, ints, linear,
    normalize, tied_dense,
};
use crate::text::Specials;

pub use config::{ClinicalBertConfig, Diagnosis, MatchingConfig, Ratio};
pub use matching::{matching_loss, matching_scores, region_attention};
pub use objectives::{Kind, Masked, PretrainingLosses};

/// Position of CLS, of every visual token ("the position sequence of visual input is marked as 1"), of the first SEP and of the
/// first word (*ours*: the text goes on from there, as if the image were one token).
const POSITIONS: [usize; 4] = [0, 1, 2, 3];

/// The prediction network that masked language and MeSH modelling share: linear, ReLU, norm, linear. The paper names "two FC
/// layers, one normalization layer, and one ReLU layer"; their order is *ours*, and so is that the second one's weights are the
/// word table: only then does the model have the paper's 102M parameters.
#[derive(Module, Debug)]
pub struct PredictionHead {
    transform: Linear,
    norm: LayerNorm,
    decoder: WordLayer,
}

/// The layer over the vocabulary: weights of its own, or none where it takes the word table.
#[derive(Module, Debug)]
pub struct WordLayer {
    weight: Option<Param<Tensor<2>>>,
    bias: Param<Tensor<1>>,
}

/// Clinical diagnosis: linear, ReLU, linear.
#[derive(Module, Debug)]
pub struct ClinicalHead {
    inner: Linear,
    output: Linear,
}

/// The model.
#[derive(Module, Debug)]
pub struct ClinicalBert {
    image: ImageEncoder,
    text: TextEmbeddings,
    visual: Linear,
    encoder: Encoder,
    prediction: PredictionHead,
    clinical: ClinicalHead,
    regions: Linear,
    diagnosis: Option<Linear>,
    #[module(skip)]
    config: ClinicalBertConfig,
    #[module(skip)]
    specials: Specials,
}

impl ClinicalBert {
    /// Random weights.
    ///
    /// # Errors
    /// When the config cannot run.
    pub fn init(
        config: &ClinicalBertConfig,
        specials: Specials,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let (bert, features, labels) = (&config.bert, config.image.features(), config.labels().len());
        let words = [bert.vocabulary, bert.width];
        let table = || {
            Initializer::Normal {
                mean: 0.0,
                std: crate::nn::INITIALIZER_RANGE,
            }
            .init(words, device)
        };
        Ok(Self {
            image: ImageEncoder::new(&config.image, device),
            text: TextEmbeddings::new(bert, device),
            visual: linear(features, bert.width, device),
            encoder: Encoder::new(bert, device),
            prediction: PredictionHead {
                transform: linear(bert.width, bert.width, device),
                norm: LayerNorm::new(bert.width, bert.norm_eps, device),
                decoder: WordLayer {
                    weight: (!config.tied).then(table),
                    bias: Initializer::Zeros.init([bert.vocabulary], device),
                },
            },
            clinical: ClinicalHead {
                inner: linear(bert.width, bert.width, device),
                output: linear(bert.width, labels, device),
            },
            regions: linear(features, bert.width, device),
            diagnosis: config.diagnosis.map(|reads| match reads {
                Diagnosis::Cls => linear(bert.width, labels, device),
                Diagnosis::Cells => linear(features, labels, device),
            }),
            config: config.clone(),
            specials,
        })
    }

    /// The config.
    pub fn config(&self) -> &ClinicalBertConfig {
        &self.config
    }

    /// The cells of the last map, row by row.
    ///
    /// # Shapes
    /// - normalised image `(B, channels, S, S)` -> `(B, K, F)`
    pub fn visual_features(&self, image: Tensor<4>, watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<3> {
        self.image.cells(image, watch)
    }

    /// CLS, the visual tokens and SEP, embedded.
    ///
    /// # Shapes
    /// - features `(B, K, F)` -> `(B, K + 2, width)`
    pub fn embed_context(&self, features: Tensor<3>) -> Tensor<3> {
        let [batch, cells, _] = features.dims();
        let device = features.device();
        let [cls, visual, sep, _] = POSITIONS;
        let single = |token: u32, position: usize| {
            let position = column(position as u32, batch, &device);
            self.text.forward(column(token, batch, &device), position, 0)
        };
        let places = ints(vec![visual as i32; batch * cells], [batch, cells], &device);
        let content = dense(&self.visual, features, false);
        let parts = vec![
            single(self.specials.cls, cls),
            self.text.embed(content, places, 0),
            single(self.specials.sep, sep),
        ];
        Tensor::cat(parts, 1)
    }

    /// Words, of which the first is the text's word number `first`.
    ///
    /// # Shapes
    /// - tokens `(B, T)` -> `(B, T, width)`
    pub fn embed_text(&self, tokens: Tensor<2, Int>, first: usize) -> Tensor<3> {
        let [batch, count] = tokens.dims();
        let begin = POSITIONS[3] + first;
        let places = (begin..begin + count).map(|place| place as i32);
        let places = places.cycle().take(batch * count).collect();
        let places = ints(places, [batch, count], &tokens.device());
        self.text.forward(tokens, places, 1)
    }

    /// The encoder over image and text; `lengths` counts the columns of a sample that are no padding, context included.
    ///
    /// # Shapes
    /// - features `(B, K, F)`, words `(B, T)`, closing SEP included -> `(B, K + 2 + T, width)`
    pub fn encode(
        &self,
        features: Tensor<3>,
        words: Tensor<2, Int>,
        kind: MaskKind,
        lengths: Vec<usize>,
        watch: impl FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        let context = self.embed_context(features);
        let mask = Mask {
            kind,
            context: context.dims()[1],
            query_start: 0,
            lengths,
        };
        let sequence = Tensor::cat(vec![context, self.embed_text(words, 0)], 1);
        self.encoder.forward(sequence, &AttentionPass::new(mask), watch)
    }

    /// Logits of the vocabulary (eq. 2 to 4).
    ///
    /// # Shapes
    /// - hidden `(rows, width)` -> `(rows, V)`
    pub fn prediction_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let head = &self.prediction;
        let hidden = head.norm.forward(relu(dense(&head.transform, hidden, false)));
        let words = match &head.decoder.weight {
            Some(own) => own.val(),
            None => self.text.words(),
        };
        tied_dense(hidden, words, head.decoder.bias.val())
    }

    /// Clinical diagnosis from image and report: the product of CLS and of the SEP behind the image, under the bidirectional
    /// mask (eq. 1).
    ///
    /// # Shapes
    /// - hidden `(B, K + 2 + T, width)` -> `(B, labels)`
    pub fn clinical_logits(&self, hidden: &Tensor<3>) -> Tensor<2> {
        let joint = column_of(hidden, 0) * column_of(hidden, self.config.visual_tokens() + 1);
        let inner = relu(dense(&self.clinical.inner, joint, false));
        dense(&self.clinical.output, inner, false)
    }

    /// Radiograph diagnosis: one linear layer on CLS, which reads the image alone ("Downstream Tasks"), or on the mean of the cells.
    /// `None` where the config has no such head.
    ///
    /// # Shapes
    /// - features `(B, K, F)` -> `(B, labels)`
    pub fn diagnose(&self, features: Tensor<3>) -> Option<Tensor<2>> {
        let head = self.diagnosis.as_ref()?;
        if self.config.diagnosis == Some(Diagnosis::Cells) {
            return Some(dense(head, features.mean_dim(1).squeeze_dim(1), false));
        }
        let [batch, cells, _] = features.dims();
        let context = self.embed_context(features);
        let mask = Mask {
            kind: MaskKind::Bidirectional,
            context: cells + 2,
            query_start: 0,
            lengths: vec![cells + 2; batch],
        };
        let hidden = self
            .encoder
            .forward(context, &AttentionPass::new(mask), |_, _| ());
        Some(dense(head, column_of(&hidden, 0), false))
    }

    /// The region features of the last map, in the width of the words (*ours*: projected by a layer of their own).
    ///
    /// # Shapes
    /// - features `(B, K, F)` -> `(B, K, width)`
    pub fn region_features(&self, features: Tensor<3>) -> Tensor<3> {
        dense(&self.regions, features, false)
    }
}

impl System for ClinicalBert {
    fn spec(&self) -> Spec {
        let side = self.config.grid();
        Spec {
            preprocessing: self.config.preprocessing,
            text: SystemConfig::text(&self.config),
            grid: [side, side],
            lead: 0,
            features: self.config.image.features(),
            labels: match self.diagnosis {
                Some(_) => self.config.labels().len(),
                None => 0,
            },
            answers: 0,
        }
    }

    fn tasks(&self) -> Vec<Task> {
        let findings = self.diagnosis.is_some().then_some(Task::Findings);
        [Task::Draft].into_iter().chain(findings).collect()
    }

    fn encode_image(&self, pixels: Tensor<4>) -> Tensor<3> {
        let config = &self.config;
        let image = normalize(pixels, config.preprocessing.norm, config.image.channels());
        self.visual_features(image, |_, _| ())
    }

    fn classify(&self, input: Input<'_>) -> Option<Tensor<2>> {
        self.diagnose(input.image?)
    }

    fn generator(&self) -> Option<&dyn Generator> {
        Some(self)
    }

    #[cfg(not(target_family = "wasm"))]
    fn trace(&self, inputs: &AnyArrays, trace: &mut Trace) -> Result<(), TraceInputError> {
        trace::trace(self, inputs, trace)
    }
}

#[cfg(test)]
mod tests;
