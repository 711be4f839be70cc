//! Tests of the walk, on data sets written by hand.
use super::encoding::{Encoding, PixelData};
use super::frames::first_frame;
use super::structure::{looks_like_dicom, read_meta, scan, seen_encoding};

/// An explicit little-endian element with a short header.
fn short(tag: u32, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    out.extend_from_slice(&(tag as u16).to_le_bytes());
    out.extend_from_slice(vr);
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out
}

/// An item, a delimiter, or an implicit element.
fn plain(tag: u32, length: u32) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    out.extend_from_slice(&(tag as u16).to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out
}

#[test]
fn a_length_beyond_the_end_is_an_error_and_not_an_allocation() {
    let mut data = short(0x0028_0010, b"US", &[4, 0]);
    data.extend_from_slice(&[0xe0, 0x7f, 0x10, 0x00, b'O', b'W', 0, 0, 0xf0, 0xff, 0xff, 0x7f]);
    let error = scan(&data, Encoding::ExplicitLittle).unwrap_err().to_string();
    assert!(
        error.contains("7FE0,0010") && error.contains("2147483632"),
        "{error}"
    );
}

#[test]
fn nesting_without_end_is_refused() {
    let mut data = Vec::new();
    for _ in 0..100_000 {
        data.extend(plain(0x0008_1140, u32::MAX));
        data.extend(plain(0xfffe_e000, u32::MAX));
    }
    let error = scan(&data, Encoding::ImplicitLittle).unwrap_err().to_string();
    assert!(error.contains("nested"), "{error}");
}

#[test]
fn sequences_are_stepped_over_whatever_their_length_form() {
    let inner = short(0x0028_0010, b"US", &[9, 0]);
    let mut open = vec![0x08, 0x00, 0x40, 0x11, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff];
    open.extend(plain(0xfffe_e000, u32::MAX));
    open.extend(&inner);
    open.extend(plain(0xfffe_e00d, 0));
    open.extend(plain(0xfffe_e000, inner.len() as u32));
    open.extend(&inner);
    open.extend(plain(0xfffe_e0dd, 0));
    let rows = short(0x0028_0010, b"US", &[4, 0]);
    let data = [open, rows.clone()].concat();
    let found = scan(&data, Encoding::ExplicitLittle).unwrap();
    assert_eq!(found.attributes, rows);
    assert!(found.pixels.is_none());
}

#[test]
fn fragments_are_found_by_length_and_not_by_what_they_hold() {
    // The fragment holds what looks like a sequence delimiter.
    let fragment = [plain(0xfffe_e0dd, 0), vec![1, 2]].concat();
    let mut data = vec![0xe0, 0x7f, 0x10, 0x00, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff];
    data.extend(plain(0xfffe_e000, 0));
    data.extend(plain(0xfffe_e000, fragment.len() as u32));
    data.extend(&fragment);
    data.extend(plain(0xfffe_e0dd, 0));
    let found = scan(&data, Encoding::ExplicitLittle).unwrap();
    let Some(PixelData::Encapsulated { offsets, fragments }) = found.pixels else {
        panic!("not encapsulated")
    };
    assert!(offsets.is_empty());
    assert_eq!(fragments, [&fragment[..]]);
}

#[test]
fn the_first_frame_is_cut_by_offsets_by_count_or_by_marker() {
    let parts: [&[u8]; 4] = [b"\xff\xd8a", b"b", b"\xff\xd8c", b"d"];
    assert_eq!(first_frame(&[], &parts, 1).unwrap().len(), 8);
    assert_eq!(&*first_frame(&[], &parts, 4).unwrap(), b"\xff\xd8a");
    assert_eq!(&*first_frame(&[], &parts, 2).unwrap(), b"\xff\xd8ab");
    let offsets = [0, 0, 0, 0, 20, 0, 0, 0];
    assert_eq!(&*first_frame(&offsets, &parts, 2).unwrap(), b"\xff\xd8ab");
    assert!(first_frame(&[], &[], 1).is_none());
}

#[test]
fn meta_and_encoding_are_found_with_and_without_a_preamble() {
    let uid = short(0x0002_0010, b"UI", b"1.2.840.10008.1.2\0");
    let set = plain(0x0008_0005, 0);
    let bare = [uid, set].concat();
    let whole = [vec![0; 128], b"DICM".to_vec(), bare.clone()].concat();
    for bytes in [&bare, &whole] {
        assert!(looks_like_dicom(bytes));
        let meta = read_meta(bytes).unwrap();
        assert_eq!(meta.transfer_syntax.as_deref(), Some("1.2.840.10008.1.2"));
        assert_eq!(
            seen_encoding(&bytes[meta.data_set..]),
            Some(Encoding::ImplicitLittle)
        );
    }
    assert!(!looks_like_dicom(
        b"This is a text file, and no radiograph at all."
    ));
    assert_eq!(
        seen_encoding(&short(0x0008_0005, b"CS", b"")),
        Some(Encoding::ExplicitLittle)
    );
    assert_eq!(
        seen_encoding(&[0, 8, 0, 5, b'C', b'S', 0, 0]),
        Some(Encoding::ExplicitBig)
    );
}

#[test]
fn lengths_that_a_parser_might_mistake_are_left_out() {
    // 2 bytes of 4-byte values; and an undefined length of what is no sequence.
    let odd = short(0x0028_0002, b"UL", &[1, 0]);
    let mut open = vec![0x28, 0x00, 0x10, 0x12, b'O', b'W', 0, 0, 0xff, 0xff, 0xff, 0xff];
    open.extend(plain(0xfffe_e0dd, 0));
    let rows = short(0x0028_0010, b"US", &[4, 0]);
    let data = [odd, open, rows.clone()].concat();
    let found = scan(&data, Encoding::ExplicitLittle).unwrap();
    assert_eq!((found.attributes, found.left_out), (rows, 2));
}

#[test]
fn zeros_stand_for_the_delimiters_of_a_sequence() {
    let inner = short(0x0028_0010, b"US", &[9, 0]);
    let mut open = vec![0x08, 0x00, 0x40, 0x11, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff];
    open.extend(plain(0xfffe_e000, u32::MAX));
    open.extend(&inner);
    open.extend([0; 16]);
    let rows = short(0x0028_0010, b"US", &[4, 0]);
    let data = [open, rows.clone()].concat();
    let found = scan(&data, Encoding::ExplicitLittle).unwrap();
    assert_eq!((found.attributes, found.left_out), (rows, 0));
}

#[test]
fn what_is_unknown_and_no_sequence_is_left_out_and_not_refused() {
    // The dictionary says that (0028,3010) is a sequence, and there is none in it.
    let mut unknown = vec![0x28, 0x00, 0x10, 0x30, b'U', b'N', 0, 0, 6, 0, 0, 0];
    unknown.extend(b"\x01\x02\x03\x04\x05\x06");
    let rows = short(0x0028_0010, b"US", &[4, 0]);
    let data = [rows.clone(), unknown].concat();
    let found = scan(&data, Encoding::ExplicitLittle).unwrap();
    assert_eq!((found.attributes, found.left_out), (rows, 1));
}
