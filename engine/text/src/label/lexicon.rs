//! The labeler's data file: phrases and what they mean, in TOML, and how it becomes tries.
//!
//! A phrase is words apart by spaces. `a|b` is either word, `word(s)` the word with and without s, `word?`
//! may be left out,
//! `~` is up to three words of any kind, `{name}` is any phrase of the list `name` of `[words]`.
//!
//! An overlay is a second file of the same form. It is read first, and what it says of a phrase holds.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::matcher::Trie;
use super::scan::Vocabulary;
use super::shorthand::Builder;
use crate::{Certainty, Finding, Side, TextError, Zone};

/// The data file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    spelling: BTreeMap<String, String>,
    #[serde(default)]
    misspelt: Vec<String>,
    #[serde(default)]
    inside: Vec<String>,
    #[serde(default)]
    words: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    mention: Vec<WrittenMention>,
    #[serde(default)]
    subject: Vec<WrittenSubject>,
    #[serde(default)]
    ignore: Vec<Phrases>,
    #[serde(default)]
    cue: Vec<WrittenCue>,
    #[serde(default)]
    place: Vec<WrittenPlace>,
    #[serde(default)]
    slip: Vec<WrittenSlip>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phrases {
    phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMention {
    finding: Spanned<String>,
    also: Option<Spanned<String>>,
    also_uncertain: Option<Spanned<String>>,
    #[serde(default = "yes")]
    sided: bool,
    phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSubject {
    finding: Spanned<String>,
    otherwise: Option<Certainty>,
    #[serde(default)]
    anywhere: bool,
    phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCue {
    kind: Cue,
    phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPlace {
    side: Option<Side>,
    zone: Option<Zone>,
    phrases: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSlip {
    findings: Vec<Spanned<String>>,
    read: Certainty,
    #[serde(default)]
    last: bool,
    phrases: Vec<Spanned<String>>,
}

const fn yes() -> bool {
    true
}

/// What a phrase that names a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The finding itself ("effusion"): present unless a cue says otherwise.
    Mention {
        finding: Finding,
        /// Another finding that this names as well ("nodular opacity": Lung Opacity).
        also: Option<Finding>,
        /// Another finding that this makes uncertain ("heart failure": Cardiomegaly).
        also_uncertain: Option<Finding>,
        /// Whether it can have a side.
        sided: bool,
    },
    /// An organ ("heart size"): what is said of it decides.
    Subject {
        finding: Finding,
        /// What it is where nothing is said of it.
        otherwise: Option<Certainty>,
        /// Whether it counts where it is only a place ("clips in the mediastinum").
        anywhere: bool,
    },
    /// Something that only looks like a finding ("pericardial effusion").
    Ignore,
}

/// What a phrase does to the findings around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cue {
    /// "no": what follows is absent.
    NegativeBefore,
    /// "has resolved": what precedes is absent.
    NegativeAfter,
    /// "may represent": what follows is uncertain.
    UncertainBefore,
    /// "cannot be excluded": what precedes is uncertain.
    UncertainAfter,
    /// "resolved": as before where a finding follows in its clause, else as after.
    NegativeAround,
    /// "possible": the same.
    UncertainAround,
    /// "versus": what stands on both sides is uncertain.
    UncertainBetween,
    /// "no change in": has the words of another cue and none of its effect.
    Neutral,
    /// "but": ends what goes before.
    Barrier,
    /// ", small": a barrier where no "or" goes on with the list.
    SoftBarrier,
    /// "consistent with": what follows is where what precedes is.
    Link,
    /// "normal": said of a subject.
    Normal,
    /// "enlarged": said of a subject.
    Abnormal,
    /// "upper limits of normal": said of a subject.
    Borderline,
    /// "unchanged": said of a subject, which is then uncertain.
    Same,
}

/// A side, a zone, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) side: Option<Side>,
    pub(super) zone: Option<Zone>,
}

/// Findings that are read in one way wherever they stand in these words, whatever the cues say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slip {
    /// By category.
    pub(super) findings: [bool; 14],
    pub(super) read: Certainty,
    /// Whether it holds only for the finding that the words end with.
    pub(super) last: bool,
}

/// The data file, ready to be searched for.
#[derive(Clone, Debug)]
pub(super) struct Lexicon {
    pub(super) vocabulary: Vocabulary,
    pub(super) findings: Trie,
    pub(super) meanings: Vec<Meaning>,
    pub(super) cues: Trie,
    pub(super) effects: Vec<Cue>,
    pub(super) places: Trie,
    pub(super) where_: Vec<Place>,
    pub(super) slips: Trie,
    pub(super) slipped: Vec<Slip>,
    /// Words that part or join clauses.
    pub(super) joints: Joints,
}

/// Small words that the rules know by number.
#[derive(Clone, Debug)]
pub(super) struct Joints {
    pub(super) and: u32,
    pub(super) or: u32,
    pub(super) with: u32,
    pub(super) verbs: Vec<u32>,
    /// Verbs of one thing alone: "effusion and mass is not seen".
    pub(super) singular: Vec<u32>,
    pub(super) prepositions: Vec<u32>,
}

impl Lexicon {
    /// Reads a data file, and an overlay where there is one.
    ///
    /// # Errors
    /// When one is not TOML of this form, or a phrase, finding or list in it is not what it should be.
    pub(super) fn from_toml(text: &str, overlay: Option<&str>) -> Result<Self, TextError> {
        let base = Written::read(text, "")?;
        if base.mention.is_empty() {
            return Err(TextError::Lexicon {
                line: 1,
                what: "no table [[mention]]".into(),
            });
        }
        let over = match overlay {
            Some(over) => Some((over, Written::read(over, OVERLAY)?)),
            None => None,
        };
        let mut words = base.words.clone();
        let mut vocabulary = Vocabulary::default();
        if let Some((_, over)) = &over {
            words.extend(over.words.clone());
            over.spelling
                .iter()
                .for_each(|(spelling, word)| vocabulary.alias(spelling, word));
        }
        for (spelling, word) in &base.spelling {
            if !over
                .as_ref()
                .is_some_and(|(_, over)| over.spelling.contains_key(spelling))
            {
                vocabulary.alias(spelling, word);
            }
        }
        let mut lexicon = Self {
            joints: Joints::new(&mut vocabulary),
            vocabulary,
            findings: Trie::default(),
            meanings: Vec::new(),
            cues: Trie::default(),
            effects: Vec::new(),
            places: Trie::default(),
            where_: Vec::new(),
            slips: Trie::default(),
            slipped: Vec::new(),
        };
        let mut added = 0;
        if let Some((text, over)) = &over {
            lexicon.add(
                over,
                Builder {
                    text,
                    place: OVERLAY,
                    lists: &words,
                    added: &mut added,
                },
            )?;
        }
        lexicon.add(
            &base,
            Builder {
                text,
                place: "",
                lists: &words,
                added: &mut added,
            },
        )?;
        for written in over.iter().map(|(_, over)| over).chain([&base]) {
            written
                .misspelt
                .iter()
                .for_each(|word| lexicon.vocabulary.misspell(word));
            written
                .inside
                .iter()
                .for_each(|letters| lexicon.vocabulary.inside(letters));
        }
        Ok(lexicon)
    }

    /// Adds the tables of one file. What an earlier file says of a phrase stays.
    fn add(&mut self, written: &Written, mut builder: Builder<'_>) -> Result<(), TextError> {
        let text = builder.text;
        let finding = |name: &Spanned<String>| {
            Finding::from_name(name.get_ref()).ok_or_else(|| TextError::LexiconEntry {
                line: line(text, name.span().start),
                place: format!("{}a table", builder.place),
                what: format!("the unknown finding {:?}", name.get_ref()),
            })
        };
        // The phrases of each table with what they mean, in the order of the file.
        let mut named = Vec::new();
        for mention in &written.mention {
            let meaning = Meaning::Mention {
                finding: finding(&mention.finding)?,
                also: mention.also.as_ref().map(finding).transpose()?,
                also_uncertain: mention.also_uncertain.as_ref().map(finding).transpose()?,
                sided: mention.sided,
            };
            named.push((
                meaning,
                &mention.phrases,
                format!("[[mention]] {}", mention.finding.get_ref()),
            ));
        }
        for subject in &written.subject {
            let meaning = Meaning::Subject {
                finding: finding(&subject.finding)?,
                otherwise: subject.otherwise,
                anywhere: subject.anywhere,
            };
            named.push((
                meaning,
                &subject.phrases,
                format!("[[subject]] {}", subject.finding.get_ref()),
            ));
        }
        for ignore in &written.ignore {
            named.push((Meaning::Ignore, &ignore.phrases, "[[ignore]]".into()));
        }
        let mut slips = Vec::new();
        for slip in &written.slip {
            let mut findings = [false; 14];
            for name in &slip.findings {
                findings[finding(name)? as usize] = true;
            }
            slips.push((
                Slip {
                    findings,
                    read: slip.read,
                    last: slip.last,
                },
                &slip.phrases,
                "[[slip]]".into(),
            ));
        }
        let cue = |c: &'_ WrittenCue| format!("[[cue]] {:?}", c.kind);
        let cues = written.cue.iter().map(|c| (c.kind, &c.phrases, cue(c)));
        let places = written.place.iter().map(|p| {
            (
                Place {
                    side: p.side,
                    zone: p.zone,
                },
                &p.phrases,
                "[[place]]".into(),
            )
        });
        let vocabulary = &mut self.vocabulary;
        builder.add_all(vocabulary, &mut self.findings, &mut self.meanings, named)?;
        builder.add_all(vocabulary, &mut self.cues, &mut self.effects, cues)?;
        builder.add_all(vocabulary, &mut self.places, &mut self.where_, places)?;
        builder.add_all(vocabulary, &mut self.slips, &mut self.slipped, slips)
    }
}

/// How mistakes of an overlay are told from those of the lexicon under it.
const OVERLAY: &str = "in the overlay: ";

impl Written {
    fn read(text: &str, place: &str) -> Result<Self, TextError> {
        toml::from_str(text).map_err(|error| {
            let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            TextError::Lexicon {
                line: line(text, error.span().map_or(0, |span| span.start)),
                what: format!("{place}{what}"),
            }
        })
    }
}

/// Words that make a place of what follows.
const PREPOSITIONS: [&str; 16] = [
    "in",
    "on",
    "at",
    "within",
    "of",
    "over",
    "overlying",
    "involving",
    "to",
    "near",
    "from",
    "along",
    "behind",
    "above",
    "below",
    "under",
];

impl Joints {
    fn new(vocabulary: &mut Vocabulary) -> Self {
        let mut all = |words: &[&str]| -> Vec<u32> { words.iter().map(|w| vocabulary.add(w)).collect() };
        Self {
            singular: all(&["is", "was", "has"]),
            verbs: all(&[
                "is", "are", "was", "were", "has", "have", "appears", "appear", "remains", "remain",
            ]),
            prepositions: all(&PREPOSITIONS),
            and: all(&["and"])[0],
            or: all(&["or"])[0],
            with: all(&["with"])[0],
        }
    }
}

/// The line, from 1, of a byte of a text.
pub(super) fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let bad = |text: &str| Lexicon::from_toml(text, None).unwrap_err().to_string();
        let said = |text: &str, words: &[&str]| {
            let error = bad(text);
            assert!(
                words.iter().all(|w| error.contains(w)) && error.lines().count() == 1,
                "{error}"
            );
        };
        said("# mine\nmention = 3", &["lexicon cannot be read at line 2"]);
        said(
            "[[mention]]\nfinding = 'Edema'\nphrase = ['edema']",
            &["line 3", "phrase"],
        );
        said(
            "[[mention]]\nfinding = 'Edema'\nphrases = ['edema'",
            &["lexicon cannot be read at line 3"],
        );
        said(
            "[[mention]]\nfinding = 'Gout'\nphrases = ['gout']",
            &["line 2", "Gout"],
        );
        said(
            "[[mention]]\nfinding = 'Edema'\nphrases = [\n'edema',\n'~ edema']",
            &["line 5", "beginning"],
        );
        said(
            "[[mention]]\nfinding = 'Edema'\nphrases = ['{wet} edema']",
            &["line 3", "unknown list {wet}"],
        );
        said(
            "[words]\nwet = ['A b']\n[[mention]]\nfinding = 'Edema'\nphrases = ['{wet} edema']",
            &["line 5", "{wet}", "\"A\""],
        );
        let twice =
            "[[mention]]\nfinding='Edema'\nphrases=['wet']\n[[mention]]\nfinding='Fracture'\nphrases=['wet']";
        assert!(bad(twice).contains("two meanings"));
    }
}
