//! PNG and JPEG pictures of 8 and 16 bits.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, Limits};

use super::dicom::luma;
use super::error::ImageError;
use super::guard::guarded;
use super::jpeg;
use super::limits::{Colour, MAX_SAMPLES, Planes, Shape};
use super::radiograph::{Identity, Polarity, Radiograph};
use super::voi::WindowFunction;

const PNG: &str = "PNG";

/// The limits that the decoders keep themselves.
fn limits() -> Limits {
    let mut limits = Limits::default();
    // 16-bit RGBA has 8 bytes a pixel; the decoder needs room for some rows beside.
    limits.max_alloc = Some(8 * MAX_SAMPLES as u64 + (1 << 20));
    limits
}

/// An error of the decoder as ours: whether the bytes ended or were wrong.
fn convert(format: &'static str, error: image::ImageError) -> ImageError {
    let text = error.to_string();
    match error {
        image::ImageError::Limits(_) => {
            ImageError::TooLarge(format!("its {format} data need too much memory"))
        }
        image::ImageError::IoError(_) => ImageError::truncated(format, "it ends before its last row"),
        image::ImageError::Unsupported(_) => ImageError::Unsupported(text),
        _ if text.contains("unexpected end") || text.contains("unexpected EOF") => {
            ImageError::truncated(format, "it ends before its last row")
        }
        _ => ImageError::malformed(format, text),
    }
}

/// Decodes a PNG: grey as it is, colour as luminance, transparency ignored.
pub(crate) fn decode_png(bytes: &[u8]) -> Result<Radiograph, ImageError> {
    guarded(PNG, || {
        let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(|e| convert(PNG, e))?;
        read(PNG, decoder)
    })
}

/// Decodes a JPEG photograph, or one of 12 bits or lossless.
pub(crate) fn decode_jpeg(bytes: &[u8]) -> Result<Radiograph, ImageError> {
    let frame = jpeg::probe(bytes)?;
    if frame.marker == 0xf7 {
        return Err(ImageError::Unsupported(
            "a bare JPEG-LS file is not read; give it as DICOM or PNG".to_owned(),
        ));
    }
    if frame.precision == 8 && frame.marker != 0xc3 {
        check_end(bytes)?;
        return guarded("JPEG", || {
            let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| convert("JPEG", e))?;
            read("JPEG", decoder)
        });
    }
    let planes = jpeg::decode(bytes, None)?;
    let bits = planes.precision;
    let mut notes = Vec::new();
    let values = match (planes.planes.as_slice(), planes.colour) {
        ([grey], _) => grey.iter().map(|v| *v as f32).collect(),
        ([r, g, b], Some(Colour::Rgb)) => {
            notes.push("colour is shown as its luminance".to_owned());
            r.iter()
                .zip(g)
                .zip(b)
                .map(|((r, g), b)| luma(f64::from(*r), f64::from(*g), f64::from(*b)))
                .collect()
        }
        ([y, ..], _) => {
            notes.push("colour is shown as its luminance".to_owned());
            y.iter().map(|v| *v as f32).collect()
        }
        ([], _) => Vec::new(),
    };
    Ok(picture(
        planes.shape.width,
        planes.shape.height,
        values,
        format!("JPEG, {bits} bit"),
        bits == 8,
        notes,
    ))
}

/// The components of a progressive JPEG inside DICOM.
pub(crate) fn photograph(bytes: &[u8]) -> Result<Planes, ImageError> {
    check_end(bytes)?;
    guarded("JPEG", || {
        let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| convert("JPEG", e))?;
        let picture = DynamicImage::from_decoder(decoder).map_err(|e| convert("JPEG", e))?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let grey = !picture.color().has_color();
        let shape = Shape::new(width, height, if grey { 1 } else { 3 })?;
        let planes = if grey {
            vec![
                picture
                    .into_luma8()
                    .into_raw()
                    .into_iter()
                    .map(i32::from)
                    .collect(),
            ]
        } else {
            let rgb = picture.into_rgb8().into_raw();
            (0..3)
                .map(|c| rgb.iter().skip(c).step_by(3).map(|v| i32::from(*v)).collect())
                .collect()
        };
        Ok(Planes {
            shape,
            planes,
            precision: 8,
            colour: (!grey).then_some(Colour::Rgb),
        })
    })
}

/// The decoder fills what is missing with grey; a picture that was cut short must not pass for a whole one.
fn check_end(bytes: &[u8]) -> Result<(), ImageError> {
    let scan = bytes.windows(2).rposition(|w| w == [0xff, 0xda]).unwrap_or(0);
    match bytes[scan..].windows(2).any(|w| w == [0xff, 0xd9]) {
        true => Ok(()),
        false => Err(ImageError::truncated(
            "JPEG",
            "its end-of-image marker is missing",
        )),
    }
}

