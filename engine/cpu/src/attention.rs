//! Masked attention without the mask as a matrix: which keys a query sees is a few ranges.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};
use rten_vecmath::Exp;

use crate::elementwise::{load_or, load_some, store_some};
use crate::matrix::{Matrix, matmul};

/// Sizes of an attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Samples.
    pub batch: usize,
    /// Queries a sample.
    pub queries: usize,
    /// Keys a sample.
    pub keys: usize,
    /// Heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Width of all heads.
    pub const fn width(&self) -> usize {
        self.heads * self.head_dim
    }
}

/// The keys that each query of each sample sees, as ranges in ascending order.
#[derive(Clone, Debug)]
pub struct Visible {
    ranges: Vec<Range<usize>>,
    /// Where the ranges of a row begin; one more than there are rows.
    rows: Vec<usize>,
    queries: usize,
}

impl Visible {
    /// No rows yet; a sample has `queries`.
    pub fn new(queries: usize) -> Self {
        Self {
            ranges: Vec::new(),
            rows: vec![0],
            queries,
        }
    }

    /// Adds the ranges of the next query, sample after sample.
    pub fn push(&mut self, ranges: &[Range<usize>]) {
        self.ranges
            .extend(ranges.iter().filter(|range| !range.is_empty()).cloned());
        self.rows.push(self.ranges.len());
    }

    /// Whether there is a row for each query, and no key beyond the last.
    pub(crate) fn fits(&self, shape: AttentionShape) -> bool {
        self.rows.len() == shape.batch * shape.queries + 1
            && self.queries == shape.queries
            && self.ranges.iter().all(|range| range.end <= shape.keys)
    }

    pub(crate) fn row(&self, sample: usize, query: usize) -> &[Range<usize>] {
        let row = sample * self.queries + query;
        &self.ranges[self.rows[row]..self.rows[row + 1]]
    }
}

/// Softmax of `scale * scores` over `visible`; zero elsewhere.
pub(crate) struct Softmax<'a> {
    pub scores: &'a mut [f32],
    pub visible: &'a [Range<usize>],
    pub scale: f32,
}

impl SimdOp for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self {
            scores,
            visible,
            scale,
        } = self;
        let ops = isa.f32();
        let lanes = ops.len();
        let floor = ops.splat(f32::MIN);
        let mut largest = floor;
        for range in visible {
            for at in range.clone().step_by(lanes) {
                largest = ops.max(largest, load_or(ops, &scores[at..range.end], floor));
            }
        }
        let largest = ops.fold_splat(largest, f32::MIN, f32::max);
        let factor = ops.splat(scale);
        let mut sums = ops.zero();
        for range in visible {
            for at in range.clone().step_by(lanes) {
                let score = load_or(ops, &scores[at..range.end], floor);
                let e = Exp {}.eval(isa, ops.mul(ops.sub(score, largest), factor));
                sums = ops.add(sums, e);
                store_some(ops, e, &mut scores[at..range.end]);
            }
        }
        let share = ops.splat(1.0 / ops.sum(sums).max(f32::MIN_POSITIVE));
        let mut hidden = 0;
        for range in visible {
            scores[hidden..range.start].fill(0.0);
            hidden = range.end;
            for at in range.clone().step_by(lanes) {
                let e = load_some(ops, &scores[at..range.end]);
                store_some(ops, ops.mul(e, share), &mut scores[at..range.end]);
            }
        }
        scores[hidden..].fill(0.0);
    }
}

