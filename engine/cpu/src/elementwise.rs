//! What is computed value by value.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};
use rten_vecmath::Gelu;

/// Values that one task takes: large enough that handing it over costs nothing beside it.
const GRAIN: usize = 32 * 1024;
/// Lanes of the widest vector.
pub(crate) const MAX_LANES: usize = 16;

/// A function of `N` inputs and `M` values that it replaces, vector by vector.
pub trait Map<const N: usize, const M: usize>: Sync {
    /// The new values.
    fn eval<I: Isa>(&self, isa: I, inputs: [I::F32; N], values: [I::F32; M]) -> [I::F32; M];
}

/// [`map`] on one thread.
pub(crate) struct Run<'a, Op, const N: usize, const M: usize> {
    pub op: &'a Op,
    pub inputs: [&'a [f32]; N],
    pub values: [&'a mut [f32]; M],
}

impl<Op: Map<N, M>, const N: usize, const M: usize> SimdOp for Run<'_, Op, N, M> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self {
            op,
            mut inputs,
            mut values,
        } = self;
        let ops = isa.f32();
        let lanes = ops.len();
        let count = values.first().map_or(0, |v| v.len());
        for _ in 0..count / lanes {
            let mut x = [ops.zero(); N];
            for (x, from) in x.iter_mut().zip(&mut inputs) {
                let (head, tail) = from.split_at(lanes);
                *x = ops.load(head);
                *from = tail;
            }
            let mut y = [ops.zero(); M];
            for (y, from) in y.iter_mut().zip(&values) {
                *y = ops.load(from);
            }
            let y = op.eval(isa, x, y);
            for (y, to) in y.into_iter().zip(&mut values) {
                let (head, tail) = std::mem::take(to).split_at_mut(lanes);
                ops.store(y, head);
                *to = tail;
            }
        }
        if count % lanes > 0 {
            let mut x = [ops.zero(); N];
            for (x, from) in x.iter_mut().zip(&inputs) {
                *x = ops.load_pad(from).0;
            }
            let mut y = [ops.zero(); M];
            for (y, from) in y.iter_mut().zip(&values) {
                *y = ops.load_pad(from).0;
            }
            let y = op.eval(isa, x, y);
            for (y, to) in y.into_iter().zip(&mut values) {
                store_some(ops, y, to);
            }
        }
    }
}

/// Loads as many lanes as there are, zeros after them.
#[inline(always)]
pub(crate) fn load_some<O: NumOps<f32>>(ops: O, from: &[f32]) -> O::Simd {
    load_or(ops, from, ops.zero())
}

/// Loads as many lanes as there are, those of `after` after them; a mask is costly where none is needed.
#[inline(always)]
pub(crate) fn load_or<O: NumOps<f32>>(ops: O, from: &[f32], after: O::Simd) -> O::Simd {
    if from.len() >= ops.len() {
        return ops.load(from);
    }
    let (x, there) = ops.load_pad(from);
    ops.select(x, after, there)
}

/// Stores as many lanes as `to` has room for.
#[inline(always)]
pub(crate) fn store_some<O: NumOps<f32>>(ops: O, x: O::Simd, to: &mut [f32]) {
    if to.len() >= ops.len() {
        ops.store(x, to);
    } else {
        let mut whole = [0.0; MAX_LANES];
        ops.store(x, &mut whole);
        let count = to.len();
        to.copy_from_slice(&whole[..count]);
    }
}

/// Replaces `values` by what `op` makes of `inputs` and them, in parallel.
///
/// # Panics
/// When lengths differ.
pub fn map<Op: Map<N, M>, const N: usize, const M: usize>(
    op: &Op,
    inputs: [&[f32]; N],
    values: [&mut [f32]; M],
) {
    let count = values.first().map_or(0, |v| v.len());
    assert!(
        inputs.iter().all(|x| x.len() == count) && values.iter().all(|v| v.len() == count),
        "inputs and values differ in length"
    );
    split(op, inputs, values, count);
}

