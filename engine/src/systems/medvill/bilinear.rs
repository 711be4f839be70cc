//! Answers from the product of a question's words and what is known of the picture. *Ours*: with few
//! questions, CLS times SEP hardly learns that an answer depends on which picture it is; a bilinear form
//! learns it in minutes.
//!
//! Two heads look at the picture: one at its vector, one at which training picture it is. A third head tells
//! of what kind the answer will be (a size, a plane, an organ), from the words alone.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{MedVill, MedVillConfig};
use crate::data::QUESTION_KINDS;
use crate::nn::linear;
use crate::systems::learn::{Example, cross_entropy, ints, padded};
use crate::text::Specials;

/// How loud the picture alone is beside its product with the question.
const QUIET: f64 = 0.3;

/// How much the logits of identities differ at most.
const SHARP: f64 = 8.0;

/// Length of the picture's vector before it meets the question.
const LENGTH: f64 = 16.0;

/// Weights of the heads' log-probabilities in a decision: CLS times SEP beside them, the picture's vector,
/// its identity.
const JOINT: f64 = 0.5;
const SEEN: f64 = 1.0;
const KNOWN: f64 = 2.0;

/// Weight of the kind's log-probability, and what is added to the probability.
const KIND: f64 = 0.75;
const KIND_FLOOR: f64 = 0.01;

/// A word's say in the kind is learned so many times as fast as its vectors.
const HASTE: f64 = 5.0;

/// Sizes and switches of the bilinear heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BilinearConfig {
    /// Width of the question's and the picture's vectors.
    pub width: usize,
    /// A second head, which is told what training picture this is by the identities that `init` has learned.
    #[serde(default)]
    pub memory: bool,
    /// The kind of the answer is told from the question's words, and answers of that kind are preferred.
    #[serde(default)]
    pub kinds: bool,
    /// Whether CLS times SEP answers too.
    #[serde(default)]
    pub joint: bool,
    /// Dropout before the answers.
    #[serde(default)]
    pub dropout: f64,
    /// Smoothing of the targets: this share goes to all answers alike.
    #[serde(default)]
    pub smoothing: f64,
}

/// One head: the sum of weighed word vectors, of length 1, times the picture's.
#[derive(Module, Debug)]
pub struct BilinearHead {
    words: Embedding,
    weights: Embedding,
    picture: Linear,
    output: Linear,
    dropout: Dropout,
}

impl BilinearHead {
    fn new(config: &MedVillConfig, bilinear: &BilinearConfig, picture: Linear, device: &Device) -> Self {
        let (words, width) = (config.bert.vocabulary, bilinear.width);
        // Quiet at first: what words have in common is learned, not drawn.
        let vectors = Initializer::Normal {
            mean: 0.0,
            std: 1.0 / (width as f64).sqrt(),
        };
        Self {
            words: EmbeddingConfig::new(words, width)
                .with_initializer(vectors)
                .init(device),
            weights: EmbeddingConfig::new(words, 1)
                .with_initializer(Initializer::Ones)
                .init(device),
            picture,
            output: linear(3 * width, config.answers, device),
            dropout: DropoutConfig::new(bilinear.dropout).init(),
        }
    }

    fn forward(&self, picture: Tensor<2>, words: &Bag) -> Tensor<2> {
        let picture = unit(self.picture.forward(picture));
        let [batch, width] = picture.dims();
        let vectors = self.words.forward(words.ids.clone())
            * (self.weights.forward(words.ids.clone()) * words.counted.clone());
        let question = unit(vectors.sum_dim(1).reshape([batch, width]));
        let root = (width as f64).sqrt();
        let product = question.clone() * picture.clone();
        let joined = Tensor::cat(
            vec![question, product.mul_scalar(root), picture.mul_scalar(QUIET)],
            1,
        );
        self.output.forward(self.dropout.forward(joined.mul_scalar(root)))
    }
}

/// The kind of a question's answer, from its words; and how each answer's questions fall into kinds.
#[derive(Module, Debug)]
pub struct KindHead {
    words: Embedding,
    /// P(kind | answer), counted in the training data, `(answers, kinds)`.
    of_answers: Param<Tensor<2>>,
}

