//! Pools, forward and backward.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::attention::with_scratch;
use crate::elementwise::MAX_LANES;

/// Values that one task takes.
const GRAIN: usize = 16 * 1024;

/// Sizes of a pool; the padding is smaller than the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Rows and columns of a plane.
    pub size: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps of the kernel along rows and columns.
    pub stride: [usize; 2],
    /// What is passed over around the plane: above and below, left and right.
    pub padding: [usize; 2],
}

impl PoolShape {
    /// Rows and columns of what comes out.
    pub fn output_size(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = self.size[axis] + 2 * self.padding[axis];
            (padded + 1)
                .saturating_sub(self.kernel[axis])
                .div_ceil(self.stride[axis])
        })
    }

    fn areas(&self) -> [usize; 2] {
        let [rows, columns] = self.output_size();
        [self.size[0] * self.size[1], rows * columns]
    }

    /// Of each column of the kernel.
    fn spans(&self) -> Vec<Span> {
        let ([_, columns], width, padding) = (self.output_size(), self.size[1], self.padding[1]);
        let stride = self.stride[1];
        let span = |tap: usize| {
            // padding <= column * stride + tap < width + padding
            let begin = padding.saturating_sub(tap).div_ceil(stride).min(columns);
            let end = (width + padding).saturating_sub(tap).div_ceil(stride);
            let from = (begin * stride + tap).saturating_sub(padding);
            Span {
                places: begin..end.clamp(begin, columns),
                from,
                laid_out: from % stride * width.div_ceil(stride) + from / stride,
            }
        };
        (0..self.kernel[1])
            .map(span)
            .filter(|span| !span.places.is_empty())
            .collect()
    }
}

/// Output columns whose tap lies in the plane.
struct Span {
    places: Range<usize>,
    /// The first column of the plane that the tap meets, there and in a row split by remainders.
    from: usize,
    laid_out: usize,
}

thread_local! {
    /// A row, split by the remainders of its columns.
    static ROW: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The largest values of a plane.
struct Largest<'a> {
    plane: &'a [f32],
    shape: PoolShape,
    spans: &'a [Span],
    row: &'a mut [f32],
    output: &'a mut [f32],
    indices: &'a mut [i32],
}

impl SimdOp for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let (ops, ints) = (isa.f32(), isa.i32());
        let lanes = ops.len();
        let PoolShape {
            size: [height, width],
            kernel,
            stride,
            padding,
        } = self.shape;
        let [_, columns] = self.shape.output_size();
        // Of the columns of a vector, from the first on.
        let places: [i32; MAX_LANES] = std::array::from_fn(|lane| lane as i32 * stride[1] as i32);
        let places = ints.load(&places);
        self.output.fill(f32::NEG_INFINITY);
        let rows = self
            .output
            .chunks_exact_mut(columns)
            .zip(self.indices.chunks_exact_mut(columns));
        for (number, (output, indices)) in rows.enumerate() {
            let first = (number * stride[0]).saturating_sub(padding[0]);
            indices.fill((first * width) as i32);
            for tap in 0..kernel[0] {
                let Some(row) = (number * stride[0] + tap)
                    .checked_sub(padding[0])
                    .filter(|&row| row < height)
                else {
                    continue;
                };
                let source = &self.plane[row * width..][..width];
                let apart = width.div_ceil(stride[1]);
                let source = match stride[1] {
                    1 => source,
                    2 => {
                        let (even, odd) = self.row.split_at_mut(apart);
                        let (pairs, last) = source.as_chunks::<2>();
                        for ((even, odd), pair) in even.iter_mut().zip(odd).zip(pairs) {
                            *even = pair[0];
                            *odd = pair[1];
                        }
                        even[pairs.len()..].copy_from_slice(last);
                        &*self.row
                    }
                    step => {
                        for (phase, to) in self.row.chunks_exact_mut(apart).enumerate() {
                            let from = &source[phase.min(width)..];
                            for (to, value) in to.iter_mut().zip(from.iter().step_by(step)) {
                                *to = *value;
                            }
                        }
                        &*self.row
                    }
                };
                for span in self.spans {
                    let count = span.places.len();
                    let values = &source[span.laid_out..][..count];
                    let largest = &mut output[span.places.start..][..count];
                    let indices = &mut indices[span.places.start..][..count];
                    let base = (row * width + span.from) as i32;
                    let step = stride[1] as i32;
                    let whole = count - count % lanes;
                    for at in (0..whole).step_by(lanes) {
                        let index = ints.add(places, ints.splat(base + at as i32 * step));
                        let value = ops.load(&values[at..]);
                        let before = ops.load(&largest[at..]);
                        let larger = ops.gt(value, before);
                        let number = ops.eq(value, value);
                        let after = ops.select(value, before, larger);
                        ops.store(ops.select(after, value, number), &mut largest[at..]);
                        let before = ints.load(&indices[at..]);
                        let after = ints.select(index, before, larger);
                        ints.store(ints.select(after, index, number), &mut indices[at..]);
                    }
                    for at in whole..count {
                        if values[at] > largest[at] || values[at].is_nan() {
                            largest[at] = values[at];
                            indices[at] = base + at as i32 * step;
                        }
                    }
                }
            }
        }
    }
}

