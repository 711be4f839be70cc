//! Pictures and arrays to bytes and files: PNG, JPEG and NumPy's `.npy`, and DICOM.

mod dicom;
mod file;

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

pub use self::dicom::{DicomImage, derived_uid, dicom_bytes, write_dicom};
use self::file::write_bytes;
use crate::error::ImageError;

/// Errors unless `len` is `width` times `height` and both fit 32 bits.
fn check_shape(len: usize, width: usize, height: usize) -> Result<(u32, u32), ImageError> {
    let fits = width.checked_mul(height) == Some(len) && len > 0;
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if fits => Ok((w, h)),
        _ => Err(ImageError::Shape(format!(
            "{len} values cannot be an image of {width} x {height} pixels"
        ))),
    }
}

/// An 8-bit greyscale PNG of `gray`, `height` rows of `width` values.
///
/// # Errors
/// When `gray` does not have `width * height` values.
pub fn png_bytes(gray: &[u8], width: usize, height: usize) -> Result<Vec<u8>, ImageError> {
    let (w, h) = check_shape(gray.len(), width, height)?;
    let mut out = Vec::new();
    PngEncoder::new_with_quality(&mut out, CompressionType::Default, FilterType::Adaptive)
        .write_image(gray, w, h, ExtendedColorType::L8)
        .map_err(|e| ImageError::Encode("PNG", e.to_string()))?;
    Ok(out)
}

/// Writes an 8-bit greyscale PNG. Errors as [`png_bytes`] does, and when the file cannot be written.
pub fn write_png(path: &Path, gray: &[u8], width: usize, height: usize) -> Result<(), ImageError> {
    write_bytes(path, &png_bytes(gray, width, height)?)
}

/// An 8-bit greyscale baseline JPEG of `gray`, `quality` 1 to 100.
///
/// # Errors
/// When `gray` does not have `width * height` values, or a side is above JPEG's 65,535.
pub fn jpeg_bytes(gray: &[u8], width: usize, height: usize, quality: u8) -> Result<Vec<u8>, ImageError> {
    let (w, h) = check_shape(gray.len(), width, height)?;
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, quality.clamp(1, 100))
        .write_image(gray, w, h, ExtendedColorType::L8)
        .map_err(|e| ImageError::Encode("JPEG", e.to_string()))?;
    Ok(out)
}

/// Writes an 8-bit greyscale JPEG. Errors as [`jpeg_bytes`] does, and when the file cannot be written.
pub fn write_jpeg(
    path: &Path,
    gray: &[u8],
    width: usize,
    height: usize,
    quality: u8,
) -> Result<(), ImageError> {
    write_bytes(path, &jpeg_bytes(gray, width, height, quality)?)
}

/// NumPy's format version 1.0: little-endian float32, C order, shape (height, width).
///
/// # Errors
/// When `values` does not have `height * width` values.
pub fn npy_bytes_f32(values: &[f32], height: usize, width: usize) -> Result<Vec<u8>, ImageError> {
    check_shape(values.len(), width, height)?;
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}");
    // Magic, version and length take 10 bytes; the data must start at a multiple of 64, after a newline.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let header_len = u16::try_from(header.len()).map_err(|e| ImageError::Encode("npy", e.to_string()))?;
    let mut out = Vec::with_capacity(10 + header.len() + 4 * values.len());
    out.extend_from_slice(b"\x93NUMPY\x01\x00");
    out.extend_from_slice(&header_len.to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
    Ok(out)
}

/// Writes a float32 array of shape (`height`, `width`) for `numpy.load`. Errors as [`npy_bytes_f32`] does,
/// and when the file cannot be written.
pub fn write_npy_f32(path: &Path, values: &[f32], height: usize, width: usize) -> Result<(), ImageError> {
    write_bytes(path, &npy_bytes_f32(values, height, width)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_comes_back_as_it_was() {
        let gray: Vec<u8> = (0..35).map(|i| (i * 7) as u8).collect();
        let bytes = png_bytes(&gray, 7, 5).unwrap();
        let back = image::load_from_memory(&bytes).unwrap().into_luma8();
        assert_eq!(back.dimensions(), (7, 5));
        assert_eq!(back.into_raw(), gray);
    }

    #[test]
    fn jpeg_comes_back_nearly_as_it_was() {
        let gray: Vec<u8> = (0..64 * 48).map(|i| ((i % 64) * 3) as u8).collect();
        let bytes = jpeg_bytes(&gray, 64, 48, 95).unwrap();
        let back = image::load_from_memory(&bytes).unwrap().into_luma8();
        assert_eq!(back.dimensions(), (64, 48));
        let worst = back
            .into_raw()
            .iter()
            .zip(&gray)
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst < Some(6), "{worst:?}");
    }

    #[test]
    fn npy_has_an_aligned_header_and_little_endian_values() {
        let bytes = npy_bytes_f32(&[1.0, -2.5, 3.0, 0.0, 5.0, 6.0], 2, 3).unwrap();
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!(header % 64, 0);
        assert_eq!(bytes.len(), header + 24);
        assert!(String::from_utf8_lossy(&bytes[10..header]).contains("'shape': (2, 3)"));
        assert_eq!(&bytes[header + 4..header + 8], &(-2.5_f32).to_le_bytes());
    }

    #[test]
    fn a_buffer_of_another_size_is_refused() {
        assert!(matches!(png_bytes(&[0; 10], 3, 3), Err(ImageError::Shape(_))));
        assert!(matches!(npy_bytes_f32(&[], 0, 0), Err(ImageError::Shape(_))));
    }
}
