//! BLEU-1 to BLEU-4 over a whole collection (Papineni et al. 2002), as pycocoevalcap counts it: the closest
//! reference length, tiny constants against a division by zero, the brevity penalty once for all.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The four scores, each the geometric mean of the n-gram precisions up to its order times the brevity
/// penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bleu {
    /// Of words.
    pub bleu_1: f64,
    /// Of words and pairs.
    pub bleu_2: f64,
    /// Up to three words.
    pub bleu_3: f64,
    /// Up to four words.
    pub bleu_4: f64,
}

const SMALL: f64 = 1e-9;
const TINY: f64 = 1e-15;

/// How often each n-gram of `n` words occurs.
fn grams<'a>(words: &[&'a str], n: usize) -> HashMap<Vec<&'a str>, usize> {
    let mut counts = HashMap::new();
    for gram in words.windows(n) {
        *counts.entry(gram.to_vec()).or_insert(0) += 1;
    }
    counts
}

/// Scores candidates, each against its references, all as space-joined tokens. Of no candidates, all are 0.
pub fn bleu<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [&'a str])>) -> Bleu {
    let (mut guess, mut right) = ([0usize; 4], [0usize; 4]);
    let (mut length, mut reference_length) = (0usize, 0usize);
    for (candidate, references) in pairs {
        let words: Vec<&str> = candidate.split_whitespace().collect();
        let references: Vec<Vec<&str>> = references
            .iter()
            .map(|r| r.split_whitespace().collect())
            .collect();
        length += words.len();
        // Of references that are equally close, the shorter.
        reference_length += references
            .iter()
            .map(Vec::len)
            .min_by_key(|l| (l.abs_diff(words.len()), *l))
            .unwrap_or(0);
        for n in 1..=4 {
            guess[n - 1] += (words.len() + 1).saturating_sub(n);
            let theirs: Vec<_> = references.iter().map(|r| grams(r, n)).collect();
            for (gram, count) in grams(&words, n) {
                let most = theirs
                    .iter()
                    .filter_map(|t| t.get(&gram))
                    .max()
                    .copied()
                    .unwrap_or(0);
                right[n - 1] += count.min(most);
            }
        }
    }
    if length == 0 {
        return Bleu::default();
    }
    let ratio = (length as f64 + TINY) / (reference_length as f64 + SMALL);
    let penalty = if ratio < 1.0 {
        (1.0 - 1.0 / ratio).exp()
    } else {
        1.0
    };
    let mut product = 1.0;
    let scores: [f64; 4] = std::array::from_fn(|k| {
        product *= (right[k] as f64 + TINY) / (guess[k] as f64 + SMALL);
        product.powf(1.0 / (k + 1) as f64) * penalty
    });
    Bleu {
        bleu_1: scores[0],
        bleu_2: scores[1],
        bleu_3: scores[2],
        bleu_4: scores[3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_scores_one() {
        let text = "the heart is normal in size .";
        let scores = bleu([(text, &[text][..])]);
        assert!((scores.bleu_1 - 1.0).abs() < 1e-6 && (scores.bleu_4 - 1.0).abs() < 1e-6);
        assert_eq!(bleu([]), Bleu::default());
    }

    #[test]
    fn clipped_counts_and_brevity_by_hand() {
        // Papineni's example: "the" counts twice at most.
        let clipped = bleu([(
            "the the the the the the the",
            &["the cat is on the mat", "there is a cat on the mat"][..],
        )]);
        assert!((clipped.bleu_1 - 2.0 / 7.0).abs() < 1e-6);
        // 3 of 3 words, 2 of 2 pairs, candidate 3 words for 6: penalty e^(1 - 2).
        let short = bleu([("no pleural effusion", &["there is no pleural effusion seen"][..])]);
        let penalty = (-1.0f64).exp();
        assert!((short.bleu_1 - penalty).abs() < 1e-6 && (short.bleu_2 - penalty).abs() < 1e-6);
    }

    #[test]
    fn a_collection_is_counted_together() {
        let scores = bleu([("a b c d", &["a b c d"][..]), ("x y", &["a b"][..])]);
        assert!((scores.bleu_1 - 4.0 / 6.0).abs() < 1e-6);
        assert!((scores.bleu_2 - (4.0f64 / 6.0 * 3.0 / 4.0).sqrt()).abs() < 1e-6);
    }
}
