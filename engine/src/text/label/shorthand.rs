//! The lexicon's shorthand: what one line stands for.

use std::collections::BTreeMap;

use toml::Spanned;

use super::lexicon::line;
use super::matcher::{Step, Trie};
use super::scan::{COLON, COMMA, QUESTION, SLASH, Vocabulary};
use crate::text::TextError;

/// The most phrases that the shorthand of a whole lexicon may stand for.
const MAX_PHRASES: usize = 500_000;

/// Turns lines of shorthand into phrases of tries that share one vocabulary.
pub(super) struct Builder<'a> {
    /// The data file, for the lines of its mistakes.
    pub(super) text: &'a str,
    /// What `{name}` stands for.
    pub(super) lists: &'a BTreeMap<String, Vec<String>>,
    pub(super) vocabulary: Vocabulary,
    /// How many phrases have been added.
    pub(super) added: usize,
}

impl Builder<'_> {
    /// Adds phrases that all mean `value`. Where a phrase is already there with another meaning, that is an error.
    pub(super) fn add_all<T: Copy + PartialEq>(
        &mut self,
        trie: &mut Trie,
        values: &mut Vec<T>,
        value: T,
        phrases: &[Spanned<String>],
        place: &str,
    ) -> Result<(), TextError> {
        let number = values.len() as u32;
        values.push(value);
        for phrase in phrases {
            let line = line(self.text, phrase.span().start);
            let phrase = phrase.get_ref();
            let wrong = |what| TextError::LexiconEntry { line, place: format!("{place}, phrase {phrase:?}"), what };
            for steps in self.expand(phrase, 0).map_err(wrong)? {
                if !matches!(steps.first(), Some(Step::Word(_))) || !matches!(steps.last(), Some(Step::Word(_))) {
                    return Err(wrong("no word at its beginning or its end".into()));
                }
                self.added += 1;
                if self.added > MAX_PHRASES {
                    return Err(wrong(format!("more than {MAX_PHRASES} phrases to stand for with those before it")));
                }
                let kept = trie.add(&steps, number);
                if values[kept as usize] != value {
                    return Err(wrong("two meanings in this lexicon".into()));
                }
            }
        }
        Ok(())
    }

    /// All phrases that one line of shorthand stands for.
    fn expand(&mut self, phrase: &str, depth: usize) -> Result<Vec<Vec<Step>>, String> {
        if depth > 4 {
            return Err("lists inside lists more than four deep".into());
        }
        let mut all: Vec<Vec<Step>> = vec![Vec::new()];
        for part in phrase.split_whitespace() {
            let (part, optional) = match part.strip_suffix('?') {
                Some(rest) if !rest.is_empty() => (rest, true),
                _ => (part, false),
            };
            let mut choices: Vec<Vec<Step>> = Vec::new();
            for choice in part.split('|') {
                self.choices(choice, depth, &mut choices)?;
            }
            if optional {
                choices.push(Vec::new());
            }
            if all.len() * choices.len() > MAX_PHRASES {
                return Err(format!("more than {MAX_PHRASES} phrases to stand for"));
            }
            all =
                all.iter().flat_map(|head| choices.iter().map(move |tail| [head.as_slice(), tail].concat())).collect();
        }
        Ok(all)
    }

    /// What one alternative stands for.
    fn choices(&mut self, choice: &str, depth: usize, out: &mut Vec<Vec<Step>>) -> Result<(), String> {
        if let Some(name) = choice.strip_prefix('{').and_then(|c| c.strip_suffix('}')) {
            let lists = self.lists;
            let list = lists.get(name).ok_or_else(|| format!("the unknown list {{{name}}}"))?;
            for phrase in list {
                out.extend(self.expand(phrase, depth + 1).map_err(|what| format!("in its list {{{name}}} {what}"))?);
            }
            return Ok(());
        }
        let sign = match choice {
            "~" => Some(Step::Gap),
            "," => Some(Step::Word(COMMA)),
            ":" => Some(Step::Word(COLON)),
            "?" => Some(Step::Word(QUESTION)),
            "/" => Some(Step::Word(SLASH)),
            _ => None,
        };
        if let Some(step) = sign {
            out.push(vec![step]);
            return Ok(());
        }
        let stem = choice.strip_suffix("(s)");
        let word = stem.unwrap_or(choice);
        let plain =
            |c: char| c.is_lowercase() || c.is_ascii_digit() || c == '\'' || (!c.is_ascii() && c.is_alphanumeric());
        if word.is_empty() || !word.chars().all(plain) {
            return Err(format!(
                "the word {choice:?}, which is not all lower-case letters and digits (write hyphens as spaces)"
            ));
        }
        out.push(vec![Step::Word(self.vocabulary.add(word))]);
        if stem.is_some() {
            let plural = format!("{word}s");
            out.push(vec![Step::Word(self.vocabulary.add(&plural))]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(phrase: &str) -> Result<usize, String> {
        let lists = BTreeMap::from([("size".to_string(), vec!["small".to_string(), "very large".to_string()])]);
        let mut builder = Builder { text: "", lists: &lists, vocabulary: Vocabulary::default(), added: 0 };
        builder.expand(phrase, 0).map(|all| all.len())
    }

    #[test]
    fn shorthand_expands() {
        assert_eq!(words("pleural effusion(s)"), Ok(2));
        assert_eq!(words("a|b the? {size} ~ c"), Ok(8));
        assert!(words("{none}").is_err() && words("Upper").is_err() && words("a-b").is_err());
    }
}
