//! A report as words and sentences with their places in the text, and the removal of sentences.

use std::ops::Range;

use super::Edit;
use crate::pattern::{Word, words};
use crate::sections::tells_of_radiograph;

/// From its first sign to its stop.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sentence {
    /// All of it.
    pub(super) span: Range<usize>,
    /// Where it begins after its number and its heading ("2. Pleura: ").
    pub(super) body: usize,
    /// Its number's figures in a list.
    pub(super) number: Option<Range<usize>>,
    /// Whether a heading stands before it.
    pub(super) headed: bool,
    /// Whether that heading is a section's.
    section: bool,
    /// Whether it is of a section that tells of the radiograph.
    pub(super) told: bool,
    /// Its words, of its body alone.
    pub(super) words: Range<usize>,
    /// Whether the next sentence is in another paragraph.
    ends_paragraph: bool,
}

/// A report that was cut.
pub(super) struct Prose<'a> {
    pub(super) text: &'a str,
    pub(super) words: Vec<Word>,
    pub(super) sentences: Vec<Sentence>,
}

/// Words after which a stop ends no sentence.
const ABBREVIATIONS: [&str; 9] = ["vs", "dr", "mr", "mrs", "approx", "e.g", "i.e", "cf", "st"];

/// Words that begin a sentence which goes on about the one before it.
const ONWARD: [&str; 5] = ["this", "these", "it", "they", "which"];

impl<'a> Prose<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut prose = Self {
            text,
            words: words(text),
            sentences: Vec::new(),
        };
        let mut start = 0;
        let mut told = true;
        let mut from = 0;
        while let Some(begin) = next_letter(text, start) {
            let end = sentence_end(text, begin);
            let rest = &text[end..];
            let gap = &rest[..rest.len() - rest.trim_start().len()];
            let ends_paragraph = gap.matches('\n').count() > 1 || rest.trim().is_empty();
            let mut sentence = Sentence {
                span: begin..end,
                body: begin,
                number: None,
                headed: false,
                section: false,
                told,
                words: 0..0,
                ends_paragraph,
            };
            sentence.open(text);
            if sentence.headed
                && let Some(of) = tells_of_radiograph(heading(text, &sentence))
            {
                sentence.section = true;
                told = of;
                sentence.told = of;
            }
            from += prose.words[from..].partition_point(|w| w.span.start < sentence.body);
            let to = from + prose.words[from..].partition_point(|w| w.span.start < end);
            sentence.words = from..to;
            from = to;
            prose.sentences.push(sentence);
            if ends_paragraph {
                told = true;
            }
            start = end;
        }
        prose
    }

    /// The sentence at a byte.
    pub(super) fn sentence_at(&self, at: usize) -> Option<usize> {
        self.sentences.iter().position(|s| s.span.contains(&at))
    }

    pub(super) fn words_of(&self, sentence: usize) -> &[Word] {
        &self.words[self.sentences[sentence].words.clone()]
    }

    /// The words of the body.
    pub(super) fn body(&self, sentence: usize) -> &'a str {
        let sentence = &self.sentences[sentence];
        &self.text[sentence.body..sentence.span.end]
    }

    /// Whether a sentence only makes sense after the one before it ("This may represent pneumonia.").
    pub(super) fn goes_on(&self, sentence: usize) -> bool {
        let first = self.words_of(sentence).first();
        !self.sentences[sentence].headed && first.is_some_and(|w| ONWARD.contains(&w.lower.as_str()))
    }

    /// Whether the next sentence stands in the same paragraph.
    pub(super) fn followed(&self, sentence: usize) -> bool {
        !self.sentences[sentence].ends_paragraph
    }

    /// A sentence as this report would write it, all in small letters or all in capitals where it is.
    pub(super) fn styled(&self, sentence: &str) -> String {
        let letters = || {
            self.words
                .iter()
                .filter(|w| w.lower != "xxxx")
                .flat_map(|w| self.text[w.span.clone()].chars())
                .filter(|c| c.is_alphabetic())
        };
        if letters().all(char::is_lowercase) {
            sentence.to_lowercase()
        } else if letters().all(char::is_uppercase) {
            sentence.to_uppercase()
        } else {
            sentence.to_owned()
        }
    }

    /// The edits that remove sentences, told by their numbers in rising order; `None` where a section would be left without any.
    pub(super) fn removed(&self, gone: &[usize]) -> Option<Vec<Edit>> {
        let mut edits = Vec::new();
        let mut at = 0;
        while let Some(&first) = gone.get(at) {
            let mut last = first;
            while self.followed(last) && gone.get(at + 1) == Some(&(last + 1)) {
                last += 1;
                at += 1;
            }
            at += 1;
            edits.push((self.hole(first, last)?, String::new()));
        }
        self.number_anew(gone, &mut edits);
        Some(edits)
    }

    /// The bytes that go with a run of sentences of one paragraph.
    fn hole(&self, first: usize, last: usize) -> Option<Range<usize>> {
        let (one, end) = (&self.sentences[first], self.sentences[last].span.end);
        let next = self.sentences.get(last + 1).filter(|_| self.followed(last));
        let carried = next.filter(|n| !n.headed && n.number.is_none());
        let mut later = self.sentences[first..=last].iter().skip(1);
        if later.any(|s| s.section) || (one.section && carried.is_none()) {
            return None;
        }
        match next {
            // What stands before the first passes on to what follows: "Pleura: " or "2. ".
            Some(next) if carried.is_some() => Some(one.body..next.body),
            Some(next) => Some(one.span.start..next.span.start),
            None if first > 0 && self.followed(first - 1) => Some(self.sentences[first - 1].span.end..end),
            None => match self.sentences.get(last + 1) {
                Some(next) => Some(one.span.start..next.span.start),
                None if first > 0 => Some(self.sentences[first - 1].span.end..end),
                None => None,
            },
        }
    }

    /// Closes the gaps of numbered lists.
    fn number_anew(&self, gone: &[usize], edits: &mut Vec<Edit>) {
        let (mut less, mut last) = (0, 0);
        for (at, sentence) in self.sentences.iter().enumerate() {
            let Some(number) = sentence.number.clone() else {
                continue;
            };
            let value: u32 = self.text[number.clone()].parse().unwrap_or(0);
            if value <= last {
                less = 0;
            }
            last = value;
            if edits.iter().any(|(hole, _)| hole.contains(&number.start)) {
                less += u32::from(gone.contains(&at));
            } else if less > 0 && value > less {
                edits.push((number, (value - less).to_string()));
            }
        }
    }
}

