//! MedViLL's losses over a batch: pre-training (section 3.3), the four tasks (section 4), and what is ours
//! for the demo.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{MedVill, MedVillConfig};
use crate::systems::learn::{
    Batch, Example, Learner, Losses, Pictures, Place, SizesError, Target, Words, binary_cross_entropy,
    cross_entropy, ints, padded,
};
use crate::text::Specials;

impl Learner for MedVill {
    type Config = MedVillConfig;

    fn random(sizes: &MedVillConfig, device: &Device) -> Result<Self, SizesError> {
        Self::new(sizes, device)
    }

    const OBJECTIVES: &'static [&'static str] = &[
        "mlm",
        "itm",
        "diagnosis",
        "diagnosis_image",
        "pairs",
        "vqa",
        "findings",
        "report",
        "sides",
        "identity",
        "question_kind",
        "view",
    ];

    fn losses(
        &self,
        batch: &Batch<'_>,
        weights: &BTreeMap<String, f64>,
        words: &Words,
        draw: &mut ChaCha8Rng,
    ) -> Losses {
        let wanted = |name: &str| weights.get(name).is_some_and(|w| *w > 0.0);
        let features = self.seen(batch);
        let mut losses = Losses::new();
        if wanted("findings")
            && let Some(loss) = self.findings_loss(features.clone(), batch)
        {
            losses.push(("findings", loss));
        }
        if wanted("view")
            && let Some(loss) = self.view_loss(features.clone(), batch)
        {
            losses.push(("view", loss));
        }
        if wanted("report") {
            let (report, sides) = self.report_loss(features.clone(), batch, words);
            losses.push(("report", report));
            losses.extend(sides.filter(|_| wanted("sides")).map(|sides| ("sides", sides)));
        }
        if wanted("mlm") || wanted("itm") {
            let (mlm, itm) =
                self.pretraining_losses(features.clone(), batch, wanted("itm"), words.specials, draw);
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
            losses.push((
                "pairs",
                self.pairs_loss(features.clone(), batch, words.specials, draw),
            ));
        }
        if wanted("vqa")
            && let Some(loss) = self.vqa_loss(features.clone(), batch, words.specials)
        {
            losses.push(("vqa", loss));
        }
        if wanted("question_kind") {
            // As it was asked: what it asks for hangs on small words, which varied questions lose.
            let asked: Vec<(&[u32], Option<usize>)> = batch
                .asked
                .iter()
                .map(|put| (put.question.words.as_slice(), put.question.kind))
                .collect();
            let loss = self.kind_loss(&asked, words.specials, &features.device());
            losses.extend(loss.map(|loss| ("question_kind", loss)));
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
        let features = self.seen(batch);
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
                right += logits
                    .chunks(2)
                    .zip(matched)
                    .filter(|(l, matched)| (l[1] > l[0]) == *matched)
                    .count();
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
            (Some("image" | "map_findings" | "picture_vector" | "picture_norm"), ..) => Place::Backbone,
            (Some("text" | "visual"), ..) => Place::Layer(0),
            (Some("encoder"), _, Some(layer)) => Place::Layer(layer.parse().map_or(1, |l: usize| l + 1)),
            _ => Place::Head,
        }
    }

    fn freeze_backbone(mut self) -> Self {
        self.image = self.image.freeze();
        self.map_findings = self.map_findings.freeze();
        self.picture_vector = self.picture_vector.freeze();
        self.picture_norm = self.picture_norm.freeze();
        self.identity = self.identity.freeze();
        self
    }

    fn count(mut self, examples: &[Example]) -> Self {
        self.bilinear = self.bilinear.map(|bilinear| bilinear.counted(examples));
        self
    }
}

impl MedVill {
    /// The batch's visual tokens, `(batch, K, features)`.
    fn seen(&self, batch: &Batch<'_>) -> Tensor<3> {
        match &batch.pictures {
            Pictures::Pixels(pixels) => self.features(pixels.clone()),
            Pictures::Features(features) => features.clone(),
        }
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
        let texts: Vec<&[u32]> = batch
            .examples
            .iter()
            .map(|e| if with_report { e.words.as_slice() } else { &nothing })
            .collect();
        let logits = self.diagnosis_logits(self.judge(features, &texts, specials).0)?;
        let targets: Vec<Target> = batch.examples.iter().flat_map(|e| e.findings[0]).collect();
        Some(binary_cross_entropy(logits, &targets))
    }

    /// A binary classifier on CLS: does this report belong to this picture (section 4.1, retrieval)? Half of
    /// the pictures meet a stranger's report.
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
            .map(|i| {
                if matched[i] {
                    &batch.examples[i].words
                } else {
                    &batch.strangers[i].words
                }
            })
            .map(Vec::as_slice)
            .collect();
        let logits = self.itm_logits(self.judge(features, &texts, specials).0);
        cross_entropy(
            logits,
            ints(matched.iter().map(|m| i32::from(*m)).collect(), [count], &device),
        )
    }

    /// Every word from the words before it, all at once (see [`MedVill::cloze`]): what the drafter does, in
    /// one pass. *Ours*. Beside the mean over all words that over the words which tell a side: one in forty,
    /// so that left and right drown in the former.
    fn report_loss(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
        words: &Words,
    ) -> (Tensor<1>, Option<Tensor<1>>) {
        let specials = words.specials;
        let device = features.device();
        let tokens = features.dims()[1];
        let reports: Vec<&[u32]> = batch
            .examples
            .iter()
            .map(|e| e.plain.as_ref().unwrap_or(&e.words).as_slice())
            .collect();
        let longest = reports.iter().map(|report| report.len()).max().unwrap_or(1);
        let texts = padded(reports.iter().copied(), longest, specials.pad, &device);
        // Columns of a sample, and the first of those that predict a word.
        let (hidden, columns, first) = match self.unrolled(features.clone(), Some(texts.clone()), specials) {
            Some((hidden, _)) => (hidden, longest + 1, 0),
            None => {
                let (context, text, rule) = self.cloze(features, texts, specials);
                let columns = tokens + 2 + 2 * longest;
                let encoded = self.encode(context, text, rule, vec![columns; reports.len()], |_, _| ());
                (encoded.hidden, columns, tokens + 2 + longest)
            }
        };
        let (mut rows, mut targets, mut sides) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, report) in reports.iter().enumerate() {
            for (t, word) in report.iter().enumerate() {
                if words.sides.contains(word) {
                    sides.push(rows.len() as i32);
                }
                rows.push((sample * columns + first + t) as i32);
                targets.push(*word as i32);
            }
        }
        let logits = self.word_logits(hidden, rows);
        let count = targets.len();
        let targets = ints(targets, [count], &device);
        let side = (!sides.is_empty()).then(|| {
            let count = sides.len();
            let sides = ints(sides, [count], &device);
            cross_entropy(
                logits.clone().select(0, sides.clone()),
                targets.clone().select(0, sides),
            )
        });
        (cross_entropy(logits, targets), side)
    }

    /// The language model's logits at `rows` of the flattened hidden states.
    pub(super) fn word_logits(&self, hidden: Tensor<3>, rows: Vec<i32>) -> Tensor<2> {
        let [batch, columns, width] = hidden.dims();
        let device = hidden.device();
        let count = rows.len();
        self.mlm_logits(
            hidden
                .reshape([batch * columns, width])
                .select(0, ints(rows, [count], &device)),
        )
    }
}
