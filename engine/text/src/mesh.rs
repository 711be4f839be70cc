//! Which words of a report are Medical Subject Headings: the tags of "Clinical-BERT: Vision-Language Pre-training for
//! Radiograph Diagnosis and Reports Generation" (Yan and Pei 2022), section "Masked MeSH Modeling".
//!
//! "A full match or sub-match of the MeSH words": a word is tagged where a run of words is a heading, and where it is one
//! word of a heading of several. *Ours*, for the paper says no more: function words, single letters and numbers are tagged in
//! a full match only, and plurals match their singulars.
//!
//! The headings are data, for none is part of the program: those that a data set is indexed with, a list, or NLM's file of
//! descriptors. Medical Subject Headings: courtesy of the U.S. National Library of Medicine.

mod plural;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::{TextError, Tokenizer, chinese, tokenizer};

/// What Open-i's indexers write where a report has no heading.
const NO_HEADINGS: [&str; 3] = [
    "normal",
    "no indexing",
    "technical quality of image unsatisfactory",
];

/// What opens each record of NLM's file.
const RECORD: &str = "*NEWRECORD";
/// The lines of a record that name it, and those that name it otherwise.
const TERMS: [&str; 3] = ["MH", "ENTRY", "PRINT ENTRY"];

/// A list is read whole; NLM's file has about 30 MB.
const MOST_BYTES: u64 = 256 << 20;

/// Words that say nothing of a heading without its others.
const FUNCTION_WORDS: [&str; 53] = [
    "a", "about", "after", "an", "and", "any", "are", "as", "at", "be", "before", "between", "both", "but",
    "by", "due", "during", "for", "from", "has", "have", "in", "into", "is", "it", "its", "no", "non", "not",
    "of", "off", "on", "or", "other", "out", "over", "per", "such", "than", "that", "the", "their", "there",
    "this", "to", "under", "up", "via", "vs", "was", "were", "with", "without",
];
const CHINESE_FUNCTION_WORDS: [&str; 8] = ["的", "和", "与", "及", "或", "在", "于", "等"];

/// Medical Subject Headings, and what they tag.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// How many headings there are.
    len: usize,
    /// Words that are tagged wherever they stand, with the forms under which they are looked up.
    words: HashSet<String>,
    /// Headings some of whose words are tagged in a full match only, by the forms of their first word.
    runs: HashMap<String, Vec<Vec<String>>>,
}

impl Mesh {
    /// Of these headings; one may come as Open-i writes it, `Pulmonary Atelectasis/base/left`, with place, side and size
    /// behind slashes, which are no part of it. `normal`, `No Indexing` and `Technical Quality of Image Unsatisfactory` are
    /// none. Chinese headings are cut into words, see [`segmented`](crate::segmented).
    pub fn new(headings: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::of(headings.into_iter().map(|heading| {
            let heading = heading.as_ref();
            heading
                .split_once('/')
                .map_or(heading, |(name, _)| name)
                .to_owned()
        }))
    }

