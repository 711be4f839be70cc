//! A vocabulary of whole words, as papers before WordPiece and Clinical-BERT (Yan and Pei 2022) have it: each word that is
//! seen often enough is a piece, all others are unknown.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The pieces, at most `most`: `specials`, then the words (with how often each occurs) that occur `least` times or more, the
/// most frequent first and those of one count in alphabetical order.
///
/// # Errors
/// What is wrong with the words where none occurs often enough: punctuation alone is no vocabulary.
pub(super) fn pieces(
    words: &BTreeMap<String, u64>,
    specials: &[&str],
    least: u64,
    most: usize,
) -> Result<Vec<String>, String> {
    let mut ranked: Vec<(&str, u64)> = words
        .iter()
        .map(|(word, count)| (word.as_str(), *count))
        .collect();
    // Stable, and the map is in alphabetical order.
    ranked.sort_by_key(|(_, count)| Reverse(*count));
    let spelt = |word: &str| word.chars().any(char::is_alphanumeric);
    let Some((word, count)) = ranked.iter().find(|(word, _)| spelt(word)) else {
        return Err("no text holds a word; give it reports".into());
    };
    if *count < least {
        return Err(format!(
            "no word occurs {least} times or more, the most frequent, {word:?}, {count}; give it more reports or ask for fewer \
             occurrences"
        ));
    }
    let often = ranked.iter().take_while(|(_, count)| *count >= least);
    Ok(specials
        .iter()
        .copied()
        .chain(often.map(|(word, _)| *word))
        .take(most)
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts
            .iter()
            .map(|(word, count)| ((*word).into(), *count))
            .collect()
    }

    #[test]
    fn the_most_frequent_first() {
        let seen = words(&[("lung", 3), (".", 9), ("heart", 3), ("clear", 2), ("no", 4)]);
        for (least, most, expected) in [
            (3, 99, vec!["[PAD]", ".", "no", "heart", "lung"]),
            (3, 4, vec!["[PAD]", ".", "no", "heart"]),
            (1, 99, vec!["[PAD]", ".", "no", "heart", "lung", "clear"]),
            (0, 99, vec!["[PAD]", ".", "no", "heart", "lung", "clear"]),
            (4, 99, vec!["[PAD]", ".", "no"]),
        ] {
            assert_eq!(pieces(&seen, &["[PAD]"], least, most).unwrap(), expected);
        }
    }

    #[test]
    fn too_few_words_are_refused_in_words() {
        for (seen, expected) in [
            (words(&[]), "no text holds a word"),
            (words(&[(".", 9)]), "no text holds a word"),
            (
                words(&[(".", 9), ("no", 2), ("lung", 1)]),
                "no word occurs 3 times or more, the most frequent, \"no\", 2; give it more reports",
            ),
        ] {
            let error = pieces(&seen, &["[PAD]"], 3, 99).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
