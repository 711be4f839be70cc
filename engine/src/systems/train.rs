//! What a system brings to training: its losses, named, over a batch; and where its parameters stand. The loop is
//! `train`'s and names no system.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{ConfigError, Model, System, SystemConfig, Task};
use crate::nn::{Arrays, FeatureQueue};
use crate::text::{Specials, Target, Tokenizer};

/// A question about an image with its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedQuestion {
    /// Tokens, closing SEP included.
    pub tokens: Vec<u32>,
    /// Index of the answer; `None` where it is none of the answers that training knows.
    pub answer: Option<usize>,
}

/// One study as the losses see it; its image travels in the batch.
#[derive(Clone, Debug, Default)]
pub struct Example {
    /// The study's name.
    pub id: String,
    /// Whether it has an image; without one its row of the pixels is black.
    pub has_image: bool,
    /// Tokens of its report, closing SEP included; empty where there is none.
    pub tokens: Vec<u32>,
    /// Tokens that a drafter should write instead, closing SEP included, where they differ.
    pub canonical: Option<Vec<u32>>,
    /// Its report with a simulated mistake, once or several times, closing SEP included.
    pub mistaken: Vec<Vec<u32>>,
    /// What is known of each label of the system's label set.
    pub targets: Vec<Target>,
    /// Where labels of that set are seen: which, and left, top, right and bottom in the image as the model reads it, 0 to 1.
    pub boxes: Vec<(usize, [f32; 4])>,
    /// Whether the projection is AP; `None` where it is not published.
    pub ap: Target,
    /// Questions.
    pub questions: Vec<EncodedQuestion>,
}

impl Example {
    /// Whether two examples have the same positive labels: what makes a report match another's image (MedViLL, sections
    /// 3.3 and 4.1).
    pub fn same_positives(&self, other: &Self) -> bool {
        let positive = |targets: &[Target]| targets.iter().map(|t| *t == Some(true)).collect::<Vec<_>>();
        positive(&self.targets) == positive(&other.targets)
    }
}

/// The images of a batch.
#[derive(Clone)]
pub enum Images {
    /// Pixels in [0, 1], `(B * views, 1, S, S)`; the views of an image follow each other.
    Pixels(Tensor<4>),
    /// What a frozen image encoder made of them, `(B, K, F)`.
    Features(Tensor<3>),
    /// No example of the run has an image.
    None,
}

/// What one step learns from.
pub struct Batch<'a> {
    /// Images, one an example.
    pub images: Images,
    /// Segmentation targets, `(B, classes, S, S)`, where the data have them.
    pub masks: Option<Tensor<4>>,
    /// Where labels are seen in the images, where the data tell.
    pub boxes: Vec<SeenBox>,
    /// The examples.
    pub examples: Vec<&'a Example>,
    /// For each example another one with other positive labels, whose report does not match its image; empty unless
    /// [`Trainable::NEGATIVES`].
    pub negatives: Vec<&'a Example>,
    /// The questions that are asked, several of an example or none.
    pub questions: Vec<AskedQuestion<'a>>,
}

/// Where a label is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeenBox {
    /// The row of the batch's images, views counted.
    pub image: usize,
    /// The label.
    pub label: usize,
    /// Left, top, right and bottom in the image as it is shown, 0 to 1.
    pub area: [f32; 4],
}

impl Batch<'_> {
    /// The rows of the examples that have an image, a report, or both, as is asked for.
    pub fn rows(&self, image: bool, text: bool) -> Vec<usize> {
        let serves = |e: &Example| (!image || e.has_image) && (!text || !e.tokens.is_empty());
        (0..self.examples.len())
            .filter(|&row| serves(self.examples[row]))
            .collect()
    }

    /// Those of some rows of which one of the first `labels` labels is known.
    pub fn known(&self, mut rows: Vec<usize>, labels: usize) -> Vec<usize> {
        rows.retain(|&row| {
            let mut targets = self.examples[row].targets.iter().take(labels);
            targets.any(Option::is_some)
        });
        rows
    }

    /// The first `labels` labels of some rows, row by row.
    pub fn targets(&self, rows: &[usize], labels: usize) -> Vec<Target> {
        let of = |&row: &usize| self.examples[row].targets.iter().take(labels).copied();
        rows.iter().flat_map(of).collect()
    }
}

