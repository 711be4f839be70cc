//! Precision, recall, F1, accuracy, the area under the ROC curve, and average precision.

use serde::{Deserialize, Serialize};

/// What a yes-or-no decision got right and wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Said yes, is yes.
    pub true_positive: usize,
    /// Said yes, is no.
    pub false_positive: usize,
    /// Said no, is yes.
    pub false_negative: usize,
    /// Said no, is no.
    pub true_negative: usize,
}

impl Counts {
    /// Counts one decision.
    pub const fn add(&mut self, said: bool, is: bool) {
        match (said, is) {
            (true, true) => self.true_positive += 1,
            (true, false) => self.false_positive += 1,
            (false, true) => self.false_negative += 1,
            (false, false) => self.true_negative += 1,
        }
    }

    /// Counts of pairs (said, is).
    pub fn of(decisions: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for (said, is) in decisions {
            counts.add(said, is);
        }
        counts
    }

    /// TP / (TP + FP), and 0 when nothing was said to be there.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// TP / (TP + FN), and 0 when nothing is there.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// 2 TP / (2 TP + FP + FN), and 0 when nothing is there and nothing was said to be.
    pub fn f1(&self) -> f64 {
        ratio(
            2 * self.true_positive,
            2 * self.true_positive + self.false_positive + self.false_negative,
        )
    }

    /// (TP + TN) / all, and 0 of none.
    pub fn accuracy(&self) -> f64 {
        let right = self.true_positive + self.true_negative;
        ratio(right, right + self.false_positive + self.false_negative)
    }

    /// How many are there.
    pub const fn support(&self) -> usize {
        self.true_positive + self.false_negative
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// All classes' decisions counted together: its precision, recall and F1 are the micro averages.
pub fn micro(classes: &[Counts]) -> Counts {
    classes.iter().fold(Counts::default(), |a, b| Counts {
        true_positive: a.true_positive + b.true_positive,
        false_positive: a.false_positive + b.false_positive,
        false_negative: a.false_negative + b.false_negative,
        true_negative: a.true_negative + b.true_negative,
    })
}

/// The mean of the classes' F1 over those that occur; `None` when none does.
pub fn macro_f1(classes: &[Counts]) -> Option<f64> {
    mean(classes.iter().filter(|c| c.support() > 0).map(Counts::f1))
}

/// The area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half
/// (Mann and Whitney's U). `None` when either kind is missing, when the lengths differ, or when a score is
/// not a number.
pub fn auroc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    if scores.len() != positive.len() || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    let positives = positive.iter().filter(|p| **p).count();
    let negatives = positive.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut rank_sum, mut at) = (0.0, 0);
    while at < order.len() {
        let same = order[at..]
            .iter()
            .take_while(|i| scores[**i] == scores[order[at]])
            .count();
        // Ranks begin at 1; those of equal scores share their mean.
        let rank = at as f64 + (same as f64 + 1.0) / 2.0;
        rank_sum += rank * order[at..at + same].iter().filter(|i| positive[**i]).count() as f64;
        at += same;
    }
    let (p, n) = (positives as f64, negatives as f64);
    Some((rank_sum - p * (p + 1.0) / 2.0) / (p * n))
}

/// The mean of the classes' areas over those that have one; each class is (scores, positive).
pub fn macro_auroc(classes: &[(Vec<f64>, Vec<bool>)]) -> Option<f64> {
    mean(
        classes
            .iter()
            .filter_map(|(scores, positive)| auroc(scores, positive)),
    )
}

/// The area under the ROC curve of all classes' decisions taken together; each class is (scores, positive).
pub fn micro_auroc(classes: &[(Vec<f64>, Vec<bool>)]) -> Option<f64> {
    if classes
        .iter()
        .any(|(scores, positive)| scores.len() != positive.len())
    {
        return None;
    }
    let scores: Vec<f64> = classes.iter().flat_map(|(scores, _)| scores).copied().collect();
    let positive: Vec<bool> = classes
        .iter()
        .flat_map(|(_, positive)| positive)
        .copied()
        .collect();
    auroc(&scores, &positive)
}

/// Average precision: the sum over the thresholds of precision times the gain in recall, equal scores being
/// one threshold (no interpolation, as scikit-learn). `None` when nothing is positive, the lengths differ, or
/// a score is not a number.
pub fn average_precision(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let positives = positive.iter().filter(|p| **p).count();
    if scores.len() != positive.len() || positives == 0 || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut right, mut counted, mut sum) = (0, 0, 0.0);
    for (i, at) in order.iter().enumerate() {
        right += usize::from(positive[*at]);
        if order.get(i + 1).is_none_or(|next| scores[*next] != scores[*at]) {
            sum += ratio(right, i + 1) * (right - counted) as f64;
            counted = right;
        }
    }
    Some(sum / positives as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let counts = Counts::of([
            (true, true),
            (true, true),
            (true, false),
            (false, true),
            (false, false),
        ]);
        assert_eq!((counts.precision(), counts.recall()), (2.0 / 3.0, 2.0 / 3.0));
        assert_eq!((counts.f1(), counts.accuracy()), (4.0 / 6.0, 3.0 / 5.0));
        assert_eq!(Counts::default().f1(), 0.0);
        let other = Counts::of([(false, true), (true, true)]);
        assert_eq!(micro(&[counts, other]).f1(), 6.0 / 9.0);
        assert_eq!(
            macro_f1(&[counts, other, Counts::default()]),
            Some((4.0 / 6.0 + 2.0 / 3.0) / 2.0)
        );
        assert_eq!(macro_f1(&[]), None);
    }

    #[test]
    fn auroc_by_hand() {
        assert_eq!(
            auroc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]),
            Some(0.75)
        );
        assert_eq!(auroc(&[0.5, 0.5, 0.5], &[true, false, true]), Some(0.5));
        assert_eq!(
            auroc(&[1.0, 2.0, 2.0, 3.0], &[false, true, false, true]),
            Some(0.875)
        );
        assert_eq!(auroc(&[0.1], &[true]), None);
        assert_eq!(auroc(&[0.1, f64::NAN], &[true, false]), None);
        assert_eq!(auroc(&[0.1], &[true, false]), None);
    }

    #[test]
    fn average_precision_by_hand() {
        let sum = (1.0 / 1.0 + 2.0 / 3.0) / 2.0;
        assert_eq!(
            average_precision(&[0.9, 0.8, 0.7], &[true, false, true]),
            Some(sum)
        );
        // Two equal scores are one threshold, whichever comes first.
        assert_eq!(average_precision(&[0.5, 0.5], &[false, true]), Some(0.5));
        assert_eq!(average_precision(&[0.5], &[false]), None);
        let classes = [
            (vec![0.9, 0.1], vec![true, false]),
            (vec![0.2, 0.8], vec![true, false]),
        ];
        assert_eq!(micro_auroc(&classes), Some(0.75));
    }

    #[test]
    fn auroc_is_the_share_of_ordered_pairs() {
        let scores: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 23)).collect();
        let positive: Vec<bool> = (0..60).map(|i| i * 13 % 7 < 3).collect();
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (i, a) in scores.iter().enumerate().filter(|(i, _)| positive[*i]) {
            for (j, b) in scores.iter().enumerate().filter(|(j, _)| !positive[*j]) {
                assert_ne!(i, j);
                pairs += 1.0;
                sum += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
            }
        }
        assert!((auroc(&scores, &positive).unwrap_or(0.0) - sum / pairs).abs() < 1e-12);
    }
}
