//! JPEG 2000 and High-Throughput JPEG 2000: the codestream's header is checked here, before a decoder sees
//! it.

use super::error::ImageError;
use super::guard::guarded;
use super::limits::{Colour, Planes, Shape};

/// The name of the format in errors.
const JPEG_2000: &str = "JPEG 2000";
/// Code-blocks and precincts that a codestream may be cut into; the smallest blocks on the largest image have
/// as many.
const MAX_PARTS: u64 = 1 << 23;

/// What the main header says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    shape: Shape,
    precision: u32,
    signed: bool,
    high_throughput: bool,
    /// Whether three components are transformed from RGB.
    transformed: bool,
    subsampled: bool,
    /// Whether all wavelets are the reversible one.
    reversible: bool,
}

fn damaged(detail: impl Into<String>) -> ImageError {
    ImageError::malformed(JPEG_2000, detail)
}

/// The codestream inside a JP2 file, or the data itself.
fn codestream(data: &[u8]) -> &[u8] {
    let mut rest = data;
    if !data.starts_with(b"\0\0\0\x0cjP  ") {
        return data;
    }
    while let Some(&[a, b, c, d, ref kind @ ..]) = rest.first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if kind == b"jp2c" {
            let end = if length < 8 {
                rest.len()
            } else {
                length.min(rest.len())
            };
            let start = if length == 1 { 16.min(end) } else { 8 };
            return &rest[start..end];
        }
        match rest.get(length..) {
            Some(next) if length >= 8 => rest = next,
            _ => break,
        }
    }
    data
}

