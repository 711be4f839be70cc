//! Writes a radiograph as DICOM: Computed Radiography Image Storage, explicit VR little endian, 12 bits
//! stored in 16.

use std::path::Path;

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use sha2::{Digest, Sha256};

use super::file::write_bytes;
use crate::error::ImageError;
use crate::radiograph::Polarity;

/// Highest value of the 12 bits that are stored.
const MAX_STORED: u16 = 0x0fff;

/// What [`write_dicom`] writes. Start from [`DicomImage::new`] and set what differs.
#[derive(Clone, Debug)]
pub struct DicomImage<'a> {
    /// `height` rows of `width` stored values, each at most 4095.
    pub pixels: &'a [u16],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether 0 is shown white ([`Polarity::Monochrome1`]) or black.
    pub polarity: Polarity,
    /// Window centre and width in stored values.
    pub window: Option<(f64, f64)>,
    /// Rescale slope and intercept; none is written when `None`.
    pub rescale: Option<(f64, f64)>,
    /// Millimetres between rows and between columns; written as Pixel Spacing and Imager Pixel Spacing.
    pub spacing_mm: Option<(f32, f32)>,
    /// `CR` or `DX`; the storage class is CR in either case, as in the public chest collections.
    pub modality: &'a str,
    /// `PA`, `AP`, `LL`, ... or empty.
    pub view_position: &'a str,
    /// `L`, `R`, or empty for what is unpaired: a chest.
    pub laterality: &'a str,
    /// Body part examined.
    pub body_part: &'a str,
    /// The patient's identifier.
    pub patient_id: &'a str,
    /// The patient's name; `^` parts the components.
    pub patient_name: &'a str,
    /// `M`, `F`, `O` or empty.
    pub patient_sex: &'a str,
    /// Such as `054Y`, or empty.
    pub patient_age: &'a str,
    /// `YYYYMMDD`, or empty.
    pub study_date: &'a str,
    /// Accession number, at most 16 characters, or empty.
    pub accession_number: &'a str,
    /// Free text on the image, or empty.
    pub image_comments: &'a str,
    /// Identifies the study; see [`derived_uid`].
    pub study_uid: String,
    /// Identifies the series.
    pub series_uid: String,
    /// Identifies this image.
    pub instance_uid: String,
}

impl<'a> DicomImage<'a> {
    /// A chest CR of MONOCHROME2 with UIDs derived from `seed`.
    pub fn new(pixels: &'a [u16], width: usize, height: usize, seed: u64) -> Self {
        Self {
            pixels,
            width,
            height,
            polarity: Polarity::Monochrome2,
            window: None,
            rescale: None,
            spacing_mm: None,
            modality: "CR",
            view_position: "",
            laterality: "",
            body_part: "CHEST",
            patient_id: "",
            patient_name: "",
            patient_sex: "",
            patient_age: "",
            study_date: "",
            accession_number: "",
            image_comments: "",
            study_uid: derived_uid(seed, "study"),
            series_uid: derived_uid(seed, "series"),
            instance_uid: derived_uid(seed, "instance"),
        }
    }
}

/// A UID under the root 2.25 (ITU-T X.667), the same for the same `seed` and `role` on every machine.
pub fn derived_uid(seed: u64, role: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"hilum uid 1\0");
    hash.update(seed.to_le_bytes());
    hash.update(role.as_bytes());
    let digest = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    // The number is a UUID: version 8 (made by rule), variant RFC 9562.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

/// Writes `image` to `path`.
///
/// # Errors
/// As [`dicom_bytes`], and when the file cannot be written.
pub fn write_dicom(path: &Path, image: &DicomImage<'_>) -> Result<(), ImageError> {
    write_bytes(path, &dicom_bytes(image)?)
}

