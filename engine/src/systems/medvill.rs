//! MedViLL (Moon et al., "Multi-modal Understanding and Generation for Medical Images and Text via Vision-Language
//! Pre-Training", 2021): a ResNet's last map and the words of the report in one BERT, under interchangeable masks.
//!
//! The sequence is CLS, V1..VK, SEP, W1..WN, SEP (section 3.2). *Release* marks what only the authors' code tells, *ours*
//! what neither tells.

use burn::module::Module;
use burn::nn::{Initializer, Linear};
use burn::tensor::activation::{log_softmax, tanh};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kernels::{Mask, Rule};
use crate::nn::{Attend, BertConfig, Encoder, KeyValueCache, MlmHead, ResNet, ResNetConfig, TextEmbeddings, linear};
use crate::text::Specials;

/// The system's name on the command line and in bundles.
pub const NAME: &str = "medvill";
/// Named sizes.
pub const PRESETS: [&str; 3] = ["paper", "demo", "tiny"];

/// Figure 2's masking schemes; one that mixes two draws one of them a mini-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Bidirectional.
    Bi,
    /// Sequence to sequence.
    Seq2Seq,
    /// Bidirectional auto-regressive.
    Bar,
    /// Sequence to sequence in three of four mini-batches, else bidirectional.
    BiAndSeq2Seq,
    /// Modalities see only themselves; a second CLS opens the text.
    NonCrossing,
}

impl Scheme {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Bi, Self::Seq2Seq, Self::Bar, Self::BiAndSeq2Seq, Self::NonCrossing];

    /// The attention rule of one mini-batch; `draw` in [0, 1) decides for [`Scheme::BiAndSeq2Seq`] (section 3.3: 75 % S2S).
    pub fn rule(self, config: &MedVillConfig, draw: f64) -> Rule {
        match self {
            Self::Bi => Rule::Bidirectional,
            Self::Seq2Seq => Rule::Seq2Seq,
            Self::Bar => Rule::BidirectionalAutoregressive { padding: config.bar_sees_padding },
            Self::BiAndSeq2Seq if draw < 0.75 => Rule::Seq2Seq,
            Self::BiAndSeq2Seq => Rule::Bidirectional,
            Self::NonCrossing => Rule::NonCrossing,
        }
    }
}

/// Sizes and switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MedVillConfig {
    /// Side of the square picture in pixels.
    pub size: usize,
    /// The image encoder.
    pub image: ResNetConfig,
    /// The joint encoder.
    pub bert: BertConfig,
    /// Words of a report at most, the closing SEP apart.
    pub words: usize,
    /// Visual tokens kept in pre-training; downstream all are.
    pub sampled: usize,
    /// Epsilon of the language-model head's norm. *Release*: 1e-5 there, 1e-12 elsewhere.
    pub mlm_norm_eps: f64,
    /// Context rows see padding under BAR. *Release*: yes.
    pub bar_sees_padding: bool,
    /// SEP after the picture has position K + 1, as the *release*'s generation and VQA code has it; else 0 as in its
    /// pre-training code.
    pub separator_after_visual: bool,
    /// Mean and standard deviation of pixels in [0, 1]. *Ours* where the picture has one channel.
    pub pixel_norm: [f32; 2],
    /// Each picture is brought to mean 0 and deviation 1 by itself instead. *Ours*: exposures differ more than anatomies.
    pub standardise: bool,
    /// A linear layer on the map that reads findings and their sides from the picture alone. *Ours*: it stands in for the
    /// ImageNet weights with which the paper's ResNet begins.
    pub map_findings: bool,
}

impl MedVillConfig {
    /// The sizes of the paper: ResNet-50 at 512 px, BERT-base.
    pub fn paper() -> Self {
        Self {
            size: 512,
            image: ResNetConfig::resnet50(),
            bert: BertConfig::base(),
            words: 253,
            sampled: 180,
            mlm_norm_eps: 1e-5,
            bar_sees_padding: true,
            separator_after_visual: false,
            pixel_norm: [0.449, 0.226],
            standardise: false,
            map_findings: false,
        }
    }

