//! Reports word by word (section 3.4): the step of a draft with its caches, all steps of a known report at
//! once, and where each of them looks (Figure 5a).

use burn::tensor::{Int, Tensor};

use super::MedVill;
use super::recurrent::RecurrentState;
use crate::kernels::{Mask, Rule};
use crate::nn::{Attend, KeyValueCache};
use crate::systems::learn::ints;
use crate::text::Specials;

impl MedVill {
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
        if let Some(state) = self.open_recurrent(features.clone(), specials) {
            return DraftState {
                memory: Memory::State(Box::new(state)),
                context,
                written: 0,
            };
        }
        let grid: Vec<usize> = (0..tokens).collect();
        let mut caches = self
            .encoder
            .caches(batch, context + room, self.config.bert.width, &device);
        let mask = Mask {
            rule: Rule::Seq2Seq,
            context,
            query_start: 0,
            lengths: vec![context; batch],
        };
        let embedded = self.embed_context(features, &grid, specials);
        self.encoder
            .forward(embedded, &Attend::new(mask), &mut caches, |_, _| ());
        DraftState {
            memory: Memory::Caches(caches),
            context,
            written: 0,
        }
    }

    /// One step of a draft: settles `last` (nothing at the first step), appends MASK, predicts it (section
    /// 3.4).
    ///
    /// # Shapes
    /// - last `(batch, 1)` -> logits of the next word, `(batch, vocabulary)`
    pub fn step_draft(
        &self,
        state: &mut DraftState,
        last: Option<Tensor<2, Int>>,
        mask: Tensor<2, Int>,
    ) -> Tensor<2> {
        let [batch, _] = mask.dims();
        state.written += usize::from(last.is_some());
        let caches = match &mut state.memory {
            Memory::Caches(caches) => caches,
            Memory::State(recurrent) => {
                let (hidden, _) = self.step_recurrent(recurrent, last, state.written);
                return self.mlm_logits(hidden);
            }
        };
        let (words, first) = match last {
            Some(last) => (Tensor::cat(vec![last, mask], 1), state.written - 1),
            None => (mask, state.written),
        };
        let rows = words.dims()[1];
        let hidden = self
            .encoder
            .decode(self.embed_words(words, first), state.context + first, caches);
        let width = self.config.bert.width;
        self.mlm_logits(
            hidden
                .slice([0..batch, rows - 1..rows, 0..width])
                .reshape([batch, width]),
        )
    }

    /// The same without a cache, over the whole sequence: what [`MedVill::step_draft`] must equal.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, words `(batch, t)` or nothing -> `(batch, vocabulary)`
    pub fn predict_next(
        &self,
        features: Tensor<3>,
        words: Option<Tensor<2, Int>>,
        specials: Specials,
    ) -> Tensor<2> {
        let [batch, tokens, _] = features.dims();
        let device = features.device();
        if let Some((hidden, _)) = self.unrolled(features.clone(), words.clone(), specials) {
            let [_, steps, width] = hidden.dims();
            return self.mlm_logits(hidden.narrow(1, steps - 1, 1).reshape([batch, width]));
        }
        let mask = ints(vec![specials.mask as i32; batch], [batch, 1], &device);
        let words = match words {
            Some(words) => Tensor::cat(vec![words, mask], 1),
            None => mask,
        };
        let grid: Vec<usize> = (0..tokens).collect();
        let context = self.embed_context(features, &grid, specials);
        let columns = tokens + 2 + words.dims()[1];
        let encoded = self.encode(
            context,
            self.embed_words(words, 0),
            Rule::Seq2Seq,
            vec![columns; batch],
            |_, _| (),
        );
        let width = self.config.bert.width;
        self.mlm_logits(
            encoded
                .hidden
                .slice([0..batch, columns - 1..columns, 0..width])
                .reshape([batch, width]),
        )
    }

    /// Every step of a known report at once ([`Rule::Cloze`], *ours*): after the words come as many MASK
    /// tokens, each of which predicts the word in its place from the picture and the words before it.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, words `(batch, t)`
    /// - the context `(batch, K + 2, width)` and the text `(batch, 2 t, width)` under the rule
    pub(super) fn cloze(
        &self,
        features: Tensor<3>,
        words: Tensor<2, Int>,
        specials: Specials,
    ) -> (Tensor<3>, Tensor<3>, Rule) {
        let ([_, tokens, _], [batch, length]) = (features.dims(), words.dims());
        let copies = Tensor::full([batch, length], i64::from(specials.mask), &features.device());
        let context = self.embed_context(features, &(0..tokens).collect::<Vec<_>>(), specials);
        let text = Tensor::cat(vec![self.embed_words(words, 0), self.embed_words(copies, 0)], 1);
        (context, text, Rule::Cloze { words: length })
    }

    /// Where each word of a report looked when it was drafted: the attention of its MASK to the visual
    /// tokens, the mean of a layer's heads.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, words `(batch, t)` -> a tensor a layer, `(batch, t, K)`; what a row
    ///   lacks to 1 goes to CLS, SEP, the words before and the MASK itself
    pub fn attention(
        &self,
        features: Tensor<3>,
        words: Tensor<2, Int>,
        specials: Specials,
    ) -> Vec<Tensor<3>> {
        let ([_, tokens, _], [batch, length]) = (features.dims(), words.dims());
        if let Some((_, looks)) = self.unrolled(features.clone(), Some(words.clone()), specials) {
            return vec![looks.narrow(1, 0, length)];
        }
        let (context, text, rule) = self.cloze(features, words, specials);
        let columns = tokens + 2 + 2 * length;
        let mask = Mask {
            rule,
            context: tokens + 2,
            query_start: 0,
            lengths: vec![columns; batch],
        };
        let attend = Attend::keeping(mask);
        self.encoder
            .forward(Tensor::cat(vec![context, text], 1), &attend, &mut [], |_, _| ());
        let seen = |probabilities: Tensor<4>| {
            let steps = columns - length..columns;
            let mean = probabilities
                .mean_dim(1)
                .slice([0..batch, 0..1, steps, 1..tokens + 1]);
            mean.reshape([batch, length, tokens])
        };
        attend.probabilities().into_iter().map(seen).collect()
    }
}

/// What a draft keeps from word to word.
enum Memory {
    /// BERT's keys and values, a layer each.
    Caches(Vec<KeyValueCache>),
    /// The LSTM's state.
    State(Box<RecurrentState>),
}

/// A draft under way: what is kept and how far it has come.
pub struct DraftState {
    memory: Memory,
    context: usize,
    written: usize,
}

impl DraftState {
    /// Multiply-adds of all steps so far in attention over the caches, in all layers.
    pub fn work(&self) -> u64 {
        match &self.memory {
            Memory::Caches(caches) => caches.iter().map(KeyValueCache::work).sum(),
            Memory::State(_) => 0,
        }
    }

    /// Words that are settled.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Keeps the samples of `rows`, in that order, as a beam search does.
    pub fn select(&mut self, rows: &[usize]) {
        let device = match &self.memory {
            Memory::Caches(caches) => caches[0].device(),
            Memory::State(state) => state.device(),
        };
        let rows = ints(rows.iter().map(|&r| r as i32).collect(), [rows.len()], &device);
        match &mut self.memory {
            Memory::Caches(caches) => caches.iter_mut().for_each(|cache| cache.select(&rows)),
            Memory::State(state) => state.select(&rows),
        }
    }
}
