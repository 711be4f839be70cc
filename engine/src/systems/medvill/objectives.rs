//! MedViLL's losses over a batch: pre-training (section 3.3) and the four tasks (section 4); and those that are *ours*: findings,
//! view and sides.

use burn::tensor::{Device, Tensor};
use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{MedVill, MedVillConfig, Scheme};
use crate::kernels::MaskKind;
use crate::nn::loss::{binary_cross_entropy, cross_entropy};
use crate::nn::{indices, padded, rows_of, samples_of};
use crate::systems::train::{
    Batch, Images, Losses, Objective, ParamGroup, StepContext, Trainable, Vocabulary, replaced,
};
use crate::systems::{ConfigError, System, Task};
use crate::text::{Specials, Target};

/// Share of tokens that are masked (section 3.3).
const MASKED: f64 = 0.15;

impl Trainable for MedVill {
    type Config = MedVillConfig;

    const OBJECTIVES: &'static [Objective] = &[
        Objective::text("mlm", Some(Task::Draft)),
        Objective::pair("itm", Some(Task::Retrieve)),
        Objective::pair("diagnosis", Some(Task::Findings)),
        Objective::image("diagnosis_image", Some(Task::Findings)),
        Objective::pair("pairs", Some(Task::Retrieve)),
        Objective::image("vqa", Some(Task::Vqa)),
        Objective::image("findings", Some(Task::Findings)),
        Objective::pair("report", Some(Task::Draft)),
        Objective::pair("sides", Some(Task::Draft)),
        Objective::image("view", None),
    ];

    const NEGATIVES: bool = true;

    const WORD_ROWS: &'static [&'static str] = &["text.word_embeddings.weight", "mlm.decoder.bias"];

    fn init(config: &MedVillConfig, specials: Specials, device: &Device) -> Result<Self, ConfigError> {
        Self::init(config, specials, device)
    }

    fn config(&self) -> &MedVillConfig {
        self.config()
    }

    fn losses(&self, batch: &Batch<'_>, step: &mut StepContext<'_, Self>) -> Losses {
        let weights = step.weights;
        let features = self.features(batch);
        let mut losses = Losses::new();
        let mut add = |name: &'static str, loss: Option<Tensor<1>>| {
            losses.extend(loss.filter(|_| weights.on(name)).map(|loss| (name, loss)));
        };
        if weights.on("findings") {
            add("findings", self.findings_loss(&features, batch));
        }
        if weights.on("view") {
            add("view", self.view_loss(&features, batch));
        }
        if weights.on("report") {
            let (report, sides) = self.report_loss(&features, batch, step.vocabulary);
            add("report", report);
            add("sides", sides);
        }
        if weights.on("mlm") || weights.on("itm") {
            let (mlm, itm) = self.pretraining_losses(&features, batch, weights.on("itm"), step.rng);
            add("mlm", mlm);
            add("itm", itm);
        }
        if weights.on("diagnosis") {
            add("diagnosis", self.diagnosis_loss(&features, batch, true));
        }
        if weights.on("diagnosis_image") {
            add("diagnosis_image", self.diagnosis_loss(&features, batch, false));
        }
        if weights.on("pairs") {
            add("pairs", self.pairs_loss(&features, batch, step.rng));
        }
        if weights.on("vqa") {
            add("vqa", self.vqa_loss(&features, batch));
        }
        losses
    }

    fn param_group(name: &str) -> ParamGroup {
        ParamGroup::of_joint(name, &["image", "map_findings"])
    }

    fn layers(&self) -> usize {
        self.config.bert.layers
    }

    fn cached_features(&self, pixels: Tensor<4>) -> Option<Tensor<3>> {
        Some(self.encode_image(pixels))
    }
}

impl MedVill {
    /// The batch's visual tokens, `(B, K, F)`; zeros in a run of text alone.
    fn features(&self, batch: &Batch<'_>) -> Tensor<3> {
        match &batch.images {
            Images::Pixels(pixels) => self.encode_image(pixels.clone()),
            Images::Features(features) => features.clone(),
            Images::None => {
                let (tokens, width) = (self.config.visual_tokens(), self.config.features());
                Tensor::zeros([batch.examples.len(), tokens, width], &self.device())
            }
        }
    }

