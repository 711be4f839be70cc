//! Typed reading of the attributes that describe pixels and display.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::error::ImageError;
use crate::voi::{Lut, VoiLut, Window, WindowFunction};

/// The name of the format in errors.
const DICOM: &str = "DICOM";

/// A parsed data set.
pub(crate) struct Attributes(pub InMemDicomObject);

/// How stored values become values (PS3.3 C.11.1).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Modality {
    Linear { slope: f64, intercept: f64 },
    Table(Lut),
}

impl Modality {
    /// The output for a stored value.
    pub fn apply(&self, stored: i32) -> f32 {
        match self {
            Self::Linear { slope, intercept } => (f64::from(stored) * slope + intercept) as f32,
            Self::Table(lut) => f32::from(lut.get(stored.into())),
        }
    }
}

/// The values of an element as text, trimmed; `None` where it is absent or empty.
fn texts(object: &InMemDicomObject, tag: Tag) -> Option<Vec<String>> {
    let element = object.get(tag)?;
    let values = element.value().to_multi_str().ok()?;
    let trimmed: Vec<String> = values
        .iter()
        .map(|s| s.trim_matches(['\0', ' ', '\t']).to_owned())
        .collect();
    trimmed.iter().any(|s| !s.is_empty()).then_some(trimmed)
}

/// The values of an element as numbers; an error where it is there and is none.
fn numbers(object: &InMemDicomObject, tag: Tag) -> Result<Option<Vec<f64>>, ImageError> {
    let Some(values) = texts(object, tag) else {
        return Ok(None);
    };
    let parsed: Option<Vec<f64>> = values
        .iter()
        .map(|s| s.parse().ok().filter(|n: &f64| n.is_finite()))
        .collect();
    match parsed {
        Some(numbers) => Ok(Some(numbers)),
        None => Err(ImageError::malformed(
            DICOM,
            format!(
                "({:04X},{:04X}) is {:?} where a number should be",
                tag.group(),
                tag.element(),
                values.join("\\")
            ),
        )),
    }
}

/// The items of a sequence.
fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|e| e.items()).unwrap_or_default()
}

impl Attributes {
    /// Text of the data set, empty where there is none.
    pub fn text(&self, tag: Tag) -> String {
        texts(&self.0, tag)
            .and_then(|v| v.into_iter().next())
            .unwrap_or_default()
    }

    /// A whole number of the data set.
    pub fn int(&self, tag: Tag) -> Result<Option<i64>, ImageError> {
        Ok(numbers(&self.0, tag)?
            .and_then(|n| n.first().copied())
            .map(|n| n as i64))
    }

    /// A whole number that must be there and fit 16 bits.
    pub fn required(&self, tag: Tag, name: &str) -> Result<usize, ImageError> {
        let value = self
            .int(tag)?
            .ok_or_else(|| ImageError::malformed(DICOM, format!("{name} is missing")))?;
        u16::try_from(value)
            .map(usize::from)
            .map_err(|_| ImageError::malformed(DICOM, format!("{name} is {value}, which is out of range")))
    }

    /// The object that has `tag`: the data set, or the functional group `sequence` of all frames or of the
    /// first.
    fn holder(&self, tag: Tag, sequence: Tag) -> Option<&InMemDicomObject> {
        if self.0.get(tag).is_some() {
            return Some(&self.0);
        }
        [
            tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
            tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
        ]
        .iter()
        .filter_map(|groups| items(&self.0, *groups).first())
        .filter_map(|group| items(group, sequence).first())
        .find(|item| item.get(tag).is_some())
    }

