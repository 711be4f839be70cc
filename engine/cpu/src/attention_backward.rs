//! Attention in training: the probabilities are kept, and dropout falls on them.

use std::cell::Cell;

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::attention::{AttentionShape, Softmax, Visible, head_of, join_heads, with_scratch};
use crate::elementwise::{Map, Run, load_some, store_some};
use crate::matrix::{Matrix, matmul};

/// What an attention reads.
#[derive(Clone, Copy, Debug)]
pub struct Attended<'a> {
    /// Queries, `(batch, queries, width)`.
    pub query: &'a [f32],
    /// Keys, `(batch, keys, width)`.
    pub key: &'a [f32],
    /// Values, `(batch, keys, width)`.
    pub value: &'a [f32],
}

impl Attended<'_> {
    fn fits(&self, shape: AttentionShape) -> bool {
        let width = shape.width();
        self.query.len() == shape.batch * shape.queries * width
            && self.key.len() == shape.batch * shape.keys * width
            && self.value.len() == self.key.len()
    }
}

/// Where [`attention_backward`] writes, each like what it is the gradient of.
#[derive(Debug)]
pub struct AttendedGradients<'a> {
    /// Of the queries.
    pub dquery: &'a mut [f32],
    /// Of the keys.
    pub dkey: &'a mut [f32],
    /// Of the values.
    pub dvalue: &'a mut [f32],
}

thread_local! {
    /// Heads one after another.
    static HEADS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// Probabilities of one head after dropout.
    static DROPPED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// Gradients of the scores of one head.
    static SCORES: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The product of two inputs.
struct Times;

impl Map<2, 1> for Times {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x, y]: [I::F32; 2], _: [I::F32; 1]) -> [I::F32; 1] {
        [isa.f32().mul(x, y)]
    }
}

/// Lends the probabilities of a head after dropout.
fn with_dropped<R>(probabilities: &[f32], factors: Option<&[f32]>, use_it: impl FnOnce(&[f32]) -> R) -> R {
    let Some(factors) = factors else {
        return use_it(probabilities);
    };
    with_scratch(&DROPPED, probabilities.len(), |dropped| {
        Run {
            op: &Times,
            inputs: [probabilities, factors],
            values: [&mut *dropped],
        }
        .dispatch();
        use_it(dropped)
    })
}

/// [`attention`](crate::attention) that keeps its probabilities, which `factors` multiply before they meet the values:
/// dropout's mask, grown by `1 / (1 - rate)` where it keeps.
///
/// # Shapes
/// - output `(batch, queries, width)`; factors, probabilities `(batch, heads, queries, keys)`, the probabilities those
///   before dropout
///
/// # Panics
/// When shapes disagree.
pub fn attention_train(
    inputs: Attended,
    shape: AttentionShape,
    visible: &Visible,
    factors: Option<&[f32]>,
    probabilities: &mut [f32],
    output: &mut [f32],
) {
    let AttentionShape {
        queries,
        keys,
        heads,
        head_dim,
        ..
    } = shape;
    assert!(
        inputs.fits(shape)
            && output.len() == inputs.query.len()
            && visible.fits(shape)
            && probabilities.len() == shape.batch * heads * queries * keys
            && factors.is_none_or(|f| f.len() == probabilities.len()),
        "shapes of an attention disagree"
    );
    if probabilities.is_empty() || output.is_empty() {
        return output.fill(0.0);
    }
    let scale = 1.0 / (head_dim as f32).sqrt();
    with_scratch(&HEADS, output.len(), |by_head| {
        by_head
            .par_chunks_mut(queries * head_dim)
            .zip(probabilities.par_chunks_mut(queries * keys))
            .enumerate()
            .for_each(|(number, (output, scores))| {
                let (sample, head) = (number / heads, number % heads);
                let part = |x, rows| head_of(x, sample, head, rows, shape);
                let key = part(inputs.key, keys).transposed();
                matmul(part(inputs.query, queries), key, false, scores);
                for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
                    let visible = visible.row(sample, row);
                    Softmax {
                        scores,
                        visible,
                        scale,
                    }
                    .dispatch();
                }
                let factors = factors.map(|f| &f[number * queries * keys..][..queries * keys]);
                with_dropped(scores, factors, |dropped| {
                    let dropped = Matrix::rows(dropped, queries, keys);
                    matmul(dropped, part(inputs.value, keys), false, output);
                });
            });
        join_heads(by_head, shape, output);
    });
}

