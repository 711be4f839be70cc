//! MedViLL (Moon et al., "Multi-modal Understanding and Generation for Medical Images and Text via
//! Vision-Language Pre-Training", 2021): a ResNet's last map and the tokens of the report in one BERT, under
//! interchangeable masks.
//!
//! The sequence is CLS, V1..VK, SEP, W1..WN, SEP (section 3.2). *Release* marks what only the authors' code tells,
//! *ours* what neither tells. The config is in `config`, how it writes in `generation`, the losses of all objectives in `objectives`, what is ours for
//! a small model in `ours`, the names of the reference tensors in `trace`.

mod config;
mod generation;
mod objectives;
mod ours;
#[cfg(not(target_family = "wasm"))]
mod trace;

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::activation::{log_sigmoid, log_softmax, relu, tanh};
use burn::tensor::{Device, Int, Tensor};

#[cfg(not(target_family = "wasm"))]
use super::TraceInputError;
use super::baselines::{LstmWriter, mean_of_visual};
use super::{ConfigError, Generator, Input, Spec, System, SystemConfig, Task};
use crate::kernels::{Mask, MaskKind};
#[cfg(not(target_family = "wasm"))]
use crate::nn::{AnyArrays, Trace};
use crate::nn::{
    AttentionPass, Encoder, ImageEncoder, MlmHead, TextEmbeddings, column, column_of, ints, linear,
    normalize, padded,
};
use crate::text::Specials;

pub use config::{Baseline, MedVillConfig, OursConfig, Scheme};
pub use objectives::Masked;

/// The projection of visual features into BERT's width (*release*: before position, segment and norm; the paper's
/// eq. 2 adds them before); and what is *ours*, see [`OursConfig`].
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
    recurrent: Option<LstmWriter>,
    #[module(skip)]
    config: MedVillConfig,
    #[module(skip)]
    specials: Specials,
}

/// What one pass over image and text gives.
pub struct Encoded {
    /// Last hidden states, `(B, K + 2 + T, width)`.
    pub hidden: Tensor<3>,
    /// `tanh` of the pooled CLS, `(B, width)`.
    pub pooled: Tensor<2>,
}

/// What a pair of image and text gives for a judgement.
pub struct EncodedPair {
    /// `tanh` of the pooled CLS, for labels and matching, `(B, width)`.
    pub pooled: Tensor<2>,
    /// CLS times the SEP after the image, for answers, `(B, width)`.
    pub joint: Tensor<2>,
}

impl MedVill {
    /// Random weights.
    ///
    /// # Errors
    /// When the config cannot run.
    pub fn init(config: &MedVillConfig, specials: Specials, device: &Device) -> Result<Self, ConfigError> {
        config.validate()?;
        let (bert, features) = (&config.bert, config.features());
        let tienet = config.baseline == Some(Baseline::Tienet);
        Ok(Self {
            image: ImageEncoder::new(&config.encoder(), device),
            text: TextEmbeddings::new(bert, device),
            visual: ours::visual_embeddings(config, device),
            encoder: Encoder::new(bert, device),
            pooler: linear(bert.width, bert.width, device),
            mlm: MlmHead::new(bert, config.mlm_norm_eps, device),
            itm: linear(bert.width, 2, device),
            map_findings: config
                .findings_head()
                .then(|| ours::findings_layer(features, device)),
            map_view: config
                .ours
                .is_some_and(|ours| ours.view_head)
                .then(|| linear(features, 1, device)),
            diagnosis: config.diagnosis.then(|| linear(bert.width, 14, device)),
            answers: (config.answers > 0).then(|| AnswerHead {
                inner: linear(bert.width, 2 * bert.width, device),
                output: linear(2 * bert.width, config.answers, device),
            }),
            recurrent: tienet.then(|| LstmWriter::init(bert.width, device)),
            config: config.clone(),
            specials,
        })
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.pooler.weight.val().device()
    }

    /// The config.
    pub fn config(&self) -> &MedVillConfig {
        &self.config
    }

