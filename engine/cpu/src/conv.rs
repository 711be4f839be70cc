//! Convolution, block of rows by block of rows.

use std::ops::Range;

use rayon::prelude::*;
use rten_gemm::{BiasVector, GemmInputA, GemmInputB, GemmOptions, PackedAMatrix};
use rten_simd::SimdOp;

use crate::attention::with_scratch;
use crate::direct::{self, LAID_OUT, Layout, PRODUCT, Packed, Place, Product, SLACK};
use crate::elementwise::{Residual, add, relu};
use crate::matrix::{Matrix, executor};
use crate::winograd;

/// Values of a block of rows, laid out and computed: about what stays in the second cache.
const BLOCK: usize = 96 * 1024;

/// Sizes of a convolution without groups or dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pictures.
    pub batch: usize,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Rows and columns of a picture.
    pub size: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps of the kernel along rows and columns.
    pub stride: [usize; 2],
    /// Zeros around the picture: above and below, left and right.
    pub padding: [usize; 2],
}

impl ConvShape {
    /// Rows and columns of what comes out.
    pub fn output_size(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = self.size[axis] + 2 * self.padding[axis];
            (padded + 1)
                .saturating_sub(self.kernel[axis])
                .div_ceil(self.stride[axis])
        })
    }

    /// Values that one value of the output is computed from.
    pub const fn taps(&self) -> usize {
        self.inputs * self.kernel[0] * self.kernel[1]
    }

    /// Values of a picture, and of an output's.
    pub(crate) fn areas(&self) -> [usize; 2] {
        let [rows, columns] = self.output_size();
        [self.size[0] * self.size[1], rows * columns]
    }

    /// Whether each output is computed from one pixel, the one in its place.
    fn pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// How a picture is laid out for the outputs.
    pub(crate) fn layout(&self) -> Layout {
        Layout {
            size: self.size,
            stride: self.stride,
            before: self.padding.map(|padding| padding as isize),
            reach: std::array::from_fn(|axis| self.kernel[axis].div_ceil(self.stride[axis])),
            columns: self.output_size()[1],
        }
    }

    /// Remainders of row and column that the kernel meets.
    fn phases(&self) -> [usize; 2] {
        std::array::from_fn(|axis| self.stride[axis].min(self.kernel[axis]))
    }

    /// Planes of a picture.
    pub(crate) fn planes(&self) -> usize {
        let [down, right] = self.phases();
        self.inputs * down * right
    }

    /// Lays out what output rows `rows` see of a picture `(inputs, size)`; a plane takes `step` values.
    pub(crate) fn lay_out(&self, picture: &[f32], rows: &Range<usize>, step: usize, to: &mut [f32]) {
        let layout = self.layout();
        let plane = layout.plane(rows.len());
        let [down, right] = self.phases();
        let area = self.size[0] * self.size[1];
        for (number, to) in to.chunks_mut(step).take(self.planes()).enumerate() {
            let channel = number / (down * right);
            let phase = [number / right % down, number % right];
            let picture = &picture[channel * area..][..area];
            layout.fill(picture, phase, rows.clone(), &mut to[..plane]);
        }
    }

    /// Where the run of each tap begins when a plane takes `step` values.
    pub(crate) fn offsets(&self, step: usize) -> Vec<usize> {
        let [down, right] = self.phases();
        let pitch = self.layout().pitch();
        let [rows, columns] = self.kernel;
        (0..self.taps())
            .map(|tap| {
                let (channel, row, column) = (tap / (rows * columns), tap / columns % rows, tap % columns);
                let phase = row % self.stride[0] * right + column % self.stride[1];
                (channel * down * right + phase) * step
                    + row / self.stride[0] * pitch
                    + column / self.stride[1]
            })
            .collect()
    }
}

/// Rows of a block where a row takes `values` values; no fewer blocks of all `rows` of `batch` pictures than a thread
/// each.
pub(crate) fn rows_a_block(batch: usize, rows: usize, values: usize) -> usize {
    let share = (batch * rows).div_ceil(rayon::current_num_threads());
    let most = (BLOCK / values.max(1)).clamp(1, share.clamp(1, rows.max(1)));
    // Blocks of about the same size.
    rows.div_ceil(rows.div_ceil(most).max(1)).max(1)
}

