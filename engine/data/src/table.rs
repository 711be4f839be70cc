//! Published tables: CSV by header, plain or gzip-compressed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::error::DataError;
use hilum_text::{Certainty, Finding};

/// No published table is longer once decompressed: a limit against archives that never end.
const MOST_BYTES: u64 = 8 << 30;

/// An open table, read line by line.
pub(crate) struct Table {
    /// Its file, for messages.
    pub(crate) path: PathBuf,
    headers: csv::StringRecord,
    reader: csv::Reader<Box<dyn Read>>,
}

/// The file of a table: as named, or with `.gz`; `None` where neither is there.
pub(crate) fn find(root: &Path, name: &str) -> Option<PathBuf> {
    [root.join(name), root.join(format!("{name}.gz"))]
        .into_iter()
        .find(|p| p.is_file())
}

/// Whether a table is there and has these columns; a damaged one has none.
pub(crate) fn has_columns(root: &Path, name: &str, columns: &[&str]) -> bool {
    let table = find(root, name).and_then(|path| Table::open(path).ok());
    table.is_some_and(|t| columns.iter().all(|c| t.column(c).is_ok()))
}

/// The cells of a label column: positive, negative, uncertain ([`Certainty`] in its order), and blank.
pub(crate) const LABEL_VALUES: [&str; 4] = ["1.0", "0.0", "-1.0", ""];

/// Reads a cell of a label column.
pub(crate) fn certainty(cell: &str) -> Result<Option<Certainty>, ()> {
    match cell {
        "" => Ok(None),
        "1.0" | "1" => Ok(Some(Certainty::Positive)),
        "0.0" | "0" => Ok(Some(Certainty::Negative)),
        "-1.0" | "-1" => Ok(Some(Certainty::Uncertain)),
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
        let compressed = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let bytes: Box<dyn Read> = if compressed {
            Box::new(MultiGzDecoder::new(BufReader::new(file)).take(MOST_BYTES))
        } else {
            Box::new(file)
        };
        let bytes: Box<dyn Read> = Box::new(Newlines {
            inner: BufReader::new(bytes),
            held: false,
        });
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
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

/// The text of a file no longer than `most` bytes; bytes that are no UTF-8 are taken for Latin-1, as in older
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
    Ok(String::from_utf8(buffer).unwrap_or_else(|e| e.as_bytes().iter().map(|b| char::from(*b)).collect()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
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
    fn damaged_tables_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\n1,2,3\n").unwrap();
        let error = Table::open(path.clone())
            .unwrap()
            .for_each(|_, _| Ok(()))
            .unwrap_err();
        assert!(error.to_string().contains("a.csv"), "{error}");
        assert!(matches!(
            read_text(&path, 3),
            Err(DataError::TooLarge { bytes: 10, .. })
        ));
    }
}
