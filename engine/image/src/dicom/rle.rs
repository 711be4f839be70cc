//! RLE Lossless (PS3.5 annex G): the bytes of each sample apart, most significant first, each plane in
//! PackBits.

use crate::error::ImageError;
use crate::limits::{Planes, Shape};

const RLE: &str = "RLE";

/// Decodes one frame of `shape` with `bytes` (1, 2 or 4) bytes a sample.
///
/// # Errors
/// When the segments do not match `shape` or are cut short.
pub(crate) fn decode(data: &[u8], shape: Shape, bytes: usize) -> Result<Planes, ImageError> {
    let header = data
        .get(..64)
        .ok_or_else(|| ImageError::truncated(RLE, "its header of 64 bytes is not complete"))?;
    let words: Vec<usize> = header
        .chunks_exact(4)
        .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]) as usize)
        .collect();
    let count = words[0];
    if count != shape.samples * bytes || count > 15 {
        return Err(ImageError::malformed(
            RLE,
            format!(
                "it has {count} segments where {} samples of {bytes} bytes need {}",
                shape.samples,
                shape.samples * bytes
            ),
        ));
    }
    let pixels = shape.pixels();
    let mut planes = Vec::with_capacity(shape.samples);
    for sample in 0..shape.samples {
        let mut plane: Vec<i32> = Vec::new();
        for byte in 0..bytes {
            let segment = sample * bytes + byte;
            let start = words[1 + segment];
            let end = if segment + 1 < count {
                words[2 + segment]
            } else {
                data.len()
            };
            let packed = data.get(start..end).filter(|_| start >= 64);
            let packed = packed.ok_or_else(|| {
                ImageError::malformed(RLE, format!("segment {segment} lies outside of the data"))
            })?;
            // Two bytes make at most 128.
            if packed.len().saturating_mul(64) < pixels {
                return Err(ImageError::truncated(
                    RLE,
                    format!("segment {segment} is too short for {pixels} pixels"),
                ));
            }
            if byte == 0 {
                plane = vec![0; pixels];
            }
            unpack(packed, &mut plane)?;
        }
        planes.push(plane);
    }
    Ok(Planes {
        shape,
        planes,
        precision: 8 * bytes as u32,
        colour: None,
        lossless: true,
    })
}

/// Shifts each value of `plane` up a byte and puts the next unpacked byte below it.
fn unpack(packed: &[u8], plane: &mut [i32]) -> Result<(), ImageError> {
    let mut at = 0;
    let mut done = 0;
    let mut put = |byte: u8| {
        // Runs may go past the end of the plane: a segment is padded to even length.
        if let Some(value) = plane.get_mut(done) {
            *value = value.wrapping_shl(8) | i32::from(byte);
            done += 1;
        }
    };
    while at < packed.len() {
        let control = packed[at];
        at += 1;
        match control {
            0..=127 => {
                let literal = packed
                    .get(at..at + usize::from(control) + 1)
                    .unwrap_or(&packed[at..]);
                literal.iter().for_each(|b| put(*b));
                at += literal.len();
            }
            128 => {}
            129..=255 => {
                if let Some(&byte) = packed.get(at) {
                    (0..257 - usize::from(control)).for_each(|_| put(byte));
                }
                at += 1;
            }
        }
    }
    if done < plane.len() {
        return Err(ImageError::truncated(
            RLE,
            format!("a segment gives {done} of {} bytes", plane.len()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![segments.len() as u32];
        let mut at = 64;
        for segment in segments {
            header.push(at);
            at += segment.len() as u32;
        }
        header.resize(16, 0);
        let mut out: Vec<u8> = header.iter().flat_map(|w| w.to_le_bytes()).collect();
        segments.iter().for_each(|s| out.extend_from_slice(s));
        out
    }

    #[test]
    fn bytes_of_a_sample_are_joined() {
        let shape = Shape::new(3, 2, 1).unwrap();
        // High bytes: 1 six times. Low bytes: 10, 20, 30 as they are, then 7 three times.
        let data = frame(&[&[251, 1], &[2, 10, 20, 30, 254, 7]]);
        let planes = decode(&data, shape, 2).unwrap();
        assert_eq!(planes.planes, [[266, 276, 286, 263, 263, 263]]);
    }

    #[test]
    fn short_and_misplaced_segments_are_refused() {
        let shape = Shape::new(3, 2, 1).unwrap();
        assert!(matches!(
            decode(&frame(&[&[252, 1]]), shape, 1),
            Err(ImageError::Truncated { .. })
        ));
        assert!(matches!(
            decode(&frame(&[&[251, 1]]), shape, 2),
            Err(ImageError::Malformed { .. })
        ));
        let mut data = frame(&[&[251, 1]]);
        data[4] = 10;
        assert!(matches!(
            decode(&data, shape, 1),
            Err(ImageError::Malformed { .. })
        ));
        let large = Shape::new(8000, 8000, 1).unwrap();
        assert!(matches!(
            decode(&frame(&[&[251, 1]]), large, 1),
            Err(ImageError::Truncated { .. })
        ));
    }
}