impl KindHead {
    /// # Shapes
    /// - words of `batch` questions -> logits `(batch, kinds)`
    fn forward(&self, words: &Bag) -> Tensor<2> {
        let vectors = self.words.forward(words.ids.clone()) * words.counted.clone();
        let [batch, _, kinds] = vectors.dims();
        vectors.sum_dim(1).reshape([batch, kinds]).mul_scalar(HASTE)
    }
}

/// The heads.
#[derive(Module, Debug)]
pub struct Bilinear {
    seen: BilinearHead,
    known: Option<BilinearHead>,
    kinds: Option<KindHead>,
}

impl Bilinear {
    /// Random weights; `None` where the config has no such heads.
    pub(super) fn new(config: &MedVillConfig, device: &Device) -> Option<Self> {
        let bilinear = config.bilinear.as_ref().filter(|_| config.answers > 0)?;
        let normal = |input: usize, std: f64| {
            let weight = Initializer::Normal { mean: 0.0, std }.init([input, bilinear.width], device);
            Linear { weight, bias: None }
        };
        let bias = Some(Initializer::Zeros.init([bilinear.width], device));
        let seen = Linear {
            bias,
            ..normal(config.picture_vector, 1.0 / LENGTH)
        };
        let known = || BilinearHead::new(config, bilinear, normal(config.identities, 1.0), device);
        Some(Self {
            seen: BilinearHead::new(config, bilinear, seen, device),
            known: (bilinear.memory && config.identities > 0).then(known),
            kinds: bilinear.kinds.then(|| {
                let words = EmbeddingConfig::new(config.bert.vocabulary, QUESTION_KINDS.len());
                KindHead {
                    words: words.with_initializer(Initializer::Zeros).init(device),
                    of_answers: Initializer::Constant {
                        value: 1.0 / QUESTION_KINDS.len() as f64,
                    }
                    .init([config.answers, QUESTION_KINDS.len()], device),
                }
            }),
        })
    }

    /// With what the training data tell by counting: how much a word says (its inverse document frequency),
    /// and the kinds of the questions that have an answer.
    pub(super) fn counted(mut self, examples: &[Example]) -> Self {
        let device = self.seen.words.weight.val().device();
        let questions = || examples.iter().flat_map(|e| &e.questions);
        let [words, _] = self.seen.words.weight.dims();
        let mut within = vec![0f64; words];
        let mut all = 0f64;
        for question in questions() {
            all += 1.0;
            let mut own = question.words.clone();
            own.sort_unstable();
            own.dedup();
            own.iter().for_each(|&word| within[word as usize] += 1.0);
        }
        // A word of no question is as telling as one of a tenth of them.
        let telling = |n: &f64| if *n > 0.0 { (all / n).ln() / 3.0 } else { 10f64.ln() / 3.0 } as f32;
        let weights: Vec<f32> = within.iter().map(telling).collect();
        let weights = Tensor::from_data(TensorData::new(weights, [words, 1]), &device);
        for head in [Some(&mut self.seen), self.known.as_mut()].into_iter().flatten() {
            head.weights.weight = Param::from_tensor(weights.clone());
        }
        if let Some(kinds) = &mut self.kinds {
            let [answers, count] = kinds.of_answers.dims();
            let mut counts = vec![0f32; answers * count];
            for question in questions() {
                if let (Some(answer), Some(kind)) = (question.answer, question.kind) {
                    counts[answer * count + kind] += 1.0;
                }
            }
            for row in counts.chunks_mut(count) {
                let sum: f32 = row.iter().sum();
                row.iter_mut()
                    .for_each(|n| *n = if sum > 0.0 { *n / sum } else { 1.0 / count as f32 });
            }
            kinds.of_answers = Param::from_tensor(Tensor::from_data(
                TensorData::new(counts, [answers, count]),
                &device,
            ));
        }
        self
    }
}

/// Questions as bags of words: ids and whether each counts, `(batch, longest)` and `(batch, longest, 1)`.
struct Bag {
    ids: Tensor<2, burn::tensor::Int>,
    counted: Tensor<3>,
}

