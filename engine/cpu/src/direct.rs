//! Convolution without columns: in a picture with zeros around it, what a tap of the kernel meets is one run of
//! values, the same run for all rows, shifted.
//!
//! A picture is laid out with `pitch` values a row and read as one long row. What is computed between the rows'
//! ends is never read. A stride splits the picture into planes, one for each remainder of row and column; in such a
//! plane the kernel steps by one.

use std::cell::Cell;
use std::ops::Range;

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::elementwise::{MAX_LANES, Residual, load_some, store_some};

/// Outputs that are correlated together.
pub(crate) const TILE: usize = 4;
/// Outputs of a product that are computed together: as many as fit the registers, and fewer for the last.
const TALL: usize = 6;
const SHORT: usize = 4;
/// Vectors of columns of a product that are computed together.
const VECTORS: usize = 2;
/// Taps that are correlated together; these need no register for a weight.
const CORRELATED: usize = 3;
/// Values that are read past the last of a layout.
pub(crate) const SLACK: usize = VECTORS * MAX_LANES;
/// Taps that are computed before the next are read: the weights of a tile stay in the first cache.
const TAPS: usize = 256;
/// Values of a block of columns, of all taps in a block: about half of the first cache.
const NEAR: usize = 4096;

thread_local! {
    /// A picture laid out.
    pub(crate) static LAID_OUT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// A product, or what is multiplied with a picture laid out.
    pub(crate) static PRODUCT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// How a picture is laid out; axes are rows and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Rows and columns of the picture.
    pub size: [usize; 2],
    /// Steps from one value of a plane to the next.
    pub stride: [usize; 2],
    /// Zeros before the picture; where negative, what is cut off.
    pub before: [isize; 2],
    /// Values of a plane that one output sees.
    pub reach: [usize; 2],
    /// Outputs a row.
    pub columns: usize,
}

impl Layout {
    /// From one row to the next. The zeros before a row serve the row above as those after it.
    pub fn pitch(&self) -> usize {
        let apart = self.columns + self.reach[1] - 1;
        if self.stride[1] > 1 {
            return apart;
        }
        let before = self.before[1].max(0).unsigned_abs();
        let end = (self.before[1] + self.size[1] as isize).max(0).unsigned_abs();
        apart.saturating_sub(before).max(end).max(self.columns).min(apart)
    }

    /// Values of a plane from which `rows` rows are computed.
    pub fn plane(&self, rows: usize) -> usize {
        (rows + self.reach[0] - 1) * self.pitch() + self.reach[1]
    }

    /// Lays out what output rows `rows` see of the plane whose remainders are `phase`.
    pub fn fill(&self, picture: &[f32], phase: [usize; 2], rows: Range<usize>, to: &mut [f32]) {
        let [height, width] = self.size;
        let pitch = self.pitch();
        let shift: [isize; 2] = std::array::from_fn(|axis| phase[axis] as isize - self.before[axis]);
        let step = self.stride[1];
        // 0 <= column * step + shift < width
        let bound = |end: isize| -(shift[1] - end).div_euclid(step as isize);
        let first = bound(0).clamp(0, pitch as isize) as usize;
        let last = bound(width as isize).clamp(first as isize, pitch as isize) as usize;
        let from = (first * step).wrapping_add_signed(shift[1]);
        for (row, to) in (rows.start..).zip(to.chunks_mut(pitch)) {
            let row = (row * self.stride[0]).wrapping_add_signed(shift[0]);
            if row >= height || first == last || to.len() < pitch {
                to.fill(0.0);
                continue;
            }
            to[..first].fill(0.0);
            to[last..].fill(0.0);
            let source = &picture[row * width + from..(row + 1) * width];
            match step {
                1 => to[first..last].copy_from_slice(&source[..last - first]),
                2 => copy_every_second(source, &mut to[first..last]),
                _ => {
                    for (to, value) in to[first..last].iter_mut().zip(source.iter().step_by(step)) {
                        *to = *value;
                    }
                }
            }
        }
    }
}

fn copy_every_second(from: &[f32], to: &mut [f32]) {
    let count = to.len();
    let (pairs, _) = from.as_chunks::<2>();
    for (to, pair) in to.iter_mut().zip(pairs) {
        *to = pair[0];
    }
    if let ([.., last], [.., value]) = (&mut *to, from)
        && from.len() == 2 * count - 1
    {
        *last = *value;
    }
}

