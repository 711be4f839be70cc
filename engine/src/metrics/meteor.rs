//! METEOR 1.5 for English (Denkowski and Lavie 2014), as pycocoevalcap runs it.
//!
//! A candidate is aligned with a reference in stages: the same word, the same stem (Porter2), a synonym
//! (WordNet), a paraphrase. With the weights w of the stages, content words counting delta and function words
//! 1 - delta, precision P and recall R are the weighted shares of the matched words in candidate and
//! reference, and
//!
//! ```text
//! F = 1 / ((1 - alpha) / P + alpha / R)
//! score = F (1 - gamma (chunks / matches)^beta)
//! ```
//!
//! with alpha 0.85, beta 0.20, gamma 0.60, delta 0.75 and w = 1, 0.6, 0.8, 0.6, the parameters for English.
//! Of several references the one with the highest score counts. A collection's score is that of its summed
//! counts, not the mean.
//!
//! METEOR's program compares words by 32-bit hashes, so that once in very many texts two different short
//! stems count as the same there ("ll" and "n."); here they do not.
//!
//! The words that METEOR needs are data of others and not part of this program: function words, synonyms,
//! paraphrases. Without them only the first two stages run and every word is a content word, so that scores
//! differ from published ones: fewer words match, while articles and punctuation, which mostly do, count in
//! full. With the folder of data they are METEOR's own.
//!
//! The folder is `meteor-1.5.jar` unpacked (`function/english.words`, `synonym/english.synsets`,
//! `synonym/english.exceptions`,
//! `nonbreaking/english.prefixes`) with `paraphrase-en.gz` beside them or in `data/`, as pycocoevalcap installs them.

mod align;
mod data;
mod normalize;

use std::collections::HashSet;
use std::path::Path;

use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};

use super::texts::Texts;
use align::{Match, Matches, STAGES};
use data::Data;
pub use data::MeteorError;

const ALPHA: f64 = 0.85;
const BETA: f64 = 0.20;
const GAMMA: f64 = 0.60;
const DELTA: f64 = 0.75;
/// Of the stages exact, stem, synonym, paraphrase.
const WEIGHTS: [f64; STAGES] = [1.0, 0.6, 0.8, 0.6];

/// The scores of a collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeteorScores {
    /// Of all counts together: what is published.
    pub score: f64,
    /// Of each candidate.
    pub each: Vec<f64>,
    /// What ran: "exact", "stem", and with the data "synonym", "paraphrase", "function words".
    pub stages: Vec<String>,
}

/// What is counted of a candidate and a reference; first of the candidate, then of the reference.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    words: [f64; 2],
    function_words: [f64; 2],
    content: [[f64; STAGES]; 2],
    function: [[f64; STAGES]; 2],
    chunks: f64,
}

impl Counts {
    fn matches(&self, side: usize) -> f64 {
        self.content[side].iter().chain(&self.function[side]).sum()
    }

    /// Whether the texts are the same.
    fn whole(&self) -> bool {
        self.matches(0) == self.words[0] && self.matches(1) == self.words[1] && self.chunks == 1.0
    }

    fn add(&mut self, other: &Self) {
        for side in 0..2 {
            self.words[side] += other.words[side];
            self.function_words[side] += other.function_words[side];
            for stage in 0..STAGES {
                self.content[side][stage] += other.content[side][stage];
                self.function[side][stage] += other.function[side][stage];
            }
        }
        // A text that is its reference has no fragmentation, however short it is.
        if !other.whole() {
            self.chunks += other.chunks;
        }
    }

    fn score(&self) -> f64 {
        let share = |side: usize| {
            let length = DELTA * (self.words[side] - self.function_words[side])
                + (1.0 - DELTA) * self.function_words[side];
            let matched: f64 = (0..STAGES)
                .map(|s| {
                    WEIGHTS[s] * (DELTA * self.content[side][s] + (1.0 - DELTA) * self.function[side][s])
                })
                .sum();
            if length > 0.0 { matched / length } else { 0.0 }
        };
        let (precision, recall) = (share(0), share(1));
        if precision <= 0.0 || recall <= 0.0 {
            return 0.0;
        }
        let f_mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let fragments = if self.whole() {
            0.0
        } else {
            self.chunks / ((self.matches(0) + self.matches(1)) / 2.0)
        };
        (f_mean * (1.0 - GAMMA * fragments.powf(BETA))).max(0.0)
    }
}

