//! Learning a WordPiece vocabulary: byte-pair merges (Sennrich et al. 2016) over "##" pieces, the same on
//! every machine.
//!
//! The crate's own trainer breaks ties by the order of a hash map; here ties go to the pair that was seen
//! first in the words' alphabetical order.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// Characters beyond this many, the rarest, become unknown.
const MOST_CHARACTERS: usize = 1000;
/// A pair that occurs less often is left apart.
const LEAST_COUNT: u64 = 2;

/// The pieces of at most `size` that words (with how often each occurs) are best cut into, after `specials`.
pub(super) fn pieces(words: &BTreeMap<String, u64>, specials: &[&str], size: usize) -> Vec<String> {
    let mut pieces: Vec<String> = specials.iter().map(ToString::to_string).collect();
    let mut ids: HashMap<String, u32> = HashMap::new();
    let mut characters: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        for c in word.chars() {
            *characters.entry(c).or_insert(0) += count;
        }
    }
    let mut common: Vec<(char, u64)> = characters.into_iter().collect();
    common.sort_by_key(|(c, count)| (std::cmp::Reverse(*count), *c));
    common.truncate(MOST_CHARACTERS);
    let kept: BTreeSet<char> = common.into_iter().map(|(c, _)| c).collect();

    // Each character in both its roles, as far as it occurs in them, so that any word of kept characters can
    // be cut.
    let mut roles: BTreeSet<String> = BTreeSet::new();
    for word in words.keys() {
        roles.extend(
            word.chars()
                .enumerate()
                .filter(|(_, c)| kept.contains(c))
                .map(|(i, c)| role(i, c)),
        );
    }
    for piece in roles.into_iter().take(size.saturating_sub(pieces.len())) {
        ids.insert(piece.clone(), pieces.len() as u32);
        pieces.push(piece);
    }

    let mut cut: Vec<(Vec<u32>, u64)> = Vec::with_capacity(words.len());
    for (word, count) in words {
        let symbols: Option<Vec<u32>> = word
            .chars()
            .enumerate()
            .map(|(i, c)| ids.get(&role(i, c)).copied())
            .collect();
        if let Some(symbols) = symbols {
            cut.push((symbols, *count));
        }
    }
    merge(&mut cut, &mut pieces, &mut ids, size);
    pieces
}

/// A character as a piece: inside a word it continues one.
fn role(at: usize, c: char) -> String {
    if at == 0 { c.to_string() } else { format!("##{c}") }
}

/// Joins the most frequent pair of neighbours again and again.
fn merge(cut: &mut [(Vec<u32>, u64)], pieces: &mut Vec<String>, ids: &mut HashMap<String, u32>, size: usize) {
    type Pair = (u32, u32);
    let mut counts: HashMap<Pair, u64> = HashMap::new();
    let mut places: HashMap<Pair, BTreeSet<usize>> = HashMap::new();
    for (at, (symbols, count)) in cut.iter().enumerate() {
        for pair in symbols.windows(2) {
            let pair = (pair[0], pair[1]);
            *counts.entry(pair).or_insert(0) += count;
            places.entry(pair).or_default().insert(at);
        }
    }
    // The order of equal counts is that of the pieces' numbers, never of the map.
    let mut queue: BinaryHeap<(u64, std::cmp::Reverse<Pair>)> = counts
        .iter()
        .map(|(pair, count)| (*count, std::cmp::Reverse(*pair)))
        .collect();
    while pieces.len() < size {
        let Some((count, std::cmp::Reverse(pair))) = queue.pop() else {
            break;
        };
        let now = counts.get(&pair).copied().unwrap_or(0);
        if now != count {
            // Counted before a neighbour was merged: it comes back with what is left.
            if now >= LEAST_COUNT {
                queue.push((now, std::cmp::Reverse(pair)));
            }
            continue;
        }
        if count < LEAST_COUNT {
            break;
        }
        let joined = format!(
            "{}{}",
            pieces[pair.0 as usize],
            pieces[pair.1 as usize].trim_start_matches("##")
        );
        let id = *ids.entry(joined.clone()).or_insert_with(|| {
            pieces.push(joined);
            pieces.len() as u32 - 1
        });
        let mut grown: BTreeSet<Pair> = BTreeSet::new();
        for at in places.remove(&pair).unwrap_or_default() {
            let (symbols, count) = &mut cut[at];
            for old in symbols.windows(2) {
                if let Some(c) = counts.get_mut(&(old[0], old[1])) {
                    *c = c.saturating_sub(*count);
                }
            }
            let mut new = Vec::with_capacity(symbols.len());
            let mut i = 0;
            while i < symbols.len() {
                if i + 1 < symbols.len() && (symbols[i], symbols[i + 1]) == pair {
                    new.push(id);
                    i += 2;
                } else {
                    new.push(symbols[i]);
                    i += 1;
                }
            }
            for next in new.windows(2) {
                let next = (next[0], next[1]);
                *counts.entry(next).or_insert(0) += *count;
                places.entry(next).or_default().insert(at);
                grown.insert(next);
            }
            *symbols = new;
        }
        counts.remove(&pair);
        queue.extend(
            grown
                .into_iter()
                .filter_map(|p| counts.get(&p).map(|c| (*c, std::cmp::Reverse(p)))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_pair_first() {
        let words = BTreeMap::from([
            ("low".to_string(), 5),
            ("lower".to_string(), 2),
            ("new".to_string(), 3),
        ]);
        let all = pieces(&words, &["[PAD]"], 100);
        assert_eq!(all[0], "[PAD]");
        // Alphabet in order: ##e ##o ##r ##w l n; then "lo" (7), "low" (7), and the rest.
        assert_eq!(&all[1..7], ["##e", "##o", "##r", "##w", "l", "n"]);
        assert_eq!(&all[7..9], ["##ow", "low"]);
        assert!(all.contains(&"lower".to_string()) && all.contains(&"new".to_string()));
        assert_eq!(pieces(&words, &["[PAD]"], 8).len(), 8);
    }

    #[test]
    fn a_word_seen_once_is_not_learned() {
        let words = BTreeMap::from([("ab".to_string(), 1)]);
        assert_eq!(pieces(&words, &[], 100), ["##b", "a"]);
    }

    #[test]
    fn repeated_pairs_inside_a_word() {
        let words = BTreeMap::from([("aaaaa".to_string(), 4)]);
        assert!(pieces(&words, &[], 100).contains(&"aaaaa".to_string()));
    }
}
