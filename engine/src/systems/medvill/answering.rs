//! Picture and text read together for a judgement, and answers to questions (section 4.1).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

use super::{Encoded, MedVill};
use crate::kernels::Rule;
use crate::systems::learn::{Batch, Target, binary_cross_entropy, cross_entropy, ints, padded};
use crate::text::Specials;

/// How loud the picture alone is beside its product with the question.
const QUIET: f64 = 0.3;

/// How much the logits of identities differ at most.
const SHARP: f64 = 8.0;

impl MedVill {
    /// Picture and text read together for a judgement: all visual tokens, every word sees every other (*ours*: understanding
    /// tasks use the bidirectional mask).
    ///
    /// Under `towers` picture and words are read apart and meet in a product, as the baseline "CNN & Transformer" does.
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
            let picture = context.slice([0..batch, 1..tokens + 1, 0..width]).mean_dim(1).reshape([batch, width]);
            let cls = ints(vec![specials.cls as i32; batch], [batch, 1], &device);
            let text = self.embed_words(Tensor::cat(vec![cls, words], 1), 0);
            let lengths = texts.iter().map(|t| t.len() + 1).collect();
            let Encoded { hidden, pooled } = self.encode_sequence(text, 0, Rule::Bidirectional, lengths, |_, _| ());
            let cls = hidden.slice([0..batch, 0..1, 0..width]).reshape([batch, width]);
            return (pooled * self.pool(picture.clone()), cls * picture);
        }
        let lengths = texts.iter().map(|t| tokens + 2 + t.len()).collect();
        let text = self.embed_words(words, 0);
        let Encoded { hidden, pooled } = self.encode(context, text, Rule::Bidirectional, lengths, |_, _| ());
        let column = |at: usize| hidden.clone().slice([0..batch, at..at + 1, 0..width]).reshape([batch, width]);
        (pooled, column(0) * column(tokens + 1))
    }

    /// Logits of the answers, from CLS times SEP and, where the config has it, from the product of question and picture.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, questions one a sample, closing SEP included -> `(batch, answers)`
    pub fn answer(&self, features: Tensor<3>, questions: &[&[u32]], specials: Specials) -> Option<Tensor<2>> {
        let product = self.product_logits(features.clone(), questions, specials);
        if product.is_some() && !self.config.answer_joint {
            return product;
        }
        let joint = self.answer_logits(self.judge(features, questions, specials).1)?;
        Some(match product {
            Some(product) => joint + product,
            None => joint,
        })
    }

    /// The vector of the whole picture, of length 1.
    ///
    /// # Shapes
    /// - features `(batch, K, features)` -> `(batch, picture_vector)`
    fn picture_vector(&self, features: Tensor<3>) -> Option<Tensor<2>> {
        let [batch, _, width] = features.dims();
        let vector = self.picture_vector.as_ref()?.forward(features.mean_dim(1).reshape([batch, width]));
        // Centred, else all pictures point the same way.
        Some(unit(match &self.picture_norm {
            Some(norm) => norm.forward(vector),
            None => vector,
        }))
    }

    /// The question's mean word vector q and the picture's r, each of length 1, as q, q r and a quiet r.
    fn product_logits(&self, features: Tensor<3>, questions: &[&[u32]], specials: Specials) -> Option<Tensor<2>> {
        let head = self.product.as_ref()?;
        let device = features.device();
        let picture = unit(head.picture.forward(self.picture_vector(features)?));
        let longest = questions.iter().map(|q| q.len()).max().unwrap_or(1);
        let words = padded(questions.iter().copied(), longest, specials.pad, &device);
        let [batch, width] = picture.dims();
        let counted = questions.iter().flat_map(|q| {
            let real = q.iter().map(|w| if specials.hidden(*w) { 0.0 } else { 1.0 });
            real.chain(std::iter::repeat_n(0.0, longest - q.len()))
        });
        let counted = TensorData::new(counted.collect::<Vec<f32>>(), [batch, longest, 1]);
        let vectors = head.words.forward(words) * Tensor::from_data(counted, &device);
        let question = unit(vectors.sum_dim(1).reshape([batch, width]));
        let product = question.clone() * picture.clone();
        let root = (width as f64).sqrt();
        let joined = Tensor::cat(vec![question, product.mul_scalar(root), picture.mul_scalar(QUIET)], 1);
        Some(head.output.forward(head.dropout.forward(joined.mul_scalar(root))))
    }

    /// Which training picture this is: the cosine of its vector with each picture's, sharpened.
    ///
    /// # Shapes
    /// - features `(batch, K, features)` -> `(batch, identities)`
    pub(super) fn identity_logits(&self, features: Tensor<3>) -> Option<Tensor<2>> {
        let layer = self.identity.as_ref()?;
        Some(layer.forward(self.picture_vector(features)?.mul_scalar(SHARP)))
    }

    /// Answer classes from CLS times SEP (section 4.1; *release*: binary cross-entropy, summed over the classes). `None` where
    /// no question of the batch has an answer that the model knows.
    pub(super) fn vqa_loss(&self, features: Tensor<3>, batch: &Batch<'_>, specials: Specials) -> Option<Tensor<1>> {
        let device = features.device();
        let asked = batch.asked.iter().enumerate();
        let asked: Vec<(usize, &[u32], usize)> =
            asked.filter_map(|(i, asked)| asked.and_then(|a| Some((i, a.words.as_slice(), a.answer?)))).collect();
        if asked.is_empty() {
            return None;
        }
        let count = asked.len();
        let rows = ints(asked.iter().map(|a| a.0 as i32).collect(), [count], &device);
        let texts: Vec<&[u32]> = asked.iter().map(|a| a.1).collect();
        let logits = self.answer(features.select(0, rows), &texts, specials)?;
        let classes = logits.dims()[1];
        if self.config.answer_softmax {
            let targets = ints(asked.iter().map(|a| a.2 as i32).collect(), [count], &device);
            let loss = cross_entropy(logits.clone(), targets);
            let smoothing = self.config.answer_smoothing;
            if smoothing == 0.0 {
                return Some(loss);
            }
            let to_all = log_softmax(logits, 1).mean().neg();
            return Some(loss.mul_scalar(1.0 - smoothing) + to_all.mul_scalar(smoothing));
        }
        let mut targets: Vec<Target> = vec![Some(false); count * classes];
        asked.iter().enumerate().for_each(|(row, a)| targets[row * classes + a.2] = Some(true));
        Some(binary_cross_entropy(logits, &targets).mul_scalar(classes as f64))
    }

    /// Right answers to open and to closed questions; an answer that the model does not know counts as wrong.
    pub(super) fn answer_measures(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
        specials: Specials,
    ) -> Vec<(&'static str, f64, f64)> {
        let asked: Vec<_> = batch.asked.iter().enumerate().filter_map(|(i, asked)| Some((i, (*asked)?))).collect();
        if asked.is_empty() {
            return Vec::new();
        }
        let rows = ints(asked.iter().map(|a| a.0 as i32).collect(), [asked.len()], &features.device());
        let texts: Vec<&[u32]> = asked.iter().map(|a| a.1.words.as_slice()).collect();
        let Some(logits) = self.answer(features.select(0, rows), &texts, specials) else { return Vec::new() };
        let classes = logits.dims()[1];
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let mut counts = [(0.0, 0.0); 2];
        for (row, (_, asked)) in logits.chunks(classes).zip(&asked) {
            let allowed = |answer: &usize| !self.config.answer_form || asked.allowed.allows(*answer);
            let best = (0..classes).filter(allowed).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            let count = &mut counts[usize::from(asked.closed)];
            count.0 += f64::from(u8::from(asked.answer.is_some() && best == asked.answer));
            count.1 += 1.0;
        }
        let [open, closed] = counts;
        let all = (open.0 + closed.0, open.1 + closed.1);
        vec![("accuracy", all.0, all.1), ("accuracy_open", open.0, open.1), ("accuracy_closed", closed.0, closed.1)]
    }
}

/// Rows of length 1.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).add_scalar(1e-8).sqrt();
    x / length
}
