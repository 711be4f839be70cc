//! What a radiograph shows, as probabilities (MedViLL, section 4.1, diagnosis).

use burn::tensor::Tensor;
use hilum_task::Area;

use super::error::{TaskError, read_back};
use super::session::Session;
use crate::bundle::Label;
use crate::metrics::{Calibration, Criterion, fit_temperature, operating_point};
use crate::systems::Input;
use crate::text::{Finding, LabelSet, Side, Target};

/// One label, read.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingReading {
    /// The label.
    pub name: String,
    /// Its calibrated probability.
    pub probability: f64,
    /// The probability from which it counts as present.
    pub operating_point: f64,
    /// On which side, for a present finding that has one.
    pub side: Option<Side>,
    /// How well the model told it on test data, where its bundle says so.
    pub area: Option<Area>,
}

impl FindingReading {
    /// Whether it counts as present.
    pub fn present(&self) -> bool {
        self.probability >= self.operating_point
    }
}

/// The labels of a side that go with a label of anywhere: indices of left and right.
pub(super) fn sides_of(labels: &[Label], anywhere: &Label) -> Option<[usize; 2]> {
    let of = |side| {
        let wanted = |label: &Label| label.name == anywhere.name && label.side == Some(side);
        labels.iter().position(wanted)
    };
    Some([of(Side::Left)?, of(Side::Right)?])
}

/// The side of a finding from the logits of left and right: the sides whose own logit says so, else the likelier one.
pub(super) fn side(left: f32, right: f32) -> Side {
    match (left > 0.0, right > 0.0) {
        (true, true) => Side::Bilateral,
        _ if left >= right => Side::Left,
        _ => Side::Right,
    }
}

/// The readings of one radiograph's logits, a label of anywhere each. `logits` may end before the labels do.
pub fn readings(labels: &[Label], logits: &[f32]) -> Vec<FindingReading> {
    let read = |(label, logit): (&Label, &f32)| {
        let Calibration { operating_point, .. } = label.calibration();
        let probability = label.calibration().probability(*logit);
        let sided = Finding::from_name(&label.name).is_none_or(Finding::has_side);
        let sides = sides_of(labels, label).filter(|_| sided && probability >= operating_point);
        let told = sides.and_then(|[left, right]| Some(side(*logits.get(left)?, *logits.get(right)?)));
        FindingReading {
            name: label.name.clone(),
            probability,
            operating_point,
            side: told,
            area: label.area,
        }
    };
    let anywhere = labels
        .iter()
        .zip(logits)
        .filter(|(label, _)| label.side.is_none());
    anywhere.map(read).collect()
}

/// The logits of some radiographs' labels: from image and report where reports are given, else from the image alone.
///
/// # Shapes
/// - image `(B, K, F)`, reports one a sample, closing SEP included -> `B` rows
///
/// # Errors
/// A model without such a head, and a device that fails.
pub async fn finding_logits(
    session: &Session,
    image: Tensor<3>,
    reports: Option<&[&[u32]]>,
) -> Result<Vec<Vec<f32>>, TaskError> {
    let input = Input {
        image: Some(image),
        text: reports,
    };
    let logits = session
        .system()
        .classify(input)
        .ok_or(TaskError::NoHead("head for findings"))?;
    let labels = logits.dims()[1].max(1);
    let values = read_back(logits).await?;
    Ok(values.chunks(labels).map(<[f32]>::to_vec).collect())
}

/// The labels of a set with temperature and operating point, fitted on logits and truth of validation data; a label that is
/// always or never there keeps the default, and one whose cases the logits separate keeps its temperature: they would
/// bear any, and the least would call everything certain. The operating point makes F1 best among those with at most one false
/// alarm in ten. Labels of a side are decided by their logit and stay as they are.
pub fn calibrate(set: &LabelSet, logits: &[Vec<f32>], truth: &[Vec<Target>]) -> Vec<Label> {
    let fit = |at: usize| {
        let known = logits
            .iter()
            .zip(truth)
            .filter_map(|(l, t)| Some((f64::from(*l.get(at)?), (*t.get(at)?)?)));
        let (values, positive): (Vec<f64>, Vec<bool>) = known.unzip();
        let separated = values
            .iter()
            .zip(&positive)
            .all(|(value, is)| *value != 0.0 && (*value > 0.0) == *is);
        let temperature = fit_temperature(&values, &positive)
            .filter(|_| !separated)
            .unwrap_or(1.0);
        let calibration = Calibration {
            temperature,
            ..Calibration::default()
        };
        let probabilities: Vec<f64> = values
            .iter()
            .map(|v| calibration.probability(*v as f32))
            .collect();
        let point = operating_point(&probabilities, &positive, Criterion::SpecificF1);
        (temperature, point.map_or(0.5, |p| p.threshold))
    };
    let label = |(at, name)| {
        let label = Label::new(name);
        if label.side.is_some() {
            return label;
        }
        let (temperature, operating_point) = fit(at);
        Label {
            temperature: Some(temperature),
            operating_point: Some(operating_point),
            ..label
        }
    };
    set.labels.iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_that_validation_separates_keeps_its_temperature() {
        let (mut logits, mut truth) = (Vec::new(), Vec::new());
        for case in 0..40 {
            // Label 0 is separated; 1 is as often wrong as 2 in 10 at a logit of 4, which claims 2 in 100; 2 is never there.
            let (is, wrong) = (case % 2 == 0, case % 5 == 0);
            let toward = |is: bool| if is { 4.0 } else { -4.0 };
            let mut row = vec![-4.0; 14];
            (row[0], row[1]) = (toward(is), toward(is != wrong));
            let mut there = vec![Some(false); 14];
            (there[0], there[1]) = (Some(is), Some(is));
            logits.push(row);
            truth.push(there);
        }
        let fitted = calibrate(&LabelSet::chexpert14(), &logits, &truth);
        let temperature = |at: usize| fitted[at].calibration().temperature;
        assert_eq!((temperature(0), temperature(2)), (1.0, 1.0));
        // The logarithm of 4 is what 8 of 10 deserve.
        assert!(
            (temperature(1) - 4.0 / 4f64.ln()).abs() < 1e-6,
            "{}",
            temperature(1)
        );
    }

    #[test]
    fn a_side_is_told_of_what_is_present_and_has_one() {
        let labels: Vec<Label> = LabelSet::chexpert14()
            .with_sides()
            .labels
            .iter()
            .map(Label::new)
            .collect();
        let (effusion, heart) = (Finding::PleuralEffusion as usize, Finding::Cardiomegaly as usize);
        let mut logits = vec![-3.0; 42];
        (
            logits[effusion],
            logits[heart],
            logits[28 + effusion],
            logits[14 + heart],
        ) = (2.0, 2.0, 1.0, 1.0);
        let read = readings(&labels, &logits);
        assert_eq!(read.len(), 14);
        assert_eq!(read[effusion].side, Some(Side::Right));
        assert_eq!((read[heart].present(), read[heart].side), (true, None));
        assert!(readings(&labels, &logits[..14]).iter().all(|r| r.side.is_none()));
    }
}
