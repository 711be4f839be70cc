//! Typed reading of the attributes that describe pixels and display.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::element::{DICOM, numbers, texts};
use super::lut::{lut_of, read_lut, used_bits};
use super::values::Stored;
use crate::error::ImageError;
use crate::voi::{Lut, VoiLut, Window, WindowFunction};

/// A parsed data set.
pub(crate) struct Attributes(pub InMemDicomObject);

/// How stored values become values (PS3.3 C.11.1).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Modality {
    Linear { slope: f64, intercept: f64 },
    Table(Lut),
}

impl Modality {
    /// The outputs for stored values.
    pub fn apply(&self, stored: Stored<'_>) -> Vec<f32> {
        match *self {
            Self::Linear {
                slope: 1.0,
                intercept: 0.0,
            } => stored.into_floats(|v| v as f32),
            Self::Linear { slope, intercept } => {
                stored.into_floats(|v| (f64::from(v) * slope + intercept) as f32)
            }
            Self::Table(ref lut) => stored.into_floats(|v| f32::from(lut.get(v.into()))),
        }
    }

    /// Whether stored values from `low` to `high` may come out below 0. A table gives none (PS3.3 C.11.1.1.1).
    pub fn is_signed(&self, low: f64, high: f64) -> bool {
        match self {
            Self::Linear { slope, intercept } => {
                (low * slope + intercept).min(high * slope + intercept) < 0.0
            }
            Self::Table(_) => false,
        }
    }
}

/// The items of a sequence.
pub(super) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|e| e.items()).unwrap_or_default()
}

impl Attributes {
    /// Text of the data set, empty where there is none.
    pub fn text(&self, tag: Tag) -> String {
        texts(&self.0, tag)
            .and_then(|v| v.into_iter().next())
            .unwrap_or_default()
    }

    /// The meaning of the code in a sequence's first item, empty where there is none.
    pub fn meaning(&self, sequence: Tag) -> String {
        items(&self.0, sequence)
            .first()
            .and_then(|item| texts(item, tags::CODE_MEANING))
            .and_then(|v| v.into_iter().next())
            .unwrap_or_default()
    }

