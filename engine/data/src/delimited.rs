//! Text and delimited tables as programs write them: byte-order marks, UTF-16, the separator that a
//! spreadsheet of that country uses, and quotation marks that are never closed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::DataError;
use super::kind::Kind;

/// No text that is read whole is longer, once decompressed.
const MOST_BYTES: u64 = 2 << 30;

/// What separates cells, the usual first.
pub(crate) const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The text of a file's bytes: UTF-8, or UTF-16 where its mark says so; the mark is no part of it.
///
/// # Errors
/// The line of the first byte that is not text, counted from 1.
pub fn decode(bytes: &[u8]) -> Result<String, u64> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let mut text = String::with_capacity(pairs.len());
        for letter in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
            text.push(letter.map_err(|_| line_after(&text))?);
        }
        if odd.is_empty() {
            Ok(text)
        } else {
            Err(line_after(&text))
        }
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => match std::str::from_utf8(rest) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(1 + rest[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() as u64),
        },
    }
}

fn line_after(text: &str) -> u64 {
    1 + text.matches('\n').count() as u64
}

/// The words of a file: [`decode`], decompressed where it is gzip.
///
/// # Errors
/// A file that cannot be read or is too long, that is no text but something known, or is in another encoding.
pub fn read_words(path: &Path) -> Result<String, DataError> {
    let kind = Kind::of(path);
    let file = File::open(path).map_err(DataError::io("read", path))?;
    let mut bytes = Vec::new();
    match kind {
        None | Some(Kind::Empty | Kind::Text | Kind::Json | Kind::Xml) => {
            file.take(MOST_BYTES + 1).read_to_end(&mut bytes)
        }
        Some(Kind::Gzip) => MultiGzDecoder::new(file)
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes),
        Some(kind) => return Err(DataError::other(path, kind, "text")),
    }
    .map_err(DataError::io("read", path))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            most: MOST_BYTES,
        });
    }
    decode(&bytes).map_err(|line| DataError::Encoding {
        path: path.to_owned(),
        line,
    })
}

/// The separator that a spreadsheet's first line "sep=;" names.
pub(crate) fn named_separator(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] => Some(*separator),
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'='] => Some(b'\t'),
        _ => None,
    }
}

/// The separator of a published table by the line of its column names: what stands in it most often.
pub(crate) fn separator_of(header: &[u8]) -> u8 {
    let mut counts = [0_usize; SEPARATORS.len()];
    let mut quoted = false;
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some(i) = SEPARATORS.iter().position(|s| s == byte).filter(|_| !quoted) {
            counts[i] += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let first = counts.iter().position(|count| *count == most).unwrap_or(0);
    SEPARATORS[first]
}

/// Follows the quotation marks of a table, to find the one that swallows rows: it is never closed, or closes
/// where another cell's begins.
#[derive(Debug)]
pub(crate) struct Quotes {
    separator: u8,
    place: Place,
    line: u64,
    /// The line of the mark that is open.
    opened: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Where a cell begins.
    Begin,
    Plain,
    Quoted,
    /// Behind a mark that may close the cell, or be the first of two that stand for one.
    Mark,
    /// Spaces behind a closing mark.
    Behind,
}

impl Quotes {
    pub(crate) fn new(separator: u8) -> Self {
        Self {
            separator,
            place: Place::Begin,
            line: 1,
            opened: 1,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The line in which a mark was opened that swallows a row.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), u64> {
        for &byte in bytes {
            let ends = byte == self.separator || byte == b'\n' || byte == b'\r';
            self.place = match (self.place, byte) {
                (Place::Begin, b'"') => {
                    self.opened = self.line;
                    Place::Quoted
                }
                // A byte-order mark is no letter of the first cell.
                (Place::Begin, 0xef | 0xbb | 0xbf) if self.line == 1 => Place::Begin,
                (Place::Quoted, b'"') => Place::Mark,
                (Place::Quoted, _) => Place::Quoted,
                (Place::Mark, b'"') => Place::Quoted,
                _ if ends => Place::Begin,
                (Place::Mark | Place::Behind, b' ') => Place::Behind,
                // Within a line a mark inside the text is no more than careless.
                (Place::Mark | Place::Behind, _) if self.line > self.opened => return Err(self.opened),
                _ => Place::Plain,
            };
            self.line += u64::from(byte == b'\n');
        }
        Ok(())
    }

    /// Ends the table.
    ///
    /// # Errors
    /// The line in which a mark was opened that is not closed.
    pub(crate) fn end(&self) -> Result<(), u64> {
        match self.place {
            Place::Quoted => Err(self.opened),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotes(text: &str) -> Result<(), u64> {
        let mut quotes = Quotes::new(b',');
        // In two pieces, as files come.
        let (a, b) = text.as_bytes().split_at(text.len() / 2);
        quotes.feed(a)?;
        quotes.feed(b)?;
        quotes.end()
    }

    #[test]
    fn marks_that_swallow_rows_are_found_where_they_open() {
        for good in [
            "",
            "a,\"b\"\n\"c\nd\",e\n",
            "\u{feff}\"a\",b\r\n\"x \"\"y\"\" z\",\"\"\r\n",
            "a\n\"said \"no\" effusion\"\n",
            "5'6\" tall,b\n",
            "\"a\" ,b\n\"c\nd\" \n",
        ] {
            assert_eq!(quotes(good), Ok(()), "{good:?}");
        }
        for (bad, line) in [
            ("a,b\n1,\"x\n2,y\n", 2),
            ("a,b\n1,x\n2,\"y\n3,\"z\"\n4,w\n", 3),
            ("\"a,b\n", 1),
            ("a\n\"b\n\"c\"\n", 2),
        ] {
            assert_eq!(quotes(bad), Err(line), "{bad:?}");
        }
    }

    #[test]
    fn text_is_read_by_its_mark() {
        let wide = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(unit)
                .collect()
        };
        for bytes in [
            "aé\n".as_bytes().to_vec(),
            "\u{feff}aé\n".as_bytes().to_vec(),
            wide("aé\n", u16::to_le_bytes),
            wide("aé\n", u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes).unwrap(), "aé\n");
        }
        assert_eq!(decode(b"a\nb\xe9\n"), Err(2));
        assert_eq!(decode(b"\xff\xfea\0\n\0b"), Err(2));
    }

    #[test]
    fn separators_are_told_by_the_first_line() {
        assert_eq!(separator_of(b"a;b;\"c,d,e\""), b';');
        assert_eq!(separator_of(b"a\tb"), b'\t');
        assert_eq!(separator_of(b"a"), b',');
        assert_eq!(named_separator(b"\xef\xbb\xbfsep=;\r\n"), Some(b';'));
        assert_eq!(named_separator(b"separator"), None);
    }

    #[test]
    fn what_is_no_text_is_said_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, b"PK\x03\x04 and more").unwrap();
        let message = read_words(&path).unwrap_err().to_string();
        assert!(
            message.contains("a.csv") && message.contains("ZIP archive"),
            "{message}"
        );
        std::fs::write(&path, b"one\ntw\xf6\n").unwrap();
        let message = read_words(&path).unwrap_err().to_string();
        assert!(
            message.contains("line 2") && message.contains("UTF-8"),
            "{message}"
        );
        let gz = File::create(&path).unwrap();
        let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, b"one\n").unwrap();
        gz.finish().unwrap();
        assert_eq!(read_words(&path).unwrap(), "one\n");
    }
}
