//! Chinese reports: words, which the script does not part, and text put together without spaces.

use std::borrow::Cow;

use super::TextError;

/// Whether a text holds Chinese characters.
pub fn has_han(text: &str) -> bool {
    text.chars().any(is_han)
}

/// A text with its Chinese words parted by single spaces, as jieba cuts them (its dictionary, and its hidden Markov model
/// for words that stand in none); punctuation is a word of its own. A text without Chinese comes back as it is.
///
/// # Errors
/// [`TextError::Chinese`] in a page, which has no dictionary.
pub fn segmented(text: &str) -> Result<Cow<'_, str>, TextError> {
    if has_han(text) {
        cut(text).map(Cow::Owned)
    } else {
        Ok(Cow::Borrowed(text))
    }
}

#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unnecessary_wraps)] // a page cannot
fn cut(text: &str) -> Result<String, TextError> {
    use jieba_rs::Jieba;
    use std::sync::LazyLock;

    /// Five megabytes of words: read when the first Chinese text comes.
    static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);

    let mut words = String::with_capacity(text.len() * 3 / 2);
    for token in JIEBA.cut(text, true) {
        for word in token.word.split_whitespace() {
            if !words.is_empty() {
                words.push(' ');
            }
            words += word;
        }
    }
    Ok(words)
}

#[cfg(target_family = "wasm")]
fn cut(_: &str) -> Result<String, TextError> {
    Err(TextError::Chinese)
}

/// Whether a character is a Chinese one: Unicode's unified and compatibility ideographs, and the zero.
pub(crate) const fn is_han(c: char) -> bool {
    matches!(c, '\u{3007}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{323AF}')
}

/// Whether a character is punctuation of Chinese text, which brings its own space.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{301F}' | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}'
        | '\u{FF3B}'..='\u{FF40}' | '\u{FF5B}'..='\u{FF65}')
}

/// Whether two characters stand together without a space: two Chinese ones, or punctuation of Chinese text and anything.
pub(crate) const fn together(one: char, next: char) -> bool {
    is_mark(one) || is_mark(next) || (is_han(one) && is_han(next))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_are_parted_by_single_spaces() {
        for (text, words) in [
            ("Heart size is  normal.\n", "Heart size is  normal.\n"),
            ("", ""),
            ("双肺纹理增多，心影正常。", "双肺 纹理 增多 ， 心影 正常 。"),
            ("胸部CT平扫:\n 未见 异常", "胸部 CT 平扫 : 未见 异常"),
            ("肺", "肺"),
            ("〇", "〇"),
        ] {
            assert_eq!(segmented(text).unwrap(), words);
        }
        assert!(matches!(segmented("clear lungs").unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_parted_stays_parted() {
        for text in ["双肺纹理增多，心影正常。", "左肺上叶见1.5cm结节影"] {
            let once = segmented(text).unwrap().into_owned();
            assert_eq!(segmented(&once).unwrap(), once);
            assert_eq!(once.replace(' ', ""), text);
        }
    }

    #[test]
    fn chinese_is_told_by_its_characters() {
        for (text, is) in [
            ("lung", false),
            ("", false),
            ("œdème, 3 cm", false),
            ("。，", false),
            ("はい", false),
            ("폐", false),
            ("lung 肺", true),
            ("\u{20000}", true),
            ("\u{F900}", true),
        ] {
            assert_eq!(has_han(text), is, "{text}");
        }
    }

    #[test]
    fn chinese_stands_without_spaces() {
        for (one, next, is) in [
            ('肺', '部', true),
            ('部', '。', true),
            ('，', '心', true),
            ('。', '”', true),
            ('，', 'c', true),
            ('见', '1', false),
            ('t', '平', false),
            ('a', 'b', false),
            ('１', '２', false),
        ] {
            assert_eq!(together(one, next), is, "{one}{next}");
        }
    }
}
