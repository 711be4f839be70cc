//! Convolution with 3 x 3 kernels and steps of one by Winograd's minimal filtering (Lavin and Gray 2016, F(2 x 2,
//! 3 x 3)): four outputs are computed of a tile of 4 x 4 values with 16 products an input instead of 36.
//!
//! A tile begins at every second row and column. Laid out like a picture that is convolved with steps of two, what the
//! tiles of a row have in the same place is one run of values, so that a vector holds as many tiles as it has lanes.

use std::cell::Cell;

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::attention::with_scratch;
use crate::conv::{ConvShape, parts, rows_a_block};
use crate::direct::{LAID_OUT, Layout, PRODUCT, Packed, Product, SLACK, product_size};
use crate::elementwise::{MAX_LANES, Residual};

/// Places of a tile, and products an input.
const PLACES: usize = 16;
/// Tiles of a row that are finished together.
const TILES: usize = 64;
/// Tiles of a block for which all weights are read.
const ENOUGH: usize = 48;

thread_local! {
    /// Tiles transformed.
    static TRANSFORMED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Channels, and outputs of a picture, from which this is faster than the products it saves: with fewer, the
/// transforms take as long (measured with 16 to 512 channels and 7 to 128 rows).
const CHANNELS: usize = 64;
const AREA: usize = 14 * 14;

/// Whether a convolution can be computed so.
pub(crate) fn fits(shape: ConvShape) -> bool {
    shape.kernel == [3, 3] && shape.stride == [1, 1]
}

/// Whether a convolution is faster so.
pub(crate) fn serves(shape: ConvShape) -> bool {
    let [_, area] = shape.areas();
    fits(shape) && shape.inputs.min(shape.outputs) >= CHANNELS && area >= AREA
}

/// The weights of each place of a tile, `G g G^T` (equation 8): `(outputs, inputs)` each.
pub(crate) fn pack(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<Packed> {
    // One row of three to four.
    let spread = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let mut places = vec![vec![0.0; outputs * inputs]; PLACES];
    for output in 0..outputs {
        for input in 0..inputs {
            let rows: [[f32; 4]; 3] = std::array::from_fn(|row| {
                spread(std::array::from_fn(|column| {
                    weight(output, (input * 3 + row) * 3 + column)
                }))
            });
            for column in 0..4 {
                for (row, value) in spread(rows.map(|row| row[column])).into_iter().enumerate() {
                    places[row * 4 + column][output * inputs + input] = value;
                }
            }
        }
    }
    let packed = |of: &Vec<f32>| Packed::new(outputs, inputs, |output, input| of[output * inputs + input]);
    places.iter().map(packed).collect()
}

/// The convolution, plus bias and the residual where there is one, rectified where wanted.
///
/// # Shapes
/// - x `(batch, inputs, size)`; residual, output `(batch, outputs, output_size)`
pub(crate) fn conv(
    x: &[f32],
    weights: &[Packed],
    bias: &[f32],
    shape: ConvShape,
    residual: Option<&[f32]>,
    rectify: bool,
    output: &mut [f32],
) {
    let [rows, columns] = shape.output_size();
    let [area_in, area] = shape.areas();
    let (inputs, outputs) = (shape.inputs, shape.outputs);
    let [down, across] = [rows, columns].map(|outputs| outputs.div_ceil(2));
    let layout = Layout {
        size: shape.size,
        stride: [2, 2],
        before: shape.padding.map(|padding| padding as isize),
        reach: [2, 2],
        columns: across,
    };
    let pitch = layout.pitch();
    let values = pitch * (PLACES * (inputs + outputs) + 4 * inputs);
    let share = (shape.batch * down).div_ceil(rayon::current_num_threads());
    let block = rows_a_block(shape.batch, down, values).max(ENOUGH.div_ceil(pitch).min(share).min(down));
    let blocks = down.div_ceil(block);
    let ends: Vec<usize> = (1..=blocks).map(|i| (2 * i * block).min(rows)).collect();
    let plane = layout.plane(block);
    let parts = parts(output, outputs, [rows, columns], &ends);
    parts.into_par_iter().enumerate().for_each(|(number, mut part)| {
        let (sample, first) = (number / blocks, number % blocks * block);
        let tiles = first..(first + block).min(down);
        // Behind the last tile of a row the vectors go on with the next; behind the last row there is none.
        let count = (tiles.len() - 1) * pitch + across;
        let step = count.next_multiple_of(MAX_LANES);
        // Not a multiple of what the first cache holds in one place.
        let place = inputs * step + MAX_LANES;
        let product_place = product_size(outputs, count);
        let offsets: Vec<usize> = (0..inputs).map(|input| input * step).collect();
        with_scratch(&TRANSFORMED, PLACES * place + SLACK, |transformed| {
            with_scratch(&LAID_OUT, 4 * plane + SLACK, |laid_out| {
                let pictures = x[sample * inputs * area_in..].chunks_exact(area_in);
                for (input, picture) in pictures.take(inputs).enumerate() {
                    for (phase, to) in laid_out.chunks_exact_mut(plane).take(4).enumerate() {
                        let to = &mut to[..layout.plane(tiles.len())];
                        layout.fill(picture, [phase / 2, phase % 2], tiles.clone(), to);
                    }
                    Transform {
                        laid_out,
                        plane,
                        pitch,
                        count,
                        place,
                        to: &mut transformed[input * step..],
                    }
                    .dispatch();
                }
            });
            with_scratch(&PRODUCT, PLACES * product_place, |products| {
                let places = transformed
                    .chunks(place)
                    .zip(products.chunks_exact_mut(product_place));
                for (weights, (rows, product)) in weights.iter().zip(places) {
                    Product {
                        weights,
                        bias: None,
                        offsets: &offsets,
                        adjacent: 1,
                        rows,
                        count,
                        product,
                    }
                    .dispatch();
                }
                let from = sample * outputs * area + 2 * first * columns;
                Finish {
                    products,
                    place: product_place,
                    step,
                    pitch,
                    columns,
                    bias,
                    residual: residual.map(|values| Residual {
                        values: &values[from..],
                        step: area,
                    }),
                    rectify,
                    output: &mut part,
                }
                .dispatch();
            });
        });
    });
}

/// `B^T d B` (equation 8) of the tiles of one input.
struct Transform<'a> {
    /// Even and odd rows by even and odd columns.
    laid_out: &'a [f32],
    plane: usize,
    pitch: usize,
    /// Tiles, those between the ends of rows among them.
    count: usize,
    /// From one place of the tiles to the next.
    place: usize,
    to: &'a mut [f32],
}

impl SimdOp for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        for at in (0..self.count).step_by(ops.len()) {
            let mut tile = [[ops.zero(); 4]; 4];
            for (i, row) in tile.iter_mut().enumerate() {
                let mut d = [ops.zero(); 4];
                for (j, d) in d.iter_mut().enumerate() {
                    let from = (i % 2 * 2 + j % 2) * self.plane + i / 2 * self.pitch + j / 2;
                    *d = ops.load(&self.laid_out[from + at..]);
                }
                *row = [
                    ops.sub(d[0], d[2]),
                    ops.add(d[1], d[2]),
                    ops.sub(d[2], d[1]),
                    ops.sub(d[1], d[3]),
                ];
            }
            let [first, second, third, fourth] = tile;
            for j in 0..4 {
                let values = [
                    ops.sub(first[j], third[j]),
                    ops.add(second[j], third[j]),
                    ops.sub(third[j], second[j]),
                    ops.sub(second[j], fourth[j]),
                ];
                for (i, value) in values.into_iter().enumerate() {
                    ops.store(value, &mut self.to[(4 * i + j) * self.place + at..]);
                }
            }
        }
    }
}

