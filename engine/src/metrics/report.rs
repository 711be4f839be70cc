//! How well drafted reports say what is there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::classification::{Counts, micro};
use crate::text::{Blank, Certainty, Finding, Labels, Reading, Side};

/// What a draft says, and the truth (a description, never a label read back from a report).
#[derive(Clone, Debug)]
pub struct Pair {
    /// What the labeler reads in the drafted text.
    pub drafted: Reading,
    /// What is there.
    pub labels: Labels,
    /// What a blank of `labels` means: where it is unknown, that finding of this radiograph is not counted.
    pub blank: Blank,
    /// On which side each finding is, where it has one.
    pub sides: [Option<Side>; 14],
}

/// The scores of one finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FindingScore {
    /// Of the drafts that state it, the share in which it is there.
    pub precision: f64,
    /// Of the radiographs on which it is there, the share whose draft states it.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// On how many radiographs it is.
    pub support: usize,
    /// Of those that have a side, the share whose draft states it rightly; `None` when none has one.
    pub side_accuracy: Option<f64>,
}

/// The scores of drafted reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftScores {
    /// How many drafts.
    pub n: usize,
    /// F1 of the positives of the 13 findings, all drafts and findings counted together; No Finding apart.
    pub micro_f1: f64,
    /// Precision, in the same way.
    pub precision: f64,
    /// Recall, in the same way.
    pub recall: f64,
    /// Of the true findings that have a side, the share whose side the draft states rightly; a finding that
    /// is missed counts as wrong. `None` when none has a side.
    pub side_accuracy: Option<f64>,
    /// Each of the 13 findings, by its name in snake case.
    pub findings: BTreeMap<String, FindingScore>,
}

/// Scores drafts against the truth. Uncertain, negative and blank are all not positive, in the draft and in
/// the truth.
pub fn draft_scores<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> DraftScores {
    let mut counts = [Counts::default(); 14];
    // (right, all) of the true findings that have a side.
    let mut sides = [(0usize, 0usize); 14];
    let mut n = 0;
    for pair in pairs {
        n += 1;
        let drafted_sides = pair.drafted.sides();
        for finding in &Finding::ALL[1..] {
            let i = *finding as usize;
            if pair.labels[i].is_none() && pair.blank == Blank::Unknown {
                continue;
            }
            let there = pair.labels[i] == Some(Certainty::Positive);
            counts[i].add(pair.drafted.labels[i] == Some(Certainty::Positive), there);
            if there && pair.sides[i].is_some() {
                sides[i].1 += 1;
                sides[i].0 += usize::from(drafted_sides[i] == pair.sides[i]);
            }
        }
    }
    let share = |(right, all): (usize, usize)| (all > 0).then(|| right as f64 / all as f64);
    let findings = Finding::ALL[1..].iter().map(|finding| {
        let c = &counts[*finding as usize];
        let score = FindingScore {
            precision: c.precision(),
            recall: c.recall(),
            f1: c.f1(),
            support: c.support(),
            side_accuracy: share(sides[*finding as usize]),
        };
        (finding.name().to_lowercase().replace(' ', "_"), score)
    });
    let all = micro(&counts[1..]);
    DraftScores {
        n,
        micro_f1: all.f1(),
        precision: all.precision(),
        recall: all.recall(),
        side_accuracy: share(sides.iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))),
        findings: findings.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Labeler;

    fn pair(labeler: &Labeler, draft: &str, truth: &[(Finding, Option<Side>)]) -> Pair {
        let (mut labels, mut sides): (Labels, _) = ([None; 14], [None; 14]);
        for (finding, side) in truth {
            labels[*finding as usize] = Some(Certainty::Positive);
            sides[*finding as usize] = *side;
        }
        Pair {
            drafted: labeler.read(draft),
            blank: Blank::Absent,
            labels,
            sides,
        }
    }

    #[test]
    fn a_missed_finding_has_the_wrong_side() {
        use Finding::{Cardiomegaly, PleuralEffusion, Pneumothorax};
        let labeler = Labeler::new();
        let pairs = [
            pair(
                &labeler,
                "Small left effusion.",
                &[(PleuralEffusion, Some(Side::Left)), (Cardiomegaly, None)],
            ),
            pair(
                &labeler,
                "Right effusion.",
                &[(PleuralEffusion, Some(Side::Left))],
            ),
            pair(
                &labeler,
                "Possible pneumothorax.",
                &[(Pneumothorax, Some(Side::Right))],
            ),
            pair(&labeler, "Normal chest.", &[(Finding::NoFinding, None)]),
            pair(&labeler, "Cardiomegaly.", &[(Finding::NoFinding, None)]),
        ];
        let scores = draft_scores(&pairs);
        assert_eq!(scores.n, 5);
        assert_eq!(scores.precision, 2.0 / 3.0);
        assert_eq!(scores.recall, 2.0 / 4.0);
        assert_eq!(scores.micro_f1, 4.0 / 7.0);
        assert_eq!(scores.side_accuracy, Some(1.0 / 3.0));
        let effusion = scores.findings["pleural_effusion"];
        assert_eq!(
            (effusion.support, effusion.f1, effusion.side_accuracy),
            (2, 1.0, Some(0.5))
        );
        assert_eq!(scores.findings.len(), 13);
    }

    #[test]
    fn keys_are_in_snake_case() {
        let json = serde_json::to_value(draft_scores(&[])).unwrap();
        assert_eq!(json["n"], 0);
        assert_eq!(json["micro_f1"], 0.0);
        assert!(json["side_accuracy"].is_null());
        assert_eq!(json["findings"]["enlarged_cardiomediastinum"]["support"], 0);
    }
}