/// A DICOM file of `image`, preamble and meta group included.
///
/// # Errors
/// When the pixels do not fill rows and columns, a side is above 65,535, a value needs more than 12 bits, or
/// an identifier is no UID.
pub fn dicom_bytes(image: &DicomImage<'_>) -> Result<Vec<u8>, ImageError> {
    let (rows, columns) = check(image)?;
    let mut object = InMemDicomObject::new_empty();
    let mut put = |tag: Tag, vr: VR, value: PrimitiveValue| {
        object.put(DataElement::new(tag, vr, value));
    };
    let text = |s: &str| PrimitiveValue::from(s);
    let decimal = |v: f64| decimal_string(v);

    put(tags::SPECIFIC_CHARACTER_SET, VR::CS, text("ISO_IR 192"));
    let kind = if image.polarity == Polarity::Monochrome1 {
        "MONOCHROME1"
    } else {
        "MONOCHROME2"
    };
    put(
        tags::IMAGE_TYPE,
        VR::CS,
        dicom_value!(Strs, ["DERIVED", "PRIMARY"]),
    );
    put(
        tags::SOP_CLASS_UID,
        VR::UI,
        text(uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE),
    );
    put(tags::SOP_INSTANCE_UID, VR::UI, text(&image.instance_uid));
    put(tags::STUDY_DATE, VR::DA, text(image.study_date));
    put(tags::STUDY_TIME, VR::TM, text(""));
    put(tags::ACCESSION_NUMBER, VR::SH, text(image.accession_number));
    put(tags::MODALITY, VR::CS, text(image.modality));
    put(tags::MANUFACTURER, VR::LO, text("Hilum"));
    put(tags::REFERRING_PHYSICIAN_NAME, VR::PN, text(""));
    put(tags::PATIENT_NAME, VR::PN, text(image.patient_name));
    put(tags::PATIENT_ID, VR::LO, text(image.patient_id));
    put(tags::PATIENT_BIRTH_DATE, VR::DA, text(""));
    put(tags::PATIENT_SEX, VR::CS, text(image.patient_sex));
    if !image.patient_age.is_empty() {
        put(tags::PATIENT_AGE, VR::AS, text(image.patient_age));
    }
    put(tags::BODY_PART_EXAMINED, VR::CS, text(image.body_part));
    put(tags::VIEW_POSITION, VR::CS, text(image.view_position));
    put(tags::STUDY_INSTANCE_UID, VR::UI, text(&image.study_uid));
    put(tags::SERIES_INSTANCE_UID, VR::UI, text(&image.series_uid));
    put(tags::STUDY_ID, VR::SH, text(""));
    put(tags::SERIES_NUMBER, VR::IS, text("1"));
    put(tags::INSTANCE_NUMBER, VR::IS, text("1"));
    put(tags::PATIENT_ORIENTATION, VR::CS, dicom_value!(Strs, ["L", "F"]));
    put(tags::LATERALITY, VR::CS, text(image.laterality));
    if !image.image_comments.is_empty() {
        put(tags::IMAGE_COMMENTS, VR::LT, text(image.image_comments));
    }
    put(tags::SAMPLES_PER_PIXEL, VR::US, PrimitiveValue::from(1_u16));
    put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, text(kind));
    put(tags::ROWS, VR::US, PrimitiveValue::from(rows));
    put(tags::COLUMNS, VR::US, PrimitiveValue::from(columns));
    if let Some((between_rows, between_columns)) = image.spacing_mm {
        let pair = [decimal_f32(between_rows), decimal_f32(between_columns)];
        put(
            tags::PIXEL_SPACING,
            VR::DS,
            PrimitiveValue::Strs(pair.clone().into_iter().collect()),
        );
        put(
            tags::IMAGER_PIXEL_SPACING,
            VR::DS,
            PrimitiveValue::Strs(pair.into_iter().collect()),
        );
    }
    put(tags::BITS_ALLOCATED, VR::US, PrimitiveValue::from(16_u16));
    put(tags::BITS_STORED, VR::US, PrimitiveValue::from(12_u16));
    put(tags::HIGH_BIT, VR::US, PrimitiveValue::from(11_u16));
    put(tags::PIXEL_REPRESENTATION, VR::US, PrimitiveValue::from(0_u16));
    if let Some((center, width)) = image.window {
        put(tags::WINDOW_CENTER, VR::DS, text(&decimal(center)));
        put(tags::WINDOW_WIDTH, VR::DS, text(&decimal(width)));
    }
    if let Some((slope, intercept)) = image.rescale {
        put(tags::RESCALE_INTERCEPT, VR::DS, text(&decimal(intercept)));
        put(tags::RESCALE_SLOPE, VR::DS, text(&decimal(slope)));
        put(tags::RESCALE_TYPE, VR::LO, text("US"));
    }
    put(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::U16(image.pixels.iter().copied().collect()),
    );

    let encode = |e: &dyn std::fmt::Display| ImageError::Encode("DICOM", e.to_string());
    let file = object
        .with_meta(
            FileMetaTableBuilder::new()
                .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
                .media_storage_sop_class_uid(uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE)
                .media_storage_sop_instance_uid(&image.instance_uid)
                .implementation_class_uid(derived_uid(0, "implementation"))
                .implementation_version_name("HILUM"),
        )
        .map_err(|e| encode(&e))?;
    let mut out = Vec::with_capacity(2 * image.pixels.len() + 2048);
    file.write_all(&mut out).map_err(|e| encode(&e))?;
    Ok(out)
}

