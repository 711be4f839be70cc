//! Colour to luminance: three planes, and palettes.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use super::values::Values;
use crate::error::ImageError;
use crate::limits::{Colour, Planes};
use crate::voi::Lut;

/// The luminance of three planes, by the weights that YBR of DICOM has (ITU-R BT.601).
pub(super) fn luminance(planes: &Planes, colour: Colour, stored: u32) -> Values<'static> {
    let white = ((1_u64 << stored) - 1) as f32;
    let values = match (colour, planes.planes.as_slice()) {
        (Colour::Rgb, [r, g, b]) => r
            .iter()
            .zip(g)
            .zip(b)
            .map(|((r, g), b)| luma(f64::from(*r), f64::from(*g), f64::from(*b)))
            .collect(),
        (Colour::YbrPartial, [y, ..]) => {
            let unit = f64::from(white) / 255.0;
            let spread = |v: f64| ((v - 16.0 * unit) * 255.0 / 219.0).clamp(0.0, f64::from(white)) as f32;
            y.iter().map(|v| spread(f64::from(*v))).collect()
        }
        (_, [y, ..]) => y.iter().map(|v| *v as f32).collect(),
        (_, []) => Vec::new(),
    };
    Values::Luminance(values, white)
}

/// The luminance of a colour.
pub(crate) fn luma(r: f64, g: f64, b: f64) -> f32 {
    (0.299 * r + 0.587 * g + 0.114 * b) as f32
}

/// Indices to the luminance of the palette's colours.
pub(super) fn palette(planes: &Planes, attributes: &Attributes) -> Result<Values<'static>, ImageError> {
    let segmented = attributes
        .0
        .get(tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA)
        .is_some();
    if segmented {
        return Err(ImageError::Unsupported(
            "a palette in segments is not read; export the image in grey or RGB".to_owned(),
        ));
    }
    let table = |descriptor, data| attributes.palette(descriptor, data);
    let tables: [Lut; 3] = [
        table(
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )?,
        table(
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )?,
        table(
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        )?,
    ];
    let white = ((1_u32 << tables[0].bits) - 1) as f32;
    let indices = planes.planes.first().map(Vec::as_slice).unwrap_or_default();
    let value = |i: &i32| {
        let [r, g, b] = [0, 1, 2].map(|c: usize| f64::from(tables[c].get(i64::from(*i))));
        luma(r, g, b)
    };
    Ok(Values::Luminance(indices.iter().map(value).collect(), white))
}

/// Whether `bytes`, three for each pixel of `width` columns, are colours one after the other rather than grey
/// rows that run on: then samples are nearer to those three before them than to their neighbours, or all three
/// of a pixel are one grey.
pub(super) fn looks_like_triples(bytes: &[u8]) -> bool {
    let mean = |step: usize, first: usize, stride: usize| -> f64 {
        let (mut sum, mut count) = (0_u64, 0_u64);
        let mut i = first;
        while i + step < bytes.len() {
            sum += u64::from(bytes[i].abs_diff(bytes[i + step]));
            count += 1;
            i += stride;
        }
        sum as f64 / count.max(1) as f64
    };
    let inside = (mean(1, 0, 3) + mean(1, 1, 3)) / 2.0;
    let between = mean(1, 2, 3);
    let apart = mean(3, 0, 1);
    inside * 4.0 < between || apart * 2.0 < inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_are_told_from_grey_rows() {
        let grey: Vec<u8> = (0..900).map(|i| (i % 90 * 2) as u8).collect();
        assert!(!looks_like_triples(&grey));
        let same: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
        assert!(looks_like_triples(&same));
        let colours: Vec<u8> = grey.iter().flat_map(|v| [*v, 255 - v, 30]).collect();
        assert!(looks_like_triples(&colours));
        assert!(!looks_like_triples(&[]));
    }
}
