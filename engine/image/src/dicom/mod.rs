//! DICOM to a [`Radiograph`]: lengths first ([`structure`]), then attributes, then the first frame's pixels.

mod attributes;
mod colour;
mod element;
mod encoding;
#[cfg(test)]
mod forms_tests;
mod frames;
mod lut;
mod photometric;
mod pixels;
mod report;
#[cfg(test)]
mod report_tests;
mod representation;
mod rle;
mod said;
mod structure;
#[cfg(test)]
mod structure_tests;
mod syntax;
mod values;
mod walk;

use dicom_dictionary_std::tags;

pub(crate) use colour::luma;
pub use report::{ReportText, is_report, read_report};
pub use structure::looks_like_dicom;

use self::attributes::Attributes;
use self::photometric::Photometric;
use self::pixels::PixelModule;
use self::values::Values;
use super::error::ImageError;
use super::guard::guarded;
use super::radiograph::{Identity, Polarity, Radiograph};
use super::square;

/// Decodes the first frame of a DICOM file, with or without preamble and meta group.
///
/// # Errors
/// When the file is cut short, damaged, too large, without pixels, or of a syntax that is not read.
pub(crate) fn decode(bytes: &[u8]) -> Result<Radiograph, ImageError> {
    let mut notes = Vec::new();
    let (meta, data_set, seen) = structure::open(bytes)?;
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
    let found = structure::scan(&data_set, seen)?;
    if found.left_out > 0 {
        notes.push(format!(
            "{} left out of the header: the length cannot be right",
            match found.left_out {
                1 => "an element is".to_owned(),
                n => format!("{n} elements are"),
            }
        ));
    }
    let attributes = guarded("DICOM", || syntax::parse(&found.attributes))?;
    let Some(pixel_data) = found.pixels else {
        let class = meta.class_uid.unwrap_or_default();
        return Err(ImageError::NoPixels(without_pixels(
            &attributes,
            &class,
            found.directory,
        )));
    };
    let module = PixelModule::read(&attributes, &mut notes)?;
    let values = guarded("DICOM pixel", || {
        module.values(&pixel_data, seen, &uid, &attributes, &mut notes)
    })?;
    if module.frames > 1 {
        notes.push(format!("the first of {} frames is shown", module.frames));
    }
    notes.extend(said::notes(&attributes, &found.overlays));
    let format = format!("DICOM, {}", syntax::name(&uid));
    assemble(&attributes, &module, values, format, notes)
}

/// The syntax of a data set that has no meta group.
fn inferred(seen: encoding::Encoding) -> &'static str {
    match seen {
        encoding::Encoding::ImplicitLittle => syntax::IMPLICIT,
        encoding::Encoding::ExplicitLittle => syntax::EXPLICIT,
        encoding::Encoding::ExplicitBig => syntax::BIG_ENDIAN,
    }
}

/// Why an object has no pixels.
fn without_pixels(attributes: &Attributes, class: &str, directory: bool) -> String {
    // Media Storage Directory Storage.
    if directory || class == "1.2.840.10008.1.3.10" {
        return "it is a DICOMDIR, the directory of a disc or folder, which only lists the images".to_owned();
    }
    let storage = class.strip_prefix("1.2.840.10008.5.1.4.1.1.").unwrap_or_default();
    if storage.starts_with("104.") {
        return "it is a document (a PDF or the like) in a DICOM wrapper".to_owned();
    }
    if storage.starts_with("88.") {
        return "it is a structured report".to_owned();
    }
    if storage.starts_with("11.") {
        return "it is a presentation state, which says how another object's image is shown".to_owned();
    }
    match attributes.text(tags::MODALITY).as_str() {
        "" => "it has no pixel data".to_owned(),
        modality => format!("it has no pixel data, and its modality is {modality}"),
    }
}

/// Applies the modality LUT and gathers what display needs.
fn assemble(
    attributes: &Attributes,
    module: &PixelModule,
    values: Values<'_>,
    format: String,
    mut notes: Vec<String>,
) -> Result<Radiograph, ImageError> {
    let photometric = match module.photometric {
        Photometric::Grey(polarity) => polarity,
        _ => Polarity::Monochrome2,
    };
    let mut padding = None;
    let mut display_range = None;
    // Whether a VOI LUT's input may be below 0 (PS3.3 C.11.2.1.1).
    let mut signed = module.signed;
    let values = match values {
        Values::Luminance(values, white) => {
            notes.push(match module.photometric {
                Photometric::Grey(_) => "colour is shown as its luminance".to_owned(),
                _ => format!("colour ({}) is shown as its luminance", module.photometric_name),
            });
            display_range = Some((0.0, white));
            values
        }
        Values::Float(values) => values,
        Values::Grey(stored) => {
            if let Some((low, high)) = attributes.padding(module.signed) {
                let mask = stored.map(|v| (low..=high).contains(&i64::from(v)));
                let count = mask.iter().filter(|p| **p).count();
                if count > 0 {
                    notes.push(format!("{count} padding pixels are shown black"));
                    padding = Some(mask);
                }
            }
            let modality = attributes.modality(module.signed, &mut notes)?;
            let (low, high) = module.range();
            signed = modality.is_signed(low, high);
            modality.apply(stored)
        }
    };
    let (windows, voi_function) = attributes.windows(&mut notes);
    let voi_luts = attributes.voi_luts(signed, &mut notes);
    if windows.is_empty() && voi_luts.is_empty() && display_range.is_none() {
        notes.push("the file has no window: it is shown from its lowest to its highest value".to_owned());
    }
    let (windows, voi_luts) = if display_range.is_some() {
        Default::default()
    } else {
        (windows, voi_luts)
    };
    let text = |tag| attributes.text(tag);
    let photometric = match display_range {
        // A luminance is never inverted.
        Some(_) => Polarity::Monochrome2,
        None => photometric,
    };
    let mut radiograph = Radiograph {
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
    };
    square::square(&mut radiograph, attributes.aspect());
    Ok(radiograph)
}
