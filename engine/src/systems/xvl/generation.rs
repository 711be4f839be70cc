//! How Medical X-VL writes: the next word from CLS and the words before it, under a causal mask, the picture in cross-attention
//! ("Performances of the proposed model on downstream tasks").

use burn::tensor::{Int, Tensor};

use super::{Xvl, whole};
use crate::kernels::Mask;
use crate::nn::loss::cross_entropy;
use crate::nn::{AttentionPass, DecodeState, column, column_of, rows_of};
use crate::systems::{Generator, GeneratorState};

impl Xvl {
    /// Hidden states under the causal mask, CLS in front of the words.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, tokens `(B, T)`, CLS among them -> `(B, T, width)`
    pub(super) fn write_hidden(
        &self,
        image: &Tensor<3>,
        tokens: Tensor<2, Int>,
        crossing: &AttentionPass,
    ) -> Tensor<3> {
        let attend = AttentionPass::new(Mask::causal(tokens.dims()[0]));
        let embedded = self.embed(tokens, 0);
        let below = 0..self.below();
        let hidden = self
            .encoder
            .forward_layers(below, embedded, &attend, None, |_, _| ());
        self.fuse_text_under(hidden, image, &attend, crossing)
    }

    /// Each word from those before it and an image's tokens.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, `B` texts with their closing SEP -> `(1)`
    pub(super) fn writing_loss(&self, image: &Tensor<3>, texts: &[&[u32]]) -> Option<Tensor<1>> {
        // The closing SEP is predicted and never read.
        let read: Vec<&[u32]> = texts.iter().map(|text| &text[..text.len() - 1]).collect();
        let crossing = AttentionPass::new(whole(image));
        let hidden = self.write_hidden(image, self.texts(&read).tokens, &crossing);
        let columns = hidden.dims()[1];
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (number, text) in texts.iter().enumerate() {
            rows.extend((0..text.len()).map(|place| number * columns + place));
            targets.extend(text.iter().map(|token| Some(*token as usize)));
        }
        cross_entropy(self.word_logits(rows_of(hidden, rows)), &targets)
    }

    /// CLS in front of tokens, `(B, T)` -> `(B, 1 + T)`.
    fn after_cls(&self, tokens: Tensor<2, Int>) -> Tensor<2, Int> {
        let cls = column(self.specials.cls, tokens.dims()[0], &tokens.device());
        Tensor::cat(vec![cls, tokens], 1)
    }
}

impl Generator for Xvl {
    fn max_tokens(&self) -> usize {
        self.config.max_tokens
    }

    fn start(&self, image: Tensor<3>, capacity: usize) -> GeneratorState {
        let [batch, tokens, _] = image.dims();
        let state = DecodeState::new(&self.encoder, &image, capacity + 1);
        let state = state.with_memory(&self.encoder, &image, vec![tokens; batch]);
        GeneratorState::Transformer(Box::new(state))
    }

    fn step(&self, state: &mut GeneratorState, last: Option<Tensor<2, Int>>) -> Tensor<2> {
        let state = state.transformer();
        let last = last.unwrap_or_else(|| column(self.specials.cls, state.batch(), &self.device()));
        let embedded = self.embed(last, state.position());
        let hidden = self.encoder.step(embedded, state);
        self.word_logits(column_of(&hidden, 0))
    }

    fn forward(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<3> {
        let crossing = AttentionPass::new(whole(&image));
        let hidden = self.write_hidden(&image, self.after_cls(tokens), &crossing);
        let [batch, steps, _] = hidden.dims();
        let logits = self.word_logits(rows_of(hidden, 0..batch * steps));
        let vocabulary = logits.dims()[1];
        logits.reshape([batch, steps, vocabulary])
    }

    fn mesh(&self) -> &[u32] {
        &self.config.mesh
    }

    /// Cross-attention of the row that predicts each word to the patches, the mean over heads and fusion layers; what a row lacks to 1
    /// goes to the image's CLS.
    fn attention(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        let [batch, count] = tokens.dims();
        let patches = image.dims()[1] - 1;
        let read = self.after_cls(tokens).narrow(1, 0, count);
        let crossing = AttentionPass::with_weights(whole(&image));
        self.write_hidden(&image, read, &crossing);
        let layers = crossing.probabilities();
        let number = layers.len().max(1) as f64;
        // (B, heads, T, 1 + K) -> (B, T, K)
        let seen = |layer: Tensor<4>| {
            layer
                .mean_dim(1)
                .reshape([batch, count, patches + 1])
                .narrow(2, 1, patches)
        };
        let sum = layers.into_iter().map(seen).reduce(|sum, layer| sum + layer)?;
        Some(sum.div_scalar(number))
    }
}