thread_local! {
    // Scores of one head, kept between heads and layers: a block of this size is costly to ask for.
    static SCORES: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Lends `size` values that are kept by the thread. What is borrowed within is another block.
pub(crate) fn with_scratch<R>(
    kept: &'static std::thread::LocalKey<Cell<Vec<f32>>>,
    size: usize,
    use_it: impl FnOnce(&mut [f32]) -> R,
) -> R {
    let mut block = kept.take();
    if block.len() < size {
        block.resize(size, 0.0);
    }
    let outcome = use_it(&mut block[..size]);
    kept.set(block);
    outcome
}

/// Attention (Vaswani et al. 2017, eq. 1): softmax of `query key^T / sqrt(head_dim)` over the visible keys, times
/// value; zeros for a query that sees none.
///
/// # Shapes
/// - query, output `(batch, queries, width)`; key, value `(batch, keys, width)`
///
/// # Panics
/// When shapes disagree.
pub fn attention(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    shape: AttentionShape,
    visible: &Visible,
    output: &mut [f32],
) {
    let AttentionShape {
        batch,
        queries,
        keys,
        heads,
        head_dim,
    } = shape;
    let width = shape.width();
    assert!(
        query.len() == batch * queries * width
            && output.len() == query.len()
            && key.len() == batch * keys * width
            && value.len() == key.len()
            && visible.rows.len() == batch * queries + 1
            && visible.ranges.iter().all(|r| r.end <= keys),
        "shapes of an attention disagree"
    );
    if output.is_empty() {
        return;
    }
    let scale = 1.0 / (head_dim as f32).sqrt();
    // (B, H, S, D): a head's rows lie together while it is computed.
    let mut by_head = vec![0.0; output.len()];
    by_head
        .par_chunks_mut(queries * head_dim)
        .enumerate()
        .for_each(|(number, output)| {
            let (sample, head) = (number / heads, number % heads);
            let part = |x, rows| head_of(x, sample, head, rows, shape);
            with_scratch(&SCORES, queries * keys, |scores| {
                matmul(part(query, queries), part(key, keys).transposed(), false, scores);
                for (row, scores) in scores.chunks_exact_mut(keys.max(1)).enumerate() {
                    let visible = visible.row(sample, row);
                    Softmax {
                        scores,
                        visible,
                        scale,
                    }
                    .dispatch();
                }
                matmul(
                    Matrix::rows(scores, queries, keys),
                    part(value, keys),
                    false,
                    output,
                );
            });
        });
    join_heads(&by_head, shape, output);
}

/// The rows of one head of one sample in `(batch, rows, width)`.
pub(crate) fn head_of(
    x: &[f32],
    sample: usize,
    head: usize,
    rows: usize,
    shape: AttentionShape,
) -> Matrix<'_> {
    Matrix {
        values: &x[(sample * rows * shape.heads + head) * shape.head_dim..],
        shape: [rows, shape.head_dim],
        strides: [shape.width(), 1],
    }
}

/// `(B, H, S, D)` to `(B, S, H * D)`.
pub(crate) fn join_heads(by_head: &[f32], shape: AttentionShape, output: &mut [f32]) {
    let AttentionShape {
        queries,
        heads,
        head_dim,
        ..
    } = shape;
    output
        .par_chunks_mut(shape.width())
        .with_min_len(64)
        .enumerate()
        .for_each(|(row, output)| {
            let (sample, query) = (row / queries, row % queries);
            for (head, output) in output.chunks_exact_mut(head_dim).enumerate() {
                let at = ((sample * heads + head) * queries + query) * head_dim;
                output.copy_from_slice(&by_head[at..at + head_dim]);
            }
        });
}

/// One query of one head over the first rows of a cache.
struct Query<'a> {
    query: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    width: usize,
    scores: &'a mut [f32],
    output: &'a mut [f32],
}

