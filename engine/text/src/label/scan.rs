//! Report text to words: numbers for the words of the lexicon, signs for the punctuation, cut into sentences.

use std::collections::HashMap;
use std::ops::Range;

/// A word that the lexicon does not know.
pub(super) const UNKNOWN: u32 = 0;
/// A comma.
pub(super) const COMMA: u32 = 1;
/// A semicolon, a bracket, or any other sign that parts clauses more strongly than a comma.
pub(super) const BREAK: u32 = 2;
/// A colon.
pub(super) const COLON: u32 = 3;
/// A question mark; it also ends its sentence.
pub(super) const QUESTION: u32 = 4;
/// A slash between two words ("thickening/scarring"), not in "w/o".
pub(super) const SLASH: u32 = 5;
/// The beginning or the end of a sentence, where one is asked for.
pub(super) const EDGE: u32 = 6;
/// The first number that stands for a word.
pub(super) const FIRST_WORD: u32 = 7;

/// One word or sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// Its number in the [`Vocabulary`].
    pub(super) word: u32,
    /// Its bytes in the text.
    pub(super) span: Range<usize>,
}

/// The words of the lexicon, numbered.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    numbers: HashMap<Box<str>, u32>,
    /// How many words have been numbered: two spellings of one word share their number.
    count: u32,
    /// Letters that are read as a word wherever an unknown word holds them.
    inside: Vec<(Box<str>, u32)>,
    /// Signs that are read as a word: "(-)".
    marks: Vec<(Box<str>, u32)>,
}

impl Vocabulary {
    /// The number of a word, new where it is not known.
    pub(super) fn add(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = FIRST_WORD + self.count;
        self.count += 1;
        self.numbers.insert(word.into(), number);
        number
    }

    /// Another spelling of a word.
    pub(super) fn alias(&mut self, spelling: &str, word: &str) {
        let number = self.add(word);
        self.numbers.insert(spelling.into(), number);
    }

    /// Makes the slips of one letter (left out, put in, changed, swapped with the next) other spellings of a
    /// word; not of its first letter, and not those that are words themselves.
    pub(super) fn misspell(&mut self, word: &str) {
        let number = self.add(word);
        let letters: Vec<char> = word.chars().collect();
        let mut slips: Vec<String> = Vec::new();
        for at in 1..=letters.len() {
            let (head, tail) = letters.split_at(at);
            let mut slip =
                |middle: &[char], tail: &[char]| slips.push(head.iter().chain(middle).chain(tail).collect());
            for letter in 'a'..='z' {
                slip(&[letter], tail);
                slip(&[letter], tail.get(1..).unwrap_or_default());
            }
            match tail {
                [a, b, rest @ ..] => {
                    slip(&[*b, *a], rest);
                    slip(&[*b], rest);
                }
                [_] => slip(&[], &[]),
                [] => {}
            }
        }
        for slip in slips {
            self.numbers.entry(slip.into()).or_insert(number);
        }
    }

    /// Reads every word that is not known and holds these letters as the word of these letters.
    pub(super) fn inside(&mut self, letters: &str) {
        let number = self.add(letters);
        self.inside.push((letters.into(), number));
    }

    /// Reads a sign as a word where it stands by itself.
    pub(super) fn add_mark(&mut self, sign: &str, word: &str) {
        let number = self.add(word);
        self.marks.push((sign.into(), number));
        // "-ve" is no "-".
        self.marks.sort_by_key(|(sign, _)| std::cmp::Reverse(sign.len()));
    }