/// The gradients of scores from those of the probabilities, row by row: `scale p (dp - sum of p dp)`.
struct SoftmaxBackward<'a> {
    probabilities: &'a [f32],
    factors: Option<&'a [f32]>,
    scale: f32,
    keys: usize,
    /// Gradients of the probabilities after dropout.
    scores: &'a mut [f32],
}

impl SimdOp for SoftmaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        let keys = self.keys;
        let rows = self
            .scores
            .chunks_exact_mut(keys)
            .zip(self.probabilities.chunks_exact(keys));
        for (row, (scores, probabilities)) in rows.enumerate() {
            let factors = self.factors.map(|factors| &factors[row * keys..][..keys]);
            let mut sums = ops.zero();
            for at in (0..keys).step_by(lanes) {
                let mut score = load_some(ops, &scores[at..]);
                if let Some(factors) = factors {
                    score = ops.mul(score, load_some(ops, &factors[at..]));
                    store_some(ops, score, &mut scores[at..]);
                }
                sums = ops.mul_add(score, load_some(ops, &probabilities[at..]), sums);
            }
            let mean = ops.splat(ops.sum(sums));
            let scale = ops.splat(self.scale);
            for at in (0..keys).step_by(lanes) {
                let away = ops.sub(load_some(ops, &scores[at..]), mean);
                let share = ops.mul(load_some(ops, &probabilities[at..]), scale);
                store_some(ops, ops.mul(away, share), &mut scores[at..]);
            }
        }
    }
}

