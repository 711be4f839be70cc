//! Inference by capability: what a model can do is what its methods return something for.
//!
//! Models are synchronous, tensor in and tensor out; reading a tensor back, which must not block in a browser,
//! is the business of `tasks`. None of the methods draws anything at random.

use burn::tensor::{Int, Tensor};
use thiserror::Error;

use super::baselines::WriterState;
use super::{Task, TextSpec};
use crate::image::Preprocessing;
#[cfg(not(target_family = "wasm"))]
use crate::nn::{AnyArrays, Trace};
use crate::nn::{DecodeState, indices};

/// What a task must know of a model before it runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// How an image becomes its input.
    pub preprocessing: Preprocessing,
    /// How it reads text; `None` for a model of images alone.
    pub text: Option<TextSpec>,
    /// Rows and columns of the image tokens, for maps over the image.
    pub grid: [usize; 2],
    /// Image tokens before those of the grid, such as a class token.
    pub lead: usize,
    /// Width of an image token.
    pub features: usize,
    /// Labels that [`System::classify`] gives at most; 0 where it has no such head.
    pub labels: usize,
    /// Answers that [`System::answer`] gives; 0 where it has no such head.
    pub answers: usize,
}

/// An image, a text, or both.
#[derive(Clone, Default)]
pub struct Input<'a> {
    /// Image tokens of [`System::encode_image`], `(B, K, F)`.
    pub image: Option<Tensor<3>>,
    /// Token ids, one text a sample, closing SEP included.
    pub text: Option<&'a [&'a [u32]]>,
}

impl Input<'static> {
    /// An image alone.
    pub fn image(image: Tensor<3>) -> Self {
        Self {
            image: Some(image),
            text: None,
        }
    }
}

/// A model as the tasks see it.
///
/// `None` means that this model has no such head; [`System::tasks`] says the same in words of the bundle.
pub trait System {
    /// Sizes and preprocessing.
    fn spec(&self) -> Spec;

    /// The tasks that its heads can serve. A bundle offers those of them that it was trained for.
    fn tasks(&self) -> Vec<Task>;

    /// Image tokens, computed once an image and used by every task.
    ///
    /// # Shapes
    /// - pixels in [0, 1] `(B, 1, S, S)` -> `(B, K, F)`
    fn encode_image(&self, pixels: Tensor<4>) -> Tensor<3>;

    /// Logits of the labels.
    ///
    /// # Shapes
    /// - -> `(B, labels)`, where a head may speak of the first labels of the set alone
    fn classify(&self, _input: Input<'_>) -> Option<Tensor<2>> {
        None
    }

    /// Logits of the labels in each cell of the image, as a map of where they are seen.
    ///
    /// # Shapes
    /// - image `(B, K, F)` -> `(B, K, labels)`, where a head may speak of the first labels of the set alone
    fn evidence(&self, _image: Tensor<3>) -> Option<Tensor<3>> {
        None
    }

    /// Log-probabilities of the answers to one question an image.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, `B` questions -> `(B, answers)`
    fn answer(&self, _image: Tensor<3>, _questions: &[&[u32]]) -> Option<Tensor<2>> {
        None
    }

    /// How it writes answers; `None` for a model that only chooses among those it knows, or answers nothing.
    fn answerer(&self) -> Option<&dyn Answerer> {
        None
    }

    /// Logits of image and text belonging together.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, `B` texts -> `(B)`
    fn match_pairs(&self, _image: Tensor<3>, _texts: &[&[u32]]) -> Option<Tensor<1>> {
        None
    }

    /// What images are compared with texts by, of unit length: the greater the product with [`System::text_feature`], the likelier
    /// they belong together. Cheaper than [`System::match_pairs`], which reads both together.
    ///
    /// # Shapes
    /// - image `(B, K, F)` -> `(B, D)`
    fn image_feature(&self, _image: Tensor<3>) -> Option<Tensor<2>> {
        None
    }

    /// What texts are compared with images by, see [`System::image_feature`].
    ///
    /// # Shapes
    /// - `B` texts, closing SEP included -> `(B, D)`
    fn text_feature(&self, _texts: &[&[u32]]) -> Option<Tensor<2>> {
        None
    }

    /// Log-probabilities of the token at one place of each text, which the model does not see, from the picture and the rest of the
    /// text.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, `B` texts, closing SEP included, and places -> `(B, V)`
    fn predict_masked(&self, _image: Tensor<3>, _texts: &[&[u32]], _places: &[usize]) -> Option<Tensor<2>> {
        None
    }

