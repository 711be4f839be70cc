//! Log-softmax and cross-entropy over rows, forward and backward.

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp, SimdUnaryOp};
use rten_vecmath::{Exp, Sum};

use crate::elementwise::{Affine, Map, Run};

/// Values that one task takes.
const GRAIN: usize = 16 * 1024;

/// Logarithm of the sum of exponentials.
struct LogSum<'a> {
    row: &'a [f32],
}

impl SimdOp for LogSum<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> f32 {
        let ops = isa.f32();
        let floor = ops.splat(f32::MIN);
        let mut largest = floor;
        let (whole, rest) = self.row.split_at(self.row.len() - self.row.len() % ops.len());
        for x in whole.chunks_exact(ops.len()) {
            largest = ops.max(largest, ops.load(x));
        }
        let (rest, there) = ops.load_pad(rest);
        largest = ops.max(largest, ops.select(rest, floor, there));
        let largest = ops.fold_splat(largest, f32::MIN, f32::max);
        let e = Exp {}.eval(isa, ops.sub(rest, largest));
        let mut sums = ops.select(e, ops.zero(), there);
        for x in whole.chunks_exact(ops.len()) {
            sums = ops.add(sums, Exp {}.eval(isa, ops.sub(ops.load(x), largest)));
        }
        ops.sum(sums).ln() + largest.to_array()[0]
    }
}

fn log_sum(row: &[f32]) -> f32 {
    LogSum { row }.dispatch()
}

/// Runs `row` over rows of `width` values in parallel, each of which takes as long as `cost` values.
fn by_row(values: &mut [f32], width: usize, cost: usize, row: impl Fn(usize, &mut [f32]) + Sync) {
    if values.is_empty() {
        return;
    }
    let rows = GRAIN.div_ceil(cost.max(1));
    values
        .par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(chunk, values)| {
            for (number, values) in values.chunks_exact_mut(width).enumerate() {
                row(chunk * rows + number, values);
            }
        });
}

/// The logarithm of the softmax of rows.
///
/// # Shapes
/// - x, output `(rows, width)`
///
/// # Panics
/// When shapes disagree.
pub fn log_softmax(x: &[f32], width: usize, output: &mut [f32]) {
    assert!(
        x.len() == output.len() && x.len().is_multiple_of(width.max(1)),
        "shapes of a softmax disagree"
    );
    by_row(output, width, width, |row, output| {
        let x = &x[row * width..][..width];
        let op = Affine {
            centre: log_sum(x),
            scale: 1.0,
            shift: 0.0,
            rectify: false,
        };
        Run {
            op: &op,
            inputs: [x],
            values: [output],
        }
        .dispatch();
    });
}

/// `a - factor * exp(x + shift)`.
struct LessExp {
    shift: f32,
    factor: f32,
}

impl LessExp {
    #[inline(always)]
    fn exp<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        let ops = isa.f32();
        let e = Exp {}.eval(isa, ops.add(x, ops.splat(self.shift)));
        ops.mul(e, ops.splat(self.factor))
    }
}

impl Map<2, 1> for LessExp {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x, a]: [I::F32; 2], _: [I::F32; 1]) -> [I::F32; 1] {
        [isa.f32().sub(a, self.exp(isa, x))]
    }
}

impl Map<1, 1> for LessExp {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, [x]: [I::F32; 1], _: [I::F32; 1]) -> [I::F32; 1] {
        let ops = isa.f32();
        [ops.sub(ops.zero(), self.exp(isa, x))]
    }
}

/// The gradient of [`log_softmax`]'s input from its output `y` and the gradient of that.
///
/// # Shapes
/// - y, dy, dx `(rows, width)`
///
/// # Panics
/// When shapes disagree.
pub fn log_softmax_backward(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    assert!(
        y.len() == dx.len() && dy.len() == dx.len() && y.len().is_multiple_of(width.max(1)),
        "shapes of a softmax's gradient disagree"
    );
    by_row(dx, width, width, |row, dx| {
        let part = row * width..(row + 1) * width;
        let dy = &dy[part.clone()];
        let op = LessExp {
            shift: 0.0,
            factor: Sum::new(dy).dispatch(),
        };
        Run {
            op: &op,
            inputs: [&y[part], dy],
            values: [dx],
        }
        .dispatch();
    });
}

