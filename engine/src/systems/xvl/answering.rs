//! Questions ("Performances of the proposed model on downstream tasks"): the question asks the image in the fusion encoder, and a decoder
//! over what comes of it writes the answer (ALBEF, Li et al. 2021, section 5), or weighs each of a closed list (*release*).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::{ReadTexts, Xvl};
use crate::kernels::Mask;
use crate::nn::loss::cross_entropy;
use crate::nn::{AttentionPass, Cross, DecodeState, column, column_of, padded, rows_of, samples_of};
use crate::systems::train::Batch;
use crate::systems::{Answerer, GeneratorState};

/// Answers of the closed list that are weighed in one pass.
const AT_ONCE: usize = 128;

impl Xvl {
    /// Questions that have asked their images.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, questions one a sample -> `(B, T, width)`
    pub(super) fn asked(&self, image: &Tensor<3>, questions: &[&[u32]]) -> ReadTexts {
        let read = self.read(&self.texts(questions));
        ReadTexts {
            hidden: self.fuse_text(&read, image),
            lengths: read.lengths,
        }
    }

    /// Logits of each token of each answer from those before it, answer after answer; `None` without a decoder.
    ///
    /// # Shapes
    /// - asked `(B, T, width)`, answers one a sample, closing SEP included -> `(tokens of all answers, V)`
    pub(super) fn answer_logits(&self, asked: &ReadTexts, answers: &[&[u32]]) -> Option<Tensor<2>> {
        let decoder = self.decoder.as_ref()?;
        // CLS begins, and the closing SEP is predicted and never read.
        let read: Vec<Vec<u32>> = answers
            .iter()
            .map(|answer| [&[self.specials.cls], &answer[..answer.len() - 1]].concat())
            .collect();
        let longest = read.iter().map(Vec::len).max()?;
        let tokens = padded(
            read.iter().map(Vec::as_slice),
            longest,
            self.specials.pad,
            &self.device(),
        );
        let attend = AttentionPass::new(Mask::causal(answers.len()));
        let crossing = AttentionPass::new(Mask::padding(asked.lengths.clone()));
        let cross = Cross {
            memory: &asked.hidden,
            attend: &crossing,
        };
        let embedded = self.embed(tokens, 0);
        let layers = 0..decoder.layers();
        let hidden = decoder.forward_layers(layers, embedded, &attend, Some(cross), |_, _| ());
        let rows = read
            .iter()
            .enumerate()
            .flat_map(|(number, tokens)| (0..tokens.len()).map(move |place| number * longest + place));
        Some(self.word_logits(rows_of(hidden, rows)))
    }

    /// Log-likelihoods of the answers of the closed list; `None` without a decoder.
    ///
    /// # Shapes
    /// - image `(B, 1 + K, width)`, questions one a sample -> `(B, answers)`
    pub(super) fn answer_likelihoods(&self, image: &Tensor<3>, questions: &[&[u32]]) -> Option<Tensor<2>> {
        let asked = self.asked(image, questions);
        let device = self.device();
        let mut rows = Vec::with_capacity(asked.lengths.len());
        for question in 0..asked.lengths.len() {
            let mut weighed = Vec::new();
            for part in self.config.answers.chunks(AT_ONCE) {
                let copies = vec![question; part.len()];
                let asked = ReadTexts {
                    hidden: samples_of(&asked.hidden, &copies),
                    lengths: vec![asked.lengths[question]; part.len()],
                };
                let answers: Vec<&[u32]> = part.iter().map(Vec::as_slice).collect();
                let tokens: Vec<i32> = answers.concat().into_iter().map(|token| token as i32).collect();
                let count = tokens.len();
                let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [count, 1]), &device);
                let logs = log_softmax(self.answer_logits(&asked, &answers)?, 1).gather(1, tokens);
                // Token t is of answer a: (answers, tokens) @ (tokens, 1) -> (1, answers)
                let owners = answers.iter().enumerate();
                let owners: Vec<usize> = owners.flat_map(|(a, answer)| vec![a; answer.len()]).collect();
                let owners = Tensor::<1, Int>::from_data(
                    TensorData::new(owners.into_iter().map(|a| a as i32).collect(), [count]),
                    &device,
                );
                let belongs = owners.one_hot::<2>(part.len()).float().swap_dims(0, 1);
                weighed.push(belongs.matmul(logs).swap_dims(0, 1));
            }
            rows.push(Tensor::cat(weighed, 1));
        }
        Some(Tensor::cat(rows, 0))
    }

    /// Log-probabilities of the answers of the closed list; `None` without a decoder or a list.
    pub(super) fn ranked_answers(&self, image: &Tensor<3>, questions: &[&[u32]]) -> Option<Tensor<2>> {
        if self.config.answers.is_empty() {
            return None;
        }
        Some(log_softmax(self.answer_likelihoods(image, questions)?, 1))
    }

    /// Cross-entropy of the answers' tokens, of the questions whose answer is known; `None` where there is none.
    pub(super) fn answer_loss(&self, image: &Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let known = batch
            .questions
            .iter()
            .filter_map(|asked| Some((asked, self.config.answers.get(asked.question.answer?)?)));
        let (asked, answers): (Vec<_>, Vec<&[u32]>) =
            known.map(|(asked, answer)| (asked, answer.as_slice())).unzip();
        if asked.is_empty() {
            return None;
        }
        let rows: Vec<usize> = asked.iter().map(|asked| asked.row).collect();
        let questions: Vec<&[u32]> = asked
            .iter()
            .map(|asked| asked.question.tokens.as_slice())
            .collect();
        let asked = self.asked(&samples_of(image, &rows), &questions);
        let targets = answers.concat().into_iter().map(|token| Some(token as usize));
        let targets: Vec<Option<usize>> = targets.collect();
        cross_entropy(self.answer_logits(&asked, &answers)?, &targets)
    }
}

impl Answerer for Xvl {
    fn start(&self, image: Tensor<3>, questions: &[&[u32]], capacity: usize) -> GeneratorState {
        let asked = self.asked(&image, questions);
        let decoder = self.decoder.as_ref().unwrap_or(&self.encoder);
        let state = DecodeState::new(decoder, &asked.hidden, capacity + 1);
        let state = state.with_memory(decoder, &asked.hidden, asked.lengths);
        GeneratorState::Transformer(Box::new(state))
    }

    fn step(&self, state: &mut GeneratorState, last: Option<Tensor<2, Int>>) -> Tensor<2> {
        let state = state.transformer();
        let decoder = self.decoder.as_ref().unwrap_or(&self.encoder);
        let last = last.unwrap_or_else(|| column(self.specials.cls, state.batch(), &self.device()));
        let hidden = decoder.step(self.embed(last, state.position()), state);
        self.word_logits(column_of(&hidden, 0))
    }
}
