//! Many phrases found at once: a trie over words, with gaps.

use super::scan::{FIRST_WORD, Token};

/// One word of a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// This word or sign.
    Word(u32),
    /// Up to [`GAP`] words, but no sign.
    Gap,
}

/// The most words that a gap stands for.
pub(super) const GAP: usize = 3;

#[derive(Clone, Debug, Default)]
struct Node {
    /// Words that go on, sorted.
    next: Vec<(u32, u32)>,
    /// The node after a gap.
    gap: Option<u32>,
    /// What ends here.
    value: Option<u32>,
}

/// A phrase that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Its first word.
    pub(super) start: usize,
    /// One past its last word.
    pub(super) end: usize,
    /// What it stands for.
    pub(super) value: u32,
}

/// Phrases and what they stand for.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// By word: the node after it, or 0. Most words begin nothing.
    first: Vec<u32>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            first: Vec::new(),
        }
    }
}

impl Trie {
    /// Adds a phrase; a phrase that is already there keeps its first value, which is returned.
    pub(super) fn add(&mut self, phrase: &[Step], value: u32) -> u32 {
        let mut node = 0;
        for (i, step) in phrase.iter().enumerate() {
            let known = match step {
                Step::Gap => self.nodes[node].gap,
                Step::Word(w) => self.nodes[node]
                    .next
                    .binary_search_by_key(w, |n| n.0)
                    .ok()
                    .map(|k| self.nodes[node].next[k].1),
            };
            let child = known.unwrap_or_else(|| {
                let child = self.nodes.len() as u32;
                self.nodes.push(Node::default());
                match step {
                    Step::Gap => self.nodes[node].gap = Some(child),
                    Step::Word(w) => {
                        let place = self.nodes[node].next.partition_point(|n| n.0 < *w);
                        self.nodes[node].next.insert(place, (*w, child));
                        if i == 0 {
                            let word = *w as usize;
                            if self.first.len() <= word {
                                self.first.resize(word + 1, 0);
                            }
                            self.first[word] = child;
                        }
                    }
                }
                child
            });
            node = child as usize;
        }
        *self.nodes[node].value.get_or_insert(value)
    }

    /// The phrases of a sentence, from left to right, the longest at each place, none overlapping.
    pub(super) fn find(&self, sentence: &[Token], found: &mut Vec<Match>) {
        found.clear();
        let mut at = 0;
        while at < sentence.len() {
            let hit = self.at(sentence, at);
            found.extend(hit);
            at = hit.map_or(at + 1, |hit| hit.end);
        }
    }

    /// The phrases of a sentence, from left to right, the longest at each place, whether they overlap or not.
    pub(super) fn find_overlapping(&self, sentence: &[Token], found: &mut Vec<Match>) {
        found.clear();
        found.extend((0..sentence.len()).filter_map(|at| self.at(sentence, at)));
    }

    /// The longest phrase that begins at a word.
    fn at(&self, sentence: &[Token], at: usize) -> Option<Match> {
        let node = self.first.get(sentence[at].word as usize).copied().unwrap_or(0);
        let (end, value) = if node == 0 {
            None
        } else {
            self.longest(node as usize, sentence, at + 1)
        }?;
        Some(Match {
            start: at,
            end,
            value,
        })
    }

    /// The longest phrase that goes through `node`, whose next word is `at`: its end and value.
    fn longest(&self, node: usize, sentence: &[Token], at: usize) -> Option<(usize, u32)> {
        let here = &self.nodes[node];
        let mut best = here.value.map(|v| (at, v));
        let mut consider = |hit: Option<(usize, u32)>| {
            if let Some(hit) = hit
                && best.is_none_or(|b| hit.0 > b.0)
            {
                best = Some(hit);
            }
        };
        if let Some(token) = sentence.get(at)
            && let Ok(k) = here.next.binary_search_by_key(&token.word, |n| n.0)
        {
            consider(self.longest(here.next[k].1 as usize, sentence, at + 1));
        }
        if let Some(gap) = here.gap {
            for skipped in 0..=GAP {
                let rest = at + skipped;
                if skipped > 0 {
                    let Some(token) = sentence.get(rest - 1) else {
                        break;
                    };
                    if (1..FIRST_WORD).contains(&token.word) {
                        break;
                    }
                }
                let hit = self.longest(gap as usize, sentence, rest);
                if hit.is_some() {
                    // The nearest continuation, not the farthest: "heart ~ normal" is the first "normal".
                    consider(hit);
                    break;
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Gap, Word};

    fn sentence(words: &[u32]) -> Vec<Token> {
        words.iter().map(|w| Token { word: *w, span: 0..0 }).collect()
    }

    #[test]
    fn longest_first_and_none_overlapping() {
        let mut trie = Trie::default();
        trie.add(&[Word(10)], 1);
        trie.add(&[Word(10), Word(11)], 2);
        trie.add(&[Word(11), Word(12)], 3);
        assert_eq!(trie.add(&[Word(10)], 9), 1);
        let mut found = Vec::new();
        trie.find(&sentence(&[10, 11, 12, 10, 0, 11, 12]), &mut found);
        let values: Vec<(usize, usize, u32)> = found.iter().map(|m| (m.start, m.end, m.value)).collect();
        assert_eq!(values, [(0, 2, 2), (3, 4, 1), (5, 7, 3)]);
    }

    #[test]
    fn gaps_are_bounded_and_stop_at_signs() {
        let mut trie = Trie::default();
        trie.add(&[Word(10), Gap, Word(11)], 1);
        let mut found = Vec::new();
        for (words, hits) in [
            (vec![10, 11], 1),
            (vec![10, 0, 0, 0, 11], 1),
            (vec![10, 0, 0, 0, 0, 11], 0),
            (vec![10, super::super::scan::COMMA, 11], 0),
        ] {
            trie.find(&sentence(&words), &mut found);
            assert_eq!(found.len(), hits, "{words:?}");
        }
    }
}