    /// MLM and IRM in one pass under the config's scheme (section 3.3): half of the images get another's report where
    /// `matching` is asked for, 15 % of the tokens are masked (80 % by MASK, 10 % by a random token, 10 % left), at least
    /// one. A run of text alone is pre-trained under the non-crossing mask: its text sees itself alone.
    ///
    /// *Release*: `sampled` of the visual tokens, sorted, one draw for the whole batch.
    fn pretraining_losses(
        &self,
        features: &Tensor<3>,
        batch: &Batch<'_>,
        matching: bool,
        rng: &mut ChaCha8Rng,
    ) -> (Option<Tensor<1>>, Option<Tensor<1>>) {
        let alone = matches!(batch.images, Images::None);
        let rows = batch.rows(!alone, true);
        if rows.is_empty() {
            return (None, None);
        }
        let tokens = features.dims()[1];
        let mut grid: Vec<usize> = index::sample(rng, tokens, self.config.sampled.min(tokens)).into_vec();
        grid.sort_unstable();
        let drawn = self.config.scheme.mask_kind(&self.config, rng.random());
        let kind = if alone { MaskKind::NonCrossing } else { drawn };
        let matching = matching && !alone;
        let matched: Vec<bool> = rows.iter().map(|_| !matching || rng.random()).collect();
        let mut masked = Masked {
            grid,
            kind,
            words: Vec::new(),
            hidden: Vec::new(),
            matched: None,
        };
        for (sample, (&row, own)) in rows.iter().zip(&matched).enumerate() {
            let text = if *own {
                &batch.examples[row].tokens
            } else {
                &batch.negatives[row].tokens
            };
            let (words, hidden) = self.mask_tokens(text, rng);
            if *own || self.config.mlm_on_negatives {
                masked.hidden.extend(hidden.iter().map(|&t| (sample, t, text[t])));
            }
            masked.words.push(words);
        }
        masked.matched = matching.then_some(matched);
        self.pretraining_pass(samples_of(features, &rows), &masked)
    }

    /// MLM and IRM of what was drawn; MLM is `None` where no token is masked, IRM where nothing is to be matched.
    ///
    /// # Shapes
    /// - features `(B, K, F)`, all cells of the map -> `(1)` each
    pub fn pretraining_pass(
        &self,
        features: Tensor<3>,
        masked: &Masked,
    ) -> (Option<Tensor<1>>, Option<Tensor<1>>) {
        let device = features.device();
        let [_, tokens, _] = features.dims();
        let Masked {
            grid,
            kind,
            words,
            hidden,
            matched,
        } = masked;
        let features = if grid.len() < tokens {
            features.select(1, indices(grid.iter().copied(), &device))
        } else {
            features
        };
        let scheme = if *kind == MaskKind::NonCrossing {
            Scheme::NonCrossing
        } else {
            Scheme::Bi
        };
        let first = grid.len() + 2 + usize::from(scheme == Scheme::NonCrossing);
        let longest = words.iter().map(Vec::len).max().unwrap_or(1);
        let context = self.embed_context(features, Some(grid));
        let texts = padded(
            words.iter().map(Vec::as_slice),
            longest,
            self.specials.pad,
            &device,
        );
        let lengths = words.iter().map(|t| first + t.len()).collect();
        let encoded = self.encode(context, self.embed_text(texts, scheme), *kind, lengths, |_, _| ());
        let mlm = if hidden.is_empty() {
            None
        } else {
            let rows = hidden
                .iter()
                .map(|(sample, t, _)| sample * (first + longest) + first + t);
            let targets: Vec<Option<usize>> = hidden.iter().map(|h| Some(h.2 as usize)).collect();
            cross_entropy(self.mlm_logits(rows_of(encoded.hidden, rows)), &targets)
        };
        let itm = matched.as_ref().and_then(|matched| {
            let targets: Vec<Option<usize>> = matched.iter().map(|m| Some(usize::from(*m))).collect();
            cross_entropy(self.itm_logits(encoded.pooled), &targets)
        });
        (mlm, itm)
    }

    /// A text with tokens masked, and which: 15 %, at least one; 80 % by MASK, 10 % by a random token, 10 % as they are
    /// (Devlin et al. 2019).
    fn mask_tokens(&self, text: &[u32], rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<usize>) {
        let vocabulary = self.config.bert.vocabulary as u32;
        let mut words = text.to_vec();
        let mut hidden = Vec::new();
        let sure = rng.random_range(0..words.len().max(1));
        for (t, word) in words.iter_mut().enumerate() {
            if t != sure && rng.random::<f64>() >= MASKED {
                continue;
            }
            hidden.push(t);
            *word = replaced(*word, self.specials.mask, rng, |rng| {
                rng.random_range(0..vocabulary)
            });
        }
        (words, hidden)
    }

    /// Linear heads on CLS, binary cross-entropy (section 4.1).
    fn diagnosis_loss(
        &self,
        features: &Tensor<3>,
        batch: &Batch<'_>,
        with_report: bool,
    ) -> Option<Tensor<1>> {
        let rows = batch.known(batch.rows(true, with_report), 14);
        if rows.is_empty() {
            return None;
        }
        let texts: Vec<&[u32]> = rows
            .iter()
            .map(|&row| batch.examples[row].tokens.as_slice())
            .collect();
        let texts = with_report.then_some(texts.as_slice());
        let logits = self.diagnose(samples_of(features, &rows), texts)?;
        binary_cross_entropy(logits, &batch.targets(&rows, 14))
    }

    /// A binary classifier on CLS: does this report belong to this image (section 4.1, retrieval)? Half of the images
    /// meet another's report.
    fn pairs_loss(&self, features: &Tensor<3>, batch: &Batch<'_>, rng: &mut ChaCha8Rng) -> Option<Tensor<1>> {
        let rows = batch.rows(true, true);
        if rows.is_empty() {
            return None;
        }
        let matched: Vec<bool> = rows.iter().map(|_| rng.random()).collect();
        let text = |(&row, matched): (&usize, &bool)| {
            let example = if *matched {
                batch.examples[row]
            } else {
                batch.negatives[row]
            };
            example.tokens.as_slice()
        };
        let texts: Vec<&[u32]> = rows.iter().zip(&matched).map(text).collect();
        let logits = self.itm_logits(self.encode_pair(samples_of(features, &rows), &texts).pooled);
        let targets: Vec<Option<usize>> = matched.iter().map(|m| Some(usize::from(*m))).collect();
        cross_entropy(logits, &targets)
    }

