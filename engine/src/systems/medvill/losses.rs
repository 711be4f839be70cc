//! MedViLL's losses over a batch: pre-training (section 3.3), the four tasks (section 4), and what is ours for the demo.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{Encoded, MedVill, MedVillConfig, Scheme};
use crate::kernels::Rule;
use crate::systems::learn::{
    Batch, Learner, Losses, Pictures, Place, Target, Words, binary_cross_entropy, cross_entropy, ints, padded,
};
use crate::text::Specials;

/// Share of words that are masked (section 3.3).
const MASKED: f64 = 0.15;

/// How loud the picture alone is beside its product with the question.
const QUIET: f64 = 0.3;

/// How much the logits of identities differ at most.
const SHARP: f64 = 8.0;

/// What one pre-training pass was drawn to be.
pub struct Masked {
    /// Cells of the map that are kept, ascending.
    pub grid: Vec<usize>,
    /// The masking scheme's rule.
    pub rule: Rule,
    /// Texts with words masked, closing SEP included.
    pub words: Vec<Vec<u32>>,
    /// Sample, position in its text and true word of each word that is asked for.
    pub hidden: Vec<(usize, usize, u32)>,
    /// Whether each text belongs to its picture; `None` where that is not asked.
    pub matched: Option<Vec<bool>>,
}

impl Learner for MedVill {
    type Config = MedVillConfig;

    const OBJECTIVES: &'static [&'static str] =
        &["mlm", "itm", "diagnosis", "diagnosis_image", "pairs", "vqa", "findings", "report", "sides", "identity"];

    fn losses(
        &self,
        batch: &Batch<'_>,
        weights: &BTreeMap<String, f64>,
        words: &Words,
        draw: &mut ChaCha8Rng,
    ) -> Losses {
        let wanted = |name: &str| weights.get(name).is_some_and(|w| *w > 0.0);
        let features = match &batch.pictures {
            Pictures::Pixels(pixels) => self.features(pixels.clone()),
            Pictures::Features(features) => features.clone(),
        };
        let mut losses = Losses::new();
        if wanted("findings")
            && let Some(loss) = self.findings_loss(features.clone(), batch)
        {
            losses.push(("findings", loss));
        }
        if wanted("report") {
            let (report, sides) = self.report_loss(features.clone(), batch, words);
            losses.push(("report", report));
            losses.extend(sides.filter(|_| wanted("sides")).map(|sides| ("sides", sides)));
        }
        if wanted("mlm") || wanted("itm") {
            let (mlm, itm) = self.pretraining_losses(features.clone(), batch, wanted("itm"), words.specials, draw);
            losses.extend(mlm.filter(|_| wanted("mlm")).map(|mlm| ("mlm", mlm)));
            losses.extend(itm.map(|itm| ("itm", itm)));
        }
        for (name, with_report) in [("diagnosis", true), ("diagnosis_image", false)] {
            if wanted(name)
                && let Some(loss) = self.diagnosis_loss(features.clone(), batch, with_report, words.specials)
            {
                losses.push((name, loss));
            }
        }
        if wanted("pairs") {
            losses.push(("pairs", self.pairs_loss(features.clone(), batch, words.specials, draw)));
        }
        if wanted("vqa")
            && let Some(loss) = self.vqa_loss(features.clone(), batch, words.specials)
        {
            losses.push(("vqa", loss));
        }
        if wanted("identity")
            && let Some(logits) = self.identity_logits(features)
        {
            let targets = batch.numbers.iter().map(|&n| n as i32).collect();
            let targets = ints(targets, [batch.numbers.len()], &logits.device());
            losses.push(("identity", cross_entropy(logits, targets)));
        }
        losses
    }

    fn measures(
        &self,
        batch: &Batch<'_>,
        weights: &BTreeMap<String, f64>,
        words: &Words,
    ) -> Vec<(&'static str, f64, f64)> {
        let wanted = |name: &str| weights.get(name).is_some_and(|w| *w > 0.0);
        let features = match &batch.pictures {
            Pictures::Pixels(pixels) => self.features(pixels.clone()),
            Pictures::Features(features) => features.clone(),
        };
        let mut measures = Vec::new();
        if wanted("findings") {
            measures.extend(self.findings_measures(features.clone(), batch));
        }
        if wanted("pairs") || wanted("itm") {
            let own = batch.examples.iter().map(|e| (e.words.as_slice(), true));
            let others = batch.strangers.iter().map(|e| (e.words.as_slice(), false));
            let mut right = 0;
            for (texts, matched) in [own.unzip::<_, _, Vec<_>, Vec<_>>(), others.unzip()] {
                let logits = self.itm_logits(self.judge(features.clone(), &texts, words.specials).0);
                let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
                right += logits.chunks(2).zip(matched).filter(|(l, matched)| (l[1] > l[0]) == *matched).count();
            }
            measures.push(("pairs_accuracy", right as f64, 2.0 * batch.examples.len() as f64));
        }
        if wanted("vqa") {
            measures.extend(self.answer_measures(features, batch, words.specials));
        }
        measures
    }

    fn features(&self, pixels: Tensor<3>) -> Tensor<3> {
        self.encode_image(self.picture(pixels), |_, _| ())
    }

    fn sizes(&self) -> &MedVillConfig {
        self.config()
    }

    fn depth(&self) -> usize {
        self.config.bert.layers
    }

    fn place(name: &str) -> Place {
        let mut parts = name.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("image" | "map_findings" | "picture_vector"), ..) => Place::Backbone,
            (Some("text" | "visual"), ..) => Place::Layer(0),
            (Some("encoder"), _, Some(layer)) => Place::Layer(layer.parse().map_or(1, |l: usize| l + 1)),
            _ => Place::Head,
        }
    }

    fn freeze_backbone(mut self) -> Self {
        self.image = self.image.freeze();
        self.map_findings = self.map_findings.freeze();
        self.picture_vector = self.picture_vector.freeze();
        self
    }
}

