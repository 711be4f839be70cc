//! Eight-bit weights: symmetric int8 in blocks of 32 along a row, one f16 scale a block.
//!
//! A tensor of shape `[out, ...]` is taken as a matrix of `out` rows; its other axes are one row (a
//! convolution's last axis alone, 1 to 7 wide, would need nearly as many scales as weights). The last block
//! of a row may be short.

use half::f16;

/// Weights that share a scale.
pub const BLOCK: usize = 32;

/// The largest magnitude of a stored value; -128 is not used, so that the range is symmetric.
const LIMIT: f32 = 127.0;

/// A tensor as int8 blocks: `value = values[i] * scale of its block`.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// The tensor's own extents, outermost first.
    pub shape: Vec<usize>,
    /// One value an element, row-major.
    pub values: Vec<i8>,
    /// `rows * ceil(columns / 32)` scales, row-major.
    pub scales: Vec<f16>,
}

/// Blocks in a row of `columns` values.
pub fn blocks_in_row(columns: usize) -> usize {
    columns.div_ceil(BLOCK)
}

/// Rows and columns of `shape` taken as a matrix. A vector is one column a row, a scalar one by one.
pub fn as_matrix(shape: &[usize]) -> (usize, usize) {
    match shape.split_first() {
        // Saturating, because an empty tensor may declare any extents beside its zero.
        Some((&rows, rest)) => (
            rows,
            rest.iter()
                .fold(1, |product: usize, &extent| product.saturating_mul(extent)),
        ),
        None => (1, 1),
    }
}

/// Quantises rows of `columns` finite values, none above 65,504 in magnitude, to values and scales.
pub fn quantise(columns: usize, data: &[f32]) -> (Vec<i8>, Vec<f16>) {
    let mut values = Vec::with_capacity(data.len());
    let mut scales = Vec::with_capacity(data.len().div_ceil(BLOCK));
    for block in data.chunks(columns.max(1)).flat_map(|row| row.chunks(BLOCK)) {
        let largest = block
            .iter()
            .fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let mut scale = f16::from_f32(largest / LIMIT);
        if largest > 0.0 && scale == f16::ZERO {
            scale = f16::MIN_POSITIVE_SUBNORMAL;
        }
        // The rounded scale is used here because it is the one that the reader will multiply by.
        let step = scale.to_f32();
        values.extend(block.iter().map(|value| match step {
            0.0 => 0,
            step => (value / step).round().clamp(-LIMIT, LIMIT) as i8,
        }));
        scales.push(scale);
    }
    (values, scales)
}

/// The inverse of [`quantise`], to within half a scale.
pub fn dequantise(columns: usize, values: &[i8], scales: &[f16]) -> Vec<f32> {
    let blocks = values.chunks(columns.max(1)).flat_map(|row| row.chunks(BLOCK));
    let mut data = Vec::with_capacity(values.len());
    for (block, scale) in blocks.zip(scales) {
        let step = scale.to_f32();
        data.extend(block.iter().map(|&value| f32::from(value) * step));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_within_half_a_step_also_with_a_short_last_block() {
        let columns = 70;
        let data: Vec<f32> = (0..columns * 3)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013)
            .collect();
        let (values, scales) = quantise(columns, &data);
        assert_eq!(scales.len(), 3 * blocks_in_row(columns));
        let back = dequantise(columns, &values, &scales);
        assert_eq!(back.len(), data.len());
        for (i, (a, b)) in data.iter().zip(&back).enumerate() {
            let scale = scales[i / columns * 3 + i % columns / BLOCK].to_f32();
            assert!((a - b).abs() <= 0.51 * scale, "{i}: {a} {b} {scale}");
        }
    }

    #[test]
    fn blocks_do_not_cross_rows() {
        // A large value in the first row must not coarsen the second.
        let mut data = vec![0.01_f32; 8];
        data[0] = 100.0;
        let (values, scales) = quantise(4, &data);
        let back = dequantise(4, &values, &scales);
        assert!((back[0] - 100.0).abs() < 0.1);
        assert!((back[4] - 0.01).abs() < 1e-4);
    }

    #[test]
    fn zeros_stay_zeros_and_the_smallest_values_do_not_divide_by_zero() {
        let (values, scales) = quantise(2, &[0.0, 0.0, 1e-9, -1e-9]);
        let back = dequantise(2, &values, &scales);
        assert_eq!(back[..2], [0.0, 0.0]);
        assert!(back.iter().all(|value| value.abs() < 1e-7));
    }
}
