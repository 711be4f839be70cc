//! A walk over the element lengths of a DICOM file, before anything of it is parsed or allocated (PS3.5
//! chapter 7).
//!
//! The parser of the data set trusts declared lengths. So every length is compared here with the bytes that
//! are there, the pixel data is found and left where it is, and of all other elements only those that matter
//! are handed on.

use super::representation::{has_long_header, is_vr, of_tag, value_size};
use crate::error::ImageError;
use crate::limits::{MAX_DEPTH, MAX_ELEMENTS};

/// The name of the format in errors.
const DICOM: &str = "DICOM";
/// A length that is ended by a delimiter.
const UNDEFINED: u32 = u32::MAX;
const ITEM: u32 = 0xfffe_e000;
const ITEM_END: u32 = 0xfffe_e00d;
const SEQUENCE_END: u32 = 0xfffe_e0dd;

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

/// The start of a DICOM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The transfer syntax UID, where there is a meta group that has it.
    pub transfer_syntax: Option<String>,
    /// Where the data set begins.
    pub data_set: usize,
}

/// The pixel data element.
#[derive(Clone, Debug)]
pub(crate) enum PixelData<'a> {
    /// Samples as they are. `wide` when they are 16-bit words (OW).
    Native { bytes: &'a [u8], wide: bool },
    /// Float samples, of 4 or 8 bytes.
    Float { bytes: &'a [u8], size: usize },
    /// Compressed: the basic offset table and the fragments.
    Encapsulated {
        offsets: &'a [u8],
        fragments: Vec<&'a [u8]>,
    },
}

/// A data set taken apart.
#[derive(Debug)]
pub(crate) struct Structure<'a> {
    /// The elements that are worth parsing, in their order and encoding.
    pub attributes: Vec<u8>,
    /// How many were worth it but have lengths that cannot be.
    pub left_out: usize,
    /// The pixels, if there are any.
    pub pixels: Option<PixelData<'a>>,
}

/// Whether `bytes` begin as DICOM does, with or without the preamble.
pub(crate) fn looks_like_dicom(bytes: &[u8]) -> bool {
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
    Walk {
        bytes,
        encoding,
        count: 0,
        doubtful: false,
    }
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
    while bytes.get(at..at + 2) == Some(&[2, 0]) {
        let explicit = bytes.get(at + 4..at + 6).is_some_and(is_vr);
        let encoding = if explicit {
            Encoding::ExplicitLittle
        } else {
            Encoding::ImplicitLittle
        };
        let walk = Walk {
            bytes,
            encoding,
            count: 0,
            doubtful: false,
        };
        let element = walk.element(at, bytes.len())?;
        let value = walk.value(&element, bytes.len())?;
        if element.tag == 0x0002_0010 {
            let uid = String::from_utf8_lossy(value);
            transfer_syntax = Some(
                uid.trim_matches(|c: char| c == '\0' || c.is_whitespace())
                    .to_owned(),
            );
        }
        at = element.value + value.len();
    }
    Ok(Meta {
        transfer_syntax,
        data_set: at,
    })
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
        0x0010_0020,
        0x0018_0015,
        0x0018_1164,
        0x0018_2010,
        0x0018_5101,
        0x0020_000d,
        0x0020_000e,
        0x0020_0060,
        0x0020_0062,
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
    let mut walk = Walk {
        bytes: data_set,
        encoding,
        count: 0,
        doubtful: false,
    };
    let mut attributes = Vec::new();
    let mut left_out = 0;
    let mut at = 0;
    let end = data_set.len();
    while at < end {
        // Some writers pad the end of the file with zeros.
        if data_set[at..].iter().take(64).all(|b| *b == 0) {
            break;
        }
        let element = walk.element(at, end)?;
        if matches!(element.tag, 0x7fe0_0008..=0x7fe0_0010) && element.tag != 0x7fe0_000a {
            let pixels = walk.pixels(&element)?;
            return Ok(Structure {
                attributes,
                left_out,
                pixels: Some(pixels),
            });
        }
        walk.doubtful = false;
        let next = walk.skip(&element, end, 0)?;
        match is_wanted(element.tag) {
            true if walk.doubtful => left_out += 1,
            true => attributes.extend_from_slice(&data_set[at..next]),
            false => {}
        }
        at = next;
    }
    Ok(Structure {
        attributes,
        left_out,
        pixels: None,
    })
}

