//! BERT's WordPiece, lower-cased, and whole words, over the `tokenizers` crate; and words as a reader wants them.

mod train;
mod words;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::tokenizer::pre_tokenizer::OffsetType;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, PreTokenizedString, PreTokenizer};

use super::{TextError, chinese};

/// Ids of the tokens that models place themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specials {
    /// Padding.
    pub pad: u32,
    /// A word outside the vocabulary.
    pub unk: u32,
    /// Opens a sequence.
    pub cls: u32,
    /// Closes a part.
    pub sep: u32,
    /// Stands for a word to be predicted.
    pub mask: u32,
}

impl Specials {
    /// Their places in the vocabulary of BERT-base, uncased.
    pub const BERT: Self = Self {
        pad: 0,
        unk: 100,
        cls: 101,
        sep: 102,
        mask: 103,
    };

    /// Whether an id is one of those that no text holds; an unknown word is text.
    pub const fn hidden(self, id: u32) -> bool {
        id == self.pad || id == self.cls || id == self.sep || id == self.mask
    }
}

const NAMES: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// A tokenizer file is read whole; real ones have less than 5 MB.
const MOST_BYTES: u64 = 64 << 20;

/// A tokenizer of word pieces or of whole words, with its special tokens looked up.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    specials: Specials,
    /// Whether its pieces are whole words.
    words: bool,
}

/// What a vocabulary holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// BERT's pieces; Chinese is cut into characters.
    WordPiece,
    /// Whole words; Chinese ones are parted before.
    Words,
}

impl Kind {
    fn normalizer(self) -> BertNormalizer {
        let mut normalizer = BertNormalizer::default();
        normalizer.handle_chinese_chars = self == Self::WordPiece;
        normalizer
    }
}

fn broken(error: impl std::fmt::Display) -> TextError {
    TextError::Tokenizer(error.to_string())
}

/// A text as vocabularies hold it: lower case, without accents.
pub(crate) fn plain(text: &str) -> String {
    let mut normal = NormalizedString::from(text);
    match Kind::Words.normalizer().normalize(&mut normal) {
        Ok(()) => normal.get().to_owned(),
        Err(_) => text.to_lowercase(),
    }
}

/// Whether `size` pieces hold more than the special tokens.
fn room(size: usize) -> Result<(), TextError> {
    if size > NAMES.len() {
        return Ok(());
    }
    Err(TextError::Training(format!(
        "{size} pieces leave no room beside the {} special tokens",
        NAMES.len()
    )))
}

/// How often each word occurs, cut as a tokenizer of that kind cuts.
fn count(kind: Kind, texts: impl Iterator<Item = String>) -> Result<BTreeMap<String, u64>, TextError> {
    let normalizer = kind.normalizer();
    let mut words: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        let mut normal = match kind {
            Kind::WordPiece => NormalizedString::from(text),
            Kind::Words => NormalizedString::from(chinese::segmented(&text)?.as_ref()),
        };
        normalizer.normalize(&mut normal).map_err(broken)?;
        let mut cut = PreTokenizedString::from(normal);
        BertPreTokenizer.pre_tokenize(&mut cut).map_err(broken)?;
        for (word, _, _) in cut.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match words.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(words.insert(word.to_owned(), 1)),
            }
        }
    }
    Ok(words)
}

impl Tokenizer {
    fn new(inner: tokenizers::Tokenizer) -> Result<Self, TextError> {
        let id = |name: &'static str| inner.token_to_id(name).ok_or(TextError::MissingToken(name));
        let [pad, unk, cls, sep, mask] = NAMES.map(id);
        let specials = Specials {
            pad: pad?,
            unk: unk?,
            cls: cls?,
            sep: sep?,
            mask: mask?,
        };
        let words = matches!(inner.get_model(), ModelWrapper::WordLevel(_));
        Ok(Self {
            inner,
            specials,
            words,
        })
    }

