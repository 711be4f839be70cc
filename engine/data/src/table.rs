//! Published tables: CSV by header, plain or gzip-compressed.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::delimited::{Quotes, decode, named_separator, separator_of};
use super::error::DataError;
use super::files::any_case;
use super::kind::Kind;
use hilum_text::{Certainty, Finding};

/// No published table is longer once decompressed: a limit against archives that never end.
const MOST_BYTES: u64 = 8 << 30;

/// Nor is a line of column names.
const MOST_LINE: u64 = 1 << 20;

/// An open table, read line by line.
pub(crate) struct Table {
    /// Its file, for messages.
    pub(crate) path: PathBuf,
    headers: csv::StringRecord,
    reader: csv::Reader<Box<dyn Read>>,
}

/// The file of a table: as named, or with `.gz`, in any case; `None` where neither is there.
pub(crate) fn find(root: &Path, name: &str) -> Option<PathBuf> {
    [root.join(name), root.join(format!("{name}.gz"))]
        .iter()
        .find_map(|path| any_case(path))
}

/// Whether a table is there and has these columns; a damaged one has none.
pub(crate) fn has_columns(root: &Path, name: &str, columns: &[&str]) -> bool {
    let table = find(root, name).and_then(|path| Table::open(path).ok());
    table.is_some_and(|t| columns.iter().all(|c| t.column(c).is_ok()))
}

/// The cells of a label column: positive, negative, uncertain ([`Certainty`] in its order), and blank.
pub(crate) const LABEL_VALUES: [&str; 4] = ["1.0", "0.0", "-1.0", ""];

/// Reads a cell of a label column; spreadsheets of some countries write a comma for the point.
pub(crate) fn certainty(cell: &str) -> Result<Option<Certainty>, ()> {
    match cell {
        "" => Ok(None),
        "1.0" | "1" | "1,0" => Ok(Some(Certainty::Positive)),
        "0.0" | "0" | "0,0" => Ok(Some(Certainty::Negative)),
        "-1.0" | "-1" | "-1,0" => Ok(Some(Certainty::Uncertain)),
        _ => Err(()),
    }
}

/// The columns of CheXpert's 14 categories.
///
/// # Errors
/// [`DataError::Column`] when one is not there.
pub(crate) fn label_columns(table: &Table) -> Result<Vec<(Finding, usize)>, DataError> {
    let columns: Vec<(Finding, usize)> = table
        .headers()
        .iter()
        .enumerate()
        .filter_map(|(i, h)| Some((Finding::from_name(h)?, i)))
        .collect();
    for finding in Finding::ALL {
        if !columns.iter().any(|(f, _)| *f == finding) {
            return Err(DataError::Column {
                path: table.path.clone(),
                column: finding.name().to_owned(),
            });
        }
    }
    Ok(columns)
}