/// One element's header.
#[derive(Clone, Copy, Debug)]
struct Element {
    tag: u32,
    vr: [u8; 2],
    length: u32,
    /// Where the value begins.
    value: usize,
}

struct Walk<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
    count: usize,
    /// Set by an element whose length the parser might take for another: an undefined one of what is not
    /// surely a sequence, and one that is no multiple of its values.
    doubtful: bool,
}

impl<'a> Walk<'a> {
    fn u16(&self, at: usize) -> u16 {
        let b = [self.bytes[at], self.bytes[at + 1]];
        if self.encoding == Encoding::ExplicitBig {
            u16::from_be_bytes(b)
        } else {
            u16::from_le_bytes(b)
        }
    }

    fn u32(&self, at: usize) -> u32 {
        let b = [
            self.bytes[at],
            self.bytes[at + 1],
            self.bytes[at + 2],
            self.bytes[at + 3],
        ];
        if self.encoding == Encoding::ExplicitBig {
            u32::from_be_bytes(b)
        } else {
            u32::from_le_bytes(b)
        }
    }

    /// The header at `at`; it must end before `end`.
    fn element(&self, at: usize, end: usize) -> Result<Element, ImageError> {
        let short = || ImageError::truncated(DICOM, format!("an element begins at byte {at} and has no end"));
        if end.saturating_sub(at) < 8 {
            return Err(short());
        }
        let tag = u32::from(self.u16(at)) << 16 | u32::from(self.u16(at + 2));
        if tag >> 16 == 0xfffe || self.encoding == Encoding::ImplicitLittle {
            return Ok(Element {
                tag,
                vr: *b"  ",
                length: self.u32(at + 4),
                value: at + 8,
            });
        }
        let vr = [self.bytes[at + 4], self.bytes[at + 5]];
        if !is_vr(&vr) {
            return Err(ImageError::malformed(
                DICOM,
                format!(
                    "element ({:04X},{:04X}) at byte {at} has no value representation",
                    tag >> 16,
                    tag & 0xffff
                ),
            ));
        }
        if !has_long_header(vr) {
            return Ok(Element {
                tag,
                vr,
                length: self.u16(at + 6).into(),
                value: at + 8,
            });
        }
        if end - at < 12 {
            return Err(short());
        }
        Ok(Element {
            tag,
            vr,
            length: self.u32(at + 8),
            value: at + 12,
        })
    }

