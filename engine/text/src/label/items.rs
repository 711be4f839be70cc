//! Where the text between two full stops parts into items: bullets, numbers, lines.
//!
//! A line that ends may be wrapped or an item of a list. It goes on where a phrase or a thought does, or where the next word
//! would have made it wider than the widest line.

use super::lexicon::{Cue, Lexicon, Meaning, Plain};
use super::matcher::Match;
use super::scan::{COLON, COMMA, QUESTION, Token};

/// Characters of a line at most that is an item by its length, and of a column at least that one line shows to be wrapped.
const ITEM: usize = 60;

/// Characters of a column at least that several lines show to be wrapped.
const COLUMN: usize = 30;

/// Bytes of a line that are looked at: beyond them it is no item of a list.
const WIDEST: usize = 200;

/// Signs that begin an item wherever they stand.
pub(super) const BULLETS: [char; 8] = [
    '\u{2022}', '\u{b7}', '\u{25aa}', '\u{25cf}', '\u{25e6}', '\u{2023}', '\u{25a0}', '\u{2219}',
];

/// Signs that begin an item at the beginning of a line, and between spaces where their line began with one.
const DASHES: [char; 6] = ['-', '*', '+', '\u{2013}', '\u{2014}', '\u{2212}'];

/// A stretch of text with what was found in it.
pub(super) struct Found<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: &'a [Token],
    pub(super) lexicon: &'a Lexicon,
    pub(super) plain: &'a Plain,
    pub(super) findings: &'a [Match],
    pub(super) cues: &'a [Match],
    pub(super) places: &'a [Match],
    pub(super) answers: &'a [Match],
}

