//! Batch norm with the statistics of the batch, forward and backward, with the residual and the rectifier after it.

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};
use rten_vecmath::{Sum, SumSquareSub};

use crate::elementwise::{Affine, Map, Run, load_some, store_some};
use crate::sums::over_channel;

/// A batch norm (Ioffe and Szegedy 2015) and the rectifier after it.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// Factors, `(channels)`.
    pub weight: &'a [f32],
    /// Summands, `(channels)`.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
    /// Values of a channel's plane.
    pub area: usize,
    /// Whether what is negative becomes zero.
    pub rectify: bool,
}

/// Statistics of a batch by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances, divided by the number of values.
    pub variance: Vec<f32>,
}

/// Where [`batch_norm_backward`] writes.
#[derive(Debug)]
pub struct BatchNormGradients<'a> {
    /// Of the input, `(batch, channels, area)`.
    pub dx: &'a mut [f32],
    /// Of the residual where there is one, `(batch, channels, area)`.
    pub dresidual: Option<&'a mut [f32]>,
    /// Of the factors, `(channels)`.
    pub dweight: &'a mut [f32],
    /// Of the summands, `(channels)`.
    pub dbias: &'a mut [f32],
}

/// The planes of each channel, sample after sample.
fn by_channel(values: &mut [f32], channels: usize, area: usize) -> Vec<Vec<&mut [f32]>> {
    let mut planes: Vec<Vec<&mut [f32]>> = (0..channels).map(|_| Vec::new()).collect();
    for (number, plane) in values.chunks_exact_mut(area).enumerate() {
        planes[number % channels].push(plane);
    }
    planes
}

/// `weight * (x - mean) / sqrt(variance + epsilon) + bias` by channel, mean and variance those of the batch, plus the
/// residual where there is one, rectified where wanted. The same to the bit with any number of threads.
///
/// # Shapes
/// - x, residual, output `(batch, channels, area)`
///
/// # Panics
/// When shapes disagree.
pub fn batch_norm_train(
    x: &[f32],
    residual: Option<&[f32]>,
    norm: BatchNorm,
    output: &mut [f32],
) -> BatchStatistics {
    let (channels, area) = (norm.weight.len(), norm.area);
    assert!(
        norm.bias.len() == channels
            && x.len() == output.len()
            && x.len().is_multiple_of((channels * area).max(1))
            && residual.is_none_or(|r| r.len() == x.len()),
        "shapes of a batch norm disagree"
    );
    if x.is_empty() {
        let zeros = vec![0.0; channels];
        return BatchStatistics {
            mean: zeros.clone(),
            variance: zeros,
        };
    }
    let count = (x.len() / channels) as f64;
    let run = |(channel, planes): (usize, Vec<&mut [f32]>)| {
        let sum = over_channel(x, channel, channels, area, |run| Sum::new(run).dispatch());
        let mean = (sum / count) as f32;
        let squares = over_channel(x, channel, channels, area, |run| {
            SumSquareSub::new(run, mean).dispatch()
        });
        let variance = (squares / count) as f32;
        let scale = norm.weight[channel] / (variance + norm.epsilon).sqrt();
        let op = Affine {
            centre: mean,
            scale,
            shift: norm.bias[channel],
            rectify: norm.rectify,
        };
        for (sample, output) in planes.into_iter().enumerate() {
            let from = (sample * channels + channel) * area;
            let (op, x, values) = (&op, &x[from..][..area], [output]);
            match residual {
                Some(residual) => {
                    let inputs = [x, &residual[from..][..area]];
                    Run { op, inputs, values }.dispatch();
                }
                None => Run {
                    op,
                    inputs: [x],
                    values,
                }
                .dispatch(),
            }
        }
        (mean, variance)
    };
    let (mean, variance) = by_channel(output, channels, area)
        .into_par_iter()
        .enumerate()
        .map(run)
        .unzip();
    BatchStatistics { mean, variance }
}

/// The gradient where the rectifier let it through, and its sums, alone and times what the input is off its mean.
struct Moments<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    /// The rectified output.
    y: Option<&'a [f32]>,
    mean: f32,
    passed: Option<&'a mut [f32]>,
}