/// The cross-entropy of rows of logits: less the logarithm of the softmax at each row's target.
///
/// # Shapes
/// - logits `(rows, width)`; targets, losses `(rows)`
///
/// # Panics
/// When shapes disagree or a target is not below `width`.
pub fn cross_entropy(logits: &[f32], targets: &[u32], losses: &mut [f32]) {
    let width = logits.len() / targets.len().max(1);
    assert!(
        logits.len() == targets.len() * width && losses.len() == targets.len(),
        "shapes of a cross-entropy disagree"
    );
    by_row(losses, 1, width, |row, loss| {
        let logits = &logits[row * width..][..width];
        loss[0] = log_sum(logits) - logits[targets[row] as usize];
    });
}

/// The gradient of [`cross_entropy`]'s logits from that of each row's loss; a row whose loss counts nothing has none.
///
/// # Shapes
/// - logits, dlogits `(rows, width)`; targets, dlosses `(rows)`
///
/// # Panics
/// When shapes disagree or a target is not below `width`.
pub fn cross_entropy_backward(logits: &[f32], targets: &[u32], dlosses: &[f32], dlogits: &mut [f32]) {
    let width = logits.len() / targets.len().max(1);
    assert!(
        logits.len() == targets.len() * width
            && dlosses.len() == targets.len()
            && dlogits.len() == logits.len(),
        "shapes of a cross-entropy's gradient disagree"
    );
    by_row(dlogits, width, width, |row, dlogits| {
        let dloss = dlosses[row];
        if dloss == 0.0 {
            return dlogits.fill(0.0);
        }
        let logits = &logits[row * width..][..width];
        let op = LessExp {
            shift: -log_sum(logits),
            factor: -dloss,
        };
        Run {
            op: &op,
            inputs: [logits],
            values: [&mut *dlogits],
        }
        .dispatch();
        dlogits[targets[row] as usize] -= dloss;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    #[test]
    fn losses_and_gradients_equal_the_closed_form() {
        for (rows, width) in [(1, 1), (3, 7), (5, 33), (40, 1024)] {
            let x: Vec<f32> = numbers(rows * width, 1).iter().map(|x| x * 20.0).collect();
            let dy = numbers(rows * width, 2);
            let targets: Vec<u32> = (0..rows).map(|row| (row * 5 % width) as u32).collect();
            let mut dlosses = numbers(rows, 3);
            dlosses[0] = 0.0;
            let [mut logs, mut dx, mut dlogits] = [(); 3].map(|()| Vec::new());
            let mut losses = Vec::new();
            for row in 0..rows {
                let part = row * width..(row + 1) * width;
                let exps: Vec<f64> = x[part.clone()].iter().map(|x| f64::from(*x).exp()).collect();
                let total: f64 = exps.iter().sum();
                let sum: f64 = dy[part.clone()].iter().map(|dy| f64::from(*dy)).sum();
                let target = targets[row] as usize;
                losses.push(-(exps[target] / total).ln() as f32);
                for (at, (e, dy)) in exps.iter().zip(&dy[part]).enumerate() {
                    logs.push((e / total).ln() as f32);
                    dx.push((f64::from(*dy) - e / total * sum) as f32);
                    let hit = if at == target { 1.0 } else { 0.0 };
                    dlogits.push(((e / total - hit) * f64::from(dlosses[row])) as f32);
                }
            }
            let mut found = vec![f32::NAN; x.len()];
            log_softmax(&x, width, &mut found);
            close(&logs, &found, 1e-5, "log-softmax");
            let mut found_dx = vec![f32::NAN; x.len()];
            log_softmax_backward(&found, &dy, width, &mut found_dx);
            close(&dx, &found_dx, 3e-5, "its gradient");
            let mut found = vec![f32::NAN; rows];
            cross_entropy(&x, &targets, &mut found);
            close(&losses, &found, 1e-5, "losses");
            let mut found = vec![f32::NAN; x.len()];
            cross_entropy_backward(&x, &targets, &dlosses, &mut found);
            close(&dlogits, &found, 1e-5, "their gradient");
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let x = [3e4, -3e4, 2.9e4, f32::NEG_INFINITY, 0.0];
        let mut losses = [f32::NAN];
        cross_entropy(&x, &[1], &mut losses);
        assert_eq!(losses, [6e4]);
        let mut dlogits = [f32::NAN; 5];
        cross_entropy_backward(&x, &[1], &[0.5], &mut dlogits);
        assert_eq!(dlogits, [0.5, -0.5, 0.0, 0.0, 0.0]);
    }
}
