//! Value representations: which there are, and how their lengths are written (PS3.5 chapter 6.2 and 7.1.2).

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;

/// Whether two bytes are one of the value representations of PS3.5 table 6.2-1.
pub(super) fn is_vr(bytes: &[u8]) -> bool {
    const ALL: &[u8; 68] = b"AEASATCSDADSDTFDFLISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUV";
    bytes.len() == 2 && ALL.chunks_exact(2).any(|vr| vr == bytes)
}

/// Whether the length of a value representation is written in 4 bytes after 2 that are reserved (PS3.5
/// 7.1.2).
pub(super) fn has_long_header(vr: [u8; 2]) -> bool {
    const LONG: &[u8; 26] = b"OBODOFOLOVOWSQSVUCUNURUTUV";
    LONG.chunks_exact(2).any(|long| long == vr)
}

/// The representation that the standard's dictionary gives a tag, `UN` where it has none.
pub(super) fn of_tag(tag: u32) -> [u8; 2] {
    let tag = Tag((tag >> 16) as u16, tag as u16);
    StandardDataDictionary
        .by_tag(tag)
        .map_or(*b"UN", |entry| entry.vr().relaxed().to_bytes())
}

/// The bytes of one value; a length that is no multiple of it is damaged.
pub(super) fn value_size(vr: [u8; 2]) -> u32 {
    match &vr {
        b"US" | b"SS" | b"OW" => 2,
        b"UL" | b"SL" | b"FL" | b"AT" | b"OL" | b"OF" => 4,
        b"FD" | b"OD" | b"UV" | b"SV" | b"OV" => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn representations_are_told_apart() {
        assert!(is_vr(b"OW") && is_vr(b"UV") && !is_vr(b"XX") && !is_vr(b"O"));
        assert!(has_long_header(*b"SQ") && !has_long_header(*b"US"));
        assert_eq!(
            (of_tag(0x0028_0010), of_tag(0x0028_3010), of_tag(0x0029_1010)),
            (*b"US", *b"SQ", *b"UN")
        );
    }
}
