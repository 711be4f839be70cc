//! ROUGE-L (Lin 2004): the longest common subsequence of words, as pycocoevalcap scores it: beta 1.2, and of
//! several references the best precision and the best recall, each for itself.

use super::texts::Texts;

const BETA_SQUARED: f64 = 1.2 * 1.2;

/// Words; an empty text is one empty word, as for pycocoevalcap, so that two empty texts agree.
fn words(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() { vec![""] } else { words }
}

fn longest_common(a: &[&str], b: &[&str]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// The score of each candidate against its references, from 0 to 1. The mean is the collection's.
pub fn rouge_l(pairs: &[Texts<'_>]) -> Vec<f64> {
    let score = |(candidate, references): &Texts<'_>| {
        let candidate = words(candidate);
        let (mut precision, mut recall) = (0.0f64, 0.0f64);
        for reference in references.iter().map(|r| words(r)) {
            let common = longest_common(&candidate, &reference) as f64;
            precision = precision.max(common / candidate.len() as f64);
            recall = recall.max(common / reference.len() as f64);
        }
        if precision == 0.0 || recall == 0.0 {
            return 0.0;
        }
        (1.0 + BETA_SQUARED) * precision * recall / (recall + BETA_SQUARED * precision)
    };
    pairs.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let scores = rouge_l(&[
            ("a b c d", &["a c d e f"]),
            ("", &[""]),
            ("", &["a"]),
            ("a", &["a b", "c a"]),
        ]);
        let (p, r) = (3.0 / 4.0, 3.0 / 5.0);
        assert!((scores[0] - 2.44 * p * r / (r + 1.44 * p)).abs() < 1e-12);
        assert_eq!(scores[1..3], [1.0, 0.0]);
        let (p, r) = (1.0, 0.5);
        assert!((scores[3] - 2.44 * p * r / (r + 1.44 * p)).abs() < 1e-12);
    }
}
