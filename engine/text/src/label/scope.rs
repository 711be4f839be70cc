//! How far a cue reaches, and what that makes of each finding of a sentence.

use super::lexicon::{Cue, Lexicon, Meaning};
use super::matcher::Match;
use super::scan::{BREAK, COMMA, QUESTION, SLASH, Token};
use crate::Certainty;

/// What the cues of one sentence say of each of its words; kept between sentences to spare allocations.
#[derive(Debug, Default)]
pub(super) struct Scope {
    negative: Vec<bool>,
    uncertain: Vec<bool>,
    silent: Vec<bool>,
}

/// What a sentence that was cut for its length says of the words that follow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carried {
    negative: bool,
    uncertain: bool,
}

/// A sentence with what was found in it.
pub(super) struct Sentence<'a> {
    pub(super) lexicon: &'a Lexicon,
    pub(super) tokens: &'a [Token],
    pub(super) cues: &'a [Match],
    pub(super) findings: &'a [Match],
}

impl Sentence<'_> {
    fn cue(&self, m: &Match) -> Cue {
        self.lexicon.effects[m.value as usize]
    }

    fn word(&self, at: usize) -> u32 {
        self.tokens[at].word
    }

    fn is_verb(&self, at: usize) -> bool {
        self.lexicon.joints.verbs.contains(&self.word(at))
    }

    /// Where what begins at `from` ends: at the next barrier, or where a new thought opens.
    fn clause_end(&self, from: usize) -> usize {
        let sign = (from..self.tokens.len())
            .find(|i| self.word(*i) == BREAK)
            .unwrap_or(self.tokens.len());
        let opens = |m: &&Match| {
            (from..sign).contains(&m.start)
                && match self.cue(m) {
                    Cue::Barrier => true,
                    Cue::SoftBarrier => !self.tokens[m.end.min(sign)..sign]
                        .iter()
                        .any(|t| t.word == self.lexicon.joints.or),
                    // "no effusion, possible pneumonia", but not "no finding to suggest pneumonia".
                    Cue::UncertainBefore | Cue::UncertainAround => {
                        m.start > 0 && {
                            let before = self.word(m.start - 1);
                            before == COMMA || before == self.lexicon.joints.and
                        }
                    }
                    _ => false,
                }
        };
        self.cues.iter().find(opens).map_or(sign, |m| m.start)
    }

    /// Where the words that a cue at `to` looks back on begin: after the last barrier, break or verb.
    fn clause_start(&self, to: usize) -> usize {
        let barrier = self
            .cues
            .iter()
            .rev()
            .find(|m| m.end <= to && self.cue(m) == Cue::Barrier)
            .map_or(0, |m| m.end);
        let joints = &self.lexicon.joints;
        let alone = self
            .tokens
            .get(to)
            .is_some_and(|t| joints.singular.contains(&t.word));
        // "atelectasis, with pneumonia not excluded": the "with" opens a clause of its own.
        let with =
            |i: usize| self.word(i) == COMMA && self.tokens.get(i + 1).is_some_and(|t| t.word == joints.with);
        let stops = |i: &usize| {
            self.word(*i) == BREAK || self.is_verb(*i) || with(*i) || (alone && self.word(*i) == joints.and)
        };
        let other = (0..to).rev().find(stops).map_or(0, |i| i + 1);
        barrier.max(other)
    }

    /// Where a list that is uncertain as a whole ends: "edema, pneumonia or both, small effusion".
    fn uncertain_end(&self, from: usize) -> usize {
        let end = self.clause_end(from);
        let last_or = (from..end)
            .rev()
            .find(|i| self.word(*i) == self.lexicon.joints.or || self.between(*i))
            .unwrap_or(from);
        (last_or.max(from)..end)
            .find(|i| self.word(*i) == COMMA)
            .unwrap_or(end)
    }

    /// Where what is past ends: with its list, or where something is said of it or comes with it.
    fn silent_end(&self, from: usize) -> usize {
        let end = self.uncertain_end(from).max(from);
        let with = self.lexicon.joints.with;
        (from..end)
            .find(|i| self.is_verb(*i) || self.word(*i) == with)
            .unwrap_or(end)
    }

    /// The cue, where those that look both ways have taken their direction.
    fn directed(&self, m: &Match) -> Cue {
        let cue = self.cue(m);
        let (before, after) = match cue {
            Cue::NegativeAround => (Cue::NegativeBefore, Cue::NegativeAfter),
            Cue::UncertainAround => (Cue::UncertainBefore, Cue::UncertainAfter),
            _ => return cue,
        };
        let end = (m.end..self.clause_end(m.end))
            .find(|i| self.word(*i) == COMMA || self.is_verb(*i))
            .unwrap_or(self.tokens.len());
        if self.findings.iter().any(|f| f.start >= m.end && f.start < end) {
            before
        } else {
            after
        }
    }

    /// Whether a "versus" stands at this word.
    fn between(&self, at: usize) -> bool {
        self.cues
            .iter()
            .any(|m| m.start == at && self.cue(m) == Cue::UncertainBetween)
    }

    /// Whether the finding nearest before `at` in the same clause can be named, and where it begins.
    fn finding_before(&self, at: usize) -> Option<&Match> {
        let start = self.clause_start(at);
        self.findings
            .iter()
            .rev()
            .find(|f| f.end <= at && f.start >= start)
    }
}