    /// With these pieces, the first having id 0.
    fn from_pieces<'a>(kind: Kind, pieces: impl Iterator<Item = &'a str>) -> Result<Self, TextError> {
        let mut vocabulary = serde_json::Map::new();
        for (id, piece) in pieces.enumerate() {
            if vocabulary.insert(piece.to_owned(), id.into()).is_some() {
                return Err(TextError::Tokenizer(format!(
                    "the piece {piece:?} stands in the vocabulary twice"
                )));
            }
        }
        // By way of JSON: the builder wants a map of a crate that is not ours.
        let model = match kind {
            Kind::WordPiece => serde_json::json!({
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": vocabulary,
            }),
            Kind::Words => {
                serde_json::json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary})
            }
        };
        let model: ModelWrapper = serde_json::from_str(&model.to_string()).map_err(broken)?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_normalizer(Some(kind.normalizer())).map_err(broken)?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        Self::new(inner)
    }

    /// A vocabulary of at most `size` pieces, learned from `texts`; the same texts in any order give the same
    /// vocabulary. The special tokens have the ids 0 to 4: [PAD], [UNK], [CLS], [SEP], [MASK].
    ///
    /// # Errors
    /// [`TextError::Training`] when no text has a word, or `size` leaves no room beyond the special tokens.
    pub fn train(texts: impl Iterator<Item = String>, size: usize) -> Result<Self, TextError> {
        room(size)?;
        let words = count(Kind::WordPiece, texts)?;
        if words.is_empty() {
            return Err(TextError::Training(
                "no text holds a word; give it reports".into(),
            ));
        }
        let pieces = train::pieces(&words, &NAMES, size);
        Self::from_pieces(Kind::WordPiece, pieces.iter().map(String::as_str))
    }

    /// A vocabulary of whole lower-cased words, those that `texts` hold `least` times or more, the most frequent first and at
    /// most `most` pieces in all; the same texts in any order give the same vocabulary. All other words are [UNK]. The
    /// special tokens have the ids 0 to 4, as with [`train`](Self::train). Chinese is parted into words, see [`segmented`].
    ///
    /// # Errors
    /// [`TextError::Training`] when no word occurs that often, or `most` leaves no room beyond the special tokens;
    /// [`TextError::Chinese`] for Chinese texts in a page.
    ///
    /// [`segmented`]: crate::segmented
    pub fn train_words(
        texts: impl Iterator<Item = String>,
        least: u64,
        most: usize,
    ) -> Result<Self, TextError> {
        room(most)?;
        let words = count(Kind::Words, texts)?;
        let pieces = words::pieces(&words, &NAMES, least, most).map_err(TextError::Training)?;
        Self::from_pieces(Kind::Words, pieces.iter().map(String::as_str))
    }

    /// A `tokenizer.json`.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] when it is none, [`TextError::MissingToken`] when it lacks a special token.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TextError> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(broken)?;
        // What a file says of lengths is not for us: models say theirs.
        inner.with_truncation(None).map_err(broken)?;
        inner.with_padding(None);
        Self::new(inner)
    }

    /// A `vocab.txt`: one piece a line, the first having id 0.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] when a piece stands there twice, [`TextError::MissingToken`] when it lacks a
    /// special token.
    pub fn from_vocab_txt(text: &str) -> Result<Self, TextError> {
        Self::from_pieces(Kind::WordPiece, text.lines().map(str::trim_end))
    }

    /// Reads a `tokenizer.json` or a `vocab.txt`, told apart by content.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than 64 MiB, or is neither.
    pub fn read(path: &Path) -> Result<Self, TextError> {
        let wrong =
            |error: &dyn std::fmt::Display| TextError::Tokenizer(format!("{}: {error}", path.display()));
        let length = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
        if length > MOST_BYTES {
            return Err(wrong(&format!(
                "{length} bytes are more than the {MOST_BYTES} that a tokenizer may have"
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| wrong(&e))?;
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Self::from_json(&bytes);
        }
        Self::from_vocab_txt(std::str::from_utf8(&bytes).map_err(|e| wrong(&e))?)
    }

    /// Its `tokenizer.json`; the same bytes for the same vocabulary.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, TextError> {
        self.inner.to_string(true).map(String::into_bytes).map_err(broken)
    }

    /// The ids of the special tokens.
    pub const fn specials(&self) -> Specials {
        self.specials
    }

    /// How many pieces there are, special tokens with them.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The piece of an id; empty where there is none.
    pub fn piece(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// The id of a piece, if it is one.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.inner.token_to_id(piece)
    }

    /// Whether its pieces are whole words: then none continues another, however it is spelt.
    pub const fn is_words(&self) -> bool {
        self.words
    }

    /// The ids of a text, at most `most`, without special tokens, also where the text spells them out.
    ///
    /// # Errors
    /// When the tokenizer of a foreign file fails on the text; [`TextError::Chinese`] where it is of whole words and a page
    /// asks for those of a Chinese text.
    pub fn encode(&self, text: &str, most: usize) -> Result<Vec<u32>, TextError> {
        let text = if self.words {
            chinese::segmented(text)?
        } else {
            text.into()
        };
        let encoding = self.inner.encode_fast(text, false).map_err(broken)?;
        Ok(encoding
            .get_ids()
            .iter()
            .copied()
            .filter(|id| !self.specials.hidden(*id))
            .take(most)
            .collect())
    }

    /// The ids of a text, at most `most`, each with the bytes of the text that it stands for; a Chinese text as it is, not cut into
    /// words.
    ///
    /// # Errors
    /// When the tokenizer of a foreign file fails on the text.
    pub fn encode_placed(&self, text: &str, most: usize) -> Result<Vec<(u32, Range<usize>)>, TextError> {
        let encoding = self.inner.encode(text, false).map_err(broken)?;
        let ids = encoding.get_ids().iter().copied();
        let places = encoding.get_offsets().iter().map(|&(from, to)| from..to);
        let placed = ids.zip(places).filter(|(id, _)| !self.specials.hidden(*id));
        Ok(placed.take(most).collect())
    }

    /// [`Tokenizer::encode`], closed by SEP.
    ///
    /// # Errors
    /// As there.
    pub fn encode_closed(&self, text: &str, most: usize) -> Result<Vec<u32>, TextError> {
        let mut ids = self.encode(text, most)?;
        ids.push(self.specials.sep);
        Ok(ids)
    }

    /// The text of ids: pieces joined to words, no space where none belongs, special tokens left out. Lower
    /// case, as the vocabulary has it: see [`present`].
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = Decoder::new(self);
        let mut text: String = ids.iter().filter_map(|id| decoder.push(*id)).collect();
        text += &decoder.finish();
        text
    }
}