    /// The bytes of a value of defined length, which must end before `end`.
    fn value(&self, element: &Element, end: usize) -> Result<&'a [u8], ImageError> {
        let left = end.saturating_sub(element.value);
        if element.length as usize > left || element.length == UNDEFINED {
            return Err(ImageError::truncated(
                DICOM,
                format!(
                    "element ({:04X},{:04X}) declares {} bytes and {left} are there",
                    element.tag >> 16,
                    element.tag & 0xffff,
                    element.length
                ),
            ));
        }
        Ok(&self.bytes[element.value..element.value + element.length as usize])
    }

    /// An element's representation: as it says itself, or by the dictionary where it says nothing.
    fn representation(&self, element: &Element) -> [u8; 2] {
        if self.encoding == Encoding::ImplicitLittle {
            of_tag(element.tag)
        } else {
            element.vr
        }
    }

    fn counted(&mut self) -> Result<(), ImageError> {
        self.count += 1;
        if self.count > MAX_ELEMENTS {
            return Err(ImageError::TooLarge(format!(
                "the data set has more than {MAX_ELEMENTS} elements"
            )));
        }
        Ok(())
    }

    /// Where the next element begins, after checking all that is inside this one.
    fn skip(&mut self, element: &Element, end: usize, depth: usize) -> Result<usize, ImageError> {
        self.counted()?;
        let vr = self.representation(element);
        let sequence = &vr == b"SQ";
        if element.length != UNDEFINED {
            let stop = element.value + self.value(element, end)?.len();
            self.doubtful |= !element.length.is_multiple_of(value_size(vr));
            if sequence {
                self.items(element, element.value, stop, depth)?;
            }
            return Ok(stop);
        }
        self.doubtful |= !sequence;
        // An unknown value of undefined length is a sequence written implicitly (PS3.5 6.2.2, note 7).
        let outer = self.encoding;
        if &element.vr == b"UN" {
            self.encoding = Encoding::ImplicitLittle;
        }
        let next = self.items(element, element.value, end, depth);
        self.encoding = outer;
        next
    }

    /// Checks the items of a sequence; gives where it ends.
    fn items(
        &mut self,
        element: &Element,
        start: usize,
        end: usize,
        depth: usize,
    ) -> Result<usize, ImageError> {
        if depth >= MAX_DEPTH {
            return Err(ImageError::malformed(
                DICOM,
                format!("its sequences are nested more than {MAX_DEPTH} deep"),
            ));
        }
        let open = element.length == UNDEFINED;
        let mut at = start;
        loop {
            if at == end && !open {
                return Ok(at);
            }
            let item = self.element(at, end)?;
            self.counted()?;
            match item.tag {
                SEQUENCE_END if open => return Ok(item.value),
                ITEM if item.length != UNDEFINED => {
                    let stop = item.value + self.value(&item, end)?.len();
                    at = self.elements(item.value, stop, false, depth)?;
                }
                ITEM => at = self.elements(item.value, end, true, depth)?,
                tag => {
                    return Err(ImageError::malformed(
                        DICOM,
                        format!(
                            "({:04X},{:04X}) at byte {at} stands where an item should",
                            tag >> 16,
                            tag & 0xffff
                        ),
                    ));
                }
            }
        }
    }

    /// Checks the elements of one item, `open` when a delimiter ends it; gives where it ends.
    fn elements(&mut self, start: usize, end: usize, open: bool, depth: usize) -> Result<usize, ImageError> {
        let mut at = start;
        while at < end {
            let element = self.element(at, end)?;
            if element.tag == ITEM_END && open {
                return Ok(element.value);
            }
            at = self.skip(&element, end, depth + 1)?;
        }
        if open {
            return Err(ImageError::truncated(
                DICOM,
                format!("the item at byte {start} has no end"),
            ));
        }
        Ok(at)
    }

    /// The pixel data, without a copy.
    fn pixels(&self, element: &Element) -> Result<PixelData<'a>, ImageError> {
        let end = self.bytes.len();
        if element.tag == 0x7fe0_0008 || element.tag == 0x7fe0_0009 {
            let size = if element.tag == 0x7fe0_0008 { 4 } else { 8 };
            return Ok(PixelData::Float {
                bytes: self.value(element, end)?,
                size,
            });
        }
        if element.length != UNDEFINED {
            let wide = &element.vr != b"OB" && &element.vr != b"UN";
            return Ok(PixelData::Native {
                bytes: self.value(element, end)?,
                wide,
            });
        }
        let mut offsets: Option<&[u8]> = None;
        let mut fragments = Vec::new();
        let mut at = element.value;
        loop {
            let item = match self.element(at, end) {
                Ok(item) => item,
                // Some writers forget the delimiter; the fragments before it are complete.
                Err(_) if at == end && !fragments.is_empty() => break,
                Err(e) => return Err(e),
            };
            match item.tag {
                SEQUENCE_END => break,
                ITEM => {
                    let value = self.value(&item, end)?;
                    at = item.value + value.len();
                    if offsets.is_none() {
                        offsets = Some(value);
                    } else {
                        fragments.push(value);
                    }
                }
                _ => {
                    return Err(ImageError::malformed(
                        DICOM,
                        format!("no fragment of the pixel data begins at byte {at}"),
                    ));
                }
            }
        }
        Ok(PixelData::Encapsulated {
            offsets: offsets.unwrap_or_default(),
            fragments,
        })
    }
}