impl Scope {
    /// What is still said at the end of the sentence.
    pub(super) fn carried(&self, s: &Sentence<'_>) -> Carried {
        let last = |cue: Cue| {
            s.cues
                .last()
                .is_some_and(|m| m.end == s.tokens.len() && s.cue(m) == cue)
        };
        Carried {
            negative: self.negative.last().is_some_and(|said| *said) || last(Cue::NegativeBefore),
            uncertain: self.uncertain.last().is_some_and(|said| *said) || last(Cue::UncertainBefore),
        }
    }

    /// Works out the reach of every cue of a sentence, and of what the one before it carries over.
    pub(super) fn read(&mut self, s: &Sentence<'_>, carried: Carried) {
        let n = s.tokens.len();
        for marks in [&mut self.negative, &mut self.uncertain, &mut self.silent] {
            marks.clear();
            marks.resize(n, false);
        }
        if carried.negative {
            self.negative[..s.clause_end(0)].fill(true);
        }
        if carried.uncertain {
            self.uncertain[..s.clause_end(0)].fill(true);
        }
        for m in s.cues {
            match s.directed(m) {
                Cue::NegativeBefore => self.negative[m.end..s.clause_end(m.end).max(m.end)].fill(true),
                Cue::NegativeAfter => self.negative[s.clause_start(m.start)..m.start].fill(true),
                Cue::UncertainBefore => self.uncertain[m.end..s.uncertain_end(m.end).max(m.end)].fill(true),
                Cue::SilentBefore => self.silent[m.end..s.silent_end(m.end)].fill(true),
                Cue::UncertainAfter => self.uncertain[s.clause_start(m.start)..m.start].fill(true),
                Cue::UncertainBetween => {
                    self.uncertain[m.end..s.uncertain_end(m.end).max(m.end)].fill(true);
                    if let Some(f) = s.finding_before(m.start) {
                        self.uncertain[f.start..f.end].fill(true);
                    }
                }
                _ => {}
            }
        }
        // "scar or atelectasis" is one of the two, unless neither is there.
        for at in (0..n)
            .filter(|i| (s.word(*i) == s.lexicon.joints.or || s.word(*i) == SLASH) && !self.negative[*i])
        {
            let before = s.findings.iter().rev().find(|f| f.end <= at && at - f.end <= 1);
            let after = s.findings.iter().find(|f| f.start > at && f.start - at <= 4);
            if let (Some(before), Some(after)) = (before, after) {
                self.uncertain[before.start..before.end].fill(true);
                self.uncertain[after.start..after.end].fill(true);
            }
        }
        for at in (0..n).filter(|i| s.word(*i) == QUESTION) {
            if at + 1 < n {
                self.uncertain[at..s.uncertain_end(at + 1)].fill(true);
            } else if let Some(f) = s.finding_before(at) {
                self.uncertain[f.start..f.end].fill(true);
            }
        }
    }

    /// What the sentence says of a finding; `None` where it only names an organ.
    pub(super) fn certainty(&self, s: &Sentence<'_>, f: &Match) -> Option<Certainty> {
        let stated = if self.negative[f.end - 1] {
            Certainty::Negative
        } else if self.silent[f.end - 1] {
            return None;
        } else if self.uncertain[f.end - 1] {
            Certainty::Uncertain
        } else {
            Certainty::Positive
        };
        match s.lexicon.meanings[f.value as usize] {
            Meaning::Mention { .. } => Some(stated),
            Meaning::Ignore => None,
            Meaning::Subject {
                otherwise, anywhere, ..
            } => match self.state(s, f) {
                Some(state) => Some(self.judge(s, state)),
                None if stated != Certainty::Positive => Some(stated),
                None => self.unsaid(s, f, otherwise, anywhere),
            },
        }
    }

