//! Reports word by word (section 3.4): a step of a draft with its caches, all steps of a known report at once, and where each of
//! them looks (Figure 5a).

use burn::tensor::{Int, Tensor};

use super::{MedVill, column_of};
use crate::kernels::{Mask, MaskKind};
use crate::nn::{AttentionPass, DecodeState, column};
use crate::systems::{Generator, GeneratorState};

impl MedVill {
    /// Every step of a known report at once: after the words come as many MASK tokens, the t-th of which sees the
    /// context, the words before t and itself: the pseudo-masked language model of UniLMv2 (Bao et al. 2020),
    /// [`MaskKind::PseudoMasked`]. One MASK more than words predicts what comes after the last.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, words `(B, T)` -> the context `(B, K + 2, width)` and the text `(B, 2 (T + 1), width)`
    fn pseudo_masked(&self, image: Tensor<3>, words: Tensor<2, Int>) -> (Tensor<3>, Tensor<3>, MaskKind) {
        let [batch, length] = words.dims();
        let device = image.device();
        let context = self.embed_context(image, None);
        let words = Tensor::cat(vec![words, column(self.specials.pad, batch, &device)], 1);
        let masks = Tensor::full([batch, length + 1], i64::from(self.specials.mask), &device);
        let text = Tensor::cat(vec![self.embed_tokens(words, 0), self.embed_tokens(masks, 0)], 1);
        (context, text, MaskKind::PseudoMasked { words: length + 1 })
    }

    /// The hidden states that predict each token from those before it, and the token after the last.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, words `(B, T)` -> `(B, T + 1, width)`
    pub(super) fn teacher_forced(&self, image: Tensor<3>, words: Tensor<2, Int>) -> Tensor<3> {
        let ([_, tokens, _], [batch, length]) = (image.dims(), words.dims());
        if let Some(writer) = &self.recurrent {
            return writer.forward(self.visual(image), self.tokens_before(words)).0;
        }
        let (context, text, kind) = self.pseudo_masked(image, words);
        let columns = tokens + 2 + 2 * (length + 1);
        let encoded = self.encode(context, text, kind, vec![columns; batch], |_, _| ());
        encoded.hidden.narrow(1, tokens + 2 + length + 1, length + 1)
    }

    /// What the recurrent writer attends to: the embedded visual tokens, `(B, K, width)`.
    fn visual(&self, image: Tensor<3>) -> Tensor<3> {
        let tokens = image.dims()[1];
        self.embed_context(image, None).narrow(1, 1, tokens)
    }

    /// CLS and the words, embedded: what the recurrent writer reads before each step. `(B, T)` -> `(B, T + 1, width)`
    fn tokens_before(&self, words: Tensor<2, Int>) -> Tensor<3> {
        let cls = column(self.specials.cls, words.dims()[0], &words.device());
        self.embed_tokens(Tensor::cat(vec![cls, words], 1), 0)
    }
}

/// MASK is appended, predicted, replaced.
impl Generator for MedVill {
    fn max_tokens(&self) -> usize {
        self.config.max_tokens
    }

    /// Under S2S the context never sees the text, so it goes through the encoder once.
    fn start(&self, image: Tensor<3>, capacity: usize) -> GeneratorState {
        let [batch, tokens, _] = image.dims();
        if let Some(writer) = &self.recurrent {
            let state = Box::new(writer.start(self.visual(image)));
            return GeneratorState::Recurrent { state, written: 0 };
        }
        let context = tokens + 2;
        let embedded = self.embed_context(image, None);
        // A MASK stands behind the last token.
        let mut state = DecodeState::new(&self.encoder, &embedded, context + capacity + 1);
        let mask = Mask {
            kind: MaskKind::Seq2Seq,
            context,
            query_start: 0,
            lengths: vec![context; batch],
        };
        self.encoder
            .prefill(embedded, &AttentionPass::new(mask), &mut state);
        GeneratorState::Transformer(Box::new(state))
    }

    /// Puts `last` in the place of the MASK that predicted it, appends MASK, predicts it.
    fn step(&self, state: &mut GeneratorState, last: Option<Tensor<2, Int>>) -> Tensor<2> {
        match state {
            GeneratorState::Recurrent { state, written } => {
                *written += usize::from(last.is_some());
                let last = last.unwrap_or_else(|| column(self.specials.cls, state.batch(), &state.device()));
                let (hidden, _) = state.step(self.embed_tokens(last, *written));
                self.mlm_logits(hidden)
            }
            GeneratorState::Transformer(state) => {
                let masks = usize::from(state.position() > state.prefix());
                state.rewind(masks);
                let mask = column(self.specials.mask, state.batch(), &self.device());
                let tokens = match last {
                    Some(last) => Tensor::cat(vec![last, mask], 1),
                    None => mask,
                };
                let rows = tokens.dims()[1];
                let embedded = self.embed_tokens(tokens, state.position() - state.prefix());
                let hidden = self.encoder.step(embedded, state);
                self.mlm_logits(column_of(&hidden, rows - 1))
            }
        }
    }

    fn forward(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<3> {
        let hidden = self.teacher_forced(image, tokens);
        let [batch, steps, width] = hidden.dims();
        // (B, T + 1, width) -> (B * (T + 1), width) and back with V
        let logits = self.mlm_logits(hidden.reshape([batch * steps, width]));
        let vocabulary = logits.dims()[1];
        logits.reshape([batch, steps, vocabulary])
    }

    /// The attention of each token's MASK (Figure 5a), the mean over heads and layers. What a row lacks to 1 goes to
    /// CLS, SEP, the words before and the MASK itself.
    fn attention(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        let ([_, cells, _], [batch, length]) = (image.dims(), tokens.dims());
        if let Some(writer) = &self.recurrent {
            let (_, attention) = writer.forward(self.visual(image), self.tokens_before(tokens));
            return Some(attention.narrow(1, 0, length));
        }
        let (context, text, kind) = self.pseudo_masked(image, tokens);
        let first = cells + 2 + length + 1;
        let mask = Mask {
            kind,
            context: cells + 2,
            query_start: 0,
            lengths: vec![cells + 2 + 2 * (length + 1); batch],
        };
        let attend = AttentionPass::with_weights(mask);
        self.encoder
            .forward(Tensor::cat(vec![context, text], 1), &attend, |_, _| ());
        let layers = attend.probabilities();
        let count = layers.len().max(1) as f64;
        let seen = |probabilities: Tensor<4>| {
            let mean = probabilities
                .mean_dim(1)
                .slice([0..batch, 0..1, first..first + length, 1..cells + 1]);
            // (B, 1, T, K) -> (B, T, K)
            mean.reshape([batch, length, cells])
        };
        let sum = layers.into_iter().map(seen).reduce(|sum, layer| sum + layer)?;
        Some(sum.div_scalar(count))
    }
}
