//! Examples and the batches made of them: order, questions, strangers and shifts from seeded streams.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

use super::TrainError;
use super::config::DataConfig;
use super::pictures::PictureStore;
use crate::data::{Study, phantom};
use crate::metrics::normalized_answer;
use crate::systems::learn::{Asked, Batch, Example, Pictures, Put, Target, stream};
use crate::text::{AllowedAnswers, Certainty, Finding, Labeler, Side, Tokenizer, varied};

/// How many draws look for a report of other labels before any other report serves.
const TRIES: usize = 64;

/// Examples of one picture size, with the answers that training knows.
pub struct Corpus {
    /// Side of the pictures.
    pub size: usize,
    /// The examples, one a study.
    pub examples: Vec<Example>,
    /// Their pictures.
    pub pictures: PictureStore,
    /// For varied questions.
    tokenizer: Option<(Tokenizer, usize)>,
    /// Questions that are asked of a picture at once.
    questions: usize,
    /// What is learned from: a study, and one of its questions where each question counts by itself.
    units: Vec<(usize, Option<usize>)>,
}

/// The pixels of a batch and whatever else was drawn for it.
pub struct Drawn {
    /// Which studies of the corpus.
    pub studies: Vec<usize>,
    /// For each a study with other labels.
    pub strangers: Vec<usize>,
    /// Questions: their place among the studies, which of that study's, and its words where they were varied.
    pub asked: Vec<(usize, usize, Option<Vec<u32>>)>,
    /// Its share of the step's batch.
    pub share: f64,
    /// Pixels in [0, 1], `batch * size * size`; empty where maps are at hand.
    pub pixels: Vec<f32>,
}

/// The text that MedViLL learns from: the longer of findings and impression.
pub fn training_text(study: &Study) -> &str {
    study.report.longer()
}

/// The answers of questions, most frequent first, at most `most`.
pub fn answers(studies: &[Study], most: usize) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for question in studies.iter().flat_map(|s| &s.questions) {
        *counts.entry(normalized_answer(&question.answer)).or_default() += 1;
    }
    let mut answers: Vec<(String, usize)> = counts.into_iter().collect();
    answers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    answers.into_iter().take(most).map(|(answer, _)| answer).collect()
}

impl Corpus {
    /// Reads the words and labels of `studies`; pictures are decoded when they are needed.
    ///
    /// Labels come from the phantom's description, else from the data set, else from the report by the
    /// labeler; sides from the description, else from the report.
    ///
    /// # Errors
    /// Pictures that cannot be kept, and words that cannot be encoded.
    pub fn new(
        studies: &[Study],
        size: usize,
        words: usize,
        tokenizer: &Tokenizer,
        answers: &[String],
        data: &DataConfig,
    ) -> Result<Self, TrainError> {
        let labeler = Labeler::new();
        let index: BTreeMap<&str, usize> = answers.iter().enumerate().map(|(i, a)| (a.as_str(), i)).collect();
        let mut examples = Vec::with_capacity(studies.len());
        let mut units = Vec::new();
        for (number, study) in studies.iter().enumerate() {
            let mut questions = Vec::with_capacity(study.questions.len());
            for question in &study.questions {
                questions.push(Asked {
                    words: tokenizer.encode_closed(&question.text, words)?,
                    allowed: AllowedAnswers::of(&question.text, answers),
                    text: question.text.clone(),
                    answer: index.get(normalized_answer(&question.answer).as_str()).copied(),
                    kind: question.kind_index(),
                    closed: question.closed,
                });
            }
            match data.by_question {
                true => units.extend((0..questions.len()).map(|q| (number, Some(q)))),
                false => units.push((number, None)),
            }
            let plain = study
                .description
                .as_ref()
                .filter(|_| data.plain)
                .map(phantom::plain_report);
            let plain = plain
                .map(|report| tokenizer.encode_closed(report.longer(), words))
                .transpose()?;
            examples.push(Example {
                id: study.id.clone(),
                words: tokenizer.encode_closed(training_text(study), words)?,
                plain,
                findings: targets(study, &labeler),
                ap: study.view.map(|view| view == phantom::View::Ap),
                questions,
            });
        }
        let paths = studies.iter().map(|s| s.image.clone()).collect();
        let pictures = PictureStore::new(paths, size, data.cache.as_deref())?;
        let tokenizer = data.vary_questions.then(|| (tokenizer.clone(), words));
        Ok(Self {
            size,
            examples,
            pictures,
            tokenizer,
            questions: data.questions,
            units,
        })
    }

