//! Lossless JPEG scans: a predictor and a coded difference for each sample (ITU-T T.81 annex H).

use super::frame::{JPEG, damaged};
use super::huffman::BitReader;
use super::scan::Scan;
use crate::error::ImageError;

/// Decodes one scan into the planes of its components.
pub(super) fn decode_scan(
    scan: &Scan<'_>,
    bits: &mut BitReader<'_>,
    planes: &mut [Vec<i32>],
) -> Result<(), ImageError> {
    let frame = scan.frame;
    let (width, height) = (frame.shape.width, frame.shape.height);
    if !(1..=7).contains(&scan.start) || u32::from(scan.low) >= frame.precision {
        return Err(damaged(
            "a lossless scan has no predictor, or shifts all bits away",
        ));
    }
    if scan.parts.len() > 1
        && scan
            .parts
            .iter()
            .any(|p| frame.components[p.0].h != 1 || frame.components[p.0].v != 1)
    {
        return Err(ImageError::Unsupported(
            "lossless JPEG with subsampled colour is not read".to_owned(),
        ));
    }
    if width * height * scan.parts.len() > bits.capacity() {
        return Err(ImageError::truncated(
            JPEG,
            format!("{width} x {height} samples are declared, too few are there"),
        ));
    }
    for part in &scan.parts {
        planes[part.0] = vec![0; width * height];
    }
    let first = 1 << (frame.precision - u32::from(scan.low) - 1);
    let mut until_restart = scan.restart;
    // The line after a restart is predicted as the first line is.
    let mut first_row = 0;
    for y in 0..height {
        for x in 0..width {
            if scan.restart > 0 {
                if until_restart == 0 {
                    if x != 0 {
                        return Err(ImageError::Unsupported(
                            "lossless JPEG that restarts inside a line is not read".to_owned(),
                        ));
                    }
                    bits.restart()?;
                    first_row = y;
                    until_restart = scan.restart;
                }
                until_restart -= 1;
            }
            for &(index, table, _) in &scan.parts {
                let size = bits.decode(scan.dc_table(table)?)?;
                let difference = match size {
                    0..=15 => bits.extend(u32::from(size))?,
                    16 => 32_768,
                    _ => return Err(damaged("a difference is too large")),
                };
                let plane = &mut planes[index];
                let at = y * width + x;
                let prediction = match (x, y == first_row) {
                    (0, true) => first,
                    (_, true) => plane[at - 1],
                    (0, false) => plane[at - width],
                    _ => predict(
                        scan.start,
                        plane[at - 1],
                        plane[at - width],
                        plane[at - width - 1],
                    ),
                };
                plane[at] = (prediction + difference) & 0xffff;
            }
        }
    }
    if scan.low > 0 {
        for part in &scan.parts {
            planes[part.0]
                .iter_mut()
                .for_each(|v| *v = (*v << scan.low) & 0xffff);
        }
    }
    Ok(())
}

/// Table H.1: from the samples to the left (`a`), above (`b`) and above left (`c`).
fn predict(selection: u8, a: i32, b: i32, c: i32) -> i32 {
    match selection {
        1 => a,
        2 => b,
        3 => c,
        4 => a + b - c,
        5 => a + ((b - c) >> 1),
        6 => b + ((a - c) >> 1),
        _ => (a + b) >> 1,
    }
}