    /// The sign at `at` that is read as a word: its length and the word's number. It begins no word, and nothing but a space or
    /// a stop follows it.
    fn mark(&self, text: &str, at: usize) -> Option<(usize, u32)> {
        let byte = text.as_bytes()[at];
        if byte.is_ascii_alphanumeric() || byte == b' ' {
            return None;
        }
        let (head, tail) = text.split_at(at);
        let (sign, word) = self.marks.iter().find(|(sign, _)| tail.starts_with(&**sign))?;
        let after = tail[sign.len()..].trim_start_matches([' ', '\t', '\r']);
        let apart = !tail[sign.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '+');
        // A dash alone is an answer only between a colon or the like and the end of its line.
        let alone = sign.chars().count() == 1;
        let asked = || {
            head.trim_end_matches([' ', '\t'])
                .ends_with([':', '=', '|', '?', '\t'])
        };
        let ended = || after.is_empty() || after.starts_with(['\n', ',', ';', '.', '|', ')']);
        let answers = !alone || (asked() && ended());
        (apart && answers).then_some((sign.len(), *word))
    }

    /// The number of a lower-case word, or [`UNKNOWN`].
    pub(super) fn get(&self, word: &str) -> u32 {
        let holds = || {
            self.inside
                .iter()
                .find(|(letters, _)| word.contains(&**letters))
                .map(|(_, number)| *number)
        };
        self.numbers.get(word).copied().or_else(holds).unwrap_or(UNKNOWN)
    }
}

/// Tokens of one stretch at most: a text without stops is cut, so that reading it takes time in proportion to its
/// length.
pub(super) const LONGEST: usize = 256;

/// Characters that are not seen: soft hyphen, zero-width space and joiners, byte-order mark.
const UNSEEN: [char; 6] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}',
];

/// Letters that are printed as one.
const LIGATURES: [(char, &str); 7] = [
    ('\u{fb00}', "ff"),
    ('\u{fb01}', "fi"),
    ('\u{fb02}', "fl"),
    ('\u{fb03}', "ffi"),
    ('\u{fb04}', "ffl"),
    ('\u{fb05}', "st"),
    ('\u{fb06}', "st"),
];

/// A text between two full stops, or as much of it as is read at once.
pub(super) struct Stretch<'a> {
    pub(super) tokens: &'a [Token],
    /// Whether it holds a line break or another sign that can part items.
    pub(super) marked: bool,
    /// Whether it goes on: its text was longer than what is read at once.
    pub(super) cut: bool,
}

/// Words after which a full stop ends no sentence.
const ABBREVIATIONS: [&str; 8] = ["vs", "dr", "mr", "mrs", "approx", "e.g", "i.e", "cf"];