    /// Small enough for a page and for training on a laptop's CPU.
    pub fn demo() -> Self {
        Self {
            size: 224,
            image: ResNetConfig { channels: 1, width: 16, block: crate::nn::Block::Basic, depths: [1, 2, 2, 2] },
            bert: BertConfig {
                vocabulary: 1024,
                width: 192,
                layers: 3,
                heads: 6,
                intermediate: 768,
                positions: 128,
                dropout: 0.05,
                norm_eps: 1e-12,
            },
            words: 100,
            sampled: 36,
            mlm_norm_eps: 1e-12,
            bar_sees_padding: false,
            separator_after_visual: false,
            pixel_norm: [0.5, 0.25],
            standardise: true,
            map_findings: true,
        }
    }

    /// For tests: the shapes of the reference tensors.
    pub fn tiny() -> Self {
        Self {
            size: 96,
            image: ResNetConfig { width: 8, ..ResNetConfig::resnet50() },
            bert: BertConfig {
                vocabulary: 120,
                width: 64,
                layers: 2,
                heads: 4,
                intermediate: 128,
                positions: 64,
                dropout: 0.1,
                norm_eps: 1e-12,
            },
            words: 9,
            sampled: 5,
            ..Self::paper()
        }
    }

    /// The preset of that name.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "paper" => Some(Self::paper()),
            "demo" => Some(Self::demo()),
            "tiny" => Some(Self::tiny()),
            _ => None,
        }
    }

    /// Visual tokens of a picture: cells of the last map, a 32nd of the side, squared.
    pub const fn visual_tokens(&self) -> usize {
        let side = self.size.div_ceil(32);
        side * side
    }

    /// Tokens of a whole sequence with all visual tokens: CLS, V, SEP, W, SEP.
    pub const fn sequence(&self) -> usize {
        self.visual_tokens() + self.words + 3
    }

    /// Refuses sizes that cannot run, in words.
    ///
    /// # Errors
    /// Names the key and what it must be.
    pub fn check(&self) -> Result<(), MedVillError> {
        let bert = &self.bert;
        let fail = |key, must| Err(MedVillError::Config { key, must });
        if bert.heads == 0 || !bert.width.is_multiple_of(bert.heads) {
            return fail("bert.heads", "divide bert.width");
        }
        if self.size < 32 || self.size > 4096 {
            return fail("size", "be between 32 and 4096");
        }
        if bert.positions < self.visual_tokens() + 2 || bert.positions < self.words + 2 {
            return fail("bert.positions", "hold all visual tokens and all words, with two to spare");
        }
        if self.sampled == 0 || self.sampled > self.visual_tokens() {
            return fail("sampled", "be between 1 and the number of visual tokens");
        }
        if bert.vocabulary < 6 || bert.layers == 0 || self.words == 0 {
            return fail("bert", "have words and layers");
        }
        if !(0.0..1.0).contains(&bert.dropout) {
            return fail("bert.dropout", "be at least 0 and less than 1");
        }
        if self.image.channels == 0 || self.image.width == 0 || self.image.depths.contains(&0) {
            return fail("image", "have channels, width and blocks in all four stages");
        }
        Ok(())
    }
}

