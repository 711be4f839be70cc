//! The labeler's data file as it is written: its tables, before their phrases become tries.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::lexicon::Cue;
use crate::{Certainty, Side, TextError, Zone};

/// The data file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    pub(super) spelling: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) misspelt: Vec<String>,
    #[serde(default)]
    pub(super) inside: Vec<String>,
    #[serde(default)]
    pub(super) words: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) mention: Vec<WrittenMention>,
    #[serde(default)]
    pub(super) subject: Vec<WrittenSubject>,
    #[serde(default)]
    pub(super) ignore: Vec<Phrases>,
    #[serde(default)]
    pub(super) cue: Vec<WrittenCue>,
    #[serde(default)]
    pub(super) place: Vec<WrittenPlace>,
    #[serde(default)]
    pub(super) slip: Vec<WrittenSlip>,
    #[serde(default)]
    pub(super) answer: Vec<WrittenAnswer>,
    #[serde(default)]
    pub(super) marks: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) lines: Lines,
    #[serde(default)]
    pub(super) leave_out: Vec<Spanned<String>>,
}

/// How a line of a list is told from one that is wrapped.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    /// Words after which a thought goes on.
    #[serde(default)]
    pub(super) open: Vec<String>,
    /// Letters in which adjectives end.
    #[serde(default)]
    pub(super) open_endings: Vec<String>,
    /// Words that go on with a thought.
    #[serde(default)]
    pub(super) onward: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenAnswer {
    pub(super) read: Option<Certainty>,
    #[serde(default)]
    pub(super) bare: bool,
    pub(super) phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phrases {
    pub(super) phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenMention {
    pub(super) finding: Spanned<String>,
    pub(super) also: Option<Spanned<String>>,
    pub(super) also_uncertain: Option<Spanned<String>>,
    #[serde(default = "yes")]
    pub(super) sided: bool,
    pub(super) phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSubject {
    pub(super) finding: Spanned<String>,
    pub(super) otherwise: Option<Certainty>,
    #[serde(default)]
    pub(super) anywhere: bool,
    pub(super) phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCue {
    pub(super) kind: Cue,
    pub(super) phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPlace {
    pub(super) side: Option<Side>,
    pub(super) zone: Option<Zone>,
    pub(super) phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSlip {
    pub(super) findings: Vec<Spanned<String>>,
    pub(super) read: Certainty,
    #[serde(default)]
    pub(super) last: bool,
    pub(super) phrases: Vec<Spanned<String>>,
}

const fn yes() -> bool {
    true
}

/// How mistakes of an overlay are told from those of the lexicon under it.
pub(super) const OVERLAY: &str = "in the overlay: ";

impl Written {
    pub(super) fn read(text: &str, place: &str) -> Result<Self, TextError> {
        toml::from_str(text).map_err(|error| {
            let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            TextError::Lexicon {
                line: line(text, error.span().map_or(0, |span| span.start)),
                what: format!("{place}{what}"),
            }
        })
    }
}

/// The line, from 1, of a byte of a text.
pub(super) fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
}
