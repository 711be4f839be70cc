//! The data files of METEOR 1.5, read from a folder that the user gives. They are not part of this program.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::normalize::Prefix;

/// No line of METEOR's files comes near this length.
const LONGEST_LINE: u64 = 1 << 16;

/// Why METEOR's data could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MeteorError {
    /// A file is there but cannot be read.
    #[error("cannot read METEOR's {}: {source}; take it from meteor-1.5 again", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not of its form.
    #[error("METEOR's {}, line {line}: {what}; take the file from meteor-1.5 again", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// Which line, the first being 1.
        line: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The synonyms are there without the irregular forms that belong to them.
    #[error("{} has METEOR's english.synsets but not its english.exceptions; put it beside it", .0.display())]
    Exceptions(PathBuf),
    /// None of the files is there.
    #[error("{} holds none of METEOR's data files; unpack meteor-1.5.jar there and put paraphrase-en.gz beside it", .0.display())]
    None(PathBuf),
}

/// A file of lines, of which none may be endless.
struct Lines {
    path: PathBuf,
    from: Box<dyn BufRead>,
    line: usize,
}

impl Lines {
    /// The first of `names` that the folder holds.
    fn open(folder: &Path, names: &[&str]) -> Result<Option<Self>, MeteorError> {
        let Some(path) = names
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file())
        else {
            return Ok(None);
        };
        let file = File::open(&path).map_err(|source| MeteorError::Read {
            path: path.clone(),
            source,
        })?;
        let from: Box<dyn BufRead> = if path.extension().is_some_and(|e| e == "gz") {
            Box::new(BufReader::with_capacity(
                1 << 16,
                MultiGzDecoder::new(BufReader::new(file)),
            ))
        } else {
            Box::new(BufReader::new(file))
        };
        Ok(Some(Self { path, from, line: 0 }))
    }

    /// The next line without its end; `false` after the last.
    fn next(&mut self, into: &mut Vec<u8>) -> Result<bool, MeteorError> {
        into.clear();
        self.line += 1;
        let read = self.from.by_ref().take(LONGEST_LINE).read_until(b'\n', into);
        let read = read.map_err(|source| MeteorError::Read {
            path: self.path.clone(),
            source,
        })?;
        if read as u64 == LONGEST_LINE {
            return Err(self.wrong("the line is too long"));
        }
        while into.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            into.pop();
        }
        Ok(read > 0)
    }

    /// The next line, which belongs to the one before.
    fn second(&mut self, into: &mut Vec<u8>) -> Result<(), MeteorError> {
        if self.next(into)? {
            Ok(())
        } else {
            Err(self.wrong("the file ends in the middle of an entry"))
        }
    }

    fn wrong(&self, what: &'static str) -> MeteorError {
        MeteorError::Form {
            path: self.path.clone(),
            line: self.line,
            what,
        }
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b' ' | b'\t' | b'\r' | 0xC))
        .filter(|w| !w.is_empty())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// WordNet's sets of synonyms (`synonym/english.synsets`) and irregular forms (`synonym/english.exceptions`).
#[derive(Debug, Default)]
pub struct Synonyms {
    sets: HashMap<String, Vec<u32>>,
    bases: HashMap<String, Vec<String>>,
}