/// What can be wrong with a config.
#[derive(Debug, Error)]
pub enum MedVillError {
    /// A size that cannot run.
    #[error("the model's config key {key} must {must}")]
    Config {
        /// Which key.
        key: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

/// The projection of visual features into BERT's width (*release*: before position, segment and norm; the paper's eq. 2
/// adds them before).
#[derive(Module, Debug)]
pub struct VisualEmbeddings {
    projection: Linear,
}

/// The model.
#[derive(Module, Debug)]
pub struct MedVill {
    image: ResNet,
    text: TextEmbeddings,
    visual: VisualEmbeddings,
    encoder: Encoder,
    pooler: Linear,
    mlm: MlmHead,
    itm: Linear,
    map_findings: Option<Linear>,
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
    pub fn new(config: &MedVillConfig, device: &Device) -> Result<Self, MedVillError> {
        config.check()?;
        let (bert, features) = (&config.bert, config.image.features());
        Ok(Self {
            image: ResNet::new(&config.image, device),
            text: TextEmbeddings::new(bert, device),
            visual: VisualEmbeddings { projection: linear(features, bert.width, device) },
            encoder: Encoder::new(bert, device),
            pooler: linear(bert.width, bert.width, device),
            mlm: MlmHead::new(bert, config.mlm_norm_eps, device),
            itm: linear(bert.width, 2, device),
            map_findings: config.map_findings.then(|| map_findings_layer(features, device)),
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
        normed.repeat_dim(1, self.config.image.channels)
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

    /// CLS, the visual tokens and SEP, embedded (*release*: three separate calls, so that SEP has position 0).
    ///
    /// # Shapes
    /// - features `(batch, tokens, features)` -> `(batch, tokens + 2, width)`
    ///
    /// `grid` holds the map index of each token, which is its position.
    pub fn embed_context(&self, features: Tensor<3>, grid: &[usize], specials: Specials) -> Tensor<3> {
        let [batch, tokens, _] = features.dims();
        let device = features.device();
        let projected = self.visual.projection.forward(features);
        let positions = grid.iter().map(|&i| i as i32).cycle().take(batch * tokens).collect::<Vec<_>>();
        let visual = self.text.embed(projected, ints(positions, [batch, tokens], &device), 0);
        let single = |word: u32, position: usize| {
            let position = ints(vec![position as i32; batch], [batch, 1], &device);
            self.text.forward(ints(vec![word as i32; batch], [batch, 1], &device), position, 0)
        };
        let after = if self.config.separator_after_visual { tokens + 1 } else { 0 };
        Tensor::cat(vec![single(specials.cls, 0), visual, single(specials.sep, after)], 1)
    }

    /// Words at positions that begin with `first`, segment 1.
    ///
    /// # Shapes
    /// - words `(batch, tokens)` -> `(batch, tokens, width)`
    pub fn embed_words(&self, words: Tensor<2, Int>, first: usize) -> Tensor<3> {
        let [batch, tokens] = words.dims();
        let positions = (first..first + tokens).map(|p| p as i32).cycle().take(batch * tokens).collect();
        let positions = ints(positions, [batch, tokens], &words.device());
        self.text.forward(words, positions, 1)
    }

    /// The encoder over an embedded sequence.
    ///
    /// # Shapes
    /// - context `(batch, K + 2, width)`, text `(batch, tokens, width)`
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
        let [batch, columns, width] = context.dims();
        let attend = Attend::new(Mask { rule, context: columns, query_start: 0, lengths });
        let sequence = Tensor::cat(vec![context, text], 1);
        let hidden = self.encoder.forward(sequence, &attend, &mut [], watch);
        let cls = hidden.clone().slice([0..batch, 0..1, 0..width]).reshape([batch, width]);
        Encoded { hidden, pooled: tanh(self.pooler.forward(cls)) }
    }

    /// Logits of the masked-language-model head for rows of hidden states.
    ///
    /// # Shapes
    /// - hidden `(rows, width)` -> `(rows, vocabulary)`
    pub fn mlm_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.mlm.forward(hidden, self.text.words())
    }

    /// Logits of not matched, matched (image-report matching, IRM).
    ///
    /// # Shapes
    /// - pooled `(batch, width)` -> `(batch, 2)`
    pub fn itm_logits(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.itm.forward(pooled)
    }

    /// Logits of the findings of a picture, read from its map alone: anywhere, on the left, on the right. *Ours*.
    ///
    /// A category's logit is the log-sum-exp of the cells that may show it: all of them, or those of a side and the middle
    /// column, the patient's left being the right of the picture.
    ///
    /// # Shapes
    /// - features `(batch, K, features)` -> `(batch, 3, 14)`; `None` where the config has no such layer
    pub fn map_findings(&self, features: Tensor<3>) -> Option<Tensor<3>> {
        let layer = self.map_findings.as_ref()?;
        let [batch, tokens, _] = features.dims();
        let side = self.config.size.div_ceil(32);
        let device = features.device();
        let cells = layer.forward(features).reshape([batch, tokens, 3, 14]);
        let middle = side / 2;
        let mut hidden = vec![0f32; tokens * 3];
        for cell in 0..tokens {
            let column = cell % side;
            // 0: anywhere, 1: the patient's left, 2: the patient's right
            hidden[cell * 3 + 1] = if column < middle { -1e4 } else { 0.0 };
            hidden[cell * 3 + 2] = if column > side - 1 - middle { -1e4 } else { 0.0 };
        }
        let hidden = Tensor::<4>::from_data(TensorData::new(hidden, [1, tokens, 3, 1]), &device);
        let cells = cells + hidden;
        let peak = cells.clone().detach().max_dim(1);
        let sum = (cells - peak.clone()).exp().sum_dim(1).log() + peak;
        Some(sum.reshape([batch, 3, 14]))
    }

    /// Opens a draft: the context through the encoder, its keys and values kept.
    ///
    /// Under S2S the context never sees the text, so this is done once a picture.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`; the caches hold K + 2 + `room` tokens
    pub fn open_draft(&self, features: Tensor<3>, specials: Specials, room: usize) -> DraftState {
        let [batch, tokens, _] = features.dims();
        let device = features.device();
        let context = tokens + 2;
        let grid: Vec<usize> = (0..tokens).collect();
        let mut caches = self.encoder.caches(batch, context + room, self.config.bert.width, &device);
        let mask = Mask { rule: Rule::Seq2Seq, context, query_start: 0, lengths: vec![context; batch] };
        let embedded = self.embed_context(features, &grid, specials);
        self.encoder.forward(embedded, &Attend::new(mask), &mut caches, |_, _| ());
        DraftState { caches, context, written: 0 }
    }

    /// One step of a draft: settles `last` (nothing at the first step), appends MASK, predicts it (section 3.4).
    ///
    /// # Shapes
    /// - last `(batch, 1)` -> logits of the next word, `(batch, vocabulary)`
    pub fn step_draft(&self, state: &mut DraftState, last: Option<Tensor<2, Int>>, mask: Tensor<2, Int>) -> Tensor<2> {
        let [batch, _] = mask.dims();
        let (words, first) = match last {
            Some(last) => {
                state.written += 1;
                (Tensor::cat(vec![last, mask], 1), state.written - 1)
            }
            None => (mask, state.written),
        };
        let rows = words.dims()[1];
        let hidden = self.encoder.decode(self.embed_words(words, first), state.context + first, &mut state.caches);
        let width = self.config.bert.width;
        self.mlm_logits(hidden.slice([0..batch, rows - 1..rows, 0..width]).reshape([batch, width]))
    }

    /// The same without a cache, over the whole sequence: what [`MedVill::step_draft`] must equal.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, words `(batch, t)` or nothing -> `(batch, vocabulary)`
    pub fn predict_next(&self, features: Tensor<3>, words: Option<Tensor<2, Int>>, specials: Specials) -> Tensor<2> {
        let [batch, tokens, _] = features.dims();
        let device = features.device();
        let mask = ints(vec![specials.mask as i32; batch], [batch, 1], &device);
        let words = match words {
            Some(words) => Tensor::cat(vec![words, mask], 1),
            None => mask,
        };
        let grid: Vec<usize> = (0..tokens).collect();
        let context = self.embed_context(features, &grid, specials);
        let columns = tokens + 2 + words.dims()[1];
        let encoded = self.encode(context, self.embed_words(words, 0), Rule::Seq2Seq, vec![columns; batch], |_, _| ());
        let width = self.config.bert.width;
        self.mlm_logits(encoded.hidden.slice([0..batch, columns - 1..columns, 0..width]).reshape([batch, width]))
    }

    /// The network that sees the picture, for freezing and for rates of its own.
    pub fn image_encoder(&self) -> &ResNet {
        &self.image
    }

    /// The model with its image encoder frozen, as the *release* has it.
    pub fn freeze_image(mut self) -> Self {
        self.image = self.image.freeze();
        self.map_findings = self.map_findings.freeze();
        self
    }
}

/// The layer begins where no cell shows anything: summed over the cells of a map, findings are rare then, as they are.
fn map_findings_layer(features: usize, device: &Device) -> Linear {
    let layer = linear(features, 3 * 14, device);
    let bias = Some(Initializer::Constant { value: -6.0 }.init([3 * 14], device));
    Linear { bias, ..layer }
}

/// A draft under way: the static caches and how far it has come.
pub struct DraftState {
    caches: Vec<KeyValueCache>,
    context: usize,
    written: usize,
}

impl DraftState {
    /// Multiply-adds of all steps so far, in all layers.
    pub fn work(&self) -> u64 {
        self.caches.iter().map(KeyValueCache::work).sum()
    }

    /// Words that are settled.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Keeps the samples of `rows`, in that order, as a beam search does.
    pub fn select(&mut self, rows: &[usize]) {
        let device = self.caches[0].device();
        let rows = ints(rows.iter().map(|&r| r as i32).collect(), [rows.len()], &device);
        self.caches.iter_mut().for_each(|cache| cache.select(&rows));
    }
}

/// Mean cross-entropy of `targets` under `logits` (the MLM loss of section 3.3).
///
/// # Shapes
/// - logits `(rows, classes)`, targets `(rows)` -> `(1)`
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let rows = targets.dims()[0];
    log_softmax(logits, 1).gather(1, targets.reshape([rows, 1])).mean().neg()
}

/// A tensor of 32-bit integers.
pub fn ints<const D: usize>(values: Vec<i32>, shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn presets_can_run_and_say_their_sizes() {
        for name in PRESETS {
            MedVillConfig::preset(name).unwrap().check().unwrap();
        }
        let paper = MedVillConfig::paper();
        assert_eq!((paper.visual_tokens(), paper.image.features(), paper.sequence()), (256, 2048, 512));
    }

    #[test]
    fn a_config_that_cannot_run_is_refused_by_key() {
        let mut config = MedVillConfig::tiny();
        config.bert.heads = 7;
        assert!(config.check().unwrap_err().to_string().contains("bert.heads"));
        let mut config = MedVillConfig::tiny();
        config.sampled = 10;
        assert!(config.check().unwrap_err().to_string().contains("sampled"));
    }

    #[test]
    fn both_is_sequence_to_sequence_in_three_of_four() {
        let config = MedVillConfig::tiny();
        let draws = (0..100).map(|i| Scheme::BiAndSeq2Seq.rule(&config, f64::from(i) / 100.0));
        assert_eq!(draws.filter(|rule| *rule == Rule::Seq2Seq).count(), 75);
    }

    #[test]
    fn a_finding_on_the_patients_left_lies_right_in_the_picture() {
        let device = Device::flex();
        let config = MedVillConfig { map_findings: true, ..MedVillConfig::tiny() };
        let model = MedVill::new(&config, &device).unwrap();
        // A map that is loud in its last column: what the layer says of it must reach left, not right.
        let mut loud = vec![0f32; 9 * 256];
        for row in 0..3 {
            loud[(row * 3 + 2) * 256..(row * 3 + 3) * 256].fill(3.0);
        }
        let quiet = model.map_findings(Tensor::zeros([1, 9, 256], &device)).unwrap();
        let loud = model.map_findings(Tensor::from_data(TensorData::new(loud, [1, 9, 256]), &device)).unwrap();
        let change: Vec<f32> = (loud - quiet).abs().sum_dim(2).into_data().iter::<f32>().collect();
        assert!(change[1] > 1.0 && change[2] == 0.0, "{change:?}");
    }

    #[allow(clippy::disallowed_methods, reason = "a measurement")]
    /// `cargo test --release -p hilum --lib paper_size -- --ignored --nocapture`
    #[test]
    #[ignore = "takes gigabytes and half a minute; it is a measurement"]
    fn paper_size_drafts_one_word() {
        let config = MedVillConfig::paper();
        for (name, device) in crate::device::test_devices() {
            let model = MedVill::new(&config, &device).unwrap();
            let pixels = Tensor::<3>::random([1, 512, 512], Distribution::Default, &device);
            let began = Instant::now();
            let features = model.encode_image(model.picture(pixels), |_, _| ());
            device.sync().unwrap();
            let encoded = began.elapsed();
            let mut state = model.open_draft(features, Specials::BERT, 130);
            device.sync().unwrap();
            let opened = began.elapsed();
            let mask = || ints(vec![103], [1, 1], &device);
            let logits = model.step_draft(&mut state, None, mask());
            assert_eq!(logits.into_data().iter::<f32>().filter(|p| p.is_finite()).count(), 30_522);
            let stepped = began.elapsed();
            model.step_draft(&mut state, Some(mask()), mask()).into_data();
            let again = began.elapsed();
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("VmHWM: unknown").to_owned();
            println!(
                "paper size on {name}: picture {encoded:.2?}, context {:.2?}, first word {:.2?}, next word {:.2?}; {peak}",
                opened - encoded,
                stepped - opened,
                again - stepped
            );
        }
    }
}