impl Bag {
    fn new(questions: &[&[u32]], specials: Specials, device: &Device) -> Self {
        let longest = questions.iter().map(|q| q.len()).max().unwrap_or(1);
        let counted = questions.iter().flat_map(|q| {
            let real = q.iter().map(|w| if specials.hidden(*w) { 0.0 } else { 1.0 });
            real.chain(std::iter::repeat_n(0.0, longest - q.len()))
        });
        let counted = TensorData::new(counted.collect::<Vec<f32>>(), [questions.len(), longest, 1]);
        Self {
            ids: padded(questions.iter().copied(), longest, specials.pad, device),
            counted: Tensor::from_data(counted, device),
        }
    }
}

impl MedVill {
    /// The vector of the whole picture, of length 1.
    ///
    /// # Shapes
    /// - features `(batch, K, features)` -> `(batch, picture_vector)`
    fn picture_vector(&self, features: Tensor<3>) -> Option<Tensor<2>> {
        let [batch, _, width] = features.dims();
        let vector = self
            .picture_vector
            .as_ref()?
            .forward(features.mean_dim(1).reshape([batch, width]));
        // Centred, else all pictures point the same way.
        Some(unit(match &self.picture_norm {
            Some(norm) => norm.forward(vector),
            None => vector,
        }))
    }

    /// Which training picture this is: the cosine of its vector with each picture's, sharpened.
    ///
    /// # Shapes
    /// - features `(batch, K, features)` -> `(batch, identities)`
    pub(super) fn identity_logits(&self, features: Tensor<3>) -> Option<Tensor<2>> {
        let layer = self.identity.as_ref()?;
        Some(layer.forward(self.picture_vector(features)?.mul_scalar(SHARP)))
    }

    /// The logits of every head that answers, with its weight in the decision.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, questions one a sample, closing SEP included -> `(batch, answers)`
    ///   each
    pub(super) fn answer_heads(
        &self,
        features: Tensor<3>,
        questions: &[&[u32]],
        specials: Specials,
    ) -> Vec<(f64, Tensor<2>)> {
        let mut heads = Vec::with_capacity(3);
        if self.config.bilinear.as_ref().is_none_or(|b| b.joint)
            && let Some(logits) = self.answer_logits(self.judge(features.clone(), questions, specials).1)
        {
            heads.push((JOINT, logits));
        }
        if let Some(bilinear) = &self.bilinear {
            let words = Bag::new(questions, specials, &features.device());
            if let Some(vector) = self.picture_vector(features.clone()) {
                heads.push((SEEN, bilinear.seen.forward(vector.mul_scalar(LENGTH), &words)));
            }
            if let (Some(known), Some(logits)) = (&bilinear.known, self.identity_logits(features)) {
                heads.push((KNOWN, known.forward(softmax(logits, 1), &words)));
            }
        }
        heads
    }

    /// What the question's words alone say of each answer, by its kind: a weighed log-probability.
    ///
    /// # Shapes
    /// - questions one a sample, closing SEP included -> `(batch, answers)`
    pub(super) fn kind_prior(
        &self,
        questions: &[&[u32]],
        specials: Specials,
        device: &Device,
    ) -> Option<Tensor<2>> {
        let kinds = self.bilinear.as_ref()?.kinds.as_ref()?;
        let asked = softmax(kinds.forward(&Bag::new(questions, specials, device)), 1);
        let likely = asked.matmul(kinds.of_answers.val().transpose());
        Some(likely.add_scalar(KIND_FLOOR).log().mul_scalar(KIND))
    }

    /// Cross-entropy of the questions' kinds; `None` without such a head or without a question whose kind is
    /// published.
    pub(super) fn kind_loss(
        &self,
        questions: &[(&[u32], Option<usize>)],
        specials: Specials,
        device: &Device,
    ) -> Option<Tensor<1>> {
        let kinds = self.bilinear.as_ref()?.kinds.as_ref()?;
        let (words, targets): (Vec<&[u32]>, Vec<i32>) = questions
            .iter()
            .filter_map(|(words, kind)| Some((*words, (*kind)? as i32)))
            .unzip();
        let count = targets.len();
        (count > 0).then(|| {
            cross_entropy(
                kinds.forward(&Bag::new(&words, specials, device)),
                ints(targets, [count], device),
            )
        })
    }
}

/// Rows of length 1.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).add_scalar(1e-8).sqrt();
    x / length
}