impl Table {
    /// Opens a file that [`find`] found.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DataError> {
        let file = File::open(&path).map_err(DataError::io("read", &path))?;
        // What was saved in a table's place is said by its name, not as a fault of line 1.
        let kind = Kind::of(&path);
        match kind {
            None | Some(Kind::Text | Kind::Gzip | Kind::Empty) => {}
            Some(kind) => return Err(DataError::other(&path, kind, "a table")),
        }
        // Browsers decompress what they save, and leave the name.
        let bytes: Box<dyn Read> = if kind == Some(Kind::Gzip) {
            Box::new(MultiGzDecoder::new(BufReader::new(file)).take(MOST_BYTES))
        } else {
            Box::new(file)
        };
        let mut bytes = BufReader::new(Newlines {
            inner: BufReader::new(bytes),
            held: false,
        });
        let mut first = Vec::new();
        let line = bytes.by_ref().take(MOST_LINE).read_until(b'\n', &mut first);
        line.map_err(DataError::io("read", &path))?;
        let separator = named_separator(&first).unwrap_or_else(|| separator_of(&first));
        if named_separator(&first).is_some() {
            // Its line stays, blank, so that the lines keep their numbers.
            first = b"\n".to_vec();
        }
        let bytes: Box<dyn Read> = Box::new(Closed {
            inner: Cursor::new(first).chain(bytes),
            quotes: Quotes::new(separator),
        });
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .delimiter(separator)
            .from_reader(bytes);
        let headers = reader.headers().map_err(DataError::csv(&path))?.clone();
        Ok(Self {
            path,
            headers,
            reader,
        })
    }

    /// Where a column stands, compared without case and spaces around.
    ///
    /// # Errors
    /// [`DataError::Column`] when it is not there.
    pub(crate) fn column(&self, name: &str) -> Result<usize, DataError> {
        // Spreadsheets put a byte-order mark before the first name.
        let plain = |h: &str| h.trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
        let wanted = plain(name);
        self.headers
            .iter()
            .position(|h| plain(h) == wanted)
            .ok_or_else(|| DataError::Column {
                path: self.path.clone(),
                column: name.to_owned(),
            })
    }

    /// All column names, in the table's order.
    pub(crate) fn headers(&self) -> &csv::StringRecord {
        &self.headers
    }

    /// Calls `row` on each line with its number, counted from 1 for the header.
    pub(crate) fn for_each(
        mut self,
        mut row: impl FnMut(u64, &csv::StringRecord) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut record = csv::StringRecord::new();
        while self
            .reader
            .read_record(&mut record)
            .map_err(DataError::csv(&self.path))?
        {
            let line = record.position().map_or(0, csv::Position::line);
            row(line, &record)?;
        }
        Ok(())
    }
}

/// Makes "\r\n" one "\n": the CSV reader counts a line too few where records end in both.
struct Newlines<R> {
    inner: R,
    /// A "\r" that has been read and not yet given.
    held: bool,
}

impl<R: BufRead> Read for Newlines<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let mut given = 0;
        while given < out.len() {
            let bytes = self.inner.fill_buf()?;
            let Some(&byte) = bytes.first() else {
                if std::mem::take(&mut self.held) {
                    out[given] = b'\r';
                    given += 1;
                }
                break;
            };
            if std::mem::take(&mut self.held) && byte != b'\n' {
                out[given] = b'\r';
                given += 1;
                continue;
            }
            if byte == b'\r' {
                self.held = true;
                self.inner.consume(1);
                continue;
            }
            // Up to the next "\r" nothing changes.
            let plain = bytes
                .iter()
                .position(|b| *b == b'\r')
                .unwrap_or(bytes.len())
                .min(out.len() - given);
            out[given..given + plain].copy_from_slice(&bytes[..plain]);
            given += plain;
            self.inner.consume(plain);
        }
        Ok(given)
    }
}

/// Stops where a quotation mark would swallow rows.
struct Closed<R> {
    inner: R,
    quotes: Quotes,
}

impl<R: Read> Read for Closed<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let given = self.inner.read(out)?;
        let state = match given {
            0 => self.quotes.end(),
            _ => self.quotes.feed(&out[..given]),
        };
        let open = |line| format!("a quotation mark that opens on line {line} is not closed");
        state.map_err(|line| std::io::Error::new(std::io::ErrorKind::InvalidData, open(line)))?;
        Ok(given)
    }
}