/// The largest value that the kernel meets, the first of equal ones, and where in its plane it lies.
///
/// # Shapes
/// - x `(planes, size)`; output, indices `(planes, output_size)`
///
/// # Panics
/// When shapes disagree or the padding is not smaller than the kernel.
pub fn max_pool(x: &[f32], shape: PoolShape, output: &mut [f32], indices: &mut [i32]) {
    let [area_in, area] = shape.areas();
    assert!(
        shape
            .padding
            .iter()
            .zip(shape.kernel)
            .all(|(padding, kernel)| *padding < kernel)
            && x.len().is_multiple_of(area_in.max(1))
            && output.len() * area_in == x.len() * area
            && indices.len() == output.len(),
        "shapes of a pool disagree"
    );
    if output.is_empty() {
        return;
    }
    let planes = GRAIN.div_ceil(area_in);
    let spans = shape.spans();
    let outputs = output
        .par_chunks_mut(planes * area)
        .zip(indices.par_chunks_mut(planes * area));
    outputs
        .zip(x.par_chunks(planes * area_in))
        .for_each(|((output, indices), x)| {
            let row = shape.size[1].div_ceil(shape.stride[1]) * shape.stride[1];
            with_scratch(&ROW, row, |row| {
                let outputs = output.chunks_exact_mut(area).zip(indices.chunks_exact_mut(area));
                for ((output, indices), plane) in outputs.zip(x.chunks_exact(area_in)) {
                    Largest {
                        plane,
                        shape,
                        spans: &spans,
                        row: &mut *row,
                        output,
                        indices,
                    }
                    .dispatch();
                }
            });
        });
}

/// The gradient of [`max_pool`]'s input from that of its output.
///
/// # Shapes
/// - dy, indices `(planes, output_size)`; dx `(planes, size)`
///
/// # Panics
/// When shapes disagree or an index lies outside of its plane.
pub fn max_pool_backward(dy: &[f32], indices: &[i32], shape: PoolShape, dx: &mut [f32]) {
    let [area_in, area] = shape.areas();
    assert!(
        dx.len().is_multiple_of(area_in.max(1))
            && dy.len() * area_in == dx.len() * area
            && indices.len() == dy.len(),
        "shapes of a pool's gradient disagree"
    );
    if dx.is_empty() {
        return;
    }
    let planes = GRAIN.div_ceil(area_in);
    dx.par_chunks_mut(planes * area_in)
        .enumerate()
        .for_each(|(chunk, dx)| {
            for (number, dx) in dx.chunks_exact_mut(area_in).enumerate() {
                dx.fill(0.0);
                let part = (chunk * planes + number) * area..(chunk * planes + number + 1) * area;
                for (index, dy) in indices[part.clone()].iter().zip(&dy[part]) {
                    dx[*index as usize] += dy;
                }
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    #[test]
    fn largest_values_and_their_gradients_equal_plain_loops() {
        for (planes, size, kernel, stride, padding) in [
            (1, [1, 1], [1, 1], [1, 1], [0, 0]),
            (3, [7, 9], [3, 3], [2, 2], [1, 1]),
            (5, [112, 37], [3, 3], [2, 2], [1, 1]),
            (2, [8, 11], [2, 3], [1, 1], [0, 1]),
            (2, [9, 20], [4, 2], [3, 3], [2, 0]),
            (4, [2, 5], [3, 3], [2, 4], [1, 2]),
        ] {
            let shape = PoolShape {
                size,
                kernel,
                stride,
                padding,
            };
            let [area_in, area] = shape.areas();
            // Half of them equal, so that the first of equal ones matters.
            let x: Vec<f32> = numbers(planes * area_in, 1)
                .iter()
                .map(|x| x.max(0.0) - 0.5)
                .collect();
            let dy = numbers(planes * area, 2);
            let [rows, columns] = shape.output_size();
            let (mut expected, mut expected_dx) = (Vec::new(), vec![0.0; x.len()]);
            for (number, dy) in dy.iter().enumerate() {
                let (plane, row, column) = (number / area, number / columns % rows, number % columns);
                let mut best: Option<usize> = None;
                for (i, j) in (0..kernel[0]).flat_map(|i| (0..kernel[1]).map(move |j| (i, j))) {
                    let y = (row * stride[0] + i).wrapping_sub(padding[0]);
                    let z = (column * stride[1] + j).wrapping_sub(padding[1]);
                    if y < size[0] && z < size[1] {
                        let at = (plane * size[0] + y) * size[1] + z;
                        if best.is_none_or(|best| x[at] > x[best]) {
                            best = Some(at);
                        }
                    }
                }
                let best = best.unwrap();
                expected.push(x[best]);
                expected_dx[best] += dy;
            }
            let (mut output, mut indices) = (vec![f32::NAN; dy.len()], vec![i32::MAX; dy.len()]);
            max_pool(&x, shape, &mut output, &mut indices);
            assert_eq!(expected, output, "{shape:?}");
            let mut dx = vec![f32::NAN; x.len()];
            max_pool_backward(&dy, &indices, shape, &mut dx);
            close(&expected_dx, &dx, 1e-6, &format!("{shape:?}"));
        }
    }
}
