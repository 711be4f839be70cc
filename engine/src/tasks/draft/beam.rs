//! Beam search, of several pictures at once.

use burn::tensor::Tensor;

use super::{Draft, Drafter, Source, Token, best_of};
use crate::nn::indices;
use crate::tasks::TaskError;

/// The hypotheses of one picture, best first, and those that ended, with their mean log-probability a token, SEP included.
struct Beam {
    live: Vec<(f64, Vec<Token>)>,
    done: Vec<(f64, Draft)>,
    over: bool,
}

impl Beam {
    fn new() -> Self {
        Self {
            live: vec![(0.0, Vec::new())],
            done: Vec::new(),
            over: false,
        }
    }

    /// One step: of `scores`, a row a hypothesis, the `width` best continuations; for each which hypothesis it goes on with, and
    /// its token. What ends is done; nothing goes on once nothing better can come.
    fn advance(
        &mut self,
        scores: &[Vec<f32>],
        width: usize,
        step: usize,
        limit: usize,
        sep: u32,
    ) -> Vec<(usize, u32)> {
        let mut candidates: Vec<(f64, usize, Token)> = Vec::new();
        for (parent, (sum, _)) in self.live.iter().enumerate() {
            for token in best_of(&scores[parent], width + 1) {
                candidates.push((sum + f64::from(token.probability.ln()), parent, token));
            }
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut next: Vec<(f64, usize, Token)> = Vec::new();
        for (sum, parent, token) in candidates {
            if token.id == sep {
                let draft = Draft {
                    tokens: self.live[parent].1.clone(),
                    finished: true,
                };
                self.done.push((sum / (step + 1) as f64, draft));
            } else if next.len() < width {
                next.push((sum, parent, token));
            }
            // At the last step only what ends counts.
            if next.len() == width && step + 1 < limit {
                break;
            }
        }
        let finished_best = self.done.iter().map(|d| d.0).fold(f64::NEG_INFINITY, f64::max);
        let reachable = next.first().map_or(f64::NEG_INFINITY, |n| n.0 / limit as f64);
        if next.is_empty() || (self.done.len() >= width && finished_best > reachable) {
            self.over = true;
            return Vec::new();
        }
        let chosen = next
            .iter()
            .map(|(_, parent, token)| (*parent, token.id))
            .collect();
        let longer = next.into_iter().map(|(sum, parent, token)| {
            let mut tokens = self.live[parent].1.clone();
            tokens.push(token);
            (sum, tokens)
        });
        self.live = longer.collect();
        chosen
    }

    /// The best that ended; else the best that did not.
    fn best(self) -> Draft {
        let best = |drafts: &mut dyn Iterator<Item = (f64, Draft)>| drafts.max_by(|a, b| a.0.total_cmp(&b.0));
        let mut unfinished = self.live.into_iter().map(|(sum, tokens)| {
            let mean = sum / tokens.len().max(1) as f64;
            let draft = Draft {
                tokens,
                finished: false,
            };
            (mean, draft)
        });
        let found = best(&mut self.done.into_iter()).or_else(|| best(&mut unfinished));
        found.map_or_else(Draft::default, |(_, draft)| draft)
    }
}

impl Drafter<'_> {
    /// Beam search for each of several pictures, `(B, K, F)`; hypotheses are compared by their mean log-probability a token, SEP
    /// included. All go through the model together, `width` rows a picture.
    pub(super) async fn beams(
        &self,
        image: Tensor<3>,
        width: usize,
        limit: usize,
        cache: bool,
    ) -> Result<Vec<Draft>, TaskError> {
        let batch = image.dims()[0];
        let rows = indices((0..batch * width).map(|row| row / width), &image.device());
        let mut source = Source::open(self, image.select(0, rows), batch * width, limit, cache);
        let mut beams: Vec<Beam> = (0..batch).map(|_| Beam::new()).collect();
        for step in 0..limit {
            let scores = source.next(self).await?;
            // What is over, and a beam that is not full yet, repeats a hypothesis; the copies are never read.
            let (mut parents, mut ids) = (Vec::new(), Vec::new());
            for (beam, (number, scores)) in beams.iter_mut().zip(scores.chunks(width).enumerate()) {
                let chosen = match beam.over {
                    true => Vec::new(),
                    false => beam.advance(scores, width, step, limit, self.specials.sep),
                };
                for i in 0..width {
                    let last = chosen.len().saturating_sub(1);
                    let (parent, id) = chosen.get(i.min(last)).copied().unwrap_or((i, self.specials.pad));
                    parents.push(number * width + parent);
                    ids.push(id);
                }
            }
            if beams.iter().all(|beam| beam.over) {
                break;
            }
            source.select(&parents);
            source.settle(&ids);
        }
        Ok(beams.into_iter().map(Beam::best).collect())
    }
}
