//! Examples and the batches made of them: order, questions, negatives and views from seeded streams.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

use super::TrainError;
use super::augment::View;
use super::config::{Augment, DataConfig};
use super::image_cache::ImageCache;
use crate::data::{Study, par_map, phantom};
use crate::image::Preprocessing;
use crate::metrics::normalized_answer;
use crate::nn::stream;
use crate::systems::train::{AskedQuestion, Batch, EncodedQuestion, Example, Images, SeenBox};
use crate::tasks::boxes;
use crate::text::{LabelSet, Labeler, Mistake, Sections, Tokenizer, make_mistake, swap_one_side};

/// How many draws look for a report of other labels before any other report serves.
const TRIES: usize = 64;

/// The stream that simulated mistakes are drawn from.
const MISTAKES: u64 = 0x6d69_7374;

/// How studies become examples.
pub struct CorpusOptions<'a> {
    /// How an image becomes the model's input.
    pub preprocessing: Preprocessing,
    /// Tokens of a text at most, the closing SEP apart.
    pub max_tokens: usize,
    /// What of a report is read.
    pub sections: Sections,
    /// The tokenizer; `None` where nothing is read.
    pub tokenizer: Option<&'a Tokenizer>,
    /// The answers that training knows.
    pub answers: &'a [String],
    /// The labels.
    pub labels: &'a LabelSet,
    /// Whether a mismatching report is drawn for each example.
    pub negatives: bool,
    /// Augmented views of each image.
    pub views: usize,
}

/// Examples of one image size, with the answers that training knows.
pub struct Corpus {
    /// Side of the images.
    pub size: usize,
    /// The examples, one a study.
    pub examples: Vec<Example>,
    /// Their images.
    pub images: ImageCache,
    /// Questions that are asked of an image at once.
    questions: usize,
    negatives: bool,
    views: usize,
}

/// The pixels of a batch and whatever else was drawn for it.
pub struct Drawn {
    /// Which studies of the corpus.
    pub studies: Vec<usize>,
    /// For each a study with other labels, where negatives are wanted.
    pub negatives: Vec<usize>,
    /// Questions: their row in the batch, and which of that study's.
    pub questions: Vec<(usize, usize)>,
    /// Where labels are seen in the images as they are shown.
    pub boxes: Vec<SeenBox>,
    /// Its share of the step's batch.
    pub share: f64,
    /// Pixels in [0, 1], `batch * views * size * size`; empty where features are at hand or nothing has an image.
    pub pixels: Vec<f32>,
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

/// At most `most` copies of a report with a mistake in each, of one kind after another; fewer where there is no room for more.
fn mistakes(report: &str, labeler: &Labeler, most: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut kinds: Vec<Option<Mistake>> = Mistake::ALL.into_iter().map(Some).chain([None]).collect();
    kinds.shuffle(rng);
    let mut made: Vec<String> = Vec::new();
    for kind in kinds.iter().cycle().take(most.saturating_mul(2)) {
        let mut pick = |n| rng.random_range(0..n);
        let mistaken = match kind {
            Some(kind) => make_mistake(*kind, report, labeler, &mut pick),
            None => swap_one_side(report, labeler, &mut pick),
        };
        made.extend(
            mistaken
                .map(|mistaken| mistaken.text)
                .filter(|text| !made.contains(text)),
        );
        if made.len() == most {
            break;
        }
    }
    made
}

impl Corpus {
    /// Reads the texts and labels of `studies`; images are decoded when they are needed.
    ///
    /// # Errors
    /// Images that cannot be kept, and text that cannot be encoded.
    pub fn new(
        studies: &[Study],
        options: &CorpusOptions<'_>,
        data: &DataConfig,
    ) -> Result<Self, TrainError> {
        let labeler = Labeler::new();
        let known = options.answers.iter().enumerate();
        let known: BTreeMap<&str, usize> = known.map(|(i, a)| (a.as_str(), i)).collect();
        let encode = |text: &str| -> Result<Vec<u32>, TrainError> {
            match options.tokenizer.filter(|_| !text.trim().is_empty()) {
                Some(tokenizer) => Ok(tokenizer.encode_closed(text, options.max_tokens)?),
                None => Ok(Vec::new()),
            }
        };
        let boxes = par_map(studies, |study| {
            let fail = |source| TrainError::Image {
                path: study.image.clone(),
                source,
            };
            boxes(study, options.labels, &options.preprocessing).map_err(fail)
        })?;
        let numbered: Vec<(u64, &Study)> = (0..).zip(studies).collect();
        let mistaken = par_map(&numbered, |(number, study)| {
            let report = study.report.text(options.sections);
            let mut rng = stream(MISTAKES, *number);
            let made = mistakes(&report, &labeler, data.mistakes, &mut rng);
            made.iter().map(|report| encode(report)).collect()
        })?;
        let mut examples = Vec::with_capacity(studies.len());
        for ((study, boxes), mistaken) in studies.iter().zip(boxes).zip(mistaken) {
            let mut questions = Vec::with_capacity(study.questions.len());
            for question in &study.questions {
                questions.push(EncodedQuestion {
                    tokens: encode(&question.text)?,
                    answer: known.get(normalized_answer(&question.answer).as_str()).copied(),
                });
            }
            let canonical = study.description.as_ref().filter(|_| data.canonical_report);
            let canonical = canonical.map(phantom::plain_report);
            examples.push(Example {
                id: study.id.clone(),
                has_image: study.has_image(),
                tokens: encode(&study.report.text(options.sections))?,
                canonical: canonical
                    .map(|report| encode(&report.text(options.sections)))
                    .transpose()?,
                mistaken,
                targets: study.targets(options.labels, &labeler),
                boxes,
                ap: study.view.map(|view| view == phantom::View::Ap),
                questions,
            });
        }
        let paths = studies.iter().map(|s| s.image.clone()).collect();
        Ok(Self {
            size: options.preprocessing.size,
            examples,
            images: ImageCache::new(paths, options.preprocessing, data.cache.as_deref())?,
            questions: data.questions,
            negatives: options.negatives,
            views: options.views,
        })
    }

