//! What a radiograph shows, as probabilities (MedViLL, section 4.1, diagnosis).

use burn::tensor::Tensor;

use super::error::{TaskError, numbers};
use crate::metrics::{Criterion, fit_temperature, operating_point, sigmoid};
use crate::systems::medvill::MedVill;
use crate::text::{Finding, Side, Specials};

/// Logits of the fourteen categories of one radiograph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FindingLogits {
    /// Anywhere.
    pub anywhere: [f32; 14],
    /// On the patient's left and right, for models that tell.
    pub sides: Option<[[f32; 14]; 2]>,
}

/// How a category's logit becomes a probability and a decision; both are fitted on validation data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// The logit is divided by it (Guo et al. 2017).
    pub temperature: f64,
    /// The probability from which on the category is said to be there.
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

/// One category, read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FindingReading {
    /// The category.
    pub finding: Finding,
    /// Its calibrated probability.
    pub probability: f64,
    /// The probability from which on it is said to be there.
    pub operating_point: f64,
    /// Where it is, for a category that has a side and is said to be there.
    pub side: Option<Side>,
}

impl FindingReading {
    /// Whether it is said to be there.
    pub fn present(&self) -> bool {
        self.probability >= self.operating_point
    }
}

impl FindingLogits {
    /// The side on which a category is: the sides whose own logit says so, else the likelier one.
    pub fn side(&self, finding: Finding) -> Option<Side> {
        let [left, right] = self.sides?.map(|side| side[finding as usize]);
        Some(match (left > 0.0, right > 0.0) {
            (true, true) => Side::Bilateral,
            _ if left >= right => Side::Left,
            _ => Side::Right,
        })
    }

    /// All categories, as the calibration of each says.
    pub fn readings(&self, calibrations: &[Calibration; 14]) -> Vec<FindingReading> {
        let read = |finding: Finding| {
            let Calibration {
                temperature,
                operating_point,
            } = calibrations[finding as usize];
            let probability = sigmoid(f64::from(self.anywhere[finding as usize]) / temperature);
            let there = probability >= operating_point && finding.has_side();
            FindingReading {
                finding,
                probability,
                operating_point,
                side: if there { self.side(finding) } else { None },
            }
        };
        Finding::ALL.into_iter().map(read).collect()
    }
}

/// The logits of some radiographs: from picture and report where `reports` are given, else from the picture
/// alone, by the map's own layer where the model has one.
///
/// # Shapes
/// - features `(batch, K, features)`, reports one a sample, closing SEP included
///
/// # Errors
/// A model without such a head, and a device that fails.
pub async fn finding_logits(
    model: &MedVill,
    features: Tensor<3>,
    reports: Option<&[&[u32]]>,
    specials: Specials,
) -> Result<Vec<FindingLogits>, TaskError> {
    let [batch, tokens, _] = features.dims();
    if reports.is_none()
        && let Some(logits) = model.map_findings(features.clone(), &(0..tokens).collect::<Vec<_>>())
    {
        let values = numbers(logits).await?;
        let part = |row: &[f32], at: usize| std::array::from_fn(|i| row[at * 14 + i]);
        let read = |row: &[f32]| FindingLogits {
            anywhere: part(row, 0),
            sides: Some([part(row, 1), part(row, 2)]),
        };
        return Ok(values.chunks(3 * 14).map(read).collect());
    }
    let nothing = [specials.sep];
    let alone: Vec<&[u32]> = vec![&nothing; batch];
    let texts = reports.unwrap_or(&alone);
    let logits = model.diagnosis_logits(model.judge(features, texts, specials).0);
    let values = numbers(logits.ok_or(TaskError::NoHead("findings"))?).await?;
    let read = |row: &[f32]| FindingLogits {
        anywhere: std::array::from_fn(|i| row[i]),
        sides: None,
    };
    Ok(values.chunks(14).map(read).collect())
}

/// Temperature and operating point of each category, from logits and truth of validation data; a category
/// that is always or never there keeps the default, and one whose cases the logits separate keeps its
/// temperature: they would bear any, and the least would call everything certain. The operating point makes
/// F1 best.
pub fn calibrate(logits: &[FindingLogits], truth: &[[Option<bool>; 14]]) -> [Calibration; 14] {
    std::array::from_fn(|category| {
        let known = logits
            .iter()
            .zip(truth)
            .filter_map(|(l, t)| Some((f64::from(l.anywhere[category]), t[category]?)));
        let (values, positive): (Vec<f64>, Vec<bool>) = known.unzip();
        let separated = values
            .iter()
            .zip(&positive)
            .all(|(value, is)| *value != 0.0 && (*value > 0.0) == *is);
        let temperature = fit_temperature(&values, &positive)
            .filter(|_| !separated)
            .unwrap_or(1.0);
        let probabilities: Vec<f64> = values.iter().map(|v| sigmoid(v / temperature)).collect();
        let point = operating_point(&probabilities, &positive, Criterion::F1);
        Calibration {
            temperature,
            operating_point: point.map_or(0.5, |p| p.threshold),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_that_validation_separates_keeps_its_temperature() {
        let (mut logits, mut truth) = (Vec::new(), Vec::new());
        for case in 0..40 {
            // Category 0 is separated; 1 is as often wrong as 2 in 10 at a logit of 4, which claims 2 in 100;
            // 2 is never there.
            let (is, wrong) = (case % 2 == 0, case % 5 == 0);
            let toward = |is: bool| if is { 4.0 } else { -4.0 };
            let mut anywhere = [-4.0; 14];
            (anywhere[0], anywhere[1]) = (toward(is), toward(is != wrong));
            let mut there = [Some(false); 14];
            (there[0], there[1]) = (Some(is), Some(is));
            logits.push(FindingLogits {
                anywhere,
                sides: None,
            });
            truth.push(there);
        }
        let fitted = calibrate(&logits, &truth);
        assert_eq!((fitted[0].temperature, fitted[2].temperature), (1.0, 1.0));
        // The logarithm of 4 is what 8 of 10 deserve.
        assert!(
            (fitted[1].temperature - 4.0 / 4f64.ln()).abs() < 1e-6,
            "{}",
            fitted[1].temperature
        );
    }
}
