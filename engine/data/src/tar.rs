//! The files of a `.tar.gz`, one by one, each in memory: enough for archives of reports. The `tar` crate reads
//! the headers; the limits are here, since an archive that is damaged or endless is to be told with its place.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType, PaxExtensions};

use super::error::DataError;

/// Archives of reports have a few dozen megabytes: a limit against those that never end.
const MOST_BYTES: u64 = 1 << 30;

/// A long name is a path.
const MOST_NAME: u64 = 4096;

/// Counts what is read of an archive.
struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let given = self.inner.read(out)?;
        self.read.set(self.read.get() + given as u64);
        Ok(given)
    }
}

/// Calls `file` on each regular file's name and bytes.
///
/// # Errors
/// When the archive is damaged or cut off, or a file has more than `most` bytes.
pub(crate) fn for_each(
    path: &Path,
    most: u64,
    mut file: impl FnMut(&str, Vec<u8>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let archive = File::open(path).map_err(DataError::io("read", path))?;
    let wrong = |number: usize, what: &str| DataError::Row {
        path: path.to_owned(),
        at: format!("entry {number}"),
        what: format!("the archive is damaged there: {what}"),
    };
    let cut =
        |number, e: std::io::Error| wrong(number, &format!("it ends too early or is no gzip file ({e})"));
    let read = Rc::new(Cell::new(0));
    let mut archive = Archive::new(Counted {
        inner: MultiGzDecoder::new(BufReader::new(archive)).take(MOST_BYTES),
        read: Rc::clone(&read),
    });
    let mut long_name: Option<String> = None;
    let (mut number, mut end) = (1, 0);
    // One entry at a time, long names too, each checked before any of it is held.
    for entry in archive.entries().map_err(|e| cut(1, e))?.raw(true) {
        let mut entry = entry.map_err(|e| cut(number, e))?;
        let (kind, size) = (entry.header().entry_type(), entry.size());
        end = entry.raw_file_position().saturating_add(size);
        let limit = match kind {
            EntryType::GNULongName | EntryType::XHeader => MOST_NAME,
            EntryType::Regular | EntryType::Continuous => most,
            // Folders, links and the like: stepped over.
            _ => u64::MAX,
        };
        if size > limit {
            return Err(wrong(
                number,
                &format!("it has {size} bytes, more than the {limit} of any of its kind"),
            ));
        }
        if limit < u64::MAX {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|e| cut(number, e))?;
            if (bytes.len() as u64) < size {
                return Err(wrong(number, "it ends too early"));
            }
            match kind {
                EntryType::GNULongName => long_name = Some(text(&bytes)),
                EntryType::XHeader => long_name = pax_path(&bytes),
                _ => {
                    let name = long_name.take().unwrap_or_else(|| text(&entry.path_bytes()));
                    file(&name, bytes)?;
                }
            }
        }
        number += 1;
    }
    // The crate takes an archive that is cut off behind a file for one that ends there; an empty block ends it.
    match read.get() > end.div_ceil(512) * 512 {
        true => Ok(()),
        false => Err(wrong(number, "it ends too early")),
    }
}

/// Up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The path of a pax header.
fn pax_path(bytes: &[u8]) -> Option<String> {
    let mut records = PaxExtensions::new(bytes).flatten();
    let path = records.find(|record| record.key_bytes() == b"path")?;
    Some(text(path.value_bytes()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    const BLOCK: usize = 512;

    fn entry(name: &str, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut header = [0_u8; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", body.len()).as_bytes());
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        header[148..156].copy_from_slice(b"        ");
        let sum: u64 = header.iter().map(|b| u64::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut all = header.to_vec();
        all.extend_from_slice(body);
        all.resize(all.len().div_ceil(BLOCK) * BLOCK, 0);
        all
    }

    /// A `.tgz` of such files.
    pub(crate) fn archive(path: &Path, files: &[(&str, &[u8])]) {
        let mut bytes: Vec<u8> = files
            .iter()
            .flat_map(|(name, body)| entry(name, b'0', body))
            .collect();
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        compress(path, &bytes);
    }

    fn compress(path: &Path, bytes: &[u8]) {
        let mut gz = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap();
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tgz");
        compress(&path, bytes);
        let mut files = Vec::new();
        for_each(&path, 2000, |name, bytes| {
            files.push((name.to_owned(), bytes));
            Ok(())
        })?;
        Ok(files)
    }

    #[test]
    fn files_long_names_and_folders() {
        let mut bytes = entry("folder/", b'5', b"");
        bytes.extend(entry("a.xml", b'0', b"one"));
        bytes.extend(entry("././@LongLink", b'L', b"a/long/name.xml\0"));
        bytes.extend(entry("short", b'0', &[7; 600]));
        bytes.extend(entry("pax", b'x', b"20 path=b/other.xml\n"));
        bytes.extend(entry("short", b'0', b""));
        bytes.resize(bytes.len() + BLOCK, 0);
        let files = read(&bytes).unwrap();
        let told: Vec<(&str, usize)> = files.iter().map(|(n, b)| (n.as_str(), b.len())).collect();
        assert_eq!(told, [("a.xml", 3), ("a/long/name.xml", 600), ("b/other.xml", 0)]);
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let good = entry("a.xml", b'0', b"one");
        let mut wrong_sum = good.clone();
        wrong_sum[0] ^= 1;
        let mut huge = entry("a.xml", b'0', b"");
        huge[124..135].copy_from_slice(b"77777777777");
        let cases: [&[u8]; 6] = [
            &good,
            &good[..700],
            &good[..100],
            &wrong_sum,
            &huge,
            b"no archive",
        ];
        for case in cases {
            let message = read(case).unwrap_err().to_string();
            assert!(message.contains("a.tgz, entry "), "{message}");
        }
        assert!(
            read(&entry("a.xml", b'0', &[0; 2001]))
                .unwrap_err()
                .to_string()
                .contains("2001 bytes")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tgz");
        archive(&path, &[("a.xml", &[1; 1500])]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(for_each(&path, 2000, |_, _| Ok(())).is_err());
        std::fs::write(&path, b"no gzip").unwrap();
        assert!(
            for_each(&path, 2000, |_, _| Ok(()))
                .unwrap_err()
                .to_string()
                .contains("gzip")
        );
    }
}
