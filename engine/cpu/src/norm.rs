//! Layer norm.

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::elementwise::{load_or, load_some, store_some};

/// Values that one task takes.
const GRAIN: usize = 16 * 1024;

struct Rows<'a> {
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
    output: &'a mut [f32],
}

impl SimdOp for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let width = self.weight.len();
        let lanes = ops.len();
        for (row, output) in self.output.chunks_exact_mut(width).enumerate() {
            let part = row * width..(row + 1) * width;
            let x = &self.x[part.clone()];
            let residual = self.residual.map(|r| &r[part]);
            let mut sums = ops.zero();
            for at in (0..width).step_by(lanes) {
                let mut value = load_some(ops, &x[at..]);
                if let Some(residual) = residual {
                    value = ops.add(value, load_some(ops, &residual[at..]));
                }
                sums = ops.add(sums, value);
                store_some(ops, value, &mut output[at..]);
            }
            let mean = ops.sum(sums) / width as f32;
            let centre = ops.splat(mean);
            let mut squares = ops.zero();
            for at in (0..width).step_by(lanes) {
                let away = ops.sub(load_or(ops, &output[at..], centre), centre);
                squares = ops.mul_add(away, away, squares);
            }
            let variance = ops.sum(squares) / width as f32;
            let scale = ops.splat(1.0 / (variance + self.epsilon).sqrt());
            for at in (0..width).step_by(lanes) {
                let away = ops.sub(load_some(ops, &output[at..]), centre);
                let weight = load_some(ops, &self.weight[at..]);
                let bias = load_some(ops, &self.bias[at..]);
                let y = ops.mul_add(ops.mul(away, scale), weight, bias);
                store_some(ops, y, &mut output[at..]);
            }
        }
    }
}

/// Layer norm (Ba et al. 2016, eq. 4) of `x`, or of `x + residual`, over rows as wide as `weight`.
///
/// # Shapes
/// - x, residual, output `(rows, width)`; weight, bias `(width)`
///
/// # Panics
/// When shapes disagree.
pub fn layer_norm(
    x: &[f32],
    residual: Option<&[f32]>,
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
    output: &mut [f32],
) {
    let width = weight.len();
    assert!(
        bias.len() == width
            && x.len() == output.len()
            && x.len().is_multiple_of(width.max(1))
            && residual.is_none_or(|r| r.len() == x.len()),
        "shapes of a layer norm disagree"
    );
    if x.is_empty() {
        return;
    }
    let part = GRAIN.div_ceil(width) * width;
    output
        .par_chunks_mut(part)
        .enumerate()
        .for_each(|(chunk, output)| {
            let part = chunk * part..chunk * part + output.len();
            Rows {
                x: &x[part.clone()],
                residual: residual.map(|r| &r[part]),
                weight,
                bias,
                epsilon,
                output,
            }
            .dispatch();
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    #[test]
    fn rows_equal_the_equation() {
        for (rows, width) in [(1, 1), (2, 7), (3, 16), (5, 33), (70, 768)] {
            let (x, r) = (numbers(rows * width, 1), numbers(rows * width, 2));
            let (weight, bias) = (numbers(width, 3), numbers(width, 4));
            for residual in [None, Some(&r[..])] {
                let mut expected = Vec::new();
                for row in 0..rows {
                    let sum = |c: usize| {
                        f64::from(x[row * width + c])
                            + residual.map_or(0.0, |r| f64::from(r[row * width + c]))
                    };
                    let mean = (0..width).map(sum).sum::<f64>() / width as f64;
                    let variance = (0..width).map(|c| (sum(c) - mean).powi(2)).sum::<f64>() / width as f64;
                    let scale = 1.0 / (variance + 1e-5).sqrt();
                    expected.extend((0..width).map(|c| {
                        ((sum(c) - mean) * scale * f64::from(weight[c]) + f64::from(bias[c])) as f32
                    }));
                }
                let mut found = vec![f32::NAN; rows * width];
                layer_norm(&x, residual, &weight, &bias, 1e-5, &mut found);
                close(&expected, &found, 2e-5, &format!("{rows} x {width}"));
            }
        }
    }
}
