//! What a system brings to training: its losses, named, over a batch; and where its parameters stand. The
//! loop is `train`'s.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::text::{AllowedAnswers, Finding, Specials, Tokenizer};

/// A label: present, absent, or not to be learned from.
pub type Target = Option<bool>;

/// A question of a picture with its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Words, closing SEP included.
    pub words: Vec<u32>,
    /// The question as it was written.
    pub text: String,
    /// The answers that its form allows.
    pub allowed: AllowedAnswers,
    /// Index of the answer; `None` where it is none of the answers that training knows.
    pub answer: Option<usize>,
    /// What it asks for, an index of [`crate::data::QUESTION_KINDS`]; `None` where that is not published.
    pub kind: Option<usize>,
    /// Whether it is answered by yes or no or by a choice that the question names.
    pub closed: bool,
}

/// One study as the losses see it; its picture travels in the batch.
#[derive(Clone, Debug, Default)]
pub struct Example {
    /// The study's name.
    pub id: String,
    /// Words of the longer of findings and impression, closing SEP included.
    pub words: Vec<u32>,
    /// Words that a drafter should write instead, closing SEP included, where they differ.
    pub plain: Option<Vec<u32>>,
    /// What is there anywhere, on the left, on the right, by category.
    pub findings: [[Target; 14]; 3],
    /// Whether the projection is AP; `None` where it is not published.
    pub ap: Target,
    /// Questions.
    pub questions: Vec<Asked>,
}

impl Example {
    /// The categories that are there, a bit each: what makes two reports match (MedViLL, sections 3.3 and
    /// 4.1).
    pub fn positives(&self) -> u16 {
        Finding::ALL
            .iter()
            .filter(|f| self.findings[0][**f as usize] == Some(true))
            .map(|f| 1 << *f as u16)
            .sum()
    }
}

/// The pictures of a batch.
#[derive(Clone)]
pub enum Pictures {
    /// Pixels in [0, 1], `(batch, size, size)`.
    Pixels(Tensor<3>),
    /// What a frozen image encoder made of them, `(batch, K, features)`.
    Features(Tensor<3>),
}

/// What one step learns from.
pub struct Batch<'a> {
    /// Pictures, one an example.
    pub pictures: Pictures,
    /// The examples.
    pub examples: Vec<&'a Example>,
    /// For each example its number in the training data.
    pub numbers: Vec<usize>,
    /// For each example another one with other positive labels, whose report does not match its picture.
    pub strangers: Vec<&'a Example>,
    /// The questions that are asked, several of an example or none.
    pub asked: Vec<Put<'a>>,
}

/// A question that is put to a picture of a batch.
pub struct Put<'a> {
    /// The example's place in the batch.
    pub row: usize,
    /// The question.
    pub question: &'a Asked,
    /// Its words where they were varied.
    pub varied: Option<Vec<u32>>,
}

impl Put<'_> {
    /// The question's words, varied where they were.
    pub fn words(&self) -> &[u32] {
        self.varied.as_deref().unwrap_or(&self.question.words)
    }
}

/// A loss by the name of its objective.
pub type Losses = Vec<(&'static str, Tensor<1>)>;

/// Where a parameter stands, for its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The image encoder.
    Backbone,
    /// The embeddings (0) and layers (1..) of the transformer, bottom first.
    Layer(usize),
    /// A head of a task.
    Head,
}

/// What is wrong with a model's sizes and switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the model's config key {key} must {must}")]
pub struct SizesError {
    /// Which key.
    pub key: &'static str,
    /// What it must be or do.
    pub must: &'static str,
}

/// The sizes and switches of a system, as configs and bundles hold them.
pub trait Sizes: Clone + Serialize + DeserializeOwned {
    /// The system's name on the command line, in configs and in bundles.
    const SYSTEM: &'static str;

    /// Names of its presets.
    const PRESETS: &'static [&'static str];

    /// The preset of that name.
    fn preset(name: &str) -> Option<Self>;

    /// Refuses sizes that cannot run.
    ///
    /// # Errors
    /// Names the key and what it must be.
    fn check(&self) -> Result<(), SizesError>;

    /// Why a model of these sizes cannot learn the objectives that are `on`, and what it lacks; `None` where
    /// it can.
    fn lacks(&self, on: &dyn Fn(&str) -> bool) -> Option<&'static str>;

    /// These sizes with what the data of a run settles.
    ///
    /// # Errors
    /// Names the key that the data or what the run begins with does not serve.
    fn settled(self, by: &Settled<'_, Self>) -> Result<Self, SizesError>;

    /// Side of the square picture in pixels.
    fn picture(&self) -> usize;

    /// Words of a report at most, the closing SEP apart.
    fn words(&self) -> usize;

    /// Words of the vocabulary.
    fn vocabulary(&self) -> usize;

    /// Answers that the head for questions knows; 0 where the data settle it.
    fn answers(&self) -> usize;
}

