//! Drafts of a data set, scored against what is known to be there and against the reports that were written.

use burn::tensor::Device;
use serde::Serialize;

use super::{AT_ONCE, Cases, EvaluateError, Scores, encode};
use crate::data::Study;
use crate::metrics::{
    DraftScores, GenerationScores, Pair, bleu, draft_scores, generation_scores, perplexity,
};
use crate::systems::learn::{Batch, Example, Learner, Pictures, Words};
use crate::systems::medvill::MedVill;
use crate::tasks::Drafter;
use crate::text::{Certainty, Finding, Labeler, Labels, Tokenizer, present};

/// One draft beside its reference.
#[derive(Clone, Debug, Serialize)]
pub struct DraftLine {
    /// The study.
    pub id: String,
    /// What the model wrote.
    pub draft: String,
    /// What the data set says.
    pub reference: String,
    /// Categories that the draft states.
    pub stated: Vec<&'static str>,
    /// Categories that are there.
    pub truth: Vec<&'static str>,
}

/// Drafts with what they are measured by.
pub struct DraftCases {
    /// What each draft states, and the truth.
    pub pairs: Vec<Pair>,
    /// The drafts.
    pub lines: Vec<DraftLine>,
    /// Tokens of draft and reference, joined by spaces.
    tokens: Vec<(String, String)>,
    /// Mean negative log-likelihood of a reference's words, and how many they are.
    losses: Vec<(f64, usize)>,
}

/// Drafts `studies`; `progress` is told how many are done.
///
/// Truth is the phantom's description where there is one, else the data set's labels, else the reference's as
/// read by the labeler; sides are known for phantoms alone.
///
/// # Errors
/// The first picture that cannot be read, or a device that fails.
pub async fn evaluate_drafts(
    model: &MedVill,
    tokenizer: &Tokenizer,
    studies: &[Study],
    device: &Device,
    mut progress: impl FnMut(usize),
) -> Result<DraftCases, EvaluateError> {
    let drafter = Drafter::new(model, tokenizer);
    let labeler = Labeler::new();
    let words = Words::new(tokenizer);
    let weights = [("report".to_owned(), 1.0)].into();
    let mut cases = DraftCases {
        pairs: Vec::new(),
        lines: Vec::new(),
        tokens: Vec::new(),
        losses: Vec::new(),
    };
    for part in studies.chunks(AT_ONCE) {
        let features = encode(model, part, device)?;
        for (row, study) in part.iter().enumerate() {
            let reference = tokenizer.encode_closed(study.report.longer(), model.config().words)?;
            let example = Example {
                words: reference.clone(),
                ..Example::default()
            };
            let batch = Batch {
                pictures: Pictures::Features(features.clone().narrow(0, row, 1)),
                examples: vec![&example],
                numbers: Vec::new(),
                strangers: Vec::new(),
                asked: Vec::new(),
            };
            // Nothing of this objective is left to chance.
            let losses = model.losses(&batch, &weights, &words, &mut crate::systems::learn::stream(0, 0));
            if let Some((_, loss)) = losses.into_iter().next() {
                cases.losses.push((
                    f64::from(super::super::error::numbers(loss).await?[0]),
                    reference.len(),
                ));
            }
        }
        for (study, draft) in part
            .iter()
            .zip(drafter.draft_batch(features, model.config().words).await?)
        {
            let ids: Vec<u32> = draft.words.iter().map(|w| w.id).collect();
            let decoded = tokenizer.decode(&ids);
            let text = present(&decoded);
            let reading = labeler.read(&text);
            let (truth, sides) = match &study.description {
                Some(description) => (description.labels(), description.sides()),
                None => (
                    study.labels.unwrap_or_else(|| labeler.labels(&study.report)),
                    [None; 14],
                ),
            };
            let positive = |labels: &Labels| {
                let is = |f: &Finding| labels[*f as usize] == Some(Certainty::Positive);
                Finding::ALL.into_iter().filter(is).map(Finding::name).collect()
            };
            let reference = study.report.longer().to_owned();
            cases
                .tokens
                .push((spaced(&decoded), spaced(&reference.to_lowercase())));
            cases.lines.push(DraftLine {
                id: study.id.clone(),
                stated: positive(&reading.labels),
                truth: positive(&truth),
                draft: text,
                reference,
            });
            cases.pairs.push(Pair {
                drafted: reading,
                labels: truth,
                sides,
            });
        }
        progress(cases.lines.len());
    }
    Ok(cases)
}

/// Words and punctuation marks with a space between any two, as the measures of generated text want them.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let mark = c.is_ascii_punctuation() && c != '-' && c != '\'';
        if mark {
            out.push(' ');
        }
        out.push(if c.is_whitespace() { ' ' } else { c });
        if mark {
            out.push(' ');
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl DraftCases {
    /// The scores of what the drafts state, with each finding's.
    pub fn stated(&self) -> DraftScores {
        draft_scores(&self.pairs)
    }

    /// All measures of generated text.
    ///
    /// # Errors
    /// When there is no draft.
    pub fn generated(&self) -> Result<GenerationScores, EvaluateError> {
        let references: Vec<[&str; 1]> = self
            .tokens
            .iter()
            .map(|(_, reference)| [reference.as_str()])
            .collect();
        let pairs: Vec<(&str, &[&str])> = self
            .tokens
            .iter()
            .zip(&references)
            .map(|((draft, _), r)| (draft.as_str(), r.as_slice()))
            .collect();
        Ok(generation_scores(&pairs, None)?)
    }
}

impl Cases for DraftCases {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let stated = draft_scores(indices.iter().map(|&i| &self.pairs[i]));
        let references: Vec<[&str; 1]> = indices.iter().map(|&i| [self.tokens[i].1.as_str()]).collect();
        let texts = indices
            .iter()
            .zip(&references)
            .map(|(&i, r)| (self.tokens[i].0.as_str(), r.as_slice()));
        let bleu = bleu(texts);
        let losses = indices.iter().filter_map(|&i| self.losses.get(i));
        let losses = losses.flat_map(|&(loss, words)| std::iter::repeat_n(loss, words));
        let named = [
            ("micro_f1", Some(stated.micro_f1)),
            ("precision", Some(stated.precision)),
            ("recall", Some(stated.recall)),
            ("side_accuracy", stated.side_accuracy),
            ("bleu_1", Some(bleu.bleu_1)),
            ("bleu_4", Some(bleu.bleu_4)),
            ("perplexity", perplexity(losses)),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}
