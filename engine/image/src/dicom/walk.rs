//! The elements of a data set, one after the other: lengths are checked, and what is worth parsing is written
//! anew as explicit little endian.
//!
//! Writing anew settles once for all what elements are: the representation of an implicit element or of one
//! written as UN is the dictionary's (PS3.5 6.2.2), at any depth, and sequences have one form.

use super::encoding::{Encoding, PixelData};
use super::representation::{has_long_header, is_vr, of_tag, value_size};
use crate::error::ImageError;
use crate::limits::{MAX_DEPTH, MAX_ELEMENTS};

/// The name of the format in errors.
const DICOM: &str = "DICOM";
/// A length that is ended by a delimiter.
pub(super) const UNDEFINED: u32 = u32::MAX;
const ITEM: u32 = 0xfffe_e000;
const ITEM_END: u32 = 0xfffe_e00d;
const SEQUENCE_END: u32 = 0xfffe_e0dd;

/// One element's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub tag: u32,
    vr: [u8; 2],
    pub length: u32,
    /// Where the value begins.
    pub value: usize,
}

/// The walk: bytes, how they are written, and what is kept of them.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
    count: usize,
    keeping: bool,
    /// The elements that were asked for, as explicit little endian, their sequences ended by delimiters.
    pub kept: Vec<u8>,
    /// How many of them were not kept, because their lengths cannot be.
    pub left_out: usize,
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self {
            bytes,
            encoding,
            count: 0,
            keeping: false,
            kept: Vec::new(),
            left_out: 0,
        }
    }

    /// Whether the elements that follow are kept.
    pub fn keep(&mut self, keeping: bool) {
        self.keeping = keeping;
    }

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
    pub fn element(&self, at: usize, end: usize) -> Result<Element, ImageError> {
        let short = || ImageError::truncated(DICOM, format!("an element begins at byte {at} and has no end"));
        if end.saturating_sub(at) < 8 {
            return Err(short());
        }
        let tag = u32::from(self.u16(at)) << 16 | u32::from(self.u16(at + 2));
        // Zeros stand where some writers should have put a delimiter.
        let zeros = self.bytes[at..at + 8].iter().all(|b| *b == 0);
        if zeros || tag >> 16 == 0xfffe || self.encoding == Encoding::ImplicitLittle {
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
    pub fn value(&self, element: &Element, end: usize) -> Result<&'a [u8], ImageError> {
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

    /// An element's representation. The dictionary's, where the element says nothing, says `UN` (PS3.5
    /// 6.2.2), or says that words or text are bytes.
    fn representation(&self, element: &Element) -> [u8; 2] {
        let silent = self.encoding == Encoding::ImplicitLittle || &element.vr == b"UN";
        let known = || of_tag(element.tag);
        match &element.vr {
            _ if silent => known(),
            b"OB" | b"OW" if !matches!(&known(), b"UN" | b"OB" | b"OW" | b"SQ") => known(),
            vr => *vr,
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

    /// Where the next element begins, after checking all that is inside this one and keeping what is asked
    /// for.
    pub fn skip(&mut self, element: &Element, end: usize, depth: usize) -> Result<usize, ImageError> {
        self.counted()?;
        let vr = self.representation(element);
        let open = element.length == UNDEFINED;
        let unknown = &element.vr == b"UN";
        if !open {
            let value = self.value(element, end)?;
            let stop = element.value + value.len();
            if &vr != b"SQ" {
                // A value of UN is little endian, whatever the data set is (PS3.5 6.2.2, note 6).
                let big = self.encoding == Encoding::ExplicitBig && !unknown;
                self.put(element.tag, vr, value, big);
                return Ok(stop);
            }
            return match self.sequence(element, stop, depth) {
                Ok(_) => Ok(stop),
                // Nobody promised that there are items in it.
                Err(_) if unknown && self.count <= MAX_ELEMENTS => {
                    self.left_out += usize::from(self.keeping);
                    Ok(stop)
                }
                Err(e) => Err(e),
            };
        }
        // What is unknown and has no length is a sequence (PS3.5 6.2.2, note 7).
        if matches!(&vr, b"SQ" | b"UN") || unknown {
            return self.sequence(element, end, depth);
        }
        // An undefined length of what is no sequence: stepped over, but not believed.
        let keeping = std::mem::replace(&mut self.keeping, false);
        self.left_out += usize::from(keeping);
        let next = self.items(element, element.value, end, depth);
        self.keeping = keeping;
        next
    }

    /// A sequence; gives where it ends. The items of one that is written as UN are implicit little endian
    /// (PS3.5 6.2.2, note 7), though some writers leave them as all others are.
    fn sequence(&mut self, element: &Element, end: usize, depth: usize) -> Result<usize, ImageError> {
        let (outer, mark) = (self.encoding, self.kept.len());
        let encodings = match &element.vr {
            b"UN" => [Some(Encoding::ImplicitLittle), Some(outer)],
            _ => [Some(outer), None],
        };
        let mut failed = None;
        for encoding in encodings.into_iter().flatten() {
            self.encoding = encoding;
            self.header(element.tag, *b"SQ", UNDEFINED);
            let next = self.items(element, element.value, end, depth);
            self.encoding = outer;
            match next {
                Ok(next) => {
                    self.header(SEQUENCE_END, *b"  ", 0);
                    return Ok(next);
                }
                Err(e) => {
                    self.kept.truncate(mark);
                    failed.get_or_insert(e);
                }
            }
        }
        Err(failed.unwrap_or_else(|| ImageError::malformed(DICOM, "a sequence cannot be read")))
    }

    /// Keeps a header.
    fn header(&mut self, tag: u32, vr: [u8; 2], length: u32) {
        if !self.keeping {
            return;
        }
        self.kept.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
        self.kept.extend_from_slice(&(tag as u16).to_le_bytes());
        if tag >> 16 == 0xfffe {
            self.kept.extend_from_slice(&length.to_le_bytes());
            return;
        }
        self.kept.extend_from_slice(&vr);
        if has_long_header(vr) {
            self.kept.extend_from_slice(&[0, 0]);
            self.kept.extend_from_slice(&length.to_le_bytes());
        } else {
            self.kept.extend_from_slice(&(length as u16).to_le_bytes());
        }
    }

    /// Keeps an element, unless its length is no multiple of its values' or has no room in its header.
    fn put(&mut self, tag: u32, vr: [u8; 2], value: &[u8], big: bool) {
        if !self.keeping {
            return;
        }
        let size = value_size(vr) as usize;
        if !value.len().is_multiple_of(size) || (!has_long_header(vr) && value.len() > 0xfffe) {
            self.left_out += 1;
            return;
        }
        self.header(tag, vr, value.len() as u32);
        let start = self.kept.len();
        self.kept.extend_from_slice(value);
        if big && size > 1 {
            // A tag is two words.
            let size = if &vr == b"AT" { 2 } else { size };
            self.kept[start..]
                .chunks_exact_mut(size)
                .for_each(<[u8]>::reverse);
        }
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
                SEQUENCE_END | 0 if open => return Ok(item.value),
                ITEM => {
                    self.header(ITEM, *b"  ", UNDEFINED);
                    at = if item.length != UNDEFINED {
                        let stop = item.value + self.value(&item, end)?.len();
                        self.elements(item.value, stop, false, depth)?
                    } else {
                        self.elements(item.value, end, true, depth)?
                    };
                    self.header(ITEM_END, *b"  ", 0);
                }
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
            if matches!(element.tag, ITEM_END | 0) && open {
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
    pub fn pixels(&self, element: &Element) -> Result<PixelData<'a>, ImageError> {
        let end = self.bytes.len();
        if element.tag == 0x7fe0_0008 || element.tag == 0x7fe0_0009 {
            let size = if element.tag == 0x7fe0_0008 { 4 } else { 8 };
            return Ok(PixelData::Float {
                bytes: self.value(element, end)?,
                size,
            });
        }
        if element.length != UNDEFINED {
            // What is UN is little endian (PS3.5 6.2.2, note 6).
            let unknown = &element.vr == b"UN";
            return Ok(PixelData::Native {
                bytes: self.value(element, end)?,
                wide: &element.vr != b"OB" && !unknown,
                big: self.encoding == Encoding::ExplicitBig && !unknown,
            });
        }
        let mut offsets: Option<&[u8]> = None;
        let mut fragments = Vec::new();
        let mut at = element.value;
        loop {
            let item = match self.element(at, end) {
                Ok(item) => item,
                // Some writers forget the delimiter, or write zeros in its place; the fragments before it are
                // complete.
                Err(_) if !fragments.is_empty() && self.bytes[at..].iter().all(|b| *b == 0) => break,
                Err(e) => return Err(e),
            };
            match item.tag {
                SEQUENCE_END => break,
                0 if !fragments.is_empty() => break,
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