/// A text taken apart once.
struct Prepared {
    words: Vec<String>,
    stems: Vec<String>,
    sets: Vec<HashSet<u32>>,
    numbers: Vec<Option<u32>>,
    function: Vec<bool>,
}

impl Prepared {
    fn new(words: Vec<String>, data: &Data, stemmer: &Stemmer) -> Self {
        let is_function = |w: &String| data.function_words.as_ref().is_some_and(|list| list.contains(w));
        Self {
            stems: words.iter().map(|w| stemmer.stem(w).into_owned()).collect(),
            sets: data
                .synonyms
                .iter()
                .flat_map(|s| words.iter().map(|w| s.sets(w)))
                .collect(),
            numbers: data
                .paraphrases
                .as_ref()
                .map(|p| p.numbers(&words))
                .unwrap_or_default(),
            function: words.iter().map(is_function).collect(),
            words,
        }
    }
}

/// All matches of all stages, in METEOR's order.
fn find(candidate: &Prepared, reference: &Prepared, data: &Data) -> Matches {
    let mut matches = Matches::new(candidate.words.len(), reference.words.len());
    let same_text = candidate.words == reference.words;
    let mut stage = |stage: usize, fits: &dyn Fn(usize, usize) -> bool| {
        for start in 0..reference.words.len() {
            for other_start in (0..candidate.words.len()).filter(|c| fits(*c, start)) {
                matches.push(Match {
                    stage,
                    start,
                    length: 1,
                    other_start,
                    other_length: 1,
                });
            }
        }
    };
    let same = |c: usize, r: usize| candidate.words[c] == reference.words[r];
    stage(0, &same);
    if same_text {
        return matches;
    }
    stage(1, &|c, r| candidate.stems[c] == reference.stems[r] && !same(c, r));
    if data.synonyms.is_some() {
        stage(2, &|c, r| {
            !same(c, r) && !candidate.sets[c].is_disjoint(&reference.sets[r])
        });
    }
    let Some(table) = &data.paraphrases else {
        return matches;
    };
    // From the reference's phrases to the candidate's, then the other way round: the table has a direction.
    for start in 0..reference.numbers.len() {
        for (length, other) in table.at(&reference.numbers[start..]) {
            for other_start in places(&candidate.numbers, other) {
                matches.push(Match {
                    stage: 3,
                    start,
                    length,
                    other_start,
                    other_length: other.len(),
                });
            }
        }
    }
    for other_start in 0..candidate.numbers.len() {
        for (other_length, other) in table.at(&candidate.numbers[other_start..]) {
            for start in places(&reference.numbers, other) {
                matches.push(Match {
                    stage: 3,
                    start,
                    length: other.len(),
                    other_start,
                    other_length,
                });
            }
        }
    }
    matches
}

/// Where a phrase stands.
fn places(words: &[Option<u32>], phrase: &[u32]) -> impl Iterator<Item = usize> {
    words
        .windows(phrase.len())
        .enumerate()
        .filter(move |(_, w)| w.iter().zip(phrase).all(|(a, b)| *a == Some(*b)))
        .map(|(i, _)| i)
}

fn count(candidate: &Prepared, reference: &Prepared, data: &Data) -> Counts {
    let chosen = align::align(&find(candidate, reference, data));
    let functions = |text: &Prepared| text.function.iter().filter(|f| **f).count() as f64;
    let mut counts = Counts {
        words: [candidate.words.len() as f64, reference.words.len() as f64],
        function_words: [functions(candidate), functions(reference)],
        chunks: align::chunks(&chosen) as f64,
        ..Counts::default()
    };
    for found in chosen.iter().flatten() {
        let spans = [
            &candidate.function[found.other_start..found.other_start + found.other_length],
            &reference.function[found.start..found.start + found.length],
        ];
        for (side, span) in spans.into_iter().enumerate() {
            for function in span {
                let kind = if *function {
                    &mut counts.function
                } else {
                    &mut counts.content
                };
                kind[side][found.stage] += 1.0;
            }
        }
    }
    counts
}