/// The parts of `(batch, channels, rows, columns)` that each block of rows writes, a piece of every channel: the rows
/// of block after block end at `ends`.
pub(crate) fn parts<'a>(
    values: &'a mut [f32],
    channels: usize,
    [rows, columns]: [usize; 2],
    ends: &[usize],
) -> Vec<Vec<&'a mut [f32]>> {
    let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
    for sample in values.chunks_exact_mut(channels * rows * columns) {
        let at = parts.len();
        parts.resize_with(at + ends.len(), || Vec::with_capacity(channels));
        for mut plane in sample.chunks_exact_mut(rows * columns) {
            let mut begin = 0;
            for (part, &end) in parts[at..].iter_mut().zip(ends) {
                let (piece, rest) = plane.split_at_mut((end - begin) * columns);
                (plane, begin) = (rest, end);
                part.push(piece);
            }
        }
    }
    parts
}

/// A convolution's weights laid out as the product reads them, with the bias of its outputs.
pub struct PackedConv {
    weights: Weights,
    bias: Vec<f32>,
    taps: usize,
}

enum Weights {
    /// For the pass over a picture laid out.
    Runs(Packed),
    /// For a plain product.
    Product(PackedAMatrix<f32>),
    /// For each place of a tile.
    Tiles(Vec<Packed>),
}

/// Inputs from which a convolution of single pixels is a plain product: so many planes lie too far apart to be read
/// side by side.
const MANY: usize = 256;

impl std::fmt::Debug for PackedConv {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "PackedConv({} outputs)", self.bias.len())
    }
}

impl PackedConv {
    /// Packs weights of `(outputs, taps)`, each output's times its `scale`, with its bias: a batch norm with fixed
    /// statistics after the convolution is such a scale and bias.
    ///
    /// # Panics
    /// When shapes disagree.
    pub fn new(weights: &[f32], scale: Option<&[f32]>, bias: Vec<f32>, shape: ConvShape) -> Self {
        let (outputs, taps) = (shape.outputs, shape.taps());
        assert!(
            weights.len() == outputs * taps
                && bias.len() == outputs
                && scale.is_none_or(|s| s.len() == outputs),
            "weights, scale and bias of a convolution disagree"
        );
        let factor = |output: usize| scale.map_or(1.0, |s| s[output]);
        let weight = |output, tap| weights[output * taps + tap] * factor(output);
        let weights = if shape.pointwise() && taps >= MANY {
            let scaled: Vec<f32> = (0..outputs)
                .flat_map(|output| (0..taps).map(move |tap| (output, tap)))
                .map(|(output, tap)| weight(output, tap))
                .collect();
            Weights::Product(executor().prepack_a(Matrix::rows(&scaled, outputs, taps).view()))
        } else if winograd::serves(shape) {
            Weights::Tiles(winograd::pack(outputs, shape.inputs, weight))
        } else {
            Weights::Runs(Packed::new(outputs, taps, weight))
        };
        Self { weights, bias, taps }
    }
}

