//! METEOR 1.5's normalisation of English (its option `-norm`, which pycocoevalcap sets): punctuation apart,
//! hyphens opened, lower case. Of text that is already tokens joined by spaces it changes little: `patient's`
//! becomes two words, `right-sided` too.

use std::collections::HashMap;

/// Whether a full stop after a word stays with it (the file `nonbreaking/english.prefixes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Always, as after `Dr`.
    Always,
    /// Before a number, as after `No`.
    BeforeNumber,
}

/// Stands for the full stops of an ellipsis while single full stops are looked at.
const DOT: char = '\u{E000}';

/// The letters of METEOR's character classes: Latin with its accents, Cyrillic, phonetic extensions.
const fn is_letter(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ž' | '\u{400}'..='\u{527}'
        | '\u{A640}'..='\u{A66E}' | '\u{A67E}'..='\u{A697}' | '\u{1D00}'..='\u{1D7F}')
}

const fn is_word(c: char) -> bool {
    c.is_ascii_digit() || is_letter(c)
}

/// What separates tokens while full stops are looked at.
const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{C}')
}

/// What separates tokens besides, once all rules are done.
const fn is_wide_space(c: char) -> bool {
    matches!(
        c,
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}'
    )
}

/// Replaces each `middle` between two characters that fit by `put`. As with a regular expression of three
/// characters, what one place has taken is no neighbour of the next: in `a-b-c` the second hyphen stays.
fn between(
    text: &mut Vec<char>,
    middle: char,
    left: impl Fn(char) -> bool,
    right: impl Fn(char) -> bool,
    put: &str,
) {
    if !text.contains(&middle) {
        return;
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut at = 0;
    while at < text.len() {
        if at + 2 < text.len() && text[at + 1] == middle && left(text[at]) && right(text[at + 2]) {
            out.push(text[at]);
            out.extend(put.chars());
            out.push(text[at + 2]);
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    *text = out;
}

/// Replaces each pair of equal characters `of` by `put`.
fn pairs(text: &mut Vec<char>, of: char, put: &str) {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] == of && text.get(at + 1) == Some(&of) {
            out.extend(put.chars());
            at += 2;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    *text = out;
}

/// Signs apart, and each ellipsis a token of its own.
fn separate(text: &str) -> Vec<char> {
    let mut out = vec![' '];
    let mut at = text.chars().peekable();
    while let Some(c) = at.next() {
        let kept = matches!(
            c,
            '.' | '\'' | '`' | ',' | '-' | '‘' | '’' | ' ' | '\t' | '\n' | '\r' | '\u{B}' | '\u{C}'
        );
        if c == '.' && at.peek() == Some(&'.') {
            out.extend([' ', DOT]);
            while at.next_if_eq(&'.').is_some() {
                out.push(DOT);
            }
            out.push(' ');
        } else if kept || is_word(c) {
            out.push(c);
        } else {
            out.extend([' ', c, ' ']);
        }
    }
    out.push(' ');
    out
}

/// A text's tokens. `prefixes` are the words after which a full stop is no end of a sentence.
pub fn tokens(text: &str, prefixes: &HashMap<String, Prefix>) -> Vec<String> {
    let mut text = separate(text);
    let digit = |c: char| c.is_ascii_digit();
    let no_digit = |c: char| !c.is_ascii_digit();
    between(&mut text, ',', no_digit, no_digit, " , ");
    between(&mut text, ',', digit, no_digit, " , ");
    between(&mut text, ',', no_digit, digit, " , ");
    for c in &mut text {
        match c {
            '`' | '‘' | '’' => *c = '\'',
            '–' => *c = '-',
            _ => {}
        }
    }
    // The signs “ and ” become " with the pair of apostrophes.
    for c in &mut text {
        if matches!(c, '“' | '”') {
            *c = '"';
        }
    }
    pairs(&mut text, '\'', " \" ");
    pairs(&mut text, '-', "-");
    between(&mut text, '-', |c| is_word(c) || c == '.', is_word, " ");
    let no_letter = |c: char| !is_letter(c);
    between(&mut text, '\'', no_letter, no_letter, " ' ");
    between(&mut text, '\'', |c| !is_word(c), is_letter, " ' ");
    between(&mut text, '\'', is_letter, no_letter, " ' ");
    between(&mut text, '\'', is_letter, is_letter, " '");
    between(&mut text, '\'', digit, |c| c == 's', " '");

    let words: Vec<String> = text
        .split(|c| is_space(*c))
        .filter(|w| !w.is_empty())
        .map(|w| w.iter().collect())
        .collect();
    let mut out = Vec::with_capacity(words.len());
    for (i, word) in words.iter().enumerate() {
        let next = words.get(i + 1).and_then(|w| w.chars().next());
        match word.strip_suffix('.').filter(|head| !head.is_empty()) {
            None => out.push(word.clone()),
            Some(head) => {
                let prefix = prefixes.get(head);
                if head.contains('.') && head.chars().any(is_letter) {
                    out.push(word.replace('.', ""));
                } else if prefix == Some(&Prefix::Always)
                    || next.is_some_and(|c| c.is_ascii_lowercase())
                    || (prefix == Some(&Prefix::BeforeNumber) && next.is_some_and(digit))
                {
                    out.push(word.clone());
                } else {
                    out.extend([head.to_owned(), ".".to_owned()]);
                }
            }
        }
    }
    let parts = out
        .iter()
        .flat_map(|w| w.split(is_wide_space))
        .filter(|w| !w.is_empty());
    parts.map(|w| w.replace(DOT, ".").to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        tokens(text, &HashMap::new()).join(" ")
    }

    #[test]
    fn tokens_stay_and_signs_come_apart() {
        assert_eq!(plain("no acute disease ."), "no acute disease .");
        assert_eq!(plain("No acute disease."), "no acute disease .");
        assert_eq!(
            plain("right-upper-lobe (new), a-b-c"),
            "right upper lobe ( new ) , a b-c"
        );
        assert_eq!(
            plain("the patient's heart isn't 3.5 cm, 1,200 px"),
            "the patient 's heart isn 't 3.5 cm , 1,200 px"
        );
        assert_eq!(plain("wait...what"), "wait ... what");
        assert_eq!(plain("  "), "");
    }

    #[test]
    fn full_stops_that_end_no_sentence() {
        let prefixes = HashMap::from([
            ("Dr".to_owned(), Prefix::Always),
            ("No".to_owned(), Prefix::BeforeNumber),
        ]);
        assert_eq!(tokens("Dr. Alder", &prefixes), ["dr.", "alder"]);
        assert_eq!(tokens("Dr. Alder", &HashMap::new()), ["dr", ".", "alder"]);
        assert_eq!(tokens("No. 7", &prefixes), ["no.", "7"]);
        assert_eq!(tokens("No. Yes", &prefixes), ["no", ".", "yes"]);
        assert_eq!(plain("the U.S. film. no"), "the us film. no");
    }
}