    /// The modality LUT, else slope and intercept, else the identity.
    pub fn modality(&self, signed: bool) -> Result<Modality, ImageError> {
        if let Some(item) = items(&self.0, tags::MODALITY_LUT_SEQUENCE).first() {
            return Ok(Modality::Table(read_lut(item, signed)?));
        }
        let group = tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE;
        let number = |tag| -> Result<Option<f64>, ImageError> {
            let Some(object) = self.holder(tag, group) else {
                return Ok(None);
            };
            Ok(numbers(object, tag)?.and_then(|n| n.first().copied()))
        };
        let slope = number(tags::RESCALE_SLOPE)?.unwrap_or(1.0);
        let intercept = number(tags::RESCALE_INTERCEPT)?.unwrap_or(0.0);
        if slope == 0.0 {
            return Err(ImageError::malformed(
                DICOM,
                "its rescale slope is 0, which leaves nothing of the image",
            ));
        }
        Ok(Modality::Linear { slope, intercept })
    }

    /// The windows and their function; those that make no sense are left out with a note.
    pub fn windows(&self, notes: &mut Vec<String>) -> (Vec<Window>, WindowFunction) {
        let group = tags::FRAME_VOILUT_SEQUENCE;
        let Some(object) = self.holder(tags::WINDOW_CENTER, group) else {
            return (Vec::new(), WindowFunction::Linear);
        };
        let name = texts(object, tags::VOILUT_FUNCTION)
            .and_then(|v| v.into_iter().next())
            .unwrap_or_default();
        let function = match name.as_str() {
            "SIGMOID" => WindowFunction::Sigmoid,
            "LINEAR_EXACT" => WindowFunction::LinearExact,
            "" | "LINEAR" => WindowFunction::Linear,
            other => {
                notes.push(format!(
                    "the VOI LUT function {other:?} is unknown: LINEAR is used"
                ));
                WindowFunction::Linear
            }
        };
        let pair = (
            numbers(object, tags::WINDOW_CENTER),
            numbers(object, tags::WINDOW_WIDTH),
        );
        let (Ok(Some(centers)), Ok(Some(widths))) = pair else {
            notes.push("the window of the file is no pair of numbers and is left out".to_owned());
            return (Vec::new(), function);
        };
        let explanations = texts(object, tags::WINDOW_CENTER_WIDTH_EXPLANATION).unwrap_or_default();
        let smallest = if function == WindowFunction::Linear {
            1.0
        } else {
            f64::MIN_POSITIVE
        };
        let mut windows = Vec::new();
        for (i, (&center, &width)) in centers.iter().zip(&widths).enumerate() {
            if width < smallest {
                notes.push(format!(
                    "window {i} of the file has the width {width} and is left out"
                ));
                continue;
            }
            let explanation = explanations.get(i).filter(|e| !e.is_empty()).cloned();
            windows.push(Window {
                center,
                width,
                function,
                explanation,
            });
        }
        (windows, function)
    }

    /// The VOI LUTs; damaged ones are left out with a note.
    pub fn voi_luts(&self, signed: bool, notes: &mut Vec<String>) -> Vec<VoiLut> {
        let mut luts = Vec::new();
        for item in items(&self.0, tags::VOILUT_SEQUENCE) {
            let explanation = texts(item, tags::LUT_EXPLANATION).and_then(|v| v.into_iter().next());
            match read_lut(item, signed) {
                Ok(lut) => luts.push(VoiLut { lut, explanation }),
                Err(e) => notes.push(format!("a VOI LUT of the file is left out: {e}")),
            }
        }
        luts
    }

    /// A colour look-up table of the palette.
    pub fn palette(&self, descriptor: Tag, data: Tag) -> Result<Lut, ImageError> {
        lut_of(&self.0, descriptor, data, false)
    }

    /// Millimetres between rows and columns: of the patient, else at the detector.
    pub fn spacing_mm(&self) -> Option<(f32, f32)> {
        [
            tags::PIXEL_SPACING,
            tags::IMAGER_PIXEL_SPACING,
            tags::NOMINAL_SCANNED_PIXEL_SPACING,
        ]
        .iter()
        .filter_map(|tag| numbers(&self.0, *tag).ok().flatten())
        .find_map(|n| match n.as_slice() {
            [rows, columns, ..] if *rows > 0.0 && *columns > 0.0 => Some((*rows as f32, *columns as f32)),
            _ => None,
        })
    }

