//! Answers after what was asked for: "Effusion: no", "Pneumothorax (-)", "Cardiomegaly? Yes."
//!
//! An item is cut into fields, each a label with what is said of it, so that no answer reaches another's label.

use std::ops::Range;

use super::items::{BULLETS, Found};
use super::lexicon::{Cue, Meaning, Plain};
use super::matcher::Match;
use super::scan::{BREAK, COLON, COMMA, LONGEST, QUESTION, SLASH, Stretch, Token};
use crate::Certainty;

/// Words that are read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) tokens: Range<usize>,
    /// What is answered of the findings that end at this word or before it.
    pub(super) answer: Option<(usize, Certainty)>,
}

/// What parts a label from its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    /// A colon and the like: what follows is said of what precedes.
    Strong,
    /// A dash: the same where what follows is an answer, else a new thought may begin.
    Dash,
    /// An opening bracket: an answer that fills the bracket.
    Bracket,
    /// A comma, a semicolon, or nothing: only a plain answer is one.
    Weak,
}

/// Signs that part a label from its answer as a colon does.
const STRONG: [char; 5] = ['=', '|', '\t', '\u{2026}', '>'];

const DASHES: [char; 4] = ['-', '\u{2013}', '\u{2014}', '\u{2212}'];

/// The pieces of one stretch; kept between stretches to spare allocations.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) all: Vec<Piece>,
    /// Whether the last goes on in the next stretch.
    pub(super) open: bool,
    findings: Vec<Match>,
    cues: Vec<Match>,
    places: Vec<Match>,
    answers: Vec<Match>,
    items: Vec<usize>,
}

impl Pieces {
    /// Cuts a stretch into pieces; returns how many of its words they are.
    pub(super) fn cut(&mut self, text: &str, stretch: &Stretch<'_>, lexicon: &super::Lexicon) -> usize {
        let tokens = stretch.tokens;
        self.all.clear();
        self.open = false;
        match &lexicon.plain {
            Some(plain) => plain.answers.find(tokens, &mut self.answers),
            None => self.answers.clear(),
        }
        match &lexicon.plain {
            Some(plain) if stretch.marked || self.answered(tokens, plain) => {
                lexicon.findings.find(tokens, &mut self.findings);
                lexicon.cues.find(tokens, &mut self.cues);
                lexicon.places.find(tokens, &mut self.places);
                let found = Found {
                    text,
                    tokens,
                    lexicon,
                    plain,
                    findings: &self.findings,
                    cues: &self.cues,
                    places: &self.places,
                    answers: &self.answers,
                };
                found.items(&mut self.items);
                let mut from = 0;
                for to in self.items.iter().copied().chain([tokens.len()]) {
                    found.fields(from..to, &mut self.all);
                    from = to;
                }
            }
            _ => self.all.push(Piece {
                tokens: 0..tokens.len(),
                answer: None,
            }),
        }
        if stretch.cut {
            self.shorten(text, stretch, lexicon)
        } else {
            tokens.len()
        }
    }

    /// Whether a stretch without any sign but commas can hold an answer.
    fn answered(&self, tokens: &[Token], plain: &Plain) -> bool {
        self.answers.iter().any(|m| {
            let ended = || tokens.get(m.end).is_none_or(|t| [COMMA, BREAK].contains(&t.word));
            m.start > 0 && plain.says[m.value as usize].bare && ended()
        })
    }

    /// Leaves the last piece of a stretch that goes on for the next one, or cuts it where a clause may end.
    fn shorten(&mut self, text: &str, stretch: &Stretch<'_>, lexicon: &super::Lexicon) -> usize {
        let tokens = stretch.tokens;
        let last = self.all.last().map_or(0, |piece| piece.tokens.start);
        if last >= LONGEST / 4 {
            self.all.pop();
            return last;
        }
        lexicon.findings.find(tokens, &mut self.findings);
        let joints = &lexicon.joints;
        let parts = |i: &usize| {
            let line = || text[tokens[i - 1].span.end..tokens[*i].span.start].contains('\n');
            [COMMA, BREAK, joints.and, joints.or].contains(&tokens[*i].word) || line()
        };
        let whole = |i: &usize| !self.findings.iter().any(|f| f.start < *i && *i < f.end);
        let end = (tokens.len() / 2..tokens.len())
            .rev()
            .find(|i| parts(i) && whole(i))
            .unwrap_or(tokens.len());
        if let Some(piece) = self.all.last_mut() {
            piece.tokens.end = end;
        }
        self.open = true;
        end
    }
}

