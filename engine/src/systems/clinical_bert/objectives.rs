//! Clinical-BERT's losses over a batch: pre-training (CD, MMM, MLM in two ways, IMM; eq. 1 to 8), and the two tasks.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::matching::{matching_loss, matching_scores};
use super::{ClinicalBert, ClinicalBertConfig, Ratio};
use crate::kernels::MaskKind;
use crate::nn::loss::{binary_cross_entropy, cross_entropy};
use crate::nn::{padded, rows_of, samples_of};
use crate::systems::mask_loop::MaskLoop;
use crate::systems::train::{
    Batch, Images, Losses, Objective, ParamGroup, StepContext, Trainable, Weights, replaced,
};
use crate::systems::{ConfigError, System, SystemConfig, Task};
use crate::text::{Specials, Target};

/// What a sample of pre-training serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Masked words from the words before them (eq. 3).
    S2s,
    /// Masked words from all others (eq. 4), and clinical diagnosis.
    Bi,
    /// Masked MeSH words from the words before them (eq. 2).
    Mmm,
}

/// What one pre-training pass was drawn to be, sample by sample.
#[derive(Clone, Debug, Default)]
pub struct Masked {
    /// What each sample serves.
    pub kinds: Vec<Kind>,
    /// Texts with tokens masked, closing SEP included.
    pub words: Vec<Vec<u32>>,
    /// Position and true token of each token that is asked for.
    pub hidden: Vec<Vec<(usize, u32)>>,
    /// Which tokens of the texts are MeSH words, as long as the text.
    pub mesh: Vec<Vec<bool>>,
    /// The labels of clinical diagnosis.
    pub targets: Vec<Vec<Target>>,
}

/// The losses of one pre-training pass, each the mean over what it asks for; `None` where that is nothing.
#[derive(Debug, Default)]
pub struct PretrainingLosses {
    /// Clinical diagnosis.
    pub cd: Option<Tensor<1>>,
    /// Masked MeSH modelling.
    pub mmm: Option<Tensor<1>>,
    /// Masked language modelling, sequence to sequence.
    pub s2s: Option<Tensor<1>>,
    /// Masked language modelling, bidirectional.
    pub bi: Option<Tensor<1>>,
    /// Image-MeSH matching.
    pub imm: Option<Tensor<1>>,
}

/// Samples of one mask, encoded.
struct Group {
    /// Their numbers in the batch.
    rows: Vec<usize>,
    /// `(rows, K + 2 + T, width)`.
    hidden: Tensor<3>,
}

impl Trainable for ClinicalBert {
    type Config = ClinicalBertConfig;

    const OBJECTIVES: &'static [Objective] = &[
        Objective::pair("cd", None),
        Objective::pair("mmm", Some(Task::Draft)),
        Objective::pair("s2s", Some(Task::Draft)),
        Objective::pair("bi", None),
        Objective::pair("imm", None),
        Objective::pair("report", Some(Task::Draft)),
        Objective::text("language", None),
        Objective::image("diagnosis", Some(Task::Findings)),
    ];

    const WORD_ROWS: &'static [&'static str] = &[
        "text.word_embeddings.weight",
        "prediction.decoder.weight",
        "prediction.decoder.bias",
    ];

    fn init(config: &ClinicalBertConfig, specials: Specials, device: &Device) -> Result<Self, ConfigError> {
        Self::init(config, specials, device)
    }

    fn config(&self) -> &ClinicalBertConfig {
        self.config()
    }

    fn losses(&self, batch: &Batch<'_>, step: &mut StepContext<'_, Self>) -> Losses {
        let weights = step.weights;
        let mut losses = Losses::new();
        if weights.on("language") {
            let rows = batch.rows(false, true);
            let (cells, width) = (self.config.visual_tokens(), self.config.image.features());
            let nothing = Tensor::zeros([batch.examples.len(), cells, width], &self.device());
            losses.extend(
                self.report_loss(&nothing, batch, &rows)
                    .map(|loss| ("language", loss)),
            );
        }
        let features = match &batch.images {
            Images::Pixels(pixels) => self.encode_image(pixels.clone()),
            Images::Features(features) => features.clone(),
            Images::None => return losses,
        };
        let mut add = |name: &'static str, loss: Option<Tensor<1>>| {
            losses.extend(loss.filter(|_| weights.on(name)).map(|loss| (name, loss)));
        };
        if weights.on("diagnosis") {
            add("diagnosis", self.diagnosis_loss(&features, batch));
        }
        if weights.on("report") {
            add(
                "report",
                self.report_loss(&features, batch, &batch.rows(true, true)),
            );
        }
        let rows = batch.rows(true, true);
        let drawn = self.draw(batch, &rows, weights, step.rng);
        if !drawn.kinds.is_empty() {
            let pretraining = self.pretraining_pass(samples_of(&features, &rows), &drawn);
            add("cd", pretraining.cd);
            add("mmm", pretraining.mmm);
            add("s2s", pretraining.s2s);
            add("bi", pretraining.bi);
            add("imm", pretraining.imm);
        }
        losses
    }

    fn param_group(name: &str) -> ParamGroup {
        ParamGroup::of_joint(name, &["image"])
    }

    fn layers(&self) -> usize {
        self.config.bert.layers
    }

    fn cached_features(&self, pixels: Tensor<4>) -> Option<Tensor<3>> {
        Some(self.encode_image(pixels))
    }
}

