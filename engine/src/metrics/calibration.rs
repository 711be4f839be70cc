//! From scores to probabilities and decisions: temperature scaling (Guo et al. 2017) for each label, the
//! expected calibration error, and the operating point. All are fitted on validation scores, never on the
//! test split.

/// The least and the greatest temperature: beyond them the data only say "as sharp" or "as flat as can be".
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// How a label's logit becomes a probability and a decision; both are fitted on validation data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// The logit is divided by it (Guo et al. 2017).
    pub temperature: f64,
    /// The probability from which the label counts as present.
    pub operating_point: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            operating_point: 0.5,
        }
    }
}

impl Calibration {
    /// The calibrated probability of a logit.
    pub fn probability(&self, logit: f32) -> f64 {
        sigmoid(f64::from(logit) / self.temperature)
    }
}

/// The probability of a logit.
pub fn sigmoid(logit: f64) -> f64 {
    // Of two forms the one that cannot overflow.
    if logit >= 0.0 {
        1.0 / (1.0 + (-logit).exp())
    } else {
        logit.exp() / (1.0 + logit.exp())
    }
}

/// The mean negative log-likelihood (nats) of labels under sigmoid(logit / temperature). `None` when the
/// lengths differ, there is none, or a logit is not finite.
pub fn binary_loss(logits: &[f64], positive: &[bool], temperature: f64) -> Option<f64> {
    if logits.len() != positive.len() || logits.is_empty() || logits.iter().any(|z| !z.is_finite()) {
        return None;
    }
    let loss = |z: f64, y: bool| {
        let z = if y { -z } else { z } / temperature;
        z.max(0.0) + (-z.abs()).exp().ln_1p()
    };
    Some(
        logits
            .iter()
            .zip(positive)
            .map(|(z, y)| loss(*z, *y))
            .sum::<f64>()
            / logits.len() as f64,
    )
}

/// The temperature that minimises [`binary_loss`] of one label, within 0.05..20. The loss is convex in 1 /
/// temperature, so that its slope there has one change of sign, which bisection finds. `None` when a kind of
/// label is missing (any temperature would then only sharpen), or as for [`binary_loss`].
pub fn fit_temperature(logits: &[f64], positive: &[bool]) -> Option<f64> {
    binary_loss(logits, positive, 1.0)?;
    if !positive.contains(&true) || !positive.contains(&false) {
        return None;
    }
    let slope = |s: f64| -> f64 {
        logits
            .iter()
            .zip(positive)
            .map(|(z, y)| (sigmoid(s * z) - f64::from(u8::from(*y))) * z)
            .sum()
    };
    let (mut low, mut high) = (1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]);
    if slope(low) >= 0.0 {
        return Some(TEMPERATURES[1]);
    }
    if slope(high) <= 0.0 {
        return Some(TEMPERATURES[0]);
    }
    // 60 halvings leave less than a double can tell.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if slope(middle) < 0.0 {
            low = middle
        } else {
            high = middle
        }
    }
    Some(1.0 / f64::midpoint(low, high))
}

/// The expected calibration error of a label: the mean over `bins` equal bins (0, 1/bins], ... (0 belongs to
/// the first), weighted by what they hold, of the distance between the share of positives and the mean
/// probability. `None` when the lengths differ, there is none, `bins` is 0, or a probability is outside 0..1.
pub fn calibration_error(probabilities: &[f64], positive: &[bool], bins: usize) -> Option<f64> {
    if probabilities.len() != positive.len() || probabilities.is_empty() || bins == 0 {
        return None;
    }
    if probabilities.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return None;
    }
    let mut sums = vec![(0.0, 0.0); bins];
    for (p, y) in probabilities.iter().zip(positive) {
        let bin = (p * bins as f64).ceil() as usize;
        let (sum, positives) = &mut sums[bin.saturating_sub(1).min(bins - 1)];
        *sum += p;
        *positives += f64::from(u8::from(*y));
    }
    Some(
        sums.iter()
            .map(|(sum, positives): &(f64, f64)| (sum - positives).abs())
            .sum::<f64>()
            / probabilities.len() as f64,
    )
}

/// What an operating point makes best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// F1 of the label: what is published of the reports' findings is the F1 of the positives.
    F1,
    /// F1 among the thresholds that say yes to at most one in ten of what lacks the label, so this is what labels get. F1 alone says
    /// yes to nearly all of a label that a model hardly tells (Lipton et al. 2014, section 4), and a reader stops reading such marks.
    SpecificF1,
    /// Youden's J, sensitivity + specificity - 1, which does not depend on how frequent the label is: for a
    /// screening question.
    Youden,
}

