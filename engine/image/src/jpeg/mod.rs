//! JPEG (ITU-T T.81) with raw components and full depth: baseline and extended sequential Huffman coding of 8
//! and 12 bits, and lossless coding of 2 to 16 bits. What photographs use is in [`crate::raster`]; DICOM
//! needs these.

mod dct;
mod frame;
mod huffman;
mod lossless;
mod scan;

pub(crate) use frame::{Segments, parse_frame, probe};

use self::frame::{Frame, JPEG, damaged};
use self::huffman::{BitReader, Huffman};
use self::scan::{Scan, parse_scan};
use crate::error::ImageError;
use crate::limits::{Colour, Planes, Shape};

/// Decodes baseline, extended sequential and lossless JPEG.
///
/// # Errors
/// When the codestream is damaged, cut short, of another process, or of another shape than `declared`.
pub(crate) fn decode(data: &[u8], declared: Option<Shape>) -> Result<Planes, ImageError> {
    let mut segments = Segments::new(data, JPEG)?;
    let mut frame: Option<Frame> = None;
    let mut planes: Vec<Vec<i32>> = Vec::new();
    let mut quantisation: [Option<[u16; 64]>; 4] = [None; 4];
    let mut dc: [Option<Huffman>; 4] = [const { None }; 4];
    let mut ac: [Option<Huffman>; 4] = [const { None }; 4];
    let mut restart = 0;
    let mut transform = None;
    let mut jfif = false;
    loop {
        let (marker, segment) = match segments.next() {
            // Some writers leave the last marker out.
            Err(ImageError::Truncated { .. })
                if !planes.is_empty() && planes.iter().all(|p| !p.is_empty()) =>
            {
                break;
            }
            other => other?,
        };
        match marker {
            0xd9 => break,
            0xc0 | 0xc1 | 0xc3 => {
                if frame.is_some() {
                    return Err(damaged("it has two frames"));
                }
                let found = parse_frame(marker, segment, JPEG)?;
                found.shape.expect(JPEG, declared)?;
                planes = vec![Vec::new(); found.shape.samples];
                frame = Some(found);
            }
            0xc2 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(ImageError::Unsupported(format!(
                    "JPEG of process SOF{} is not read; save the image as baseline or lossless JPEG",
                    marker & 15
                )));
            }
            0xc4 => parse_huffman(segment, &mut dc, &mut ac)?,
            0xdb => parse_quantisation(segment, &mut quantisation)?,
            0xdd if segment.len() >= 2 => restart = usize::from(u16::from_be_bytes([segment[0], segment[1]])),
            0xe0 if segment.starts_with(b"JFIF\0") => jfif = true,
            0xee if segment.starts_with(b"Adobe") => transform = segment.get(11).copied(),
            0xda => {
                let frame = frame
                    .as_ref()
                    .ok_or_else(|| damaged("a scan stands before the frame"))?;
                let (parts, start, low) = parse_scan(segment, frame)?;
                let scan = Scan {
                    frame,
                    parts,
                    start,
                    low,
                    restart,
                    quantisation: &quantisation,
                    dc: &dc,
                    ac: &ac,
                };
                let mut bits = BitReader::new(segments.rest());
                if frame.marker == 0xc3 {
                    lossless::decode_scan(&scan, &mut bits, &mut planes)?;
                } else {
                    dct::decode_scan(&scan, &mut bits, &mut planes)?;
                }
                segments.advance(bits.position());
            }
            _ => {}
        }
    }
    let frame = frame.ok_or_else(|| damaged("it has no frame"))?;
    if planes.iter().any(Vec::is_empty) {
        return Err(ImageError::truncated(
            JPEG,
            "it ends before all of its components",
        ));
    }
    let colour = (frame.shape.samples == 3).then(|| colour_of(&frame, transform, jfif));
    let colour = colour.flatten();
    Ok(Planes {
        shape: frame.shape,
        planes,
        precision: frame.precision,
        colour,
        lossless: frame.marker == 0xc3,
    })
}

/// What three components are: by Adobe's marker; by JFIF's, whose colours are YCbCr (ITU-T T.871, 6.1); by
/// their names; and by their sampling, for nobody halves red or blue. Without any of these the data set says.
fn colour_of(frame: &Frame, transform: Option<u8>, jfif: bool) -> Option<Colour> {
    let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
    let halved = frame.components[1..]
        .iter()
        .any(|c| c.h < frame.components[0].h || c.v < frame.components[0].v);
    match transform {
        Some(0) => Some(Colour::Rgb),
        Some(1) => Some(Colour::Ybr),
        _ if ids.eq_ignore_ascii_case(b"RGB") => Some(Colour::Rgb),
        _ if (jfif && frame.marker != 0xc3) || halved => Some(Colour::Ybr),
        _ => None,
    }
}

/// A DHT segment: one or more tables.
fn parse_huffman(
    mut segment: &[u8],
    dc: &mut [Option<Huffman>; 4],
    ac: &mut [Option<Huffman>; 4],
) -> Result<(), ImageError> {
    while let Some((&[head, ref counts @ ..], rest)) = segment.split_first_chunk::<17>() {
        let total: usize = counts.iter().map(|c| usize::from(*c)).sum();
        let (index, class) = (usize::from(head & 15), head >> 4);
        if index > 3 || class > 1 || total > rest.len() {
            return Err(damaged("a Huffman table is longer than its segment"));
        }
        let mut lengths = [0_u8; 16];
        lengths.copy_from_slice(counts);
        let table = Huffman::new(&lengths, &rest[..total])
            .ok_or_else(|| damaged("a Huffman table has too many codes"))?;
        if class == 0 {
            dc[index] = Some(table)
        } else {
            ac[index] = Some(table)
        }
        segment = &rest[total..];
    }
    Ok(())
}

/// A DQT segment: one or more tables, kept in zigzag order.
fn parse_quantisation(mut segment: &[u8], tables: &mut [Option<[u16; 64]>; 4]) -> Result<(), ImageError> {
    while let Some((&head, rest)) = segment.split_first() {
        let size = if head >> 4 == 0 { 64 } else { 128 };
        let index = usize::from(head & 15);
        if index > 3 || rest.len() < size {
            return Err(damaged("a quantisation table is longer than its segment"));
        }
        let mut table = [0_u16; 64];
        for (i, q) in table.iter_mut().enumerate() {
            *q = if size == 64 {
                rest[i].into()
            } else {
                u16::from_be_bytes([rest[2 * i], rest[2 * i + 1]])
            };
        }
        tables[index] = Some(table);
        segment = &rest[size..];
    }
    Ok(())
}