    /// Where in the image each word of a text was looked for, as image and text were found to match: Grad-CAM.
    ///
    /// # Shapes
    /// - image `(1, K, F)`, a text of `T` tokens, closing SEP included -> `(T, cells)`, the cells those of [`Spec::grid`]
    fn word_maps(&self, _image: Tensor<3>, _text: &[u32]) -> Option<Tensor<2>> {
        None
    }

    /// What images are compared by: the nearer two codes, the more alike their images.
    ///
    /// # Shapes
    /// - image `(B, K, F)` -> `(B, D)`
    fn code(&self, _image: Tensor<3>) -> Option<Tensor<2>> {
        None
    }

    /// How it writes text; `None` for a model that writes none.
    fn generator(&self) -> Option<&dyn Generator> {
        None
    }

    /// Puts the named intermediates of a forward pass into `trace`, by the names of the system's reference tensors. For the command and the
    /// tests: a page does without.
    ///
    /// # Errors
    /// When an input is missing or does not fit the model.
    #[cfg(not(target_family = "wasm"))]
    fn trace(&self, inputs: &AnyArrays, trace: &mut Trace) -> Result<(), TraceInputError>;
}

/// A model that writes text token by token.
pub trait Generator {
    /// Tokens of a text at most, the closing SEP apart.
    fn max_tokens(&self) -> usize;

    /// Opens a text: everything before its first token is read once.
    ///
    /// # Shapes
    /// - image `(B, K, F)`; `capacity` tokens can follow
    fn start(&self, image: Tensor<3>, capacity: usize) -> GeneratorState;

    /// Logits of the next token after `last`, `(B, 1)`, or of the first where there is none. Whatever else the model
    /// needs to predict, such as a MASK token, is its own affair.
    ///
    /// # Shapes
    /// - -> `(B, V)`
    fn step(&self, state: &mut GeneratorState, last: Option<Tensor<2, Int>>) -> Tensor<2>;

    /// Teacher forcing: logits of each token from those before it, and of the token after the last. It is what
    /// [`Generator::step`] must equal, perplexity, and the way without a cache.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, tokens `(B, T)` -> `(B, T + 1, V)`
    fn forward(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<3>;

    /// Hypotheses that the paper's beam search keeps; 1 is greedy.
    fn beam(&self) -> usize {
        1
    }

    /// Tokens of the vocabulary that are Medical Subject Headings' words, where the model knows them.
    fn mesh(&self) -> &[u32] {
        &[]
    }

    /// Attention of each token, as it was written, to the image tokens; the mean over heads and layers. `None` where
    /// the model has none.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, tokens `(B, T)` -> `(B, T, K)`
    fn attention(&self, _image: Tensor<3>, _tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        None
    }

    /// The same without sparsity, where the attention is sparse (Yan and Pei 2022, Figure 6).
    fn dense_attention(&self, _image: Tensor<3>, _tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        None
    }
}

/// A model that writes answers token by token.
pub trait Answerer {
    /// Opens an answer to one question an image.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, `B` questions, closing SEP included; `capacity` tokens can follow
    fn start(&self, image: Tensor<3>, questions: &[&[u32]], capacity: usize) -> GeneratorState;

    /// Logits of the next token after `last`, `(B, 1)`, or of the first where there is none.
    ///
    /// # Shapes
    /// - -> `(B, V)`
    fn step(&self, state: &mut GeneratorState, last: Option<Tensor<2, Int>>) -> Tensor<2>;
}

/// What a model keeps from token to token.
pub enum GeneratorState {
    /// A transformer's keys and values.
    Transformer(Box<DecodeState>),
    /// The state of a recurrent writer.
    Recurrent {
        /// Its state.
        state: Box<WriterState>,
        /// Tokens that are settled.
        written: usize,
    },
}

impl GeneratorState {
    /// The keys and values of a transformer, whose [`Generator::start`] made them.
    ///
    /// # Panics
    /// When another kind of model did.
    pub fn transformer(&mut self) -> &mut DecodeState {
        match self {
            Self::Transformer(state) => state,
            Self::Recurrent { .. } => unreachable!("the state is of `start`"),
        }
    }

    /// Puts the hypotheses of `rows` in the place of the present ones, as a beam search does; each of the same image as the one
    /// whose place it takes.
    pub fn select(&mut self, rows: &[usize]) {
        match self {
            Self::Transformer(state) => state.select_written(rows),
            Self::Recurrent { state, .. } => {
                let rows = indices(rows.iter().copied(), &state.device());
                state.select(&rows);
            }
        }
    }
}

/// An input of a trace that is missing or does not fit the model.
#[derive(Debug, Error)]
#[error("the trace's input {name} {must}")]
pub struct TraceInputError {
    /// Which.
    pub name: String,
    /// What it must be.
    pub must: String,
}