    /// Of a text with one heading a line, as [`new`](Self::new) takes them, and comments behind `#`; or of NLM's descriptors
    /// in ASCII, of which the lines `MH`, `ENTRY` and `PRINT ENTRY` count. A text without a heading gives an empty list.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{FEFF}');
        if text.trim_start().starts_with(RECORD) {
            let terms = text.lines().filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                let term = value.split('|').next().unwrap_or_default();
                TERMS.contains(&name.trim()).then(|| term.to_owned())
            });
            return Self::of(terms);
        }
        Self::new(text.lines().map(|line| {
            let comment = line
                .match_indices('#')
                .map(|(at, _)| at)
                .find(|at| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
            &line[..comment.unwrap_or(line.len())]
        }))
    }

    /// Reads a file that [`parse`](Self::parse) takes.
    ///
    /// # Errors
    /// [`TextError::Mesh`] when it cannot be read, is larger than 256 MiB, is no text, or holds no heading.
    pub fn read(path: &Path) -> Result<Self, TextError> {
        let wrong = |what: String| TextError::Mesh {
            path: path.to_owned(),
            what,
        };
        let length = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
        if length > MOST_BYTES {
            return Err(wrong(format!(
                "{length} bytes are more than the {MOST_BYTES} that a list may have"
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            wrong(format!("it is no text in UTF-8, at byte {at}"))
        })?;
        if let Some(at) = text.find('\0') {
            return Err(wrong(format!("it is no text but binary, at byte {at}")));
        }
        if text.trim_start_matches('\u{FEFF}').trim().is_empty() {
            return Err(wrong("it is empty".into()));
        }
        if text
            .trim_start_matches('\u{FEFF}')
            .trim_start()
            .starts_with(['<', '{'])
        {
            return Err(wrong("it is XML or JSON".into()));
        }
        let mesh = Self::parse(&text);
        if mesh.is_empty() {
            return Err(wrong("it holds no heading".into()));
        }
        Ok(mesh)
    }

    fn of(headings: impl Iterator<Item = String>) -> Self {
        let mut mesh = Self::default();
        let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
        for heading in headings {
            let plain = tokenizer::plain(&heading);
            if NO_HEADINGS.contains(&plain.trim()) {
                continue;
            }
            let words = words(&plain);
            if !words.is_empty() && seen.insert(words) {
                mesh.add(&plain);
            }
        }
        mesh.len = seen.len();
        mesh
    }

    fn add(&mut self, plain: &str) {
        // As it is written, and as it is said: "Catheters, Indwelling" is "indwelling catheters".
        let written = words(plain);
        let said: Vec<String> = plain.rsplit(", ").flat_map(words).collect();
        // Where Chinese is not cut, the heading is one word.
        let cut = chinese::segmented(plain).map_or_else(|_| Vec::new(), |text| words(&text));
        for word in written.iter().chain(&cut).filter(|word| counts(word)) {
            plural::forms(word, |form| {
                if !self.words.contains(form) {
                    self.words.insert(form.to_owned());
                }
                false
            });
        }
        let mut runs = vec![written];
        for run in [said, cut] {
            if !runs.contains(&run) {
                runs.push(run);
            }
        }
        // A run of words that all count by themselves tags nothing more.
        for run in runs.into_iter().filter(|run| run.len() > 1) {
            if let Some(first) = run.first().cloned()
                && !run.iter().all(|word| counts(word))
            {
                plural::forms(&first, |form| {
                    self.runs.entry(form.to_owned()).or_default().push(run.clone());
                    false
                });
            }
        }
    }

    /// How many headings there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a word by itself is a heading or one word of one; of a word such as "retro-cardiac" a part is enough.
    pub fn is(&self, word: &str) -> bool {
        words(&tokenizer::plain(word)).iter().any(|part| self.has(part))
    }

    fn has(&self, word: &str) -> bool {
        counts(word) && plural::forms(word, |form| self.words.contains(form))
    }

    /// Which of the words of a text are MeSH words, as `(words.len())` flags. Punctuation never is one.
    pub fn tags(&self, words: &[&str]) -> Vec<bool> {
        let mut tags = vec![false; words.len()];
        let parts = parts(words);
        for (at, part) in parts.iter().enumerate() {
            let Some((word, place)) = part else {
                continue;
            };
            tags[*place] |= self.has(word);
            plural::forms(word, |form| {
                for run in self.runs.get(form).into_iter().flatten() {
                    let Some(found) = parts.get(at..at + run.len()) else {
                        continue;
                    };
                    let full = found
                        .iter()
                        .zip(run)
                        .all(|(part, word)| part.as_ref().is_some_and(|(part, _)| plural::same(part, word)));
                    if full {
                        found.iter().flatten().for_each(|(_, place)| tags[*place] = true);
                    }
                }
                false
            });
        }
        tags
    }

    /// The ids of a vocabulary's pieces that are MeSH words, ascending; special tokens and what continues a word are none.
    pub fn tokens(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        let specials = tokenizer.specials();
        (0..tokenizer.vocabulary_size() as u32)
            .filter(|id| !specials.hidden(*id) && *id != specials.unk)
            .filter(|id| {
                let piece = tokenizer.piece(*id);
                (tokenizer.is_words() || !piece.starts_with("##")) && self.is(&piece)
            })
            .collect()
    }
}

/// The words of a plain text: runs of letters and digits.
fn words(plain: &str) -> Vec<String> {
    plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Words with the places they come from; `None` where a heading cannot go on, such as at the end of a sentence.
fn parts(given: &[&str]) -> Vec<Option<(String, usize)>> {
    let mut parts = Vec::with_capacity(given.len());
    for (place, word) in given.iter().enumerate() {
        let plain = tokenizer::plain(word);
        let joins = |c: char| matches!(c, '-' | '/' | '\'' | '\u{2019}') || c.is_whitespace();
        for run in plain.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let word = run.trim_end_matches(|c: char| !c.is_alphanumeric());
            if !word.is_empty() {
                parts.push(Some((word.to_owned(), place)));
            }
            if run[word.len()..].chars().any(|c| !joins(c)) {
                parts.push(None);
            }
        }
    }
    parts
}

/// Whether a word is tagged outside a full match.
fn counts(word: &str) -> bool {
    let lone = word.chars().count() == 1 && !chinese::has_han(word);
    let number = word.chars().all(char::is_numeric) && !chinese::has_han(word);
    !(lone || number || FUNCTION_WORDS.contains(&word) || CHINESE_FUNCTION_WORDS.contains(&word))
}

#[cfg(test)]
mod tests;
