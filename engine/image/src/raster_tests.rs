//! Tests of pictures that are no DICOM.
use std::io::Cursor;

use image::metadata::Orientation;

use super::error::ImageError;
use super::jpeg;
use super::raster::*;
use crate::decode;
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
    let buffer = image::RgbImage::from_fn(4, 4, |x, _| image::Rgb([if x < 2 { 200 } else { 0 }, 100, 50]));
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

/// A TIFF structure with one entry: the orientation, as EXIF has it.
fn exif(orientation: u8) -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    out.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    out
}

/// What each orientation shows of the rows `0 1 2` and `3 4 5`.
const TURNED: [(usize, [u8; 6]); 8] = [
    (3, [0, 1, 2, 3, 4, 5]),
    (3, [2, 1, 0, 5, 4, 3]),
    (3, [5, 4, 3, 2, 1, 0]),
    (3, [3, 4, 5, 0, 1, 2]),
    (2, [0, 3, 1, 4, 2, 5]),
    (2, [3, 0, 4, 1, 5, 2]),
    (2, [5, 2, 4, 1, 3, 0]),
    (2, [2, 5, 1, 4, 0, 3]),
];

#[test]
fn photographs_stand_as_their_exif_orientation_says() {
    // Blocks of 8 x 8 pixels, so that JPEG keeps them apart.
    let blocks: Vec<u8> = (0..16 * 24)
        .map(|i| (i / 24 / 8 * 3 + i % 24 / 8) as u8 * 40)
        .collect();
    let jpeg = jpeg_bytes(&blocks, 24, 16, 100).unwrap();
    let png = png_bytes(&blocks, 24, 16).unwrap();
    for (i, (columns, expected)) in TURNED.iter().enumerate() {
        let chunk = exif(i as u8 + 1);
        let app1 = [b"\xff\xe1\0\x22Exif\0\0", &chunk[..]].concat();
        assert_eq!(app1.len(), 2 + 0x22);
        let turned = [&jpeg[..2], &app1, &jpeg[2..]].concat();
        // A chunk after the header, whose checksum is over its name and content.
        let named = [b"eXIf", &chunk[..]].concat();
        let crc = named.iter().fold(!0_u32, |mut c, b| {
            c ^= u32::from(*b);
            (0..8).for_each(|_| c = if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 });
            c
        });
        let length = (chunk.len() as u32).to_be_bytes();
        let with_exif = [&png[..33], &length, &named, &(!crc).to_be_bytes(), &png[33..]].concat();
        for file in [turned, with_exif] {
            let r = decode(&file).unwrap();
            assert_eq!(r.width, columns * 8, "orientation {}", i + 1);
            assert_eq!(r.notes.len(), usize::from(i > 0), "{:?}", r.notes);
            for (block, want) in expected.iter().enumerate() {
                let (x, y) = (block % columns * 8 + 4, block / columns * 8 + 4);
                let got = r.values[y * r.width + x];
                assert!(
                    (got - f32::from(want * 40)).abs() <= 2.0,
                    "orientation {}: {got}",
                    i + 1
                );
            }
        }
    }
}

#[test]
fn tiff_of_sixteen_bits_and_webp_are_read() {
    let values: Vec<u16> = (0..600).map(|i| i * 100).collect();
    let mut bytes = Cursor::new(Vec::new());
    let buffer = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(20, 30, values.clone()).unwrap();
    buffer.write_to(&mut bytes, image::ImageFormat::Tiff).unwrap();
    let r = decode(bytes.get_ref()).unwrap();
    assert_eq!((r.width, r.height, r.format.as_str()), (20, 30, "TIFF, 16 bit"));
    assert!(r.values.iter().zip(&values).all(|(a, b)| *a == f32::from(*b)));

    let grey = image::GrayImage::from_raw(20, 30, ramp(600)).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    image::DynamicImage::ImageLuma8(grey)
        .into_rgb8()
        .write_to(&mut bytes, image::ImageFormat::WebP)
        .unwrap();
    let r = decode(bytes.get_ref()).unwrap();
    assert_eq!((r.width, r.height), (20, 30));
    assert!(
        r.values
            .iter()
            .zip(ramp(600))
            .all(|(a, b)| (a - f32::from(b)).abs() < 0.01)
    );
    for end in 12..bytes.get_ref().len() {
        assert!(decode(&bytes.get_ref()[..end]).is_err(), "WebP cut at {end}");
    }
}

#[test]
fn pages_after_the_first_are_said() {
    // One row of two pixels, whose directory names a second one.
    let entry = |tag: u16, kind: u16, value: u32| {
        let mut out = tag.to_le_bytes().to_vec();
        out.extend(kind.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(value.to_le_bytes());
        out
    };
    let file = |next: u32| {
        let mut out = b"II*\0\x0a\0\0\0\x07\xf0\x08\0".to_vec();
        for (tag, kind, value) in [
            (256, 3, 2),
            (257, 3, 1),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 8),
            (278, 3, 1),
            (279, 4, 2),
        ] {
            out.extend(entry(tag, kind, value));
        }
        out.extend(next.to_le_bytes());
        out
    };
    let one = decode(&file(0)).unwrap();
    assert_eq!((one.values, one.notes.len()), (vec![7.0, 240.0], 0));
    assert!(decode(&file(500)).unwrap().notes[0].contains("several pages"));
}

#[test]
fn both_ways_to_turn_agree() {
    let values: Vec<f32> = (0..6_u8).map(f32::from).collect();
    for (i, (columns, expected)) in TURNED.iter().enumerate() {
        let orientation = Orientation::from_exif(i as u8 + 1).unwrap();
        let (turned, width, height) = turn(&values, 3, 2, orientation);
        assert_eq!((width, height), (*columns, 6 / columns));
        assert!(turned.iter().zip(expected).all(|(a, b)| *a == f32::from(*b)));
    }
}
