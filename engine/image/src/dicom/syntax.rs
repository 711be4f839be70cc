//! Transfer syntaxes: how the data set is encoded, their names, and which hold what is not read here.

use dicom_encoding::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::{TransferSyntaxRegistry, entries};

use super::attributes::Attributes;
use super::encoding::Encoding;
use crate::error::ImageError;
use crate::limits::MAX_INFLATED;

pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub(crate) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(crate) const RLE: &str = "1.2.840.10008.1.2.5";

/// The standard's name of a syntax, or its UID.
pub(crate) fn name(uid: &str) -> String {
    TransferSyntaxRegistry
        .get(uid)
        .map_or_else(|| format!("transfer syntax {uid:?}"), |ts| ts.name().to_owned())
}

/// The encoding that a syntax declares.
pub(crate) fn encoding(uid: &str) -> Encoding {
    match uid {
        IMPLICIT => Encoding::ImplicitLittle,
        BIG_ENDIAN => Encoding::ExplicitBig,
        _ => Encoding::ExplicitLittle,
    }
}

/// The error for a frame that no decoder here knows.
pub(crate) fn unreadable(uid: &str, frame: &[u8]) -> ImageError {
    // JPEG, JPEG-LS and JPEG 2000 are read, and then it is the frame that is none.
    let is_read = match uid.strip_prefix("1.2.840.10008.1.2.4.") {
        Some(last) => matches!(
            last,
            "50" | "51" | "57" | "70" | "80" | "81" | "90" | "91" | "92" | "93" | "201" | "202" | "203"
        ),
        None => matches!(uid, IMPLICIT | EXPLICIT | BIG_ENDIAN | DEFLATED),
    };
    if is_read {
        let hex: Vec<String> = frame.iter().take(4).map(|b| format!("{b:02x}")).collect();
        return ImageError::malformed(
            "DICOM",
            format!(
                "its pixels are declared as {}, and the first frame begins with the bytes {}, as no compressed \
                 picture does",
                name(uid),
                hex.join(" ")
            ),
        );
    }
    let video = matches!(
        uid.strip_prefix("1.2.840.10008.1.2.4.").and_then(|n| n.get(..3)),
        Some("100" | "101" | "102" | "103" | "104" | "105" | "106" | "107" | "108")
    );
    let hint = if video {
        "a video, and only still images are read"
    } else {
        "which is not read here"
    };
    ImageError::Unsupported(format!(
        "the pixels are compressed as {}, {hint}; export the image as JPEG 2000, JPEG-LS, JPEG, RLE or uncompressed",
        name(uid)
    ))
}

/// Inflates a deflated data set, no further than [`MAX_INFLATED`].
pub(crate) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    use zlib_rs::{Inflate, InflateFlush, Status};
    const WINDOW_BITS: u8 = 15;
    let mut inflate = Inflate::new(false, WINDOW_BITS);
    // Pages of zeros that are not reached are never taken, but for those of WebAssembly.
    let mut out = vec![0; bytes.len().saturating_mul(3).clamp(1 << 16, MAX_INFLATED)];
    let (mut taken, mut filled) = (0, 0);
    loop {
        let status = inflate.decompress(&bytes[taken..], &mut out[filled..], InflateFlush::NoFlush);
        (taken, filled) = (inflate.total_in() as usize, inflate.total_out() as usize);
        match status {
            Ok(Status::StreamEnd) => break,
            Ok(_) if filled < out.len() => {
                return Err(ImageError::truncated(
                    "DICOM",
                    "its deflated data set ends too early",
                ));
            }
            Ok(_) if filled == MAX_INFLATED => {
                return Err(ImageError::TooLarge(format!(
                    "its deflated data set is larger than {} MiB when inflated",
                    MAX_INFLATED >> 20
                )));
            }
            Ok(_) => out.resize((2 * filled).min(MAX_INFLATED), 0),
            Err(_) => {
                return Err(ImageError::malformed(
                    "DICOM",
                    "its deflated data set cannot be inflated",
                ));
            }
        }
    }
    out.truncate(filled);
    Ok(out)
}

/// Parses explicit little-endian elements whose lengths were checked.
pub(crate) fn parse(elements: &[u8]) -> Result<Attributes, ImageError> {
    let syntax = entries::EXPLICIT_VR_LITTLE_ENDIAN.erased();
    InMemDicomObject::read_dataset_with_ts(elements, &syntax)
        .map(Attributes)
        .map_err(|e| {
            // The outer error only says that reading failed; what it wraps says where.
            let mut cause: &dyn std::error::Error = &e;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            ImageError::malformed("DICOM", format!("an element cannot be read ({cause})"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hints_fit_the_syntax() {
        assert_eq!(
            name("1.2.840.10008.1.2.4.90"),
            "JPEG 2000 Image Compression (Lossless Only)"
        );
        assert!(name("1.2.3").contains("1.2.3"));
        assert!(
            unreadable("1.2.840.10008.1.2.4.102", &[])
                .to_string()
                .contains("a video")
        );
        assert!(
            !unreadable("1.2.840.10008.1.2.4.110", &[])
                .to_string()
                .contains("a video")
        );
        let damaged = unreadable("1.2.840.10008.1.2.4.70", b"\x12\x34\xff\xc3x").to_string();
        assert!(
            damaged.contains("damaged") && damaged.contains("12 34 ff c3"),
            "{damaged}"
        );
    }

    #[test]
    fn what_is_much_longer_inflated_is_whole() {
        // The first guess is too short for the last one.
        for length in [0, 1, 65_535, 65_536, 65_537, 1_000_003] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| (i / 999) as u8).collect();
            let deflated = miniz_oxide::deflate::compress_to_vec(&bytes, 6);
            assert!(inflate(&deflated).unwrap() == bytes, "{length}");
            let cut = inflate(&deflated[..deflated.len() - 1]);
            assert!(matches!(cut, Err(ImageError::Truncated { .. })), "{length}");
        }
    }

    #[test]
    fn a_deflate_bomb_is_refused() {
        let zeros = vec![0_u8; MAX_INFLATED + 1];
        let bomb = miniz_oxide::deflate::compress_to_vec(&zeros, 6);
        drop(zeros);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(inflate(&bomb), Err(ImageError::TooLarge(_))));
        assert!(matches!(
            inflate(&bomb[..1000]),
            Err(ImageError::Truncated { .. })
        ));
        assert!(matches!(
            inflate(b"\x07 nothing of the kind"),
            Err(ImageError::Malformed { .. })
        ));
    }
}