/// Reads the main header (ITU-T T.800 annex A), bounding what a decoder will allocate for it.
fn read_header(data: &[u8]) -> Result<Header, ImageError> {
    let short = || ImageError::truncated(JPEG_2000, "its header is not complete");
    let mut header: Option<Header> = None;
    let mut has_style = false;
    let mut at = 2;
    loop {
        let &[m0, m1, l0, l1] = data
            .get(at..)
            .and_then(|d| d.first_chunk::<4>())
            .ok_or_else(short)?;
        if m0 != 0xff {
            return Err(damaged(format!("no marker stands at byte {at} of its header")));
        }
        if (0x30..=0x3f).contains(&m1) {
            at += 2;
            continue;
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        // The first tile ends the main header; its length is checked by the decoder.
        if m1 == 0x90 {
            break;
        }
        let segment = data.get(at + 4..at + 2 + length.max(2)).ok_or_else(short)?;
        match m1 {
            0x51 => header = Some(read_size(segment)?),
            0x52 | 0x53 => {
                let header = header
                    .as_mut()
                    .ok_or_else(|| damaged("coding parameters stand before the image's size"))?;
                // COC has a component index (8 bits below 257 components) and its style byte first, COD has 5
                // bytes.
                let style = segment.first().copied().unwrap_or(0);
                let (uses_precincts, parameters) = match m1 {
                    0x52 => (style & 1 == 1, segment.get(5..)),
                    _ => (segment.get(1).is_some_and(|s| s & 1 == 1), segment.get(2..)),
                };
                if m1 == 0x52 {
                    has_style = true;
                    header.transformed = segment.get(4) == Some(&1);
                }
                check_parts(header.shape, uses_precincts, parameters.ok_or_else(short)?)?;
                header.reversible &= parameters.and_then(|p| p.get(4)) == Some(&1);
                header.high_throughput |= parameters.and_then(|p| p.get(3)).is_some_and(|s| s & 0x40 != 0);
            }
            0x50 => {
                if let Some(header) = header.as_mut() {
                    // Bit 15 of the capabilities, counted from the top, is part 15.
                    header.high_throughput |= segment.get(1).is_some_and(|b| b & 2 != 0);
                }
            }
            _ => {}
        }
        at += 2 + length.max(2);
    }
    match header {
        Some(header) if has_style => Ok(header),
        _ => Err(damaged("its header has no size or no coding parameters")),
    }
}

/// The SIZ segment.
fn read_size(segment: &[u8]) -> Result<Header, ImageError> {
    let word = |i: usize| {
        segment
            .get(2 + 4 * i..6 + 4 * i)
            .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let short = || ImageError::truncated(JPEG_2000, "its size is not complete");
    let mut words = [0; 8];
    for (i, w) in words.iter_mut().enumerate() {
        *w = word(i).ok_or_else(short)?;
    }
    let [x1, y1, x0, y0, tile_w, tile_h, tile_x, tile_y] = words;
    let components = segment
        .get(36..)
        .filter(|c| !c.is_empty() && c.len() % 3 == 0)
        .ok_or_else(short)?;
    if x1 <= x0 || y1 <= y0 || tile_w == 0 || tile_h == 0 || tile_x > x0 || tile_y > y0 {
        return Err(damaged("its size or its tiles are empty"));
    }
    let (depth, dx, dy) = (
        components[0],
        usize::from(components[1]),
        usize::from(components[2]),
    );
    if components.len() > 12 || components.chunks_exact(3).any(|c| c[1] == 0 || c[2] == 0) {
        return Err(damaged("it has more than 4 components, or one without samples"));
    }
    if components.chunks_exact(3).any(|c| c[0] != depth) || depth & 0x7f > 15 {
        return Err(ImageError::Unsupported(
            "JPEG 2000 of mixed depth or above 16 bits is not read".to_owned(),
        ));
    }
    // The whole grid is bounded, not only what is shown of it.
    Shape::new(x1, y1, components.len() / 3)?;
    let tiles = (x1 - tile_x)
        .div_ceil(tile_w)
        .saturating_mul((y1 - tile_y).div_ceil(tile_h));
    if tiles > 65_535 {
        return Err(damaged(format!(
            "it is cut into {tiles} tiles, and 65,535 are possible"
        )));
    }
    // Components of one subsampling are decoded at their own size.
    let subsampled = components.chunks_exact(3).any(|c| c[1..] != components[1..3]);
    let (dx, dy) = if subsampled { (1, 1) } else { (dx, dy) };
    let shape = Shape::new(
        x1.div_ceil(dx) - x0.div_ceil(dx),
        y1.div_ceil(dy) - y0.div_ceil(dy),
        components.len() / 3,
    )?;
    Ok(Header {
        shape,
        precision: u32::from(depth & 0x7f) + 1,
        signed: depth & 0x80 != 0,
        high_throughput: false,
        transformed: false,
        subsampled,
        reversible: true,
    })
}

/// Bounds code-blocks and precincts: `parameters` are the levels, the block's exponents, style, wavelet,
/// precincts.
fn check_parts(shape: Shape, uses_precincts: bool, parameters: &[u8]) -> Result<(), ImageError> {
    let &[levels, width, height, _, _, ref precincts @ ..] = parameters else {
        return Err(ImageError::truncated(
            JPEG_2000,
            "its coding parameters are not complete",
        ));
    };
    if levels > 32 || width > 8 || height > 8 || width + height > 8 {
        return Err(damaged(
            "its levels or code-blocks are larger than the standard allows",
        ));
    }
    let mut parts = 0_u64;
    for level in 0..=levels {
        let exponents = if uses_precincts {
            precincts
                .get(usize::from(level))
                .copied()
                .ok_or_else(|| damaged("a precinct's size is missing"))?
        } else {
            0xff
        };
        // Resolution `level` is halved as often as levels remain above it.
        let halved = u32::from(levels - level);
        let side = |n: usize| (n as u64).div_ceil(1_u64 << halved).max(1);
        let (w, h) = (side(shape.width), side(shape.height));
        let (pw, ph) = (u32::from(exponents & 15), u32::from(exponents >> 4));
        let (bw, bh) = (pw.min(u32::from(width) + 2), ph.min(u32::from(height) + 2));
        parts += w.div_ceil(1 << pw) * h.div_ceil(1 << ph) + w.div_ceil(1 << bw) * h.div_ceil(1 << bh);
    }
    if parts * shape.samples as u64 > MAX_PARTS {
        return Err(ImageError::TooLarge(format!(
            "its JPEG 2000 codestream is cut into {parts} parts"
        )));
    }
    Ok(())
}

/// Decodes a JPEG 2000 or HTJ2K codestream.
///
/// # Errors
/// When the codestream is damaged, cut short, or of another shape than `declared`.
pub(crate) fn decode(data: &[u8], declared: Option<Shape>) -> Result<Planes, ImageError> {
    let data = codestream(data);
    if !data.starts_with(b"\xff\x4f\xff\x51") {
        return Err(damaged("it does not begin with a codestream"));
    }
    let header = read_header(data)?;
    header.shape.expect(JPEG_2000, declared)?;
    let mut planes = guarded(JPEG_2000, || {
        if header.high_throughput {
            high_throughput(data, &header)
        } else {
            part_1(data, &header)
        }
    })?;
    if planes.len() != header.shape.samples || planes.iter().any(|p| p.len() != header.shape.pixels()) {
        return Err(ImageError::Decoder(JPEG_2000));
    }
    // Both decoders add half the range to all samples, and so must what is signed lose it again.
    if header.signed {
        let half = 1 << (header.precision - 1);
        planes.iter_mut().flatten().for_each(|v| *v -= half);
    }
    let colour =
        (header.shape.samples == 3 && (header.transformed || header.subsampled)).then_some(Colour::Rgb);
    Ok(Planes {
        shape: header.shape,
        planes,
        precision: header.precision,
        colour,
        lossless: header.reversible,
    })
}

/// The whole number next to `sample`, no lower than 0 and no higher than `top`.
fn rounded(sample: f32, top: f32) -> i32 {
    // What is not below 0 is rounded down by cutting it off, which takes no call of a function.
    (sample + 0.5).clamp(0.0, top) as i32
}

/// Part 1 of the standard.
fn part_1(data: &[u8], header: &Header) -> Result<Vec<Vec<i32>>, ImageError> {
    use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
    let failed = |e: &dyn std::fmt::Display| damaged(e.to_string());
    let settings = DecodeSettings {
        resolve_palette_indices: false,
        strict: true,
        target_resolution: None,
    };
    let image = Image::new(data, &settings).map_err(|e| failed(&e))?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|e| failed(&e))?;
    let top = ((1 << header.precision) - 1) as f32;
    Ok(decoded
        .components()
        .iter()
        .map(|c| c.samples().iter().map(|v| rounded(*v, top)).collect())
        .collect())
}

/// Part 15 of the standard.
fn high_throughput(data: &[u8], header: &Header) -> Result<Vec<Vec<i32>>, ImageError> {
    use dicom_toolkit_jpeg2000::{DecodeSettings, Image};
    if header.signed {
        return Err(ImageError::Unsupported(
            "High-Throughput JPEG 2000 of signed samples is not read; save the image as plain JPEG 2000"
                .to_owned(),
        ));
    }
    let settings = DecodeSettings {
        resolve_palette_indices: false,
        strict: true,
        target_resolution: None,
    };
    let image = Image::new(data, &settings).map_err(|e| damaged(e.to_string()))?;
    let decoded = image.decode_native().map_err(|e| damaged(e.to_string()))?;
    // Rounded and within the range; the lowest byte is first, and the components alternate.
    let count = usize::from(decoded.num_components);
    Ok(match decoded.bytes_per_sample {
        1 => apart(&decoded.data, count, |b| i32::from(*b)),
        _ => apart(decoded.data.as_chunks().0, count, |b| {
            i32::from(u16::from_le_bytes(*b))
        }),
    })
}

/// The planes of `count` components whose samples alternate.
fn apart<T>(samples: &[T], count: usize, value: impl Fn(&T) -> i32) -> Vec<Vec<i32>> {
    if count == 1 {
        return vec![samples.iter().map(value).collect()];
    }
    let plane = |c| samples.iter().skip(c).step_by(count).map(&value).collect();
    (0..count).map(plane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SOC, SIZ, COD and the start of a tile.
    fn main_header(width: u32, tile: u32, precincts: &[u8]) -> Vec<u8> {
        let mut out = vec![0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0];
        for word in [width, 100, 0, 0, tile, 100, 0, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&[0, 1, 11, 1, 1]);
        let style = u8::from(!precincts.is_empty());
        out.extend_from_slice(&[
            0xff,
            0x52,
            0,
            12 + precincts.len() as u8,
            style,
            0,
            0,
            1,
            0,
            2,
            4,
            4,
            0,
            1,
        ]);
        out.extend_from_slice(precincts);
        out.extend_from_slice(&[0xff, 0x90, 0, 10]);
        out
    }

    #[test]
    fn the_header_gives_shape_and_depth() {
        let header = read_header(&main_header(60, 60, &[])).unwrap();
        assert_eq!(header.shape, Shape::new(60, 100, 1).unwrap());
        assert_eq!(
            (header.precision, header.signed, header.high_throughput),
            (12, false, false)
        );
    }

    #[test]
    fn bombs_are_refused_by_their_header() {
        assert!(matches!(
            read_header(&main_header(u32::MAX, 60, &[])),
            Err(ImageError::TooLarge(_))
        ));
        assert!(
            read_header(&main_header(660_000, 1, &[]))
                .unwrap_err()
                .to_string()
                .contains("tiles")
        );
        assert!(matches!(
            read_header(&main_header(600_000, 600_000, &[0; 3])),
            Err(ImageError::TooLarge(_))
        ));
        assert!(read_header(&main_header(600, 600, &[0x77; 3])).is_ok());
    }

    #[test]
    fn samples_are_rounded_into_their_range() {
        let top = 4095.0;
        for v in [
            -9e9, -1.0, -0.51, -0.5, -0.1, 0.0, 0.49, 0.5, 1.5, 2.4999, 4094.5, 4095.4, 4095.5, 9e9,
        ] {
            let expected = ((v + 0.5_f32).floor() as i32).clamp(0, 4095);
            assert_eq!(rounded(v, top), expected, "{v}");
        }
        assert_eq!(rounded(f32::NAN, top), 0);
    }

    #[test]
    fn alternating_samples_are_taken_apart() {
        let words: Vec<[u8; 2]> = (0..9_u16).map(|i| (i * 500).to_le_bytes()).collect();
        let value = |b: &[u8; 2]| i32::from(u16::from_le_bytes(*b));
        let one: Vec<i32> = (0..9).map(|i| i * 500).collect();
        assert_eq!(apart(&words, 1, value), [one]);
        let three = [[0, 1500, 3000], [500, 2000, 3500], [1000, 2500, 4000]];
        assert_eq!(apart(&words, 3, value), three);
        assert_eq!(apart(&[7_u8, 8, 9, 10], 2, |b| i32::from(*b)), [[7, 9], [8, 10]]);
    }

    #[test]
    fn a_cut_header_is_an_error() {
        let whole = main_header(60, 60, &[]);
        for end in 0..whole.len() - 4 {
            assert!(decode(&whole[..end], None).is_err());
        }
        assert!(decode(&whole, None).is_err());
    }
}