/// Scores candidates, each against its references (tokens joined by spaces, or plain text, which is
/// normalised as METEOR does), with the data files in `folder` where one is given. Of no candidates, the
/// score is 0.
///
/// Reading the whole data takes some seconds, once a call.
///
/// # Errors
/// [`MeteorError`] when the folder holds no data or a file cannot be read.
pub fn meteor(pairs: &[Texts<'_>], folder: Option<&Path>) -> Result<MeteorScores, MeteorError> {
    let prefixes = folder.map(Data::prefixes).transpose()?.unwrap_or_default();
    let tokens = |text: &str| normalize::tokens(text, &prefixes);
    let texts: Vec<(Vec<String>, Vec<Vec<String>>)> = pairs
        .iter()
        .map(|(candidate, references)| (tokens(candidate), references.iter().map(|r| tokens(r)).collect()))
        .collect();
    let vocabulary: HashSet<&str> = texts
        .iter()
        .flat_map(|(c, rs)| rs.iter().flatten().chain(c))
        .map(String::as_str)
        .collect();
    let data = match folder {
        Some(folder) => Data::read(folder, &vocabulary)?,
        None => Data::default(),
    };
    let stemmer = Stemmer::create(Algorithm::English);
    let (mut sum, mut each) = (Counts::default(), Vec::with_capacity(texts.len()));
    for (candidate, references) in texts {
        let candidate = Prepared::new(candidate, &data, &stemmer);
        let mut best: Option<(f64, Counts)> = None;
        for reference in references {
            let counts = count(&candidate, &Prepared::new(reference, &data, &stemmer), &data);
            let score = counts.score();
            if best.as_ref().is_none_or(|(old, _)| score > *old) {
                best = Some((score, counts));
            }
        }
        let (score, counts) = best.unwrap_or_default();
        sum.add(&counts);
        each.push(score);
    }
    let ran = [
        ("exact", true),
        ("stem", true),
        ("synonym", data.synonyms.is_some()),
        ("paraphrase", data.paraphrases.is_some()),
        ("function words", data.function_words.is_some()),
    ];
    let stages = ran
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| name.to_owned())
        .collect();
    Ok(MeteorScores {
        score: sum.score(),
        each,
        stages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(candidate: &str, reference: &str) -> f64 {
        meteor(&[(candidate, &[reference])], None).unwrap().score
    }

    #[test]
    fn by_hand_without_data() {
        assert_eq!(score("the lungs are clear .", "the lungs are clear ."), 1.0);
        assert_eq!(score("", "the lungs are clear ."), 0.0);
        assert_eq!(score("opaque", "clear"), 0.0);
        // One of two words, in one chunk: P 1/2, R 1/3, F = 1 / (0.15 / P + 0.85 / R), penalty 0.6 * 1.
        let expected = 1.0 / (0.3 + 2.55) * 0.4;
        assert!((score("clear heart", "lungs look clear") - expected).abs() < 1e-12);
        // A stem weighs 0.6; what is covered whole in one chunk has no fragmentation.
        assert!((score("opacities", "opacity") - 0.6).abs() < 1e-12);
    }

    #[test]
    fn data_of_a_folder_is_used_and_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            meteor(&[], Some(folder.path())),
            Err(MeteorError::None(_))
        ));
        std::fs::write(
            folder.path().join("english.synsets"),
            "big\n00000007 00000009\nlarge\n00000009\n",
        )
        .unwrap();
        std::fs::write(
            folder.path().join("paraphrase-en"),
            "0.5\nas soon as possible\nquickly\n0.1\nnot here\nabsent\n",
        )
        .unwrap();
        let pairs: [Texts<'_>; 2] = [
            ("big", &["large"]),
            ("come quickly", &["come as soon as possible"]),
        ];
        assert!(matches!(
            meteor(&pairs, Some(folder.path())),
            Err(MeteorError::Exceptions(_))
        ));
        std::fs::write(folder.path().join("english.exceptions"), "big\nbigger biggest\n").unwrap();
        let scores = meteor(&pairs, Some(folder.path())).unwrap();
        assert_eq!(scores.stages, ["exact", "stem", "synonym", "paraphrase"]);
        assert!((scores.each[0] - 0.8).abs() < 1e-12);
        // 2 words against 5, all matched in one chunk: P (1 + 0.6) / 2, R (1 + 4 * 0.6) / 5.
        let (p, r) = (0.8, 0.68);
        assert!((scores.each[1] - 1.0 / (0.15 / p + 0.85 / r)).abs() < 1e-12);
        std::fs::write(folder.path().join("paraphrase-en"), "0.5\nas soon\n").unwrap();
        assert!(matches!(
            meteor(&pairs, Some(folder.path())),
            Err(MeteorError::Form { line: 3, .. })
        ));
        std::fs::write(folder.path().join("paraphrase-en"), "half\nas soon\nquickly\n").unwrap();
        assert!(matches!(
            meteor(&pairs, Some(folder.path())),
            Err(MeteorError::Form { line: 1, .. })
        ));
    }
}
