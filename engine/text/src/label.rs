//! The report labeler: CheXpert's 14 categories from free text (the method of Irvin et al. 2019, section 3),
//! with sides.
//!
//! Three stages: the phrases that name findings (a trie over words), what the words around them say of each
//! (negation and uncertainty before and after), and the sum over the report. Phrases and cues are a data
//! file, `lexicon.toml`, that a user can replace.
//!
//! Two readings: plain sense, for drafts, checks and scores ([`Labeler::new`]), and CheXpert's labeler's own,
//! accidents of its parser included, for tables of labels ([`Labeler::like_chexpert`]). The second is the
//! first with `lexicon-chexpert.toml` laid over it.

mod answers;
mod items;
mod language;
mod lexicon;
mod matcher;
mod places;
mod scan;
mod scope;
mod shorthand;
mod slip;
mod table;
mod written;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Certainty, Finding, Labels, Report, Side, TextError, Zone};
use answers::Pieces;
use lexicon::{Lexicon, Meaning};
use matcher::Match;
use scan::Token;
use scope::{Carried, Scope, Sentence};
use slip::Slips;

pub use table::Labelled;

/// The lexicon that [`Labeler::new`] uses.
pub const LEXICON: &str = include_str!("lexicon.toml");

/// What [`Labeler::like_chexpert`] lays over it.
const CHEXPERT_OVERLAY: &str = include_str!("lexicon-chexpert.toml");

/// One place of a report that names a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mention {
    /// What is named.
    pub finding: Finding,
    /// Whether it is said to be there.
    pub certainty: Certainty,
    /// On which side, where it says so.
    pub side: Option<Side>,
    /// In which third of the lung, where it says so.
    pub zone: Option<Zone>,
    /// The bytes of the text that name it.
    pub span: Range<usize>,
}

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Each category over the whole text.
    pub labels: Labels,
    /// Every place that names one of the 13 findings, in order.
    pub mentions: Vec<Mention>,
}

impl Reading {
    /// The side of each finding: the union over its positive mentions, left and right together being
    /// bilateral.
    pub fn sides(&self) -> [Option<Side>; 14] {
        let mut sides = [None; 14];
        for mention in self
            .mentions
            .iter()
            .filter(|m| m.certainty == Certainty::Positive)
        {
            let side = &mut sides[mention.finding as usize];
            *side = places::join(*side, mention.side);
        }
        sides
    }
}

pub use language::foreign as foreign_language;
pub(crate) use language::foreign_script;

/// Reads reports. Make one and use it for all: building its tables takes longer than reading a hundred
/// reports.
#[derive(Clone, Debug)]
pub struct Labeler {
    lexicon: Lexicon,
}

impl Default for Labeler {
    fn default() -> Self {
        Self::new()
    }
}

impl Labeler {
    /// Plain sense, with the built-in lexicon: what a radiologist would read.
    #[allow(clippy::missing_panics_doc)] // the lexicon is part of the program and tested with it
    pub fn new() -> Self {
        Self::from_toml(LEXICON).unwrap_or_else(|error| panic!("the built-in lexicon is wrong: {error}"))
    }

    /// As CheXpert's labeler reads, its parser's accidents and all: for labels that are to be compared with
    /// published ones.
    #[allow(clippy::missing_panics_doc)] // the overlay is part of the program and tested with it
    pub fn like_chexpert() -> Self {
        Self::with_overlay(LEXICON, CHEXPERT_OVERLAY)
            .unwrap_or_else(|error| panic!("the built-in lexicon is wrong: {error}"))
    }

    /// With another lexicon, in the form of the built-in one.
    ///
    /// # Errors
    /// [`TextError::Lexicon`] when it is not TOML of that form, [`TextError::LexiconEntry`] when an entry is
    /// wrong.
    pub fn from_toml(text: &str) -> Result<Self, TextError> {
        Ok(Self {
            lexicon: Lexicon::from_toml(text, None)?,
        })
    }

    /// With a lexicon and an overlay of the same form, whose phrases mean what the overlay says.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml), for either.
    pub fn with_overlay(text: &str, overlay: &str) -> Result<Self, TextError> {
        Ok(Self {
            lexicon: Lexicon::from_toml(text, Some(overlay))?,
        })
    }

    /// The labels of a report: of its findings and its impression together.
    pub fn labels(&self, report: &Report) -> Labels {
        self.read(&[report.findings.as_str(), report.impression.as_str()].join("\n\n"))
            .labels
    }

    /// Reads a report with its headings and lines: its findings and its impression, as [`Report::parse`] tells
    /// them. In plain sense a line can be an item of its own; CheXpert's labeler joins all lines.
    pub fn read_report(&self, text: &str) -> Reading {
        let parse = match self.lexicon.plain {
            Some(_) => Report::parse_lines,
            None => Report::parse,
        };
        let Report { findings, impression } = parse(text);
        self.read(&[findings, impression].join("\n\n"))
    }

