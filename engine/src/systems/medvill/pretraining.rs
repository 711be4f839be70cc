//! MedViLL's pre-training (section 3.3): masked words and image-report matching in one pass, under the
//! masking schemes.

use burn::tensor::Tensor;
use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{MedVill, Scheme};
use crate::kernels::Rule;
use crate::systems::learn::{Batch, cross_entropy, ints, padded};
use crate::text::Specials;

/// Share of words that are masked (section 3.3).
const MASKED: f64 = 0.15;

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

impl MedVill {
    /// MLM and IRM in one pass under the config's scheme (section 3.3): half of the pictures get a stranger's
    /// report where
    /// `matching` is asked for, 15 % of the words are masked (80 % by MASK, 10 % by a random word, 10 % left), at least one.
    ///
    /// *Release*: `sampled` of the visual tokens, sorted, one draw for the whole batch.
    pub(super) fn pretraining_losses(
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
        let mut masked = Masked {
            grid,
            rule,
            words: Vec::new(),
            hidden: Vec::new(),
            matched: None,
        };
        for (sample, own) in matched.iter().enumerate() {
            let text = if *own {
                &batch.examples[sample].words
            } else {
                &batch.strangers[sample].words
            };
            let (words, hidden) = mask_words(text, self.config.bert.vocabulary as u32, specials.mask, draw);
            if *own || self.config.mlm_on_strangers {
                masked.hidden.extend(hidden.iter().map(|&t| (sample, t, text[t])));
            }
            masked.words.push(words);
        }
        masked.matched = matching.then_some(matched);
        self.pretraining_pass(features, &masked, specials)
    }

    /// MLM and IRM of what was drawn; MLM is `None` where no word is masked, IRM where nothing is to be
    /// matched.
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
        let Masked {
            grid,
            rule,
            words,
            hidden,
            matched,
        } = masked;
        let kept = ints(grid.iter().map(|&i| i as i32).collect(), [grid.len()], &device);
        let features = if grid.len() < tokens {
            features.select(1, kept)
        } else {
            features
        };
        let scheme = if *rule == Rule::NonCrossing {
            Scheme::NonCrossing
        } else {
            Scheme::Bi
        };
        let first = grid.len() + 2 + usize::from(scheme == Scheme::NonCrossing);
        let longest = words.iter().map(Vec::len).max().unwrap_or(1);
        let context = self.embed_context(features, grid, specials);
        let texts = padded(words.iter().map(Vec::as_slice), longest, specials.pad, &device);
        let lengths = words.iter().map(|t| first + t.len()).collect();
        let encoded = self.encode(
            context,
            self.embed_text(texts, scheme, specials),
            *rule,
            lengths,
            |_, _| (),
        );
        let mlm = (!hidden.is_empty()).then(|| {
            let row = |(sample, t, _): &(usize, usize, u32)| (sample * (first + longest) + first + t) as i32;
            let targets = hidden.iter().map(|h| h.2 as i32).collect();
            let logits = self.word_logits(encoded.hidden, hidden.iter().map(row).collect());
            cross_entropy(logits, ints(targets, [hidden.len()], &device))
        });
        let itm = matched.as_ref().map(|matched| {
            let targets = ints(
                matched.iter().map(|m| i32::from(*m)).collect(),
                [matched.len()],
                &device,
            );
            cross_entropy(self.itm_logits(encoded.pooled), targets)
        });
        (mlm, itm)
    }
}

/// A text with words masked, and which: 15 %, at least one; 80 % by MASK, 10 % by a random word, 10 % as they
/// are (Devlin et al. 2019).
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
