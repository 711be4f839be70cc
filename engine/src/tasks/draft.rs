//! A radiograph becomes a report, token by token until SEP, greedily or by beam search (MedViLL, section 3.4). What a model
//! needs to predict a token is its own affair: here are logits alone.

mod beam;

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, activation::log_softmax};

use super::error::TaskError;
use super::session::Session;
use crate::nn::ints;
use crate::systems::{Generator, GeneratorState, Task};
use crate::text::Specials;

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct DraftOptions {
    /// Hypotheses kept; 1 is greedy.
    pub beam: usize,
    /// Tokens at most.
    pub max_tokens: usize,
    /// Whether keys and values are kept between tokens; without, every token costs the whole sequence.
    pub cache: bool,
}

impl Default for DraftOptions {
    fn default() -> Self {
        Self {
            beam: 1,
            max_tokens: usize::MAX,
            cache: true,
        }
    }
}

/// One token of a draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its probability, given the image and the tokens before it.
    pub probability: f32,
    /// Its log-probability minus that of the runner-up.
    pub margin: f32,
}

/// A whole draft.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Tokens, the closing SEP apart.
    pub tokens: Vec<Token>,
    /// Whether SEP came, rather than the limit or a stop.
    pub finished: bool,
}

impl Draft {
    /// The ids of its tokens.
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token.id).collect()
    }
}

/// A model at work on reports.
pub struct Drafter<'a> {
    generator: &'a dyn Generator,
    specials: Specials,
    device: &'a Device,
}

impl<'a> Drafter<'a> {
    /// Hypotheses that the model's paper keeps; 1 is greedy.
    pub fn papers_beam(&self) -> usize {
        self.generator.beam()
    }

    /// The drafter of a session.
    ///
    /// # Errors
    /// A model that writes nothing, and a bundle without a tokenizer.
    pub fn new(session: &'a Session) -> Result<Self, TaskError> {
        Ok(Self {
            generator: session.generator()?,
            specials: session.tokenizer(Task::Draft)?.specials(),
            device: &session.device,
        })
    }

    /// Drafts a report from visual tokens `(1, K, F)`. `each` gets every token as it is settled (with a
    /// beam: all at the end) and may stop the draft.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn draft(
        &self,
        image: Tensor<3>,
        options: DraftOptions,
        mut each: impl FnMut(&Token) -> ControlFlow<()>,
    ) -> Result<Draft, TaskError> {
        let limit = options.max_tokens.min(self.generator.max_tokens());
        if options.beam > 1 {
            let mut drafts = self.beams(image, options.beam, limit, options.cache).await?;
            let draft = drafts.swap_remove(0);
            let _ = draft.tokens.iter().try_for_each(&mut each);
            return Ok(draft);
        }
        let mut drafting = self.begin(image, options);
        while let Some(token) = drafting.next().await? {
            if each(&token).is_break() {
                break;
            }
        }
        Ok(drafting.draft)
    }

    /// Begins a greedy draft from visual tokens `(1, K, F)` whose tokens the caller asks for one by
    /// one, whatever
    /// `options.beam` says.
    pub fn begin(&self, image: Tensor<3>, options: DraftOptions) -> Drafting<'_> {
        let limit = options.max_tokens.min(self.generator.max_tokens());
        let source = Source::open(self, image, 1, limit, options.cache);
        Drafting {
            drafter: self,
            source,
            limit,
            draft: Draft {
                tokens: Vec::new(),
                finished: false,
            },
        }
    }

    /// Drafts for several pictures at once: `(B, K, F)`.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn draft_batch(
        &self,
        image: Tensor<3>,
        options: DraftOptions,
    ) -> Result<Vec<Draft>, TaskError> {
        let batch = image.dims()[0];
        let limit = options.max_tokens.min(self.generator.max_tokens());
        if options.beam > 1 {
            return self.beams(image, options.beam, limit, options.cache).await;
        }
        let mut source = Source::open(self, image, batch, limit, options.cache);
        let mut drafts = vec![
            Draft {
                tokens: Vec::new(),
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
                let token = best(scores);
                if token.id == self.specials.sep {
                    draft.finished = true;
                    continue;
                }
                *settled = token.id;
                draft.tokens.push(token);
            }
            if drafts.iter().all(|d| d.finished) {
                break;
            }
            source.settle(&settled);
        }
        Ok(drafts)
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
    /// The next token, settled; nothing once SEP has come or the limit is reached.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn next(&mut self) -> Result<Option<Token>, TaskError> {
        if self.draft.finished || self.draft.tokens.len() >= self.limit {
            return Ok(None);
        }
        let scores = self.source.next(self.drafter).await?;
        let token = best(&scores[0]);
        if token.id == self.drafter.specials.sep {
            self.draft.finished = true;
            return Ok(None);
        }
        self.source.settle(&[token.id]);
        self.draft.tokens.push(token.clone());
        Ok(Some(token))
    }

    /// The tokens so far.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }
}