    /// The cells of the last map, row by row (section 3.1).
    ///
    /// # Shapes
    /// - normalised image `(B, channels, S, S)` -> `(B, K, F)`
    pub fn visual_features(&self, image: Tensor<4>, watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<3> {
        self.image.cells(image, watch)
    }

    /// CLS, the visual tokens and SEP, embedded (*release*: three separate calls, so that SEP has position 0).
    ///
    /// # Shapes
    /// - features `(B, T, F)` -> `(B, T + 2, width)`
    ///
    /// `grid` holds the map index of each token, which is its position; `None` for all cells.
    pub fn embed_context(&self, features: Tensor<3>, grid: Option<&[usize]>) -> Tensor<3> {
        let [batch, tokens, _] = features.dims();
        let device = features.device();
        let all: Vec<usize> = (0..tokens).collect();
        let grid = grid.unwrap_or(&all);
        let positions: Vec<i32> = grid
            .iter()
            .map(|&i| i as i32)
            .cycle()
            .take(batch * tokens)
            .collect();
        let positions = ints(positions, [batch, tokens], &device);
        let projected = self.visual.projection.forward(features.clone());
        let content = self.add_priors(projected, features, positions.clone(), grid);
        let visual = self.text.embed(content, positions, 0);
        let single = |token: u32, position: usize| {
            let position = column(position as u32, batch, &device);
            self.text.forward(column(token, batch, &device), position, 0)
        };
        let after = if self.config.separator_after_visual {
            tokens + 1
        } else {
            0
        };
        Tensor::cat(
            vec![
                single(self.specials.cls, 0),
                visual,
                single(self.specials.sep, after),
            ],
            1,
        )
    }

    /// Tokens at positions that begin with `first`, segment 1.
    ///
    /// # Shapes
    /// - tokens `(B, T)` -> `(B, T, width)`
    pub fn embed_tokens(&self, tokens: Tensor<2, Int>, first: usize) -> Tensor<3> {
        let [batch, count] = tokens.dims();
        let positions = (first..first + count)
            .map(|p| p as i32)
            .cycle()
            .take(batch * count)
            .collect();
        let positions = ints(positions, [batch, count], &tokens.device());
        self.text.forward(tokens, positions, 1)
    }

    /// The text as a scheme wants it: under [`Scheme::NonCrossing`] a second CLS opens it, at position 0 (*ours*), since
    /// the first CLS cannot see it; the sequence is one token longer then.
    ///
    /// # Shapes
    /// - tokens `(B, T)` -> `(B, T, width)` or `(B, T + 1, width)`
    pub fn embed_text(&self, tokens: Tensor<2, Int>, scheme: Scheme) -> Tensor<3> {
        if scheme != Scheme::NonCrossing {
            return self.embed_tokens(tokens, 0);
        }
        let cls = column(self.specials.cls, tokens.dims()[0], &tokens.device());
        self.embed_tokens(Tensor::cat(vec![cls, tokens], 1), 0)
    }

    /// The encoder over an embedded sequence.
    ///
    /// # Shapes
    /// - context `(B, K + 2, width)`, text `(B, T, width)` of [`MedVill::embed_text`]
    ///
    /// `lengths` counts the columns that are no padding, context included.
    pub fn encode(
        &self,
        context: Tensor<3>,
        text: Tensor<3>,
        kind: MaskKind,
        lengths: Vec<usize>,
        watch: impl FnMut(usize, &Tensor<3>),
    ) -> Encoded {
        let columns = context.dims()[1];
        self.encode_sequence(Tensor::cat(vec![context, text], 1), columns, kind, lengths, watch)
    }

    /// [`MedVill::encode`] of a sequence in one piece, of which the first `context` columns are no text.
    fn encode_sequence(
        &self,
        sequence: Tensor<3>,
        context: usize,
        kind: MaskKind,
        lengths: Vec<usize>,
        watch: impl FnMut(usize, &Tensor<3>),
    ) -> Encoded {
        let attend = AttentionPass::new(Mask {
            kind,
            context,
            query_start: 0,
            lengths,
        });
        let hidden = self.encoder.forward(sequence, &attend, watch);
        let pool = |column: usize| self.pool(column_of(&hidden, column));
        // Neither CLS sees the other's modality under this mask, so matching takes their product (*ours*).
        let pooled = if kind == MaskKind::NonCrossing {
            pool(0) * pool(context)
        } else {
            pool(0)
        };
        Encoded { hidden, pooled }
    }

    /// Image and text read together for a judgement: all visual tokens, every token sees every other (*ours*:
    /// understanding tasks use the bidirectional mask).
    ///
    /// As [`Baseline::DualEncoder`], image and text are read apart and meet in a product.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, texts one a sample, closing SEP included
    pub fn encode_pair(&self, image: Tensor<3>, texts: &[&[u32]]) -> EncodedPair {
        let device = image.device();
        let [batch, tokens, _] = image.dims();
        let longest = texts.iter().map(|t| t.len()).max().unwrap_or(1);
        let words = padded(texts.iter().copied(), longest, self.specials.pad, &device);
        let context = self.embed_context(image, None);
        if self.config.baseline == Some(Baseline::DualEncoder) {
            let visual = mean_of_visual(context.narrow(1, 1, tokens));
            let cls = column(self.specials.cls, batch, &device);
            let text = self.embed_tokens(Tensor::cat(vec![cls, words], 1), 0);
            let lengths = texts.iter().map(|t| t.len() + 1).collect();
            let Encoded { hidden, pooled } =
                self.encode_sequence(text, 0, MaskKind::Bidirectional, lengths, |_, _| ());
            return EncodedPair {
                pooled: pooled * self.pool(visual.clone()),
                joint: column_of(&hidden, 0) * visual,
            };
        }
        let lengths = texts.iter().map(|t| tokens + 2 + t.len()).collect();
        let text = self.embed_tokens(words, 0);
        let Encoded { hidden, pooled } =
            self.encode(context, text, MaskKind::Bidirectional, lengths, |_, _| ());
        EncodedPair {
            pooled,
            joint: column_of(&hidden, 0) * column_of(&hidden, tokens + 1),
        }
    }

    /// Logits of the masked-language-model head for rows of hidden states.
    ///
    /// # Shapes
    /// - hidden `(rows, width)` -> `(rows, V)`
    pub fn mlm_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.mlm.forward(hidden, self.text.words())
    }