/// Reads pixels once the declared size is known to be allowed.
fn read(format: &'static str, mut decoder: impl ImageDecoder) -> Result<Radiograph, ImageError> {
    let (width, height) = decoder.dimensions();
    let shape = Shape::new(width as usize, height as usize, 1)?;
    decoder.set_limits(limits()).map_err(|e| convert(format, e))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|e| convert(format, e))?;
    let mut notes = Vec::new();
    if picture.color().has_color() {
        notes.push("colour is shown as its luminance".to_owned());
    }
    if picture.color().has_alpha() {
        notes.push("transparency is ignored".to_owned());
    }
    let rgb = |p: [f64; 3]| luma(p[0], p[1], p[2]);
    let (bits, values): (u32, Vec<f32>) = match picture {
        DynamicImage::ImageLuma8(p) => (8, p.iter().map(|v| f32::from(*v)).collect()),
        DynamicImage::ImageLumaA8(p) => (8, p.pixels().map(|p| f32::from(p.0[0])).collect()),
        DynamicImage::ImageLuma16(p) => (16, p.iter().map(|v| f32::from(*v)).collect()),
        DynamicImage::ImageLumaA16(p) => (16, p.pixels().map(|p| f32::from(p.0[0])).collect()),
        DynamicImage::ImageRgb8(p) => (8, p.pixels().map(|p| rgb(p.0.map(f64::from))).collect()),
        DynamicImage::ImageRgba8(p) => (
            8,
            p.pixels()
                .map(|p| rgb([p.0[0], p.0[1], p.0[2]].map(f64::from)))
                .collect(),
        ),
        DynamicImage::ImageRgb16(p) => (16, p.pixels().map(|p| rgb(p.0.map(f64::from))).collect()),
        DynamicImage::ImageRgba16(p) => (
            16,
            p.pixels()
                .map(|p| rgb([p.0[0], p.0[1], p.0[2]].map(f64::from)))
                .collect(),
        ),
        other => {
            return Err(ImageError::Unsupported(format!(
                "{format} of {:?} is not read",
                other.color()
            )));
        }
    };
    Ok(picture_of(
        shape,
        values,
        format!("{format}, {bits} bit"),
        bits == 8,
        notes,
    ))
}

fn picture_of(
    shape: Shape,
    values: Vec<f32>,
    format: String,
    whole_range: bool,
    notes: Vec<String>,
) -> Radiograph {
    picture(shape.width, shape.height, values, format, whole_range, notes)
}

/// A radiograph of a picture: 8 bits are shown as they are, deeper ones rarely fill their range.
fn picture(
    width: usize,
    height: usize,
    values: Vec<f32>,
    format: String,
    whole_range: bool,
    mut notes: Vec<String>,
) -> Radiograph {
    if !whole_range {
        notes.push("the picture has no window: it is shown from its lowest to its highest value".to_owned());
    }
    Radiograph {
        width,
        height,
        values,
        photometric: Polarity::Monochrome2,
        windows: Vec::new(),
        voi_luts: Vec::new(),
        voi_function: WindowFunction::Linear,
        display_range: whole_range.then_some((0.0, 255.0)),
        padding: None,
        spacing_mm: None,
        notes,
        format,
        identity: Identity::default(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::encode::{jpeg_bytes, png_bytes};
    use crate::radiograph::WindowChoice;

    fn ramp(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i * 251 / n) as u8).collect()
    }

    #[test]
    fn eight_bit_pictures_are_shown_as_they_are() {
        let gray = ramp(20 * 30);
        let r = decode_png(&png_bytes(&gray, 20, 30).unwrap()).unwrap();
        assert_eq!((r.width, r.height), (20, 30));
        assert_eq!(r.display(&WindowChoice::Default).unwrap().pixels, gray);
    }

    #[test]
    fn sixteen_bits_are_kept() {
        let values: Vec<u16> = (0..600).map(|i| i * 100).collect();
        let mut bytes = Cursor::new(Vec::new());
        let buffer = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(20, 30, values.clone()).unwrap();
        buffer.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        let r = decode_png(bytes.get_ref()).unwrap();
        assert!(r.values.iter().zip(&values).all(|(a, b)| *a == f32::from(*b)));
        assert_eq!(r.notes.len(), 1);
    }

    #[test]
    fn colour_becomes_luminance() {
        let buffer =
            image::RgbImage::from_fn(4, 4, |x, _| image::Rgb([if x < 2 { 200 } else { 0 }, 100, 50]));
        let mut bytes = Cursor::new(Vec::new());
        buffer.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        let r = decode_png(bytes.get_ref()).unwrap();
        assert!((r.values[0] - 124.2).abs() < 1e-4 && (r.values[3] - 64.4).abs() < 1e-4);
    }

    #[test]
    fn pictures_cut_at_any_byte_are_errors() {
        let png = png_bytes(&ramp(64 * 64), 64, 64).unwrap();
        let jpeg = jpeg_bytes(&ramp(64 * 64), 64, 64, 90).unwrap();
        for end in 2..jpeg.len() {
            assert!(decode_jpeg(&jpeg[..end]).is_err(), "JPEG cut at {end}");
        }
        // The last chunk of a PNG, 12 bytes, holds nothing.
        for end in 0..png.len() - 12 {
            assert!(decode_png(&png[..end]).is_err(), "PNG cut at {end}");
        }
    }

    #[test]
    fn a_png_bomb_is_refused_by_its_header() {
        let mut png = png_bytes(&ramp(16), 4, 4).unwrap();
        png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        // The header's checksum, over its type and 13 bytes.
        let crc = png[12..29].iter().fold(!0_u32, |mut c, b| {
            c ^= u32::from(*b);
            (0..8).for_each(|_| c = if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 });
            c
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        assert!(matches!(decode_png(&png), Err(ImageError::TooLarge(_))));
    }

    #[test]
    fn both_jpeg_decoders_agree() {
        let gray = ramp(48 * 40);
        let bytes = jpeg_bytes(&gray, 48, 40, 80).unwrap();
        let theirs = decode_jpeg(&bytes).unwrap();
        let ours = jpeg::decode(&bytes, None).unwrap();
        let worst = ours.planes[0]
            .iter()
            .zip(&theirs.values)
            .map(|(a, b)| (*a as f32 - b).abs())
            .fold(0.0, f32::max);
        assert!(worst <= 1.0, "{worst}");
    }
}
