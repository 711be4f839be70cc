//! A radiograph becomes a report: MASK is appended, predicted, replaced, until SEP (MedViLL, section 3.4).

use std::ops::ControlFlow;

use burn::tensor::{Tensor, activation::log_softmax};
use thiserror::Error;

use crate::image::Prepared;
use crate::systems::learn::ints;
use crate::systems::medvill::{DraftState, MedVill};
use crate::text::{Specials, Tokenizer};

/// Why no draft came.
#[derive(Debug, Error)]
pub enum DraftError {
    /// The picture was prepared for another model.
    #[error("the picture is {found} px, the model wants {expected} px; prepare it at the model's size")]
    Size {
        /// What came.
        found: usize,
        /// What is wanted.
        expected: usize,
    },
    /// The device would not give its values.
    #[error(
        "the device did not return the next word's probabilities: {0}; its memory may be exhausted or it was lost"
    )]
    Device(String),
    /// The model computes no numbers.
    #[error(
        "the model's probabilities are not numbers; the bundle is damaged or the device computes wrongly"
    )]
    NotNumbers,
}

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct DraftOptions {
    /// Hypotheses kept; 1 is greedy.
    pub beam: usize,
    /// Words at most.
    pub words: usize,
    /// Whether keys and values are kept between words; without, every word costs the whole sequence.
    pub cache: bool,
}

/// One word piece of a draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Its id.
    pub id: u32,
    /// Its probability, given the picture and the words before it.
    pub probability: f32,
    /// The logarithm of its probability over that of the runner-up, of all words.
    pub lead: f32,
}

/// A whole draft.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Word pieces, the closing SEP apart.
    pub words: Vec<Word>,
    /// Whether SEP came, rather than the limit or a stop.
    pub finished: bool,
}

/// A model at work on reports.
pub struct Drafter<'a> {
    model: &'a MedVill,
    specials: Specials,
}

impl<'a> Drafter<'a> {
    /// A drafter for a model and its words.
    pub fn new(model: &'a MedVill, tokenizer: &Tokenizer) -> Self {
        Self {
            model,
            specials: tokenizer.specials(),
        }
    }

    /// The picture's visual tokens, `(1, K, features)`.
    ///
    /// # Errors
    /// When the picture is not of the model's size.
    pub fn encode(&self, picture: &Prepared, device: &burn::tensor::Device) -> Result<Tensor<3>, DraftError> {
        let expected = self.model.config().size;
        if picture.size != expected {
            return Err(DraftError::Size {
                found: picture.size,
                expected,
            });
        }
        let data = burn::tensor::TensorData::new(picture.pixels.clone(), [1, expected, expected]);
        let pixels = Tensor::<3>::from_data(data, device);
        Ok(self.model.encode_image(self.model.picture(pixels), |_, _| ()))
    }