/// `A^T m A` (equation 8) of the tiles of each output, with what follows a convolution.
struct Finish<'a, 'b> {
    products: &'a [f32],
    /// From one place of the tiles to the next.
    place: usize,
    /// From one output to the next.
    step: usize,
    /// From one row of tiles to the next.
    pitch: usize,
    columns: usize,
    bias: &'a [f32],
    /// Beside the output, one output after another.
    residual: Option<Residual<'a>>,
    rectify: bool,
    /// A piece of whole rows of each output.
    output: &'a mut [&'b mut [f32]],
}

impl SimdOp for Finish<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let columns = self.columns;
        for (number, output) in std::mem::take(&mut self.output).iter_mut().enumerate() {
            let residual = self.residual.as_ref().map(|r| &r.values[number * r.step..]);
            for (row, outputs) in output.chunks_mut(2 * columns).enumerate() {
                for first in (0..columns.div_ceil(2)).step_by(TILES) {
                    let count = TILES.min(columns.div_ceil(2) - first);
                    let mut tiles = [[0.0; TILES]; 4];
                    self.transform(
                        isa,
                        number * self.step + row * self.pitch + first,
                        count,
                        &mut tiles,
                    );
                    for (row_of_two, outputs) in outputs.chunks_mut(columns).enumerate() {
                        let pairs = &tiles[2 * row_of_two..];
                        let wanted = 2 * first..(2 * first + 2 * count).min(columns);
                        let at = (2 * row + row_of_two) * columns;
                        let residual = residual.map(|r| &r[at..][wanted.clone()]);
                        self.place(&pairs[0], &pairs[1], number, residual, &mut outputs[wanted]);
                    }
                }
            }
        }
    }
}

