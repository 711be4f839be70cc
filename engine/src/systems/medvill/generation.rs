//! Reports word by word (section 3.4), by the MASK loop; or, in the place of the joint encoder, by TieNet's recurrent writer.

use burn::tensor::{Device, Int, Tensor};

use super::MedVill;
use crate::nn::{Encoder, column};
use crate::systems::mask_loop::MaskLoop;
use crate::systems::{Generator, GeneratorState};
use crate::text::Specials;

impl MaskLoop for MedVill {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn specials(&self) -> Specials {
        self.specials
    }

    fn device(&self) -> Device {
        self.device()
    }

    fn embed_image(&self, image: Tensor<3>) -> Tensor<3> {
        self.embed_context(image, None)
    }

    fn embed_words(&self, tokens: Tensor<2, Int>, first: usize) -> Tensor<3> {
        self.embed_tokens(tokens, first)
    }

    fn word_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.mlm_logits(hidden)
    }
}

impl MedVill {
    /// The hidden states that predict each token from those before it, and the token after the last.
    ///
    /// # Shapes
    /// - image `(B, K, F)`, words `(B, T)` -> `(B, T + 1, width)`
    pub(super) fn teacher_forced(&self, image: Tensor<3>, words: Tensor<2, Int>) -> Tensor<3> {
        match &self.recurrent {
            Some(writer) => writer.forward(self.visual(image), self.tokens_before(words)).0,
            None => self.hidden_of_every_step(image, words),
        }
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

impl Generator for MedVill {
    fn max_tokens(&self) -> usize {
        self.config.max_tokens
    }

    fn start(&self, image: Tensor<3>, capacity: usize) -> GeneratorState {
        if let Some(writer) = &self.recurrent {
            let state = Box::new(writer.start(self.visual(image)));
            return GeneratorState::Recurrent { state, written: 0 };
        }
        GeneratorState::Transformer(Box::new(self.open(image, capacity)))
    }

    fn step(&self, state: &mut GeneratorState, last: Option<Tensor<2, Int>>) -> Tensor<2> {
        match state {
            GeneratorState::Recurrent { state, written } => {
                *written += usize::from(last.is_some());
                let last = last.unwrap_or_else(|| column(self.specials.cls, state.batch(), &state.device()));
                let (hidden, _) = state.step(self.embed_tokens(last, *written));
                self.mlm_logits(hidden)
            }
            GeneratorState::Transformer(state) => self.predict(state, last),
        }
    }

    fn forward(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.logits_of(self.teacher_forced(image, tokens))
    }

    /// The attention of each token's MASK (Figure 5a).
    fn attention(&self, image: Tensor<3>, tokens: Tensor<2, Int>) -> Option<Tensor<3>> {
        if let Some(writer) = &self.recurrent {
            let length = tokens.dims()[1];
            let (_, attention) = writer.forward(self.visual(image), self.tokens_before(tokens));
            return Some(attention.narrow(1, 0, length));
        }
        self.attention_of_every_step(image, tokens)
    }
}
