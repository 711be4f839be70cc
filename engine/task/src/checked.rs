//! A report that was checked against a radiograph, and what of it is marked.

use serde::{Deserialize, Serialize};

use crate::Looked;

/// What a model finds of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The probability that report and radiograph belong together.
    pub matching: f32,
    /// The same with every side of the report exchanged, left for right; `None` where it names none.
    pub exchanged: Option<f32>,
    /// Its words that were weighed, in their order.
    pub words: Vec<CheckedWord>,
    /// Its sentences, where it has more than one.
    pub sentences: Vec<CheckedSentence>,
    /// What it says of findings that the radiograph is read otherwise in, where the model reads findings.
    pub contradictions: Vec<Contradiction>,
    /// Where in the radiograph each of `words` was looked for (Grad-CAM, shares of all that the word has), where it was asked for.
    pub looked: Option<Looked>,
    /// A report of the gallery that matches better, where one was looked for and found.
    pub suggestion: Option<Suggestion>,
    /// Parts of the report that do not describe the radiograph and were not checked, by their headings; "" for what stands before the first.
    pub left_out: Vec<String>,
    /// Words behind these that the model does not read, since the text is too long for it.
    pub unread: usize,
    /// From where on doubts are marked; `None` where they were not fitted, and nothing is.
    pub limits: Option<CheckLimits>,
}

/// A word, hidden from the model and predicted from the radiograph and all other words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedWord {
    /// Where it begins in the report, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// As it is written.
    pub written: String,
    /// Its probability.
    pub probability: f32,
    /// The likeliest word in its place; for a side, the likeliest side.
    pub likeliest: String,
    /// The probability of that.
    pub likeliest_probability: f32,
    /// How much likelier that is than the word as it is written without the radiograph, a black picture in its place; as a logarithm.
    pub unseen: f32,
    /// Whether it tells a side. Then all words of the report that do are hidden together: those that are wrong would vouch for each other.
    pub side: bool,
    /// The probability of the other side, where it tells one.
    pub other: Option<f32>,
}

/// A sentence, and the report without it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedSentence {
    /// Where it begins in the report, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The probability that the rest of the report and the radiograph belong together.
    pub without: f32,
}

/// A finding that the report states or denies, and the radiograph is read otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contradiction {
    /// Where the report speaks of it, in bytes.
    pub start: usize,
    /// Where that ends.
    pub end: usize,
    /// The finding, by the name of its label.
    pub finding: String,
    /// Whether the report states it; it denies it else.
    pub stated: bool,
    /// Its probability in the radiograph.
    pub probability: f32,
    /// How far that is beyond the label's operating point, in log odds.
    pub doubt: f32,
}

/// Another report, which matches the radiograph better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The case's name in the gallery.
    pub id: String,
    /// Its report.
    pub report: String,
    /// The probability that it and the radiograph belong together.
    pub matching: f32,
}

/// Doubts, in log odds, from which on something is marked. Each is fitted on reports that are right, so that few of them are marked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckLimits {
    /// The probability of a match below which the report is told not to belong to the radiograph.
    pub matching: f32,
    /// Of the sides of the whole report.
    pub side: f32,
    /// Of one word.
    pub word: f32,
    /// Of one sentence.
    pub sentence: f32,
    /// Of a finding that is stated or denied.
    pub finding: f32,
}

/// Why something is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The other side is likelier.
    Side,
    /// The radiograph is read otherwise.
    Finding,
    /// The report matches better without the sentence.
    Sentence,
    /// The radiograph speaks for another word.
    Word,
}

/// What is marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Where it begins in the report, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Why.
    pub doubt: Doubt,
    /// How strong the doubt is, in log odds.
    pub strength: f32,
    /// What might stand there instead; nothing for a sentence that might go, `None` where there is no proposal.
    pub proposal: Option<String>,
    /// The finding, where the radiograph is read otherwise.
    pub finding: Option<String>,
}

impl Checked {
    /// How much likelier the report's sides are exchanged, as a logarithm: the sum over its words that tell one; `None` where there is none.
    pub fn side_doubt(&self) -> Option<f32> {
        let doubts = self.words.iter().filter_map(CheckedWord::side_doubt);
        doubts.reduce(|sum, doubt| sum + doubt)
    }

