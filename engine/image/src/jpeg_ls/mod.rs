//! JPEG-LS (ITU-T T.87): lossless and near-lossless, 2 to 16 bits, components apart or interleaved by line or
//! sample.

mod bits;
mod coding;
mod frame;
mod scan;

use self::coding::{Coding, Preset};
use self::frame::{JPEG_LS, damaged};
use self::scan::decode_scan;
use crate::error::ImageError;
use crate::jpeg::{Segments, parse_frame};
use crate::limits::{Planes, Shape};

/// Decodes a JPEG-LS codestream.
///
/// # Errors
/// When the codestream is damaged, cut short, of another shape than `declared`, or uses mapping tables,
/// restart markers or a colour transform.
pub(crate) fn decode(data: &[u8], declared: Option<Shape>) -> Result<Planes, ImageError> {
    let mut segments = Segments::new(data, JPEG_LS)?;
    let mut frame = None;
    let mut preset = Preset::default();
    let mut lossless = true;
    let mut planes: Vec<Vec<i32>> = Vec::new();
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
            0xf7 => {
                let found = parse_frame(marker, segment, JPEG_LS)?;
                found.shape.expect(JPEG_LS, declared)?;
                if found.components.iter().any(|c| c.h != 1 || c.v != 1) {
                    return Err(ImageError::Unsupported(
                        "JPEG-LS with subsampled colour is not read".to_owned(),
                    ));
                }
                // Every line takes at least a bit of each scan.
                if found.shape.height > data.len() * 8 {
                    return Err(ImageError::truncated(JPEG_LS, "it has fewer bits than lines"));
                }
                planes = vec![Vec::new(); found.shape.samples];
                frame = Some(found);
            }
            0xf8 => preset = parse_preset(segment)?,
            0xdd if segment.iter().any(|b| *b != 0) => {
                return Err(ImageError::Unsupported(
                    "JPEG-LS with restart markers is not read".to_owned(),
                ));
            }
            0xe8 if segment.len() == 5 && segment.starts_with(b"mrfx") && segment[4] != 0 => {
                return Err(ImageError::Unsupported(
                    "JPEG-LS with a colour transform is not read".to_owned(),
                ));
            }
            0xda => {
                let frame = frame
                    .as_ref()
                    .ok_or_else(|| damaged("a scan stands before the frame"))?;
                let count = usize::from(segment.first().copied().unwrap_or(0));
                if count == 0 || segment.len() < 4 + 2 * count {
                    return Err(damaged("a scan header is too short"));
                }
                let (near, interleave, shift) = (
                    segment[1 + 2 * count],
                    segment[2 + 2 * count],
                    segment[3 + 2 * count],
                );
                lossless &= near == 0;
                let tables = segment[1..=2 * count].chunks_exact(2).any(|p| p[1] != 0);
                if tables || shift & 15 != 0 {
                    return Err(ImageError::Unsupported(
                        "JPEG-LS with mapping tables is not read".to_owned(),
                    ));
                }
                // Components of an interleaved scan are in the frame's order; scans of one name theirs.
                let first = frame.components.iter().position(|c| c.id == segment[1]);
                let first = first.filter(|f| f + count <= planes.len());
                let first =
                    first.ok_or_else(|| damaged("a scan names a component that the frame does not have"))?;
                let interleave = if count == 1 { 0 } else { interleave };
                if interleave > 2
                    || (count > 1 && interleave == 0)
                    || planes[first..first + count].iter().any(|p| !p.is_empty())
                {
                    return Err(damaged("a scan's components do not fit its interleaving"));
                }
                let coding = Coding::new(frame.precision, near.into(), preset)?;
                let targets = &mut planes[first..first + count];
                let used = decode_scan(segments.rest(), frame.shape, coding, interleave, targets)?;
                segments.advance(used);
            }
            _ => {}
        }
    }
    let frame = frame.ok_or_else(|| damaged("it has no frame"))?;
    if planes.iter().any(Vec::is_empty) {
        return Err(ImageError::truncated(
            JPEG_LS,
            "it ends before all of its components",
        ));
    }
    Ok(Planes {
        shape: frame.shape,
        planes,
        precision: frame.precision,
        colour: None,
        lossless,
    })
}

/// An LSE segment.
fn parse_preset(segment: &[u8]) -> Result<Preset, ImageError> {
    match segment {
        [1, rest @ ..] if rest.len() >= 10 => {
            let word = |i: usize| i32::from(u16::from_be_bytes([rest[2 * i], rest[2 * i + 1]]));
            Ok(Preset {
                max: word(0),
                t: [word(1), word(2), word(3)],
                reset: word(4),
            })
        }
        _ => Err(ImageError::Unsupported(
            "JPEG-LS with mapping tables is not read".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of T.87, H.3: 4 x 4 pixels of 8 bits.
    #[rustfmt::skip]
    const EXAMPLE: [u8; 53] = [
        0xff, 0xd8, 0xff, 0xf7, 0x00, 0x0b, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xff, 0xda, 0x00,
        0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x6c, 0x80, 0x20, 0x8e, 0x01, 0xc0, 0x00, 0x00,
        0x57, 0x40, 0x00, 0x00, 0x6e, 0xe6, 0x00, 0x00, 0x01, 0xbc, 0x18, 0x00, 0x00, 0x05, 0xd8, 0x00, 0x00,
    ];

    #[test]
    fn the_standards_example_is_decoded() {
        let stream = [&EXAMPLE[..], &[0x91, 0x60, 0xff, 0xd9]].concat();
        let planes = decode(&stream, None).unwrap();
        let expected = [
            0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145,
        ];
        assert_eq!(planes.planes, [expected]);
    }

    #[test]
    fn what_is_cut_or_of_another_shape_is_refused() {
        assert!(matches!(
            decode(&EXAMPLE, None),
            Err(ImageError::Truncated { .. })
        ));
        assert!(decode(&EXAMPLE, Some(Shape::new(5, 4, 1).unwrap())).is_err());
    }
}