    /// How many examples an epoch has.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there is nothing to learn from.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The batches of one epoch: shuffled, then, within stretches of 16 batches, gathered by length, so that
    /// little of a batch is padding, and shuffled again.
    pub fn batches(&self, seed: u64, epoch: usize, size: usize) -> Vec<Vec<usize>> {
        let mut rng = stream(seed, epoch as u64);
        let mut order: Vec<usize> = (0..self.units.len()).collect();
        order.shuffle(&mut rng);
        for stretch in order.chunks_mut(16 * size) {
            stretch.sort_by_key(|&i| match self.units[i] {
                (study, Some(question)) => self.examples[study].questions[question].words.len(),
                (study, None) => self.examples[study].words.len(),
            });
        }
        let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
        batches.shuffle(&mut rng);
        batches
    }

    /// Draws what belongs to the units of a batch; with `augment`, pictures are shifted by up to a 28th of
    /// their side and varied in contrast, and questions are varied where the data's config says so.
    ///
    /// # Errors
    /// A picture that cannot be read, with its path, and words that cannot be encoded.
    pub fn draw(
        &self,
        batch: &[usize],
        rng: &mut ChaCha8Rng,
        augment: bool,
        augment_words: bool,
        with_pixels: bool,
    ) -> Result<Drawn, TrainError> {
        let mut studies = Vec::with_capacity(batch.len());
        let mut strangers = Vec::with_capacity(batch.len());
        let mut views = Vec::with_capacity(batch.len());
        let mut asked = Vec::new();
        for (row, &unit) in batch.iter().enumerate() {
            let (study, question) = self.units[unit];
            let questions = &self.examples[study].questions;
            let chosen = match question {
                Some(question) => vec![question],
                None => index::sample(rng, questions.len(), self.questions.min(questions.len())).into_vec(),
            };
            studies.push(study);
            strangers.push(self.stranger(study, rng));
            for question in chosen {
                let words = match &self.tokenizer {
                    Some((tokenizer, most)) if augment_words => {
                        Some(tokenizer.encode_closed(&varied(&questions[question].text, rng), *most)?)
                    }
                    _ => None,
                };
                asked.push((row, question, words));
            }
            views.push(View::draw(rng, self.size, augment));
        }
        let shown = studies.iter().copied().zip(views).collect::<Vec<_>>();
        let pixels = if with_pixels {
            self.pixels(&shown)?
        } else {
            Vec::new()
        };
        Ok(Drawn {
            studies,
            strangers,
            asked,
            share: 1.0,
            pixels,
        })
    }

    /// The pictures of some studies as they are, `studies * size * size`.
    ///
    /// # Errors
    /// A picture that cannot be read, with its path.
    pub fn plain(&self, studies: &[usize]) -> Result<Vec<f32>, TrainError> {
        let shown: Vec<(usize, View)> = studies.iter().map(|&study| (study, View::PLAIN)).collect();
        self.pixels(&shown)
    }

    fn pixels(&self, shown: &[(usize, View)]) -> Result<Vec<f32>, TrainError> {
        let read = |(study, view): &(usize, View)| {
            self.pictures.with(*study, |pixels| view.apply(pixels, self.size))
        };
        #[cfg(feature = "cli")]
        let pictures: Result<Vec<Vec<f32>>, TrainError> = {
            use rayon::prelude::*;
            shown.par_iter().map(read).collect()
        };
        #[cfg(not(feature = "cli"))]
        let pictures: Result<Vec<Vec<f32>>, TrainError> = shown.iter().map(read).collect();
        Ok(pictures?.concat())
    }