    /// How much better the report matches without a sentence, in log odds.
    pub fn sentence_doubt(&self, sentence: &CheckedSentence) -> f32 {
        odds(sentence.without) - odds(self.matching)
    }

    /// Which parts of the report were not checked, in a sentence; `None` where all were.
    pub fn not_checked(&self) -> Option<String> {
        let before = "what stands before the first heading";
        let names = self.left_out.iter();
        let names: Vec<&str> = names
            .map(|name| if name.is_empty() { before } else { name })
            .collect();
        let (last, others) = names.split_last()?;
        let others = others.join(", ");
        let and = if others.is_empty() { "" } else { " and " };
        Some(format!("Not checked: {others}{and}{last}."))
    }

    /// Whether the match is at or above its operating point; `None` where there is none.
    pub fn belongs(&self) -> Option<bool> {
        self.limits.map(|limits| self.matching >= limits.matching)
    }

    /// What is doubtful beyond the limits: sides first, then findings, sentences and words, the strongest first. Of two that overlap the
    /// first is left.
    pub fn marks(&self) -> Vec<Mark> {
        let Some(limits) = self.limits else {
            return Vec::new();
        };
        let mut marks = Vec::new();
        if self.side_doubt().is_some_and(|doubt| doubt > limits.side) {
            // Of the sides together there is doubt: all of them, but those that the radiograph clearly speaks for.
            marks.extend(self.words.iter().filter_map(|word| {
                let strength = word.side_doubt().filter(|doubt| *doubt > -limits.side.abs())?;
                Some(Mark {
                    start: word.start,
                    end: word.end,
                    doubt: Doubt::Side,
                    strength,
                    proposal: Some(other_side(&word.written)?),
                    finding: None,
                })
            }));
        }
        let beyond = |contradiction: &&Contradiction| contradiction.doubt > limits.finding;
        marks.extend(
            self.contradictions
                .iter()
                .filter(beyond)
                .map(|contradiction| Mark {
                    start: contradiction.start,
                    end: contradiction.end,
                    doubt: Doubt::Finding,
                    strength: contradiction.doubt,
                    proposal: None,
                    finding: Some(contradiction.finding.clone()),
                }),
        );
        marks.extend(self.sentences.iter().filter_map(|sentence| {
            let strength = self.sentence_doubt(sentence);
            (strength > limits.sentence).then(|| Mark {
                start: sentence.start,
                end: sentence.end,
                doubt: Doubt::Sentence,
                strength,
                proposal: Some(String::new()),
                finding: None,
            })
        }));
        marks.extend(self.words.iter().filter_map(|word| {
            let strength = word.doubt();
            (strength > limits.word).then(|| Mark {
                start: word.start,
                end: word.end,
                doubt: if word.side { Doubt::Side } else { Doubt::Word },
                strength,
                proposal: Some(like(&word.written, &word.likeliest)),
                finding: None,
            })
        }));
        marks.sort_by(|a, b| a.doubt.cmp(&b.doubt).then(b.strength.total_cmp(&a.strength)));
        let mut kept: Vec<Mark> = Vec::new();
        for mark in marks {
            if kept
                .iter()
                .all(|other| mark.end <= other.start || other.end <= mark.start)
            {
                kept.push(mark);
            }
        }
        kept
    }
}

impl CheckedWord {
    /// How much the radiograph speaks against the word: how much likelier another one is in its place, as a logarithm, beyond what it
    /// would be without the radiograph; 0 where it is the likeliest itself.
    pub fn doubt(&self) -> f32 {
        let likelier = log(self.likeliest_probability) - log(self.probability);
        likelier.min(likelier - self.unseen).max(0.0)
    }

    /// How much likelier the other side is, as a logarithm, below 0 where it is less so; `None` of a word that tells no side.
    pub fn side_doubt(&self) -> Option<f32> {
        self.other.map(|other| log(other) - log(self.probability))
    }
}

/// The logarithm of a probability, which may be 0.
fn log(probability: f32) -> f32 {
    probability.max(f32::MIN_POSITIVE).ln()
}

/// The log odds of a probability.
pub fn odds(probability: f32) -> f32 {
    let p = f64::from(probability).clamp(1e-7, 1.0 - 1e-7);
    (p / (1.0 - p)).ln() as f32
}

