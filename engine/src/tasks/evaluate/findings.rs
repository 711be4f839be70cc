//! Findings against what is there: AUROC and F1 of the fourteen categories (MedViLL, section 4.1), and sides.

use burn::tensor::Device;

use super::{AT_ONCE, Cases, EvaluateError, Scores, encode};
use crate::data::Study;
use crate::metrics::{Counts, auroc, calibration_error, macro_auroc, macro_f1, micro, micro_auroc, sigmoid};
use crate::systems::medvill::MedVill;
use crate::tasks::{Calibration, FindingLogits, finding_logits};
use crate::text::{Certainty, Finding, Labeler, Side, Tokenizer};

/// Each radiograph's logits beside what is there.
pub struct FindingCases {
    /// What was read.
    pub logits: Vec<FindingLogits>,
    /// What is there; `None` where that is uncertain.
    pub truth: Vec<[Option<bool>; 14]>,
    /// On which side, where one is known.
    pub sides: Vec<[Option<Side>; 14]>,
    /// What makes a logit a decision.
    pub calibrations: [Calibration; 14],
}

/// What is there: the phantom's description, else the published labels, else what the labeler reads in the
/// report. Sides are known for phantoms alone.
pub fn truth_of(study: &Study, labeler: &Labeler) -> ([Option<bool>; 14], [Option<Side>; 14]) {
    let (labels, sides) = match &study.description {
        Some(description) => (description.labels(), description.sides()),
        None => (
            study.labels.unwrap_or_else(|| labeler.labels(&study.report)),
            [None; 14],
        ),
    };
    let there = labels.map(|label| match label {
        Some(Certainty::Uncertain) => None,
        other => Some(other == Some(Certainty::Positive)),
    });
    (there, sides)
}

/// Reads all studies, from picture and report or from the picture alone.
///
/// # Errors
/// The first picture that cannot be read, a model without such a head, a device that fails.
pub async fn evaluate_findings(
    model: &MedVill,
    tokenizer: &Tokenizer,
    studies: &[Study],
    with_reports: bool,
    calibrations: [Calibration; 14],
    device: &Device,
    mut progress: impl FnMut(usize),
) -> Result<FindingCases, EvaluateError> {
    let labeler = Labeler::new();
    let mut cases = FindingCases {
        logits: Vec::new(),
        truth: Vec::new(),
        sides: Vec::new(),
        calibrations,
    };
    for part in studies.chunks(AT_ONCE) {
        let words = part
            .iter()
            .map(|s| tokenizer.encode_closed(s.report.longer(), model.config().words));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        let words: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
        let reports = with_reports.then_some(words.as_slice());
        let features = encode(model, part, device)?;
        cases
            .logits
            .extend(finding_logits(model, features, reports, tokenizer.specials()).await?);
        for study in part {
            let (truth, sides) = truth_of(study, &labeler);
            cases.truth.push(truth);
            cases.sides.push(sides);
        }
        progress(cases.logits.len());
    }
    Ok(cases)
}

impl Cases for FindingCases {
    fn len(&self) -> usize {
        self.logits.len()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let mut classes = Vec::with_capacity(14);
        let mut counts = [Counts::default(); 14];
        let (mut right, mut sided) = (0usize, 0usize);
        let mut scores = Scores::new();
        for finding in Finding::ALL {
            let category = finding as usize;
            let Calibration {
                temperature,
                operating_point,
            } = self.calibrations[category];
            let (mut values, mut positive) = (Vec::new(), Vec::new());
            for &i in indices {
                let Some(is) = self.truth[i][category] else {
                    continue;
                };
                let probability = sigmoid(f64::from(self.logits[i].anywhere[category]) / temperature);
                let says = probability >= operating_point;
                counts[category].add(says, is);
                values.push(probability);
                positive.push(is);
                if let (true, Some(side), Some(_)) = (is, self.sides[i][category], self.logits[i].sides) {
                    sided += 1;
                    right += usize::from(says && self.logits[i].side(finding) == Some(side));
                }
            }
            if let Some(area) = auroc(&values, &positive) {
                scores.insert(format!("auroc_{}", snake(finding.name())), area);
            }
            scores.insert(format!("f1_{}", snake(finding.name())), counts[category].f1());
            classes.push((values, positive));
        }
        let (all, truths): (Vec<Vec<f64>>, Vec<Vec<bool>>) = classes.iter().cloned().unzip();
        let named = [
            ("micro_auroc", micro_auroc(&classes)),
            ("macro_auroc", macro_auroc(&classes)),
            // No Finding apart, as for drafts; `micro_f1_14` counts it in, as the paper does.
            ("micro_f1", Some(micro(&counts[1..]).f1())),
            ("micro_f1_14", Some(micro(&counts).f1())),
            ("macro_f1", macro_f1(&counts[1..])),
            ("precision", Some(micro(&counts[1..]).precision())),
            ("recall", Some(micro(&counts[1..]).recall())),
            ("accuracy", Some(micro(&counts[1..]).accuracy())),
            ("side_accuracy", (sided > 0).then(|| right as f64 / sided as f64)),
            (
                "calibration_error",
                calibration_error(&all.concat(), &truths.concat(), 10),
            ),
        ];
        scores.extend(
            named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        scores
    }
}

fn snake(name: &str) -> String {
    name.to_lowercase().replace(' ', "_")
}