impl MedVill {
    /// MLM and IRM in one pass under the config's scheme (section 3.3): half of the pictures get a stranger's report where
    /// `matching` is asked for, 15 % of the words are masked (80 % by MASK, 10 % by a random word, 10 % left), at least one.
    ///
    /// *Release*: `sampled` of the visual tokens, sorted, one draw for the whole batch.
    fn pretraining_losses(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
        matching: bool,
        specials: Specials,
        draw: &mut ChaCha8Rng,
    ) -> (Option<Tensor<1>>, Option<Tensor<1>>) {
        let [count, tokens, _] = features.dims();
        let mut grid: Vec<usize> = index::sample(draw, tokens, self.config.sampled.min(tokens)).into_vec();
        grid.sort_unstable();
        let rule = self.config.scheme.rule(&self.config, draw.random());
        let matched: Vec<bool> = (0..count).map(|_| !matching || draw.random()).collect();
        let mut masked = Masked { grid, rule, words: Vec::new(), hidden: Vec::new(), matched: None };
        for (sample, own) in matched.iter().enumerate() {
            let text = if *own { &batch.examples[sample].words } else { &batch.strangers[sample].words };
            let (words, hidden) = mask_words(text, self.config.bert.vocabulary as u32, specials.mask, draw);
            if *own || self.config.mlm_on_strangers {
                masked.hidden.extend(hidden.iter().map(|&t| (sample, t, text[t])));
            }
            masked.words.push(words);
        }
        masked.matched = matching.then_some(matched);
        self.pretraining_pass(features, &masked, specials)
    }