impl SimdOp for Query<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let dim = self.query.len();
        let whole = dim - dim % lanes;
        for (score, key) in self.scores.iter_mut().zip(self.keys.chunks(self.width)) {
            let key = &key[..dim];
            let mut sums = ops.zero();
            for at in (0..whole).step_by(lanes) {
                let lane = at..at + lanes;
                sums = ops.mul_add(ops.load(&self.query[lane.clone()]), ops.load(&key[lane]), sums);
            }
            if whole < dim {
                let (query, key) = (
                    load_some(ops, &self.query[whole..]),
                    load_some(ops, &key[whole..]),
                );
                sums = ops.mul_add(query, key, sums);
            }
            *score = ops.sum(sums);
        }
        let count = self.scores.len();
        let scale = 1.0 / (dim as f32).sqrt();
        Softmax {
            scores: &mut *self.scores,
            visible: std::slice::from_ref(&(0..count)),
            scale,
        }
        .eval(isa);
        for at in (0..dim).step_by(lanes) {
            let mut sums = ops.zero();
            for (share, value) in self.scores.iter().zip(self.values.chunks(self.width)) {
                sums = ops.mul_add(ops.splat(*share), load_some(ops, &value[at..dim]), sums);
            }
            store_some(ops, sums, &mut self.output[at..]);
        }
    }
}

