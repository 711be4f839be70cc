//! A walk over the element lengths of a DICOM file, before anything of it is parsed or allocated (PS3.5
//! chapter 7).
//!
//! The parser of the data set trusts declared lengths. So every length is compared here with the bytes that
//! are there, the pixel data is found and left where it is, and of all other elements only those that matter
//! are handed on, written anew in one encoding: see [`super::walk`].

use std::borrow::Cow;

use super::encoding::{Encoding, PixelData};
use super::representation::is_vr;
use super::syntax;
use super::walk::{UNDEFINED, Walk};
use crate::error::ImageError;

/// The start of a DICOM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The transfer syntax UID, where there is a meta group that has it.
    pub transfer_syntax: Option<String>,
    /// The SOP class of what is stored, likewise.
    pub class_uid: Option<String>,
    /// Where the data set begins.
    pub data_set: usize,
}

/// A data set taken apart.
#[derive(Debug)]
pub(crate) struct Structure<'a> {
    /// The elements that are worth parsing, in their order, as explicit little endian.
    pub attributes: Vec<u8>,
    /// How many were worth it but have lengths that cannot be.
    pub left_out: usize,
    /// Overlay planes with marks: their groups, 0x6000 to 0x601e.
    pub overlays: Vec<u16>,
    /// Whether there are the records of a directory of files (DICOMDIR).
    pub directory: bool,
    /// The pixels, if there are any.
    pub pixels: Option<PixelData<'a>>,
}

/// Whether `bytes` begin as DICOM does, with or without the preamble.
pub fn looks_like_dicom(bytes: &[u8]) -> bool {
    if bytes.get(128..132) == Some(b"DICM") || bytes.starts_with(b"DICM") {
        return true;
    }
    // Without the preamble: an element of group 2 or 8 whose length fits.
    let Some(&[g0, g1, e0, e1, ..]) = bytes.first_chunk::<8>() else {
        return false;
    };
    let little = matches!((g0, g1), (2 | 8, 0)) && e1 == 0;
    let big = (g0, g1) == (0, 8) && e0 == 0;
    let encoding = match (little, big) {
        (false, false) => return false,
        (true, _) if is_vr(&bytes[4..6]) => Encoding::ExplicitLittle,
        (true, _) => Encoding::ImplicitLittle,
        (false, _) if is_vr(&bytes[4..6]) => Encoding::ExplicitBig,
        _ => return false,
    };
    Walk::new(bytes, encoding)
        .element(0, bytes.len())
        .is_ok_and(|e| e.length != UNDEFINED && e.value + e.length as usize <= bytes.len())
}

/// Reads preamble and meta group.
pub(crate) fn read_meta(bytes: &[u8]) -> Result<Meta, ImageError> {
    let mut at = match bytes {
        _ if bytes.get(128..132) == Some(b"DICM") => 132,
        _ if bytes.starts_with(b"DICM") => 4,
        _ => 0,
    };
    let mut transfer_syntax = None;
    let mut class_uid = None;
    while bytes.get(at..at + 2) == Some(&[2, 0]) {
        let explicit = bytes.get(at + 4..at + 6).is_some_and(is_vr);
        let encoding = if explicit {
            Encoding::ExplicitLittle
        } else {
            Encoding::ImplicitLittle
        };
        let walk = Walk::new(bytes, encoding);
        let element = walk.element(at, bytes.len())?;
        let value = walk.value(&element, bytes.len())?;
        match element.tag {
            0x0002_0002 => class_uid = Some(uid(value)),
            0x0002_0010 => transfer_syntax = Some(uid(value)),
            _ => {}
        }
        at = element.value + value.len();
    }
    Ok(Meta {
        transfer_syntax,
        class_uid,
        data_set: at,
    })
}

/// A file's beginning, its data set, inflated where it is deflated, and how that is encoded.
///
/// # Errors
/// When the header or the deflated data set is cut short or damaged, or no data set follows.
pub(crate) fn open(bytes: &[u8]) -> Result<(Meta, Cow<'_, [u8]>, Encoding), ImageError> {
    let meta = read_meta(bytes)?;
    let mut data_set = Cow::Borrowed(&bytes[meta.data_set..]);
    if meta.transfer_syntax.as_deref() == Some(syntax::DEFLATED) {
        data_set = Cow::Owned(syntax::inflate(&data_set)?);
    }
    let seen = seen_encoding(&data_set)
        .ok_or_else(|| ImageError::truncated("DICOM", "no data set follows its header"))?;
    Ok((meta, data_set, seen))
}

