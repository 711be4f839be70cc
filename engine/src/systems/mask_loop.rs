//! Left-to-right writing by a masked language model: MASK stands where the next token goes, is predicted, and gives its place to
//! what was predicted (MedViLL, section 3.4; Clinical-BERT, "Radiograph Reports Generation"). A draft with its caches, all steps
//! of a known report at once, and where each MASK looks.
//!
//! The sequence is CLS, V1..VK, SEP, then the words, under the sequence-to-sequence mask.

use burn::tensor::{Device, Int, Tensor};

use crate::kernels::{Mask, MaskKind};
use crate::nn::{AttentionPass, DecodeState, Encoder, column, column_of};
use crate::text::Specials;

/// A model that writes so.
pub trait MaskLoop {
    /// Its encoder.
    fn encoder(&self) -> &Encoder;

    /// Its special tokens.
    fn specials(&self) -> Specials;

    /// Where its weights are.
    fn device(&self) -> Device;

    /// CLS, the visual tokens and SEP, embedded: `(B, K, F)` -> `(B, K + 2, width)`.
    fn embed_image(&self, image: Tensor<3>) -> Tensor<3>;

    /// Tokens of the text, the first of them being the `first` of it, embedded: `(B, T)` -> `(B, T, width)`.
    fn embed_words(&self, tokens: Tensor<2, Int>, first: usize) -> Tensor<3>;

    /// Logits of the vocabulary for rows of hidden states: `(rows, width)` -> `(rows, V)`.
    fn word_logits(&self, hidden: Tensor<2>) -> Tensor<2>;

    /// Opens a draft: under the mask the context never sees the text, so it goes through the encoder once.
    ///
    /// # Shapes
    /// - image `(B, K, F)`; `capacity` tokens can follow
    fn open(&self, image: Tensor<3>, capacity: usize) -> DecodeState {
        let [batch, tokens, _] = image.dims();
        let context = tokens + 2;
        let embedded = self.embed_image(image);
        // A MASK stands behind the last token.
        let mut state = DecodeState::new(self.encoder(), &embedded, context + capacity + 1);
        let mask = Mask {
            kind: MaskKind::Seq2Seq,
            context,
            query_start: 0,
            lengths: vec![context; batch],
        };
        self.encoder()
            .prefill(embedded, &AttentionPass::new(mask), &mut state);
        state
    }

    /// Puts `last` in the place of the MASK that predicted it, appends MASK, predicts it.
    ///
    /// # Shapes
    /// - last `(B, 1)` -> logits `(B, V)`
    fn predict(&self, state: &mut DecodeState, last: Option<Tensor<2, Int>>) -> Tensor<2> {
        let masks = usize::from(state.position() > state.prefix());
        state.rewind(masks);
        let mask = column(self.specials().mask, state.batch(), &self.device());
        let tokens = match last {
            Some(last) => Tensor::cat(vec![last, mask], 1),
            None => mask,
        };
        let rows = tokens.dims()[1];
        let embedded = self.embed_words(tokens, state.position() - state.prefix());
        let hidden = self.encoder().step(embedded, state);
        self.word_logits(column_of(&hidden, rows - 1))
    }

    /// Every step of a known report at once: after the words come as many MASK tokens, the t-th of which sees the
    /// context, the words before t and itself: the pseudo-masked language model of UniLMv2 (Bao et al. 2020),
    /// [`MaskKind::PseudoMasked`]. One MASK more than words predicts what comes after the last.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, words `(B, T)` -> the sequence `(B, K + 2 + 2 (T + 1), width)` and its mask
    fn every_step(&self, image: Tensor<3>, words: Tensor<2, Int>) -> (Tensor<3>, Mask) {
        let ([_, cells, _], [batch, length]) = (image.dims(), words.dims());
        let device = image.device();
        let Specials { pad, mask, .. } = self.specials();
        let words = Tensor::cat(vec![words, column(pad, batch, &device)], 1);
        let masks = Tensor::full([batch, length + 1], i64::from(mask), &device);
        let parts = vec![
            self.embed_image(image),
            self.embed_words(words, 0),
            self.embed_words(masks, 0),
        ];
        let mask = Mask {
            kind: MaskKind::PseudoMasked { words: length + 1 },
            context: cells + 2,
            query_start: 0,
            lengths: vec![cells + 2 + 2 * (length + 1); batch],
        };
        (Tensor::cat(parts, 1), mask)
    }

    /// The hidden states that predict each token from those before it, and the token after the last.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, words `(B, T)` -> `(B, T + 1, width)`
    fn hidden_of_every_step(&self, image: Tensor<3>, words: Tensor<2, Int>) -> Tensor<3> {
        let length = words.dims()[1];
        let (sequence, mask) = self.every_step(image, words);
        let first = mask.context + length + 1;
        let hidden = self
            .encoder()
            .forward(sequence, &AttentionPass::new(mask), |_, _| ());
        hidden.narrow(1, first, length + 1)
    }

    /// Logits for hidden states, `(B, T, width)` -> `(B, T, V)`.
    fn logits_of(&self, hidden: Tensor<3>) -> Tensor<3> {
        let [batch, steps, width] = hidden.dims();
        // (B, T, width) -> (B * T, width) and back with V
        let logits = self.word_logits(hidden.reshape([batch * steps, width]));
        let vocabulary = logits.dims()[1];
        logits.reshape([batch, steps, vocabulary])
    }

    /// What each token's MASK attends to of the image, the mean over heads and layers. What a row lacks to 1 goes to CLS, SEP,
    /// the words before and the MASK itself.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, tokens `(B, T)` -> `(B, T, K)`; `None` for an encoder without layers
    fn attention_of_every_step(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        let ([_, cells, _], [batch, length]) = (image.dims(), tokens.dims());
        let (sequence, mask) = self.every_step(image, tokens);
        let first = mask.context + length + 1;
        let attend = AttentionPass::with_weights(mask);
        self.encoder().forward(sequence, &attend, |_, _| ());
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