    /// Drafts a report from visual tokens `(1, K, features)`. `each` gets every word as it is settled (with a
    /// beam: all at the end) and may stop the draft.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn draft(
        &self,
        features: Tensor<3>,
        options: DraftOptions,
        mut each: impl FnMut(&Word) -> ControlFlow<()>,
    ) -> Result<Draft, DraftError> {
        let limit = options.words.min(self.model.config().words);
        if options.beam > 1 {
            let draft = self.beam(features, options.beam, limit, options.cache).await?;
            let _ = draft.words.iter().try_for_each(&mut each);
            return Ok(draft);
        }
        let mut drafting = self.begin(features, options);
        while let Some(word) = drafting.next().await? {
            if each(&word).is_break() {
                break;
            }
        }
        Ok(drafting.draft)
    }

    /// Begins a greedy draft from visual tokens `(1, K, features)` whose words the caller asks for one by
    /// one, whatever
    /// `options.beam` says.
    pub fn begin(&self, features: Tensor<3>, options: DraftOptions) -> Drafting<'_> {
        let limit = options.words.min(self.model.config().words);
        let source = Source::open(self, features, 1, limit, options.cache);
        Drafting {
            drafter: self,
            source,
            limit,
            draft: Draft {
                words: Vec::new(),
                finished: false,
            },
        }
    }

    /// Drafts for several pictures at once, greedily: `(batch, K, features)`.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn draft_batch(&self, features: Tensor<3>, words: usize) -> Result<Vec<Draft>, DraftError> {
        let batch = features.dims()[0];
        let limit = words.min(self.model.config().words);
        let mut source = Source::open(self, features, batch, limit, true);
        let mut drafts = vec![
            Draft {
                words: Vec::new(),
                finished: false
            };
            batch
        ];
        for _ in 0..limit {
            let scores = source.next(self).await?;
            let mut settled = vec![self.specials.pad; batch];
            for ((draft, scores), settled) in drafts.iter_mut().zip(&scores).zip(&mut settled) {
                if draft.finished {
                    continue;
                }
                let word = best(scores);
                if word.id == self.specials.sep {
                    draft.finished = true;
                    continue;
                }
                *settled = word.id;
                draft.words.push(word);
            }
            if drafts.iter().all(|d| d.finished) {
                break;
            }
            source.settle(&settled);
        }
        Ok(drafts)
    }

    /// Beam search; hypotheses are compared by their mean log-probability a word, SEP included.
    async fn beam(
        &self,
        features: Tensor<3>,
        width: usize,
        limit: usize,
        cache: bool,
    ) -> Result<Draft, DraftError> {
        let repeated = features.repeat_dim(0, width);
        let mut source = Source::open(self, repeated, width, limit, cache);
        let mut live: Vec<(f64, Vec<Word>)> = vec![(0.0, Vec::new())];
        let mut done: Vec<(f64, Draft)> = Vec::new();
        for step in 0..limit {
            let scores = source.next(self).await?;
            let mut candidates: Vec<(f64, usize, Word)> = Vec::new();
            for (parent, (sum, _)) in live.iter().enumerate() {
                for word in best_of(&scores[parent], width + 1) {
                    candidates.push((sum + f64::from(word.probability.ln()), parent, word));
                }
            }
            candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut next: Vec<(f64, usize, Word)> = Vec::new();
            for (sum, parent, word) in candidates {
                if word.id == self.specials.sep {
                    let draft = Draft {
                        words: live[parent].1.clone(),
                        finished: true,
                    };
                    done.push((sum / (step + 1) as f64, draft));
                } else if next.len() < width {
                    next.push((sum, parent, word));
                }
                if next.len() == width {
                    break;
                }
            }
            let finished_best = done.iter().map(|d| d.0).fold(f64::NEG_INFINITY, f64::max);
            let reachable = next.first().map_or(f64::NEG_INFINITY, |n| n.0 / limit as f64);
            if next.is_empty() || (done.len() >= width && finished_best > reachable) {
                break;
            }
            // A beam that is not full yet repeats its last hypothesis; the copies are never read.
            let parents: Vec<usize> = (0..width).map(|i| next[i.min(next.len() - 1)].1).collect();
            let ids: Vec<u32> = (0..width).map(|i| next[i.min(next.len() - 1)].2.id).collect();
            live = next
                .into_iter()
                .map(|(sum, parent, word)| {
                    let mut words = live[parent].1.clone();
                    words.push(word);
                    (sum, words)
                })
                .collect();
            source.select(&parents);
            source.settle(&ids);
        }
        let unfinished = live.into_iter().map(|(sum, words)| {
            (
                sum / words.len().max(1) as f64,
                Draft {
                    words,
                    finished: false,
                },
            )
        });
        let best = match done.is_empty() {
            true => unfinished.max_by(|a, b| a.0.total_cmp(&b.0)),
            false => done.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)),
        };
        Ok(best.map_or(
            Draft {
                words: Vec::new(),
                finished: false,
            },
            |b| b.1,
        ))
    }
}

/// A greedy draft under way.
pub struct Drafting<'a> {
    drafter: &'a Drafter<'a>,
    source: Source,
    limit: usize,
    draft: Draft,
}

impl Drafting<'_> {
    /// The next word, settled; nothing once SEP has come or the limit is reached.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn next(&mut self) -> Result<Option<Word>, DraftError> {
        if self.draft.finished || self.draft.words.len() >= self.limit {
            return Ok(None);
        }
        let scores = self.source.next(self.drafter).await?;
        let word = best(&scores[0]);
        if word.id == self.drafter.specials.sep {
            self.draft.finished = true;
            return Ok(None);
        }
        self.source.settle(&[word.id]);
        self.draft.words.push(word.clone());
        Ok(Some(word))
    }

    /// The words so far.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }
}