impl ClinicalBert {
    /// Draws what each sample serves, by the config's ratio among what has a weight, and masks its words. Nothing where no
    /// objective of pre-training has a weight. A report without a MeSH word cannot serve MMM, and serves S2S.
    pub(super) fn draw(
        &self,
        batch: &Batch<'_>,
        rows: &[usize],
        weights: &Weights,
        rng: &mut ChaCha8Rng,
    ) -> Masked {
        let on = |names: &[&str]| names.iter().any(|name| weights.on(name));
        let Ratio { s2s, bi, mmm } = self.config.ratio;
        let shares = [
            (Kind::S2s, if on(&["s2s", "imm"]) { s2s } else { 0.0 }),
            (Kind::Bi, if on(&["bi", "cd"]) { bi } else { 0.0 }),
            (Kind::Mmm, if on(&["mmm"]) { mmm } else { 0.0 }),
        ];
        let total: f64 = shares.iter().map(|(_, share)| share).sum();
        let mut drawn = Masked::default();
        if total == 0.0 {
            return drawn;
        }
        for &row in rows {
            let example = batch.examples[row];
            let tokens = example.tokens.as_slice();
            let mesh: Vec<bool> = tokens.iter().map(|&token| self.config.is_mesh(token)).collect();
            let mut left = rng.random::<f64>() * total;
            let chosen = shares.iter().find(|(_, share)| {
                left -= share;
                left < 0.0
            });
            let mut kind = chosen.map_or(Kind::Mmm, |(kind, _)| *kind);
            if kind == Kind::Mmm && !mesh.contains(&true) {
                kind = Kind::S2s;
            }
            let (words, hidden) = self.mask_words(tokens, &mesh, kind, rng);
            drawn.kinds.push(kind);
            drawn.words.push(words);
            drawn.hidden.push(hidden);
            drawn.mesh.push(mesh);
            drawn.targets.push(example.targets.clone());
        }
        drawn
    }

    /// A text with words masked, and which: of MMM every MeSH word, a random word being a MeSH word; else 15 % of the others. 80 %
    /// by MASK, 10 % by a random word, 10 % as they are.
    fn mask_words(
        &self,
        text: &[u32],
        mesh: &[bool],
        kind: Kind,
        rng: &mut ChaCha8Rng,
    ) -> (Vec<u32>, Vec<(usize, u32)>) {
        let (vocabulary, mask) = (self.config.bert.vocabulary as u32, self.specials.mask);
        let mut words = text.to_vec();
        let mut hidden = Vec::new();
        for (t, (&token, &is_mesh)) in text.iter().zip(mesh).enumerate() {
            let asked = match kind {
                Kind::Mmm => is_mesh,
                _ => !is_mesh && rng.random::<f64>() < self.config.masked,
            };
            if asked {
                hidden.push((t, token));
                words[t] = replaced(token, mask, rng, |rng| match kind {
                    Kind::Mmm => self.config.mesh[rng.random_range(0..self.config.mesh.len())],
                    _ => rng.random_range(0..vocabulary),
                });
            }
        }
        (words, hidden)
    }

    /// CD, MMM, MLM and IMM of what was drawn. Samples of one mask go through the encoder together.
    ///
    /// # Shapes
    /// - features `(B, K, F)` -> `(1)` each
    pub fn pretraining_pass(&self, features: Tensor<3>, drawn: &Masked) -> PretrainingLosses {
        let of = |kinds: &[Kind]| -> Vec<usize> {
            let all = 0..drawn.kinds.len();
            all.filter(|&row| kinds.contains(&drawn.kinds[row])).collect()
        };
        let group = |rows: Vec<usize>, kind: MaskKind| {
            (!rows.is_empty()).then(|| Group {
                hidden: self.encode_rows(&features, drawn, &rows, kind),
                rows,
            })
        };
        let causal = group(of(&[Kind::S2s, Kind::Mmm]), MaskKind::Seq2Seq);
        let both = group(of(&[Kind::Bi]), MaskKind::Bidirectional);
        let predict = |group: &Option<Group>, kind: Kind| self.prediction_loss(group.as_ref()?, drawn, kind);
        PretrainingLosses {
            cd: both.as_ref().and_then(|group| self.clinical_loss(group, drawn)),
            mmm: predict(&causal, Kind::Mmm),
            s2s: predict(&causal, Kind::S2s),
            bi: predict(&both, Kind::Bi),
            imm: self.matching_loss(&features, drawn, [causal, both].into_iter().flatten()),
        }
    }

    fn encode_rows(&self, features: &Tensor<3>, drawn: &Masked, rows: &[usize], kind: MaskKind) -> Tensor<3> {
        let context = self.config.visual_tokens() + 2;
        let texts = || rows.iter().map(|&row| drawn.words[row].as_slice());
        let longest = texts().map(<[u32]>::len).max().unwrap_or(1);
        let words = padded(texts(), longest, self.specials.pad, &features.device());
        let lengths = texts().map(|text| context + text.len()).collect();
        self.encode(samples_of(features, rows), words, kind, lengths, |_, _| ())
    }