/// Cuts a text into stretches of words, and calls `each` with every one that has any; it returns how many of its words it has
/// read, which is all of them where the stretch does not go on. In a plain reading lines, question marks and dots in a row end
/// no stretch, for they may end no thought either.
pub(super) fn stretches(
    text: &str,
    vocabulary: &Vocabulary,
    plain: bool,
    mut each: impl FnMut(Stretch<'_>) -> usize,
) {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token> = Vec::with_capacity(64);
    let mut lower = String::with_capacity(32);
    let mut marked = false;
    let mut at = 0;
    while at < bytes.len() {
        if tokens.len() >= LONGEST {
            let stretch = Stretch {
                tokens: &tokens,
                marked,
                cut: true,
            };
            let read = each(stretch).clamp(1, tokens.len());
            tokens.drain(..read);
        }
        let start = at;
        let byte = bytes[at];
        if plain && let Some((length, word)) = vocabulary.mark(text, at) {
            at += length;
            marked = true;
            tokens.push(Token {
                word,
                span: start..at,
            });
            continue;
        }
        if let Some((length, mark)) = space_at(text, at, plain) {
            at += length;
            marked |= mark;
            continue;
        }
        if byte.is_ascii_alphanumeric() || byte >= 0x80 {
            at = word_end(text, at, plain);
            lower.clear();
            letters(&text[start..at], &mut lower);
            if plain && let Some(end) = hyphenated(text, at, &mut lower, vocabulary) {
                at = end;
            }
            if !lower.is_empty() {
                tokens.push(Token {
                    word: vocabulary.get(&lower),
                    span: start..at,
                });
            }
            continue;
        }
        at += 1;
        let sign = match byte {
            b',' => COMMA,
            b';' | b'(' | b')' | b'[' | b']' => BREAK,
            b':' => COLON,
            b'?' => QUESTION,
            b'/' if parts_words(bytes, start) => SLASH,
            b'.' if plain && leads(bytes, start) => {
                marked = true;
                continue;
            }
            b'.' | b'!' => {
                let listed =
                    tokens.len() == 1 && text[tokens[0].span.clone()].bytes().all(|b| b.is_ascii_digit());
                if listed {
                    // "1. Small effusion."
                    tokens.clear();
                } else if byte == b'!' || !ABBREVIATIONS.contains(&lower.as_str()) {
                    flush(&mut tokens, &mut marked, &mut each);
                }
                continue;
            }
            b'\n' => {
                if text[at..].trim_start_matches([' ', '\t', '\r']).starts_with('\n') {
                    flush(&mut tokens, &mut marked, &mut each);
                }
                marked = true;
                continue;
            }
            b'-' => {
                let spaced = |at: usize| bytes.get(at).is_none_or(u8::is_ascii_whitespace);
                marked |= spaced(at) || spaced(start.wrapping_sub(1));
                continue;
            }
            byte => {
                marked |= matches!(byte, b'|' | b'\t' | b'=' | b'*' | b'>');
                continue;
            }
        };
        marked |= matches!(byte, b'(' | b'[' | b':' | b'?');
        tokens.push(Token {
            word: sign,
            span: start..at,
        });
        if !plain && sign == QUESTION && !starts_phrase(bytes, at) {
            flush(&mut tokens, &mut marked, &mut each);
        }
    }
    flush(&mut tokens, &mut marked, &mut each);
}

/// A word as it is looked up: lower-case, without what is not seen, each letter by itself.
fn letters(word: &str, lower: &mut String) {
    if word.is_ascii() {
        lower.push_str(word);
    } else {
        for c in word.chars().filter(|c| !UNSEEN.contains(c)) {
            match LIGATURES.iter().find(|(ligature, _)| *ligature == c) {
                Some((_, apart)) => lower.push_str(apart),
                None if c == '\u{2019}' => lower.push('\''),
                None => lower.push(c),
            }
        }
    }
    lower.make_ascii_lowercase();
}

/// Where a word ends whose second half stands on the next line, after a hyphen: the halves are known together and the first
/// is not known alone, or the hyphen is a soft one.
fn hyphenated(text: &str, at: usize, lower: &mut String, vocabulary: &Vocabulary) -> Option<usize> {
    let hard = text[at..].starts_with('-');
    if !hard && !text[..at].ends_with('\u{ad}') {
        return None;
    }
    let rest = &text[at + usize::from(hard)..];
    let line = rest
        .trim_start_matches([' ', '\r'])
        .strip_prefix('\n')?
        .trim_start_matches([' ', '\t']);
    let from = text.len() - line.len();
    let end = if line.starts_with(char::is_lowercase) {
        word_end(text, from, true)
    } else {
        return None;
    };
    let half = lower.len();
    letters(&text[from..end], lower);
    let whole = vocabulary.get(lower) != UNKNOWN && (!hard || vocabulary.get(&lower[..half]) == UNKNOWN);
    if !whole {
        lower.truncate(half);
    }
    whole.then_some(end)
}

/// The length of a space outside ASCII at `at`, such as a no-break space, and whether it can part items. In a plain reading
/// every sign outside ASCII is one: a dash, a quotation mark, a bullet.
fn space_at(text: &str, at: usize, plain: bool) -> Option<(usize, bool)> {
    let c = text[at..].chars().next().filter(|c| !c.is_ascii())?;
    let sign = plain && !is_letter(c);
    (sign || c.is_whitespace()).then_some((c.len_utf8(), sign && !c.is_whitespace()))
}

/// Whether a character outside ASCII is of a word: a letter, a figure, an accent, or nothing that is seen.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || UNSEEN.contains(&c) || ('\u{300}'..='\u{36f}').contains(&c)
}

/// Whether a full stop is one of three or more in a row, which lead from a label to its answer.
fn leads(bytes: &[u8], at: usize) -> bool {
    let dots = |at: usize| bytes.get(at..at + 3) == Some(b"...");
    (at.saturating_sub(2)..=at).any(dots)
}

