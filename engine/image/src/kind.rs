//! What a file is that is no picture read here: a person who gives the wrong file should learn which it is.

/// Bytes that a kind of file begins with or has at a fixed place, its name, and what to do.
struct Kind(usize, &'static [u8], &'static str, &'static str);

const OPEN_IT: &str = "save its picture as PNG, or give the DICOM file";
const UNPACK: &str = "unpack it and give the image that is inside";
const NO_PICTURE: &str = "give the radiograph itself";

/// The kinds that are told by a mark; the first that fits is it.
const KINDS: &[Kind] = &[
    Kind(4, b"ftypavif", "an AVIF picture", OPEN_IT),
    Kind(4, b"ftyphei", "a HEIC photograph, as phones take them", OPEN_IT),
    Kind(4, b"ftyphev", "a HEIC photograph, as phones take them", OPEN_IT),
    Kind(4, b"ftypmif1", "a HEIC photograph, as phones take them", OPEN_IT),
    Kind(4, b"ftypmsf1", "a HEIC photograph, as phones take them", OPEN_IT),
    Kind(4, b"ftypjp2", "a JPEG 2000 picture outside DICOM", OPEN_IT),
    Kind(4, b"ftyp", "a video", "save one picture of it as PNG"),
    Kind(0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture outside DICOM", OPEN_IT),
    Kind(
        0,
        b"\xff\x4f\xff\x51",
        "a JPEG 2000 picture outside DICOM",
        OPEN_IT,
    ),
    Kind(0, b"\0\0\0\x0cJXL ", "a JPEG XL picture", OPEN_IT),
    Kind(0, b"\xff\x0a", "a JPEG XL picture", OPEN_IT),
    Kind(0, b"II\xbc", "a JPEG XR picture", OPEN_IT),
    Kind(0, b"GIF8", "a GIF picture", OPEN_IT),
    Kind(0, b"8BPS", "a Photoshop document", OPEN_IT),
    Kind(0, b"\x76\x2f\x31\x01", "an OpenEXR picture", OPEN_IT),
    Kind(0, b"%PDF", "a PDF document", OPEN_IT),
    Kind(0, b"%!PS", "a PostScript document", OPEN_IT),
    Kind(0, b"{\\rtf", "a text document (RTF)", OPEN_IT),
    Kind(
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an older Office document",
        OPEN_IT,
    ),
    Kind(344, b"n+1\0", "a NIfTI volume, as of CT and MR", NO_PICTURE),
    Kind(
        344,
        b"ni1\0",
        "the header of a NIfTI volume, as of CT and MR",
        NO_PICTURE,
    ),
    Kind(4, b"n+2\0", "a NIfTI volume, as of CT and MR", NO_PICTURE),
    Kind(0, b"NRRD", "an NRRD volume", NO_PICTURE),
    Kind(0, b"ObjectType", "the header of a MetaImage volume", NO_PICTURE),
    Kind(
        0,
        b"\x93NUMPY",
        "a NumPy array",
        "save it as a PNG of 8 or 16 bits",
    ),
    Kind(0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", NO_PICTURE),
    Kind(0, b"MATLAB 5.0", "a MATLAB file", NO_PICTURE),
    Kind(0, b"SQLite format 3", "an SQLite database", NO_PICTURE),
    Kind(
        0,
        b"\x1f\x8b",
        "a gzip archive, as NIfTI volumes (.nii.gz) and .tar.gz are",
        UNPACK,
    ),
    Kind(
        0,
        b"PK\x03\x04",
        "a ZIP archive, as .npz, .docx and model files are",
        UNPACK,
    ),
    Kind(0, b"PK\x05\x06", "an empty ZIP archive", NO_PICTURE),
    Kind(0, b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    Kind(0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    Kind(0, b"BZh", "a bzip2 archive", UNPACK),
    Kind(0, b"\xfd7zXZ\0", "an XZ archive", UNPACK),
    Kind(0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    Kind(257, b"ustar", "a tar archive", UNPACK),
    Kind(
        32769,
        b"CD001",
        "the image of a disc",
        "open the disc and give an image of it",
    ),
    Kind(
        0,
        b"\0\x05\x16\x07",
        "what macOS notes beside a file (its name begins with ._)",
        "give the file without ._ in its name",
    ),
    Kind(0, b"\x7fELF", "a program", NO_PICTURE),
    Kind(0, b"MZ", "a program for Windows", NO_PICTURE),
    Kind(0, b"RIFF", "a sound or video file", NO_PICTURE),
];

/// What text begins with.
const TEXTS: &[(&str, &str, &str)] = &[
    (
        "version https://git-lfs.github.com",
        "a Git LFS pointer, which stands for a file that was not downloaded",
        "run `git lfs pull` where it came from",
    ),
    (
        "<!doctype html",
        "a web page, perhaps of a download that asks to log in",
        "download the file again",
    ),
    (
        "<html",
        "a web page, perhaps of a download that asks to log in",
        "download the file again",
    ),
    ("<svg", "a drawing (SVG)", OPEN_IT),
    ("<?xml", "an XML document", NO_PICTURE),
    ("{", "text, perhaps JSON", NO_PICTURE),
    ("simple  =", "a FITS file", NO_PICTURE),
    ("#!", "a program", NO_PICTURE),
];

/// What `bytes`, which are no picture that is read, are, and what to do.
pub(crate) fn describe(bytes: &[u8]) -> String {
    let marked = KINDS.iter().find(|Kind(at, mark, ..)| {
        at.checked_add(mark.len()).and_then(|end| bytes.get(*at..end)) == Some(*mark)
    });
    if let Some(Kind(_, _, name, advice)) = marked {
        return format!("it is {name}; {advice}");
    }
    // Two letters alone would be too weak a mark.
    let bitmap = bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]);
    if bitmap {
        return format!("it is a BMP picture; {OPEN_IT}");
    }
    let head = &bytes[..bytes.len().min(512)];
    if head.iter().all(|b| *b == 0) {
        return "it holds only zeros, as after a copy that was broken off; copy or export the file again"
            .to_owned();
    }
    // A header of Analyze 7.5 declares its own size of 348 bytes.
    if matches!(bytes.first_chunk(), Some([0x5c, 1, 0, 0] | [0, 0, 1, 0x5c])) && bytes.len() >= 348 {
        return format!("it is the header of an Analyze or NIfTI volume, as of CT and MR; {NO_PICTURE}");
    }
    if let Some(text) = as_text(head) {
        let start = text
            .trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n'])
            .to_ascii_lowercase();
        let known = TEXTS.iter().find(|(mark, ..)| start.starts_with(mark));
        return match known {
            // Some web pages are XML.
            Some(_) if start.contains("<html") => format!("it is {}; {}", TEXTS[2].1, TEXTS[2].2),
            Some((_, name, advice)) => format!("it is {name}; {advice}"),
            None => format!("it is text; {NO_PICTURE}"),
        };
    }
    let hex: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!(
        "it begins with the bytes {}, and no format that is known here does; give a radiograph in one of the five",
        hex.join(" ")
    )
}

/// The start of a file as text, where it is that: UTF-8, perhaps cut inside a letter, or UTF-16.
fn as_text(head: &[u8]) -> Option<String> {
    let wide = |swap: bool| {
        let unit = |p: &[u8]| u16::from_le_bytes(if swap { [p[1], p[0]] } else { [p[0], p[1]] });
        let units: Vec<u16> = head.chunks_exact(2).map(unit).collect();
        String::from_utf16_lossy(&units)
    };
    if head.starts_with(&[0xff, 0xfe]) {
        return Some(wide(false));
    }
    if head.starts_with(&[0xfe, 0xff]) {
        return Some(wide(true));
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let control = |c: char| c.is_control() && !c.is_whitespace();
    (!text.is_empty() && !text.contains(control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_what_they_are() {
        let mut nifti = vec![0x5c, 1, 0, 0];
        nifti.resize(344, 0);
        nifti.extend(b"n+1\0");
        let mut bitmap = b"BM\x36\0\0\0\0\0\0\0\x36".to_vec();
        bitmap.resize(60, 7);
        for (bytes, word) in [
            (&b"%PDF-1.7\n%\xe2\xe3"[..], "PDF"),
            (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
            (b"\0\0\0\x18ftypavif\0\0", "AVIF"),
            (&nifti, "NIfTI"),
            (&bitmap, "BMP"),
            (b"\x1f\x8b\x08\0", ".nii.gz"),
            (b"PK\x03\x04\x14", "ZIP"),
            (b"\x93NUMPY\x01\0v\0", "NumPy"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
                "git lfs pull",
            ),
            (b"\n<!DOCTYPE html>\n<html>", "web page"),
            (b"<?xml version=\"1.0\"?><html xmlns=\"x\">", "web page"),
            (b"\xff\xfeh\0e\0l\0l\0o\0", "text"),
            ("Größe und Gewicht".as_bytes(), "text"),
            (&[0; 600], "only zeros"),
            (&[0x93; 300], "93 93"),
            (b"\0\x05\x16\x07\0\x02\0\0", "._"),
        ] {
            let said = describe(bytes);
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}