    /// Where rows and columns run, by the first letters of the patient orientation: `('L', 'F')`.
    pub fn directions(&self) -> Option<(char, char)> {
        let values = texts(&self.0, tags::PATIENT_ORIENTATION)?;
        let letter = |i: usize| -> Option<char> {
            let letter = values.get(i)?.chars().next()?.to_ascii_uppercase();
            "LRAPHF".contains(letter).then_some(letter)
        };
        Some((letter(0)?, letter(1)?))
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

    /// Whether the modality LUT leads back to the intensity of X-rays and is not for display: in XA and XRF
    /// whose pixels are its logarithm or made for display (PS3.3 C.8.7.1.1.2, C.11.1.1.2).
    fn is_intensity(&self) -> bool {
        // XA, XRF, biplane XA, enhanced XA and XRF.
        const CLASSES: [&str; 5] = ["12.1", "12.2", "12.3", "12.1.1", "12.2.1"];
        let class = self.text(tags::SOP_CLASS_UID);
        let angiography = match class.strip_prefix("1.2.840.10008.5.1.4.1.1.") {
            Some(class) => CLASSES.contains(&class),
            None => {
                let modality = self.text(tags::MODALITY);
                class.is_empty() && matches!(modality.as_str(), "XA" | "RF")
            }
        };
        let relationship = self.text(tags::PIXEL_INTENSITY_RELATIONSHIP).to_ascii_uppercase();
        angiography && matches!(relationship.as_str(), "LOG" | "DISP")
    }

    /// The modality LUT, else slope and intercept, else the identity.
    pub fn modality(&self, signed: bool, notes: &mut Vec<String>) -> Result<Modality, ImageError> {
        let found = self.declared_modality(signed);
        let identity = Modality::Linear {
            slope: 1.0,
            intercept: 0.0,
        };
        if !self.is_intensity() || found.as_ref().is_ok_and(|f| *f == identity) {
            return found;
        }
        notes.push(
            "the modality LUT leads back to X-ray intensity and is not for display: stored values are shown"
                .to_owned(),
        );
        Ok(identity)
    }

    fn declared_modality(&self, signed: bool) -> Result<Modality, ImageError> {
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
        // A code string is upper case (PS3.5 6.2), but nothing else can be meant.
        let known = name.to_ascii_uppercase().replace([' ', '-'], "_");
        let function = match known.as_str() {
            "SIGMOID" => WindowFunction::Sigmoid,
            "LINEAR_EXACT" => WindowFunction::LinearExact,
            "" | "LINEAR" => WindowFunction::Linear,
            _ => {
                notes.push(format!(
                    "the VOI LUT function {name:?} is unknown: LINEAR is used"
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
        let mut windows = Vec::new();
        for (i, (&center, &width)) in centers.iter().zip(&widths).enumerate() {
            if width <= 0.0 {
                notes.push(format!(
                    "window {i} of the file has the width {width} and is left out"
                ));
                continue;
            }
            // LINEAR has no width below 1 (PS3.3 C.11.2.1.2.1), which only its exact form can show.
            let narrow = function == WindowFunction::Linear && width < 1.0;
            if narrow {
                notes.push(format!(
                    "window {i} of the file has the width {width}, below 1: it is shown as LINEAR_EXACT"
                ));
            }
            let function = if narrow {
                WindowFunction::LinearExact
            } else {
                function
            };
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
                Ok(mut lut) => {
                    notes.extend(used_bits(&mut lut));
                    luts.push(VoiLut { lut, explanation });
                }
                Err(e) => notes.push(format!("a VOI LUT of the file is left out: {e}")),
            }
        }
        luts
    }

    /// A colour look-up table of the palette.
    pub fn palette(&self, descriptor: Tag, data: Tag) -> Result<Lut, ImageError> {
        lut_of(&self.0, descriptor, data, false)
    }

    /// Two numbers above 0, of rows and columns.
    fn pair(object: &InMemDicomObject, tag: Tag) -> Option<(f32, f32)> {
        match numbers(object, tag).ok().flatten()?.as_slice() {
            [rows, columns, ..] if *rows > 0.0 && *columns > 0.0 => Some((*rows as f32, *columns as f32)),
            _ => None,
        }
    }

    /// Millimetres between rows and columns: of the patient, else at the detector.
    pub fn spacing_mm(&self) -> Option<(f32, f32)> {
        let patient = self
            .holder(tags::PIXEL_SPACING, tags::PIXEL_MEASURES_SEQUENCE)
            .and_then(|object| Self::pair(object, tags::PIXEL_SPACING));
        let detector = || Self::pair(&self.0, tags::IMAGER_PIXEL_SPACING);
        let film = || Self::pair(&self.0, tags::NOMINAL_SCANNED_PIXEL_SPACING);
        patient.or_else(detector).or_else(film)
    }

    /// Height over width of a pixel: by its spacing, else by the Pixel Aspect Ratio, which stands where there
    /// is no spacing (PS3.3 C.7.6.3.1.7).
    pub fn aspect(&self) -> f64 {
        let pair = self
            .spacing_mm()
            .or_else(|| Self::pair(&self.0, tags::PIXEL_ASPECT_RATIO));
        pair.map_or(1.0, |(rows, columns)| f64::from(rows) / f64::from(columns))
    }

    /// The stored values, first to last, that are padding. They are signed where the pixels are, whatever an
    /// implicit data set's dictionary says.
    pub fn padding(&self, signed: bool) -> Option<(i64, i64)> {
        let read = |tag| {
            let value = self.int(tag).ok().flatten()?;
            let wraps = signed && (32_768..=65_535).contains(&value);
            Some(if wraps { value - 65_536 } else { value })
        };
        let value = read(tags::PIXEL_PADDING_VALUE)?;
        let other = read(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value);
        Some((value.min(other), value.max(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::value::DataSetSequence;
    use dicom_core::{DataElement, VR, dicom_value};

    use super::super::lut::tests::lut_item;
    use super::super::values::Bits;

    /// One stored value, 4.
    fn four() -> Stored<'static> {
        let bits = Bits {
            lowest: 0,
            count: 12,
            signed: false,
        };
        Stored::decoded(vec![4], bits)
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
        assert_eq!(
            Attributes(object.clone())
                .modality(false, &mut Vec::new())
                .unwrap()
                .apply(four()),
            [10.0]
        );
        let sequence = DataSetSequence::from(vec![lut_item([2, 0, 12], &[100, 200])]);
        object.put(DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, sequence));
        assert_eq!(
            Attributes(object)
                .modality(false, &mut Vec::new())
                .unwrap()
                .apply(four()),
            [200.0]
        );

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
        assert_eq!(
            Attributes(object)
                .modality(false, &mut Vec::new())
                .unwrap()
                .apply(four()),
            [12.0]
        );
    }

    #[test]
    fn a_slope_that_is_no_number_is_an_error() {
        for text in ["abc", "0", "inf"] {
            let element = DataElement::new(tags::RESCALE_SLOPE, VR::DS, dicom_value!(Str, text));
            assert!(
                Attributes(InMemDicomObject::from_element_iter([element]))
                    .modality(false, &mut Vec::new())
                    .is_err(),
                "{text}"
            );
        }
    }
}
