//! The gradients of a convolution.

use rayon::prelude::*;
use rten_simd::SimdOp;

use crate::attention::with_scratch;
use crate::conv::{ConvShape, parts, rows_a_block};
use crate::direct::{self, Correlate, LAID_OUT, Layout, PRODUCT, Packed, Place, Product, SLACK, TILE};
use crate::elementwise::{MAX_LANES, add};
use crate::sums::channel_sums;

/// Columns over which products of the weights' gradient are summed at once: the rows of a tile stay in the first
/// cache.
const LENGTH: usize = 1024;
/// Values of pictures laid out at once for the weights' gradient.
const BLOCK: usize = 96 * 1024;

/// The gradients of a convolution's input, weights and bias from that of its output.
///
/// The weights' gradient is summed by as many tasks as there are threads, each over a fixed part of the batch, and
/// these sums in their order: with the same number of threads it is the same to the bit.
///
/// # Shapes
/// - x, dx `(batch, inputs, size)`; weights, dweights `(outputs, taps)`; dy `(batch, outputs, output_size)`;
///   dbias `(outputs)`
///
/// # Panics
/// When shapes disagree.
pub fn conv_backward(
    x: &[f32],
    weights: &[f32],
    dy: &[f32],
    shape: ConvShape,
    dx: Option<&mut [f32]>,
    dweights: &mut [f32],
    dbias: Option<&mut [f32]>,
) {
    let [area_in, area] = shape.areas();
    assert!(
        x.len() == shape.batch * shape.inputs * area_in
            && weights.len() == shape.outputs * shape.taps()
            && dweights.len() == weights.len()
            && dy.len() == shape.batch * shape.outputs * area
            && dx.as_ref().is_none_or(|dx| dx.len() == x.len())
            && dbias.as_ref().is_none_or(|dbias| dbias.len() == shape.outputs),
        "shapes of a convolution's gradients disagree"
    );
    weight_gradient(x, dy, shape, dweights);
    if let Some(dx) = dx {
        input_gradient(weights, dy, shape, dx);
    }
    if let Some(dbias) = dbias {
        channel_sums(dy, area, dbias);
    }
}

/// The input's rows and columns with the same remainder by the stride: a convolution of `dy` with the weights that
/// meet them, back to front.
struct Phase {
    at: [usize; 2],
    packed: Packed,
    offsets: Vec<usize>,
    adjacent: usize,
}