/// A question that is put to an image of a batch.
pub struct AskedQuestion<'a> {
    /// The example's row in the batch.
    pub row: usize,
    /// The question.
    pub question: &'a EncodedQuestion,
}

/// A loss by the name of its objective.
pub type Losses = Vec<(&'static str, Tensor<1>)>;

/// An objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective {
    /// As configs weigh it.
    pub name: &'static str,
    /// The task that it trains for.
    pub task: Option<Task>,
    /// Whether an example without an image is of no use to it.
    pub image: bool,
    /// Whether an example without a report is of no use to it.
    pub text: bool,
}

impl Objective {
    /// An objective over image and report.
    pub const fn pair(name: &'static str, task: Option<Task>) -> Self {
        Self {
            name,
            task,
            image: true,
            text: true,
        }
    }

    /// An objective over images alone.
    pub const fn image(name: &'static str, task: Option<Task>) -> Self {
        Self {
            text: false,
            ..Self::pair(name, task)
        }
    }

    /// An objective over reports, with or without their images.
    pub const fn text(name: &'static str, task: Option<Task>) -> Self {
        Self {
            image: false,
            ..Self::pair(name, task)
        }
    }
}

/// Weights of the objectives of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, f64>);

impl Weights {
    /// Whether an objective has a weight.
    pub fn on(&self, name: &str) -> bool {
        self.of(name) > 0.0
    }

    /// The weight of an objective; 0 where it has none.
    pub fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }
}

/// Where a parameter stands, for its rate and decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamGroup {
    /// The image encoder.
    Backbone,
    /// The embeddings (0) and layers (1..) of the transformer, bottom first.
    Layer(usize),
    /// A head of a task.
    Head,
}

impl ParamGroup {
    /// Of a model with one encoder over both modalities: `backbone` are the first words of the image encoder's names, embeddings are
    /// `text` and `visual`, layers `encoder.layer.N`.
    pub fn of_joint(name: &str, backbone: &[&str]) -> Self {
        let mut parts = name.split('.');
        match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
            (first, ..) if backbone.contains(&first) => Self::Backbone,
            ("text" | "visual", ..) => Self::Layer(0),
            ("encoder", _, Some(layer)) => Self::Layer(layer.parse().map_or(1, |l: usize| l + 1)),
            _ => Self::Head,
        }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step, from 0.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
}

impl Progress {
    /// The share of the run that lies behind, 0 to 1.
    pub fn share(&self) -> f64 {
        self.step as f64 / self.steps.max(1) as f64
    }
}

/// What a system remembers from step to step beside its weights: queues of features (He et al. 2020) and running centres
/// (Caron et al. 2021), by name. Saved with the checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Queues.
    pub queues: BTreeMap<String, FeatureQueue>,
    /// Centres and whatever else is a vector.
    pub centres: BTreeMap<String, Tensor<1>>,
}

impl Memory {
    /// The queue of that name, made where it is not there yet.
    pub fn queue(&mut self, name: &str, capacity: usize, width: usize, device: &Device) -> &mut FeatureQueue {
        let fresh = || FeatureQueue::new(capacity, width, device);
        self.queues.entry(name.to_owned()).or_insert_with(fresh)
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.centres.is_empty()
    }
}

/// What surrounds one step.
pub struct StepContext<'a, S> {
    /// What the objectives weigh.
    pub weights: &'a Weights,
    /// Whatever is left to chance: masks, matches.
    pub rng: &'a mut ChaCha8Rng,
    /// How far the run has come.
    pub progress: Progress,
    /// The exponential moving average of the student, where the run keeps one (`optim.ema`): it does not learn.
    pub teacher: Option<&'a S>,
    /// What is remembered.
    pub memory: &'a mut Memory,
    /// Tokens that losses must know.
    pub vocabulary: &'a Vocabulary,
}

