//! The labeler's data file: phrases and what they mean, in TOML, and how it becomes tries.
//!
//! A phrase is words apart by spaces. `a|b` is either word, `word(s)` the word with and without s, `word?`
//! may be left out,
//! `~` is up to three words of any kind, `{name}` is any phrase of the list `name` of `[words]`.
//!
//! An overlay is a second file of the same form. It is read first, and what it says of a phrase holds.

use std::collections::HashSet;

use serde::Deserialize;
use toml::Spanned;

use super::matcher::Trie;
use super::scan::Vocabulary;
use super::shorthand::Builder;
use super::written::{OVERLAY, Written, WrittenCue, line};
use crate::{Certainty, Finding, Side, TextError, Zone};

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
    /// "history of": what follows is not said to be there, nor that it is not.
    SilentBefore,
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
    /// For plain sense: how lists and answers are read.
    pub(super) plain: Option<Plain>,
}

/// What plain sense has and CheXpert's labeler has not.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) answers: Trie,
    pub(super) says: Vec<Answer>,
    /// Words after which a thought goes on.
    pub(super) open: HashSet<u32>,
    /// Letters in which adjectives end.
    pub(super) open_endings: Vec<String>,
    /// Words that go on with a thought.
    pub(super) onward: HashSet<u32>,
}

/// An answer to what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// How the finding is read; `None` where nothing is said of it.
    pub(super) read: Option<Certainty>,
    /// Whether it is one without a sign before it: "effusion nil".
    pub(super) bare: bool,
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
            plain: None,
        };
        let mut added = 0;
        let mut left_out = HashSet::new();
        if let Some((text, over)) = &over {
            let mut builder = Builder {
                text,
                place: OVERLAY,
                lists: &words,
                added: &mut added,
                left_out: &HashSet::new(),
            };
            lexicon.add(over, &mut builder)?;
            let all = builder.all(&mut lexicon.vocabulary, &over.leave_out, "leave_out")?;
            left_out.extend(all.into_iter().map(|(_, steps)| steps));
        }
        let mut builder = Builder {
            text,
            place: "",
            lists: &words,
            added: &mut added,
            left_out: &left_out,
        };
        lexicon.add(&base, &mut builder)?;
        if over.is_none() {
            lexicon.plain = Some(Plain::new(&mut lexicon.vocabulary, &base, &mut builder)?);
        }
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
    fn add(&mut self, written: &Written, builder: &mut Builder<'_>) -> Result<(), TextError> {
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

impl Plain {
    fn new(
        vocabulary: &mut Vocabulary,
        written: &Written,
        builder: &mut Builder<'_>,
    ) -> Result<Self, TextError> {
        let mut numbers = |words: &[String]| words.iter().map(|word| vocabulary.add(word)).collect();
        let (open, onward) = (numbers(&written.lines.open), numbers(&written.lines.onward));
        let (mut answers, mut says) = (Trie::default(), Vec::new());
        let tables = written.answer.iter().map(|a| {
            let answer = Answer {
                read: a.read,
                bare: a.bare,
            };
            (answer, &a.phrases, "[[answer]]".into())
        });
        builder.add_all(vocabulary, &mut answers, &mut says, tables)?;
        for (sign, word) in &written.marks {
            vocabulary.add_mark(sign, word);
        }
        Ok(Self {
            answers,
            says,
            open,
            open_endings: written.lines.open_endings.clone(),
            onward,
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