/// Where the next token's probabilities come from: the cache, or the whole sequence anew.
enum Source {
    Cached {
        state: GeneratorState,
        last: Option<Vec<u32>>,
    },
    Whole {
        image: Box<Tensor<3>>,
        tokens: Vec<Vec<u32>>,
    },
}

impl Source {
    fn open(drafter: &Drafter<'_>, image: Tensor<3>, batch: usize, capacity: usize, cache: bool) -> Self {
        if cache {
            let state = drafter.generator.start(image, capacity);
            return Self::Cached { state, last: None };
        }
        Self::Whole {
            image: Box::new(image),
            tokens: vec![Vec::new(); batch],
        }
    }

    /// Logits of the next token, `(B, V)`.
    fn logits(&mut self, drafter: &Drafter<'_>) -> Tensor<2> {
        match self {
            Self::Cached { state, last } => {
                let column = |ids: Vec<u32>| {
                    let count = ids.len();
                    let ids = ids.into_iter().map(|id| id as i32).collect();
                    ints(ids, [count, 1], drafter.device)
                };
                drafter.generator.step(state, last.take().map(column))
            }
            Self::Whole { image, tokens } => {
                let (batch, written) = (tokens.len(), tokens[0].len());
                // What stands behind the last token is seen by no step that is read here.
                let row = |row: &Vec<u32>| {
                    let ids = row.iter().map(|id| *id as i32);
                    ids.chain([drafter.specials.pad as i32]).collect::<Vec<_>>()
                };
                let ids = tokens.iter().flat_map(row).collect();
                let ids = ints(ids, [batch, written + 1], drafter.device);
                let logits = drafter.generator.forward(*image.clone(), ids);
                let vocabulary = logits.dims()[2];
                // (B, 1, V) -> (B, V)
                logits.narrow(1, written, 1).reshape([batch, vocabulary])
            }
        }
    }

    /// Log-probabilities of the next token, a row a sample; tokens that no report holds are at minus infinity.
    async fn next(&mut self, drafter: &Drafter<'_>) -> Result<Vec<Vec<f32>>, TaskError> {
        let logits = self.logits(drafter);
        let vocabulary = logits.dims()[1];
        let data = log_softmax(logits, 1)
            .into_data_async()
            .await
            .map_err(|e| TaskError::Device(format!("{e:?}")))?;
        let flat: Vec<f32> = data.iter::<f32>().collect();
        let mut rows: Vec<Vec<f32>> = flat.chunks(vocabulary).map(<[f32]>::to_vec).collect();
        let Specials {
            pad, cls, mask, unk, ..
        } = drafter.specials;
        for row in &mut rows {
            if row.iter().any(|p| p.is_nan()) {
                return Err(TaskError::NotNumbers);
            }
            for id in [pad, cls, mask, unk] {
                if let Some(score) = row.get_mut(id as usize) {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
        Ok(rows)
    }

    fn settle(&mut self, ids: &[u32]) {
        match self {
            Self::Cached { last, .. } => *last = Some(ids.to_vec()),
            Self::Whole { tokens, .. } => {
                tokens
                    .iter_mut()
                    .zip(ids)
                    .for_each(|(tokens, id)| tokens.push(*id));
            }
        }
    }

    fn select(&mut self, parents: &[usize]) {
        match self {
            Self::Cached { state, .. } => state.select(parents),
            Self::Whole { tokens, .. } => *tokens = parents.iter().map(|&p| tokens[p].clone()).collect(),
        }
    }
}

fn best(scores: &[f32]) -> Token {
    best_of(scores, 1).swap_remove(0)
}

/// The `count` most probable tokens, most probable first, ties by id; `margin` is over the next one.
fn best_of(scores: &[f32], count: usize) -> Vec<Token> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let reach = (count + 1).min(order.len());
    let by = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if reach < order.len() {
        order.select_nth_unstable_by(reach - 1, by);
        order.truncate(reach);
    }
    order.sort_by(by);
    let margin = |i: usize| {
        order
            .get(i + 1)
            .map_or(f32::INFINITY, |next| scores[order[i]] - scores[*next])
    };
    (0..count.min(order.len()))
        .map(|i| Token {
            id: order[i] as u32,
            probability: scores[order[i]].exp(),
            margin: margin(i),
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
