//! Retrieval: Hit@K, Recall@K, Precision@K and the mean reciprocal rank, as MedViLL's section 4.2 uses them.
//!
//! A query has candidates with scores (100 there), of which several are relevant (those with the query's
//! labels). Hit@K: whether any relevant one is among the K of highest score; Recall@K: the share of the
//! relevant ones that are; Precision@K: the share of the K that are relevant; reciprocal rank: 1 / rank of
//! the first relevant one.
//!
//! Equal scores say nothing of an order, so each number is its mean over all orders of the equals (exactly,
//! not by drawing): a model that gives every candidate the same score gets what chance would get.

use serde::{Deserialize, Serialize};

/// The numbers of one query or, as means, of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Hit@K.
    pub hit: f64,
    /// Recall@K.
    pub recall: f64,
    /// Precision@K, of K candidates even where there are fewer.
    pub precision: f64,
    /// The reciprocal rank of the first relevant candidate.
    pub mrr: f64,
}

impl Ranking {
    /// The numbers by their published names: `hit_at_5`, `recall_at_5`, `precision_at_5`, `mrr` for k = 5.
    pub fn named(&self, k: usize) -> [(String, f64); 4] {
        [
            (format!("hit_at_{k}"), self.hit),
            (format!("recall_at_{k}"), self.recall),
            (format!("precision_at_{k}"), self.precision),
            ("mrr".to_owned(), self.mrr),
        ]
    }
}

/// Scores one query's candidates. `None` when none is relevant, the lengths differ, a score is not a number,
/// or k is 0.
pub fn rank(scores: &[f64], relevant: &[bool], k: usize) -> Option<Ranking> {
    let all = relevant.iter().filter(|r| **r).count();
    if scores.len() != relevant.len() || all == 0 || k == 0 || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    // Means over the orders of the equals: relevant ones among the top k, no relevant one there, and 1 /
    // first rank.
    let (mut among, mut none, mut reciprocal) = (0.0, 1.0, None);
    let mut at = 0;
    while at < order.len() {
        let group = order[at..]
            .iter()
            .take_while(|i| scores[**i] == scores[order[at]])
            .count();
        let hits = order[at..at + group].iter().filter(|i| relevant[**i]).count();
        let inside = k.saturating_sub(at).min(group);
        among += inside as f64 * hits as f64 / group as f64;
        none *= chance_of_none(group, hits, inside);
        if hits > 0 && reciprocal.is_none() {
            // The first of them comes after j others with the chance that the first j are others and the next
            // is not.
            let mean = (0..=group - hits).map(|j| {
                let next = hits as f64 / (group - j) as f64;
                chance_of_none(group, hits, j) * next / (at + j + 1) as f64
            });
            reciprocal = Some(mean.sum());
        }
        at += group;
    }
    Some(Ranking {
        hit: 1.0 - none,
        recall: among / all as f64,
        precision: among / k as f64,
        mrr: reciprocal?,
    })
}

/// Hit@K of `candidates` in any order, of which `relevant` are relevant.
pub fn hit_by_chance(candidates: usize, relevant: usize, k: usize) -> f64 {
    1.0 - chance_of_none(candidates, relevant, k.min(candidates))
}

/// The chance that `drawn` of `group`, `hits` of which are relevant, are all not relevant.
fn chance_of_none(group: usize, hits: usize, drawn: usize) -> f64 {
    (0..drawn)
        .map(|i| (group - hits).saturating_sub(i) as f64 / (group - i) as f64)
        .product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
        let one = rank(&scores, &[false, true, false, true, false, true], 5).unwrap();
        let wanted = Ranking {
            hit: 1.0,
            recall: 2.0 / 3.0,
            precision: 0.4,
            mrr: 0.5,
        };
        assert!(
            (one.recall - wanted.recall).abs() < 1e-12 && (one.precision - wanted.precision).abs() < 1e-12
        );
        assert_eq!((one.hit, one.mrr), (wanted.hit, wanted.mrr));
        let last = rank(&scores, &[false, false, false, false, false, true], 5).unwrap();
        assert_eq!((last.hit, last.recall, last.mrr), (0.0, 0.0, 1.0 / 6.0));
        assert_eq!(rank(&scores, &[false; 6], 5), None);
        assert_eq!(rank(&scores, &[true; 5], 5), None);
        assert_eq!(rank(&[f64::NAN], &[true], 5), None);
    }

    #[test]
    fn equal_scores_get_what_chance_gets() {
        // One relevant of 4, all equal: 1 of the top 2 with chance 1/2, mean of 1, 1/2, 1/3, 1/4.
        let one = rank(&[0.5; 4], &[true, false, false, false], 2).unwrap();
        assert!(
            (one.hit - 0.5).abs() < 1e-12
                && (one.recall - 0.5).abs() < 1e-12
                && (one.precision - 0.25).abs() < 1e-12
        );
        assert!((one.mrr - (1.0 + 0.5 + 1.0 / 3.0 + 0.25) / 4.0).abs() < 1e-12);
        // The order in which they are given changes nothing.
        assert_eq!(
            rank(&[0.5; 4], &[false, false, false, true], 2).unwrap().mrr,
            one.mrr
        );
    }

    #[test]
    fn names_tell_where_the_ranking_is_cut() {
        let names = Ranking::default().named(5).map(|(name, _)| name);
        assert_eq!(names, ["hit_at_5", "recall_at_5", "precision_at_5", "mrr"]);
    }
}