/// Convolution, plus the residual where there is one, rectified where wanted.
///
/// # Shapes
/// - x `(batch, inputs, size)`; residual, output `(batch, outputs, output_size)`
///
/// # Panics
/// When shapes disagree.
pub fn conv(
    x: &[f32],
    weights: &PackedConv,
    shape: ConvShape,
    residual: Option<&[f32]>,
    rectify: bool,
    output: &mut [f32],
) {
    let [rows, columns] = shape.output_size();
    let [area_in, area] = shape.areas();
    let picture = shape.inputs * area_in;
    assert!(
        x.len() == shape.batch * picture
            && output.len() == shape.batch * shape.outputs * area
            && weights.bias.len() == shape.outputs
            && weights.taps == shape.taps()
            && residual.is_none_or(|r| r.len() == output.len()),
        "shapes of a convolution disagree"
    );
    if output.is_empty() {
        return;
    }
    let packed = match &weights.weights {
        Weights::Runs(packed) => packed,
        Weights::Product(packed) => {
            assert!(shape.pointwise(), "weights were packed for single pixels");
            return pointwise(x, packed, &weights.bias, shape, residual, rectify, output);
        }
        Weights::Tiles(packed) => {
            assert!(winograd::fits(shape), "weights were packed for tiles");
            return winograd::conv(x, packed, &weights.bias, shape, residual, rectify, output);
        }
    };
    let layout = shape.layout();
    let (pitch, planes) = (layout.pitch(), shape.planes());
    let block = rows_a_block(shape.batch, rows, pitch * (planes + shape.outputs));
    let blocks = rows.div_ceil(block);
    let step = layout.plane(block);
    let offsets = shape.offsets(step);
    let ends: Vec<usize> = (1..=blocks).map(|i| (i * block).min(rows)).collect();
    let parts = parts(output, shape.outputs, [rows, columns], &ends);
    parts.into_par_iter().enumerate().for_each(|(number, mut part)| {
        let (sample, first) = (number / blocks, number % blocks * block);
        let rows = first..(first + block).min(rows);
        let count = rows.len() * pitch;
        with_scratch(&LAID_OUT, planes * step + SLACK, |laid_out| {
            shape.lay_out(&x[sample * picture..][..picture], &rows, step, laid_out);
            with_scratch(&PRODUCT, direct::product_size(shape.outputs, count), |product| {
                Product {
                    weights: packed,
                    bias: Some(&weights.bias),
                    offsets: &offsets,
                    adjacent: shape.kernel[1].div_ceil(shape.stride[1]),
                    rows: laid_out,
                    count,
                    product,
                }
                .dispatch();
                let from = sample * shape.outputs * area + first * columns;
                let residual = residual.map(|values| Residual {
                    values: &values[from..],
                    step: area,
                });
                Place {
                    product,
                    count,
                    pitch,
                    columns,
                    residual,
                    rectify,
                    output: &mut part,
                }
                .dispatch();
            });
        });
    });
}

