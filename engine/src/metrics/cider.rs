//! CIDEr (Vedantam et al. 2015), as pycocoevalcap scores it (CIDEr-D: clipped counts and a Gaussian penalty
//! on the difference of lengths, sigma 6): the cosine of the n-grams' TF-IDF weights, n from 1 to 4, times
//! 10.
//!
//! Document frequencies are those of the references at hand, so that a score depends on the collection: that
//! of one report alone is 0.

use std::collections::{HashMap, HashSet};

use super::texts::Texts;

const SIGMA: f64 = 6.0;
const ORDERS: usize = 4;

type Grams<'a> = HashMap<Vec<&'a str>, f64>;

fn grams(text: &str) -> Grams<'_> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut counts = HashMap::new();
    for n in 1..=ORDERS {
        for gram in words.windows(n) {
            *counts.entry(gram.to_vec()).or_insert(0.0) += 1.0;
        }
    }
    counts
}

/// TF-IDF weights, their norm by order, and the number of pairs of words, which stands for the length.
struct Weighted<'a> {
    weights: Grams<'a>,
    norms: [f64; ORDERS],
    length: f64,
}

impl<'a> Weighted<'a> {
    fn new(counts: Grams<'a>, idf: impl Fn(&[&str]) -> f64) -> Self {
        let mut norms = [0.0; ORDERS];
        let mut length = 0.0;
        let mut weights = counts;
        for (gram, weight) in &mut weights {
            if gram.len() == 2 {
                length += *weight;
            }
            *weight *= idf(gram);
            norms[gram.len() - 1] += *weight * *weight;
        }
        Self {
            weights,
            norms: norms.map(f64::sqrt),
            length,
        }
    }

    /// The mean over the orders of the clipped cosine.
    fn similarity(&self, reference: &Self) -> f64 {
        let mut products = [0.0; ORDERS];
        for (gram, weight) in &self.weights {
            if let Some(other) = reference.weights.get(gram) {
                products[gram.len() - 1] += weight.min(*other) * other;
            }
        }
        let difference = self.length - reference.length;
        let penalty = (-difference * difference / (2.0 * SIGMA * SIGMA)).exp();
        let cosine = |n: usize| {
            let norms = self.norms[n] * reference.norms[n];
            if norms == 0.0 {
                products[n]
            } else {
                products[n] / norms
            }
        };
        (0..ORDERS).map(cosine).sum::<f64>() / ORDERS as f64 * penalty
    }
}

/// The score of each candidate against its references, from 0 to 10. The mean is the collection's.
pub fn cider(pairs: &[Texts<'_>]) -> Vec<f64> {
    let counted: Vec<(Grams<'_>, Vec<Grams<'_>>)> = pairs
        .iter()
        .map(|(c, references)| (grams(c), references.iter().map(|r| grams(r)).collect()))
        .collect();
    let mut frequency: HashMap<Vec<&str>, f64> = HashMap::new();
    for (_, references) in &counted {
        let present: HashSet<&Vec<&str>> = references.iter().flat_map(HashMap::keys).collect();
        for gram in present {
            *frequency.entry(gram.clone()).or_insert(0.0) += 1.0;
        }
    }
    let documents = (pairs.len() as f64).ln();
    let idf = |gram: &[&str]| documents - frequency.get(gram).copied().unwrap_or(1.0).max(1.0).ln();
    counted
        .into_iter()
        .map(|(candidate, references)| {
            let n = references.len();
            let candidate = Weighted::new(candidate, idf);
            let sum: f64 = references
                .into_iter()
                .map(|r| candidate.similarity(&Weighted::new(r, idf)))
                .sum();
            if n == 0 { 0.0 } else { 10.0 * sum / n as f64 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Two collections without a word in common: each text is its own reference, orders 1 to 3 agree,
        // there is no fourth.
        let scores = cider(&[("a b c", &["a b c"]), ("d e f", &["d e f"])]);
        assert!(scores.iter().all(|s| (s - 7.5).abs() < 1e-12));
        assert_eq!(cider(&[("a b c", &["a b c"])]), [0.0]);
        // One pair of words more in the candidate: penalty e^(-1/72); the cosines are 1/sqrt(2) and 1/sqrt(1)
        // of the clipped counts.
        let scores = cider(&[("a b", &["a"]), ("x", &["y"])]);
        let expected = 10.0 / 4.0 * (1.0 / 2.0f64.sqrt()) * (-1.0f64 / 72.0).exp();
        assert!((scores[0] - expected).abs() < 1e-12);
    }
}
