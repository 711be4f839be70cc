//! Picture and text read together for a judgement, and answers to questions (section 4.1).

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use super::{Encoded, MedVill};
use crate::kernels::Rule;
use crate::systems::learn::{Batch, Target, binary_cross_entropy, cross_entropy, ints, padded};
use crate::text::Specials;

impl MedVill {
    /// Picture and text read together for a judgement: all visual tokens, every word sees every other
    /// (*ours*: understanding tasks use the bidirectional mask).
    ///
    /// Under `towers` picture and words are read apart and meet in a product, as the baseline "CNN &
    /// Transformer" does.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, texts one a sample, closing SEP included
    /// - pooled and the vector for answers, CLS times the SEP after the picture, `(batch, width)` each
    pub fn judge(&self, features: Tensor<3>, texts: &[&[u32]], specials: Specials) -> (Tensor<2>, Tensor<2>) {
        let device = features.device();
        let [batch, tokens, _] = features.dims();
        let width = self.config.bert.width;
        let longest = texts.iter().map(|t| t.len()).max().unwrap_or(1);
        let words = padded(texts.iter().copied(), longest, specials.pad, &device);
        let context = self.embed_context(features, &(0..tokens).collect::<Vec<_>>(), specials);
        if self.config.towers {
            let picture = context
                .slice([0..batch, 1..tokens + 1, 0..width])
                .mean_dim(1)
                .reshape([batch, width]);
            let cls = ints(vec![specials.cls as i32; batch], [batch, 1], &device);
            let text = self.embed_words(Tensor::cat(vec![cls, words], 1), 0);
            let lengths = texts.iter().map(|t| t.len() + 1).collect();
            let Encoded { hidden, pooled } =
                self.encode_sequence(text, 0, Rule::Bidirectional, lengths, |_, _| ());
            let cls = hidden.slice([0..batch, 0..1, 0..width]).reshape([batch, width]);
            return (pooled * self.pool(picture.clone()), cls * picture);
        }
        let lengths = texts.iter().map(|t| tokens + 2 + t.len()).collect();
        let text = self.embed_words(words, 0);
        let Encoded { hidden, pooled } = self.encode(context, text, Rule::Bidirectional, lengths, |_, _| ());
        let column = |at: usize| {
            hidden
                .clone()
                .slice([0..batch, at..at + 1, 0..width])
                .reshape([batch, width])
        };
        (pooled, column(0) * column(tokens + 1))
    }

    /// Logits of the answers from CLS times SEP; where the config has bilinear heads, the weighed mean of all
    /// heads' log-probabilities and what the question's kind says.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, questions one a sample, closing SEP included -> `(batch, answers)`
    pub fn answer(&self, features: Tensor<3>, questions: &[&[u32]], specials: Specials) -> Option<Tensor<2>> {
        let device = features.device();
        let mut heads = self.answer_heads(features, questions, specials);
        if self.bilinear.is_none() {
            return heads.pop().map(|(_, logits)| logits);
        }
        let weights: f64 = heads.iter().map(|(weight, _)| weight).sum();
        let weighed = heads
            .into_iter()
            .map(|(weight, logits)| log_softmax(logits, 1).mul_scalar(weight / weights));
        let mean = weighed.reduce(|sum, head| sum + head)?;
        Some(match self.kind_prior(questions, specials, &device) {
            Some(prior) => mean + prior,
            None => mean,
        })
    }

    /// Answer classes, by each head that answers (section 4.1; *release*: binary cross-entropy, summed over
    /// the classes).
    /// `None` where no question of the batch has an answer that the model knows.
    pub(super) fn vqa_loss(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
        specials: Specials,
    ) -> Option<Tensor<1>> {
        let device = features.device();
        let asked: Vec<(usize, &[u32], usize)> = batch
            .asked
            .iter()
            .filter_map(|put| Some((put.row, put.words(), put.question.answer?)))
            .collect();
        if asked.is_empty() {
            return None;
        }
        let count = asked.len();
        let rows = ints(asked.iter().map(|a| a.0 as i32).collect(), [count], &device);
        let texts: Vec<&[u32]> = asked.iter().map(|a| a.1).collect();
        let heads = self.answer_heads(features.select(0, rows), &texts, specials);
        let losses = heads.into_iter().map(|(_, logits)| {
            let classes = logits.dims()[1];
            if !self.config.answer_softmax {
                let mut targets: Vec<Target> = vec![Some(false); count * classes];
                asked
                    .iter()
                    .enumerate()
                    .for_each(|(row, a)| targets[row * classes + a.2] = Some(true));
                return binary_cross_entropy(logits, &targets).mul_scalar(classes as f64);
            }
            let targets = ints(asked.iter().map(|a| a.2 as i32).collect(), [count], &device);
            let smoothing = self.config.bilinear.as_ref().map_or(0.0, |b| b.smoothing);
            let to_all = (smoothing > 0.0).then(|| log_softmax(logits.clone(), 1).mean().neg());
            let loss = cross_entropy(logits, targets);
            match to_all {
                Some(to_all) => loss.mul_scalar(1.0 - smoothing) + to_all.mul_scalar(smoothing),
                None => loss,
            }
        });
        losses.reduce(|sum, loss| sum + loss)
    }

    /// Right answers to open and to closed questions; an answer that the model does not know counts as wrong.
    pub(super) fn answer_measures(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
        specials: Specials,
    ) -> Vec<(&'static str, f64, f64)> {
        if batch.asked.is_empty() {
            return Vec::new();
        }
        let rows = batch.asked.iter().map(|put| put.row as i32).collect();
        let rows = ints(rows, [batch.asked.len()], &features.device());
        let texts: Vec<&[u32]> = batch
            .asked
            .iter()
            .map(|put| put.question.words.as_slice())
            .collect();
        let Some(logits) = self.answer(features.select(0, rows), &texts, specials) else {
            return Vec::new();
        };
        let classes = logits.dims()[1];
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let mut counts = [(0.0, 0.0); 2];
        for (row, asked) in logits
            .chunks(classes)
            .zip(batch.asked.iter().map(|put| put.question))
        {
            let allowed = |answer: &usize| !self.config.answer_form || asked.allowed.allows(*answer);
            let best = (0..classes)
                .filter(allowed)
                .max_by(|&a, &b| row[a].total_cmp(&row[b]));
            let count = &mut counts[usize::from(asked.closed)];
            count.0 += f64::from(u8::from(asked.answer.is_some() && best == asked.answer));
            count.1 += 1.0;
        }
        let [open, closed] = counts;
        let all = (open.0 + closed.0, open.1 + closed.1);
        vec![
            ("accuracy", all.0, all.1),
            ("accuracy_open", open.0, open.1),
            ("accuracy_closed", closed.0, closed.1),
        ]
    }
}