/// WordNet's rules of detachment: an ending, and what stands for it.
const ENDINGS: [(&str, &str); 20] = [
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

impl Synonyms {
    fn read(folder: &Path) -> Result<Option<Self>, MeteorError> {
        let Some(mut file) = Lines::open(folder, &["synonym/english.synsets", "english.synsets"])? else {
            return Ok(None);
        };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let mut out = Self::default();
        while file.next(&mut first)? {
            file.second(&mut second)?;
            let numbers: Option<Vec<u32>> = words(&second)
                .map(|w| std::str::from_utf8(w).ok()?.parse().ok())
                .collect();
            let numbers = numbers.ok_or_else(|| file.wrong("not the numbers of synonym sets"))?;
            out.sets.insert(text(&first), numbers);
        }
        let names = ["synonym/english.exceptions", "english.exceptions"];
        let mut file =
            Lines::open(folder, &names)?.ok_or_else(|| MeteorError::Exceptions(folder.to_owned()))?;
        while file.next(&mut first)? {
            file.second(&mut second)?;
            for form in words(&second) {
                out.bases.entry(text(form)).or_default().push(text(&first));
            }
        }
        Ok(Some(out))
    }

    /// The sets of a word and of its base form.
    pub fn sets(&self, word: &str) -> HashSet<u32> {
        let own = |word: &str| self.sets.get(word).into_iter().flatten().copied();
        let mut all: HashSet<u32> = own(word).collect();
        match self.bases.get(word) {
            Some(bases) => all.extend(bases.iter().flat_map(|base| own(base))),
            None => all.extend(self.base(word).iter().flat_map(|base| own(base))),
        }
        all
    }

    fn base(&self, word: &str) -> Option<String> {
        if word.ends_with("ss") || word.encode_utf16().count() <= 2 {
            return Some(word.to_owned());
        }
        ENDINGS
            .iter()
            .filter_map(|(ending, instead)| word.strip_suffix(ending).map(|stem| format!("{stem}{instead}")))
            .find(|base| self.sets.contains_key(base))
    }
}

/// The paraphrase table (`paraphrase-en.gz`), as far as it speaks of the words at hand: three lines an entry,
/// a probability (which METEOR does not use), a phrase, and what may stand for it.
#[derive(Debug, Default)]
pub struct Paraphrases {
    numbers: HashMap<Vec<u8>, u32>,
    table: HashMap<Vec<u32>, Vec<Vec<u32>>>,
    longest: usize,
}

impl Paraphrases {
    fn read(folder: &Path, vocabulary: &HashSet<&str>) -> Result<Option<Self>, MeteorError> {
        let names = [
            "paraphrase-en.gz",
            "data/paraphrase-en.gz",
            "paraphrase-en",
            "data/paraphrase-en",
        ];
        let Some(mut file) = Lines::open(folder, &names)? else {
            return Ok(None);
        };
        let numbers = vocabulary
            .iter()
            .zip(0..)
            .map(|(word, i)| (word.as_bytes().to_vec(), i))
            .collect();
        let mut out = Self {
            numbers,
            ..Self::default()
        };
        let (mut probability, mut phrase, mut other) = (Vec::new(), Vec::new(), Vec::new());
        while file.next(&mut probability)? {
            if std::str::from_utf8(&probability)
                .ok()
                .and_then(|p| p.trim().parse::<f64>().ok())
                .is_none()
            {
                return Err(file.wrong("not a probability"));
            }
            file.second(&mut phrase)?;
            file.second(&mut other)?;
            let of = |line: &[u8]| -> Option<Vec<u32>> {
                words(line).map(|w| out.numbers.get(w).copied()).collect()
            };
            let (Some(phrase), Some(other)) = (of(&phrase), of(&other)) else {
                continue;
            };
            if phrase.is_empty() || other.is_empty() {
                return Err(file.wrong("an empty phrase"));
            }
            out.longest = out.longest.max(phrase.len());
            out.table.entry(phrase).or_default().push(other);
        }
        Ok(Some(out))
    }

    /// The words by number; those that the table does not know have none.
    pub fn numbers(&self, words: &[String]) -> Vec<Option<u32>> {
        words
            .iter()
            .map(|w| self.numbers.get(w.as_bytes()).copied())
            .collect()
    }

    /// What may stand for the phrases that begin at a word: (words of the phrase, paraphrase), short phrases
    /// first.
    pub fn at<'a>(&'a self, words: &'a [Option<u32>]) -> impl Iterator<Item = (usize, &'a [u32])> {
        let known: Vec<u32> = words.iter().map_while(|w| *w).take(self.longest).collect();
        (1..=known.len()).flat_map(move |n| {
            self.table
                .get(&known[..n])
                .into_iter()
                .flatten()
                .map(move |other| (n, other.as_slice()))
        })
    }
}

/// What the folder holds.
#[derive(Debug, Default)]
pub struct Data {
    /// Words without content, that count less.
    pub function_words: Option<HashSet<String>>,
    /// For the third stage.
    pub synonyms: Option<Synonyms>,
    /// For the fourth stage.
    pub paraphrases: Option<Paraphrases>,
}

impl Data {
    /// The words after which a full stop stays: what is needed before the texts' words are known.
    pub fn prefixes(folder: &Path) -> Result<HashMap<String, Prefix>, MeteorError> {
        let mut prefixes = HashMap::new();
        if let Some(mut file) = Lines::open(folder, &["nonbreaking/english.prefixes", "english.prefixes"])? {
            let mut line = Vec::new();
            while file.next(&mut line)? {
                let mut parts = words(&line);
                let Some(word) = parts.next().filter(|w| !w.starts_with(b"#")) else {
                    continue;
                };
                let numeric = parts.next() == Some(b"#NUMERIC_ONLY#");
                prefixes.insert(
                    text(word),
                    if numeric {
                        Prefix::BeforeNumber
                    } else {
                        Prefix::Always
                    },
                );
            }
        }
        Ok(prefixes)
    }

    /// Reads all the rest; of the paraphrases only those whose words are all in `vocabulary`.
    ///
    /// # Errors
    /// [`MeteorError`] when a file cannot be read, is not of its form, or none is there.
    pub fn read(folder: &Path, vocabulary: &HashSet<&str>) -> Result<Self, MeteorError> {
        let mut function_words = None;
        if let Some(mut file) = Lines::open(
            folder,
            &["function/english.words", "english.words", "function.words"],
        )? {
            let (mut list, mut line) = (HashSet::new(), Vec::new());
            while file.next(&mut line)? {
                list.insert(text(&line));
            }
            function_words = Some(list);
        }
        let synonyms = Synonyms::read(folder)?;
        let paraphrases = Paraphrases::read(folder, vocabulary)?;
        if function_words.is_none() && synonyms.is_none() && paraphrases.is_none() {
            return Err(MeteorError::None(folder.to_owned()));
        }
        Ok(Self {
            function_words,
            synonyms,
            paraphrases,
        })
    }
}
