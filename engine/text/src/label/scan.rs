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

/// Tokens of one sentence at most: a text without stops is cut, so that reading it takes time in proportion to its length.
const LONGEST: usize = 256;

/// Characters of a line at most that is an item of a list and no line of wrapped text.
const ITEM: usize = 60;

/// Words that answer "no" to what stands before them: "Pneumothorax: No".
const NOES: [&str; 8] = [
    "no",
    "none",
    "negative",
    "neg",
    "absent",
    "nil",
    "not present",
    "not seen",
];

/// Words that answer "yes".
const YESES: [&str; 4] = ["yes", "present", "positive", "seen"];

/// Words after which a thought goes on, so that a line which ends in one is wrapped and no item.
const OPEN: [&str; 44] = [
    "a", "an", "the", "no", "not", "nor", "neither", "without", "with", "of", "for", "in", "on", "at", "to",
    "from", "by", "or", "and", "is", "are", "was", "were", "be", "been", "has", "have", "any", "there",
    "this", "that", "these", "may", "might", "could", "can", "cannot", "versus", "vs", "as", "possible",
    "probable", "small", "new",
];

/// Characters that are not seen: soft hyphen, zero-width space and joiners, byte-order mark.
const UNSEEN: [char; 6] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}',
];

/// How a text is cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cutting {
    /// Lists without full stops, and answers after a colon or a dash, are read as a person reads them: an item is a
    /// sentence. `no` is the word that an answer "no" is read as.
    pub(super) items: Option<u32>,
}

/// Words after which a full stop ends no sentence.
const ABBREVIATIONS: [&str; 8] = ["vs", "dr", "mr", "mrs", "approx", "e.g", "i.e", "cf"];

/// Cuts a text into sentences of words; calls `each` with every sentence that has any.
pub(super) fn sentences(
    text: &str,
    vocabulary: &Vocabulary,
    cutting: Cutting,
    mut each: impl FnMut(&[Token]),
) {
    let bytes = text.as_bytes();
    let mut sentence: Vec<Token> = Vec::with_capacity(64);
    let mut lower = String::with_capacity(32);
    let mut at = 0;
    while at < bytes.len() {
        if sentence.len() >= LONGEST {
            flush(&mut sentence, &mut each);
        }
        let start = at;
        let byte = bytes[at];
        if let Some(no) = cutting.items.filter(|_| !sentence.is_empty())
            && let Some((end, says_no)) = answer(text, at)
        {
            if says_no {
                sentence.push(Token {
                    word: no,
                    span: start..end,
                });
            }
            at = end;
            // "Effusion: Yes, small" goes on, a "no" does not.
            if says_no || ends(text, at) {
                flush(&mut sentence, &mut each);
            }
            continue;
        }
        if let Some(space) = space_at(text, at) {
            at += space;
            continue;
        }
        if byte.is_ascii_alphanumeric() || byte >= 0x80 {
            at = word_end(text, at);
            lower.clear();
            lower.extend(text[start..at].chars().filter(|c| !UNSEEN.contains(c)));
            lower.make_ascii_lowercase();
            if lower.is_empty() {
                continue;
            }
            sentence.push(Token {
                word: vocabulary.get(&lower),
                span: start..at,
            });
            continue;
        }
        at += 1;
        let sign = match byte {
            b',' => COMMA,
            b';' | b'(' | b')' | b'[' | b']' => BREAK,
            b':' => COLON,
            b'?' => QUESTION,
            b'/' if parts_words(bytes, start) => SLASH,
            b'.' | b'!' => {
                let listed =
                    sentence.len() == 1 && text[sentence[0].span.clone()].bytes().all(|b| b.is_ascii_digit());
                if listed {
                    // "1. Small effusion."
                    sentence.clear();
                } else if byte == b'!' || !ABBREVIATIONS.contains(&lower.as_str()) {
                    flush(&mut sentence, &mut each);
                }
                continue;
            }
            b'\n' if text[at..].trim_start_matches([' ', '\t', '\r']).starts_with('\n') => {
                flush(&mut sentence, &mut each);
                continue;
            }
            b'\n' if cutting.items.is_some() && item_ends(text, start) => {
                flush(&mut sentence, &mut each);
                continue;
            }
            _ => continue,
        };
        sentence.push(Token {
            word: sign,
            span: start..at,
        });
        if sign == QUESTION && !starts_phrase(bytes, at) {
            flush(&mut sentence, &mut each);
        }
    }
    flush(&mut sentence, &mut each);
}

/// The length of a space outside ASCII at `at`, such as a no-break space.
fn space_at(text: &str, at: usize) -> Option<usize> {
    let first = text[at..].chars().next().filter(|c| !c.is_ascii())?;
    first.is_whitespace().then_some(first.len_utf8())
}

