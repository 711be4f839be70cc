//! Readings that hold whatever the cues say: what a parser gets wrong in the same way each time.

use super::lexicon::Meaning;
use super::matcher::Match;
use super::scan::{EDGE, Token};
use super::scope::Sentence;
use crate::Certainty;

/// The slips of one sentence; kept between sentences to spare allocations.
#[derive(Debug, Default)]
pub(super) struct Slips {
    found: Vec<Match>,
    /// The sentence with its two edges.
    edged: Vec<Token>,
}

impl Slips {
    /// Finds the slips of a sentence. Unlike other phrases they may overlap.
    pub(super) fn find(&mut self, s: &Sentence<'_>) {
        self.found.clear();
        if s.lexicon.slipped.is_empty() {
            return;
        }
        let edge = || Token {
            word: EDGE,
            span: 0..0,
        };
        self.edged.clear();
        self.edged.push(edge());
        self.edged.extend_from_slice(s.tokens);
        self.edged.push(edge());
        s.lexicon.slips.find_overlapping(&self.edged, &mut self.found);
    }

    /// What a finding is read as where the words of a slip hold it: the longest of them decides.
    pub(super) fn read(&self, s: &Sentence<'_>, f: &Match) -> Option<Certainty> {
        let finding = match s.lexicon.meanings[f.value as usize] {
            Meaning::Mention { finding, .. } | Meaning::Subject { finding, .. } => finding,
            Meaning::Ignore => return None,
        };
        // The last word of the finding must be in the slip; the edge before the first word moves all by one.
        let holds = |m: &&Match| m.start <= f.end && f.end < m.end;
        let about = |m: &&Match| {
            let slip = s.lexicon.slipped[m.value as usize];
            slip.findings[finding as usize] && (!slip.last || m.end - f.end <= 2)
        };
        let longest = self
            .found
            .iter()
            .filter(holds)
            .filter(about)
            .max_by_key(|m| m.end - m.start)?;
        Some(s.lexicon.slipped[longest.value as usize].read)
    }
}