    /// A study with other positive labels (MedViLL, section 3.3), or just another where none is found.
    fn stranger(&self, study: usize, rng: &mut ChaCha8Rng) -> usize {
        let own = self.examples[study].positives();
        let mut found = study;
        for _ in 0..TRIES {
            let other = rng.random_range(0..self.examples.len());
            if self.examples[other].positives() != own {
                return other;
            }
            if other != study {
                found = other;
            }
        }
        found
    }

    /// What was drawn, as the losses take it.
    pub fn batch(&self, drawn: &Drawn, pictures: Pictures) -> Batch<'_> {
        let put = |(row, question, varied): &(usize, usize, Option<Vec<u32>>)| Put {
            row: *row,
            question: &self.examples[drawn.studies[*row]].questions[*question],
            varied: varied.clone(),
        };
        Batch {
            pictures,
            examples: drawn.studies.iter().map(|&study| &self.examples[study]).collect(),
            strangers: drawn.strangers.iter().map(|&i| &self.examples[i]).collect(),
            asked: drawn.asked.iter().map(put).collect(),
            numbers: drawn.studies.clone(),
        }
    }

    /// Pixels as a tensor, `(batch, size, size)`.
    pub fn tensor(&self, pixels: Vec<f32>, device: &Device) -> Tensor<3> {
        let batch = pixels.len() / (self.size * self.size);
        Tensor::from_data(TensorData::new(pixels, [batch, self.size, self.size]), device)
    }
}

/// How a picture is shown once: shifted, stretched in contrast, lifted.
struct View {
    dx: isize,
    dy: isize,
    gain: f32,
    lift: f32,
}

impl View {
    const PLAIN: Self = Self {
        dx: 0,
        dy: 0,
        gain: 1.0,
        lift: 0.0,
    };

    fn draw(rng: &mut ChaCha8Rng, size: usize, augment: bool) -> Self {
        if !augment {
            return Self::PLAIN;
        }
        let reach = (size / 28) as i32;
        let mut shift = || rng.random_range(-reach..=reach) as isize;
        let (dx, dy) = (shift(), shift());
        Self {
            dx,
            dy,
            gain: rng.random_range(0.85f32..1.15),
            lift: rng.random_range(-0.08f32..0.08),
        }
    }

    fn apply(&self, pixels: &[u8], size: usize) -> Vec<f32> {
        let side = size as isize;
        let mut values = Vec::with_capacity(pixels.len());
        for y in 0..side {
            for x in 0..side {
                let (sx, sy) = (x + self.dx, y + self.dy);
                let inside = (0..side).contains(&sx) && (0..side).contains(&sy);
                let value = if inside {
                    f32::from(pixels[sy as usize * size + sx as usize]) / 255.0
                } else {
                    0.0
                };
                values.push(((value - 0.5) * self.gain + 0.5 + self.lift).clamp(0.0, 1.0));
            }
        }
        values
    }
}

fn targets(study: &Study, labeler: &Labeler) -> [[Target; 14]; 3] {
    let (labels, sides) = match &study.description {
        Some(description) => (description.labels(), description.sides()),
        None => {
            let reading = labeler.read(&format!("{} {}", study.report.findings, study.report.impression));
            (study.labels.unwrap_or(reading.labels), reading.sides())
        }
    };
    let mut targets = [[Some(false); 14]; 3];
    for finding in Finding::ALL {
        let index = finding as usize;
        let present = match labels[index] {
            Some(Certainty::Positive) => Some(true),
            Some(Certainty::Uncertain) => None,
            Some(Certainty::Negative) | None => Some(false),
        };
        targets[0][index] = present;
        let side = |own: Side| match (present, sides[index]) {
            (Some(true), Some(side)) => Some(side == own || side == Side::Bilateral),
            (Some(true), None) | (None, _) => None,
            (Some(false), _) => Some(false),
        };
        targets[1][index] = side(Side::Left);
        targets[2][index] = side(Side::Right);
    }
    targets
}
