//! Look-up tables of a data set (PS3.3 C.11.1.1 and C.11.2.1.1), also as writers get them wrong.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::element::{DICOM, numbers};
use crate::error::ImageError;
use crate::voi::Lut;

/// The LUT of an item of a Modality or VOI LUT Sequence.
pub(super) fn read_lut(item: &InMemDicomObject, signed: bool) -> Result<Lut, ImageError> {
    lut_of(item, tags::LUT_DESCRIPTOR, tags::LUT_DATA, signed)
}

/// A LUT from its descriptor (count, first value, bits) and data; `signed` where its input may be below 0.
pub(super) fn lut_of(
    object: &InMemDicomObject,
    descriptor: Tag,
    data: Tag,
    signed: bool,
) -> Result<Lut, ImageError> {
    let bad = |what: String| ImageError::malformed(DICOM, format!("a look-up table {what}"));
    let described = numbers(object, descriptor)?.unwrap_or_default();
    let &[count, first, bits, ..] = described.as_slice() else {
        return Err(bad("has no descriptor".to_owned()));
    };
    // The three words may be read as signed; only the second is, and only where its input is.
    let word = |n: f64| i64::from(n as i32 as u16);
    let count = if word(count) == 0 {
        65_536
    } else {
        word(count) as usize
    };
    let bits = word(bits) as u32;
    let first = if (signed && first > 32_767.0) || first < 0.0 {
        i64::from(word(first) as u16 as i16)
    } else {
        word(first)
    };
    if !(1..=16).contains(&bits) {
        return Err(bad(format!("has entries of {bits} bits")));
    }
    let element = object.get(data).ok_or_else(|| bad("has no data".to_owned()))?;
    let values = element
        .value()
        .to_multi_int::<i64>()
        .map_err(|_| bad("has data that are no numbers".to_owned()))?;
    let mut entries: Vec<u16> = values.into_iter().map(|v| v as u16).collect();
    if element.header().vr == VR::OB && entries.len() >= 2 * count {
        // Words that are said to be bytes.
        entries = words(&entries);
    } else if entries.len() < count && bits <= 8 && entries.len() * 2 >= count {
        // Entries of 8 bits may stand two in a word.
        entries = entries
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .map(u16::from)
            .collect();
    }
    if entries.len() < count {
        return Err(bad(format!("declares {count} entries and has {}", entries.len())));
    }
    entries.truncate(count);
    Ok(Lut { first, bits, entries })
}

/// Pairs of bytes as words, in that order of the two which makes the smoother curve.
fn words(bytes: &[u16]) -> Vec<u16> {
    let join = |low: usize, high: usize| -> Vec<u16> {
        bytes
            .chunks_exact(2)
            .map(|p| p[low] & 0xff | p[high] << 8)
            .collect()
    };
    let roughness = |table: &[u16]| -> u64 { table.windows(2).map(|w| u64::from(w[0].abs_diff(w[1]))).sum() };
    let (little, big) = (join(0, 1), join(1, 0));
    if roughness(&big) < roughness(&little) {
        big
    } else {
        little
    }
}

/// Corrects the bits of a VOI LUT that declares more than its entries use: some units write the width of the
/// word that an entry is stored in. Entries are never scaled as if they had fewer than 8 bits.
pub(super) fn used_bits(lut: &mut Lut) -> Option<String> {
    let highest = lut.entries.iter().copied().max().filter(|h| *h > 0)?;
    let used = (16 - highest.leading_zeros()).max(8);
    let declared = lut.bits;
    (used < declared).then(|| {
        lut.bits = used;
        format!(
            "the VOI LUT declares entries of {declared} bits and uses {used}: its brightness is scaled to {used} bits"
        )
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use dicom_core::{DataElement, PrimitiveValue};

    pub fn lut_item(descriptor: [u16; 3], data: &[u16]) -> InMemDicomObject {
        InMemDicomObject::from_element_iter([
            DataElement::new(
                tags::LUT_DESCRIPTOR,
                VR::US,
                PrimitiveValue::U16(descriptor.into_iter().collect()),
            ),
            DataElement::new(
                tags::LUT_DATA,
                VR::OW,
                PrimitiveValue::U16(data.iter().copied().collect()),
            ),
        ])
    }

    #[test]
    fn tables_are_read_with_signed_starts_and_packed_bytes() {
        let lut = read_lut(&lut_item([3, 0xfffe, 12], &[1, 2, 3]), true).unwrap();
        assert_eq!((lut.first, lut.get(-1)), (-2, 2));
        let lut = read_lut(&lut_item([4, 0, 8], &[0x0201, 0x0403]), false).unwrap();
        assert_eq!(lut.entries, [1, 2, 3, 4]);
        assert!(
            read_lut(&lut_item([0, 0, 16], &[1, 2]), false)
                .unwrap_err()
                .to_string()
                .contains("65536")
        );
        assert!(read_lut(&lut_item([2, 0, 40], &[1, 2]), false).is_err());
    }

    #[test]
    fn words_that_are_said_to_be_bytes_are_put_together() {
        let table: Vec<u16> = (0..64).map(|i| i * 60).collect();
        for swap in [false, true] {
            let bytes: Vec<u8> = table
                .iter()
                .flat_map(|w| if swap { w.to_be_bytes() } else { w.to_le_bytes() })
                .collect();
            let mut item = lut_item([64, 0, 12], &[]);
            item.put(DataElement::new(
                tags::LUT_DATA,
                VR::OB,
                PrimitiveValue::U8(bytes.into_iter().collect()),
            ));
            assert_eq!(read_lut(&item, false).unwrap().entries, table, "{swap}");
        }
    }

    #[test]
    fn bits_are_those_that_the_entries_use() {
        let lut = |bits, highest| Lut {
            first: 0,
            bits,
            entries: vec![0, highest],
        };
        for (bits, highest, expected) in [(16, 4095, 12), (16, 60_000, 16), (12, 4000, 12), (16, 90, 8)] {
            let mut lut = lut(bits, highest);
            let note = used_bits(&mut lut);
            assert_eq!((lut.bits, note.is_some()), (expected, bits != expected));
        }
    }
}
