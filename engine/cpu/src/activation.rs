//! Activations and linear layers in training.

use rten_simd::ops::{BitOps, FloatOps, NumOps};
use rten_simd::{Isa, SimdUnaryOp};
use rten_vecmath::{Erf, Exp, Gelu};

use crate::elementwise::{Map, map};
use crate::matrix::{Matrix, matmul};
use crate::sums::column_sums;

struct GeluOf;

impl Map<1, 1> for GeluOf {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x]: [I::F32; 1], _: [I::F32; 1]) -> [I::F32; 1] {
        [Gelu {}.eval(isa, x)]
    }
}

/// GELU of `x`, which is kept for [`gelu_backward`].
///
/// # Panics
/// When lengths differ.
pub fn gelu_of(x: &[f32], output: &mut [f32]) {
    map(&GeluOf, [x], [output]);
}

struct GeluBackward;

impl Map<1, 1> for GeluBackward {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x]: [I::F32; 1], [dy]: [I::F32; 1]) -> [I::F32; 1] {
        const DENSITY: f32 = 0.398_942_3;
        let ops = isa.f32();
        let half = ops.splat(0.5);
        let below = Erf {}.eval(isa, ops.mul(x, ops.splat(std::f32::consts::FRAC_1_SQRT_2)));
        let below = ops.mul_add(below, half, half);
        let density = Exp {}.eval(isa, ops.neg(ops.mul(ops.mul(x, x), half)));
        let slope = ops.mul_add(ops.mul(x, ops.splat(DENSITY)), density, below);
        [ops.mul(dy, slope)]
    }
}

/// Replaces the gradient of [`gelu`](crate::gelu) of `x` by that of `x`: `dy (Phi(x) + x phi(x))`.
///
/// # Panics
/// When lengths differ.
pub fn gelu_backward(x: &[f32], dy: &mut [f32]) {
    map(&GeluBackward, [x], [dy]);
}

/// The gradients of a linear layer `x w + b` from that of its output.
///
/// # Shapes
/// - x, dx `(rows, inputs)`; weights `(inputs, outputs)` with any steps; dweights `(inputs, outputs)` row by row;
///   dy `(rows, outputs)`; dbias `(outputs)`
///
/// # Panics
/// When shapes disagree.
pub fn dense_backward(
    x: &[f32],
    weights: Matrix,
    dy: &[f32],
    dx: Option<&mut [f32]>,
    dweights: &mut [f32],
    dbias: Option<&mut [f32]>,
) {
    let [inputs, outputs] = weights.shape;
    let rows = dy.len() / outputs.max(1);
    assert!(
        x.len() == rows * inputs
            && dy.len() == rows * outputs
            && dweights.len() == inputs * outputs
            && dx.as_ref().is_none_or(|dx| dx.len() == x.len())
            && dbias.as_ref().is_none_or(|dbias| dbias.len() == outputs),
        "shapes of a linear layer's gradients disagree"
    );
    let dy_rows = Matrix::rows(dy, rows, outputs);
    matmul(
        Matrix::rows(x, rows, inputs).transposed(),
        dy_rows,
        false,
        dweights,
    );
    if let Some(dx) = dx {
        matmul(dy_rows, weights.transposed(), false, dx);
    }
    if let Some(dbias) = dbias {
        column_sums(dy, dbias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::tests::plain;
    use crate::testing::{close, numbers};

    /// The slope of GELU in double precision; the integral of the density by Simpson's rule.
    fn slope(x: f32) -> f64 {
        let x = f64::from(x);
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = x / 2000.0;
        let inner: f64 = (1..2000)
            .map(|i| density(step * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 })
            .sum();
        0.5 + step / 3.0 * (density(0.0) + inner + density(x)) + x * density(x)
    }

    #[test]
    fn slopes_of_activations_equal_their_definitions() {
        for size in [0, 1, 17, 1000] {
            let x: Vec<f32> = numbers(size, 1).iter().map(|x| x * 6.0).collect();
            let dy = numbers(size, 2);
            let expected: Vec<f32> = x
                .iter()
                .zip(&dy)
                .map(|(x, dy)| (slope(*x) * f64::from(*dy)) as f32)
                .collect();
            let mut found = dy.clone();
            gelu_backward(&x, &mut found);
            close(&expected, &found, 2e-6, "GELU");
            let (mut kept, mut output) = (x.clone(), vec![f32::NAN; size]);
            crate::gelu(&mut kept);
            gelu_of(&x, &mut output);
            assert_eq!(kept, output);
        }
        let mut ends = [1.0; 4];
        gelu_backward(&[f32::MAX, 40.0, -40.0, 0.0], &mut ends);
        assert_eq!(ends, [1.0, 1.0, 0.0, 0.5]);
    }

    #[test]
    fn gradients_of_a_linear_layer_are_two_products_and_a_sum() {
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 5, 7), (130, 33, 70)] {
            let (x, w, dy) = (
                numbers(rows * inputs, 1),
                numbers(inputs * outputs, 2),
                numbers(rows * outputs, 3),
            );
            // Weights that lie `(outputs, inputs)`.
            let weights = Matrix::rows(&w, outputs, inputs).transposed();
            let (x_rows, dy_rows) = (Matrix::rows(&x, rows, inputs), Matrix::rows(&dy, rows, outputs));
            let mut found = [x.len(), w.len(), outputs].map(|size| vec![f32::NAN; size]);
            let [dx, dweights, dbias] = &mut found;
            dense_backward(&x, weights, &dy, Some(dx), dweights, Some(dbias));
            close(&plain(dy_rows, weights.transposed()), &found[0], 5e-5, "input");
            close(&plain(x_rows.transposed(), dy_rows), &found[1], 5e-5, "weights");
            let ones = vec![1.0; rows];
            close(
                &plain(Matrix::rows(&ones, 1, rows), dy_rows),
                &found[2],
                5e-5,
                "bias",
            );
        }
    }
}