/// The class of what a file holds, from its meta group or from the first elements of its data set, up to the first sequence.
pub(crate) fn class_uid(bytes: &[u8]) -> Option<String> {
    let meta = read_meta(bytes).ok()?;
    if meta.class_uid.is_some() {
        return meta.class_uid;
    }
    let data_set = &bytes[meta.data_set..];
    let walk = Walk::new(data_set, seen_encoding(data_set)?);
    let (mut at, end) = (0, data_set.len());
    loop {
        let element = walk.element(at, end).ok()?;
        let value = walk.value(&element, end).ok()?;
        match element.tag {
            0x0008_0016 => return Some(uid(value)),
            0x0008_0017.. => return None,
            _ => at = element.value + value.len(),
        }
    }
}

/// A UID without what pads it.
fn uid(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace())
        .to_owned()
}

/// The encoding that the first element shows, whatever was declared; `None` where there is no element.
pub(crate) fn seen_encoding(data_set: &[u8]) -> Option<Encoding> {
    let head = data_set.first_chunk::<8>()?;
    let explicit = is_vr(&head[4..6]);
    let big = explicit && head[0] == 0 && head[1] != 0;
    Some(match (explicit, big) {
        (true, true) => Encoding::ExplicitBig,
        (true, false) => Encoding::ExplicitLittle,
        (false, _) => Encoding::ImplicitLittle,
    })
}

/// Whether an element is worth parsing: what describes pixels, display and identity.
fn is_wanted(tag: u32) -> bool {
    let listed = [
        0x0008_0005,
        0x0008_0016,
        0x0008_0018,
        0x0008_0060,
        0x0008_0068,
        0x0008_2218,
        0x0010_0020,
        0x0018_0015,
        0x0018_1164,
        0x0018_2010,
        0x0018_5101,
        0x0020_000d,
        0x0020_000e,
        0x0020_0020,
        0x0020_0060,
        0x0020_0062,
        0x0054_0220,
        0x5200_9229,
        0x5200_9230,
    ];
    tag >> 16 == 0x0028 || listed.contains(&tag)
}

/// Checks all lengths of a data set up to its pixel data.
///
/// # Errors
/// When an element or item is longer than what holds it, or nesting and count exceed their limits.
pub(crate) fn scan(data_set: &[u8], encoding: Encoding) -> Result<Structure<'_>, ImageError> {
    scan_for(data_set, encoding, is_wanted)
}

/// As [`scan`], for other elements.
///
/// # Errors
/// As there.
pub(crate) fn scan_for(
    data_set: &[u8],
    encoding: Encoding,
    is_wanted: impl Fn(u32) -> bool,
) -> Result<Structure<'_>, ImageError> {
    let mut walk = Walk::new(data_set, encoding);
    let mut overlays = Vec::new();
    let mut directory = false;
    let mut pixels = None;
    let mut at = 0;
    let end = data_set.len();
    while at < end {
        // Some writers pad the end of the file with zeros.
        if data_set[at..].iter().take(64).all(|b| *b == 0) {
            break;
        }
        let element = walk.element(at, end)?;
        if matches!(element.tag, 0x7fe0_0008..=0x7fe0_0010) && element.tag != 0x7fe0_000a {
            pixels = Some(walk.pixels(&element)?);
            break;
        }
        walk.keep(is_wanted(element.tag));
        at = walk.skip(&element, end, 0)?;
        let group = (element.tag >> 16) as u16;
        match element.tag & 0xffff {
            _ if element.tag == 0x0004_1220 => directory = true,
            // Overlay Data; a plane of zeros shows nothing.
            0x3000 if is_overlay(group) => {
                let marked = data_set[element.value..at].iter().any(|b| *b != 0);
                overlays.extend(marked.then_some(group));
            }
            // Overlay Bits Allocated above 1: the plane is in unused bits of the pixels (retired, PS3.3 of
            // 2004, C.9.2).
            0x0100 if is_overlay(group) => {
                let in_pixels = data_set[element.value..at].iter().any(|b| *b > 1);
                overlays.extend(in_pixels.then_some(group));
            }
            _ => {}
        }
    }
    overlays.dedup();
    Ok(Structure {
        attributes: walk.kept,
        left_out: walk.left_out,
        overlays,
        directory,
        pixels,
    })
}

/// Whether a group is one of the overlay planes' (PS3.3 C.9.2).
fn is_overlay(group: u16) -> bool {
    matches!(group, 0x6000..=0x60ff) && group.is_multiple_of(2)
}