    /// Augmented views of each image.
    pub const fn views(&self) -> usize {
        self.views
    }

    /// How many examples an epoch has.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is nothing to learn from.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// Whether any example has an image.
    pub fn has_images(&self) -> bool {
        self.examples.iter().any(|example| example.has_image)
    }

    /// The batches of one epoch: shuffled, then, within stretches of 16 batches, gathered by length, so that
    /// little of a batch is padding, and shuffled again.
    pub fn batches(&self, seed: u64, epoch: usize, size: usize) -> Vec<Vec<usize>> {
        let mut rng = stream(seed, epoch as u64);
        let mut order: Vec<usize> = (0..self.examples.len()).collect();
        order.shuffle(&mut rng);
        for stretch in order.chunks_mut(16 * size) {
            stretch.sort_by_key(|&i| self.examples[i].tokens.len());
        }
        let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
        batches.shuffle(&mut rng);
        batches
    }

    /// Draws what belongs to the examples of a batch: negatives, questions, views of the images.
    ///
    /// # Errors
    /// An image that cannot be read, with its path.
    pub fn draw(
        &self,
        studies: &[usize],
        rng: &mut ChaCha8Rng,
        augment: Option<Augment>,
        with_pixels: bool,
    ) -> Result<Drawn, TrainError> {
        let mut negatives = Vec::new();
        let mut questions = Vec::new();
        let mut views = Vec::with_capacity(studies.len() * self.views);
        for (row, &study) in studies.iter().enumerate() {
            if self.negatives {
                negatives.push(self.negative(study, rng));
            }
            let count = self.examples[study].questions.len();
            let chosen = index::sample(rng, count, self.questions.min(count));
            questions.extend(chosen.into_iter().map(|question| (row, question)));
            for _ in 0..self.views {
                views.push((study, View::draw(rng, self.size, augment)));
            }
        }
        let with_pixels = with_pixels && self.has_images();
        let shown = views.iter().enumerate().flat_map(|(image, (study, view))| {
            let boxes = self.examples[*study].boxes.iter();
            boxes.filter_map(move |&(label, area)| {
                let area = view.place(area, self.size)?;
                Some(SeenBox { image, label, area })
            })
        });
        Ok(Drawn {
            boxes: shown.collect(),
            studies: studies.to_vec(),
            negatives,
            questions,
            share: 1.0,
            pixels: if with_pixels {
                self.pixels(&views)?
            } else {
                Vec::new()
            },
        })
    }

    /// The images of some studies as they are, `studies * size * size`.
    ///
    /// # Errors
    /// An image that cannot be read, with its path.
    pub fn without_augmentation(&self, studies: &[usize]) -> Result<Vec<f32>, TrainError> {
        let views = studies.iter().map(|&study| (study, View::identity(self.size)));
        self.pixels(&views.collect::<Vec<_>>())
    }

    fn pixels(&self, views: &[(usize, View)]) -> Result<Vec<f32>, TrainError> {
        let read = |(study, view): &(usize, View)| {
            if !self.examples[*study].has_image {
                return Ok(vec![0.0; self.size * self.size]);
            }
            self.images.read(*study, |pixels| view.apply(pixels, self.size))
        };
        Ok(par_map(views, read)?.concat())
    }

    /// A study with other positive labels (MedViLL, section 3.3) and a report, or just another where none is found.
    fn negative(&self, study: usize, rng: &mut ChaCha8Rng) -> usize {
        let mut found = study;
        for _ in 0..TRIES {
            let other = rng.random_range(0..self.examples.len());
            if self.examples[other].tokens.is_empty() {
                continue;
            }
            if !self.examples[other].same_positives(&self.examples[study]) {
                return other;
            }
            if other != study {
                found = other;
            }
        }
        found
    }

    /// What was drawn, as the losses take it.
    pub fn batch(&self, drawn: &Drawn, images: Images) -> Batch<'_> {
        let asked = |&(row, question): &(usize, usize)| AskedQuestion {
            row,
            question: &self.examples[drawn.studies[row]].questions[question],
        };
        let examples = |studies: &[usize]| studies.iter().map(|&study| &self.examples[study]).collect();
        Batch {
            images,
            masks: None,
            boxes: drawn.boxes.clone(),
            examples: examples(&drawn.studies),
            negatives: examples(&drawn.negatives),
            questions: drawn.questions.iter().map(asked).collect(),
        }
    }

    /// Pixels as a tensor, `(batch * views, 1, size, size)`.
    pub fn tensor(&self, pixels: Vec<f32>, device: &Device) -> Tensor<4> {
        let count = pixels.len() / (self.size * self.size);
        Tensor::from_data(TensorData::new(pixels, [count, 1, self.size, self.size]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_of_a_report_has_another_mistake() {
        let labeler = Labeler::new();
        let report =
            "There is a large left pleural effusion. A right chest tube is in place. No pneumothorax.";
        let made = mistakes(report, &labeler, 5, &mut stream(1, 2));
        assert!(made.len() >= 3, "{made:?}");
        assert!(made.iter().all(|text| text != report));
        for (at, text) in made.iter().enumerate() {
            assert!(!made[..at].contains(text), "{text} twice");
        }
        assert_eq!(made, mistakes(report, &labeler, 5, &mut stream(1, 2)));
        assert!(mistakes(report, &labeler, 0, &mut stream(1, 2)).is_empty());
    }
}
