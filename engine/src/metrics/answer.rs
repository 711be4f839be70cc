//! Measures of answers and of next words: exact match of visual question answering, and perplexity.

use serde::{Deserialize, Serialize};

/// An answer as it is compared: lower-case, without punctuation and spaces at its ends, and with single
/// spaces inside.
pub fn normalized_answer(text: &str) -> String {
    let outer =
        |c: char| c.is_whitespace() || c.is_ascii_punctuation() || "“”‘’„«»…–—。、，！？；：".contains(c);
    text.trim_matches(outer)
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// An answer to a question.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// What was answered.
    pub given: &'a str,
    /// What is right.
    pub truth: &'a str,
    /// Whether the question is closed (yes or no, or a choice).
    pub closed: bool,
}

/// The shares of answers that match after [`normalized_answer`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerScores {
    /// How many questions.
    pub n: usize,
    /// Of all.
    pub accuracy: f64,
    /// Of the open ones; `None` when there is none.
    pub accuracy_open: Option<f64>,
    /// Of the closed ones; `None` when there is none.
    pub accuracy_closed: Option<f64>,
}

/// Scores answers. `None` of no answers.
pub fn answer_scores<'a>(answers: impl IntoIterator<Item = Answer<'a>>) -> Option<AnswerScores> {
    // (right, all) of the open and of the closed questions.
    let mut counts = [(0usize, 0usize); 2];
    for answer in answers {
        let (right, all) = &mut counts[usize::from(answer.closed)];
        *right += usize::from(normalized_answer(answer.given) == normalized_answer(answer.truth));
        *all += 1;
    }
    let share = |(right, all): (usize, usize)| (all > 0).then(|| right as f64 / all as f64);
    let [open, closed] = counts;
    let accuracy = share((open.0 + closed.0, open.1 + closed.1))?;
    Some(AnswerScores {
        n: open.1 + closed.1,
        accuracy,
        accuracy_open: share(open),
        accuracy_closed: share(closed),
    })
}

/// The perplexity of a collection: e to the mean negative log-likelihood (nats) of its tokens, all counted
/// together. `None` of no tokens, or when one is not a number.
pub fn perplexity(losses: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, n) = losses
        .into_iter()
        .fold((0.0, 0usize), |(sum, n), loss| (sum + loss, n + 1));
    (n > 0 && !sum.is_nan()).then(|| (sum / n as f64).exp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn answers_match_without_case_and_outer_signs() {
        assert_eq!(normalized_answer(" Yes. "), "yes");
        assert_eq!(normalized_answer("“Right  lower\tlobe!”"), "right lower lobe");
        assert_eq!(normalized_answer("x-ray"), "x-ray");
        let answer = |given, truth, closed| Answer { given, truth, closed };
        let answers = [
            answer("Yes", "yes.", true),
            answer("no", "yes", true),
            answer("the left", "Left", false),
        ];
        let scores = answer_scores(answers).unwrap();
        assert_eq!(
            (scores.n, scores.accuracy_open, scores.accuracy_closed),
            (3, Some(0.0), Some(0.5))
        );
        assert_eq!(scores.accuracy, 1.0 / 3.0);
        assert_eq!(answer_scores([answers[0]]).unwrap().accuracy_open, None);
        assert_eq!(answer_scores([]), None);
    }

    #[test]
    fn perplexity_of_a_uniform_guess_is_the_number_of_words() {
        let loss = 7.0f64.ln();
        assert!((perplexity([loss, loss, loss]).unwrap() - 7.0).abs() < 1e-12);
        assert_eq!(perplexity([]), None);
        assert_eq!(perplexity([f64::NAN]), None);
    }
}