/// The gradients of [`attention_train`] from that of its output.
///
/// # Shapes
/// - factors, probabilities `(batch, heads, queries, keys)`; dy `(batch, queries, width)`
///
/// # Panics
/// When shapes disagree.
pub fn attention_backward(
    inputs: Attended,
    shape: AttentionShape,
    probabilities: &[f32],
    factors: Option<&[f32]>,
    dy: &[f32],
    gradients: AttendedGradients,
) {
    let AttentionShape {
        batch,
        queries,
        keys,
        heads,
        head_dim,
    } = shape;
    let AttendedGradients { dquery, dkey, dvalue } = gradients;
    let written = Attended {
        query: dquery,
        key: dkey,
        value: dvalue,
    };
    assert!(
        inputs.fits(shape)
            && written.fits(shape)
            && dy.len() == inputs.query.len()
            && probabilities.len() == batch * heads * queries * keys
            && factors.is_none_or(|f| f.len() == probabilities.len()),
        "shapes of an attention's gradients disagree"
    );
    if probabilities.is_empty() || dy.is_empty() {
        dquery.fill(0.0);
        dkey.fill(0.0);
        dvalue.fill(0.0);
        return;
    }
    let scale = 1.0 / (head_dim as f32).sqrt();
    with_scratch(&HEADS, dy.len() + 2 * dkey.len(), |by_head| {
        let (by_query, rest) = by_head.split_at_mut(dy.len());
        let (by_key, by_value) = rest.split_at_mut(dkey.len());
        by_query
            .par_chunks_mut(queries * head_dim)
            .zip(by_key.par_chunks_mut(keys * head_dim))
            .zip(by_value.par_chunks_mut(keys * head_dim))
            .enumerate()
            .for_each(|(number, ((dquery, dkey), dvalue))| {
                let (sample, head) = (number / heads, number % heads);
                let part = |x, rows| head_of(x, sample, head, rows, shape);
                let cells = number * queries * keys..(number + 1) * queries * keys;
                let probabilities = &probabilities[cells.clone()];
                let factors = factors.map(|factors| &factors[cells]);
                with_dropped(probabilities, factors, |dropped| {
                    let dropped = Matrix::rows(dropped, queries, keys).transposed();
                    matmul(dropped, part(dy, queries), false, dvalue);
                });
                with_scratch(&SCORES, queries * keys, |scores| {
                    let value = part(inputs.value, keys).transposed();
                    matmul(part(dy, queries), value, false, scores);
                    SoftmaxBackward {
                        probabilities,
                        factors,
                        scale,
                        keys,
                        scores: &mut *scores,
                    }
                    .dispatch();
                    let scores = Matrix::rows(scores, queries, keys);
                    matmul(scores, part(inputs.key, keys), false, dquery);
                    matmul(scores.transposed(), part(inputs.query, queries), false, dkey);
                });
            });
        join_heads(by_query, shape, dquery);
        // Keys and values are as many as there are keys.
        let shape = AttentionShape {
            queries: keys,
            ..shape
        };
        join_heads(by_key, shape, dkey);
        join_heads(by_value, shape, dvalue);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    fn shown(shape: AttentionShape, sample: usize, query: usize) -> usize {
        match sample {
            0 => shape.keys,
            _ => (query + 1).min(shape.keys),
        }
    }

    /// The output's sum, each value times its gradient, in double precision.
    fn loss(inputs: [&[f64]; 3], shape: AttentionShape, factors: Option<&[f32]>, dy: &[f32]) -> f64 {
        let [q, k, v] = inputs;
        let AttentionShape {
            queries,
            keys,
            heads,
            head_dim,
            ..
        } = shape;
        let mut loss = 0.0;
        for number in 0..shape.batch * heads * queries {
            let (sample, head, query) = (
                number / heads / queries,
                number / queries % heads,
                number % queries,
            );
            let at =
                |rows: usize, row: usize, d: usize| ((sample * rows + row) * heads + head) * head_dim + d;
            let scores: Vec<f64> = (0..shown(shape, sample, query))
                .map(|key| {
                    let products = (0..head_dim).map(|d| q[at(queries, query, d)] * k[at(keys, key, d)]);
                    (products.sum::<f64>() / (head_dim as f64).sqrt()).exp()
                })
                .collect();
            let sum: f64 = scores.iter().sum();
            for (key, score) in scores.iter().enumerate() {
                let factor = factors.map_or(1.0, |f| f64::from(f[number * keys + key]));
                for d in 0..head_dim {
                    let dy = f64::from(dy[at(queries, query, d)]);
                    loss += score / sum * factor * v[at(keys, key, d)] * dy;
                }
            }
        }
        loss
    }

    #[test]
    fn outputs_equal_attention_and_gradients_differences() {
        for (batch, queries, keys, heads, head_dim) in [(1, 1, 1, 1, 4), (2, 7, 9, 2, 5), (2, 17, 17, 1, 8)] {
            let shape = AttentionShape {
                batch,
                queries,
                keys,
                heads,
                head_dim,
            };
            let width = shape.width();
            let sizes = [queries, keys, keys].map(|rows| batch * rows * width);
            let values: [Vec<f32>; 3] = std::array::from_fn(|i| numbers(sizes[i], i as u64));
            let inputs = Attended {
                query: &values[0],
                key: &values[1],
                value: &values[2],
            };
            let mut visible = Visible::new(queries);
            for (sample, query) in (0..batch).flat_map(|s| (0..queries).map(move |q| (s, q))) {
                visible.push(std::slice::from_ref(&(0..shown(shape, sample, query))));
            }
            let dy = numbers(sizes[0], 4);
            let cells = batch * heads * queries * keys;
            let mask: Vec<f32> = numbers(cells, 5)
                .iter()
                .map(|x| if *x > -0.5 { 4.0 / 3.0 } else { 0.0 })
                .collect();
            for factors in [None, Some(&mask[..])] {
                let (mut output, mut probabilities) = (vec![f32::NAN; sizes[0]], vec![f32::NAN; cells]);
                attention_train(inputs, shape, &visible, factors, &mut probabilities, &mut output);
                let exact: [Vec<f64>; 3] = values
                    .each_ref()
                    .map(|values| values.iter().map(|x| f64::from(*x)).collect());
                let of = |exact: &[Vec<f64>; 3]| loss([&exact[0], &exact[1], &exact[2]], shape, factors, &dy);
                let found: f64 = output.iter().zip(&dy).map(|(y, dy)| f64::from(y * dy)).sum();
                assert!((found - of(&exact)).abs() < 1e-4, "{found}");
                if factors.is_none() {
                    let mut expected = vec![f32::NAN; sizes[0]];
                    let Attended { query, key, value } = inputs;
                    crate::attention(query, key, value, shape, &visible, &mut expected);
                    assert_eq!(expected, output);
                }
                let mut found = sizes.map(|size| vec![f32::NAN; size]);
                let [dquery, dkey, dvalue] = &mut found;
                let gradients = AttendedGradients { dquery, dkey, dvalue };
                attention_backward(inputs, shape, &probabilities, factors, &dy, gradients);
                for (index, found) in found.iter().enumerate() {
                    let differences: Vec<f32> = (0..found.len())
                        .map(|at| {
                            let mut moved = exact.clone();
                            moved[index][at] += 1e-4;
                            let up = of(&moved);
                            moved[index][at] -= 2e-4;
                            ((up - of(&moved)) / 2e-4) as f32
                        })
                        .collect();
                    close(&differences, found, 1e-5, &format!("input {index}, {shape:?}"));
                }
            }
        }
    }
}