/// Decodes a stream of ids: each word is given out as soon as it is known to be whole, with the space before
/// it.
///
/// What comes out, put together, is what [`Tokenizer::decode`] gives.
pub struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    /// The word that may still grow.
    word: String,
    /// The last character given out, and whether a digit stood before it.
    last: Option<(char, bool)>,
}

impl<'a> Decoder<'a> {
    /// A decoder at the beginning of a text.
    pub const fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            word: String::new(),
            last: None,
        }
    }

    /// Takes the next id; gives the word that it ends, if it ends one.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.tokenizer.specials.hidden(id) {
            return self.flush();
        }
        let piece = self.tokenizer.piece(id);
        if !self.tokenizer.words
            && let Some(rest) = piece.strip_prefix("##")
            && !rest.is_empty()
        {
            self.word += rest;
            return None;
        }
        let whole = self.flush();
        self.word = piece;
        whole
    }

    /// The last word.
    pub fn finish(&mut self) -> String {
        self.flush().unwrap_or_default()
    }

    fn flush(&mut self) -> Option<String> {
        let word = std::mem::take(&mut self.word);
        let (first, end) = (word.chars().next()?, word.chars().next_back()?);
        let space = self.last.is_some_and(|last| spaced(last, first));
        let digit_before = match word.chars().nth_back(1) {
            Some(c) => c.is_ascii_digit(),
            None => !space && self.last.is_some_and(|(c, _)| c.is_ascii_digit()),
        };
        self.last = Some((end, digit_before));
        Some(if space { format!(" {word}") } else { word })
    }
}

/// A stream of ids as a reader wants to see it grow: words as they become whole, sentences with a capital.
/// What comes out, put together, is [`present`] of [`Tokenizer::decode`].
pub struct Presenter<'a> {
    decoder: Decoder<'a>,
    raw: String,
    shown: usize,
}

impl<'a> Presenter<'a> {
    /// A presenter at the beginning of a text.
    pub const fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            decoder: Decoder::new(tokenizer),
            raw: String::new(),
            shown: 0,
        }
    }

    /// Takes the next id; gives what it adds to the text.
    pub fn push(&mut self, id: u32) -> String {
        let piece = self.decoder.push(id).unwrap_or_default();
        self.show(&piece)
    }

    /// The end of the text.
    pub fn finish(mut self) -> String {
        let piece = self.decoder.finish();
        self.show(&piece)
    }

    fn show(&mut self, piece: &str) -> String {
        self.raw += piece;
        let whole = present(&self.raw);
        let new = whole.get(self.shown..).unwrap_or_default().to_owned();
        self.shown = whole.len();
        new
    }
}

/// Whether a space stands between what was written and a word that begins with `next`.
fn spaced((last, digit_before): (char, bool), next: char) -> bool {
    let joins_both = |c: char| matches!(c, '-' | '/' | '\'' | '\u{2019}');
    let closes = matches!(next, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '%');
    let decimal = matches!(last, '.' | ',') && digit_before && next.is_ascii_digit();
    let opened = matches!(last, '(' | '[');
    !(closes || decimal || opened || joins_both(next) || joins_both(last) || chinese::together(last, next))
}

/// Abbreviations that readers expect in capitals.
const CAPITALS: [&str; 22] = [
    "ap", "pa", "ct", "svc", "ivc", "picc", "et", "ng", "og", "ij", "chf", "copd", "mri", "icu", "icd",
    "aicd", "cabg", "ett", "ngt", "cxr", "xxxx", "pet",
];

/// Lower-case text as a reader wants it: sentences begin with a capital, abbreviations are in capitals.
pub fn present(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut opens = true;
    for part in text.split_inclusive(' ') {
        let core = part.trim_matches(|c: char| !c.is_alphanumeric());
        let at = part.find(core).unwrap_or(0);
        if CAPITALS.contains(&core) {
            out += &part[..at];
            out += &core.to_uppercase();
            out += &part[at + core.len()..];
        } else if opens && !core.is_empty() {
            out += &part[..at];
            let mut characters = core.chars();
            out.extend(characters.next().into_iter().flat_map(char::to_uppercase));
            out += characters.as_str();
            out += &part[at + core.len()..];
        } else {
            out += part;
        }
        if !part.trim().is_empty() {
            opens = part
                .trim_end()
                .trim_end_matches([')', '"'])
                .ends_with(['.', '!', '?']);
        }
    }
    out
}

#[cfg(test)]
mod tests;
