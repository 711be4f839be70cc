//! METEOR's alignment of a candidate with a reference (Denkowski and Lavie 2014, section 2.1): all matches of
//! all stages, and of the ways to combine them the one that a beam search finds best.
//!
//! The order of preference is METEOR 1.5's: the most words covered (an inexact match counts half, and the sum
//! is cut to a whole number at each step), then the fewest chunks, then the least distance.

use std::cmp::Ordering;

/// How many partial alignments are kept.
const BEAM: usize = 40;

/// The stages of matching, in METEOR's order.
pub const STAGES: usize = 4;

/// Words of the reference that match words of the candidate.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    /// 0 exact, 1 stem, 2 synonym, 3 paraphrase.
    pub stage: usize,
    /// Where in the reference, in words.
    pub start: usize,
    /// How many words of the reference.
    pub length: usize,
    /// Where in the candidate.
    pub other_start: usize,
    /// How many words of the candidate.
    pub other_length: usize,
}

/// All matches, by where they start in the reference; in each list, in the order in which the stages found
/// them.
#[derive(Debug)]
pub struct Matches {
    lists: Vec<Vec<Match>>,
    /// How many matches cover each word: of the candidate, of the reference.
    cover: [Vec<u32>; 2],
}

impl Matches {
    /// None yet, of a candidate and a reference of so many words.
    pub fn new(candidate: usize, reference: usize) -> Self {
        Self {
            lists: vec![Vec::new(); reference],
            cover: [vec![0; candidate], vec![0; reference]],
        }
    }

    /// Adds one.
    pub fn push(&mut self, found: Match) {
        for count in &mut self.cover[0][found.other_start..found.other_start + found.other_length] {
            *count += 1;
        }
        for count in &mut self.cover[1][found.start..found.start + found.length] {
            *count += 1;
        }
        self.lists[found.start].push(found);
    }

    /// Whether no other match wants its words.
    fn alone(&self, found: &Match) -> bool {
        self.lists[found.start].len() == 1
            && self.cover[0][found.other_start..found.other_start + found.other_length]
                .iter()
                .all(|n| *n == 1)
            && self.cover[1][found.start..found.start + found.length]
                .iter()
                .all(|n| *n == 1)
    }
}

/// What a way through the reference has gathered up to some word.
#[derive(Clone, Copy, Default)]
struct State {
    covered: [i64; 2],
    chunks: i64,
    /// The next word of the reference that no match has passed.
    at: usize,
    /// Where in the candidate the open chunk ends.
    open: Option<usize>,
    distance: i64,
}

impl State {
    fn take(&mut self, found: &Match) {
        let weight = if found.stage == 0 { 1.0 } else { 0.5 };
        for (sum, words) in self.covered.iter_mut().zip([found.other_length, found.length]) {
            // Cut to a whole number, as METEOR does.
            *sum = (*sum as f64 + words as f64 * weight) as i64;
        }
        if self.open.is_some_and(|end| end != found.other_start) {
            self.chunks += 1;
        }
        self.at = found.start + found.length;
        self.open = Some(found.other_start + found.other_length);
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.chunks += 1;
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let sum = |s: &Self| s.covered[0] + s.covered[1];
        sum(other)
            .cmp(&sum(self))
            .then(self.chunks.cmp(&other.chunks))
            .then(self.distance.cmp(&other.distance))
    }
}

/// A way through the reference.
#[derive(Clone)]
struct Path {
    state: State,
    chosen: Vec<Option<Match>>,
    /// Which words are taken: of the candidate, of the reference.
    used: [Vec<bool>; 2],
}

impl Path {
    fn mark(&mut self, found: &Match) {
        self.used[0][found.other_start..found.other_start + found.other_length].fill(true);
        self.used[1][found.start..found.start + found.length].fill(true);
        self.chosen[found.start] = Some(*found);
    }

    fn free(&self, found: &Match) -> bool {
        !self.used[0][found.other_start..found.other_start + found.other_length].contains(&true)
            && !self.used[1][found.start..found.start + found.length].contains(&true)
    }
}

/// A path one word longer: from which path, with which new match. Only the best become paths, for a long text
/// of few words has very many.
struct Step {
    state: State,
    from: usize,
    found: Option<Match>,
}

