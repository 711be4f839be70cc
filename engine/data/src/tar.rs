//! The files of a `.tar.gz`, one by one, each in memory: enough for archives of reports (POSIX.1-1988 ustar,
//! GNU and pax long names).

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::DataError;

const BLOCK: usize = 512;

/// Archives of reports have a few dozen megabytes: a limit against those that never end.
const MOST_BYTES: u64 = 1 << 30;

/// A long name is a path.
const MOST_NAME: u64 = 4096;

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
    let mut reader = MultiGzDecoder::new(BufReader::new(archive)).take(MOST_BYTES);
    let wrong = |number: usize, what: &str| DataError::Row {
        path: path.to_owned(),
        at: format!("entry {number}"),
        what: format!("the archive is damaged there: {what}"),
    };
    let mut long_name: Option<String> = None;
    for number in 1.. {
        let mut header = [0_u8; BLOCK];
        let cut = |e: std::io::Error| wrong(number, &format!("it ends too early or is no gzip file ({e})"));
        reader.read_exact(&mut header).map_err(cut)?;
        // Two empty blocks end an archive; some writers leave the second out.
        if header.iter().all(|b| *b == 0) {
            return Ok(());
        }
        let size = match check(&header) {
            true => octal(&header[124..136]).ok_or_else(|| wrong(number, "its length is no number"))?,
            false => return Err(wrong(number, "the checksum of its header is another")),
        };
        let padded = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        let kind = header[156];
        let limit = match kind {
            b'L' | b'x' => MOST_NAME,
            b'0' | 0 | b'7' => most,
            _ => {
                // Folders, links and the like: stepped over.
                let skipped =
                    std::io::copy(&mut reader.by_ref().take(padded), &mut std::io::sink()).map_err(cut)?;
                if skipped < padded {
                    return Err(wrong(number, "it ends too early"));
                }
                continue;
            }
        };
        if size > limit {
            return Err(wrong(
                number,
                &format!("it has {size} bytes, more than the {limit} of any of its kind"),
            ));
        }
        let mut bytes = vec![0_u8; padded as usize];
        reader.read_exact(&mut bytes).map_err(cut)?;
        bytes.truncate(size as usize);
        match kind {
            b'L' => long_name = Some(text(&bytes)),
            b'x' => long_name = pax_path(&bytes),
            _ => {
                let name = long_name.take().unwrap_or_else(|| short_name(&header));
                file(&name, bytes)?;
            }
        }
    }
    Ok(())
}

/// Up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn short_name(header: &[u8; BLOCK]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    if header[257..262] == *b"ustar" && header[262] == 0 && !prefix.is_empty() {
        format!("{prefix}/{name}")
    } else {
        name
    }
}

/// The path of a pax header, whose records are "LENGTH KEY=VALUE\n".
fn pax_path(bytes: &[u8]) -> Option<String> {
    let all = String::from_utf8_lossy(bytes);
    all.lines()
        .find_map(|l| l.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned))
}

/// The sum of all bytes, those of the sum itself as spaces.
fn check(header: &[u8; BLOCK]) -> bool {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(i, b)| {
            if (148..156).contains(&i) {
                32
            } else {
                u64::from(*b)
            }
        })
        .sum();
    octal(&header[148..156]) == Some(sum)
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() || digits.len() > 20 {
        None
    } else {
        u64::from_str_radix(digits, 8).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

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