    /// MLM and IRM of what was drawn; MLM is `None` where no word is masked, IRM where nothing is to be matched.
    ///
    /// # Shapes
    /// - features `(batch, K, features)`, all cells of the map -> `(1)` each
    pub fn pretraining_pass(
        &self,
        features: Tensor<3>,
        masked: &Masked,
        specials: Specials,
    ) -> (Option<Tensor<1>>, Option<Tensor<1>>) {
        let device = features.device();
        let [_, tokens, _] = features.dims();
        let Masked { grid, rule, words, hidden, matched } = masked;
        let kept = ints(grid.iter().map(|&i| i as i32).collect(), [grid.len()], &device);
        let features = if grid.len() < tokens { features.select(1, kept) } else { features };
        let scheme = if *rule == Rule::NonCrossing { Scheme::NonCrossing } else { Scheme::Bi };
        let first = grid.len() + 2 + usize::from(scheme == Scheme::NonCrossing);
        let longest = words.iter().map(Vec::len).max().unwrap_or(1);
        let context = self.embed_context(features, grid, specials);
        let texts = padded(words.iter().map(Vec::as_slice), longest, specials.pad, &device);
        let lengths = words.iter().map(|t| first + t.len()).collect();
        let encoded = self.encode(context, self.embed_text(texts, scheme, specials), *rule, lengths, |_, _| ());
        let mlm = (!hidden.is_empty()).then(|| {
            let row = |(sample, t, _): &(usize, usize, u32)| (sample * (first + longest) + first + t) as i32;
            let targets = hidden.iter().map(|h| h.2 as i32).collect();
            let logits = self.word_logits(encoded.hidden, hidden.iter().map(row).collect());
            cross_entropy(logits, ints(targets, [hidden.len()], &device))
        });
        let itm = matched.as_ref().map(|matched| {
            let targets = ints(matched.iter().map(|m| i32::from(*m)).collect(), [matched.len()], &device);
            cross_entropy(self.itm_logits(encoded.pooled), targets)
        });
        (mlm, itm)
    }

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
        Some(unit(self.picture_vector.as_ref()?.forward(features.mean_dim(1).reshape([batch, width]))))
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
    fn identity_logits(&self, features: Tensor<3>) -> Option<Tensor<2>> {
        let layer = self.identity.as_ref()?;
        Some(layer.forward(self.picture_vector(features)?.mul_scalar(SHARP)))
    }

    /// Fourteen linear heads on CLS, binary cross-entropy (section 4.1); `None` for a model without them.
    fn diagnosis_loss(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
        with_report: bool,
        specials: Specials,
    ) -> Option<Tensor<1>> {
        let nothing = [specials.sep];
        let texts: Vec<&[u32]> =
            batch.examples.iter().map(|e| if with_report { e.words.as_slice() } else { &nothing }).collect();
        let logits = self.diagnosis_logits(self.judge(features, &texts, specials).0)?;
        let targets: Vec<Target> = batch.examples.iter().flat_map(|e| e.findings[0]).collect();
        Some(binary_cross_entropy(logits, &targets))
    }

    /// A binary classifier on CLS: does this report belong to this picture (section 4.1, retrieval)? Half of the pictures
    /// meet a stranger's report.
    fn pairs_loss(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
        specials: Specials,
        draw: &mut ChaCha8Rng,
    ) -> Tensor<1> {
        let device = features.device();
        let count = batch.examples.len();
        let matched: Vec<bool> = (0..count).map(|_| draw.random()).collect();
        let texts: Vec<&[u32]> = (0..count)
            .map(|i| if matched[i] { &batch.examples[i].words } else { &batch.strangers[i].words })
            .map(Vec::as_slice)
            .collect();
        let logits = self.itm_logits(self.judge(features, &texts, specials).0);
        cross_entropy(logits, ints(matched.iter().map(|m| i32::from(*m)).collect(), [count], &device))
    }