/// Whether the slash at `at` stands between two words of four letters or more.
fn parts_words(bytes: &[u8], at: usize) -> bool {
    let letters = |part: &[u8]| part.len() == 4 && part.iter().all(u8::is_ascii_alphabetic);
    letters(&bytes[at.saturating_sub(4)..at]) && letters(&bytes[at + 1..bytes.len().min(at + 5)])
}

fn flush(tokens: &mut Vec<Token>, marked: &mut bool, each: &mut impl FnMut(Stretch<'_>) -> usize) {
    while !tokens.is_empty() {
        let stretch = Stretch {
            tokens,
            marked: *marked,
            cut: false,
        };
        let read = each(stretch).clamp(1, tokens.len());
        tokens.drain(..read);
    }
    *marked = false;
}

/// Whether a question mark opens what it questions: "?pneumonia".
fn starts_phrase(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

/// The end of a word: letters, digits, apostrophes inside, a point between digits or in "e.g.".
fn word_end(text: &str, mut at: usize, plain: bool) -> usize {
    let (bytes, start) = (text.as_bytes(), at);
    while at < bytes.len() {
        let byte = bytes[at];
        if byte >= 0x80 && text.is_char_boundary(at) && space_at(text, at, plain).is_some() {
            let apostrophe = text[at..].starts_with('\u{2019}') && at > start;
            if !(apostrophe && text[at + 3..].starts_with(|c: char| c.is_ascii_alphabetic())) {
                break;
            }
        }
        let next = bytes.get(at + 1).copied().unwrap_or(b' ');
        let inside = byte.is_ascii_alphanumeric()
            || byte >= 0x80
            || (byte == b'\'' && next.is_ascii_alphabetic())
            || (byte == b'.' && bytes[at - 1].is_ascii_digit() && next.is_ascii_digit())
            || (byte == b'.'
                && at == start + 1
                && next.is_ascii_alphabetic()
                && bytes.get(at + 2) == Some(&b'.'));
        if !inside {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        stretches(text, &Vocabulary::default(), false, |s| {
            out.push(
                s.tokens
                    .iter()
                    .map(|t| text[t.span.clone()].to_string())
                    .collect(),
            );
            s.tokens.len()
        });
        out
    }

    #[test]
    fn sentences_end_where_they_end() {
        assert_eq!(
            cut("No effusion. Heart normal."),
            [vec!["No", "effusion"], vec!["Heart", "normal"]]
        );
        assert_eq!(
            cut("1. A 1.5 cm nodule.\n2. Mass vs. scar"),
            [vec!["A", "1.5", "cm", "nodule"], vec!["Mass", "vs", "scar"]]
        );
        assert_eq!(
            cut("no effusion . clear"),
            [vec!["no", "effusion"], vec!["clear"]]
        );
        assert_eq!(
            cut("right-sided, ?pneumonia"),
            [vec!["right", "sided", ",", "?", "pneumonia"]]
        );
        assert_eq!(cut("A\n\nB\nC"), [vec!["A"], vec!["B", "C"]]);
        assert!(cut(" .. ,. ").len() == 1 && cut("").is_empty());
    }

    #[test]
    fn slips_of_one_letter_are_read() {
        let mut vocabulary = Vocabulary::default();
        let (word, plural) = (vocabulary.add("effusion"), vocabulary.add("effusions"));
        vocabulary.misspell("effusion");
        for slip in [
            "efusion",
            "effusion",
            "effuison",
            "effusoin",
            "effudion",
            "efffusion",
            "effusio",
        ] {
            assert_eq!(vocabulary.get(slip), word, "{slip}");
        }
        assert_eq!(
            (vocabulary.get("effusions"), vocabulary.get("iffusion")),
            (plural, UNKNOWN)
        );
        assert_eq!(vocabulary.get("efsuion"), UNKNOWN);
    }

    #[test]
    fn letters_outside_ascii_do_not_break() {
        assert_eq!(cut("é – ö."), [vec!["é", "–", "ö"]]);
    }
}
