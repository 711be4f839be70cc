//! What a file is by its first bytes, whatever its name says: for those who ask for a table or a checkpoint
//! and hand over something else.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How many bytes [`Kind::of`] wants to see.
const HEAD: u64 = 4096;

/// Where a DICOM file says what it is, behind its preamble.
const DICOM: usize = 128;

/// Where a tar archive does.
const TAR: usize = 257;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // its display says what each is
pub enum Kind {
    Empty,
    LfsPointer,
    AnnexPointer,
    WebPage,
    Xml,
    Json,
    Safetensors,
    PyTorchZip,
    NumpyZip,
    Spreadsheet,
    Zip,
    OldSpreadsheet,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    SevenZip,
    Rar,
    Tar,
    Pickle,
    Hdf5,
    Gguf,
    Numpy,
    Parquet,
    Pdf,
    Picture,
    Dicom,
    Text,
}

impl Kind {
    /// What a file is; `None` where its bytes do not tell, or it cannot be read.
    pub fn of(path: &Path) -> Option<Self> {
        let mut head = Vec::new();
        File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
        Self::of_bytes(&head)
    }

    /// As [`Kind::of`], of a file's first bytes (4096 or all of a shorter one).
    pub fn of_bytes(head: &[u8]) -> Option<Self> {
        const SIGNATURES: [(&[u8], Kind); 18] = [
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::OldSpreadsheet),
            (b"\x1f\x8b", Kind::Gzip),
            (b"BZh", Kind::Bzip2),
            (b"\xfd7zXZ\0", Kind::Xz),
            (b"\x28\xb5\x2f\xfd", Kind::Zstd),
            (b"7z\xbc\xaf\x27\x1c", Kind::SevenZip),
            (b"Rar!\x1a\x07", Kind::Rar),
            (b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
            (b"GGUF", Kind::Gguf),
            (b"\x93NUMPY", Kind::Numpy),
            (b"PAR1", Kind::Parquet),
            (b"%PDF-", Kind::Pdf),
            (b"\x89PNG\r\n", Kind::Picture),
            (b"\xff\xd8\xff", Kind::Picture),
            (b"II*\0", Kind::Picture),
            (b"MM\0*", Kind::Picture),
            (b"\x80\x02", Kind::Pickle),
            (b"\x80\x04", Kind::Pickle),
        ];
        if head.is_empty() {
            return Some(Self::Empty);
        }
        // First, since its length may look like any sign: a header's length in eight bytes, then the header, which is an object of JSON.
        if head.get(8) == Some(&b'{') && head.get(5..8) == Some(&[0; 3]) {
            return Some(Self::Safetensors);
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Some(zip(head));
        }
        if let Some((_, kind)) = SIGNATURES.iter().find(|(sign, _)| head.starts_with(sign)) {
            return Some(*kind);
        }
        if head.starts_with(b"\x80") && head.get(1).is_some_and(|protocol| *protocol <= 5) {
            return Some(Self::Pickle);
        }
        if head.get(DICOM..DICOM + 4) == Some(b"DICM") {
            return Some(Self::Dicom);
        }
        if head.get(TAR..TAR + 5) == Some(b"ustar") {
            return Some(Self::Tar);
        }
        words(head)
    }

    /// What to do with it where something else was asked for: the second half of a sentence.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "copy or fetch it again",
            Self::LfsPointer => "fetch the file itself with \"git lfs pull\", or download it from its page",
            Self::AnnexPointer => "fetch the file itself with \"git annex get\"",
            Self::WebPage | Self::Xml => {
                "the server sent an error or a page to read; open the address in a browser and download the file itself"
            }
            Self::Zip | Self::Tar | Self::SevenZip | Self::Rar => "unpack it and give the file inside",
            Self::Gzip | Self::Bzip2 | Self::Xz | Self::Zstd => "decompress it first",
            Self::Spreadsheet | Self::OldSpreadsheet | Self::Parquet => "save it as a CSV file in UTF-8",
            Self::Hdf5 | Self::Gguf | Self::Numpy | Self::NumpyZip => {
                "convert it with the library that wrote it, to safetensors or a PyTorch file"
            }
            _ => "give another file",
        }
    }

    /// Whether it may be a PyTorch checkpoint.
    pub const fn may_be_pytorch(self) -> bool {
        matches!(self, Self::PyTorchZip | Self::Pickle | Self::Tar)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::LfsPointer => "a Git LFS pointer, a few lines of text in place of the file",
            Self::AnnexPointer => "a git-annex pointer, a line of text in place of the file",
            Self::WebPage => "a web page (HTML)",
            Self::Xml => "an XML file",
            Self::Json => "a JSON file",
            Self::Safetensors => "a safetensors file",
            Self::PyTorchZip => "a PyTorch file",
            Self::NumpyZip => "a NumPy archive (.npz)",
            Self::Spreadsheet => "a spreadsheet (.xlsx or .ods)",
            Self::Zip => "a ZIP archive",
            Self::OldSpreadsheet => "a document of an older Office (.xls)",
            Self::Gzip => "a gzip-compressed file",
            Self::Bzip2 => "a bzip2-compressed file",
            Self::Xz => "an xz-compressed file",
            Self::Zstd => "a Zstandard-compressed file",
            Self::SevenZip => "a 7z archive",
            Self::Rar => "a RAR archive",
            Self::Tar => "a tar archive",
            Self::Pickle => "a Python pickle",
            Self::Hdf5 => "an HDF5 file, as Keras writes",
            Self::Gguf => "a GGUF file",
            Self::Numpy => "a NumPy array (.npy)",
            Self::Parquet => "a Parquet file",
            Self::Pdf => "a PDF document",
            Self::Picture => "a picture",
            Self::Dicom => "a DICOM file",
            Self::Text => "plain text",
        })
    }
}