impl SimdOp for Moments<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) -> [f32; 2] {
        let ops = isa.f32();
        let mean = ops.splat(self.mean);
        let lanes = ops.len();
        let count = self.x.len();
        // Two sums each: one addition need not wait for the one before it.
        let (mut sums, mut products) = ([ops.zero(); 2], [ops.zero(); 2]);
        for first in (0..count).step_by(2 * lanes) {
            for (i, (sum, product)) in sums.iter_mut().zip(&mut products).enumerate() {
                let at = (first + i * lanes).min(count);
                let x = load_some(ops, &self.x[at..]);
                let mut dy = load_some(ops, &self.dy[at..]);
                if let Some(y) = self.y {
                    let shown = ops.gt(load_some(ops, &y[at..]), ops.zero());
                    dy = ops.select(dy, ops.zero(), shown);
                }
                *sum = ops.add(*sum, dy);
                *product = ops.mul_add(dy, ops.sub(x, mean), *product);
                if let Some(passed) = &mut self.passed {
                    store_some(ops, dy, &mut passed[at..]);
                }
            }
        }
        let sums = ops.add(sums[0], sums[1]);
        let products = ops.add(products[0], products[1]);
        [ops.sum(sums), ops.sum(products)]
    }
}

/// `a dy + b x + c`, `dy` where the rectifier let it through.
struct Input {
    factor: f32,
    slope: f32,
    shift: f32,
}

impl Map<2, 1> for Input {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x, dy]: [I::F32; 2], _: [I::F32; 1]) -> [I::F32; 1] {
        let ops = isa.f32();
        let line = ops.mul_add(x, ops.splat(self.slope), ops.splat(self.shift));
        [ops.mul_add(dy, ops.splat(self.factor), line)]
    }
}

impl Map<3, 1> for Input {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x, dy, y]: [I::F32; 3], values: [I::F32; 1]) -> [I::F32; 1] {
        let ops = isa.f32();
        let passed = ops.select(dy, ops.zero(), ops.gt(y, ops.zero()));
        Map::<2, 1>::eval(self, isa, [x, passed], values)
    }
}

