//! All measures of generated text together: BLEU, METEOR, ROUGE-L, CIDEr, and what the texts say clinically.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bleu::{Bleu, bleu};
use super::cider::cider;
use super::classification::Counts;
use super::meteor::{MeteorError, meteor};
use super::rouge::rouge_l;
use super::texts::Texts;
use crate::text::{Certainty, Finding, Labeler};

/// The scores of generated text, named as they are published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationScores {
    /// How many candidates.
    pub n: usize,
    /// BLEU-1 to BLEU-4 of the collection.
    #[serde(flatten)]
    pub bleu: Bleu,
    /// METEOR of the collection.
    pub meteor: f64,
    /// The stages of METEOR that ran: without its data files only "exact" and "stem".
    pub meteor_stages: Vec<String>,
    /// The mean of ROUGE-L.
    pub rouge_l: f64,
    /// The mean of CIDEr.
    pub cider: f64,
}

/// Why texts could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// There is nothing.
    #[error("there is no candidate to score; give at least one line")]
    Empty,
    /// A candidate has nothing to be compared with.
    #[error("candidate {0} has no reference; give one a line, several separated by tabs")]
    NoReference(usize),
    /// METEOR's data is wrong.
    #[error(transparent)]
    Meteor(#[from] MeteorError),
}

/// Scores candidates against their references, METEOR with the data in `meteor_data` where that is given
/// (see [`meteor()`](super::meteor())).
///
/// # Errors
/// [`GenerationError`] when there is no candidate, one has no reference, or METEOR's data cannot be used.
pub fn generation_scores(
    pairs: &[Texts<'_>],
    meteor_data: Option<&Path>,
) -> Result<GenerationScores, GenerationError> {
    if pairs.is_empty() {
        return Err(GenerationError::Empty);
    }
    if let Some(i) = pairs.iter().position(|(_, references)| references.is_empty()) {
        return Err(GenerationError::NoReference(i + 1));
    }
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let meteor = meteor(pairs, meteor_data)?;
    Ok(GenerationScores {
        n: pairs.len(),
        bleu: bleu(pairs.iter().copied()),
        meteor: meteor.score,
        meteor_stages: meteor.stages,
        rouge_l: mean(rouge_l(pairs)),
        cider: mean(cider(pairs)),
    })
}

/// Clinical efficacy: the labels that the labeler reads in the candidates against those in the references,
/// the positives of the 13 findings, all counted together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClinicalScores {
    /// The share of decisions (reports times findings) that agree.
    pub accuracy: f64,
    /// Of the findings that the candidates state, the share that the references state.
    pub precision: f64,
    /// Of the findings that the references state, the share that the candidates state.
    pub recall: f64,
    /// Their harmonic mean.
    pub micro_f1: f64,
}

/// Compares what candidates and references say. Several references are read as one text; uncertain, negative
/// and blank are not positive.
pub fn clinical_scores(pairs: &[Texts<'_>], labeler: &Labeler) -> ClinicalScores {
    let mut counts = Counts::default();
    for (candidate, references) in pairs {
        let said = labeler.read(candidate).labels;
        let is = labeler.read(&references.join("\n\n")).labels;
        for finding in &Finding::ALL[1..] {
            let positive =
                |labels: &crate::text::Labels| labels[*finding as usize] == Some(Certainty::Positive);
            counts.add(positive(&said), positive(&is));
        }
    }
    ClinicalScores {
        accuracy: counts.accuracy(),
        precision: counts.precision(),
        recall: counts.recall(),
        micro_f1: counts.f1(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_published_names() {
        let scores = generation_scores(&[("clear lungs .", &["lungs are clear ."])], None).unwrap();
        let json = serde_json::to_value(scores).unwrap();
        for key in [
            "n", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider",
        ] {
            assert!(json[key].is_number(), "{key}");
        }
        assert_eq!(json["meteor_stages"], serde_json::json!(["exact", "stem"]));
        assert!(matches!(
            generation_scores(&[], None),
            Err(GenerationError::Empty)
        ));
        let lone: Texts<'_> = ("a", &[]);
        assert!(matches!(
            generation_scores(&[("a", &["a"]), lone], None),
            Err(GenerationError::NoReference(2))
        ));
    }

    #[test]
    fn what_is_said_of_13_findings() {
        let labeler = Labeler::new();
        let pairs: [Texts<'_>; 2] = [
            (
                "large left pneumothorax .",
                &["there is a pneumothorax .", "the heart is enlarged ."],
            ),
            ("no acute disease .", &["no acute disease ."]),
        ];
        let scores = clinical_scores(&pairs, &labeler);
        assert_eq!((scores.precision, scores.recall), (1.0, 0.5));
        assert!((scores.accuracy - 25.0 / 26.0).abs() < 1e-12 && (scores.micro_f1 - 2.0 / 3.0).abs() < 1e-12);
    }
}