impl Finish<'_, '_> {
    /// The outputs of `count` tiles: first row and column, first row and second column, second row and first column,
    /// second row and column.
    #[inline(always)]
    fn transform<I: Isa>(&self, isa: I, from: usize, count: usize, to: &mut [[f32; TILES]; 4]) {
        let ops = isa.f32();
        for at in (0..count).step_by(ops.len()) {
            let mut rows = [[ops.zero(); 2]; 4];
            for (i, row) in rows.iter_mut().enumerate() {
                let mut m = [ops.zero(); 4];
                for (j, m) in m.iter_mut().enumerate() {
                    *m = ops.load(&self.products[(4 * i + j) * self.place + from + at..]);
                }
                *row = [
                    ops.add(ops.add(m[0], m[1]), m[2]),
                    ops.sub(ops.sub(m[1], m[2]), m[3]),
                ];
            }
            let [first, second, third, fourth] = rows;
            for j in 0..2 {
                let upper = ops.add(ops.add(first[j], second[j]), third[j]);
                let lower = ops.sub(ops.sub(second[j], third[j]), fourth[j]);
                ops.store(upper, &mut to[j][at..]);
                ops.store(lower, &mut to[2 + j][at..]);
            }
        }
    }

    /// Writes even and odd columns beside each other.
    #[inline(always)]
    fn place(&self, even: &[f32], odd: &[f32], number: usize, residual: Option<&[f32]>, to: &mut [f32]) {
        let bias = self.bias[number];
        let finish = |value: f32| {
            let value = value + bias;
            if self.rectify && value <= 0.0 { 0.0 } else { value }
        };
        let (pairs, last) = to.as_chunks_mut::<2>();
        let count = pairs.len();
        match residual {
            Some(residual) => {
                let (added, last_added) = residual.as_chunks::<2>();
                for (((to, even), odd), added) in pairs.iter_mut().zip(even).zip(odd).zip(added) {
                    *to = [finish(even + added[0]), finish(odd + added[1])];
                }
                for (to, added) in last.iter_mut().zip(last_added) {
                    *to = finish(even[count] + added);
                }
            }
            None => {
                for ((to, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
                    *to = [finish(*even), finish(*odd)];
                }
                for to in last {
                    *to = finish(even[count]);
                }
            }
        }
    }
}