fn split<Op: Map<N, M>, const N: usize, const M: usize>(
    op: &Op,
    inputs: [&[f32]; N],
    values: [&mut [f32]; M],
    count: usize,
) {
    if count <= GRAIN || rayon::current_num_threads() == 1 {
        Run { op, inputs, values }.dispatch();
        return;
    }
    let middle = (count / 2).next_multiple_of(MAX_LANES);
    let (left, right) = (inputs.map(|x| &x[..middle]), inputs.map(|x| &x[middle..]));
    let mut tails = [const { None }; M];
    let mut at = 0;
    let heads = values.map(|v| {
        let (head, tail) = v.split_at_mut(middle);
        tails[at] = Some(tail);
        at += 1;
        head
    });
    let tails = tails.map(Option::unwrap_or_default);
    rayon::join(
        || split(op, left, heads, middle),
        || split(op, right, tails, count - middle),
    );
}

struct GeluMap;

impl Map<0, 1> for GeluMap {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, _: [I::F32; 0], [x]: [I::F32; 1]) -> [I::F32; 1] {
        [Gelu {}.eval(isa, x)]
    }
}

/// GELU with the error function (Hendrycks and Gimpel 2016), in place; within 1e-6 of it for values up to 3.
pub fn gelu(values: &mut [f32]) {
    map(&GeluMap, [], [values]);
}

struct ReluMap;

impl Map<0, 1> for ReluMap {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, _: [I::F32; 0], [x]: [I::F32; 1]) -> [I::F32; 1] {
        let ops = isa.f32();
        [ops.max(x, ops.zero())]
    }
}

/// The rectifier, in place.
pub fn relu(values: &mut [f32]) {
    map(&ReluMap, [], [values]);
}

struct AddMap {
    rectify: bool,
}

impl Map<1, 1> for AddMap {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x]: [I::F32; 1], [y]: [I::F32; 1]) -> [I::F32; 1] {
        let ops = isa.f32();
        let sum = ops.add(x, y);
        [if self.rectify {
            ops.max(sum, ops.zero())
        } else {
            sum
        }]
    }
}

/// Adds `x` to `values`, and rectifies the sum where wanted.
pub fn add(values: &mut [f32], x: &[f32], rectify: bool) {
    map(&AddMap { rectify }, [x], [values]);
}

/// `scale * (x - centre) + shift`, rectified where wanted: what is far from zero and close together keeps its digits.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// Taken off first.
    pub centre: f32,
    /// Factor.
    pub scale: f32,
    /// Summand.
    pub shift: f32,
    /// Whether what is negative becomes zero.
    pub rectify: bool,
}

impl Map<1, 1> for Affine {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x]: [I::F32; 1], _: [I::F32; 1]) -> [I::F32; 1] {
        let ops = isa.f32();
        let x = ops.sub(x, ops.splat(self.centre));
        let y = ops.mul_add(x, ops.splat(self.scale), ops.splat(self.shift));
        [if self.rectify { ops.max(y, ops.zero()) } else { y }]
    }
}

impl Map<2, 1> for Affine {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x, added]: [I::F32; 2], _: [I::F32; 1]) -> [I::F32; 1] {
        let ops = isa.f32();
        let x = ops.sub(x, ops.splat(self.centre));
        let y = ops.mul_add(x, ops.splat(self.scale), ops.splat(self.shift));
        let y = ops.add(y, added);
        [if self.rectify { ops.max(y, ops.zero()) } else { y }]
    }
}