/// Whether a line ends at `at` that is an item: the next begins with a bullet or a number, or this one is short and the next
/// begins with a capital.
fn item_ends(text: &str, at: usize) -> bool {
    let next = text[at..].trim_start();
    let numbered = next
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .starts_with(['.', ')']);
    if next.starts_with(['-', '*', '\u{2022}', '\u{2013}', '\u{2014}', '\u{b7}', '+'])
        || (next.starts_with(|c: char| c.is_ascii_digit()) && numbered)
    {
        return true;
    }
    let line = text[..at].rsplit('\n').next().unwrap_or_default().trim();
    let last = line
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default()
        .to_lowercase();
    // "There is no" does not end there, and in a line of capitals a capital tells nothing.
    let goes_on = line.is_empty() || line.ends_with([',', '-']) || OPEN.contains(&last.as_str());
    let capitals = !line.chars().any(char::is_lowercase);
    !goes_on && !capitals && line.len() <= ITEM && next.starts_with(char::is_uppercase)
}

/// Whether a sentence or a line ends at `at`.
fn ends(text: &str, at: usize) -> bool {
    let rest = text[at..].trim_start_matches([' ', '\t']);
    rest.is_empty() || rest.starts_with(['.', ';', '\n', '\r', '!'])
}

/// An answer after a colon or a dash at `at`: where it ends, and whether it is a "no". An answer has its end right after it,
/// or a comma.
fn answer(text: &str, at: usize) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    let dash = bytes[at] == b'-' && at > 0 && bytes[at - 1] == b' ' && bytes.get(at + 1) == Some(&b' ');
    let sign = if bytes[at] == b':' || bytes[at] == b'=' || dash {
        1
    } else {
        [" \u{2013} ", " \u{2014} "]
            .iter()
            .find(|dash| text[at..].starts_with(dash.trim()) && at > 0 && bytes[at - 1] == b' ')
            .map(|dash| dash.trim().len())?
    };
    let from = at + sign;
    let rest = &text[from..];
    let words = rest.trim_start_matches([' ', '\t']);
    let skipped = rest.len() - words.len();
    let marks = [("(-)", true), ("(+)", false)];
    if let Some((mark, says_no)) = marks.iter().find(|(mark, _)| words.starts_with(mark)) {
        return Some((from + skipped + mark.len(), *says_no));
    }
    let said = |word: &&&str| {
        let head = words.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word)) && {
            let after = from + skipped + word.len();
            ends(text, after) || text[after..].starts_with([',', '('])
        }
    };
    let no = NOES.iter().find(said).map(|word| (word.len(), true));
    let (length, says_no) = no.or_else(|| YESES.iter().find(said).map(|word| (word.len(), false)))?;
    Some((from + skipped + length, says_no))
}

/// Whether the slash at `at` stands between two words of four letters or more.
fn parts_words(bytes: &[u8], at: usize) -> bool {
    let letters = |part: &[u8]| part.len() == 4 && part.iter().all(u8::is_ascii_alphabetic);
    letters(&bytes[at.saturating_sub(4)..at]) && letters(&bytes[at + 1..bytes.len().min(at + 5)])
}

fn flush(sentence: &mut Vec<Token>, each: &mut impl FnMut(&[Token])) {
    if !sentence.is_empty() {
        each(sentence);
        sentence.clear();
    }
}

/// Whether a question mark opens what it questions: "?pneumonia".
fn starts_phrase(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

/// The end of a word: letters, digits, apostrophes inside, a point between digits or in "e.g.".
fn word_end(text: &str, mut at: usize) -> usize {
    let (bytes, start) = (text.as_bytes(), at);
    while at < bytes.len() {
        let byte = bytes[at];
        if byte >= 0x80 && text.is_char_boundary(at) && space_at(text, at).is_some() {
            break;
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
        sentences(text, &Vocabulary::default(), Cutting::default(), |s| {
            out.push(s.iter().map(|t| text[t.span.clone()].to_string()).collect())
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
    fn a_wrapped_line_is_no_item() {
        let items = |text: &str| {
            let mut count = 0;
            let cutting = Cutting { items: Some(UNKNOWN) };
            sentences(text, &Vocabulary::default(), cutting, |_| count += 1);
            count
        };
        assert_eq!(items("There is no\nPneumothorax"), 1);
        assert_eq!(items("NO MASS OR PLEURAL\nEFFUSION"), 1);
        assert_eq!(items("No effusion\nCardiomegaly"), 2);
        assert_eq!(items("NO EFFUSION\n- CARDIOMEGALY"), 2);
    }

    #[test]
    fn letters_outside_ascii_do_not_break() {
        assert_eq!(cut("é – ö."), [vec!["é", "–", "ö"]]);
    }
}