/// Tokens of a vocabulary that losses must know.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Whole words that tell a side.
    pub sides: Vec<u32>,
}

impl Vocabulary {
    /// Of a tokenizer.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let sides = ["left", "right", "bilateral", "both"];
        let tells = |id: &u32| sides.contains(&tokenizer.piece(*id).as_str());
        Self {
            sides: (0..tokenizer.vocabulary_size() as u32).filter(tells).collect(),
        }
    }
}

/// What stands in the place of a token that is asked for: MASK in 80 of 100 cases, a random one in 10, itself in 10 (Devlin et al.
/// 2019, section 3.1).
pub fn replaced(
    token: u32,
    mask: u32,
    rng: &mut ChaCha8Rng,
    random: impl FnOnce(&mut ChaCha8Rng) -> u32,
) -> u32 {
    match rng.random::<f64>() {
        x if x < 0.8 => mask,
        x if x < 0.9 => random(rng),
        _ => token,
    }
}

/// A system that can be trained.
pub trait Trainable: System + Module + Into<Model> {
    /// Its config.
    type Config: SystemConfig;

    /// Its objectives, as configs weigh them.
    const OBJECTIVES: &'static [Objective];

    /// Whether its losses want a mismatching report drawn for each example.
    const NEGATIVES: bool = false;

    /// Whether its losses take reports with simulated mistakes.
    const MISTAKES: bool = false;

    /// Parameters with a row or a value for each token of the vocabulary: a run with a vocabulary of its own takes those of the
    /// tokens that it shares with what it begins with.
    const WORD_ROWS: &'static [&'static str] = &[];

    /// Augmented views of each image, under the objectives that are on.
    fn views(_on: &dyn Fn(&str) -> bool) -> usize {
        1
    }

    /// Random weights.
    ///
    /// # Errors
    /// A config that cannot run.
    fn init(config: &Self::Config, specials: Specials, device: &Device) -> Result<Self, ConfigError>;

    /// Its config.
    fn config(&self) -> &Self::Config;

    /// The losses of the objectives that have a weight, unweighted.
    ///
    /// An objective that finds nothing to learn from in this batch is left out.
    fn losses(&self, batch: &Batch<'_>, step: &mut StepContext<'_, Self>) -> Losses;

    /// What is done to the weights after each step, such as clamping a temperature.
    fn after_step(self, _progress: Progress) -> Self {
        self
    }

    /// The tasks that training with these objectives serves, in no order, some more than once: those that the objectives name, as far as
    /// all that a task hangs on is learned.
    fn learned(on: &dyn Fn(&str) -> bool) -> Vec<Task> {
        let learned = Self::OBJECTIVES.iter().filter(|o| on(o.name));
        learned.filter_map(|o| o.task).collect()
    }

    /// What a user should know of these weights at the end of a run, such as a temperature that stands at its bound.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// The weights that a run begins with, from those of `init`: where the model has parts that begin with the weights of others.
    fn first_weights(_config: &Self::Config, weights: Arrays) -> Arrays {
        weights
    }

    /// Where a parameter stands.
    fn param_group(name: &str) -> ParamGroup;

    /// How many transformer layers it has, for layer decay.
    fn layers(&self) -> usize;

    /// What a frozen image encoder makes of images, so that it need be computed once: `(B, 1, S, S)` -> `(B, K, F)`. `None`
    /// for a system whose losses need the pixels.
    fn cached_features(&self, _pixels: Tensor<4>) -> Option<Tensor<3>> {
        None
    }

    /// Whether a parameter is of what makes [`Trainable::cached_features`]: they stay the same where all such are frozen.
    fn stands_before_cached(name: &str) -> bool {
        Self::param_group(name) == ParamGroup::Backbone
    }

    /// The config and weights of several trained models as one, whose logits are the mean of theirs. `None` for a system
    /// that has no ensembles.
    fn ensemble(_config: &Self::Config, _members: &[&Arrays]) -> Option<(Self::Config, Arrays)> {
        None
    }
}