/// A convolution of single pixels: a picture's channels are the rows of a product.
fn pointwise(
    x: &[f32],
    weights: &PackedAMatrix<f32>,
    bias: &[f32],
    shape: ConvShape,
    residual: Option<&[f32]>,
    rectify: bool,
    output: &mut [f32],
) {
    let [area, _] = shape.areas();
    let pictures = x.par_chunks_exact(shape.inputs * area);
    output
        .par_chunks_exact_mut(shape.outputs * area)
        .zip(pictures)
        .for_each(|(output, picture)| {
            let options = GemmOptions {
                bias: Some(BiasVector::Column(bias)),
                ..GemmOptions::default()
            };
            let picture = Matrix::rows(picture, shape.inputs, area);
            let (a, b) = (GemmInputA::Packed(weights), GemmInputB::Unpacked(picture.view()));
            if let Err(error) = executor().gemm(output, a, b, options) {
                panic!("{shape:?}: {error}");
            }
        });
    match residual {
        Some(residual) => add(output, residual, rectify),
        None if rectify => relu(output),
        None => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    /// Convolution value by value, in double precision.
    pub fn plain(x: &[f32], weights: &[f32], shape: ConvShape) -> Vec<f32> {
        let [rows, columns] = shape.output_size();
        let [height, width] = shape.size;
        let mut output = Vec::new();
        for sample in 0..shape.batch {
            for out in 0..shape.outputs {
                for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                    let mut sum = 0.0;
                    for input in 0..shape.inputs {
                        for (i, j) in
                            (0..shape.kernel[0]).flat_map(|i| (0..shape.kernel[1]).map(move |j| (i, j)))
                        {
                            let at = (row * shape.stride[0] + i, column * shape.stride[1] + j);
                            let at = (
                                at.0.wrapping_sub(shape.padding[0]),
                                at.1.wrapping_sub(shape.padding[1]),
                            );
                            if at.0 < height && at.1 < width {
                                let x = x[((sample * shape.inputs + input) * height + at.0) * width + at.1];
                                let w = weights[((out * shape.inputs + input) * shape.kernel[0] + i)
                                    * shape.kernel[1]
                                    + j];
                                sum += f64::from(x) * f64::from(w);
                            }
                        }
                    }
                    output.push(sum as f32);
                }
            }
        }
        output
    }

    pub fn shapes() -> Vec<ConvShape> {
        let shape = |batch, inputs, outputs, size, kernel: usize, stride: usize, padding: usize| ConvShape {
            batch,
            inputs,
            outputs,
            size,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
        };
        vec![
            shape(1, 1, 1, [1, 1], 1, 1, 0),
            shape(2, 3, 5, [7, 9], 3, 1, 1),
            shape(1, 3, 16, [33, 31], 7, 2, 3),
            shape(3, 16, 8, [14, 14], 3, 2, 1),
            shape(2, 17, 33, [11, 13], 1, 1, 0),
            shape(1, 8, 4, [9, 8], 1, 2, 0),
            shape(3, 259, 33, [5, 7], 1, 1, 0),
            shape(4, 32, 16, [12, 12], 1, 1, 0),
            shape(4, 32, 64, [12, 12], 1, 2, 0),
            shape(4, 16, 16, [12, 12], 3, 2, 1),
            shape(4, 8, 8, [24, 24], 3, 2, 1),
            shape(4, 64, 32, [6, 6], 1, 1, 0),
            shape(2, 300, 16, [6, 6], 1, 2, 0),
            shape(1, 64, 64, [40, 40], 3, 1, 1),
            shape(3, 64, 67, [17, 15], 3, 1, 0),
            shape(2, 66, 64, [5, 301], 3, 1, 2),
            shape(2, 3, 12, [32, 32], 16, 16, 0),
            shape(1, 2, 3, [2, 2], 3, 1, 1),
            shape(1, 2, 3, [5, 5], 5, 3, 4),
        ]
    }

    #[test]
    fn weights_packed_for_one_size_serve_another() {
        let large = ConvShape {
            batch: 1,
            inputs: 64,
            outputs: 64,
            size: [14, 14],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
        };
        let weights = numbers(large.outputs * large.taps(), 1);
        let packed = PackedConv::new(&weights, None, vec![0.0; large.outputs], large);
        for size in [[1, 1], [2, 3], [5, 4]] {
            let shape = ConvShape { size, ..large };
            let x = numbers(shape.inputs * size[0] * size[1], 2);
            let expected = plain(&x, &weights, shape);
            let mut found = vec![f32::NAN; expected.len()];
            conv(&x, &packed, shape, None, false, &mut found);
            close(&expected, &found, 1e-4, &format!("{size:?}"));
        }
    }

    #[test]
    fn convolution_equals_plain_loops() {
        for shape in shapes() {
            let [rows, columns] = shape.output_size();
            let x = numbers(shape.batch * shape.inputs * shape.size[0] * shape.size[1], 1);
            let weights = numbers(shape.outputs * shape.taps(), 2);
            let (scale, bias) = (numbers(shape.outputs, 3), numbers(shape.outputs, 4));
            let residual = numbers(shape.batch * shape.outputs * rows * columns, 5);
            let expected = plain(&x, &weights, shape);
            let plain = PackedConv::new(&weights, None, vec![0.0; shape.outputs], shape);
            let mut found = vec![f32::NAN; expected.len()];
            conv(&x, &plain, shape, None, false, &mut found);
            close(&expected, &found, 1e-4, &format!("{shape:?}"));
            let folded = PackedConv::new(&weights, Some(&scale), bias.clone(), shape);
            for residual in [None, Some(&residual[..])] {
                for rectify in [false, true] {
                    let expected: Vec<f32> = expected
                        .iter()
                        .enumerate()
                        .map(|(i, y)| {
                            let channel = i / (rows * columns) % shape.outputs;
                            let y = scale[channel] * y + bias[channel] + residual.map_or(0.0, |r| r[i]);
                            if rectify { y.max(0.0) } else { y }
                        })
                        .collect();
                    conv(&x, &folded, shape, residual, rectify, &mut found);
                    close(&expected, &found, 1e-4, &format!("{shape:?}, folded, {rectify}"));
                }
            }
        }
    }
}
