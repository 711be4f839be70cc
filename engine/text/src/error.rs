//! What can go wrong with words.

use std::path::PathBuf;

use thiserror::Error;

/// An error of the text room.
#[derive(Debug, Error)]
pub enum TextError {
    /// The lexicon is not valid TOML, or misses a table or a key.
    #[error("the lexicon cannot be read at line {line}: {what}; compare it with the built-in one")]
    Lexicon {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A lexicon entry that parses as TOML but means nothing.
    #[error("line {line} of the lexicon, {place}, has {what}; correct that entry")]
    LexiconEntry {
        /// The line, from 1.
        line: usize,
        /// The table and the phrase.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// A label set that is not known.
    #[error("{0}")]
    LabelSet(String),
    /// A tokenizer file that cannot be used.
    #[error(
        "the tokenizer cannot be used: {0}; give a tokenizer.json of BERT's WordPiece or of whole words, or a vocab.txt"
    )]
    Tokenizer(String),
    /// A token that the vocabulary must hold.
    #[error("the tokenizer has no token {0}; a BERT vocabulary holds [PAD], [UNK], [CLS], [SEP] and [MASK]")]
    MissingToken(&'static str),
    /// Training a tokenizer on nothing, or for too few pieces.
    #[error("the tokenizer cannot be trained: {0}")]
    Training(String),
    /// Chinese words where there is no dictionary of them.
    #[error(
        "Chinese text is cut into words by the command alone, whose dictionary is too large for a page; run hilum on this \
         text, or take a bundle whose tokenizer reads characters (WordPiece)"
    )]
    Chinese,
    /// A list of Medical Subject Headings that cannot be used.
    #[error(
        "the list of MeSH headings {} cannot be used: {what}; give a text file with one heading a line, or NLM's descriptors \
         in ASCII, such as d2026.bin", path.display()
    )]
    Mesh {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A table of reports that cannot be read, or labels that cannot be written.
    #[error(
        "the table of reports cannot be read or its labels not be written: {0}; give a CSV file in UTF-8"
    )]
    Csv(#[from] csv::Error),
    /// A table without a row.
    #[error("the table holds no report; give a CSV file with one report a row")]
    NoReports,
}
