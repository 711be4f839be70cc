//! Answers against the truth: open and closed accuracy (MedViLL, section 4.1), and whether the picture had a
//! part in them.

use serde_json::{Value, json};

use super::{Cases, EvaluateError, Scores, encode_all};
use crate::data::Study;
use crate::metrics::normalized_answer;
use crate::nn::indices;
use crate::tasks::{AnswerOptions, Session, ask};

/// Questions that are answered at once.
const QUESTIONS_AT_ONCE: usize = 32;

/// One question, answered three times.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AnswerCase {
    /// The study.
    pub study: String,
    /// The question.
    pub question: String,
    /// The answer of the data set.
    pub truth: String,
    /// Whether it is a closed question.
    pub closed: bool,
    /// The part of the body, where it is published.
    pub organ: String,
    /// What the model answers.
    pub answer: String,
    /// With a black picture: what it says from the question alone.
    pub blank: String,
    /// With another study's picture.
    pub swapped: String,
}

/// All questions.
pub struct AnswerCases {
    /// One a question.
    pub cases: Vec<AnswerCase>,
}

/// Asks all questions of all studies: with their picture, with a black one, and with that of a study half a
/// data set away.
///
/// # Errors
/// No question, the first picture that cannot be read, a model without such a head, a device that fails.
pub(super) async fn evaluate(
    session: &Session,
    studies: &[Study],
    options: AnswerOptions,
    mut progress: impl FnMut(usize),
) -> Result<AnswerCases, EvaluateError> {
    let asked: Vec<Study> = studies
        .iter()
        .filter(|s| s.has_image() && !s.questions.is_empty())
        .cloned()
        .collect();
    if asked.is_empty() {
        return Err(EvaluateError::Data("the data set has no questions in this split"));
    }
    let images = encode_all(session, &asked, &mut |_| ())?;
    let [_, tokens, width] = images.dims();
    let size = session.spec().preprocessing.size;
    let black = session.encode_pixels(vec![0.0; size * size], 1);
    let questions: Vec<(usize, usize)> = asked
        .iter()
        .enumerate()
        .flat_map(|(s, study)| (0..study.questions.len()).map(move |q| (s, q)))
        .collect();
    let mut cases = Vec::with_capacity(questions.len());
    for part in questions.chunks(QUESTIONS_AT_ONCE) {
        let texts: Vec<&str> = part
            .iter()
            .map(|&(s, q)| asked[s].questions[q].text.as_str())
            .collect();
        let of = |shift: usize| {
            let rows = part.iter().map(|&(s, _)| (s + shift) % asked.len());
            images.clone().select(0, indices(rows, &session.device))
        };
        let blank = black.clone().expand([part.len(), tokens, width]);
        let mut given = Vec::with_capacity(3);
        for images in [of(0), blank, of(asked.len() / 2)] {
            let best = ask(session, images, &texts, options).await?;
            let first = |row: Vec<(String, f32)>| {
                row.into_iter()
                    .next()
                    .map(|(answer, _)| answer)
                    .unwrap_or_default()
            };
            given.push(best.into_iter().map(first).collect::<Vec<String>>());
        }
        for (i, &(s, q)) in part.iter().enumerate() {
            let question = &asked[s].questions[q];
            cases.push(AnswerCase {
                study: asked[s].id.clone(),
                question: question.text.clone(),
                truth: question.answer.clone(),
                closed: question.closed,
                organ: question.organ.clone(),
                answer: given[0][i].clone(),
                blank: given[1][i].clone(),
                swapped: given[2][i].clone(),
            });
        }
        progress(cases.len());
    }
    Ok(AnswerCases { cases })
}

impl Cases for AnswerCases {
    fn len(&self) -> usize {
        self.cases.len()
    }

    fn lines(&self) -> Vec<Value> {
        self.cases.iter().map(|case| json!(case)).collect()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let mut scores = Scores::new();
        let chosen = || indices.iter().map(|&i| &self.cases[i]);
        let mut share =
            |name: String, right: &dyn Fn(&AnswerCase) -> bool, of: &dyn Fn(&AnswerCase) -> bool| {
                let (mut hits, mut all) = (0usize, 0usize);
                for case in chosen().filter(|c| of(c)) {
                    hits += usize::from(right(case));
                    all += 1;
                }
                if all > 0 {
                    scores.insert(name, hits as f64 / all as f64);
                }
            };
        let is = |given: &str, case: &AnswerCase| normalized_answer(given) == normalized_answer(&case.truth);
        type Given = fn(&AnswerCase) -> &str;
        let ways: [(&str, Given); 3] = [
            ("", |c| &c.answer),
            ("blank_", |c| &c.blank),
            ("swapped_", |c| &c.swapped),
        ];
        for (way, given) in ways {
            let right = |case: &AnswerCase| is(given(case), case);
            share(format!("{way}accuracy"), &right, &|_| true);
            share(format!("{way}accuracy_open"), &right, &|c| !c.closed);
            share(format!("{way}accuracy_closed"), &right, &|c| c.closed);
            share(format!("{way}chest_accuracy_open"), &right, &|c| {
                !c.closed && c.organ == "CHEST"
            });
            share(format!("{way}chest_accuracy_closed"), &right, &|c| {
                c.closed && c.organ == "CHEST"
            });
        }
        scores
    }
}