/// Value `x` of the input is met at `stride * u + phase = x + padding` by output `u - j` with tap
/// `stride * j + phase` of the kernel.
fn input_gradient(weights: &[f32], dy: &[f32], shape: ConvShape, dx: &mut [f32]) {
    if dx.is_empty() {
        return;
    }
    if dy.is_empty() {
        return dx.fill(0.0);
    }
    let ConvShape {
        stride,
        padding,
        kernel,
        size,
        ..
    } = shape;
    let reach: [usize; 2] = std::array::from_fn(|axis| kernel[axis].div_ceil(stride[axis]));
    let start: [usize; 2] = std::array::from_fn(|axis| padding[axis] / stride[axis]);
    let steps: [usize; 2] =
        std::array::from_fn(|axis| (size[axis] - 1 + padding[axis]) / stride[axis] + 1 - start[axis]);
    let layout = Layout {
        size: shape.output_size(),
        stride: [1, 1],
        before: std::array::from_fn(|axis| reach[axis] as isize - 1 - start[axis] as isize),
        reach,
        columns: steps[1],
    };
    let pitch = layout.pitch();
    let block = rows_a_block(shape.batch, steps[0], pitch * (shape.outputs + shape.inputs));
    let blocks = steps[0].div_ceil(block);
    let step = layout.plane(block);
    let phases: Vec<Phase> = (0..stride[0] * stride[1])
        .map(|phase| {
            Phase::new(
                [phase / stride[1], phase % stride[1]],
                weights,
                shape,
                step,
                pitch,
            )
        })
        .collect();
    let gaps = phases.iter().any(|phase| phase.offsets.is_empty());
    let ends: Vec<usize> = (1..=blocks)
        .map(|i| match i {
            _ if i == blocks => size[0],
            _ => ((i * block + start[0]) * stride[0]).saturating_sub(padding[0]),
        })
        .collect();
    let [_, area] = shape.areas();
    let parts = parts(dx, shape.inputs, size, &ends);
    parts.into_par_iter().enumerate().for_each(|(number, mut part)| {
        let (sample, block_number) = (number / blocks, number % blocks);
        let first = block_number * block;
        let rows = first..(first + block).min(steps[0]);
        let count = rows.len() * pitch;
        let begin = block_number.checked_sub(1).map_or(0, |before| ends[before]);
        let dy = &dy[sample * shape.outputs * area..][..shape.outputs * area];
        if gaps {
            part.iter_mut().for_each(|piece| piece.fill(0.0));
        }
        with_scratch(&LAID_OUT, shape.outputs * step + SLACK, |laid_out| {
            for (plane, to) in dy.chunks_exact(area).zip(laid_out.chunks_mut(step)) {
                layout.fill(plane, [0, 0], rows.clone(), &mut to[..layout.plane(rows.len())]);
            }
            with_scratch(&PRODUCT, direct::product_size(shape.inputs, count), |product| {
                for phase in phases.iter().filter(|phase| !phase.offsets.is_empty()) {
                    Product {
                        weights: &phase.packed,
                        bias: None,
                        offsets: &phase.offsets,
                        adjacent: phase.adjacent,
                        rows: laid_out,
                        count,
                        product,
                    }
                    .dispatch();
                    if stride == [1, 1] {
                        Place {
                            product,
                            count,
                            pitch,
                            columns: steps[1],
                            residual: None,
                            rectify: false,
                            output: &mut part,
                        }
                        .dispatch();
                        continue;
                    }
                    // Where the first row and column of the product lie in the piece; before it where negative.
                    let origin: [isize; 2] = std::array::from_fn(|axis| {
                        ((start[axis] + [first, 0][axis]) * stride[axis] + phase.at[axis]) as isize
                            - (padding[axis] + [begin, 0][axis]) as isize
                    });
                    let places = product.chunks(count.next_multiple_of(MAX_LANES));
                    for (piece, product) in part.iter_mut().zip(places) {
                        scatter(&product[..count], pitch, steps[1], origin, stride, size[1], piece);
                    }
                }
            });
        });
    });
}

impl Phase {
    fn new(at: [usize; 2], weights: &[f32], shape: ConvShape, step: usize, pitch: usize) -> Self {
        let reach: [usize; 2] = std::array::from_fn(|axis| shape.kernel[axis].div_ceil(shape.stride[axis]));
        let [down, right] = std::array::from_fn(|axis| {
            shape.kernel[axis]
                .saturating_sub(at[axis])
                .div_ceil(shape.stride[axis])
        });
        let [rows, columns] = shape.kernel;
        let taps = shape.outputs * down * right;
        let split = |tap: usize| {
            (
                tap / (down * right).max(1),
                tap / right.max(1) % down.max(1),
                tap % right.max(1),
            )
        };
        let packed = Packed::new(shape.inputs, taps, |input, tap| {
            let (output, row, column) = split(tap);
            let (row, column) = (at[0] + shape.stride[0] * row, at[1] + shape.stride[1] * column);
            weights[((output * shape.inputs + input) * rows + row) * columns + column]
        });
        let offsets = (0..taps)
            .map(|tap| {
                let (output, row, column) = split(tap);
                output * step + (reach[0] - 1 - row) * pitch + reach[1] - 1 - column
            })
            .collect();
        Self {
            at,
            packed,
            offsets,
            adjacent: right,
        }
    }
}

