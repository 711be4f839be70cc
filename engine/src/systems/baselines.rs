//! Baselines that the papers compare their systems with, over the same image and text embeddings as the system
//! beside which they stand: TieNet's writer, and "CNN & Transformer", a dual encoder.
//!
//! TieNet (Wang et al. 2018; MedViLL, Table V) writes the report with an LSTM that attends to the image. What it attends to
//! are the visual tokens that a transformer reads elsewhere, and its tokens are those of the system's tables, so
//! that the two differ in nothing but the writer. The papers tell no more of it than that it is a CNN and an RNN
//! with attention: the form of the attention and the first state are *ours*. TieNet's joint classification of the
//! text is not part of it.

use burn::module::Module;
use burn::nn::{Linear, Lstm, LstmConfig, LstmState};
use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Device, Int, Tensor};

use crate::nn::linear;

/// An LSTM with additive attention: `e_k = v tanh(W_x x_k + W_h h)`, its softmax weighs the visual tokens x_k, and
/// their sum is joined to the token before (Bahdanau et al. 2015, over cells instead of words).
#[derive(Module, Debug)]
pub struct LstmWriter {
    begin: Linear,
    key: Linear,
    query: Linear,
    energy: Linear,
    cell: Lstm,
}

impl LstmWriter {
    /// For tokens of `width`.
    pub fn init(width: usize, device: &Device) -> Self {
        Self {
            begin: linear(width, 2 * width, device),
            key: linear(width, width, device),
            query: linear(width, width, device),
            energy: linear(width, 1, device),
            cell: LstmConfig::new(2 * width, width, true).init(device),
        }
    }

    /// The state before the first token, from the mean of the visual tokens.
    ///
    /// # Shapes
    /// - tokens `(B, K, width)`
    pub fn start(&self, tokens: Tensor<3>) -> WriterState {
        let [batch, _, width] = tokens.dims();
        // (B, 1, width) -> (B, width)
        let mean = tokens.clone().mean_dim(1).reshape([batch, width]);
        let begin = tanh(self.begin.forward(mean));
        let [memory, hidden] = [0, width].map(|from| begin.clone().narrow(1, from, width));
        WriterState {
            writer: self.clone(),
            keys: self.key.forward(tokens.clone()),
            tokens,
            state: LstmState::new(memory, hidden),
        }
    }

    /// All steps of a known text.
    ///
    /// # Shapes
    /// - visual `(B, K, width)`, the tokens before each step `(B, T, width)` -> hidden `(B, T, width)`, attention
    ///   `(B, T, K)`
    pub fn forward(&self, visual: Tensor<3>, before: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let mut state = self.start(visual);
        let steps = before.dims()[1];
        let step = |t| state.step(before.clone().narrow(1, t, 1));
        let (hidden, attention): (Vec<_>, Vec<_>) = (0..steps).map(step).unzip();
        (Tensor::stack(hidden, 1), Tensor::stack(attention, 1))
    }
}

/// A recurrent draft under way.
#[derive(Clone, Debug)]
pub struct WriterState {
    writer: LstmWriter,
    tokens: Tensor<3>,
    keys: Tensor<3>,
    state: LstmState<2>,
}

impl WriterState {
    /// One step after a token.
    ///
    /// # Shapes
    /// - token `(B, 1, width)` -> the hidden state that predicts the next `(B, width)`, attention `(B, K)`
    pub fn step(&mut self, token: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let query: Tensor<3> = self
            .writer
            .query
            .forward(self.state.hidden.clone())
            .unsqueeze_dim(1);
        // (B, K, 1)
        let attention = softmax(self.writer.energy.forward(tanh(self.keys.clone() + query)), 1);
        let seen = (self.tokens.clone() * attention.clone()).sum_dim(1);
        let input = Tensor::cat(vec![token, seen], 2);
        let (_, next) = self.writer.cell.forward(input, Some(self.state.clone()));
        self.state = next.clone();
        let [batch, tokens, _] = attention.dims();
        (next.hidden, attention.reshape([batch, tokens]))
    }

    /// Keeps the samples of `rows`, in that order.
    pub fn select(&mut self, rows: &Tensor<1, Int>) {
        let rows = || rows.clone();
        self.tokens = self.tokens.clone().select(0, rows());
        self.keys = self.keys.clone().select(0, rows());
        let LstmState { cell, hidden } = self.state.clone();
        self.state = LstmState::new(cell.select(0, rows()), hidden.select(0, rows()));
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        self.tokens.device()
    }

    /// Samples.
    pub fn batch(&self) -> usize {
        self.tokens.dims()[0]
    }
}

/// The dual encoder's joint vector: the mean of the visual tokens, to be multiplied with the text's vector, which no
/// visual token has a part in (MedViLL's baseline "CNN & Transformer").
///
/// # Shapes
/// - visual `(B, K, width)` -> `(B, width)`
pub fn mean_of_visual(visual: Tensor<3>) -> Tensor<2> {
    let [batch, _, width] = visual.dims();
    visual.mean_dim(1).reshape([batch, width])
}