/// `scale[c] * x + shift[c]` by channel, plus the residual where there is one, rectified where wanted: batch norm
/// with fixed statistics.
///
/// # Shapes
/// - x, residual, output `(batch, channels, area)`; scale, shift `(channels)`
///
/// # Panics
/// When shapes disagree.
pub fn scale_channels(
    x: &[f32],
    residual: Option<&[f32]>,
    scale: &[f32],
    shift: &[f32],
    area: usize,
    rectify: bool,
    output: &mut [f32],
) {
    use rayon::prelude::*;
    let channels = scale.len();
    assert!(
        shift.len() == channels
            && x.len() == output.len()
            && x.len().is_multiple_of((channels * area).max(1)),
        "channels do not fit the picture"
    );
    if x.is_empty() {
        return;
    }
    let rows = GRAIN.div_ceil(area);
    output
        .par_chunks_mut(area * rows)
        .enumerate()
        .for_each(|(chunk, output)| {
            for (row, output) in output.chunks_mut(area).enumerate() {
                let plane = chunk * rows + row;
                let channel = plane % channels;
                let op = Affine {
                    centre: 0.0,
                    scale: scale[channel],
                    shift: shift[channel],
                    rectify,
                };
                let part = plane * area..(plane + 1) * area;
                let values = [output];
                match residual {
                    Some(residual) => Run {
                        op: &op,
                        inputs: [&x[part.clone()], &residual[part]],
                        values,
                    }
                    .dispatch(),
                    None => Run {
                        op: &op,
                        inputs: [&x[part]],
                        values,
                    }
                    .dispatch(),
                }
            }
        });
}

/// Values beside those of a product, row by row with a step.
pub(crate) struct Residual<'a> {
    pub values: &'a [f32],
    pub step: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    const SIZES: [usize; 8] = [0, 1, 7, 16, 17, 31, 1000, GRAIN * 2 + 5];

    /// GELU in double precision, its error function by its series (Abramowitz and Stegun 7.1.6).
    fn reference_gelu(x: f32) -> f32 {
        let x = f64::from(x);
        let z = x / std::f64::consts::SQRT_2;
        let (mut term, mut sum, mut n) = (z, z, 0.0);
        while f64::abs(term) > 1e-18 && n < 400.0 {
            n += 1.0;
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
        }
        let erf = 2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp() * sum;
        (0.5 * x * (1.0 + erf)) as f32
    }

    #[test]
    fn gelu_equals_its_definition() {
        for size in SIZES {
            let x: Vec<f32> = numbers(size, 1).iter().map(|x| x * 6.0).collect();
            let expected: Vec<f32> = x.iter().map(|&x| reference_gelu(x)).collect();
            let mut found = x;
            gelu(&mut found);
            close(&expected, &found, 2.5e-6, &format!("{size} values"));
        }
        let mut ends = [f32::INFINITY, 30.0, -30.0, 0.0];
        gelu(&mut ends);
        assert_eq!(ends, [f32::INFINITY, 30.0, 0.0, 0.0]);
    }

    #[test]
    fn sums_and_scales_equal_plain_loops() {
        for size in SIZES {
            let (x, y) = (numbers(size, 1), numbers(size, 2));
            for rectify in [false, true] {
                let floor = if rectify { 0.0 } else { f32::MIN };
                let mut found = y.clone();
                add(&mut found, &x, rectify);
                let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| (x + y).max(floor)).collect();
                close(&expected, &found, 1e-7, "sum");
            }
        }
        for (batch, channels, area) in [(1, 1, 1), (2, 3, 49), (3, 5, 130), (2, 7, 40_000)] {
            let x = numbers(batch * channels * area, 3);
            let residual = numbers(batch * channels * area, 4);
            let (scale, shift) = (numbers(channels, 5), numbers(channels, 6));
            for (added, rectify) in [(false, false), (true, true), (false, true)] {
                let plain = |at: usize| {
                    let channel = at / area % channels;
                    let y = scale[channel] * x[at] + shift[channel] + if added { residual[at] } else { 0.0 };
                    if rectify { y.max(0.0) } else { y }
                };
                let expected: Vec<f32> = (0..x.len()).map(plain).collect();
                let mut found = vec![0.0; x.len()];
                scale_channels(
                    &x,
                    added.then_some(&residual[..]),
                    &scale,
                    &shift,
                    area,
                    rectify,
                    &mut found,
                );
                close(&expected, &found, 1e-6, "channels");
            }
        }
    }
}