/// Tall and short tiles of outputs, with as little as can be after the last output.
const fn tiles(outputs: usize) -> [usize; 2] {
    let short = match outputs % TALL {
        0 | 5 => 0,
        1 | 2 if outputs > TALL => 2,
        _ => 1,
    };
    [outputs.saturating_sub(short * SHORT).div_ceil(TALL), short]
}

/// Weights tile by tile, with a tile's outputs side by side: `(tiles, taps, outputs of the tile)`; zeros after the
/// last output.
pub(crate) struct Packed {
    values: Vec<f32>,
    outputs: usize,
}

impl Packed {
    /// Packs the weights of outputs and taps.
    pub fn new(outputs: usize, taps: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let [tall, short] = tiles(outputs);
        let heights = [(tall, TALL), (short, SHORT)];
        let heights = heights
            .into_iter()
            .flat_map(|(count, height)| (0..count).map(move |_| height));
        let mut values = Vec::with_capacity((tall * TALL + short * SHORT) * taps);
        let mut first = 0;
        for height in heights {
            for tap in 0..taps {
                values.extend((first..first + height).map(|output| match output < outputs {
                    true => weight(output, tap),
                    false => 0.0,
                }));
            }
            first += height;
        }
        Self { values, outputs }
    }
}

/// Values of a product of `outputs` by `count` columns, with what is written past them.
pub(crate) const fn product_size(outputs: usize, count: usize) -> usize {
    let [tall, short] = tiles(outputs);
    (tall * TALL + short * SHORT) * count.next_multiple_of(MAX_LANES) + MAX_LANES
}

/// Weights times runs of a picture laid out: `product[o, q] = bias[o] + sum over t of weights[o, t] rows[offsets[t] + q]`.
pub(crate) struct Product<'a> {
    pub weights: &'a Packed,
    pub bias: Option<&'a [f32]>,
    /// Where the run of each tap begins.
    pub offsets: &'a [usize],
    /// Taps that lie side by side.
    pub adjacent: usize,
    pub rows: &'a [f32],
    /// Columns that are wanted.
    pub count: usize,
    /// `(outputs, columns)`, of `product_size`.
    pub product: &'a mut [f32],
}

impl SimdOp for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let lanes = isa.f32().len();
        let step = self.count.next_multiple_of(MAX_LANES);
        let vectors = self.count.div_ceil(lanes);
        let taps = self.offsets.len();
        let [tall, _] = tiles(self.weights.outputs);
        let (tall_weights, short_weights) = self.weights.values.split_at(tall * TALL * taps);
        let (tall_product, short_product) = self.product.split_at_mut(tall * TALL * step);
        for (block, offsets) in self.offsets.chunks(TAPS).enumerate() {
            let near = NEAR * self.adjacent / (offsets.len() * lanes) / VECTORS * VECTORS;
            let near = near.max(VECTORS);
            for first in (0..vectors).step_by(near) {
                let run = Run {
                    offsets,
                    first_tap: block * TAPS,
                    taps,
                    rows: self.rows,
                    bias: self.bias,
                    vectors: first..(first + near).min(vectors),
                    step,
                };
                run.tiles::<I, TALL>(isa, tall_weights, 0, tall_product);
                run.tiles::<I, SHORT>(isa, short_weights, tall * TALL, short_product);
            }
        }
    }
}

/// A block of taps and columns.
struct Run<'a> {
    offsets: &'a [usize],
    first_tap: usize,
    taps: usize,
    rows: &'a [f32],
    bias: Option<&'a [f32]>,
    vectors: Range<usize>,
    step: usize,
}

