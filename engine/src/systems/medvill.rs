//! MedViLL (Moon et al., "Multi-modal Understanding and Generation for Medical Images and Text via Vision-Language
//! Pre-Training", 2021): a ResNet's last map and the words of the report in one BERT, under interchangeable masks.
//!
//! The sequence is CLS, V1..VK, SEP, W1..WN, SEP (section 3.2). *Release* marks what only the authors' code tells, *ours*
//! what neither tells.

mod config;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::activation::{log_softmax, tanh};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::kernels::{Mask, Rule};
use crate::nn::{Attend, Encoder, KeyValueCache, MlmHead, ResNet, TextEmbeddings, linear};
use crate::text::Specials;

pub use config::{MedVillConfig, MedVillError, NAME, PRESETS, Scheme};

/// The projection of visual features into BERT's width (*release*: before position, segment and norm; the paper's eq. 2
/// adds them before).
#[derive(Module, Debug)]
pub struct VisualEmbeddings {
    projection: Linear,
    grid: Option<Embedding>,
    side: Option<Linear>,
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
            visual: VisualEmbeddings {
                projection: linear(features, bert.width, device),
                grid: config.own_grid.then(|| {
                    let initializer = Initializer::Normal { mean: 0.0, std: 0.3 };
                    let table = EmbeddingConfig::new(config.visual_tokens(), bert.width);
                    table.with_initializer(initializer).init(device)
                }),
                side: config.side_projection.then(|| linear(features, bert.width, device)),
            },
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
        let positions = grid.iter().map(|&i| i as i32).cycle().take(batch * tokens).collect::<Vec<_>>();
        let positions = ints(positions, [batch, tokens], &device);
        let mut projected = self.visual.projection.forward(features.clone());
        if let Some(side) = &self.visual.side {
            // -1 at the picture's left edge, the patient's right, to 1.
            let columns = self.config.size.div_ceil(32);
            let middle = ((columns - 1) as f32 / 2.0).max(0.5);
            let across: Vec<f32> = grid.iter().map(|&i| (i % columns) as f32 / middle - 1.0).collect();
            let across = Tensor::<3>::from_data(TensorData::new(across, [1, tokens, 1]), &device);
            projected = projected + side.forward(features) * across;
        }
        if let Some(grid) = &self.visual.grid {
            projected = projected + grid.forward(positions.clone());
        }
        let visual = self.text.embed(projected, positions, 0);
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

    /// The text as a scheme wants it: under [`Scheme::NonCrossing`] a second CLS opens it, at position 0 (*ours*), since the
    /// first CLS cannot see it; the sequence is one token longer then.
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
        let [batch, columns, width] = context.dims();
        let attend = Attend::new(Mask { rule, context: columns, query_start: 0, lengths });
        let sequence = Tensor::cat(vec![context, text], 1);
        let hidden = self.encoder.forward(sequence, &attend, &mut [], watch);
        let pool = |column: usize| {
            let cls = hidden.clone().slice([0..batch, column..column + 1, 0..width]).reshape([batch, width]);
            tanh(self.pooler.forward(cls))
        };
        // Neither CLS sees the other's modality under this rule, so matching takes their product (*ours*).
        let pooled = if rule == Rule::NonCrossing { pool(0) * pool(columns) } else { pool(0) };
        Encoded { hidden, pooled }
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

    #[test]
    fn under_non_crossing_text_is_blind_to_the_picture_but_matching_is_not() {
        let device = Device::flex();
        let config = MedVillConfig::tiny();
        let model = MedVill::new(&config, &device).unwrap();
        let specials = Specials { cls: 1, sep: 2, ..Specials::BERT };
        let grid: Vec<usize> = (0..9).collect();
        let pass = |scheme: Scheme, shade: f32| {
            let features = Tensor::<3>::full([1, 9, 256], shade, &device);
            let words = ints(vec![7, 8, 9, 2], [1, 4], &device);
            let context = model.embed_context(features, &grid, specials);
            let text = model.embed_text(words, scheme, specials);
            let columns = 11 + text.dims()[1];
            let encoded = model.encode(context, text, scheme.rule(&config, 0.0), vec![columns], |_, _| ());
            let words = encoded.hidden.slice([0..1, 11..columns, 0..64]);
            let values = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
            (values(words), encoded.pooled.into_data().iter::<f32>().collect::<Vec<_>>())
        };
        let (dark, bright) = (pass(Scheme::NonCrossing, 0.1), pass(Scheme::NonCrossing, 2.0));
        assert_eq!(dark.0.len(), 5 * 64, "a second CLS opens the text");
        assert_eq!(dark.0, bright.0);
        assert_ne!(dark.1, bright.1);
        assert_ne!(pass(Scheme::Bi, 0.1).0, pass(Scheme::Bi, 2.0).0);
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