/// What the data of a run settles.
pub struct Settled<'a, C> {
    /// Words of the tokenizer.
    pub vocabulary: usize,
    /// Answers that are known.
    pub answers: usize,
    /// Studies that are trained on.
    pub studies: usize,
    /// Which objectives have a weight.
    pub on: &'a dyn Fn(&str) -> bool,
    /// The sizes of what the run begins with.
    pub before: Option<&'a C>,
}

/// A system that can be trained.
pub trait Learner: Module {
    /// Its sizes and switches.
    type Config: Sizes;

    /// Itself with random weights.
    ///
    /// # Errors
    /// Sizes that cannot run.
    fn random(sizes: &Self::Config, device: &Device) -> Result<Self, SizesError>;

    /// Names of its objectives, as configs weigh them.
    const OBJECTIVES: &'static [&'static str];

    /// The losses of the objectives in `weights`, unweighted; `draw` gives masks and whatever else is left to
    /// chance.
    ///
    /// An objective that finds nothing to learn from in this batch is left out.
    fn losses(
        &self,
        batch: &Batch<'_>,
        weights: &BTreeMap<String, f64>,
        words: &Words,
        draw: &mut ChaCha8Rng,
    ) -> Losses;

    /// What validation counts beside the losses: a name, how much is right, of how much.
    fn measures(
        &self,
        batch: &Batch<'_>,
        weights: &BTreeMap<String, f64>,
        words: &Words,
    ) -> Vec<(&'static str, f64, f64)>;

    /// The last map of the image encoder, for pictures that are computed once.
    ///
    /// # Shapes
    /// - pixels `(batch, size, size)` -> `(batch, K, features)`
    fn features(&self, pixels: Tensor<3>) -> Tensor<3>;

    /// Its sizes.
    fn sizes(&self) -> &Self::Config;

    /// How many transformer layers it has.
    fn depth(&self) -> usize;

    /// Where a parameter stands.
    fn place(name: &str) -> Place;

    /// Itself with the image encoder frozen.
    fn freeze_backbone(self) -> Self;

    /// Itself with what is counted, not learned, in the training data, before the first step.
    fn count(self, _examples: &[Example]) -> Self {
        self
    }
}

/// Ids of a vocabulary that losses must know: the special ones, and those that tell a side.
#[derive(Clone, Debug)]
pub struct Words {
    /// The special ones.
    pub specials: Specials,
    /// Whole words that tell a side.
    pub sides: Vec<u32>,
}

impl Words {
    /// The words of a tokenizer.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let sides = ["left", "right", "bilateral", "both"];
        let tells = |id: &u32| sides.contains(&tokenizer.piece(*id).as_str());
        let sides = (0..tokenizer.vocabulary_size() as u32).filter(tells).collect();
        Self {
            specials: tokenizer.specials(),
            sides,
        }
    }

    /// Whether at least two words that tell a side are whole in the vocabulary, so that there is something to
    /// tell apart.
    pub fn tell_sides(&self) -> bool {
        self.sides.len() > 1
    }
}

/// A random stream of its own for each purpose and position, so that a resumed run draws what the first would
/// have drawn.
pub fn stream(seed: u64, position: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(position);
    rng
}

/// A tensor of 32-bit integers.
pub fn ints<const D: usize>(values: Vec<i32>, shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Sequences of words as one tensor, filled up with `pad` to `longest`: `(sequences, longest)`.
pub fn padded<'a>(
    words: impl Iterator<Item = &'a [u32]>,
    longest: usize,
    pad: u32,
    device: &Device,
) -> Tensor<2, Int> {
    let mut ids = Vec::new();
    let mut count = 0;
    for words in words {
        count += 1;
        ids.extend(words.iter().take(longest).map(|w| *w as i32));
        ids.extend(std::iter::repeat_n(
            pad as i32,
            longest.saturating_sub(words.len()),
        ));
    }
    ints(ids, [count, longest], device)
}

/// Mean cross-entropy of `targets` under `logits`.
///
/// # Shapes
/// - logits `(rows, classes)`, targets `(rows)` -> `(1)`
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let rows = targets.dims()[0];
    log_softmax(logits, 1)
        .gather(1, targets.reshape([rows, 1]))
        .mean()
        .neg()
}

/// Mean binary cross-entropy over the targets that are to be learned from; the order of `targets` is that of
/// the logits.
///
/// # Shapes
/// - logits of any shape -> `(1)`
pub fn binary_cross_entropy<const D: usize>(logits: Tensor<D>, targets: &[Target]) -> Tensor<1> {
    let device = logits.device();
    let count = targets.len();
    let weights: Vec<f32> = targets.iter().map(|t| f32::from(u8::from(t.is_some()))).collect();
    let signs: Vec<f32> = targets
        .iter()
        .map(|t| if *t == Some(true) { 1.0 } else { -1.0 })
        .collect();
    let learned = weights.iter().sum::<f32>().max(1.0);
    let row = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [count]), &device);
    // log sigma(z) where present, log sigma(-z) where absent
    let likelihoods = burn::tensor::activation::log_sigmoid(logits.reshape([count]) * row(signs));
    (likelihoods * row(weights)).sum().div_scalar(learned).neg()
}