/// Of what lacks a label, the share that [`Criterion::SpecificF1`] says yes to at most.
const FALSE_ALARMS: f64 = 0.1;

/// A threshold and what it reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    /// A score of at least this is a yes. It lies midway between two scores that occur, so that rounding
    /// changes no decision.
    pub threshold: f64,
    /// The value of the criterion on the scores that it was chosen on.
    pub value: f64,
}

/// The threshold that makes a criterion best; of equally good ones the highest, which says yes least often.
/// `None` when a kind of label is missing, the lengths differ, a score is not finite, or no threshold is specific enough.
pub fn operating_point(scores: &[f64], positive: &[bool], criterion: Criterion) -> Option<OperatingPoint> {
    let positives = positive.iter().filter(|p| **p).count();
    let negatives = positive.len() - positives;
    if scores.len() != positive.len()
        || positives == 0
        || negatives == 0
        || scores.iter().any(|s| !s.is_finite())
    {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut right, mut best) = (0, None::<OperatingPoint>);
    for (i, at) in order.iter().enumerate() {
        right += usize::from(positive[*at]);
        let next = order.get(i + 1).map(|n| scores[*n]);
        if next == Some(scores[*at]) {
            continue;
        }
        let wrong = i + 1 - right;
        let value = match criterion {
            Criterion::SpecificF1 if wrong as f64 > FALSE_ALARMS * negatives as f64 => break,
            Criterion::F1 | Criterion::SpecificF1 => 2.0 * right as f64 / (i + 1 + positives) as f64,
            Criterion::Youden => right as f64 / positives as f64 - wrong as f64 / negatives as f64,
        };
        if best.is_none_or(|b| value > b.value) {
            let middle = next.map_or(scores[*at], |next| f64::midpoint(next, scores[*at]));
            best = Some(OperatingPoint {
                threshold: middle,
                value,
            });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_is_bounded_and_needs_both_kinds() {
        assert_eq!(fit_temperature(&[1.0, -1.0], &[true, false]), Some(0.05));
        assert_eq!(fit_temperature(&[1.0, -1.0], &[false, true]), Some(20.0));
        assert_eq!(fit_temperature(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(fit_temperature(&[f64::NAN, 2.0], &[true, false]), None);
        // Three of four right at logits of 2: p = 3/4, so T = 2 / ln 3.
        let fitted = fit_temperature(&[2.0; 4], &[true, true, true, false]).unwrap();
        assert!((fitted - 2.0 / 3.0f64.ln()).abs() < 1e-9);
        assert!(binary_loss(&[800.0, -800.0], &[true, false], 1.0).unwrap() < 1e-12);
    }

    #[test]
    fn calibration_error_by_hand() {
        let error = calibration_error(&[0.2, 0.2, 0.9, 1.0], &[false, true, true, true], 5).unwrap();
        assert!((error - (0.6 + 0.1) / 4.0).abs() < 1e-12);
        assert_eq!(calibration_error(&[0.0, 1.0], &[false, true], 10), Some(0.0));
        assert_eq!(calibration_error(&[1.5], &[true], 10), None);
    }

    #[test]
    fn operating_points_by_hand() {
        let (scores, positive) = ([0.9, 0.8, 0.8, 0.3, 0.1], [true, true, false, true, false]);
        let f1 = operating_point(&scores, &positive, Criterion::F1).unwrap();
        assert!((f1.threshold - 0.2).abs() < 1e-12 && (f1.value - 6.0 / 7.0).abs() < 1e-12);
        let youden = operating_point(&scores, &positive, Criterion::Youden).unwrap();
        assert!((youden.threshold - 0.2).abs() < 1e-12 && (youden.value - 0.5).abs() < 1e-12);
        assert_eq!(operating_point(&scores, &[true; 5], Criterion::F1), None);
    }

    #[test]
    fn a_specific_point_is_no_more_than_one_false_alarm_in_ten() {
        // Positives and negatives take turns: F1 alone is best where all are positive.
        let scores: Vec<f64> = (0..40).map(|at| 1.0 - f64::from(at) / 40.0).collect();
        let positive: Vec<bool> = (0..40).map(|at| at % 2 == 0).collect();
        let calls = |criterion| {
            let point = operating_point(&scores, &positive, criterion).unwrap();
            scores.iter().filter(|score| **score >= point.threshold).count()
        };
        // The third positive is the last before a third negative of twenty.
        assert_eq!((calls(Criterion::F1), calls(Criterion::SpecificF1)), (39, 5));
        // A negative on top of them all, of five.
        let wrong = [false, true, false, false, false, false];
        assert_eq!(operating_point(&scores[..6], &wrong, Criterion::SpecificF1), None);
    }
}
