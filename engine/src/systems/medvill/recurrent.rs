//! The baseline TieNet (Wang et al. 2018, compared with in Table V): an LSTM writes the report and attends to
//! the picture.
//!
//! What it attends to are the visual tokens that BERT reads elsewhere, and its words are those of BERT's
//! tables, so that the two differ in nothing but the writer. MedViLL's paper tells no more of it than that it
//! is a CNN and an RNN with attention: the form of the attention and the first state are *ours*. TieNet's
//! joint classification of the text is not part of it.

use burn::module::Module;
use burn::nn::{Linear, Lstm, LstmConfig, LstmState};
use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Device, Int, Tensor};

use super::MedVill;
use crate::nn::linear;
use crate::systems::learn::ints;
use crate::text::Specials;

/// An LSTM with additive attention: `e_k = v tanh(W_x x_k + W_h h)`, its softmax weighs the visual tokens
/// x_k, and their sum is joined to the word before (Bahdanau et al. 2015, over cells instead of words).
#[derive(Module, Debug)]
pub struct Recurrent {
    begin: Linear,
    key: Linear,
    query: Linear,
    energy: Linear,
    cell: Lstm,
}

impl Recurrent {
    pub(super) fn new(width: usize, device: &Device) -> Self {
        Self {
            begin: linear(width, 2 * width, device),
            key: linear(width, width, device),
            query: linear(width, width, device),
            energy: linear(width, 1, device),
            cell: LstmConfig::new(2 * width, width, true).init(device),
        }
    }

    /// State before the first word, from the mean of the visual tokens `(batch, K, width)`.
    fn open(&self, tokens: Tensor<3>, specials: Specials) -> RecurrentState {
        let [batch, _, width] = tokens.dims();
        let begin = tanh(
            self.begin
                .forward(tokens.clone().mean_dim(1).reshape([batch, width])),
        );
        let [memory, hidden] = [0, width].map(|from| begin.clone().narrow(1, from, width));
        let keys = self.key.forward(tokens.clone());
        RecurrentState {
            writer: self.clone(),
            tokens,
            keys,
            state: LstmState::new(memory, hidden),
            specials,
        }
    }
}

/// A recurrent draft under way.
pub(super) struct RecurrentState {
    writer: Recurrent,
    tokens: Tensor<3>,
    keys: Tensor<3>,
    state: LstmState<2>,
    specials: Specials,
}

impl RecurrentState {
    /// One step after `word` `(batch, 1, width)`: the hidden state `(batch, width)` and where it looked
    /// `(batch, K)`.
    fn step(&mut self, word: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let query: Tensor<3> = self
            .writer
            .query
            .forward(self.state.hidden.clone())
            .unsqueeze_dim(1);
        // (batch, K, 1)
        let looks = softmax(self.writer.energy.forward(tanh(self.keys.clone() + query)), 1);
        let seen = (self.tokens.clone() * looks.clone()).sum_dim(1);
        let (_, next) = self
            .writer
            .cell
            .forward(Tensor::cat(vec![word, seen], 2), Some(self.state.clone()));
        self.state = next.clone();
        let [batch, tokens, _] = looks.dims();
        (next.hidden, looks.reshape([batch, tokens]))
    }

    pub(super) fn select(&mut self, rows: &Tensor<1, Int>) {
        let rows = || rows.clone();
        self.tokens = self.tokens.clone().select(0, rows());
        self.keys = self.keys.clone().select(0, rows());
        let LstmState { cell, hidden } = self.state.clone();
        self.state = LstmState::new(cell.select(0, rows()), hidden.select(0, rows()));
    }

    pub(super) fn device(&self) -> Device {
        self.tokens.device()
    }
}

impl MedVill {
    /// The LSTM and its state before the first word; `None` where BERT writes.
    pub(super) fn open_recurrent(&self, features: Tensor<3>, specials: Specials) -> Option<RecurrentState> {
        let recurrent = self.recurrent.as_ref()?;
        let [_, tokens, _] = features.dims();
        let context = self.embed_context(features, &(0..tokens).collect::<Vec<_>>(), specials);
        Some(recurrent.open(context.narrow(1, 1, tokens), specials))
    }

    /// The hidden state that predicts the word after `last` `(batch, 1)`, which stands at `position`, and
    /// where it looked; after CLS where there is none.
    pub(super) fn step_recurrent(
        &self,
        state: &mut RecurrentState,
        last: Option<Tensor<2, Int>>,
        position: usize,
    ) -> (Tensor<2>, Tensor<2>) {
        let batch = state.tokens.dims()[0];
        let cls = || {
            ints(
                vec![state.specials.cls as i32; batch],
                [batch, 1],
                &state.device(),
            )
        };
        state.step(self.embed_words(last.unwrap_or_else(cls), position))
    }

    /// All steps of a known report: before each word, the state that predicts it. `None` where BERT writes.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, words `(batch, t)` -> hidden `(batch, t + 1, width)`, looks
    ///   `(batch, t + 1, K)`; the last is that of the word after the last
    pub(super) fn unrolled(
        &self,
        features: Tensor<3>,
        words: Option<Tensor<2, Int>>,
        specials: Specials,
    ) -> Option<(Tensor<3>, Tensor<3>)> {
        let mut state = self.open_recurrent(features, specials)?;
        let length = words.as_ref().map_or(0, |words| words.dims()[1]);
        let (mut hidden, mut looks) = (Vec::new(), Vec::new());
        for step in 0..=length {
            let last = words
                .as_ref()
                .filter(|_| step > 0)
                .map(|words| words.clone().narrow(1, step - 1, 1));
            let (h, l) = self.step_recurrent(&mut state, last, step);
            hidden.push(h);
            looks.push(l);
        }
        Some((Tensor::stack(hidden, 1), Tensor::stack(looks, 1)))
    }
}