    /// Cross-entropy of the masked tokens of a kind (eq. 2, 3, 4).
    fn prediction_loss(&self, group: &Group, drawn: &Masked, kind: Kind) -> Option<Tensor<1>> {
        let (columns, context) = (group.hidden.dims()[1], self.config.visual_tokens() + 2);
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for (at, &row) in group.rows.iter().enumerate() {
            if drawn.kinds[row] != kind {
                continue;
            }
            for &(t, token) in &drawn.hidden[row] {
                places.push(at * columns + context + t);
                targets.push(Some(token as usize));
            }
        }
        if places.is_empty() {
            return None;
        }
        cross_entropy(
            self.prediction_logits(rows_of(group.hidden.clone(), places)),
            &targets,
        )
    }

    /// Binary cross-entropy of the labels (eq. 1).
    fn clinical_loss(&self, group: &Group, drawn: &Masked) -> Option<Tensor<1>> {
        let targets: Vec<Target> = group
            .rows
            .iter()
            .flat_map(|&row| drawn.targets[row].iter().copied())
            .collect();
        if targets.len() != group.rows.len() * self.config.labels().len() {
            return None;
        }
        binary_cross_entropy(self.clinical_logits(&group.hidden), &targets)
    }

    /// Image-MeSH matching (eq. 7) of the samples whose MeSH words are not masked.
    fn matching_loss(
        &self,
        features: &Tensor<3>,
        drawn: &Masked,
        groups: impl Iterator<Item = Group>,
    ) -> Option<Tensor<1>> {
        let (context, config) = (self.config.visual_tokens() + 2, &self.config.matching);
        let device = features.device();
        let mut scores = Vec::new();
        for group in groups {
            // Places in the group, and numbers in the batch.
            let chosen = group.rows.iter().enumerate();
            let chosen =
                chosen.filter(|(_, row)| drawn.kinds[**row] != Kind::Mmm && drawn.words[**row].len() > 1);
            let (places, rows): (Vec<usize>, Vec<usize>) = chosen.map(|(at, row)| (at, *row)).unzip();
            if rows.is_empty() {
                continue;
            }
            let count = group.hidden.dims()[1] - context;
            let words = samples_of(&group.hidden, &places).narrow(1, context, count);
            // The closing SEP is no word.
            let table = |of: &dyn Fn(usize, usize) -> bool| {
                let cells = rows.iter().flat_map(|&row| (0..count).map(move |t| (row, t)));
                let values = cells.map(|(row, t)| f32::from(u8::from(of(row, t))));
                let data = TensorData::new(values.collect::<Vec<f32>>(), [rows.len(), count]);
                Tensor::<2>::from_data(data, &device)
            };
            let tags = table(&|row, t| drawn.mesh[row].get(t) == Some(&true));
            let real = table(&|row, t| t + 1 < drawn.words[row].len());
            let regions = self.region_features(samples_of(features, &rows));
            scores.push(matching_scores(words, regions, tags, real, config));
        }
        if scores.is_empty() {
            return None;
        }
        Some(matching_loss(Tensor::cat(scores, 0), config))
    }

    /// One linear layer on CLS, binary cross-entropy ("Downstream Tasks").
    fn diagnosis_loss(&self, features: &Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let labels = self.config.labels().len();
        let rows = batch.known(batch.rows(true, false), labels);
        if rows.is_empty() {
            return None;
        }
        let logits = self.diagnose(samples_of(features, &rows))?;
        binary_cross_entropy(logits, &batch.targets(&rows, labels))
    }

    /// Every word from the words before it, all of a report at once. *Ours*, in the place of S2S in short fine-tunings, since a step
    /// of S2S learns from one word in seven; and, without any image, as `language`: what stands for BERT-base where its weights are
    /// not at hand.
    fn report_loss(&self, features: &Tensor<3>, batch: &Batch<'_>, rows: &[usize]) -> Option<Tensor<1>> {
        if rows.is_empty() {
            return None;
        }
        let reports: Vec<&[u32]> = rows
            .iter()
            .map(|&row| batch.examples[row].tokens.as_slice())
            .collect();
        let longest = reports.iter().map(|report| report.len()).max().unwrap_or(1);
        // The closing SEP is predicted and never read.
        let device = features.device();
        let read = padded(
            reports.iter().copied(),
            longest.max(2) - 1,
            self.specials.pad,
            &device,
        );
        let hidden = self.hidden_of_every_step(samples_of(features, rows), read);
        let columns = hidden.dims()[1];
        let mut places = Vec::new();
        let mut targets = Vec::new();
        for (sample, report) in reports.iter().enumerate() {
            places.extend((0..report.len()).map(|t| sample * columns + t));
            targets.extend(report.iter().map(|&token| Some(token as usize)));
        }
        cross_entropy(self.prediction_logits(rows_of(hidden, places)), &targets)
    }
}
