//! Drafts of a data set, scored against what is known to be there and against the reports that were written.

use burn::tensor::{Tensor, activation::log_softmax};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{AT_ONCE, Cases, EvaluateError, Scores, encode};
use crate::data::Study;
use crate::metrics::{
    DraftScores, GenerationScores, Pair, bleu, draft_scores, generation_scores, perplexity,
};
use crate::nn::ints;
use crate::systems::Task;
use crate::tasks::error::read_back;
use crate::tasks::{Drafter, Session, TaskError};
use crate::text::{Certainty, Finding, Labeler, Labels, present};

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

/// The mean negative log-likelihood of a text's tokens, closing SEP included, under teacher forcing.
///
/// # Shapes
/// - image `(1, K, F)`
async fn likelihood(session: &Session, image: Tensor<3>, tokens: &[u32]) -> Result<f64, TaskError> {
    let device = &session.device;
    let ids = |tokens: &[u32]| tokens.iter().map(|t| *t as i32).collect::<Vec<_>>();
    let count = tokens.len();
    // The prediction of the token after the last is thrown away.
    let logits = session
        .generator()?
        .forward(image, ints(ids(tokens), [1, count], device));
    let [_, steps, vocabulary] = logits.dims();
    // (1, T + 1, V) -> (T + 1, V)
    let logits = logits.reshape([steps, vocabulary]).narrow(0, 0, count);
    let targets = ints(ids(tokens), [count, 1], device);
    let loss = log_softmax(logits, 1).gather(1, targets).mean().neg();
    Ok(f64::from(read_back(loss).await?[0]))
}

/// Drafts `studies`; `progress` is told how many are done.
///
/// Truth is the phantom's description where there is one, else the data set's labels, else the reference's as read by
/// the labeler.
///
/// # Errors
/// The first image that cannot be read, or a device that fails.
pub(super) async fn evaluate(
    session: &Session,
    studies: &[Study],
    mut progress: impl FnMut(usize),
) -> Result<DraftCases, EvaluateError> {
    let drafter = Drafter::new(session)?;
    let tokenizer = session.tokenizer(Task::Draft)?;
    let labeler = Labeler::new();
    let mut cases = DraftCases {
        pairs: Vec::new(),
        lines: Vec::new(),
        tokens: Vec::new(),
        losses: Vec::new(),
    };
    for part in studies.chunks(AT_ONCE) {
        let images = encode(session, part, None)?;
        for (row, study) in part.iter().enumerate() {
            let reference = session.encode_text(Task::Draft, study.report.longer())?;
            let loss = likelihood(session, images.clone().narrow(0, row, 1), &reference).await?;
            cases.losses.push((loss, reference.len()));
        }
        let drafts = drafter.draft_batch(images, usize::MAX).await?;
        for (study, draft) in part.iter().zip(drafts) {
            let decoded = tokenizer.decode(&draft.ids());
            let text = present(&decoded);
            let reading = labeler.read(&text);
            let (truth, sides, blank) = study.truth(&labeler);
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
                blank,
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
    fn lines(&self) -> Vec<Value> {
        self.lines.iter().map(|line| json!(line)).collect()
    }

    fn more(&self) -> Result<Map<String, Value>, EvaluateError> {
        let object = |value: Value| match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let mut more = object(json!(self.stated()));
        let mut generated = object(json!(self.generated()?));
        generated.remove("n");
        more.extend(generated);
        Ok(more)
    }

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
