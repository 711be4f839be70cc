//! What a text is about, before it is checked against a chest radiograph: the models would score any text, and a score of what is no
//! chest report means nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::label::{foreign_language, foreign_script};
use crate::pattern::{Pattern, Word, words};

/// What a text is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The chest.
    Chest,
    /// Nothing stands there.
    Empty,
    /// There are signs and no letters.
    NotProse,
    /// It is in other letters: their name, such as "Chinese", "Cyrillic", "Greek".
    OtherScript(&'static str),
    /// It is in another language: its name, or "another language".
    OtherLanguage(&'static str),
    /// It is about another part of the body: its name, such as "abdomen", "knee".
    OtherBodyPart(&'static str),
    /// Nothing tells which part of the body it is about.
    Unclear,
}

impl Subject {
    /// Whether the text can be checked against a chest radiograph.
    pub fn is_chest(self) -> bool {
        self == Self::Chest
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chest => {
                f.write_str("The text is about the chest: it can be checked against a chest radiograph.")
            }
            Self::Empty => f.write_str("There is no text: write or paste the report of this chest radiograph."),
            Self::NotProse => f.write_str(
                "The text holds no words, only numbers or signs: write or paste the report of this chest radiograph.",
            ),
            Self::OtherScript(name) => write!(
                f,
                "The text is in {name} letters, and the models read English only: translate the report into English."
            ),
            Self::OtherLanguage(name) => write!(
                f,
                "The text seems to be in {name}, and the models read English only: translate the report into English."
            ),
            Self::OtherBodyPart(name) => write!(
                f,
                "The text seems to be about the {name}, not the chest: look whether it is the report of this radiograph."
            ),
            Self::Unclear => f.write_str(
                "The text does not tell which part of the body it is about: write in full what this chest radiograph shows.",
            ),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    title: u32,
    examination: Vec<String>,
    part: Vec<WrittenPart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPart {
    name: String,
    words: BTreeMap<String, Vec<String>>,
}

struct Table {
    /// How often a pattern in the title counts.
    title: u32,
    examination: Vec<Pattern>,
    parts: Vec<Part>,
}

/// A part of the body, and the patterns that tell of it with how much each counts.
struct Part {
    name: String,
    told: Vec<(Pattern, u32)>,
}

#[allow(clippy::panic)] // the file is part of the program and tested with it
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let written: Written = toml::from_str(include_str!("subjects.toml"))
        .unwrap_or_else(|error| panic!("the built-in subjects are wrong: {error}"));
    let weight = |text: &str| -> u32 {
        text.parse()
            .unwrap_or_else(|_| panic!("the built-in subjects have the weight {text:?}"))
    };
    Table {
        title: written.title,
        examination: written
            .examination
            .iter()
            .map(|text| Pattern::new(text))
            .collect(),
        parts: written
            .part
            .into_iter()
            .map(|part| Part {
                told: part
                    .words
                    .iter()
                    .flat_map(|(counts, texts)| texts.iter().map(|text| (Pattern::new(text), weight(counts))))
                    .collect(),
                name: part.name,
            })
            .collect(),
    }
});

/// Words of a title, at most.
const TITLE: usize = 16;

/// How much more than the chest another part must count: as much as what a chest report says of its neighbours in passing.
const NEAR: u32 = 2;

/// What a text is about, by its letters, its words and how much they tell of each part of the body. A chest report may
/// tell of shoulders, spine and upper abdomen too: the chest is told unless another part counts clearly more.
pub fn subject(text: &str) -> Subject {
    if text.trim().is_empty() {
        return Subject::Empty;
    }
    if !text.chars().any(char::is_alphabetic) {
        return Subject::NotProse;
    }
    if let Some(script) = foreign_script(text) {
        return Subject::OtherScript(letters(script));
    }
    if let Some(language) = foreign_language(text) {
        return Subject::OtherLanguage(language);
    }
    let table = &*TABLE;
    let words = words(text);
    let title = title(text, &words).filter(|title| table.examination.iter().any(|p| p.is_in(title)));
    let counts = |part: &Part| -> u32 {
        let count = |(pattern, weight): &(Pattern, u32)| {
            let titled = title.is_some_and(|title| pattern.is_in(title));
            let times = if titled {
                table.title
            } else {
                u32::from(pattern.is_in(&words))
            };
            weight * times
        };
        part.told.iter().map(count).sum()
    };
    let chest = table.parts.first().map_or(0, counts);
    let others = table.parts.iter().skip(1).map(|part| (counts(part), part));
    // The first of the file where two count as much.
    match others.rev().max_by_key(|(count, _)| *count) {
        Some((count, part)) if count > chest + NEAR => Subject::OtherBodyPart(&part.name),
        _ if chest > 0 => Subject::Chest,
        _ => Subject::Unclear,
    }
}

/// The words of the first line or sentence, where they are few.
fn title<'a>(text: &str, words: &'a [Word]) -> Option<&'a [Word]> {
    let start = text.len() - text.trim_start().len();
    let end = text[start..]
        .find(['\n', ':'])
        .into_iter()
        .chain(text[start..].find(". "))
        .min()
        .map_or(text.len(), |at| start + at);
    let words = &words[..words.partition_point(|w| w.span.start < end)];
    (words.len() <= TITLE).then_some(words)
}

/// The name of letters without what is said of the language.
fn letters(script: &'static str) -> &'static str {
    match script {
        "another language" => "other",
        "a language of India" => "Indian",
        name => name
            .strip_prefix("a language in ")
            .and_then(|name| name.strip_suffix(" letters"))
            .unwrap_or(name),
    }
}

#[cfg(test)]
mod tests;
