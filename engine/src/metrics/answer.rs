//! Measures of answers and of next words: exact match of visual question answering, and perplexity.

/// An answer as it is compared: lower-case, without punctuation and spaces at its ends, and with single
/// spaces inside.
pub fn normalized_answer(text: &str) -> String {
    let outer =
        |c: char| c.is_whitespace() || c.is_ascii_punctuation() || "“”‘’„«»…–—。、，！？；：".contains(c);
    text.trim_matches(outer)
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The perplexity of a collection: e to the mean negative log-likelihood (nats) of its tokens, all counted
/// together. `None` of no tokens, or when one is not a number.
pub fn perplexity(losses: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, n) = losses
        .into_iter()
        .fold((0.0, 0usize), |(sum, n), loss| (sum + loss, n + 1));
    (n > 0 && !sum.is_nan()).then(|| (sum / n as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compared_without_case_and_outer_signs() {
        assert_eq!(normalized_answer(" Yes. "), "yes");
        assert_eq!(normalized_answer("“Right  lower\tlobe!”"), "right lower lobe");
        assert_eq!(normalized_answer("x-ray"), "x-ray");
    }

    #[test]
    fn perplexity_of_a_uniform_guess_is_the_number_of_words() {
        let loss = 7.0f64.ln();
        assert!((perplexity([loss, loss, loss]).unwrap() - 7.0).abs() < 1e-12);
        assert_eq!(perplexity([]), None);
        assert_eq!(perplexity([f64::NAN]), None);
    }
}