impl Found<'_> {
    /// What stands before a word, as a separator.
    fn separator(&self, at: usize) -> Separator {
        let before = self.word(at - 1);
        let gap = self.gap(at);
        let opened = || matches!(&self.text[self.tokens[at - 1].span.clone()], "(" | "[");
        if before == BREAK && opened() {
            Separator::Bracket
        } else if before == COLON || before == QUESTION || gap.contains(STRONG) || gap.contains("..") {
            Separator::Strong
        } else if gap.contains(DASHES) && !gap.contains(BULLETS) {
            Separator::Dash
        } else {
            Separator::Weak
        }
    }

    /// Whether a sign parts a word from a label before it.
    pub(super) fn separated(&self, at: usize) -> bool {
        at > 0 && self.separator(at) != Separator::Weak
    }

    /// Where the label before a separator ends.
    fn label_end(&self, at: usize) -> usize {
        let sign = [COLON, QUESTION, COMMA, BREAK].contains(&self.word(at - 1));
        at - usize::from(sign)
    }

    /// Where a label begins that ends at `end`: after the last sign, or with a list of names alone.
    fn label_start(&self, from: usize, end: usize) -> usize {
        let joints = &self.lexicon.joints;
        let parts = |i: &usize| {
            let word = self.word(i - 1);
            let listed = [joints.and, joints.or].contains(&self.word(*i));
            word == BREAK
                || word == QUESTION
                || (word == COMMA && !listed)
                || (*i > from && self.gap(*i).contains(['\n', '|', '\t']))
        };
        let last = (from + 1..end).rev().find(parts).unwrap_or(from);
        if self.names(from..end) { from } else { last }
    }

    /// Whether words are names of findings alone, with their places.
    fn names(&self, words: Range<usize>) -> bool {
        let joints = &self.lexicon.joints;
        let known = |i: usize| {
            let held = |m: &Match| m.start <= i && i < m.end;
            [COMMA, SLASH, joints.and, joints.or].contains(&self.word(i))
                || self.findings.iter().chain(self.places).any(held)
        };
        words.len() <= 16 && words.into_iter().all(known)
    }

    /// The last finding of a label.
    fn named(&self, label: Range<usize>) -> Option<&Match> {
        let abnormal = || {
            self.cues
                .iter()
                .any(|m| m.start >= label.start && m.end <= label.end && self.cue(m) == Cue::Abnormal)
        };
        self.findings
            .iter()
            .rev()
            .find(|f| f.start >= label.start && f.end <= label.end)
            .filter(|f| match self.lexicon.meanings[f.value as usize] {
                Meaning::Mention { .. } => true,
                Meaning::Subject { .. } => abnormal(),
                Meaning::Ignore => false,
            })
    }

    /// Whether an answer ends at a word: with its item, a sign, or where the next label begins.
    fn ended(&self, at: usize, to: usize, separator: Separator) -> bool {
        if at >= to || [COMMA, BREAK, QUESTION].contains(&self.word(at)) {
            return true;
        }
        let gap = self.gap(at);
        let label = || {
            let next = self.findings.iter().find(|f| f.start >= at && f.end < to);
            next.is_some_and(|f| {
                self.names(at..f.end)
                    && self.separator(f.end + usize::from(self.word(f.end) == COLON)) != Separator::Weak
            })
        };
        gap.contains(['|', '\t', '\u{2026}'])
            || gap.contains("..")
            || gap.contains(BULLETS)
            || (separator != Separator::Weak && (gap.contains('\n') || label()))
    }

    /// Cuts an item into labels with their answers, and what is neither.
    fn fields(&self, item: Range<usize>, out: &mut Vec<Piece>) {
        let to = item.end;
        let mut from = item.start;
        // The end of the label of which the words from `from` on tell, and what is answered of it.
        let mut label: Option<usize> = None;
        let mut answer = None;
        let mut at = item.start + 1;
        while at < to {
            let here = at;
            at += 1;
            let separator = self.separator(here);
            let said = self.answer(here);
            if said.is_none() && separator == Separator::Weak {
                continue;
            }
            let end = self.label_end(here);
            let start = self.label_start(label.map_or(from, |end| end + 1).min(end), end);
            let Some(named) = self.named(start..end) else {
                continue;
            };
            let mut put = |to: usize, answer| {
                if to > from {
                    out.push(Piece {
                        tokens: from..to,
                        answer,
                    });
                }
            };
            let direct = said.filter(|m| {
                self.ended(m.end, to, separator) && self.answers_plainly(m, separator, start..end)
            });
            if let Some(said) = direct {
                put(start, answer);
                let read = self.plain.says[said.value as usize].read;
                at = said.end;
                if let Some(read) = read.filter(|read| *read != Certainty::Negative) {
                    (from, label, answer) = (start, Some(end), Some((end, read)));
                    continue;
                }
                if let Some(read) = read {
                    out.push(Piece {
                        tokens: start..said.end,
                        answer: Some((end, read)),
                    });
                }
                from = said.end;
                while from < to && [COMMA, BREAK].contains(&self.word(from)) {
                    from += 1;
                }
                (label, answer) = (None, None);
                at = at.max(from + 1);
                continue;
            }
            let strong = separator == Separator::Strong;
            let dash = separator == Separator::Dash && self.gap(here).contains(char::is_whitespace);
            // "no mass, nodule or effusion: unchanged" is no label after a comma.
            let inside = label.is_none() && start > from && self.word(start - 1) == COMMA;
            if !(strong || dash) || inside || !self.names(start..end) {
                continue;
            }
            let rest = self.findings.iter().filter(|f| f.start >= here && f.end <= to);
            let clause = (here..to)
                .find(|i| [COMMA, BREAK].contains(&self.word(*i)))
                .unwrap_or(to);
            let denied = self
                .cues
                .iter()
                .any(|m| m.start == here && self.cue(m) == Cue::NegativeBefore);
            let other = rest.clone().any(|f| f.end <= clause);
            if denied && (strong || !other) {
                put(start, answer);
                out.push(Piece {
                    tokens: start..end,
                    answer: Some((end, Certainty::Negative)),
                });
                (from, label, answer) = (here, None, None);
            } else if rest.clone().any(|f| self.same(f, named)) && strong {
                // "Pneumothorax: a small pneumothorax": the label itself says nothing.
                put(start, answer);
                (from, label, answer) = (here, None, None);
            } else if strong {
                put(start, answer);
                (from, label, answer) = (start, Some(end), None);
            }
        }
        if to > from {
            out.push(Piece {
                tokens: from..to,
                answer,
            });
        }
    }

    /// Whether an answer is one after its separator: without a sign only where it follows nothing but names.
    fn answers_plainly(&self, said: &Match, separator: Separator, label: Range<usize>) -> bool {
        match separator {
            Separator::Strong | Separator::Dash => true,
            Separator::Bracket => self.tokens.get(said.end).is_some_and(|t| t.word == BREAK),
            Separator::Weak => self.plain.says[said.value as usize].bare && self.names(label),
        }
    }

    /// Whether two phrases name the same finding.
    fn same(&self, a: &Match, b: &Match) -> bool {
        let finding = |m: &Match| match self.lexicon.meanings[m.value as usize] {
            Meaning::Mention { finding, .. } | Meaning::Subject { finding, .. } => Some(finding),
            Meaning::Ignore => None,
        };
        finding(a) == finding(b)
    }
}