impl Sentence {
    /// Finds number and heading.
    fn open(&mut self, text: &str) {
        if let Some(figures) = listed(&text[self.body..self.span.end]) {
            let after = &text[self.body + figures + 1..self.span.end];
            self.number = Some(self.body..self.body + figures);
            self.body = self.span.end - after.trim_start().len();
        }
        let rest = &text[self.body..self.span.end];
        if let Some(colon) = rest.find(':') {
            let (head, tail) = (&rest[..colon], &rest[colon + 1..]);
            let named = head
                .chars()
                .all(|c| c.is_alphabetic() || matches!(c, ' ' | '&' | '/' | '*'));
            let capital = head.starts_with(|c: char| c.is_uppercase() || c == '*');
            if named
                && capital
                && head.split_whitespace().count() <= 4
                && tail.starts_with(char::is_whitespace)
            {
                self.headed = true;
                self.body = self.span.end - tail.trim_start().len();
            }
        }
    }
}

/// What stands before the colon.
fn heading<'a>(text: &'a str, sentence: &Sentence) -> &'a str {
    let from = sentence
        .number
        .as_ref()
        .map_or(sentence.span.start, |n| n.end + 1);
    text[from..sentence.body]
        .trim()
        .trim_end_matches([':', '*'])
        .trim_matches('*')
}

/// The figures of "2. " or "2) " at the beginning of a sentence.
fn listed(sentence: &str) -> Option<usize> {
    let figures = sentence.bytes().take_while(u8::is_ascii_digit).count();
    let mut after = sentence[figures..].chars();
    let sign = matches!(after.next(), Some('.' | ')'));
    let apart = after.next().is_some_and(char::is_whitespace);
    ((1..=2).contains(&figures) && sign && apart).then_some(figures)
}

/// Where the next sentence begins.
fn next_letter(text: &str, from: usize) -> Option<usize> {
    text[from..]
        .find(|c: char| c.is_alphanumeric() || c == '?' || c == '(')
        .map(|at| from + at)
}

/// Where the sentence that begins at `start` ends, its stop included.
fn sentence_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let body = start + listed(&text[start..]).map_or(0, |figures| figures + 1);
    for (at, c) in text[body..].char_indices().map(|(at, c)| (body + at, c)) {
        let after = &text[at + c.len_utf8()..];
        let next = after.chars().next();
        let ends = match c {
            '!' | '?' => next.is_none_or(char::is_whitespace) && at > start,
            '.' => {
                let word = text[start..at]
                    .rsplit(|c: char| !c.is_alphanumeric() && c != '.')
                    .next();
                let word = word.unwrap_or_default().to_lowercase();
                let spaced = next.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | ')'));
                // "Left base atelectasis.Heart is normal."
                let glued = next.is_some_and(char::is_uppercase)
                    && at > 0
                    && bytes[at - 1].is_ascii_lowercase()
                    && word.len() > 2;
                (spaced && !ABBREVIATIONS.contains(&word.as_str())) || glued
            }
            '\n' => line_ends(&text[start..at], after),
            _ => false,
        };
        if ends {
            return if c == '\n' {
                start + text[start..at].trim_end().len()
            } else {
                at + c.len_utf8()
            };
        }
    }
    start + text[start..].trim_end().len()
}

/// Whether a sentence without a stop ends with its line.
fn line_ends(line: &str, after: &str) -> bool {
    let next = after.trim_start_matches([' ', '\t', '\r']);
    if line.trim_end().ends_with([':', ',']) {
        return false;
    }
    let item = next.starts_with(['\n', '-', '*', '\u{2022}']) || listed(next).is_some();
    let mut letters = next.chars();
    let capital = letters.next().is_some_and(char::is_uppercase);
    // "right\nPICC line"
    item || (capital && letters.next().is_some_and(char::is_lowercase)) || next.is_empty()
}