/// The ways on from a path at a word of the reference.
fn steps(path: &Path, from: usize, word: usize, here: &[Match], out: &mut Vec<Step>) {
    let mut state = path.state;
    if path.used[1][word] {
        if word < state.at {
            out.push(Step {
                state,
                from,
                found: None,
            });
        } else if let Some(found) = path.chosen[state.at] {
            state.take(&found);
            state.distance += distance(&found);
            out.push(Step {
                state,
                from,
                found: None,
            });
        }
        return;
    }
    for found in here.iter().filter(|found| path.free(found)) {
        let mut longer = state;
        longer.take(found);
        out.push(Step {
            state: longer,
            from,
            found: Some(*found),
        });
        // METEOR 1.5 adds the distance to the path that goes on without the match, not to the one with it.
        state.distance += distance(found);
    }
    state.close();
    state.at += 1;
    out.push(Step {
        state,
        from,
        found: None,
    });
}

const fn distance(found: &Match) -> i64 {
    found.start.abs_diff(found.other_start) as i64
}

/// The best alignment: the matches of the reference, by their first word.
pub fn align(matches: &Matches) -> Vec<Option<Match>> {
    let reference = matches.lists.len();
    let mut start = Path {
        state: State::default(),
        chosen: vec![None; reference],
        used: [vec![false; matches.cover[0].len()], vec![false; reference]],
    };
    // What no other match wants is settled before the search.
    for found in matches.lists.iter().flatten().filter(|m| matches.alone(m)) {
        start.mark(found);
    }
    let mut paths = vec![start];
    for word in 0..reference {
        let mut next = Vec::new();
        for (from, path) in paths.iter().enumerate() {
            steps(path, from, word, &matches.lists[word], &mut next);
        }
        if next.is_empty() {
            paths.truncate(1);
            continue;
        }
        next.sort_by(|a, b| a.state.order(&b.state));
        next.truncate(BEAM);
        let longer = |step: &Step| {
            let mut path = Path {
                state: step.state,
                ..paths[step.from].clone()
            };
            if let Some(found) = &step.found {
                path.mark(found);
            }
            path
        };
        paths = next.iter().map(longer).collect();
    }
    for path in &mut paths {
        path.state.close();
    }
    // Of equally good ones the first, as a stable sort has it.
    paths
        .into_iter()
        .min_by(|a, b| a.state.order(&b.state))
        .map(|p| p.chosen)
        .unwrap_or_default()
}

/// How many chunks: runs of matches that are neighbours in both texts.
pub fn chunks(chosen: &[Option<Match>]) -> usize {
    let (mut count, mut at, mut open) = (0, 0, None);
    while at < chosen.len() {
        match &chosen[at] {
            None => {
                count += usize::from(open.take().is_some());
                at += 1;
            }
            Some(found) => {
                count += usize::from(open.is_some_and(|end| end != found.other_start));
                open = Some(found.other_start + found.other_length);
                at = found.start + found.length;
            }
        }
    }
    count + usize::from(open.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(candidate: &str, reference: &str) -> Matches {
        let (a, b): (Vec<_>, Vec<_>) = (candidate.split(' ').collect(), reference.split(' ').collect());
        let mut matches = Matches::new(a.len(), b.len());
        for (start, word) in b.iter().enumerate() {
            for (other_start, _) in a.iter().enumerate().filter(|(_, w)| *w == word) {
                matches.push(Match {
                    stage: 0,
                    start,
                    length: 1,
                    other_start,
                    other_length: 1,
                });
            }
        }
        matches
    }

    #[test]
    fn the_fewest_chunks_of_the_most_matches() {
        // Both "the" could be swapped; the one chunk is found.
        let chosen = align(&exact("the heart and the lungs", "the heart and the lungs"));
        assert_eq!((chosen.iter().flatten().count(), chunks(&chosen)), (5, 1));
        let chosen = align(&exact("the lungs and the heart", "the heart and the lungs"));
        assert_eq!((chosen.iter().flatten().count(), chunks(&chosen)), (5, 3));
        let chosen = align(&exact("clear lungs", "no effusion"));
        assert_eq!((chosen.iter().flatten().count(), chunks(&chosen)), (0, 0));
    }
}
