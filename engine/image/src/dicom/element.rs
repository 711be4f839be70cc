//! The values of one element, as text and as numbers.

use dicom_core::{Tag, VR};
use dicom_object::InMemDicomObject;

use crate::error::ImageError;

/// The name of the format in errors.
pub(super) const DICOM: &str = "DICOM";

/// The values of an element as text, trimmed; `None` where it is absent or empty.
pub(super) fn texts(object: &InMemDicomObject, tag: Tag) -> Option<Vec<String>> {
    let element = object.get(tag)?;
    let values = element.value().to_multi_str().ok()?;
    let trimmed: Vec<String> = values
        .iter()
        .map(|s| s.trim_matches(['\0', ' ', '\t']).to_owned())
        .collect();
    trimmed.iter().any(|s| !s.is_empty()).then_some(trimmed)
}

/// The values of an element as numbers; an error where it is there and is none.
pub(super) fn numbers(object: &InMemDicomObject, tag: Tag) -> Result<Option<Vec<f64>>, ImageError> {
    let Some(mut values) = texts(object, tag) else {
        return Ok(None);
    };
    // A comma is not allowed in a decimal string (PS3.5 6.2), but can only be its point.
    if object.get(tag).is_some_and(|e| e.header().vr == VR::DS) {
        for value in &mut values {
            if !value.contains('.') && value.matches(',').count() == 1 {
                *value = value.replace(',', ".");
            }
        }
    }
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