/// Writes rows of `columns` values to every `stride`-th row and column of a piece with `width` values a row.
fn scatter(
    product: &[f32],
    pitch: usize,
    columns: usize,
    origin: [isize; 2],
    stride: [usize; 2],
    width: usize,
    piece: &mut [f32],
) {
    let skipped = |origin: isize, stride: usize| (-origin).max(0).unsigned_abs().div_ceil(stride);
    let before = skipped(origin[1], stride[1]);
    let from = (before * stride[1]).wrapping_add_signed(origin[1]);
    if from >= width {
        return;
    }
    for (row, product) in product
        .chunks(pitch)
        .enumerate()
        .skip(skipped(origin[0], stride[0]))
    {
        let at = (row * stride[0]).wrapping_add_signed(origin[0]) * width;
        let Some(to) = piece.get_mut(at..at + width) else {
            return;
        };
        for (to, value) in to[from..]
            .iter_mut()
            .step_by(stride[1])
            .zip(&product[before..columns])
        {
            *to = *value;
        }
    }
}

fn weight_gradient(x: &[f32], dy: &[f32], shape: ConvShape, dweights: &mut [f32]) {
    dweights.fill(0.0);
    if dy.is_empty() || dweights.is_empty() {
        return;
    }
    let layout = shape.layout();
    let (pitch, planes) = (layout.pitch(), shape.planes());
    let [rows, columns] = shape.output_size();
    let [area_in, area] = shape.areas();
    // A block of rows of one picture, or some pictures.
    let most = (BLOCK / (pitch * (planes + shape.outputs))).min(LENGTH / pitch);
    let block = rows.div_ceil(rows.div_ceil(most.clamp(1, rows)));
    let plane = layout.plane(block);
    // The zeros above a picture serve the one before it as those below.
    let shared = if shape.stride[0] == 1 { shape.padding[0] } else { 0 };
    let stack = |plane: usize| match shared {
        0 => plane,
        _ => (plane - layout.reach[1]) - shared * pitch,
    };
    let pictures = match block == rows {
        true => (LENGTH / stack(plane)).min(BLOCK / (plane * (planes + shape.outputs))),
        false => 1,
    };
    let pictures = pictures.clamp(1, shape.batch);
    let blocks = rows.div_ceil(block);
    let items = shape.batch.div_ceil(pictures) * blocks;
    // Of all blocks but the last, and of the last.
    let step = |pictures: usize, plane: usize| (pictures - 1) * stack(plane) + plane;
    let last_step = match pictures {
        1 => layout.plane(rows - (blocks - 1) * block),
        _ => step((shape.batch - 1) % pictures + 1, plane),
    };
    let [offsets, last_offsets] = [step(pictures, plane), last_step].map(|step| shape.offsets(step));
    let tasks = rayon::current_num_threads().clamp(1, items);
    let share = items.div_ceil(tasks);
    let mut others = vec![0.0; (tasks - 1) * dweights.len()];
    let mut sums = vec![&mut *dweights];
    sums.extend(others.chunks_exact_mut(shape.outputs * shape.taps()));
    sums.into_par_iter().enumerate().for_each(|(task, sums)| {
        for item in task * share..((task + 1) * share).min(items) {
            let (sample, first) = (item / blocks * pictures, item % blocks * block);
            let samples = sample..(sample + pictures).min(shape.batch);
            let rows = first..(first + block).min(rows);
            let plane = layout.plane(rows.len());
            let (stack, step) = (stack(plane), step(samples.len(), plane));
            let used = (samples.len() - 1) * stack + rows.len() * pitch;
            let length = used.next_multiple_of(MAX_LANES);
            with_scratch(&LAID_OUT, planes * step + SLACK, |laid_out| {
                laid_out[planes * step..].fill(0.0);
                for (number, sample) in samples.clone().enumerate() {
                    let picture = &x[sample * shape.inputs * area_in..][..shape.inputs * area_in];
                    shape.lay_out(picture, &rows, step, &mut laid_out[number * stack..]);
                }
                let height = shape.outputs.next_multiple_of(TILE);
                with_scratch(&PRODUCT, height * length, |spread| {
                    for (output, to) in spread.chunks_exact_mut(length).enumerate() {
                        if output >= shape.outputs {
                            to.fill(0.0);
                            continue;
                        }
                        to[(samples.len() * stack).min(length)..].fill(0.0);
                        for (sample, to) in samples.clone().zip(to.chunks_mut(stack)) {
                            let from = (sample * shape.outputs + output) * area + rows.start * columns;
                            let dy = dy[from..][..rows.len() * columns].chunks_exact(columns);
                            let (laid, rest) = to.split_at_mut(rows.len() * pitch);
                            for (dy, to) in dy.zip(laid.chunks_exact_mut(pitch)) {
                                to[..columns].copy_from_slice(dy);
                                to[columns..].fill(0.0);
                            }
                            rest.fill(0.0);
                        }
                    }
                    let offsets = if step == last_step {
                        &last_offsets
                    } else {
                        &offsets
                    };
                    Correlate {
                        dy: spread,
                        length,
                        rows: laid_out,
                        offsets,
                        sums,
                    }
                    .dispatch();
                });
            });
        }
    });
    for other in others.chunks_exact(shape.outputs * shape.taps()) {
        add(dweights, other, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::tests::shapes;
    use crate::testing::{close, numbers};

    /// The gradients of input, weights and bias product by product, in double precision.
    fn plain(x: &[f32], weights: &[f32], dy: &[f32], shape: ConvShape) -> [Vec<f32>; 3] {
        let [rows, columns] = shape.output_size();
        let [height, width] = shape.size;
        let mut gradients = [x.len(), weights.len(), shape.outputs].map(|size| vec![0.0; size]);
        for (number, dy) in dy.iter().map(|dy| f64::from(*dy)).enumerate() {
            let (plane, row, column) = (
                number / (rows * columns),
                number / columns % rows,
                number % columns,
            );
            let (sample, output) = (plane / shape.outputs, plane % shape.outputs);
            gradients[2][output] += dy;
            for tap in 0..shape.taps() {
                let [down, right] = shape.kernel;
                let (input, i, j) = (tap / (down * right), tap / right % down, tap % right);
                let y = (row * shape.stride[0] + i).wrapping_sub(shape.padding[0]);
                let z = (column * shape.stride[1] + j).wrapping_sub(shape.padding[1]);
                if y < height && z < width {
                    let at = ((sample * shape.inputs + input) * height + y) * width + z;
                    let weight = output * shape.taps() + tap;
                    gradients[0][at] += dy * f64::from(weights[weight]);
                    gradients[1][weight] += dy * f64::from(x[at]);
                }
            }
        }
        gradients.map(|gradient| gradient.iter().map(|value| *value as f32).collect())
    }

    #[test]
    fn gradients_equal_plain_loops_and_themselves() {
        let wide = ConvShape {
            batch: 5,
            inputs: 2,
            outputs: 6,
            size: [90, 80],
            kernel: [5, 2],
            stride: [1, 3],
            padding: [2, 0],
        };
        for shape in shapes().into_iter().chain([wide]) {
            let [area_in, area] = shape.areas();
            let x = numbers(shape.batch * shape.inputs * area_in, 1);
            let weights = numbers(shape.outputs * shape.taps(), 2);
            let dy = numbers(shape.batch * shape.outputs * area, 3);
            let [dx, dweights, dbias] = plain(&x, &weights, &dy, shape);
            let mut found = [x.len(), weights.len(), shape.outputs].map(|size| vec![f32::NAN; size]);
            let [found_dx, found_dweights, found_dbias] = &mut found;
            conv_backward(
                &x,
                &weights,
                &dy,
                shape,
                Some(found_dx),
                found_dweights,
                Some(found_dbias),
            );
            close(&dx, found_dx, 1e-4, &format!("input, {shape:?}"));
            close(&dweights, found_dweights, 1e-3, &format!("weights, {shape:?}"));
            close(&dbias, found_dbias, 1e-3, &format!("bias, {shape:?}"));
            let mut again = vec![f32::NAN; weights.len()];
            conv_backward(&x, &weights, &dy, shape, None, &mut again, None);
            assert_eq!(&again, found_dweights, "{shape:?}");
        }
    }
}