    /// Answer classes from CLS times SEP (section 4.1; *release*: binary cross-entropy, summed over the classes). `None` where
    /// no question of the batch has an answer that the model knows.
    fn vqa_loss(&self, features: Tensor<3>, batch: &Batch<'_>, specials: Specials) -> Option<Tensor<1>> {
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
    fn answer_measures(
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

    /// F1 and sides of the map's findings at a probability of one half.
    fn findings_measures(&self, features: Tensor<3>, batch: &Batch<'_>) -> Vec<(&'static str, f64, f64)> {
        let grid: Vec<usize> = (0..features.dims()[1]).collect();
        let Some(logits) = self.map_findings(features, &grid) else { return Vec::new() };
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let (mut right, mut sum, mut sides_right, mut sides) = (0.0, 0.0, 0.0, 0.0);
        for (row, example) in logits.chunks(3 * 14).zip(&batch.examples) {
            for category in 1..14 {
                let (says, is) = (row[category] > 0.0, example.findings[0][category] == Some(true));
                right += 2.0 * f64::from(u8::from(says && is));
                sum += f64::from(u8::from(says)) + f64::from(u8::from(is));
                if let (true, Some(left), Some(right)) =
                    (is, example.findings[1][category], example.findings[2][category])
                {
                    let says = |side: usize| row[side * 14 + category] > 0.0;
                    sides += 1.0;
                    sides_right += f64::from(u8::from(says(1) == left && says(2) == right));
                }
            }
        }
        vec![("micro_f1", right, sum), ("side", sides_right, sides)]
    }

    /// Findings and sides from the picture's map alone (binary cross-entropy). *Ours*.
    fn findings_loss(&self, features: Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let grid: Vec<usize> = (0..features.dims()[1]).collect();
        let logits = self.map_findings(features, &grid)?;
        let targets: Vec<Target> = batch.examples.iter().flat_map(|e| e.findings.iter().flatten().copied()).collect();
        Some(binary_cross_entropy(logits, &targets))
    }

    /// Every word from the words before it, all at once (see [`Rule::Cloze`]): what the drafter does, in one pass. *Ours*.
    /// Beside the mean over all words that over the words which tell a side: one in forty, so that left and right drown in
    /// the former.
    fn report_loss(&self, features: Tensor<3>, batch: &Batch<'_>, words: &Words) -> (Tensor<1>, Option<Tensor<1>>) {
        let specials = words.specials;
        let device = features.device();
        let tokens = features.dims()[1];
        let examples = &batch.examples;
        let longest = examples.iter().map(|e| e.words.len()).max().unwrap_or(1);
        let texts = padded(examples.iter().map(|e| e.words.as_slice()), longest, specials.pad, &device);
        let copies = Tensor::full([examples.len(), longest], i64::from(specials.mask), &device);
        let context = self.embed_context(features, &(0..tokens).collect::<Vec<_>>(), specials);
        let text = Tensor::cat(vec![self.embed_words(texts, 0), self.embed_words(copies, 0)], 1);
        let columns = tokens + 2 + 2 * longest;
        let rule = Rule::Cloze { words: longest };
        let encoded = self.encode(context, text, rule, vec![columns; examples.len()], |_, _| ());
        let (mut rows, mut targets, mut sides) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, example) in examples.iter().enumerate() {
            for (t, word) in example.words.iter().enumerate() {
                if words.sides.contains(word) {
                    sides.push(rows.len() as i32);
                }
                rows.push((sample * columns + tokens + 2 + longest + t) as i32);
                targets.push(*word as i32);
            }
        }
        let logits = self.word_logits(encoded.hidden, rows);
        let count = targets.len();
        let targets = ints(targets, [count], &device);
        let side = (!sides.is_empty()).then(|| {
            let count = sides.len();
            let sides = ints(sides, [count], &device);
            cross_entropy(logits.clone().select(0, sides.clone()), targets.clone().select(0, sides))
        });
        (cross_entropy(logits, targets), side)
    }

    /// The language model's logits at `rows` of the flattened hidden states.
    fn word_logits(&self, hidden: Tensor<3>, rows: Vec<i32>) -> Tensor<2> {
        let [batch, columns, width] = hidden.dims();
        let device = hidden.device();
        let count = rows.len();
        self.mlm_logits(hidden.reshape([batch * columns, width]).select(0, ints(rows, [count], &device)))
    }
}

/// Rows of length 1.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).add_scalar(1e-8).sqrt();
    x / length
}

/// A text with words masked, and which: 15 %, at least one; 80 % by MASK, 10 % by a random word, 10 % as they are (Devlin
/// et al. 2019).
fn mask_words(text: &[u32], vocabulary: u32, mask: u32, draw: &mut ChaCha8Rng) -> (Vec<u32>, Vec<usize>) {
    let mut words = text.to_vec();
    let mut hidden = Vec::new();
    let sure = draw.random_range(0..words.len().max(1));
    for (t, word) in words.iter_mut().enumerate() {
        if t != sure && draw.random::<f64>() >= MASKED {
            continue;
        }
        hidden.push(t);
        match draw.random::<f64>() {
            x if x < 0.8 => *word = mask,
            x if x < 0.9 => *word = draw.random_range(0..vocabulary),
            _ => {}
        }
    }
    (words, hidden)
}
