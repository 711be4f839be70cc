//! A report checked against its radiograph (Park et al. 2022, "Clinical application for human error detection"): how well the two match,
//! and each word, hidden and predicted from the picture and the other words.

use std::ops::{ControlFlow, Range};

use burn::tensor::Tensor;
use hilum_task::{Checked, CheckedWord};

use super::error::{TaskError, read_back};
use super::retrieve::match_probabilities;
use super::session::Session;
use crate::systems::Task;
use crate::text::{Subject, Tokenizer, subject, swap_sides};

/// Words that are hidden, each in a copy of the report, in one pass.
const AT_ONCE: usize = 16;

/// A word of a report.
struct Word {
    /// Its token's place among the report's; of a word of several pieces the first.
    place: usize,
    /// Its bytes.
    span: Range<usize>,
    /// Its token where it is one; a word of several pieces is weighed by its first.
    token: u32,
    /// Whether it is one token.
    whole: bool,
}

/// The words among a text's tokens: letters and figures, no signs.
fn words(tokenizer: &Tokenizer, placed: &[(u32, Range<usize>)]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for (place, (token, span)) in placed.iter().enumerate() {
        let piece = tokenizer.piece(*token);
        if piece.starts_with("##") {
            if let Some(last) = words.last_mut() {
                last.span.end = span.end;
                last.whole = false;
            }
        } else if piece.chars().any(char::is_alphanumeric) {
            words.push(Word {
                place,
                span: span.clone(),
                token: *token,
                whole: true,
            });
        }
    }
    words
}

/// What may stand in a word's place: whole words, and of a side, sides.
struct Choices {
    words: Vec<u32>,
    sides: Vec<u32>,
}

impl Choices {
    fn new(tokenizer: &Tokenizer) -> Self {
        let specials = tokenizer.specials();
        let all = 0..tokenizer.vocabulary_size() as u32;
        let whole = |id: &u32| {
            let piece = tokenizer.piece(*id);
            !specials.hidden(*id)
                && !piece.starts_with("##")
                && piece.chars().all(char::is_alphanumeric)
                && !piece.is_empty()
        };
        let sides = ["left", "right"].iter().filter_map(|side| tokenizer.id(side));
        Self {
            words: all.filter(whole).collect(),
            sides: sides.collect(),
        }
    }

    fn of(&self, token: u32) -> &[u32] {
        if self.sides.contains(&token) {
            &self.sides
        } else {
            &self.words
        }
    }
}

/// Refuses what is no report of a chest radiograph: a model would score any text, and that score would mean nothing. A text of which
/// nothing tells the part of the body is let through.
///
/// # Errors
/// What the text is instead.
pub fn checkable(report: &str) -> Result<(), TaskError> {
    match subject(report) {
        Subject::Chest | Subject::Unclear => Ok(()),
        Subject::Empty => Err(TaskError::EmptyReport),
        other => Err(TaskError::Subject(other)),
    }
}

/// Checks a report, which the caller has found [`checkable`]; `each` is told how many of its words are weighed, of how many, and cancels
/// by breaking: then there is no result.
///
/// # Shapes
/// - image `(1, K, F)`
///
/// # Errors
/// An empty report, a model without such heads, text that cannot be encoded, a device that fails.
pub async fn check(
    session: &Session,
    image: &Tensor<3>,
    report: &str,
    mut each: impl AsyncFnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Checked>, TaskError> {
    let tokenizer = session.tokenizer(Task::Check)?;
    let most = session.spec().text.map_or(0, |text| text.max_tokens);
    let all = tokenizer.encode_placed(report, usize::MAX)?;
    let placed = &all[..all.len().min(most)];
    let (read, rest) = (words(tokenizer, placed), words(tokenizer, &all[placed.len()..]));
    if read.is_empty() {
        return Err(TaskError::EmptyReport);
    }
    let mut tokens: Vec<u32> = placed.iter().map(|(token, _)| *token).collect();
    tokens.push(tokenizer.specials().sep);

    let exchanged = swap_sides(report).map(|swapped| session.encode_text(Task::Check, &swapped.text));
    let exchanged = exchanged.transpose()?;
    let texts: Vec<&[u32]> = [Some(tokens.as_slice()), exchanged.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let pairs: Vec<(usize, usize)> = (0..texts.len()).map(|text| (0, text)).collect();
    let matching = match_probabilities(session, image, &texts, &pairs).await?;

    let choices = Choices::new(tokenizer);
    let mut checked = Vec::with_capacity(read.len());
    for part in read.chunks(AT_ONCE) {
        if each(checked.len(), read.len()).await.is_break() {
            return Ok(None);
        }
        let [_, cells, width] = image.dims();
        let images = image.clone().expand([part.len(), cells, width]);
        let texts = vec![tokens.as_slice(); part.len()];
        let places: Vec<usize> = part.iter().map(|word| word.place).collect();
        let logs = session.system().predict_masked(images, &texts, &places);
        let logs = logs.ok_or(TaskError::NoHead("head that predicts hidden words"))?;
        let vocabulary = logs.dims()[1];
        let logs = read_back(logs).await?;
        for (word, logs) in part.iter().zip(logs.chunks(vocabulary)) {
            checked.push(weighed(tokenizer, report, word, logs, &choices));
        }
    }
    if each(read.len(), read.len()).await.is_break() {
        return Ok(None);
    }
    Ok(Some(Checked {
        matching: matching[0],
        exchanged: matching.get(1).copied(),
        words: checked,
        unread: rest.len(),
    }))
}

fn weighed(tokenizer: &Tokenizer, report: &str, word: &Word, logs: &[f32], choices: &Choices) -> CheckedWord {
    let log = |token: u32| logs.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let best = choices
        .of(word.token)
        .iter()
        .copied()
        .max_by(|a, b| log(*a).total_cmp(&log(*b)));
    // A word of several pieces is taken for right where its first piece is the likeliest of all.
    let best = best
        .filter(|best| log(*best) > log(word.token))
        .unwrap_or(word.token);
    let written = report.get(word.span.clone()).unwrap_or_default().to_owned();
    CheckedWord {
        start: word.span.start,
        end: word.span.end,
        probability: log(word.token).exp(),
        likeliest: if best == word.token {
            written.clone()
        } else {
            tokenizer.piece(best)
        },
        likeliest_probability: log(best).exp(),
        side: word.whole && choices.sides.contains(&word.token),
        written,
    }
}