impl Found<'_> {
    pub(super) fn word(&self, at: usize) -> u32 {
        self.tokens[at].word
    }

    /// What stands between a word and the one before it.
    pub(super) fn gap(&self, at: usize) -> &str {
        &self.text[self.tokens[at - 1].span.end..self.tokens[at].span.start]
    }

    pub(super) fn cue(&self, m: &Match) -> Cue {
        self.lexicon.effects[m.value as usize]
    }

    /// The answer that begins at a word.
    pub(super) fn answer(&self, at: usize) -> Option<&Match> {
        let found = self.answers.binary_search_by_key(&at, |m| m.start).ok()?;
        self.answers.get(found)
    }

    /// Whether a finding or its place ends before `at`.
    fn named_before(&self, at: usize) -> bool {
        self.findings.iter().chain(self.places).any(|m| m.end == at)
    }

    /// The text of a word.
    fn said(&self, at: usize) -> &str {
        &self.text[self.tokens[at].span.clone()]
    }

    /// The line of the text up to byte `at`, or its end where it is long.
    fn line_to(&self, at: usize) -> &str {
        let mut from = at.saturating_sub(WIDEST);
        while !self.text.is_char_boundary(from) {
            from += 1;
        }
        self.text[from..at].rsplit('\n').next().unwrap_or_default().trim()
    }

    /// The words at which an item begins, other than the first.
    pub(super) fn items(&self, out: &mut Vec<usize>) {
        out.clear();
        let wrapped = self.wrapped();
        for at in 1..self.tokens.len() {
            let gap = self.gap(at);
            let parts = if gap.contains('\n') {
                self.line_ends(at, out.last().copied().unwrap_or(0), wrapped)
            } else {
                self.marked(at, gap)
            };
            if parts {
                out.push(at);
            }
        }
    }

    /// Whether every line but the last is so full that its next word would have made it the widest: text that was wrapped.
    fn wrapped(&self) -> bool {
        let (mut widest, mut narrowest, mut lines) = (0, usize::MAX, 0);
        for at in (1..self.tokens.len()).filter(|at| self.gap(*at).contains('\n')) {
            let length = self.line_to(self.tokens[at - 1].span.end).chars().count();
            widest = widest.max(length);
            narrowest = narrowest.min(length + 1 + self.said(at).chars().count());
            lines += 1;
        }
        narrowest > widest && (widest >= ITEM || (lines > 1 && widest >= COLUMN))
    }

    /// Whether an item begins at a word inside a line.
    fn marked(&self, at: usize, gap: &str) -> bool {
        let asked = self.word(at - 1) == QUESTION && !gap.is_empty();
        let sign = gap.trim();
        if sign.is_empty() {
            return (asked && self.answer(at).is_none()) || (!gap.is_empty() && self.numbered(at));
        }
        if sign.contains(BULLETS) {
            return true;
        }
        let cell = sign.contains(['|', '\u{2026}']) || sign.contains("..");
        let dash = sign.starts_with(DASHES) && gap.starts_with(char::is_whitespace) && {
            let line = self.line_to(self.tokens[at].span.start);
            gap.len() > sign.len() + 1 && line.starts_with(sign) && line.len() > sign.len()
        };
        (cell || dash || asked) && self.answer(at).is_none()
    }

    /// Whether a word is the number of an item: "2)", "a)", or "2." at the beginning of a line.
    fn numbered(&self, at: usize) -> bool {
        let (word, after) = (self.said(at), &self.text[self.tokens[at].span.end..]);
        let number = word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit());
        (number || (word.len() == 1 && word.bytes().all(|b| b.is_ascii_lowercase())))
            && after.starts_with(')')
    }

    /// Whether an item ends with the line before `at`; `item` is the word it began with.
    fn line_ends(&self, at: usize, item: usize, wrapped: bool) -> bool {
        let gap = self.gap(at);
        let (before, after) = gap.rsplit_once('\n').unwrap_or((gap, ""));
        let listed = self.text[self.tokens[at].span.end..].starts_with('.')
            && self.said(at).bytes().all(|b| b.is_ascii_digit());
        if after.contains(BULLETS) || after.trim().starts_with(DASHES) || self.numbered(at) || listed {
            return true;
        }
        let answered = |m: &Match| m.end == at && (self.separated(m.start) || self.named_before(m.start));
        if self.answers.iter().any(answered) {
            return true;
        }
        if before.trim().ends_with(DASHES) || self.goes_on(at, item) {
            return false;
        }
        let line = self.line_to(self.tokens[at - 1].span.end);
        let length = line.chars().count();
        let capital = self.said(at).starts_with(char::is_uppercase);
        // In a line of capitals a capital tells nothing.
        let capitals = !line.chars().any(char::is_lowercase);
        if capital && !capitals && length <= ITEM {
            return true;
        }
        !wrapped && (capital || !self.listed_on(at, item))
    }

    /// Whether what stands before a line's end is not all of its thought.
    fn goes_on(&self, at: usize, item: usize) -> bool {
        let last = self.word(at - 1);
        let straddled = self.findings.iter().any(|m| m.start < at && at < m.end);
        if straddled || last == COMMA || last == COLON || self.plain.open.contains(&last) {
            return true;
        }
        let predicate = |m: &Match| {
            m.start == at
                && match self.cue(m) {
                    Cue::NegativeAfter | Cue::UncertainAfter | Cue::UncertainBetween => true,
                    Cue::Normal | Cue::Abnormal | Cue::Borderline | Cue::Same => self.organ_before(at, item),
                    _ => false,
                }
        };
        if self.plain.onward.contains(&self.word(at)) || self.cues.iter().any(predicate) {
            return true;
        }
        // "Stable / cardiomediastinal silhouette".
        let unnamed = !self.findings.iter().any(|f| f.start >= item && f.end <= at);
        let told = |m: &Match| {
            m.end == at
                && matches!(
                    self.cue(m),
                    Cue::Normal | Cue::Abnormal | Cue::Borderline | Cue::Same | Cue::NegativeAround
                )
        };
        if unnamed && (self.cues.iter().any(told) || self.places.iter().any(|m| m.end == at)) {
            return true;
        }
        // "no effusion or bronchial" looks forward to a noun, "no acute process" does not.
        let denied = self.cues.iter().rev().find(|m| {
            m.start >= item
                && m.end <= at
                && matches!(self.cue(m), Cue::NegativeBefore | Cue::UncertainBefore)
        });
        denied.is_some_and(|cue| {
            let joints = &self.lexicon.joints;
            let joint = |i: &usize| [joints.and, joints.or, COMMA].contains(&self.word(*i));
            let from = (cue.end..at).rev().find(joint).unwrap_or(cue.end);
            let adjective = self
                .plain
                .open_endings
                .iter()
                .any(|end| self.said(at - 1).to_lowercase().ends_with(end.as_str()));
            adjective && !self.findings.iter().any(|f| f.start >= from && f.end <= at)
        })
    }

    /// Whether the last that an item names is an organ of which it says nothing.
    fn organ_before(&self, at: usize, item: usize) -> bool {
        let last = self
            .findings
            .iter()
            .rev()
            .find(|f| f.start >= item && f.end <= at);
        let told = |f: &Match| {
            self.cues.iter().any(|m| {
                m.start >= f.end
                    && m.end <= at
                    && matches!(
                        self.cue(m),
                        Cue::Normal | Cue::Abnormal | Cue::Borderline | Cue::Same
                    )
            })
        };
        last.is_some_and(|f| {
            matches!(self.lexicon.meanings[f.value as usize], Meaning::Subject { .. }) && !told(f)
        })
    }

    /// Whether a sentence that denies goes on over the line's end as a list that an "or" closes: "There is no edema / pleural
    /// effusion or mass".
    fn listed_on(&self, at: usize, item: usize) -> bool {
        let first = self.said(item);
        let sentence = first.starts_with(char::is_uppercase) && first.chars().any(char::is_lowercase);
        let line = (at + 1..self.tokens.len())
            .find(|i| self.gap(*i).contains('\n'))
            .unwrap_or(self.tokens.len());
        let denies = |from: usize, to: usize| {
            self.cues
                .iter()
                .any(|m| m.start >= from && m.end <= to && self.cue(m) == Cue::NegativeBefore)
        };
        let or = (at..line).any(|i| self.word(i) == self.lexicon.joints.or);
        sentence && or && denies(item, at) && !denies(at, line)
    }
}
