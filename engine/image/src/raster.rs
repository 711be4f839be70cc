//! PNG, JPEG, TIFF and WebP pictures of 8 and 16 bits, turned as their cameras ask.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, Limits};

use super::dicom::luma;
use super::error::ImageError;
use super::guard::guarded;
use super::jpeg;
use super::limits::{Colour, MAX_SAMPLES, Planes, Shape};
use super::radiograph::{Identity, Polarity, Radiograph};
use super::voi::WindowFunction;

const PNG: &str = "PNG";
const TIFF: &str = "TIFF";
const WEBP: &str = "WebP";

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
        image::ImageError::Unsupported(_) => ImageError::Unsupported(format!(
            "this kind of {format} is not read ({text}); save the picture as a grey PNG of 8 or 16 bits"
        )),
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

/// Decodes a WebP: the first picture of an animation.
pub(crate) fn decode_webp(bytes: &[u8]) -> Result<Radiograph, ImageError> {
    // The declared size of a RIFF file counts from its eighth byte.
    let declared = bytes
        .get(4..8)
        .map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    if bytes.len() < declared.saturating_add(8) {
        return Err(ImageError::truncated(
            WEBP,
            format!(
                "it declares {declared} bytes and {} are there",
                bytes.len().saturating_sub(8)
            ),
        ));
    }
    guarded(WEBP, || {
        let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|e| convert(WEBP, e))?;
        read(WEBP, decoder)
    })
}

/// Decodes the first page of a TIFF.
pub(crate) fn decode_tiff(bytes: &[u8]) -> Result<Radiograph, ImageError> {
    guarded(TIFF, || {
        let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(|e| convert(TIFF, e))?;
        let mut radiograph = read(TIFF, decoder)?;
        if has_second_page(bytes) {
            radiograph
                .notes
                .push("the first of several pages is shown".to_owned());
        }
        Ok(radiograph)
    })
}

/// Whether the first directory of a TIFF names another one.
fn has_second_page(bytes: &[u8]) -> bool {
    let big = bytes.starts_with(b"MM");
    let number = |at: usize, size: usize| -> Option<usize> {
        let word = bytes.get(at..at.checked_add(size)?)?;
        let join = |v: usize, b: &u8| v << 8 | usize::from(*b);
        Some(match big {
            true => word.iter().fold(0, join),
            false => word.iter().rev().fold(0, join),
        })
    };
    let next = || {
        let first = number(4, 4)?;
        let entries = number(first, 2)?;
        number(first.checked_add(2 + 12 * entries)?, 4)
    };
    // BigTIFF, whose version is 43, is laid out otherwise.
    number(2, 2) == Some(42) && next().is_some_and(|n| n != 0)
}

/// The orientation in the EXIF data of a JPEG that another decoder reads.
fn exif_orientation(bytes: &[u8]) -> Orientation {
    let mut found = None;
    if let Ok(mut segments) = jpeg::Segments::new(bytes, "JPEG") {
        while let Ok((marker, segment)) = segments.next() {
            match (marker, segment.strip_prefix(b"Exif\0\0")) {
                (0xe1, Some(chunk)) => found = Orientation::from_exif_chunk(chunk),
                (0xda | 0xd9, _) => break,
                _ => {}
            }
        }
    }
    found.unwrap_or(Orientation::NoTransforms)
}

/// A note on an orientation, unless it is the usual one.
fn turned(orientation: Orientation) -> Option<String> {
    let how = match orientation {
        Orientation::NoTransforms => return None,
        Orientation::Rotate90 => "turned by 90 degrees to the right",
        Orientation::Rotate180 => "turned by 180 degrees",
        Orientation::Rotate270 => "turned by 90 degrees to the left",
        Orientation::FlipHorizontal => "mirrored, left to right",
        Orientation::FlipVertical => "mirrored, top to bottom",
        Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => "turned by 90 degrees and mirrored",
    };
    Some(format!("the picture is {how}, as its EXIF orientation asks"))
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
    let orientation = exif_orientation(bytes);
    notes.extend(turned(orientation));
    let (values, width, height) = turn(&values, planes.shape.width, planes.shape.height, orientation);
    Ok(picture(
        width,
        height,
        values,
        format!("JPEG, {bits} bit"),
        bits == 8,
        notes,
    ))
}

/// Values as an orientation shows them, and their width and height.
pub(super) fn turn(
    values: &[f32],
    width: usize,
    height: usize,
    orientation: Orientation,
) -> (Vec<f32>, usize, usize) {
    use Orientation::{
        FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180, Rotate270,
        Rotate270FlipH,
    };
    let on_its_side = matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
    let (new_width, new_height) = if on_its_side {
        (height, width)
    } else {
        (width, height)
    };
    // Where the value that is shown at column x of row y is stored.
    let stored = |x: usize, y: usize| match orientation {
        NoTransforms => (x, y),
        FlipHorizontal => (width - 1 - x, y),
        Rotate180 => (width - 1 - x, height - 1 - y),
        FlipVertical => (x, height - 1 - y),
        Rotate90FlipH => (y, x),
        Rotate90 => (y, height - 1 - x),
        Rotate270FlipH => (width - 1 - y, height - 1 - x),
        Rotate270 => (width - 1 - y, x),
    };
    let turned = (0..new_height)
        .flat_map(|y| (0..new_width).map(move |x| (x, y)))
        .map(|(x, y)| {
            let (column, row) = stored(x, y);
            values[row * width + column]
        })
        .collect();
    (turned, new_width, new_height)
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
            lossless: false,
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
    // Damaged EXIF data are no reason to refuse a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let decoded = DynamicImage::from_decoder(decoder).map_err(|e| convert(format, e))?;
    let mut notes: Vec<String> = turned(orientation).into_iter().collect();
    if decoded.color().has_color() && !is_grey(&decoded) {
        notes.push("colour is shown as its luminance".to_owned());
    }
    if decoded.color().has_alpha() {
        notes.push("transparency is ignored".to_owned());
    }
    let rgb = |p: [f64; 3]| luma(p[0], p[1], p[2]);
    let (bits, values): (u32, Vec<f32>) = match decoded {
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
    let (values, width, height) = turn(&values, shape.width, shape.height, orientation);
    let format = format!("{format}, {bits} bit");
    Ok(picture(width, height, values, format, bits == 8, notes))
}

/// Whether no pixel of a picture in colour has one: WebP has no other pictures.
fn is_grey(picture: &DynamicImage) -> bool {
    match picture {
        DynamicImage::ImageRgb8(p) => p.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]),
        DynamicImage::ImageRgba8(p) => p.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]),
        _ => false,
    }
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
