//! Pictures in and out: decoding (DICOM, PNG, JPEG, TIFF, WebP), the modality and VOI LUTs, preparation for a model,
//! encoding.
//!
//! The way of a radiograph: [`decode`] gives values after the modality LUT, [`Radiograph::display`] applies
//! the VOI LUT or a window and then inverts MONOCHROME1, and [`prepare`] cuts, resizes and pads the picture
//! for a model.
//!
//! [`read_report`] takes the text of a report that is DICOM too.

mod dicom;
pub mod encode;
mod error;
mod guard;
mod jpeg;
mod jpeg2000;
mod jpeg_ls;
mod kind;
pub mod limits;
mod prepare;
mod radiograph;
mod raster;
#[cfg(test)]
mod raster_tests;
mod resize;
mod square;
mod voi;

pub use dicom::{ReportText, is_report, looks_like_dicom, read_report};
pub use error::{ImageError, ReportError};
pub use prepare::{Fit, Norm, Placement, Prepared, Preprocessing, find_content, prepare};
pub use radiograph::{Gray8, Identity, Polarity, Radiograph, WindowChoice};
pub use resize::{Filter, Rect};
pub use voi::{Lut, VoiLut, Window, WindowFunction};

/// Decodes an image by its first bytes, whatever its file was called.
///
/// # Errors
/// When the bytes are of no known format, cut short, damaged, of a form that is not read, or larger than
/// [`limits`] allow. No input makes it panic or take unbounded memory.
pub fn decode(bytes: &[u8]) -> Result<Radiograph, ImageError> {
    match bytes {
        [] => Err(ImageError::NotAnImage("it has no bytes at all".to_owned())),
        _ if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => raster::decode_png(bytes),
        _ if bytes.starts_with(b"\xff\xd8\xff") => raster::decode_jpeg(bytes),
        _ if dicom::looks_like_dicom(bytes) => dicom::decode(bytes),
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => raster::decode_webp(bytes),
        _ if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]
            .iter()
            .any(|m| bytes.starts_with(*m)) =>
        {
            raster::decode_tiff(bytes)
        }
        _ => Err(ImageError::NotAnImage(kind::describe(bytes))),
    }
}

/// Reads and decodes the file at `path`.
///
/// # Errors
/// As [`decode`], and when the file cannot be read or is larger than [`limits::MAX_FILE`].
#[cfg(not(target_family = "wasm"))]
pub fn decode_file(path: impl AsRef<std::path::Path>) -> Result<Radiograph, ImageError> {
    use std::io::Read;
    let path = path.as_ref();
    let failed = |source| ImageError::Io {
        verb: "read",
        path: path.to_path_buf(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(limits::MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limits::MAX_FILE {
        return Err(ImageError::TooLarge(format!(
            "its file is larger than {} MiB",
            limits::MAX_FILE >> 20
        )));
    }
    decode(&bytes)
}