/// Rows and columns of an image that can be written.
fn check(image: &DicomImage<'_>) -> Result<(u16, u16), ImageError> {
    let (Ok(rows), Ok(columns)) = (u16::try_from(image.height), u16::try_from(image.width)) else {
        return Err(ImageError::Shape(format!(
            "{} x {} pixels cannot be DICOM, whose sides end at 65,535",
            image.width, image.height
        )));
    };
    if image.pixels.is_empty() || image.pixels.len() != image.width * image.height {
        return Err(ImageError::Shape(format!(
            "{} values cannot be an image of {columns} x {rows} pixels",
            image.pixels.len()
        )));
    }
    if let Some(at) = image.pixels.iter().position(|v| *v > MAX_STORED) {
        return Err(ImageError::Shape(format!(
            "the value {} at index {at} needs more than 12 bits",
            image.pixels[at]
        )));
    }
    for uid in [&image.study_uid, &image.series_uid, &image.instance_uid] {
        let plain =
            !uid.is_empty() && uid.len() <= 64 && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !plain {
            return Err(ImageError::Shape(format!(
                "{uid:?} is no DICOM UID: at most 64 digits and dots"
            )));
        }
    }
    Ok((rows, columns))
}

/// As [`decimal_string`], from the digits that the shorter type has.
fn decimal_f32(value: f32) -> String {
    let plain = value.to_string();
    if plain.len() <= 16 {
        plain
    } else {
        decimal_string(value.into())
    }
}

/// The shortest text of at most 16 characters (the limit of the DS representation) that is nearest to
/// `value`.
fn decimal_string(value: f64) -> String {
    let plain = format!("{value}");
    if plain.len() <= 16 {
        return plain;
    }
    (0..=15)
        .rev()
        .map(|digits| format!("{value:.digits$e}"))
        .find(|s| s.len() <= 16)
        .unwrap_or_else(|| "0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_stable_distinct_and_legal() {
        let uid = derived_uid(7, "study");
        assert_eq!(uid, derived_uid(7, "study"));
        assert_ne!(uid, derived_uid(7, "series"));
        assert_ne!(uid, derived_uid(8, "study"));
        assert!(uid.starts_with("2.25.") && uid.len() <= 44);
        assert!(!uid[5..].starts_with('0'));
    }

    #[test]
    fn decimals_fit_sixteen_characters() {
        for value in [
            0.0,
            1.0,
            -1024.0,
            0.139,
            1.0 / 3.0,
            -2.0e-7 / 3.0,
            f64::from(0.143_f32),
            1.0e300,
        ] {
            let s = decimal_string(value);
            assert!(s.len() <= 16, "{s}");
            let back: f64 = s.parse().unwrap();
            assert!((back - value).abs() <= 1e-7 * value.abs(), "{value} became {s}");
        }
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let image = DicomImage::new(&[0, 4096], 2, 1, 0);
        assert!(dicom_bytes(&image).unwrap_err().to_string().contains("12 bits"));
        assert!(dicom_bytes(&DicomImage::new(&[0; 5], 2, 2, 0)).is_err());
        let mut named = DicomImage::new(&[0; 4], 2, 2, 0);
        named.study_uid = "study one".to_owned();
        assert!(dicom_bytes(&named).unwrap_err().to_string().contains("UID"));
    }
}