/// Where the next word's probabilities come from: the cache, or the whole sequence anew.
enum Source {
    Cached {
        state: Box<DraftState>,
        last: Option<Vec<u32>>,
        batch: usize,
        specials: Specials,
    },
    Whole {
        features: Box<Tensor<3>>,
        words: Vec<Vec<u32>>,
        specials: Specials,
    },
}

impl Source {
    fn open(drafter: &Drafter<'_>, features: Tensor<3>, batch: usize, room: usize, cache: bool) -> Self {
        let specials = drafter.specials;
        if cache {
            let state = Box::new(drafter.model.open_draft(features, specials, room + 1));
            return Self::Cached {
                state,
                last: None,
                batch,
                specials,
            };
        }
        Self::Whole {
            features: Box::new(features),
            words: vec![Vec::new(); batch],
            specials,
        }
    }

    /// Log-probabilities of the next word, a row a sample; words that no report holds are at minus infinity.
    async fn next(&mut self, drafter: &Drafter<'_>) -> Result<Vec<Vec<f32>>, DraftError> {
        let (logits, specials) = match self {
            Self::Cached {
                state,
                last,
                batch,
                specials,
            } => {
                let device = drafter.device();
                let column =
                    |ids: &[u32]| ints(ids.iter().map(|i| *i as i32).collect(), [ids.len(), 1], &device);
                let mask = column(&vec![specials.mask; *batch]);
                let last = last.take().map(|ids| column(&ids));
                (drafter.model.step_draft(state, last, mask), *specials)
            }
            Self::Whole {
                features,
                words,
                specials,
            } => {
                let device = features.device();
                let (batch, written) = (words.len(), words[0].len());
                let flat: Vec<i32> = words.iter().flatten().map(|i| *i as i32).collect();
                let words = (written > 0).then(|| ints(flat, [batch, written], &device));
                (
                    drafter.model.predict_next(*features.clone(), words, *specials),
                    *specials,
                )
            }
        };
        let vocabulary = logits.dims()[1];
        let data = log_softmax(logits, 1)
            .into_data_async()
            .await
            .map_err(|e| DraftError::Device(e.to_string()))?;
        let flat: Vec<f32> = data.iter::<f32>().collect();
        let mut rows: Vec<Vec<f32>> = flat.chunks(vocabulary).map(<[f32]>::to_vec).collect();
        for row in &mut rows {
            if row.iter().any(|p| p.is_nan()) {
                return Err(DraftError::NotNumbers);
            }
            for id in [specials.pad, specials.cls, specials.mask, specials.unk] {
                row[id as usize] = f32::NEG_INFINITY;
            }
        }
        Ok(rows)
    }

    fn settle(&mut self, ids: &[u32]) {
        match self {
            Self::Cached { last, .. } => *last = Some(ids.to_vec()),
            Self::Whole { words, .. } => words.iter_mut().zip(ids).for_each(|(words, id)| words.push(*id)),
        }
    }

    fn select(&mut self, parents: &[usize]) {
        match self {
            Self::Cached { state, .. } => state.select(parents),
            Self::Whole { words, .. } => *words = parents.iter().map(|&p| words[p].clone()).collect(),
        }
    }
}

impl Drafter<'_> {
    fn device(&self) -> burn::tensor::Device {
        self.model.device()
    }
}

fn best(scores: &[f32]) -> Word {
    best_of(scores, 1).swap_remove(0)
}

/// The `count` likeliest words, likeliest first, ties by id; `lead` is over the next one.
fn best_of(scores: &[f32], count: usize) -> Vec<Word> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let reach = (count + 1).min(order.len());
    let by = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if reach < order.len() {
        order.select_nth_unstable_by(reach - 1, by);
        order.truncate(reach);
    }
    order.sort_by(by);
    let lead = |i: usize| {
        order
            .get(i + 1)
            .map_or(f32::INFINITY, |next| scores[order[i]] - scores[*next])
    };
    (0..count.min(order.len()))
        .map(|i| Word {
            id: order[i] as u32,
            probability: scores[order[i]].exp(),
            lead: lead(i),
        })
        .collect()
}

#[cfg(test)]
mod tests;
