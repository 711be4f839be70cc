//! A report checked against its radiograph (Park et al. 2022, "Clinical application for human error detection"): how well the two match,
//! and each word, hidden and predicted from the picture and the other words. *Ours*: the match without each sentence, and what the report
//! says of findings beside what the picture is read to show.

use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use burn::tensor::Tensor;
use hilum_task::{CheckLimits, Checked, CheckedSentence, CheckedWord, Contradiction, odds};

use super::attention::Look;
use super::error::{TaskError, read_back};
use super::findings::{finding_logits, readings};
use super::retrieve::match_probabilities;
use super::session::Session;
use crate::systems::Task;
use crate::text::{
    Certainty, Finding, Labeler, Subject, Tokenizer, described, sentences, subject, swap_sides, undescribed,
};

/// Its tables take longer to build than a report takes to be read.
static LABELER: LazyLock<Labeler> = LazyLock::new(Labeler::new);

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

/// What stands in a text.
fn written<'a>(report: &'a str, span: &Range<usize>) -> &'a str {
    report.get(span.clone()).unwrap_or_default()
}

/// The words among a text's tokens: letters and figures, no signs.
fn words(tokenizer: &Tokenizer, report: &str, placed: &[(u32, Range<usize>)]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for (place, (token, span)) in placed.iter().enumerate() {
        let piece = tokenizer.piece(*token);
        if piece.starts_with("##") {
            if let Some(last) = words.last_mut() {
                last.span.end = span.end;
                last.whole = false;
            }
        } else if written(report, span).chars().any(char::is_alphanumeric) {
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

/// A token's log-probability.
fn at(logs: &[f32], token: u32) -> f32 {
    logs.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY)
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

    /// Whether a word tells a side.
    fn side(&self, word: &Word) -> bool {
        word.whole && self.sides.contains(&word.token)
    }

    /// The other side of a word that tells one.
    fn other(&self, word: &Word) -> Option<u32> {
        let mut others = self.sides.iter().filter(|side| **side != word.token);
        others.next().copied().filter(|_| self.side(word))
    }

    fn of(&self, token: u32) -> &[u32] {
        if self.sides.contains(&token) {
            &self.sides
        } else {
            &self.words
        }
    }

    /// What is likeliest in a word's place, by log-probabilities of the vocabulary: the word itself where nothing is likelier. A word of
    /// several pieces is taken for right where its first piece is the likeliest of all.
    fn likeliest(&self, word: &Word, logs: &[f32]) -> u32 {
        let best = self.of(word.token).iter().copied();
        let best = best.max_by(|a, b| at(logs, *a).total_cmp(&at(logs, *b)));
        best.filter(|best| at(logs, *best) > at(logs, word.token))
            .unwrap_or(word.token)
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

/// Checks a report, [`checkable`] or not, without its headings and what stands under those of history, technique and the like: models read
/// none. `each` is told how many of its words are weighed, of how many, and cancels
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
    let left_out = undescribed(report).into_iter().map(str::to_owned).collect();
    let report = &*described(report);
    let tokenizer = session.tokenizer(Task::Check)?;
    let most = session.spec().text.map_or(0, |text| text.max_tokens);
    let all = tokenizer.encode_placed(report, usize::MAX)?;
    let placed = &all[..all.len().min(most)];
    let (read, rest) = (
        words(tokenizer, report, placed),
        words(tokenizer, report, &all[placed.len()..]),
    );
    if read.is_empty() {
        return Err(TaskError::EmptyReport);
    }
    let mut tokens: Vec<u32> = placed.iter().map(|(token, _)| *token).collect();
    tokens.push(tokenizer.specials().sep);

    let exchanged = swap_sides(report).map(|swapped| swapped.text);
    let spans = Some(sentences(report)).filter(|spans| spans.len() > 1);
    let spans = spans.unwrap_or_default();
    let without = spans
        .iter()
        .map(|span| [&report[..span.start], &report[span.end..]].concat());
    let others: Vec<Vec<u32>> = exchanged
        .iter()
        .cloned()
        .chain(without)
        .map(|text| session.encode_text(Task::Check, &text))
        .collect::<Result<_, _>>()?;
    let texts: Vec<&[u32]> = std::iter::once(tokens.as_slice())
        .chain(others.iter().map(Vec::as_slice))
        .collect();
    let pairs: Vec<(usize, usize)> = (0..texts.len()).map(|text| (0, text)).collect();
    let mut matching = match_probabilities(session, image, &texts, &pairs)
        .await?
        .into_iter();
    let own = matching.next().unwrap_or(f32::NAN);
    let exchanged = exchanged.and_then(|_| matching.next());
    let sentences = spans
        .into_iter()
        .zip(matching)
        .map(|(span, without)| CheckedSentence {
            start: span.start,
            end: span.end,
            without,
        });

    let choices = Choices::new(tokenizer);
    let size = session.spec().preprocessing.size;
    let black = session.encode_pixels(vec![0.0; size * size], 1);
    let mut checked = Vec::with_capacity(read.len());
    for part in read.chunks(AT_ONCE) {
        if each(checked.len(), read.len()).await.is_break() {
            return Ok(None);
        }
        let all: Vec<&Word> = part.iter().collect();
        let logs = hidden(session, image, &tokens, &read, &all, &choices).await?;
        let doubted = |(word, logs): (&Word, &Vec<f32>)| choices.likeliest(word, logs) != word.token;
        let doubted: Vec<bool> = part.iter().zip(&logs).map(doubted).collect();
        let asked = part.iter().zip(&doubted).filter(|(_, doubted)| **doubted);
        let asked: Vec<&Word> = asked.map(|(word, _)| word).collect();
        let unseen = hidden(session, &black, &tokens, &read, &asked, &choices).await?;
        let mut unseen = unseen.iter().map(Vec::as_slice);
        for ((word, logs), doubted) in part.iter().zip(&logs).zip(doubted) {
            let unseen = if doubted { unseen.next() } else { None };
            checked.push(weighed(tokenizer, report, word, logs, unseen, &choices));
        }
    }
    if each(read.len(), read.len()).await.is_break() {
        return Ok(None);
    }
    Ok(Some(Checked {
        matching: own,
        exchanged,
        words: checked,
        sentences: sentences.collect(),
        contradictions: contradictions(session, image, report).await?,
        suggestion: None,
        looked: None,
        left_out,
        unread: rest.len(),
        limits: session.manifest.check,
    }))
}

/// Each token of a report and where in the picture it was looked for, as report and picture were found to match (Grad-CAM; its weights are
/// shares of all that the token has); `None` for a model without such maps.
///
/// # Shapes
/// - image `(1, K, F)`
///
/// # Errors
/// Text that cannot be encoded, a device that fails.
pub async fn word_looks(
    session: &Session,
    image: &Tensor<3>,
    report: &str,
) -> Result<Option<Vec<(u32, Look)>>, TaskError> {
    let tokens = session.encode_text(Task::Check, &described(report))?;
    let Some(maps) = session.system().word_maps(image.clone(), &tokens) else {
        return Ok(None);
    };
    let cells = maps.dims()[1].max(1);
    let values = read_back(maps).await?;
    let look = |row: &[f32]| {
        let sum: f32 = row.iter().sum();
        let share = |value: &f32| if sum > 0.0 { value / sum } else { 0.0 };
        Look {
            cells: row.iter().map(share).collect(),
            share: f32::from(u8::from(sum > 0.0)),
        }
    };
    let words = &tokens[..tokens.len().saturating_sub(1)];
    let looks = words.iter().copied().zip(values.chunks(cells).map(look));
    Ok(Some(looks.collect()))
}

/// Where each word of [`Checked::words`] was looked for, see [`word_looks`]: of a word of several pieces where the first was.
///
/// # Errors
/// As there.
pub(super) async fn looks_of_words(
    session: &Session,
    image: &Tensor<3>,
    report: &str,
) -> Result<Option<Vec<Look>>, TaskError> {
    let Some(looks) = word_looks(session, image, report).await? else {
        return Ok(None);
    };
    let report = &*described(report);
    let tokenizer = session.tokenizer(Task::Check)?;
    let mut placed = tokenizer.encode_placed(report, usize::MAX)?;
    placed.truncate(looks.len());
    let words = words(tokenizer, report, &placed).into_iter();
    Ok(Some(words.map(|word| looks[word.place].1.clone()).collect()))
}

/// What a report says of findings that the picture is read otherwise in; nothing where the model reads no findings.
async fn contradictions(
    session: &Session,
    image: &Tensor<3>,
    report: &str,
) -> Result<Vec<Contradiction>, TaskError> {
    if session.offers(Task::Findings).is_err() {
        return Ok(Vec::new());
    }
    let logits = finding_logits(session, image.clone(), None).await?;
    let logits = logits.first().map_or(&[][..], Vec::as_slice);
    let readings = readings(&session.manifest.labels, logits);
    // Lines that were wrapped are joined, and all stays in its place.
    let paragraphs = report.split("\n\n").map(|lines| lines.replace('\n', " "));
    let said = LABELER.read(&paragraphs.collect::<Vec<_>>().join("\n\n"));
    let mut found: Vec<Contradiction> = Vec::new();
    for mention in &said.mentions {
        let whole = said.labels[mention.finding as usize];
        let stated = match mention.certainty {
            Certainty::Positive => true,
            Certainty::Negative => false,
            Certainty::Uncertain => continue,
        };
        let reading = readings
            .iter()
            .find(|reading| Finding::from_name(&reading.name) == Some(mention.finding));
        let Some(reading) = reading.filter(|_| mention.finding != Finding::NoFinding) else {
            continue;
        };
        // What is denied in one place and stated in another is not denied.
        if whole != Some(mention.certainty) {
            continue;
        }
        let beyond = odds(reading.probability as f32) - odds(reading.operating_point as f32);
        let doubt = if stated { -beyond } else { beyond };
        if doubt > 0.0 {
            found.push(Contradiction {
                start: mention.span.start,
                end: mention.span.end,
                finding: reading.name.clone(),
                stated,
                probability: reading.probability as f32,
                doubt,
            });
        }
    }
    Ok(found)
}

/// Doubts of a kind in a report.
type Doubts = fn(&Checked) -> Vec<f32>;

/// Doubts of a kind, and how many of them a report that is right is marked with, in the mean.
const FALSE_MARKS: [(Doubts, f64); 4] = [
    (|checked| checked.side_doubt().into_iter().collect(), 0.01),
    (
        |checked| checked.words.iter().map(CheckedWord::doubt).collect(),
        0.04,
    ),
    (
        |checked| {
            checked
                .sentences
                .iter()
                .map(|s| checked.sentence_doubt(s))
                .collect()
        },
        0.03,
    ),
    (
        |checked| checked.contradictions.iter().map(|c| c.doubt).collect(),
        0.03,
    ),
];

/// Limits that leave few marks in reports that are right, as `checked` are, and a twentieth of them below the limit of the match; `None`
/// without any.
pub fn fit_limits(checked: &[Checked]) -> Option<CheckLimits> {
    let mut matching: Vec<f32> = checked.iter().map(|checked| checked.matching).collect();
    matching.sort_by(f32::total_cmp);
    let lowest = *matching.get(matching.len() / 20)?;
    let [side, word, sentence, finding] = FALSE_MARKS.map(|(doubts, share)| {
        let mut doubts: Vec<f32> = checked.iter().flat_map(doubts).collect();
        doubts.sort_by(|a, b| b.total_cmp(a));
        let allowed = (share * checked.len() as f64) as usize;
        // Of the doubts beyond a limit there are as many as are allowed; a limit below none at all would mark what is undoubted.
        doubts.get(allowed).copied().unwrap_or(0.0).max(0.0)
    });
    Some(CheckLimits {
        matching: lowest,
        side,
        word,
        sentence,
        finding,
    })
}

/// Log-probabilities of the vocabulary in the place of each word of `part`, hidden one at a time; of a word that tells a side with all of
/// `words` that do: those that are wrong would vouch for each other.
async fn hidden(
    session: &Session,
    image: &Tensor<3>,
    tokens: &[u32],
    words: &[Word],
    part: &[&Word],
    choices: &Choices,
) -> Result<Vec<Vec<f32>>, TaskError> {
    let mask = session.tokenizer(Task::Check)?.specials().mask;
    let mut without_sides = tokens.to_vec();
    for word in words.iter().filter(|word| choices.side(word)) {
        without_sides[word.place] = mask;
    }
    let text = |word: &Word| {
        if choices.side(word) {
            without_sides.as_slice()
        } else {
            tokens
        }
    };
    if part.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Vec<&[u32]> = part.iter().copied().map(text).collect();
    let places: Vec<usize> = part.iter().map(|word| word.place).collect();
    let [_, cells, width] = image.dims();
    let images = image.clone().expand([part.len(), cells, width]);
    let logs = session.system().predict_masked(images, &texts, &places);
    let logs = logs.ok_or(TaskError::NoHead("head that predicts hidden words"))?;
    let vocabulary = logs.dims()[1].max(1);
    let logs = read_back(logs).await?;
    Ok(logs.chunks(vocabulary).map(<[f32]>::to_vec).collect())
}

/// How much likelier the other side is of each word of a report that tells one, as a logarithm: what [`CheckedWord::side_doubt`] says of
/// them, without the other words.
///
/// # Errors
/// As [`check`].
pub async fn side_doubts(session: &Session, image: &Tensor<3>, report: &str) -> Result<Vec<f32>, TaskError> {
    let report = &*described(report);
    let tokenizer = session.tokenizer(Task::Check)?;
    let most = session.spec().text.map_or(0, |text| text.max_tokens);
    let mut placed = tokenizer.encode_placed(report, usize::MAX)?;
    placed.truncate(most);
    let choices = Choices::new(tokenizer);
    let sides: Vec<Word> = words(tokenizer, report, &placed)
        .into_iter()
        .filter(|word| choices.side(word))
        .collect();
    let mut tokens: Vec<u32> = placed.iter().map(|(token, _)| *token).collect();
    tokens.push(tokenizer.specials().sep);
    let mut doubts = Vec::with_capacity(sides.len());
    for part in sides.chunks(AT_ONCE) {
        let all: Vec<&Word> = part.iter().collect();
        let logs = hidden(session, image, &tokens, &sides, &all, &choices).await?;
        let words = part.iter().zip(&logs);
        let words = words.map(|(word, logs)| weighed(tokenizer, report, word, logs, None, &choices));
        doubts.extend(words.filter_map(|word| word.side_doubt()));
    }
    Ok(doubts)
}

/// `unseen` is what is likely without the picture, asked where another word is likelier with it.
fn weighed(
    tokenizer: &Tokenizer,
    report: &str,
    word: &Word,
    logs: &[f32],
    unseen: Option<&[f32]>,
    choices: &Choices,
) -> CheckedWord {
    let best = choices.likeliest(word, logs);
    let written = written(report, &word.span).to_owned();
    CheckedWord {
        start: word.span.start,
        end: word.span.end,
        probability: at(logs, word.token).exp(),
        likeliest: if best == word.token {
            written.clone()
        } else {
            tokenizer.piece(best)
        },
        likeliest_probability: at(logs, best).exp(),
        unseen: unseen.map_or(0.0, |unseen| at(unseen, best) - at(unseen, word.token)),
        side: choices.side(word),
        other: choices.other(word).map(|other| at(logs, other).exp()),
        written,
    }
}