impl Run<'_> {
    /// All tiles of `H` outputs, of which the first is `output`.
    #[inline(always)]
    fn tiles<I: Isa, const H: usize>(&self, isa: I, weights: &[f32], output: usize, product: &mut [f32]) {
        let lanes = isa.f32().len();
        let tiles = weights
            .chunks_exact(H * self.taps)
            .zip(product.chunks_exact_mut(H * self.step));
        for (number, (weights, product)) in tiles.enumerate() {
            let (weights, _) = weights.as_chunks::<H>();
            let weights = &weights[self.first_tap..][..self.offsets.len()];
            let mut at = self.vectors.start;
            while at < self.vectors.end {
                let output = output + number * H;
                at += match self.vectors.end - at {
                    1 => self.tile::<I, H, 1>(isa, at * lanes, weights, output, product),
                    _ => self.tile::<I, H, VECTORS>(isa, at * lanes, weights, output, product),
                };
            }
        }
    }

    /// `V` vectors of columns from `at` on; returns `V`.
    #[inline(always)]
    fn tile<I: Isa, const H: usize, const V: usize>(
        &self,
        isa: I,
        at: usize,
        weights: &[[f32; H]],
        output: usize,
        product: &mut [f32],
    ) -> usize {
        let ops = isa.f32();
        let lanes = ops.len();
        let mut sums = [[ops.zero(); V]; H];
        for (weights, offset) in weights.iter().zip(self.offsets) {
            let x: [I::F32; V] = ops.load_many(&self.rows[offset + at..]);
            for (sums, weight) in sums.iter_mut().zip(weights) {
                let weight = ops.splat(*weight);
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = ops.mul_add(x, weight, *sum);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            let to = &mut product[i * self.step + at..][..V * lanes];
            let bias = self
                .bias
                .and_then(|bias| bias.get(output + i))
                .copied()
                .unwrap_or(0.0);
            for (sum, to) in sums.into_iter().zip(to.chunks_exact_mut(lanes)) {
                let before = match self.first_tap {
                    0 => ops.splat(bias),
                    _ => ops.load(to),
                };
                ops.store(ops.add(sum, before), to);
            }
        }
        V
    }
}

/// Moves a product to where it belongs, with what follows a convolution.
pub(crate) struct Place<'a, 'b> {
    pub product: &'a [f32],
    /// Columns of the product.
    pub count: usize,
    /// Of the rows within.
    pub pitch: usize,
    pub columns: usize,
    /// Beside the output, one output after another.
    pub residual: Option<Residual<'a>>,
    pub rectify: bool,
    /// A piece of whole rows of each output.
    pub output: &'a mut [&'b mut [f32]],
}

impl SimdOp for Place<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let step = self.count.next_multiple_of(MAX_LANES);
        for (i, output) in self.output.iter_mut().enumerate() {
            let product = &self.product[i * step..];
            let residual = self.residual.as_ref().map(|r| &r.values[i * r.step..]);
            for row in 0..output.len() / self.columns {
                // What a vector holds beyond its row is written over by the next row.
                for column in (0..self.columns).step_by(lanes) {
                    let at = row * self.columns + column;
                    let mut y = ops.load(&product[row * self.pitch + column..]);
                    if let Some(residual) = residual {
                        y = ops.add(y, load_some(ops, &residual[at..]));
                    }
                    if self.rectify {
                        y = ops.max(y, ops.zero());
                    }
                    store_some(ops, y, &mut output[at..]);
                }
            }
        }
    }
}

/// Adds products of runs: `sums[o, t] += sum over q of dy[o, q] rows[offsets[t] + q]`.
pub(crate) struct Correlate<'a> {
    /// `(outputs / TILE, TILE, length)`, `length` a multiple of `MAX_LANES`
    pub dy: &'a [f32],
    pub length: usize,
    pub rows: &'a [f32],
    pub offsets: &'a [usize],
    /// `(outputs, taps)`
    pub sums: &'a mut [f32],
}

impl SimdOp for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let (taps, length) = (self.offsets.len(), self.length);
        for (dy, sums) in self
            .dy
            .chunks_exact(TILE * length)
            .zip(self.sums.chunks_mut(TILE * taps))
        {
            let dy: [&[f32]; TILE] = std::array::from_fn(|i| &dy[i * length..][..length]);
            for (block, offsets) in self.offsets.chunks(CORRELATED).enumerate() {
                let last = offsets.len() - 1;
                let x: [&[f32]; CORRELATED] =
                    std::array::from_fn(|j| &self.rows[offsets[j.min(last)]..][..length]);
                let mut tile = [[ops.zero(); CORRELATED]; TILE];
                for at in (0..length).step_by(lanes) {
                    // Loops, not `map`: a closure that is not inlined has no vectors.
                    let mut values = [ops.zero(); CORRELATED];
                    for (value, x) in values.iter_mut().zip(x) {
                        *value = ops.load(&x[at..]);
                    }
                    for (sums, dy) in tile.iter_mut().zip(dy) {
                        let dy = ops.load(&dy[at..]);
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = ops.mul_add(value, dy, *sum);
                        }
                    }
                }
                for (tile, sums) in tile.into_iter().zip(sums.chunks_exact_mut(taps)) {
                    for (tile, sum) in tile.into_iter().zip(&mut sums[block * CORRELATED..]) {
                        *sum += ops.sum(tile);
                    }
                }
            }
        }
    }
}