    /// Reads a text. One without any word says nothing, not even No Finding, and so does one that is not English, see
    /// [`foreign_language`](crate::foreign_language).
    pub fn read(&self, text: &str) -> Reading {
        if language::foreign(text).is_some() {
            return Reading::default();
        }
        let lexicon = &self.lexicon;
        let mut read = Read {
            lexicon,
            sum: Sum::default(),
            findings: Vec::new(),
            cues: Vec::new(),
            places: Vec::new(),
            scope: Scope::default(),
            located: Vec::new(),
            slips: Slips::default(),
            carried: Carried::default(),
        };
        let mut pieces = Pieces::default();
        scan::stretches(text, &lexicon.vocabulary, lexicon.plain.is_some(), |stretch| {
            let words = pieces.cut(text, &stretch, lexicon);
            for (at, piece) in pieces.all.iter().enumerate() {
                let open = pieces.open && at + 1 == pieces.all.len();
                read.sentence(&stretch.tokens[piece.tokens.clone()], open, |f| {
                    let answer = piece.answer.filter(|(end, _)| piece.tokens.start + f.end <= *end);
                    answer.map(|(_, answer)| answer)
                });
            }
            words
        });
        read.sum.reading()
    }
}

/// A text that is being read.
struct Read<'a> {
    lexicon: &'a Lexicon,
    sum: Sum,
    findings: Vec<Match>,
    cues: Vec<Match>,
    places: Vec<Match>,
    scope: Scope,
    located: Vec<(Option<Side>, Option<Zone>)>,
    slips: Slips,
    carried: Carried,
}

impl Read<'_> {
    /// Reads a sentence, or what is read like one; `open` where it was cut for its length, `answer` what was answered of a
    /// finding.
    fn sentence(&mut self, tokens: &[Token], open: bool, answer: impl Fn(&Match) -> Option<Certainty>) {
        let lexicon = self.lexicon;
        // CheXpert's labeler says No Finding even where it understands no word.
        let understood = |t: &Token| lexicon.plain.is_none() || t.word != scan::UNKNOWN;
        self.sum.words = self.sum.words || tokens.iter().any(understood);
        lexicon.findings.find(tokens, &mut self.findings);
        if self.findings.is_empty() && !open {
            self.carried = Carried::default();
            return;
        }
        lexicon.cues.find(tokens, &mut self.cues);
        lexicon.places.find(tokens, &mut self.places);
        let sentence = Sentence {
            lexicon,
            tokens,
            cues: &self.cues,
            findings: &self.findings,
        };
        self.scope.read(&sentence, std::mem::take(&mut self.carried));
        if open {
            self.carried = self.scope.carried(&sentence);
        }
        places::attach(
            lexicon,
            tokens,
            &self.findings,
            &self.cues,
            &self.places,
            &mut self.located,
        );
        self.slips.find(&sentence);
        for (found, (side, zone)) in self.findings.iter().zip(&self.located) {
            let stated = || self.scope.certainty(&sentence, found);
            let Some(stated) = self.slips.read(&sentence, found).or_else(stated) else {
                continue;
            };
            let certainty = match answer(found) {
                // "No effusion: yes" denies it.
                Some(Certainty::Positive) if stated == Certainty::Negative => stated,
                answered => answered.unwrap_or(stated),
            };
            let span = tokens[found.start].span.start..tokens[found.end - 1].span.end;
            let mention = |finding| Mention {
                finding,
                certainty,
                side: *side,
                zone: *zone,
                span,
            };
            match lexicon.meanings[found.value as usize] {
                Meaning::Mention {
                    finding,
                    also,
                    also_uncertain,
                    ..
                } => {
                    self.sum.add(mention(finding), also_uncertain);
                    if let Some(also) = also {
                        self.sum.count(also, certainty);
                    }
                }
                Meaning::Subject { finding, .. } => self.sum.add(mention(finding), None),
                Meaning::Ignore => {}
            }
        }
    }
}

/// The third stage: from mentions to labels.
#[derive(Default)]
struct Sum {
    labels: Labels,
    mentions: Vec<Mention>,
    /// Whether the text has any word that tells something.
    words: bool,
}

impl Sum {
    fn add(&mut self, mention: Mention, also_uncertain: Option<Finding>) {
        let certainty = mention.certainty;
        self.count(mention.finding, certainty);
        if let Some(other) = also_uncertain
            && certainty != Certainty::Negative
        {
            self.count(other, Certainty::Uncertain);
        }
        // Mentions under No Finding are abnormalities outside the 13: they only count against it.
        if mention.finding != Finding::NoFinding {
            self.mentions.push(mention);
        }
    }

    /// A positive beats the rest; negative with uncertain is uncertain.
    fn count(&mut self, finding: Finding, certainty: Certainty) {
        let rank = |c: Certainty| match c {
            Certainty::Negative => 0,
            Certainty::Uncertain => 1,
            Certainty::Positive => 2,
        };
        let label = &mut self.labels[finding as usize];
        if label.is_none_or(|old| rank(certainty) > rank(old)) {
            *label = Some(certainty);
        }
    }

    /// No Finding is positive when nothing but devices is positive or uncertain, and blank otherwise.
    fn reading(mut self) -> Reading {
        let devices = Finding::SupportDevices as usize;
        let abnormal = self.labels.iter().enumerate().any(|(i, label)| {
            i != devices && matches!(label, Some(Certainty::Positive | Certainty::Uncertain))
        });
        self.labels[Finding::NoFinding as usize] = (self.words && !abnormal).then_some(Certainty::Positive);
        Reading {
            labels: self.labels,
            mentions: self.mentions,
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod real;