/// The decoding step: row `r` of each sample sees the rows of the caches up to `start + r`.
///
/// # Shapes
/// - query, output `(batch, queries, width)`; keys, values `(batch, keys, width)`, `shape.keys` the capacity of the
///   caches
///
/// # Panics
/// When shapes disagree or the rows do not fit the caches.
pub fn decode_attention(
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    shape: AttentionShape,
    start: usize,
    output: &mut [f32],
) {
    let AttentionShape {
        batch,
        queries,
        keys: capacity,
        heads,
        head_dim,
    } = shape;
    let width = shape.width();
    assert!(
        query.len() == batch * queries * width
            && output.len() == query.len()
            && keys.len() == batch * capacity * width
            && values.len() == keys.len()
            && start + queries <= capacity,
        "shapes of a decoding step disagree"
    );
    // A row of the output is its heads side by side.
    let few = batch * queries * heads * (start + queries) * head_dim < 64 * 1024;
    let run = |(number, output): (usize, &mut [f32])| {
        let (row, head) = (number / heads, number % heads);
        let (sample, seen) = (row / queries, start + row % queries + 1);
        let part = |cache: &'_ [f32]| {
            let from = sample * capacity * width + head * head_dim;
            from..(from + seen * width).min(cache.len())
        };
        with_scratch(&SCORES, seen, |scores| {
            Query {
                query: &query[number * head_dim..][..head_dim],
                keys: &keys[part(keys)],
                values: &values[part(values)],
                width,
                scores,
                output,
            }
            .dispatch();
        });
    };
    if few {
        output.chunks_exact_mut(head_dim).enumerate().for_each(run);
    } else {
        output.par_chunks_exact_mut(head_dim).enumerate().for_each(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    /// Attention cell by cell, in double precision.
    fn plain(
        q: &[f32],
        k: &[f32],
        v: &[f32],
        shape: AttentionShape,
        sees: impl Fn(usize, usize, usize) -> bool,
    ) -> Vec<f32> {
        let AttentionShape {
            batch,
            queries,
            keys,
            heads,
            head_dim,
        } = shape;
        let width = shape.width();
        let mut output = vec![0.0; batch * queries * width];
        for b in 0..batch {
            for h in 0..heads {
                for i in 0..queries {
                    let seen: Vec<usize> = (0..keys).filter(|&j| sees(b, i, j)).collect();
                    let at = |x: &[f32], rows: usize, row: usize, d: usize| {
                        f64::from(x[(b * rows + row) * width + h * head_dim + d])
                    };
                    let scores: Vec<f64> = seen
                        .iter()
                        .map(|&j| {
                            (0..head_dim)
                                .map(|d| at(q, queries, i, d) * at(k, keys, j, d))
                                .sum::<f64>()
                                / (head_dim as f64).sqrt()
                        })
                        .map(f64::exp)
                        .collect();
                    let sum: f64 = scores.iter().sum();
                    for d in 0..head_dim {
                        let mixed: f64 = seen
                            .iter()
                            .zip(&scores)
                            .map(|(&j, s)| s / sum * at(v, keys, j, d))
                            .sum();
                        output[(b * queries + i) * width + h * head_dim + d] = mixed as f32;
                    }
                }
            }
        }
        output
    }

    /// The ranges of a rule, asked cell by cell.
    fn visible(
        batch: usize,
        queries: usize,
        keys: usize,
        sees: impl Fn(usize, usize, usize) -> bool,
    ) -> Visible {
        let mut visible = Visible::new(queries);
        for (sample, query) in (0..batch).flat_map(|b| (0..queries).map(move |q| (b, q))) {
            let seen: Vec<usize> = (0..keys).filter(|&key| sees(sample, query, key)).collect();
            let ranges: Vec<Range<usize>> = seen
                .chunk_by(|a, b| a + 1 == *b)
                .map(|run| run[0]..run[run.len() - 1] + 1)
                .collect();
            visible.push(&ranges);
        }
        visible
    }

    #[test]
    fn attention_equals_plain_loops_at_odd_sizes_and_masks() {
        for (batch, queries, keys, heads, head_dim) in [
            (1, 1, 1, 1, 4),
            (3, 17, 17, 1, 16),
            (2, 33, 9, 4, 32),
            (2, 19, 40, 2, 65),
            (1, 70, 70, 2, 64),
        ] {
            let shape = AttentionShape {
                batch,
                queries,
                keys,
                heads,
                head_dim,
            };
            let width = shape.width();
            let (q, k, v) = (
                numbers(batch * queries * width, 1),
                numbers(batch * keys * width, 2),
                numbers(batch * keys * width, 3),
            );
            let rules: [&dyn Fn(usize, usize, usize) -> bool; 4] = [
                &|_, _, _| true,
                &|_, i, j| j <= i,
                &|b, i, j| j < 3 || (j % 4 != 1 && j + b <= i + 5),
                &|b, _, _| b == 1,
            ];
            for (number, rule) in rules.iter().enumerate() {
                let visible = visible(batch, queries, keys, rule);
                let expected = plain(&q, &k, &v, shape, rule);
                let mut found = vec![f32::NAN; q.len()];
                attention(&q, &k, &v, shape, &visible, &mut found);
                close(&expected, &found, 2e-6, &format!("rule {number}, {shape:?}"));
            }
        }
    }

    #[test]
    fn large_scores_stay_finite() {
        let shape = AttentionShape {
            batch: 1,
            queries: 2,
            keys: 20,
            heads: 1,
            head_dim: 8,
        };
        let q: Vec<f32> = numbers(16, 1).iter().map(|x| x * 1e4).collect();
        let k: Vec<f32> = numbers(160, 2).iter().map(|x| x * 1e4).collect();
        let v = numbers(160, 3);
        let visible = visible(1, 2, 20, |_, _, _| true);
        let mut found = vec![0.0; 16];
        attention(&q, &k, &v, shape, &visible, &mut found);
        assert!(found.iter().all(|x| x.is_finite() && x.abs() <= 1.0), "{found:?}");
    }

    #[test]
    fn decoding_equals_attention_over_the_rows_so_far() {
        for (batch, queries, capacity, heads, head_dim, start) in [
            (1, 1, 9, 1, 8, 0),
            (2, 2, 70, 3, 20, 60),
            (3, 1, 130, 2, 64, 129),
            (2, 2, 300, 12, 64, 298),
        ] {
            let shape = AttentionShape {
                batch,
                queries,
                keys: capacity,
                heads,
                head_dim,
            };
            let width = shape.width();
            let (q, k, v) = (
                numbers(batch * queries * width, 1),
                numbers(batch * capacity * width, 2),
                numbers(batch * capacity * width, 3),
            );
            let expected = plain(&q, &k, &v, shape, |_, i, j| j <= start + i);
            let mut found = vec![f32::NAN; q.len()];
            decode_attention(&q, &k, &v, shape, start, &mut found);
            close(&expected, &found, 2e-6, &format!("step at {start}, {shape:?}"));
        }
    }
}
