//! Reports word by word, by the MASK loop ("Radiograph Reports Generation"); where each word looked is the region sparse attention
//! of the words that were written (eq. 5 and 6, Figure 6).

use burn::tensor::{Device, Int, Tensor};

use super::{ClinicalBert, MatchingConfig, region_attention};
use crate::kernels::MaskKind;
use crate::nn::Encoder;
use crate::systems::mask_loop::MaskLoop;
use crate::systems::{Generator, GeneratorState};
use crate::text::Specials;

impl MaskLoop for ClinicalBert {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn specials(&self) -> Specials {
        self.specials
    }

    fn device(&self) -> Device {
        self.visual.weight.val().device()
    }

    fn embed_image(&self, image: Tensor<3>) -> Tensor<3> {
        self.embed_context(image)
    }

    fn embed_words(&self, tokens: Tensor<2, Int>, first: usize) -> Tensor<3> {
        self.embed_text(tokens, first)
    }

    fn word_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.prediction_logits(hidden)
    }
}

impl Generator for ClinicalBert {
    fn max_tokens(&self) -> usize {
        self.config.max_tokens
    }

    fn start(&self, image: Tensor<3>, capacity: usize) -> GeneratorState {
        GeneratorState::Transformer(Box::new(self.open(image, capacity)))
    }

    fn step(&self, state: &mut GeneratorState, last: Option<Tensor<2, Int>>) -> Tensor<2> {
        self.predict(state.transformer(), last)
    }

    fn forward(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.logits_of(self.hidden_of_every_step(image, tokens))
    }

    fn beam(&self) -> usize {
        self.config.beam
    }

    fn mesh(&self) -> &[u32] {
        &self.config.mesh
    }

    /// Each written word's weights over the regions, which sum to 1: `alpha` of eq. 5, and of eq. 6 where the attention is sparse.
    /// It is learned by image-MeSH matching alone: a model without that pre-training has weights that mean nothing.
    fn attention(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        Some(self.region_weights(image, tokens, &self.config.matching))
    }

    fn dense_attention(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        let dense = MatchingConfig {
            keep: None,
            ..self.config.matching
        };
        let sparse = self.config.matching.keep? < self.config.visual_tokens();
        sparse.then(|| self.region_weights(image, tokens, &dense))
    }
}

impl ClinicalBert {
    /// Each word's weights over the regions, as it stands in a text that is read left to right.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, tokens `(B, T)` -> `(B, T, K)`
    fn region_weights(&self, image: Tensor<3>, tokens: Tensor<2, Int>, config: &MatchingConfig) -> Tensor<3> {
        let ([_, cells, _], [batch, count]) = (image.dims(), tokens.dims());
        let lengths = vec![cells + 2 + count; batch];
        let hidden = self.encode(image.clone(), tokens, MaskKind::Seq2Seq, lengths, |_, _| ());
        let words = hidden.narrow(1, cells + 2, count);
        region_attention(words, self.region_features(image), config)
    }
}
