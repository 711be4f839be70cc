//! Sums, in an order that does not depend on the threads.

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};
use rten_vecmath::Sum;

use crate::elementwise::{load_some, store_some};

/// Values that are summed one after another in single precision.
const RUN: usize = 4096;
/// Values that one task takes.
const GRAIN: usize = 32 * 1024;

/// The sum of one channel of `(batch, channels, area)`, run by run as `sum` has it.
pub(crate) fn over_channel(
    x: &[f32],
    channel: usize,
    channels: usize,
    area: usize,
    sum: impl Fn(&[f32]) -> f32,
) -> f64 {
    x.chunks_exact(channels * area)
        .flat_map(|sample| sample[channel * area..][..area].chunks(RUN))
        .map(|run| f64::from(sum(run)))
        .sum()
}

/// Sums by channel: the gradient of a bias.
///
/// # Shapes
/// - x `(batch, channels, area)`; sums `(channels)`
///
/// # Panics
/// When shapes disagree.
pub(crate) fn channel_sums(x: &[f32], area: usize, sums: &mut [f32]) {
    let channels = sums.len();
    assert!(
        x.len().is_multiple_of((channels * area).max(1)),
        "channels do not fit the picture"
    );
    if x.is_empty() {
        return sums.fill(0.0);
    }
    sums.par_iter_mut().enumerate().for_each(|(channel, to)| {
        *to = over_channel(x, channel, channels, area, |run| Sum::new(run).dispatch()) as f32;
    });
}

struct Columns<'a> {
    x: &'a [f32],
    width: usize,
    /// Columns of the rows from here on.
    sums: &'a mut [f32],
}

impl SimdOp for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        for row in self.x.chunks(self.width) {
            for at in (0..self.sums.len()).step_by(ops.len()) {
                let sum = ops.add(
                    load_some(ops, &self.sums[at..]),
                    load_some(ops, &row[at..self.sums.len()]),
                );
                store_some(ops, sum, &mut self.sums[at..]);
            }
        }
    }
}

/// Sums by column: the gradient of a linear layer's bias.
///
/// # Shapes
/// - x `(rows, width)`; sums `(width)`
///
/// # Panics
/// When shapes disagree.
pub(crate) fn column_sums(x: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    assert!(
        x.len().is_multiple_of(width.max(1)),
        "columns do not fit the rows"
    );
    sums.fill(0.0);
    if x.is_empty() {
        return;
    }
    let rows = GRAIN.div_ceil(width);
    let parts: Vec<Vec<f32>> = x
        .par_chunks(rows * width)
        .map(|x| {
            let mut sums = vec![0.0; width];
            Columns {
                x,
                width,
                sums: &mut sums,
            }
            .dispatch();
            sums
        })
        .collect();
    add_parts(&parts, sums);
}

/// Adds parts one after another.
pub(crate) fn add_parts(parts: &[Vec<f32>], sums: &mut [f32]) {
    for part in parts {
        for (sum, value) in sums.iter_mut().zip(part) {
            *sum += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    #[test]
    fn sums_equal_plain_sums() {
        for (batch, channels, area) in [(1, 1, 1), (3, 5, 7), (2, 3, 5000), (700, 33, 3)] {
            let x = numbers(batch * channels * area, 1);
            let by = |index: &dyn Fn(usize) -> usize, count| {
                let mut sums = vec![0.0; count];
                for (at, x) in x.iter().enumerate() {
                    sums[index(at)] += f64::from(*x);
                }
                sums.iter().map(|sum| *sum as f32).collect::<Vec<f32>>()
            };
            let mut found = vec![f32::NAN; channels];
            channel_sums(&x, area, &mut found);
            close(
                &by(&|at| at / area % channels, channels),
                &found,
                1e-4,
                "channels",
            );
            let width = channels * area;
            let mut found = vec![f32::NAN; width];
            column_sums(&x, &mut found);
            close(&by(&|at| at % width, width), &found, 1e-4, "columns");
        }
    }
}