/// The other side of a word that is one, written as it is.
fn other_side(word: &str) -> Option<String> {
    let other = match word.to_lowercase().as_str() {
        "left" => "right",
        "right" => "left",
        _ => return None,
    };
    Some(like(word, other))
}

/// A word in the capitals of another.
fn like(written: &str, word: &str) -> String {
    let mut letters = written.chars().filter(|c| c.is_alphabetic());
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_uppercase() => word.to_uppercase(),
        (Some(first), _) if first.is_uppercase() => {
            let mut rest = word.chars();
            rest.next()
                .map_or_else(String::new, |c| c.to_uppercase().chain(rest).collect())
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_a_sentence() {
        let told = |names: &[&str]| {
            let left_out = names.iter().map(|name| (*name).to_owned()).collect();
            Checked {
                left_out,
                ..checked(0.0, 0.0)
            }
            .not_checked()
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["HISTORY"]).unwrap(), "Not checked: HISTORY.");
        assert_eq!(
            told(&["", "HISTORY", "Technique"]).unwrap(),
            "Not checked: what stands before the first heading, HISTORY and Technique."
        );
    }

    fn word(start: usize, written: &str, likeliest: &str, doubt: f32) -> CheckedWord {
        CheckedWord {
            start,
            end: start + written.len(),
            written: written.to_owned(),
            probability: 0.5 / doubt.exp(),
            likeliest: likeliest.to_owned(),
            likeliest_probability: 0.5,
            unseen: 0.0,
            side: ["left", "right"].contains(&likeliest),
            other: ["left", "right"].contains(&likeliest).then_some(0.5),
        }
    }

    // "Left effusion. The heart is small."
    fn checked(side: f32, without: f32) -> Checked {
        Checked {
            matching: 0.5,
            exchanged: Some(0.5),
            words: vec![word(0, "Left", "right", side), word(28, "small", "large", 3.0)],
            sentences: vec![
                CheckedSentence {
                    start: 0,
                    end: 14,
                    without: 0.5,
                },
                CheckedSentence {
                    start: 15,
                    end: 34,
                    without,
                },
            ],
            contradictions: Vec::new(),
            suggestion: None,
            looked: None,
            left_out: Vec::new(),
            unread: 0,
            limits: Some(CheckLimits {
                matching: 0.4,
                side: 2.0,
                word: 2.0,
                sentence: 2.0,
                finding: 2.0,
            }),
        }
    }

    #[test]
    fn marks_are_what_is_beyond_its_limit_and_sides_come_first() {
        let marks = checked(2.5, 0.5).marks();
        let told: Vec<_> = marks
            .iter()
            .map(|m| (m.start, m.doubt, m.proposal.as_deref()))
            .collect();
        assert_eq!(
            told,
            [(0, Doubt::Side, Some("Right")), (28, Doubt::Word, Some("large"))]
        );
        assert_eq!(checked(1.0, 0.5).marks().len(), 1);
        let mut unfitted = checked(2.5, 0.99);
        unfitted.limits = None;
        assert!(unfitted.marks().is_empty() && unfitted.belongs().is_none());
    }

    #[test]
    fn a_word_that_is_unlikely_without_the_radiograph_too_is_not_doubted_for_it() {
        let mut word = word(0, "today", "now", 5.0);
        assert!((word.doubt() - 5.0).abs() < 1e-5);
        word.unseen = 4.5;
        assert!((word.doubt() - 0.5).abs() < 1e-5);
        word.unseen = 6.0;
        assert_eq!(word.doubt(), 0.0);
        // What only the radiograph makes less likely is not more doubtful for it.
        word.unseen = -2.0;
        assert!((word.doubt() - 5.0).abs() < 1e-5);
    }

    #[test]
    fn a_doubtful_sentence_stands_for_its_words() {
        let marks = checked(1.0, 0.99).marks();
        assert_eq!(marks.len(), 1);
        assert_eq!((marks[0].start, marks[0].doubt), (15, Doubt::Sentence));
        assert!((marks[0].strength - odds(0.99)).abs() < 1e-5);
    }

    #[test]
    fn a_proposal_has_the_capitals_of_what_is_written() {
        assert_eq!(other_side("LEFT").as_deref(), Some("RIGHT"));
        assert_eq!(other_side("Right").as_deref(), Some("Left"));
        assert_eq!(other_side("both"), None);
        assert_eq!(like("Small", "large"), "Large");
    }
}
