//! Convolution as a product, block of columns by block of columns.

use std::cell::Cell;

use rayon::prelude::*;
use rten_gemm::{BiasVector, GemmInputA, GemmInputB, GemmOptions, PackedAMatrix};

use crate::attention::with_scratch;
use crate::elementwise::{Epilogue, Residual};
use crate::matrix::{Matrix, executor};

/// Values of a block of columns: about what stays in the second cache while it is multiplied.
const BLOCK: usize = 192 * 1024;

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

    /// Whether a column of the product is a column of the picture.
    pub(crate) fn pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// The taps of output rows `rows`, `(taps, rows * columns)`, from one picture `(inputs, size)`.
    pub(crate) fn columns(&self, picture: &[f32], rows: std::ops::Range<usize>, taps: &mut [f32]) {
        let [height, width] = self.size;
        let [_, across] = self.output_size();
        let [down, right] = self.stride;
        let [above, left] = self.padding;
        let [kernel_rows, kernel_columns] = self.kernel;
        let count = rows.len() * across;
        for (tap, taps) in taps.chunks_exact_mut(count).enumerate() {
            let (channel, at) = (
                tap / (kernel_rows * kernel_columns),
                tap % (kernel_rows * kernel_columns),
            );
            let (kernel_row, kernel_column) = (at / kernel_columns, at % kernel_columns);
            let plane = &picture[channel * height * width..][..height * width];
            // Output columns whose tap lies in the picture: left <= column * right + kernel_column < width + left.
            let first = left.saturating_sub(kernel_column).div_ceil(right).min(across);
            let last = (width + left)
                .saturating_sub(kernel_column)
                .div_ceil(right)
                .clamp(first, across);
            for (row, taps) in rows.clone().zip(taps.chunks_exact_mut(across)) {
                let Some(row) = (row * down + kernel_row)
                    .checked_sub(above)
                    .filter(|&row| row < height)
                else {
                    taps.fill(0.0);
                    continue;
                };
                taps[..first].fill(0.0);
                taps[last..].fill(0.0);
                if first == last {
                    continue;
                }
                let from = row * width + first * right + kernel_column - left;
                let source = &plane[from..];
                if right == 1 {
                    taps[first..last].copy_from_slice(&source[..last - first]);
                } else {
                    for (tap, value) in taps[first..last].iter_mut().zip(source.iter().step_by(right)) {
                        *tap = *value;
                    }
                }
            }
        }
    }

    /// Output rows of a block.
    pub(crate) fn rows_a_block(&self) -> usize {
        let [rows, columns] = self.output_size();
        let values = self.taps().max(self.outputs) * columns;
        // No fewer than a thread each.
        let share = (self.batch * rows).div_ceil(rayon::current_num_threads());
        (BLOCK / values.max(1)).clamp(1, share.clamp(1, rows.max(1)))
    }
}

/// A convolution's weights laid out as the product reads them, with the bias of its outputs.
pub struct PackedConv {
    packed: PackedAMatrix<f32>,
    bias: Vec<f32>,
}

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
    pub fn new(weights: &[f32], scale: Option<&[f32]>, bias: Vec<f32>) -> Self {
        let outputs = bias.len();
        let taps = weights.len() / outputs.max(1);
        assert!(
            weights.len() == outputs * taps && scale.is_none_or(|s| s.len() == outputs),
            "weights, scale and bias of a convolution disagree"
        );
        let scaled: Vec<f32>;
        let weights = match scale {
            Some(scale) => {
                scaled = weights
                    .iter()
                    .enumerate()
                    .map(|(i, w)| w * scale[i / taps])
                    .collect();
                &scaled[..]
            }
            None => weights,
        };
        Self {
            packed: executor().prepack_a(Matrix::rows(weights, outputs, taps).view()),
            bias,
        }
    }
}

thread_local! {
    // Columns and products of one block.
    static TAPS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static PRODUCT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
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
    let [rows, across] = shape.output_size();
    let picture = shape.inputs * shape.size[0] * shape.size[1];
    let area = rows * across;
    assert!(
        x.len() == shape.batch * picture
            && output.len() == shape.batch * shape.outputs * area
            && weights.bias.len() == shape.outputs
            && weights.packed.cols() == shape.taps()
            && residual.is_none_or(|r| r.len() == output.len()),
        "shapes of a convolution disagree"
    );
    if output.is_empty() {
        return;
    }
    let block = shape.rows_a_block();
    let blocks = rows.div_ceil(block);
    // The parts of the output that each block writes: a piece of every channel.
    let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
    for sample in output.chunks_exact_mut(shape.outputs * area) {
        let at = parts.len();
        parts.resize_with(at + blocks, || Vec::with_capacity(shape.outputs));
        for plane in sample.chunks_exact_mut(area) {
            for (part, piece) in parts[at..].iter_mut().zip(plane.chunks_mut(block * across)) {
                part.push(piece);
            }
        }
    }
    parts.into_par_iter().enumerate().for_each(|(number, mut part)| {
        let (sample, first) = (number / blocks, number % blocks * block);
        let rows = first..(first + block).min(rows);
        let count = rows.len() * across;
        let picture = &x[sample * picture..][..picture];
        let mut multiply = |columns: Matrix| {
            with_scratch(&PRODUCT, shape.outputs * count, |product| {
                let options = GemmOptions {
                    bias: Some(BiasVector::Column(&weights.bias)),
                    ..GemmOptions::default()
                };
                let (a, b) = (
                    GemmInputA::Packed(&weights.packed),
                    GemmInputB::Unpacked(columns.view()),
                );
                if let Err(error) = executor().gemm(product, a, b, options) {
                    panic!("{shape:?}: {error}");
                }
                let from = sample * shape.outputs * area + first * across;
                let residual = residual.map(|values| Residual {
                    values: &values[from..],
                    step: area,
                });
                Epilogue {
                    product,
                    residual,
                    rectify,
                    output: &mut part,
                }
                .run();
            });
        };
        if shape.pointwise() {
            multiply(Matrix {
                values: &picture[first * across..],
                shape: [shape.inputs, count],
                strides: [area, 1],
            });
        } else {
            with_scratch(&TAPS, shape.taps() * count, |taps| {
                shape.columns(picture, rows, taps);
                multiply(Matrix::rows(taps, shape.taps(), count));
            });
        }
    });
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
            shape(1, 64, 64, [40, 40], 3, 1, 1),
            shape(2, 3, 12, [32, 32], 16, 16, 0),
            shape(1, 2, 3, [2, 2], 3, 1, 1),
            shape(1, 2, 3, [5, 5], 5, 3, 4),
        ]
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
            let plain = PackedConv::new(&weights, None, vec![0.0; shape.outputs]);
            let mut found = vec![f32::NAN; expected.len()];
            conv(&x, &plain, shape, None, false, &mut found);
            close(&expected, &found, 1e-4, &format!("{shape:?}"));
            let folded = PackedConv::new(&weights, Some(&scale), bias.clone());
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
