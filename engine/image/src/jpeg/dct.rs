//! Sequential JPEG scans of 8 and 12 bits: coefficients, inverse cosine transform, upsampling (ITU-T T.81
//! annexes A, F).

use super::frame::{JPEG, damaged};
use super::huffman::BitReader;
use super::scan::Scan;
use crate::error::ImageError;

/// Where the coefficient at a zigzag position stands in its 8x8 block.
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// `BASIS[u][x]` = C(u)/2 cos((2x + 1) u pi / 16). Written from constants, so that every machine has the same.
const BASIS: [[f32; 8]; 8] = basis();

const fn basis() -> [[f32; 8]; 8] {
    // cos(k pi / 16) for k = 0..=8.
    const COS: [f64; 9] = [
        1.0,
        0.980_785_280_403_230_4,
        0.923_879_532_511_286_7,
        0.831_469_612_302_545_2,
        std::f64::consts::FRAC_1_SQRT_2,
        0.555_570_233_019_602_2,
        0.382_683_432_365_089_8,
        0.195_090_322_016_128_27,
        0.0,
    ];
    let mut table = [[0.0; 8]; 8];
    let mut u = 0;
    while u < 8 {
        let mut x = 0;
        while x < 8 {
            let k = ((2 * x + 1) * u) % 32;
            let k = if k > 16 { 32 - k } else { k };
            let cos = if k > 8 { -COS[16 - k] } else { COS[k] };
            let scale = if u == 0 { COS[4] } else { 1.0 };
            table[u][x] = (0.5 * scale * cos) as f32;
            x += 1;
        }
        u += 1;
    }
    table
}

/// A component's samples in whole blocks.
struct Grid {
    samples: Vec<i32>,
    stride: usize,
    /// Blocks that a scan of this component alone has.
    own_width: usize,
    own_height: usize,
}

/// Decodes one scan into the planes of its components, each at the size of the frame.
pub(super) fn decode_scan(
    scan: &Scan<'_>,
    bits: &mut BitReader<'_>,
    planes: &mut [Vec<i32>],
) -> Result<(), ImageError> {
    let frame = scan.frame;
    let (width, height) = (frame.shape.width, frame.shape.height);
    if frame.precision != 8 && frame.precision != 12 {
        return Err(damaged(format!(
            "its lossy samples have {} bits, and 8 or 12 are possible",
            frame.precision
        )));
    }
    let h_max = frame.components.iter().map(|c| c.h).max().unwrap_or(1);
    let v_max = frame.components.iter().map(|c| c.v).max().unwrap_or(1);
    let (mcus_x, mcus_y) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
    let interleaved = scan.parts.len() > 1;

    let mut blocks = 0;
    for &(index, _, _) in &scan.parts {
        let c = frame.components[index];
        blocks += mcus_x * c.h * mcus_y * c.v;
    }
    // A block has two codes of at least one bit; a scan of one component may leave out what only fills its
    // last units.
    if blocks / 4 > bits.capacity() {
        return Err(ImageError::truncated(
            JPEG,
            format!("{blocks} blocks are declared, too few are there"),
        ));
    }
    let mut grids: Vec<Grid> = scan
        .parts
        .iter()
        .map(|&(index, _, _)| {
            let c = frame.components[index];
            let stride = mcus_x * c.h * 8;
            Grid {
                samples: vec![0; stride * mcus_y * c.v * 8],
                stride,
                own_width: (width * c.h).div_ceil(8 * h_max),
                own_height: (height * c.v).div_ceil(8 * v_max),
            }
        })
        .collect();

    let units = if interleaved {
        (mcus_x, mcus_y)
    } else {
        (grids[0].own_width, grids[0].own_height)
    };
    let mut predictors = [0_i32; 4];
    let mut until_restart = scan.restart;
    for unit in 0..units.0 * units.1 {
        if scan.restart > 0 {
            if until_restart == 0 {
                bits.restart()?;
                predictors = [0; 4];
                until_restart = scan.restart;
            }
            until_restart -= 1;
        }
        let (ux, uy) = (unit % units.0, unit / units.0);
        for (part, &(index, dc, ac)) in scan.parts.iter().enumerate() {
            let c = frame.components[index];
            let (across, down) = if interleaved { (c.h, c.v) } else { (1, 1) };
            for block in 0..across * down {
                let (bx, by) = (ux * across + block % across, uy * down + block / across);
                let mut coefficients = [0.0_f32; 64];
                let last = read_block(
                    scan,
                    bits,
                    (index, dc, ac),
                    &mut predictors[part],
                    &mut coefficients,
                )?;
                let grid = &mut grids[part];
                let start = by * 8 * grid.stride + bx * 8;
                write_block(
                    &coefficients,
                    last,
                    frame.precision,
                    &mut grid.samples[start..],
                    grid.stride,
                );
            }
        }
    }

    for (&(index, _, _), grid) in scan.parts.iter().zip(&grids) {
        let c = frame.components[index];
        let plane = &mut planes[index];
        plane.clear();
        plane.reserve_exact(width * height);
        for y in 0..height {
            let row = &grid.samples[(y * c.v / v_max) * grid.stride..][..grid.stride];
            if c.h == h_max {
                plane.extend_from_slice(&row[..width]);
            } else {
                plane.extend((0..width).map(|x| row[x * c.h / h_max]));
            }
        }
    }
    Ok(())
}