    fn pool(&self, cls: Tensor<2>) -> Tensor<2> {
        tanh(self.pooler.forward(cls))
    }

    /// Logits of not matched, matched (image-report matching, IRM).
    ///
    /// # Shapes
    /// - pooled `(B, width)` -> `(B, 2)`
    pub fn itm_logits(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.itm.forward(pooled)
    }

    /// Logits of CheXpert's categories from image and report, linear heads on CLS (section 4.1); without a report the
    /// text is a SEP alone. `None` where the config has no such heads.
    ///
    /// # Shapes
    /// - image `(B, K, F)` -> `(B, 14)`
    pub fn diagnose(&self, image: Tensor<3>, texts: Option<&[&[u32]]>) -> Option<Tensor<2>> {
        let head = self.diagnosis.as_ref()?;
        let nothing = [self.specials.sep];
        let alone: Vec<&[u32]> = vec![&nothing; image.dims()[0]];
        Some(head.forward(self.encode_pair(image, texts.unwrap_or(&alone)).pooled))
    }

    /// Logits of the answers (section 4.1); `None` where the config has none.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, questions one a sample -> `(B, answers)`
    pub fn answer_logits(&self, image: Tensor<3>, questions: &[&[u32]]) -> Option<Tensor<2>> {
        let head = self.answers.as_ref()?;
        let joint = self.encode_pair(image, questions).joint;
        Some(head.output.forward(relu(head.inner.forward(joint))))
    }
}

impl System for MedVill {
    fn spec(&self) -> Spec {
        let side = self.config.grid();
        let labels = match (self.config.findings_head(), self.config.diagnosis) {
            (true, _) => 3 * 14,
            (false, true) => 14,
            (false, false) => 0,
        };
        Spec {
            preprocessing: self.config.preprocessing,
            text: SystemConfig::text(&self.config),
            grid: [side, side],
            lead: 0,
            features: self.config.features(),
            labels,
            answers: self.config.answers,
        }
    }

    fn tasks(&self) -> Vec<Task> {
        let has = [
            (Task::Draft, self.config.baseline != Some(Baseline::DualEncoder)),
            (
                Task::Findings,
                self.map_findings.is_some() || self.diagnosis.is_some(),
            ),
            (Task::Retrieve, true),
            (Task::Vqa, self.answers.is_some()),
        ];
        has.into_iter()
            .filter(|(_, has)| *has)
            .map(|(task, _)| task)
            .collect()
    }

    fn encode_image(&self, pixels: Tensor<4>) -> Tensor<3> {
        let config = &self.config;
        let image = normalize(pixels, config.preprocessing.norm, config.channels());
        self.visual_features(image, |_, _| ())
    }

    /// From the image alone by the findings head, where there is one; else by the heads on CLS, with the report where it
    /// is given.
    fn classify(&self, input: Input<'_>) -> Option<Tensor<2>> {
        let image = input.image?;
        match (&self.map_findings, input.text) {
            (Some(_), None) => self.findings_logits(image, None),
            (_, text) => self.diagnose(image, text),
        }
    }

    fn evidence(&self, image: Tensor<3>) -> Option<Tensor<3>> {
        Some(self.map_findings.as_ref()?.forward(image))
    }

    fn answer(&self, image: Tensor<3>, questions: &[&[u32]]) -> Option<Tensor<2>> {
        let logits = self.answer_logits(image, questions)?;
        Some(if self.config.answer_softmax {
            log_softmax(logits, 1)
        } else {
            log_sigmoid(logits)
        })
    }

    fn match_pairs(&self, image: Tensor<3>, texts: &[&[u32]]) -> Option<Tensor<1>> {
        let logits = self.itm_logits(self.encode_pair(image, texts).pooled);
        let batch = logits.dims()[0];
        // The logit of "matched" against "not matched": its sigmoid is their softmax.
        Some((logits.clone().narrow(1, 1, 1) - logits.narrow(1, 0, 1)).reshape([batch]))
    }

    fn generator(&self) -> Option<&dyn Generator> {
        (self.config.baseline != Some(Baseline::DualEncoder)).then_some(self as &dyn Generator)
    }

    #[cfg(not(target_family = "wasm"))]
    fn trace(&self, inputs: &AnyArrays, trace: &mut Trace) -> Result<(), TraceInputError> {
        trace::trace(self, inputs, trace)
    }
}

#[cfg(test)]
mod tests;