/// Which kind of ZIP, by the names of the entries in sight.
fn zip(head: &[u8]) -> Kind {
    let has = |name: &[u8]| head.windows(name.len()).any(|w| w == name);
    // The first entry's name: its length stands at 26, itself at 30.
    let length = head
        .get(26..28)
        .map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let first = head.get(30..30 + length).unwrap_or_default();
    if first.ends_with(b"data.pkl") || first.ends_with(b".format_version") || has(b"/data.pkl") {
        Kind::PyTorchZip
    } else if first.ends_with(b".npy") {
        Kind::NumpyZip
    } else if has(b"[Content_Types].xml") || has(b"xl/workbook") || has(b"oasis.opendocument") {
        Kind::Spreadsheet
    } else {
        Kind::Zip
    }
}

/// Which kind of text.
fn words(head: &[u8]) -> Option<Kind> {
    // The last bytes may be half of a letter.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() && head.len() as u64 == HEAD => {
            std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !"\t\n\r\u{c}".contains(c)) {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text
        .get(..text.len().min(512))
        .unwrap_or(text)
        .to_ascii_lowercase();
    Some(
        if lower.starts_with("version https://git-lfs") || lower.contains("\noid sha256:") {
            Kind::LfsPointer
        } else if lower.contains("/annex/objects/") {
            Kind::AnnexPointer
        } else if ["<!doctype html", "<html", "<head", "<body"]
            .iter()
            .any(|tag| lower.starts_with(tag))
            || (lower.starts_with('<') && lower.contains("<html"))
        {
            Kind::WebPage
        } else if lower.starts_with("<?xml") {
            Kind::Xml
        } else if text.starts_with('{') || text.starts_with("[{") || text.starts_with("[\n") {
            Kind::Json
        } else {
            Kind::Text
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(26, 0);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes
    }

    #[test]
    fn files_are_known_by_their_bytes() {
        let mut tensors = 90_u64.to_le_bytes().to_vec();
        tensors.extend(b"{\"a\":{}}");
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM");
        for (bytes, kind) in [
            (b"".to_vec(), Kind::Empty),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00".to_vec(),
                Kind::LfsPointer,
            ),
            (b"/annex/objects/SHA256E-s7--00\n".to_vec(), Kind::AnnexPointer),
            (
                b"\xef\xbb\xbf\n <!DOCTYPE HTML><title>404".to_vec(),
                Kind::WebPage,
            ),
            (b"<!-- saved --><html>".to_vec(), Kind::WebPage),
            (b"<?xml version='1.0'?><Error/>".to_vec(), Kind::Xml),
            (b"{\"error\": \"no access\"}".to_vec(), Kind::Json),
            (tensors, Kind::Safetensors),
            (entry("archive/data.pkl"), Kind::PyTorchZip),
            (entry("weights.bin"), Kind::Zip),
            (entry("[Content_Types].xml"), Kind::Spreadsheet),
            (entry("a.npy"), Kind::NumpyZip),
            (b"\x1f\x8b\x08\0".to_vec(), Kind::Gzip),
            (b"\x80\x02}q\0.".to_vec(), Kind::Pickle),
            (dicom, Kind::Dicom),
            (b"id,report\n1,Clear.\n".to_vec(), Kind::Text),
        ] {
            assert_eq!(Kind::of_bytes(&bytes), Some(kind), "{kind}");
        }
        assert_eq!(Kind::of_bytes(&[1, 2, 3]), None);
    }
}