    /// The stored values, first to last, that are padding.
    pub fn padding(&self) -> Option<(i64, i64)> {
        let value = self.int(tags::PIXEL_PADDING_VALUE).ok().flatten()?;
        let other = self
            .int(tags::PIXEL_PADDING_RANGE_LIMIT)
            .ok()
            .flatten()
            .unwrap_or(value);
        Some((value.min(other), value.max(other)))
    }
}

/// The LUT of an item of a Modality or VOI LUT Sequence.
fn read_lut(item: &InMemDicomObject, signed: bool) -> Result<Lut, ImageError> {
    lut_of(item, tags::LUT_DESCRIPTOR, tags::LUT_DATA, signed)
}

/// A LUT from its descriptor (count, first value, bits) and data.
fn lut_of(object: &InMemDicomObject, descriptor: Tag, data: Tag, signed: bool) -> Result<Lut, ImageError> {
    let bad = |what: String| ImageError::malformed(DICOM, format!("a look-up table {what}"));
    let described = numbers(object, descriptor)?.unwrap_or_default();
    let &[count, first, bits, ..] = described.as_slice() else {
        return Err(bad("has no descriptor".to_owned()));
    };
    // The three words may be read as signed; only the second is, and only where the pixels are.
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
    // Entries of 8 bits may stand two in a word.
    if entries.len() < count && bits <= 8 && entries.len() * 2 >= count {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use dicom_core::value::DataSetSequence;
    use dicom_core::{DataElement, PrimitiveValue, VR, dicom_value};

    fn lut_item(descriptor: [u16; 3], data: &[u16]) -> InMemDicomObject {
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
    fn several_windows_keep_their_names_and_bad_ones_are_noted() {
        let attributes = Attributes(InMemDicomObject::from_element_iter([
            DataElement::new(
                tags::WINDOW_CENTER,
                VR::DS,
                dicom_value!(Strs, ["40", "-600 ", "7"]),
            ),
            DataElement::new(
                tags::WINDOW_WIDTH,
                VR::DS,
                dicom_value!(Strs, ["400", "1500", "0"]),
            ),
            DataElement::new(
                tags::WINDOW_CENTER_WIDTH_EXPLANATION,
                VR::LO,
                dicom_value!(Strs, ["SOFT", "LUNG", ""]),
            ),
        ]));
        let mut notes = Vec::new();
        let (windows, _) = attributes.windows(&mut notes);
        assert_eq!(windows.len(), 2);
        assert_eq!(
            (windows[1].center, windows[1].explanation.as_deref()),
            (-600.0, Some("LUNG"))
        );
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn the_modality_table_comes_before_the_slope_and_groups_are_looked_into() {
        let slope = |v: &str| DataElement::new(tags::RESCALE_SLOPE, VR::DS, dicom_value!(Str, v));
        let mut object = InMemDicomObject::from_element_iter([slope("2.5")]);
        assert_eq!(Attributes(object.clone()).modality(false).unwrap().apply(4), 10.0);
        let sequence = DataSetSequence::from(vec![lut_item([2, 0, 12], &[100, 200])]);
        object.put(DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, sequence));
        assert_eq!(Attributes(object).modality(false).unwrap().apply(4), 200.0);

        let inner = InMemDicomObject::from_element_iter([slope("3")]);
        let values = DataSetSequence::from(vec![inner]);
        let group = InMemDicomObject::from_element_iter([DataElement::new(
            tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
            VR::SQ,
            values,
        )]);
        let object = InMemDicomObject::from_element_iter([DataElement::new(
            tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
            VR::SQ,
            DataSetSequence::from(vec![group]),
        )]);
        assert_eq!(Attributes(object).modality(false).unwrap().apply(4), 12.0);
    }

    #[test]
    fn a_slope_that_is_no_number_is_an_error() {
        for text in ["abc", "0", "inf"] {
            let element = DataElement::new(tags::RESCALE_SLOPE, VR::DS, dicom_value!(Str, text));
            assert!(
                Attributes(InMemDicomObject::from_element_iter([element]))
                    .modality(false)
                    .is_err(),
                "{text}"
            );
        }
    }
}