    /// Answer classes (section 4.1; *release*: binary cross-entropy, summed over the classes). `None` where no question of
    /// the batch has an answer that the model knows.
    fn vqa_loss(&self, features: &Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let asked = batch.questions.iter();
        let asked: Vec<(usize, &[u32], usize)> = asked
            .filter_map(|asked| {
                Some((
                    asked.row,
                    asked.question.tokens.as_slice(),
                    asked.question.answer?,
                ))
            })
            .collect();
        if asked.is_empty() {
            return None;
        }
        let rows: Vec<usize> = asked.iter().map(|a| a.0).collect();
        let questions: Vec<&[u32]> = asked.iter().map(|a| a.1).collect();
        let logits = self.answer_logits(samples_of(features, &rows), &questions)?;
        if self.config.answer_softmax {
            let targets: Vec<Option<usize>> = asked.iter().map(|a| Some(a.2)).collect();
            return cross_entropy(logits, &targets);
        }
        let classes = logits.dims()[1];
        let mut targets: Vec<Target> = vec![Some(false); asked.len() * classes];
        for (row, (.., answer)) in asked.iter().enumerate() {
            targets[row * classes + answer] = Some(true);
        }
        binary_cross_entropy(logits, &targets).map(|loss| loss.mul_scalar(classes as f64))
    }

    /// Every token from the tokens before it, all at once (see [`MedVill::pseudo_masked`]): what the drafter does, in one
    /// pass. Beside the mean over all tokens that over those which tell a side (*ours*): one in forty, so that left and
    /// right drown in the former.
    fn report_loss(
        &self,
        features: &Tensor<3>,
        batch: &Batch<'_>,
        vocabulary: &Vocabulary,
    ) -> (Option<Tensor<1>>, Option<Tensor<1>>) {
        let rows = batch.rows(true, true);
        if rows.is_empty() {
            return (None, None);
        }
        let device = features.device();
        let report = |&row: &usize| {
            let example = batch.examples[row];
            example.canonical.as_ref().unwrap_or(&example.tokens).as_slice()
        };
        let reports: Vec<&[u32]> = rows.iter().map(report).collect();
        let longest = reports.iter().map(|report| report.len()).max().unwrap_or(1);
        // The closing SEP is predicted and never read.
        let read = padded(
            reports.iter().copied(),
            longest.max(2) - 1,
            self.specials.pad,
            &device,
        );
        let hidden = self.teacher_forced(samples_of(features, &rows), read);
        let columns = hidden.dims()[1];
        let (mut places, mut targets, mut sides) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, report) in reports.iter().enumerate() {
            for (t, token) in report.iter().enumerate() {
                if vocabulary.sides.contains(token) {
                    sides.push(places.len());
                }
                places.push(sample * columns + t);
                targets.push(Some(*token as usize));
            }
        }
        let logits = self.mlm_logits(rows_of(hidden, places));
        let side = if sides.is_empty() {
            None
        } else {
            let own: Vec<Option<usize>> = sides.iter().map(|&place| targets[place]).collect();
            cross_entropy(logits.clone().select(0, indices(sides, &device)), &own)
        };
        (cross_entropy(logits, &targets), side)
    }

    /// Findings and sides from the image's map alone (binary cross-entropy). *Ours*.
    fn findings_loss(&self, features: &Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let rows = batch.known(batch.rows(true, false), 3 * 14);
        if rows.is_empty() {
            return None;
        }
        let logits = self.findings_logits(samples_of(features, &rows), None)?;
        binary_cross_entropy(logits, &batch.targets(&rows, 3 * 14))
    }

    /// AP (true) or PA from the mean of the map, where the view is published. *Ours*.
    fn view_loss(&self, features: &Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let mut rows = batch.rows(true, false);
        rows.retain(|&row| batch.examples[row].ap.is_some());
        if rows.is_empty() {
            return None;
        }
        let targets: Vec<Target> = rows.iter().map(|&row| batch.examples[row].ap).collect();
        let logits = self.view_logits(samples_of(features, &rows))?;
        binary_cross_entropy(logits, &targets)
    }
}

/// What one pre-training pass was drawn to be.
pub struct Masked {
    /// Cells of the map that are kept, ascending.
    pub grid: Vec<usize>,
    /// The mask of the scheme.
    pub kind: MaskKind,
    /// Texts with tokens masked, closing SEP included.
    pub words: Vec<Vec<u32>>,
    /// Sample, position in its text and true token of each token that is asked for.
    pub hidden: Vec<(usize, usize, u32)>,
    /// Whether each text belongs to its image; `None` where that is not asked.
    pub matched: Option<Vec<bool>>,
}