    /// What stands of an organ that is called neither normal nor abnormal: `otherwise`, uncertain where it is
    /// as it was, nothing where it is only a place ("a nodule behind the heart") or goes on a list ("heart
    /// normal, stable contours").
    fn unsaid(
        &self,
        s: &Sentence<'_>,
        f: &Match,
        otherwise: Option<Certainty>,
        anywhere: bool,
    ) -> Option<Certainty> {
        let before = f.start.checked_sub(1).map(|i| s.word(i));
        if !anywhere && before.is_some_and(|word| s.lexicon.joints.prepositions.contains(&word)) {
            return None;
        }
        let near = |m: &&Match| m.end <= f.start && f.start - m.end <= 1;
        if s.cues.iter().any(|m| s.cue(m) == Cue::SoftBarrier && near(&m)) {
            return None;
        }
        let (from, to) = (s.clause_start(f.start), s.clause_end(f.end));
        let same = |m: &Match| matches!(s.cue(m), Cue::Same | Cue::Neutral) && m.start >= from && m.end <= to;
        if s.cues.iter().any(same) {
            Some(Certainty::Uncertain)
        } else {
            otherwise
        }
    }

    /// What a word about an organ says of it.
    fn judge(&self, s: &Sentence<'_>, state: &Match) -> Certainty {
        let negative = self.negative[state.start];
        match (s.cue(state), negative) {
            (Cue::Normal, false) | (Cue::Abnormal, true) => Certainty::Negative,
            (Cue::Abnormal, false) if self.uncertain[state.start] => Certainty::Uncertain,
            (Cue::Borderline, false) => Certainty::Uncertain,
            (Cue::Borderline, true) => Certainty::Negative,
            _ => Certainty::Positive,
        }
    }

    /// The word that tells how an organ is: right before it, else the first after it, else one before that it
    /// shares.
    fn state<'s>(&self, s: &Sentence<'s>, f: &Match) -> Option<&'s Match> {
        let tells = |m: &&Match| matches!(s.cue(m), Cue::Normal | Cue::Abnormal | Cue::Borderline);
        let near = |m: &&Match| {
            let between =
                |i: usize| s.word(i) != s.lexicon.joints.and && (s.word(i) > BREAK || s.word(i) == 0);
            m.end <= f.start && f.start - m.end <= 1 && (m.end..f.start).all(between)
        };
        if let Some(m) = s.cues.iter().rev().filter(tells).find(near) {
            return Some(m);
        }
        let end = s.clause_end(f.end);
        // "stable silhouette with normal heart size": that "normal" is the heart's.
        let others = |m: &&Match| s.findings.iter().any(|g| g.start == m.end && self.subject(s, g));
        let after = s
            .cues
            .iter()
            .filter(tells)
            .find(|m| m.start >= f.end && m.start < end && !others(m));
        if let Some(m) = after
            && !self.passed_on(s, f.end, m.start)
        {
            return Some(m);
        }
        let start = s.clause_start(f.start);
        // "normal heart size, mediastinum and hila" is a list, "heart enlarged, stable mediastinum" is not.
        let apart = |from: usize| {
            (from..f.start).any(|i| s.word(i) == COMMA)
                && s.cues
                    .iter()
                    .any(|c| s.cue(c) == Cue::SoftBarrier && c.start >= from && c.end <= f.start)
        };
        let shared = |m: &&Match| m.end <= f.start && m.start >= start && !apart(m.end);
        s.cues.iter().rev().filter(tells).find(shared)
    }

    /// Whether a phrase names an organ.
    fn subject(&self, s: &Sentence<'_>, f: &Match) -> bool {
        matches!(s.lexicon.meanings[f.value as usize], Meaning::Subject { .. })
    }

    /// Whether the words between an organ and what might be said of it have already said something and passed
    /// a comma.
    fn passed_on(&self, s: &Sentence<'_>, from: usize, to: usize) -> bool {
        let Some(comma) = (from..to).find(|i| s.word(*i) == COMMA) else {
            return false;
        };
        (from..comma).any(|i| s.is_verb(i))
            || s.cues
                .iter()
                .any(|m| m.start >= from && m.end <= comma && s.cue(m) == Cue::Same)
    }
}