/// The text of a file no longer than `most` bytes, without a byte-order mark; bytes that are no UTF-8 are taken for Latin-1, as in older
/// collections.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String, DataError> {
    let file = File::open(path).map_err(DataError::io("read", path))?;
    let bytes = file.metadata().map_err(DataError::io("read", path))?.len();
    if bytes > most {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            bytes,
            most,
        });
    }
    let mut buffer = Vec::new();
    file.take(most)
        .read_to_end(&mut buffer)
        .map_err(DataError::io("read", path))?;
    let head = &buffer[..buffer.len().min(4096)];
    if let Some(kind @ (Kind::LfsPointer | Kind::AnnexPointer | Kind::WebPage)) = Kind::of_bytes(head) {
        return Err(DataError::other(path, kind, "the file itself"));
    }
    Ok(decode(&buffer).unwrap_or_else(|_| buffer.iter().map(|b| char::from(*b)).collect()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn plain_and_compressed_tables_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let text = "\u{feff}Study_ID , split\n7, train\n\"8\",test\n";
        std::fs::write(folder.path().join("a.csv"), text).unwrap();
        let gz = File::create(folder.path().join("b.csv.gz")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        gz.finish().unwrap();
        for name in ["a.csv", "b.csv"] {
            let table = Table::open(find(folder.path(), name).unwrap()).unwrap();
            let (study, split) = (table.column("study_id").unwrap(), table.column("split").unwrap());
            assert!(matches!(table.column("view"), Err(DataError::Column { .. })));
            let mut rows = Vec::new();
            table
                .for_each(|line, row| {
                    rows.push((line, row[study].to_owned(), row[split].to_owned()));
                    Ok(())
                })
                .unwrap();
            assert_eq!(
                rows,
                [(2, "7".into(), "train".into()), (3, "8".into(), "test".into())]
            );
        }
        assert!(find(folder.path(), "c.csv").is_none());
    }

    #[test]
    fn newlines_of_either_kind_count_alike() {
        let text = "a,b\r\n1,\"x\r\ny\"\r\n2,z\r\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        for text in [text.to_owned(), text.replace("\r\n", "\n")] {
            std::fs::write(&path, text).unwrap();
            let mut rows = Vec::new();
            let table = Table::open(path.clone()).unwrap();
            table
                .for_each(|line, row| {
                    rows.push((line, row[1].to_owned()));
                    Ok(())
                })
                .unwrap();
            assert_eq!(rows, [(2, "x\ny".to_owned()), (4, "z".to_owned())]);
        }
        // In pieces of every length, with a "\r" that stands alone and one at the end.
        let bytes = b"a\r\n\rb\r\r\n\n\r";
        for piece in 1..8 {
            let mut reader = Newlines {
                inner: BufReader::with_capacity(piece, &bytes[..]),
                held: false,
            };
            let (mut all, mut some) = (Vec::new(), vec![0; piece]);
            while let Ok(n @ 1..) = reader.read(&mut some) {
                all.extend_from_slice(&some[..n]);
            }
            assert_eq!(all, b"a\n\rb\r\n\n\r");
        }
    }

    #[test]
    fn tables_that_went_through_a_spreadsheet_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["sep=;\r\na;b\r\n\"1,5\";x\r\n", "a;b\n1,5;x\n", "a\tb\n1,5\tx\n"] {
            std::fs::write(folder.path().join("A.CSV"), text).unwrap();
            let table = Table::open(find(folder.path(), "a.csv").unwrap()).unwrap();
            let mut cells = Vec::new();
            table
                .for_each(|_, row| {
                    cells.extend(row.iter().map(str::to_owned));
                    Ok(())
                })
                .unwrap();
            assert_eq!(cells, ["1,5", "x"], "{text:?}");
        }
        assert_eq!(certainty("-1,0"), Ok(Some(Certainty::Uncertain)));
    }

    #[test]
    fn damaged_tables_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\n1,2,3\n").unwrap();
        let error = Table::open(path.clone())
            .unwrap()
            .for_each(|_, _| Ok(()))
            .unwrap_err();
        assert!(error.to_string().contains("a.csv"), "{error}");
        for (text, said) in [
            ("a,b\n1,\"x\n2,y\n", "line 2"),
            ("<!DOCTYPE html>", "web page"),
            ("version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Table::open(path.clone()).and_then(|t| t.for_each(|_, _| Ok(())));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("a.csv"), "{error}");
        }
        for (bytes, read) in [
            (&b"\xef\xbb\xbfa\n"[..], "a\n"),
            (b"\xff\xfea\0", "a"),
            (b"\xe9", "\u{e9}"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path, 9).unwrap(), read);
        }
        std::fs::write(&path, "a,b\n1,2,3\n").unwrap();
        assert!(matches!(
            read_text(&path, 3),
            Err(DataError::TooLarge { bytes: 10, .. })
        ));
    }
}
