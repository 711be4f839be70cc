//! The lexicon's shorthand: what one line stands for.

use std::collections::{BTreeMap, HashSet};

use toml::Spanned;

use super::matcher::{Step, Trie};
use super::scan::{COLON, COMMA, EDGE, QUESTION, SLASH, Vocabulary};
use super::written::line;
use crate::TextError;

/// The most phrases that the shorthand of a whole lexicon may stand for.
const MAX_PHRASES: usize = 500_000;

/// A line of shorthand and one of the phrases that it stands for.
type Expanded<'a> = (&'a Spanned<String>, Vec<Step>);

/// Turns lines of shorthand into phrases of tries that share one vocabulary.
pub(super) struct Builder<'a> {
    /// The data file, for the lines of its mistakes.
    pub(super) text: &'a str,
    /// What is said before the table of a mistake.
    pub(super) place: &'a str,
    /// What `{name}` stands for.
    pub(super) lists: &'a BTreeMap<String, Vec<String>>,
    /// How many phrases have been added.
    pub(super) added: &'a mut usize,
    /// Phrases that do not hold here.
    pub(super) left_out: &'a HashSet<Vec<Step>>,
}

impl Builder<'_> {
    /// Adds the phrases of some tables, each with what they all mean and the name of the table. Where an
    /// earlier file has the phrase, its meaning stays; where this file has it with another meaning, that is
    /// an error.
    pub(super) fn add_all<'b, T: Copy + PartialEq>(
        &mut self,
        vocabulary: &mut Vocabulary,
        trie: &mut Trie,
        values: &mut Vec<T>,
        tables: impl IntoIterator<Item = (T, &'b Vec<Spanned<String>>, String)>,
    ) -> Result<(), TextError> {
        let earlier = values.len();
        for (value, phrases, table) in tables {
            let number = values.len() as u32;
            values.push(value);
            for steps in self.all(vocabulary, phrases, &table)? {
                if self.left_out.contains(&steps.1) {
                    continue;
                }
                let kept = trie.add(&steps.1, number) as usize;
                if kept >= earlier && values[kept] != value {
                    return Err(self.wrong(steps.0, &table, "two meanings in this lexicon".into()));
                }
            }
        }
        Ok(())
    }

    /// What is wrong with a phrase of a table.
    fn wrong(&self, phrase: &Spanned<String>, table: &str, what: String) -> TextError {
        TextError::LexiconEntry {
            line: line(self.text, phrase.span().start),
            place: format!("{}{table}, phrase {:?}", self.place, phrase.get_ref()),
            what,
        }
    }

    /// All phrases that the lines of a table stand for, each with its line.
    pub(super) fn all<'b>(
        &mut self,
        vocabulary: &mut Vocabulary,
        phrases: &'b [Spanned<String>],
        table: &str,
    ) -> Result<Vec<Expanded<'b>>, TextError> {
        let mut all = Vec::new();
        for phrase in phrases {
            let expanded = self.expand(vocabulary, phrase.get_ref(), 0);
            for steps in expanded.map_err(|what| self.wrong(phrase, table, what))? {
                if !matches!(steps.first(), Some(Step::Word(_)))
                    || !matches!(steps.last(), Some(Step::Word(_)))
                {
                    return Err(self.wrong(phrase, table, "no word at its beginning or its end".into()));
                }
                *self.added += 1;
                if *self.added > MAX_PHRASES {
                    let what = format!("more than {MAX_PHRASES} phrases to stand for with those before it");
                    return Err(self.wrong(phrase, table, what));
                }
                all.push((phrase, steps));
            }
        }
        Ok(all)
    }

    /// All phrases that one line of shorthand stands for.
    fn expand(
        &self,
        vocabulary: &mut Vocabulary,
        phrase: &str,
        depth: usize,
    ) -> Result<Vec<Vec<Step>>, String> {
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
                self.choices(vocabulary, choice, depth, &mut choices)?;
            }
            if optional {
                choices.push(Vec::new());
            }
            if all.len() * choices.len() > MAX_PHRASES {
                return Err(format!("more than {MAX_PHRASES} phrases to stand for"));
            }
            all = all
                .iter()
                .flat_map(|head| choices.iter().map(move |tail| [head.as_slice(), tail].concat()))
                .collect();
        }
        Ok(all)
    }

    /// What one alternative stands for.
    fn choices(
        &self,
        vocabulary: &mut Vocabulary,
        choice: &str,
        depth: usize,
        out: &mut Vec<Vec<Step>>,
    ) -> Result<(), String> {
        if let Some(name) = choice.strip_prefix('{').and_then(|c| c.strip_suffix('}')) {
            let lists = self.lists;
            let list = lists
                .get(name)
                .ok_or_else(|| format!("the unknown list {{{name}}}"))?;
            for phrase in list {
                out.extend(
                    self.expand(vocabulary, phrase, depth + 1)
                        .map_err(|what| format!("in its list {{{name}}} {what}"))?,
                );
            }
            return Ok(());
        }
        let sign = match choice {
            "~" => Some(Step::Gap),
            "," => Some(Step::Word(COMMA)),
            ":" => Some(Step::Word(COLON)),
            "?" => Some(Step::Word(QUESTION)),
            "/" => Some(Step::Word(SLASH)),
            "." => Some(Step::Word(EDGE)),
            _ => None,
        };
        if let Some(step) = sign {
            out.push(vec![step]);
            return Ok(());
        }
        let stem = choice.strip_suffix("(s)");
        let word = stem.unwrap_or(choice);
        let plain = |c: char| {
            c.is_lowercase() || c.is_ascii_digit() || c == '\'' || (!c.is_ascii() && c.is_alphanumeric())
        };
        if word.is_empty() || !word.chars().all(plain) {
            return Err(format!(
                "the word {choice:?}, which is not all lower-case letters and digits (write hyphens as spaces)"
            ));
        }
        out.push(vec![Step::Word(vocabulary.add(word))]);
        if stem.is_some() {
            let plural = format!("{word}s");
            out.push(vec![Step::Word(vocabulary.add(&plural))]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(phrase: &str) -> Result<usize, String> {
        let lists = BTreeMap::from([(
            "size".to_string(),
            vec!["small".to_string(), "very large".to_string()],
        )]);
        let builder = Builder {
            text: "",
            place: "",
            lists: &lists,
            added: &mut 0,
            left_out: &HashSet::new(),
        };
        builder
            .expand(&mut Vocabulary::default(), phrase, 0)
            .map(|all| all.len())
    }

    #[test]
    fn shorthand_expands() {
        assert_eq!(words("pleural effusion(s)"), Ok(2));
        assert_eq!(words("a|b the? {size} ~ c"), Ok(8));
        assert!(words("{none}").is_err() && words("Upper").is_err() && words("a-b").is_err());
    }
}