/// The gradients of [`batch_norm_train`] from that of its output `y`. The same to the bit with any number of threads.
///
/// # Shapes
/// - x, y, dy `(batch, channels, area)`
///
/// # Panics
/// When shapes disagree.
pub fn batch_norm_backward(
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    norm: BatchNorm,
    statistics: &BatchStatistics,
    gradients: BatchNormGradients,
) {
    let (channels, area) = (norm.weight.len(), norm.area);
    let BatchNormGradients {
        dx,
        dresidual,
        dweight,
        dbias,
    } = gradients;
    let by = |values: &[f32]| values.len() == channels;
    assert!(
        by(dweight)
            && by(dbias)
            && by(&statistics.mean)
            && by(&statistics.variance)
            && y.len() == x.len()
            && dy.len() == x.len()
            && dx.len() == x.len()
            && dresidual.as_ref().is_none_or(|d| d.len() == x.len())
            && x.len().is_multiple_of((channels * area).max(1)),
        "shapes of a batch norm's gradients disagree"
    );
    dweight.fill(0.0);
    dbias.fill(0.0);
    if x.is_empty() {
        return;
    }
    let count = (x.len() / channels) as f32;
    let passed: Vec<Option<Vec<&mut [f32]>>> = match dresidual {
        Some(dresidual) => by_channel(dresidual, channels, area)
            .into_iter()
            .map(Some)
            .collect(),
        None => (0..channels).map(|_| None).collect(),
    };
    let outputs = by_channel(dx, channels, area).into_par_iter().zip(passed);
    let sums = dweight.par_iter_mut().zip(dbias);
    outputs
        .zip(sums)
        .enumerate()
        .for_each(|(channel, ((planes, mut passed), (dweight, dbias)))| {
            let mean = statistics.mean[channel];
            let part = |sample: usize| {
                (sample * channels + channel) * area..(sample * channels + channel + 1) * area
            };
            let [mut sum, mut product] = [0.0; 2];
            for sample in 0..planes.len() {
                let part = part(sample);
                let sums = Moments {
                    x: &x[part.clone()],
                    dy: &dy[part.clone()],
                    y: norm.rectify.then(|| &y[part]),
                    mean,
                    passed: passed.as_mut().map(|passed| &mut *passed[sample]),
                }
                .dispatch();
                sum += f64::from(sums[0]);
                product += f64::from(sums[1]);
            }
            let scale = 1.0 / (statistics.variance[channel] + norm.epsilon).sqrt();
            *dbias = sum as f32;
            *dweight = product as f32 * scale;
            let factor = norm.weight[channel] * scale;
            let slope = -factor * scale * *dweight / count;
            let op = Input {
                factor,
                slope,
                shift: -factor * *dbias / count - slope * mean,
            };
            for (sample, dx) in planes.into_iter().enumerate() {
                let part = part(sample);
                let (op, x, values) = (&op, &x[part.clone()], [dx]);
                let passed = passed.as_ref().map(|passed| &*passed[sample]);
                match passed.or((!norm.rectify).then(|| &dy[part.clone()])) {
                    Some(dy) => {
                        let inputs = [x, dy];
                        Run { op, inputs, values }.dispatch();
                    }
                    None => {
                        let inputs = [x, &dy[part.clone()], &y[part]];
                        Run { op, inputs, values }.dispatch();
                    }
                }
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    /// The output in double precision.
    fn plain(x: &[f64], residual: Option<&[f32]>, norm: BatchNorm) -> Vec<f64> {
        let channels = norm.weight.len();
        let mut output = vec![0.0; x.len()];
        for channel in 0..channels {
            let at: Vec<usize> = (0..x.len())
                .filter(|at| at / norm.area % channels == channel)
                .collect();
            let mean = at.iter().map(|&at| x[at]).sum::<f64>() / at.len() as f64;
            let variance = at.iter().map(|&at| (x[at] - mean).powi(2)).sum::<f64>() / at.len() as f64;
            for at in at {
                let scaled = (x[at] - mean) / (variance + f64::from(norm.epsilon)).sqrt();
                let y = scaled * f64::from(norm.weight[channel])
                    + f64::from(norm.bias[channel])
                    + residual.map_or(0.0, |r| f64::from(r[at]));
                output[at] = if norm.rectify { y.max(0.0) } else { y };
            }
        }
        output
    }

    #[test]
    fn outputs_and_gradients_equal_plain_loops_and_differences() {
        for (batch, channels, area) in [(2, 1, 1), (3, 5, 7), (4, 3, 33), (1, 2, 100)] {
            let size = batch * channels * area;
            let (x, residual, dy) = (numbers(size, 1), numbers(size, 2), numbers(size, 3));
            let (weight, bias) = (numbers(channels, 4), numbers(channels, 5));
            for (added, rectify) in [(false, false), (true, true), (false, true), (true, false)] {
                let norm = BatchNorm {
                    weight: &weight,
                    bias: &bias,
                    epsilon: 1e-2,
                    area,
                    rectify,
                };
                let residual = added.then_some(&residual[..]);
                let exact: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                let expected: Vec<f32> = plain(&exact, residual, norm).iter().map(|y| *y as f32).collect();
                let mut y = vec![f32::NAN; size];
                let statistics = batch_norm_train(&x, residual, norm, &mut y);
                close(&expected, &y, 1e-5, "output");

                let mut found = [size, size, channels, channels].map(|size| vec![f32::NAN; size]);
                let [dx, dresidual, dweight, dbias] = &mut found;
                let gradients = BatchNormGradients {
                    dx,
                    dresidual: added.then_some(dresidual),
                    dweight,
                    dbias,
                };
                batch_norm_backward(&x, &y, &dy, norm, &statistics, gradients);
                let [dx, dresidual, dweight, dbias] = &found;
                let passed: Vec<f32> = dy
                    .iter()
                    .zip(&y)
                    .map(|(dy, y)| if rectify && *y <= 0.0 { 0.0 } else { *dy })
                    .collect();
                if added {
                    close(&passed, dresidual, 0.0, "residual");
                }
                // Differences of the part that the rectifier lets through, which is smooth.
                let smooth = BatchNorm {
                    rectify: false,
                    ..norm
                };
                let loss = |x: &[f64]| -> f64 {
                    let y = plain(x, residual, smooth);
                    y.iter().zip(&passed).map(|(y, dy)| y * f64::from(*dy)).sum()
                };
                let differences: Vec<f32> = (0..size)
                    .map(|at| {
                        let mut moved = exact.clone();
                        moved[at] += 1e-4;
                        let up = loss(&moved);
                        moved[at] -= 2e-4;
                        ((up - loss(&moved)) / 2e-4) as f32
                    })
                    .collect();
                close(&differences, dx, 2e-4, "input");
                for channel in 0..channels {
                    let sum = |of: &dyn Fn(usize) -> f64| -> f32 {
                        let at = (0..size).filter(|at| at / area % channels == channel);
                        at.map(|at| of(at) * f64::from(passed[at])).sum::<f64>() as f32
                    };
                    let ones = vec![1.0; channels];
                    let zeros = vec![0.0; channels];
                    let unit = BatchNorm {
                        weight: &ones,
                        bias: &zeros,
                        ..smooth
                    };
                    let scaled = plain(&exact, None, unit);
                    close(&[sum(&|_| 1.0)], &dbias[channel..=channel], 1e-4, "bias");
                    close(
                        &[sum(&|at| scaled[at])],
                        &dweight[channel..=channel],
                        1e-4,
                        "weight",
                    );
                }
            }
        }
    }
}
