//! Answers as they are compared: exact match after lower-casing and trimming punctuation and spaces.

/// The answer in lower case, without punctuation and spaces at its ends, runs of spaces inside as one.
pub fn normalised_answer(answer: &str) -> String {
    let lower = answer.to_lowercase();
    let trimmed = lower.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    trimmed.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_not_how_it_is_written() {
        for answer in ["Yes", " yes. ", "YES!", "\"yes\""] {
            assert_eq!(normalised_answer(answer), "yes");
        }
        assert_eq!(normalised_answer("Right  lower-lobe."), "right lower-lobe");
    }
}
