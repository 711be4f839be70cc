//! A text as words, and patterns of words: `mistakes.toml` tells how they are written.

use std::ops::Range;

/// Words that a gap may hold.
const GAP: usize = 4;

/// One word.
pub(crate) struct Word {
    /// In lower case.
    pub(crate) lower: String,
    pub(crate) span: Range<usize>,
}

/// The words of a text: letters and figures, a point between two figures.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let bytes = text.as_bytes();
    let inside = |at: usize, c: char| {
        let figure = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        c.is_alphanumeric() || (c == '.' && at > 0 && figure(at - 1) && figure(at + 1))
    };
    let mut out: Vec<Word> = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, inside(at, c)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                out.push(Word {
                    lower: text[from..at].to_lowercase(),
                    span: from..at,
                });
                start = None;
            }
            _ => {}
        }
    }
    out
}

/// A sequence of words.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Element>);

#[derive(Debug)]
enum Element {
    /// One of these; none of them too, where it may be left out.
    Word {
        any: Vec<String>,
        optional: bool,
    },
    Number {
        optional: bool,
    },
    Gap,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(
            text.split_whitespace()
                .map(|word| {
                    let (word, optional) = word.strip_suffix('?').map_or((word, false), |w| (w, true));
                    match word {
                        "~" => Element::Gap,
                        "#" => Element::Number { optional },
                        _ => Element::Word {
                            any: word.split('|').map(str::to_owned).collect(),
                            optional,
                        },
                    }
                })
                .collect(),
        )
    }

    /// How many words it takes at the beginning of `words`, as many as it can.
    pub(crate) fn matches(&self, words: &[Word]) -> Option<usize> {
        most(&self.0, words)
    }

    /// Whether it is anywhere in `words`.
    pub(crate) fn is_in(&self, words: &[Word]) -> bool {
        (0..words.len()).any(|at| self.matches(&words[at..]).is_some())
    }
}

fn most(elements: &[Element], words: &[Word]) -> Option<usize> {
    let Some((first, rest)) = elements.split_first() else {
        return Some(0);
    };
    let step = |fits: bool, optional: bool| {
        let taken = fits.then(|| most(rest, &words[1..]).map(|n| n + 1)).flatten();
        taken.or_else(|| optional.then(|| most(rest, words)).flatten())
    };
    match first {
        Element::Gap => (0..=GAP.min(words.len())).find_map(|gap| Some(gap + most(rest, &words[gap..])?)),
        Element::Number { optional } => {
            let figures = |w: &Word| w.lower.starts_with(|c: char| c.is_ascii_digit());
            step(words.first().is_some_and(figures), *optional)
        }
        Element::Word { any, optional } => {
            step(words.first().is_some_and(|w| any.contains(&w.lower)), *optional)
        }
    }
}