/// Reads a block's coefficients, dequantised; gives the zigzag position of the last that is not zero.
fn read_block(
    scan: &Scan<'_>,
    bits: &mut BitReader<'_>,
    (index, dc, ac): (usize, usize, usize),
    predictor: &mut i32,
    out: &mut [f32; 64],
) -> Result<usize, ImageError> {
    let (dc, ac) = (scan.dc_table(dc)?, scan.ac_table(ac)?);
    let table = scan
        .quantisation
        .get(scan.frame.components[index].table)
        .and_then(Option::as_ref);
    let table = table.ok_or_else(|| damaged("a component's quantisation table is not there"))?;
    let size = u32::from(bits.decode(dc)?);
    if size > 15 {
        return Err(damaged("a coefficient is too large"));
    }
    // The sum of differences of a damaged scan may leave the range of 16 bits; it must not overflow.
    *predictor = predictor.wrapping_add(bits.extend(size)?);
    out[0] = *predictor as f32 * f32::from(table[0]);
    let mut last = 0;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.decode(ac)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if run < 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += run;
        if k > 63 {
            return Err(damaged("a block has more than 64 coefficients"));
        }
        out[usize::from(ZIGZAG[k])] = bits.extend(size)? as f32 * f32::from(table[k]);
        last = k;
        k += 1;
    }
    Ok(last)
}

/// The inverse transform of one block, shifted to unsigned samples and clamped.
fn write_block(coefficients: &[f32; 64], last: usize, precision: u32, out: &mut [i32], stride: usize) {
    let middle = (1 << (precision - 1)) as f32;
    let top = (1 << precision) - 1;
    let sample = |v: f32| ((v + middle + 0.5).floor() as i32).clamp(0, top);
    if last == 0 {
        let value = sample(coefficients[0] * 0.125);
        for row in out.chunks_mut(stride).take(8) {
            row[..8].fill(value);
        }
        return;
    }
    // Rows that hold only zeros, most of them, add nothing.
    let mut rows = [[0.0_f32; 8]; 8];
    let mut used = [false; 8];
    for v in 0..8 {
        for u in 0..8 {
            let f = coefficients[8 * v + u];
            if f != 0.0 {
                used[v] = true;
                for x in 0..8 {
                    rows[v][x] += f * BASIS[u][x];
                }
            }
        }
    }
    for (y, out) in out.chunks_mut(stride).take(8).enumerate() {
        let mut sums = [0.0_f32; 8];
        for v in 0..8 {
            if used[v] {
                for x in 0..8 {
                    sums[x] += rows[v][x] * BASIS[v][y];
                }
            }
        }
        for x in 0..8 {
            out[x] = sample(sums[x]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_matches_its_definition() {
        let mut coefficients = [0.0_f32; 64];
        for (i, c) in coefficients.iter_mut().enumerate() {
            *c = ((i * 37 + 11) % 41) as f32 - 20.0;
        }
        let mut out = [0; 64];
        write_block(&coefficients, 63, 12, &mut out, 8);
        for y in 0..8 {
            for x in 0..8 {
                let mut sum = 0.0_f64;
                for v in 0..8 {
                    for u in 0..8 {
                        let scale = |k: usize| if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
                        let angle =
                            |a: usize, k: usize| ((2 * a + 1) * k) as f64 * std::f64::consts::PI / 16.0;
                        let f = f64::from(coefficients[8 * v + u]);
                        sum += 0.25 * scale(u) * scale(v) * f * angle(x, u).cos() * angle(y, v).cos();
                    }
                }
                assert!(
                    (f64::from(out[8 * y + x]) - (sum + 2048.0)).abs() <= 0.51,
                    "{x} {y}"
                );
            }
        }
    }

    #[test]
    fn a_flat_block_is_its_mean_and_is_clamped() {
        let mut coefficients = [0.0; 64];
        coefficients[0] = 80.0;
        let mut out = [0; 64];
        write_block(&coefficients, 0, 8, &mut out, 8);
        assert_eq!(out, [138; 64]);
        coefficients[0] = 1.0e6;
        write_block(&coefficients, 0, 8, &mut out, 8);
        assert_eq!(out, [255; 64]);
    }
}
