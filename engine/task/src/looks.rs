//! Where a draft's words looked: each token's attention to the cells of the radiograph, and the words that the tokens make.

use serde::{Deserialize, Serialize};

use super::Piece;

/// Where each token of a draft looked as it was written. Attention says where numbers came from, not why a word was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// Rows and columns of cells.
    pub grid: (usize, usize),
    /// Where the cells begin and end in the radiograph: left and right, in pixels; with a margin, beyond its edges.
    pub across: (f64, f64),
    /// The same: top and bottom.
    pub down: (f64, f64),
    /// Each token's attention to the cells, row by row, token after token, little-endian f32. What a token's lack to 1 went to
    /// words.
    #[serde(with = "serde_bytes")]
    pub cells: Vec<u8>,
}

impl Looked {
    /// Attention to each cell, the mean over some tokens; nothing where it is not known of them all.
    pub fn mean(&self, tokens: &[usize]) -> Option<Vec<f32>> {
        let cells = self.grid.0 * self.grid.1;
        let mut mean = vec![0.0; cells];
        let all = self.cells.as_chunks::<4>().0;
        for token in tokens {
            let own = all.get(token * cells..(token + 1) * cells)?;
            for (sum, value) in mean.iter_mut().zip(own) {
                *sum += f32::from_le_bytes(*value) / tokens.len() as f32;
            }
        }
        (cells > 0 && !tokens.is_empty()).then_some(mean)
    }
}

/// A word of a draft with the punctuation around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its text, as in the draft.
    pub text: String,
    /// Whether a space stands before it.
    pub spaced: bool,
    /// The places of its tokens among the draft's; those of its punctuation only where it is nothing else.
    pub tokens: Vec<usize>,
}

/// The words of a draft from its text and its tokens. Put together, they are the text: what no token accounts for comes last,
/// as a word without tokens.
pub fn words(text: &str, pieces: &[Piece]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut rest = text;
    for (at, piece) in pieces.iter().enumerate() {
        let (inner, own) = match piece.text.strip_prefix("##") {
            Some(own) if !own.is_empty() => (true, own),
            _ => (false, piece.text.as_str()),
        };
        let begun = rest.trim_start_matches(' ');
        // What the text leaves out, as it does special tokens, is no word.
        let Some(left) = after(begun, own) else { continue };
        let spaced = begun.len() < rest.len();
        let own = &begun[..begun.len() - left.len()];
        rest = left;
        match words.last_mut() {
            Some(word) if !spaced && (inner || !says(own) || !says(&word.text)) => {
                match (says(&word.text), says(own)) {
                    (false, true) => word.tokens = vec![at],
                    (true, false) => {}
                    _ => word.tokens.push(at),
                }
                word.text += own;
            }
            _ => words.push(Word {
                text: own.to_owned(),
                spaced,
                tokens: vec![at],
            }),
        }
    }
    let left = rest.trim();
    if !left.is_empty() {
        words.push(Word {
            text: left.to_owned(),
            spaced: rest.starts_with(char::is_whitespace),
            tokens: Vec::new(),
        });
    }
    words
}

/// Whether it is more than punctuation. Without the tables of Unicode: what is not ASCII is a letter but for a few blocks.
fn says(text: &str) -> bool {
    let marks = |c: char| matches!(c, '\u{80}'..='\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}');
    text.chars()
        .any(|c| c.is_ascii_alphanumeric() || !(c.is_ascii() || marks(c)))
}

/// What follows `own` in a text that begins with it, in whatever case; of letters beyond ASCII any one is as good as another.
fn after<'a>(text: &'a str, own: &str) -> Option<&'a str> {
    let mut rest = text.chars();
    let mut same = |c: char| {
        let next = rest.next();
        next.is_some_and(|next| next.eq_ignore_ascii_case(&c) || !(next.is_ascii() || c.is_ascii()))
    };
    (!own.is_empty() && own.chars().all(&mut same)).then_some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, pieces: &[&str]) -> Vec<(String, Vec<usize>)> {
        let pieces: Vec<Piece> = pieces.iter().map(|text| piece(text)).collect();
        let words = words(text, &pieces);
        let mut whole = String::new();
        for word in &words {
            whole += if word.spaced { " " } else { "" };
            whole += &word.text;
        }
        assert_eq!(whole, text);
        words.into_iter().map(|word| (word.text, word.tokens)).collect()
    }

    fn piece(text: &str) -> Piece {
        Piece {
            id: 0,
            text: text.to_owned(),
            probability: 1.0,
            margin: 1.0,
        }
    }

    fn expect(found: Vec<(String, Vec<usize>)>, wanted: &[(&str, &[usize])]) {
        let found: Vec<(&str, &[usize])> = found.iter().map(|(t, at)| (t.as_str(), at.as_slice())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn pieces_make_words_and_punctuation_is_part_of_the_word_before() {
        let found = cut("Mild atelectasis.", &["mild", "ate", "##lectasis", "."]);
        expect(found, &[("Mild", &[0]), ("atelectasis.", &[1, 2])]);
        let found = cut(
            "A left-sided (PICC) line",
            &["a", "left", "-", "sided", "(", "pic", "##c", ")", "line"],
        );
        let wanted: &[(&str, &[usize])] = &[
            ("A", &[0]),
            ("left-", &[1]),
            ("sided", &[3]),
            ("(PICC)", &[5, 6]),
            ("line", &[8]),
        ];
        expect(found, wanted);
        // In whatever case the text has them.
        expect(
            cut("Ödem, mild", &["ödem", ",", "mild"]),
            &[("Ödem,", &[0]), ("mild", &[2])],
        );
        expect(cut(". no", &[".", "no"]), &[(".", &[0]), ("no", &[1])]);
    }

    #[test]
    fn words_without_spaces_between_them_are_words_all_the_same() {
        let found = cut("肺部清晰。无", &["肺", "部", "清", "晰", "。", "无"]);
        let wanted: &[(&str, &[usize])] = &[
            ("肺", &[0]),
            ("部", &[1]),
            ("清", &[2]),
            ("晰。", &[3]),
            ("无", &[5]),
        ];
        expect(found, wanted);
    }

    #[test]
    fn no_word_is_lost_and_none_is_made_of_what_the_text_leaves_out() {
        expect(
            cut("Clear lungs", &["[UNK]", "clear", "lungs"]),
            &[("Clear", &[1]), ("lungs", &[2])],
        );
        expect(
            cut("Clear lungs today", &["clear", "wide"]),
            &[("Clear", &[0]), ("lungs today", &[])],
        );
        expect(cut("", &["clear"]), &[]);
    }

    #[test]
    fn a_words_map_is_the_mean_of_its_tokens() {
        let looked = Looked {
            grid: (1, 2),
            across: (0.0, 8.0),
            down: (0.0, 8.0),
            cells: [0.1_f32, 0.2, 0.3, 0.6]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
        };
        assert_eq!(looked.mean(&[1]), Some(vec![0.3, 0.6]));
        let mean = looked.mean(&[0, 1]).expect("both are known");
        assert!((mean[0] - 0.2).abs() < 1e-6 && (mean[1] - 0.4).abs() < 1e-6);
        assert_eq!(looked.mean(&[]), None);
        assert_eq!(looked.mean(&[0, 2]), None);
    }
}
