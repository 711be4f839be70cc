//! The gradients of layer norm.

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::elementwise::{load_or, load_some, store_some};
use crate::sums::add_parts;

/// Values that one task takes.
const GRAIN: usize = 16 * 1024;
/// Rows that one task takes at least: its sums are as wide as a row.
const ROWS: usize = 32;

struct Rows<'a> {
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    dy: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    dx: &'a mut [f32],
    dweight: &'a mut [f32],
    dbias: &'a mut [f32],
}

impl SimdOp for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let width = self.weight.len();
        let lanes = ops.len();
        let share = 1.0 / width as f32;
        for (row, dx) in self.dx.chunks_exact_mut(width).enumerate() {
            let part = row * width..(row + 1) * width;
            let (x, dy) = (&self.x[part.clone()], &self.dy[part.clone()]);
            let residual = self.residual.map(|r| &r[part]);
            let mut sums = ops.zero();
            for at in (0..width).step_by(lanes) {
                let mut value = load_some(ops, &x[at..]);
                if let Some(residual) = residual {
                    value = ops.add(value, load_some(ops, &residual[at..]));
                }
                sums = ops.add(sums, value);
                store_some(ops, value, &mut dx[at..]);
            }
            let centre = ops.splat(ops.sum(sums) * share);
            let (mut squares, mut sums, mut products) = (ops.zero(), ops.zero(), ops.zero());
            for at in (0..width).step_by(lanes) {
                let away = ops.sub(load_or(ops, &dx[at..], centre), centre);
                let g = ops.mul(load_some(ops, &dy[at..]), load_some(ops, &self.weight[at..]));
                squares = ops.mul_add(away, away, squares);
                sums = ops.add(sums, g);
                products = ops.mul_add(g, away, products);
            }
            let scale = 1.0 / (ops.sum(squares) * share + self.epsilon).sqrt();
            // dx = scale (g - mean(g) - away scale^2 mean(g away))
            let mean = ops.splat(-ops.sum(sums) * share);
            let slope = ops.splat(-ops.sum(products) * share * scale * scale);
            let scale = ops.splat(scale);
            for at in (0..width).step_by(lanes) {
                let away = ops.sub(load_some(ops, &dx[at..]), centre);
                let dy = load_some(ops, &dy[at..]);
                let g = ops.mul(dy, load_some(ops, &self.weight[at..]));
                let line = ops.mul_add(away, slope, mean);
                store_some(ops, ops.mul(ops.add(g, line), scale), &mut dx[at..]);
                let weight = load_some(ops, &self.dweight[at..]);
                let weight = ops.mul_add(ops.mul(away, scale), dy, weight);
                store_some(ops, weight, &mut self.dweight[at..]);
                let bias = ops.add(dy, load_some(ops, &self.dbias[at..]));
                store_some(ops, bias, &mut self.dbias[at..]);
            }
        }
    }
}

/// Where [`layer_norm_backward`] writes.
#[derive(Debug)]
pub struct LayerNormGradients<'a> {
    /// Of the input, and of the residual where there is one, `(rows, width)`.
    pub dx: &'a mut [f32],
    /// Of the factors, `(width)`.
    pub dweight: &'a mut [f32],
    /// Of the summands, `(width)`.
    pub dbias: &'a mut [f32],
}

/// The gradients of [`layer_norm`](crate::layer_norm) of `x`, or of `x + residual`, from that of its output; the
/// statistics are computed once more. The same to the bit with any number of threads.
///
/// # Shapes
/// - x, residual, dy `(rows, width)`; weight `(width)`
///
/// # Panics
/// When shapes disagree.
pub fn layer_norm_backward(
    x: &[f32],
    residual: Option<&[f32]>,
    dy: &[f32],
    weight: &[f32],
    epsilon: f32,
    gradients: LayerNormGradients,
) {
    let width = weight.len();
    let LayerNormGradients { dx, dweight, dbias } = gradients;
    assert!(
        dweight.len() == width
            && dbias.len() == width
            && dx.len() == x.len()
            && dy.len() == x.len()
            && x.len().is_multiple_of(width.max(1))
            && residual.is_none_or(|r| r.len() == x.len()),
        "shapes of a layer norm's gradients disagree"
    );
    dweight.fill(0.0);
    dbias.fill(0.0);
    if x.is_empty() {
        return;
    }
    let part = GRAIN.div_ceil(width).max(ROWS) * width;
    let (dweights, dbiases): (Vec<_>, Vec<_>) = dx
        .par_chunks_mut(part)
        .enumerate()
        .map(|(chunk, dx)| {
            let part = chunk * part..chunk * part + dx.len();
            let [mut dweight, mut dbias] = [vec![0.0; width], vec![0.0; width]];
            Rows {
                x: &x[part.clone()],
                residual: residual.map(|r| &r[part.clone()]),
                dy: &dy[part],
                weight,
                epsilon,
                dx,
                dweight: &mut dweight,
                dbias: &mut dbias,
            }
            .dispatch();
            (dweight, dbias)
        })
        .unzip();
    add_parts(&dweights, dweight);
    add_parts(&dbiases, dbias);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    #[test]
    fn gradients_equal_the_closed_form() {
        for (rows, width) in [(1, 1), (2, 7), (3, 16), (5, 33), (70, 768), (300, 65)] {
            let [x, r, dy] = [1, 2, 3].map(|seed| numbers(rows * width, seed));
            let weight = numbers(width, 4);
            for residual in [None, Some(&r[..])] {
                let mut expected = [x.len(), width, width].map(|size| vec![0.0; size]);
                for row in 0..rows {
                    let at = |values: &[f32], c: usize| f64::from(values[row * width + c]);
                    let sum = |c: usize| at(&x, c) + residual.map_or(0.0, |r| at(r, c));
                    let mean_of = |of: &dyn Fn(usize) -> f64| (0..width).map(of).sum::<f64>() / width as f64;
                    let mean = mean_of(&sum);
                    let scale = 1.0 / (mean_of(&|c| (sum(c) - mean).powi(2)) + 1e-3).sqrt();
                    let scaled = |c: usize| (sum(c) - mean) * scale;
                    let g = |c: usize| at(&dy, c) * f64::from(weight[c]);
                    let (first, second) = (mean_of(&g), mean_of(&|c| g(c) * scaled(c)));
                    for c in 0..width {
                        expected[0][row * width + c] = scale * (g(c) - first - scaled(c) * second);
                        expected[1][c] += at(&dy, c) * scaled(c);
                        expected[2][c] += at(&dy, c);
                    }
                }
                let mut found = [x.len(), width, width].map(|size| vec![f32::NAN; size]);
                let [dx, dweight, dbias] = &mut found;
                let gradients = LayerNormGradients { dx, dweight, dbias };
                layer_norm_backward(&x, residual, &dy, &weight, 1e-3, gradients);
                for (expected, found) in expected.iter().zip(&found) {
                    let expected: Vec<f32> = expected.iter().map(|value| *value as f32).collect();
                    close(&expected, found, 1e-4, &format!("{rows} x {width}"));
                }
            }
        }
    }
}
