//! DICOM to a [`Radiograph`]: lengths first ([`structure`]), then attributes, then the first frame's pixels.

mod attributes;
mod frames;
mod pixels;
mod representation;
mod rle;
mod structure;
#[cfg(test)]
mod structure_tests;
mod syntax;
mod walk;

use dicom_dictionary_std::tags;

pub(crate) use pixels::luma;
pub(crate) use structure::looks_like_dicom;

use self::attributes::Attributes;
use self::pixels::{PixelModule, Values};
use super::error::ImageError;
use super::guard::guarded;
use super::radiograph::{Identity, Polarity, Radiograph};

/// Decodes the first frame of a DICOM file, with or without preamble and meta group.
///
/// # Errors
/// When the file is cut short, damaged, too large, without pixels, or of a syntax that is not read.
pub(crate) fn decode(bytes: &[u8]) -> Result<Radiograph, ImageError> {
    let mut notes = Vec::new();
    let meta = structure::read_meta(bytes)?;
    let mut data_set = &bytes[meta.data_set..];
    let inflated;
    if meta.transfer_syntax.as_deref() == Some(syntax::DEFLATED) {
        inflated = syntax::inflate(data_set)?;
        data_set = &inflated;
    }
    let seen = structure::seen_encoding(data_set)
        .ok_or_else(|| ImageError::truncated("DICOM", "no data set follows its header"))?;
    let uid = match meta.transfer_syntax {
        Some(uid) if !uid.is_empty() => {
            if syntax::encoding(&uid) != seen {
                notes.push(format!(
                    "the data set is not encoded as its {} declares",
                    syntax::name(&uid)
                ));
            }
            uid
        }
        _ => {
            notes.push("the file does not say its transfer syntax; it was inferred".to_owned());
            inferred(seen).to_owned()
        }
    };
    let found = structure::scan(data_set, seen)?;
    if found.left_out > 0 {
        notes.push(format!(
            "{} elements are left out: their lengths cannot be right",
            found.left_out
        ));
    }
    let attributes = guarded("DICOM", || syntax::parse(&found.attributes))?;
    let Some(pixel_data) = found.pixels else {
        let modality = attributes.text(tags::MODALITY);
        return Err(ImageError::NoPixels(if modality.is_empty() {
            "it has no pixel data".to_owned()
        } else {
            format!("it has no pixel data, and its modality is {modality}")
        }));
    };
    let module = PixelModule::read(&attributes)?;
    let values = guarded("DICOM pixel", || {
        module.values(&pixel_data, seen, &uid, &attributes)
    })?;
    if module.frames > 1 {
        notes.push(format!("the first of {} frames is shown", module.frames));
    }
    let format = format!("DICOM, {}", syntax::name(&uid));
    assemble(&attributes, &module, values, format, notes)
}

/// The syntax of a data set that has no meta group.
fn inferred(seen: structure::Encoding) -> &'static str {
    match seen {
        structure::Encoding::ImplicitLittle => syntax::IMPLICIT,
        structure::Encoding::ExplicitLittle => syntax::EXPLICIT,
        structure::Encoding::ExplicitBig => syntax::BIG_ENDIAN,
    }
}

/// Applies the modality LUT and gathers what display needs.
fn assemble(
    attributes: &Attributes,
    module: &PixelModule,
    values: Values,
    format: String,
    mut notes: Vec<String>,
) -> Result<Radiograph, ImageError> {
    let photometric = match module.photometric.as_str() {
        "MONOCHROME1" => Polarity::Monochrome1,
        "" => {
            notes.push("the photometric interpretation is missing: MONOCHROME2 is assumed".to_owned());
            Polarity::Monochrome2
        }
        _ => Polarity::Monochrome2,
    };
    let mut padding = None;
    let mut display_range = None;
    let values = match values {
        Values::Luminance(values, white) => {
            notes.push(format!(
                "colour ({}) is shown as its luminance",
                module.photometric
            ));
            display_range = Some((0.0, white));
            values
        }
        Values::Float(values) => values,
        Values::Grey(stored) => {
            if let Some((low, high)) = attributes.padding() {
                let mask: Vec<bool> = stored
                    .iter()
                    .map(|v| (low..=high).contains(&i64::from(*v)))
                    .collect();
                let count = mask.iter().filter(|p| **p).count();
                if count > 0 {
                    notes.push(format!("{count} padding pixels are shown black"));
                    padding = Some(mask);
                }
            }
            let modality = attributes.modality(module.signed)?;
            stored.into_iter().map(|v| modality.apply(v)).collect()
        }
    };
    let (windows, voi_function) = attributes.windows(&mut notes);
    let voi_luts = attributes.voi_luts(module.signed, &mut notes);
    if windows.is_empty() && voi_luts.is_empty() && display_range.is_none() {
        notes.push("the file has no window: it is shown from its lowest to its highest value".to_owned());
    }
    let (windows, voi_luts) = if display_range.is_some() {
        Default::default()
    } else {
        (windows, voi_luts)
    };
    let text = |tag| attributes.text(tag);
    // Computed and digital radiography, fluoroscopy, film that was scanned, and pictures that were captured
    // from a screen.
    const RADIOGRAPHS: [&str; 7] = ["CR", "DX", "RG", "RF", "XA", "SC", "OT"];
    let modality = text(tags::MODALITY);
    if !modality.is_empty() && !RADIOGRAPHS.contains(&modality.as_str()) {
        notes.push(format!(
            "its modality is {modality}, so it is no chest radiograph, and what is said of it means nothing"
        ));
    }
    Ok(Radiograph {
        width: module.shape.width,
        height: module.shape.height,
        values,
        photometric,
        windows,
        voi_luts,
        voi_function,
        display_range,
        padding,
        spacing_mm: attributes.spacing_mm(),
        notes,
        format,
        identity: Identity {
            patient_id: text(tags::PATIENT_ID),
            study_uid: text(tags::STUDY_INSTANCE_UID),
            series_uid: text(tags::SERIES_INSTANCE_UID),
            instance_uid: text(tags::SOP_INSTANCE_UID),
            class_uid: text(tags::SOP_CLASS_UID),
            modality: text(tags::MODALITY),
            body_part: text(tags::BODY_PART_EXAMINED),
            view_position: text(tags::VIEW_POSITION),
            laterality: text(tags::LATERALITY),
        },
    })
}
