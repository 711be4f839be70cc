//! The step of an optimiser.

use rten_simd::ops::{BitOps, FloatOps, IntOps, NumOps};
use rten_simd::{Isa, Simd};

use crate::elementwise::{Map, map};

/// A step of AdamW (Loshchilov and Hutter 2019, algorithm 2) as PyTorch has it.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate.
    pub rate: f64,
    /// Weight decay: a weight shrinks by the rate times this.
    pub decay: f64,
    /// Shares of the moments that are kept.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Steps taken with this one, from 1 on: corrects the moments, which begin at zero.
    pub step: u64,
    /// Factor of the gradient: what clipping leaves of it.
    pub factor: f64,
}

/// The step in single precision.
struct Step {
    kept: f32,
    betas: [f32; 2],
    /// `1 - beta`, times the gradient's factor as often as the gradient.
    shares: [f32; 2],
    /// Of the second moment's root.
    correction: f32,
    epsilon: f32,
    rate: f32,
}

impl Step {
    fn new(options: AdamW) -> Self {
        let AdamW { betas, factor, .. } = options;
        let corrections = betas.map(|beta| 1.0 - beta.powf(options.step as f64));
        Self {
            kept: (1.0 - options.rate * options.decay) as f32,
            betas: betas.map(|beta| beta as f32),
            shares: [
                ((1.0 - betas[0]) * factor) as f32,
                ((1.0 - betas[1]) * factor * factor) as f32,
            ],
            correction: corrections[1].sqrt().recip() as f32,
            epsilon: options.epsilon as f32,
            rate: (options.rate / corrections[0]) as f32,
        }
    }
}

/// The square root of what is not negative; 0 for what has no exponent.
#[inline(always)]
fn root<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let (ops, ints) = (isa.f32(), isa.i32());
    // 1 / sqrt(x), halved in its exponent first, then by Newton's method.
    let bits: I::I32 = x.reinterpret_cast();
    let guess = ints.sub(ints.splat(0x5f37_59df), ints.shift_right::<1>(bits));
    let mut inverse: I::F32 = guess.reinterpret_cast();
    let half = ops.mul(x, ops.splat(0.5));
    for _ in 0..3 {
        let away = ops.mul_sub_from(ops.mul(half, inverse), inverse, ops.splat(1.5));
        inverse = ops.mul(inverse, away);
    }
    let there = ops.ge(x, ops.splat(f32::MIN_POSITIVE));
    ops.select(ops.mul(x, inverse), ops.zero(), there)
}

impl Map<1, 3> for Step {
    #[inline(always)]
    fn eval<I: Isa>(
        &self,
        isa: I,
        [gradient]: [I::F32; 1],
        [weight, first, second]: [I::F32; 3],
    ) -> [I::F32; 3] {
        let ops = isa.f32();
        let first = ops.mul_add(
            gradient,
            ops.splat(self.shares[0]),
            ops.mul(first, ops.splat(self.betas[0])),
        );
        let square = ops.mul(ops.mul(gradient, ops.splat(self.shares[1])), gradient);
        let second = ops.mul_add(second, ops.splat(self.betas[1]), square);
        let below = ops.mul_add(
            root(isa, second),
            ops.splat(self.correction),
            ops.splat(self.epsilon),
        );
        let moved = ops.div(ops.mul(first, ops.splat(self.rate)), below);
        let weight = ops.sub(ops.mul(weight, ops.splat(self.kept)), moved);
        [weight, first, second]
    }
}

/// Moves weights by their gradient, and the moments with them.
///
/// # Panics
/// When lengths differ.
pub fn adamw(options: AdamW, gradient: &[f32], weight: &mut [f32], first: &mut [f32], second: &mut [f32]) {
    map(&Step::new(options), [gradient], [weight, first, second]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, numbers};

    #[test]
    fn steps_equal_the_algorithm() {
        for size in [1, 17, 70_001] {
            let mut found = [numbers(size, 1), vec![0.0; size], vec![0.0; size]];
            let mut expected: Vec<[f64; 3]> = found[0].iter().map(|w| [f64::from(*w), 0.0, 0.0]).collect();
            for step in 1..=5 {
                // Gradients from 1 down to 1e-8, and none.
                let gradient: Vec<f32> = numbers(size, 10 + step)
                    .iter()
                    .enumerate()
                    .map(|(at, g)| {
                        g * 10.0_f32.powi(-((at % 9) as i32)) * if at % 11 == 3 { 0.0 } else { 1.0 }
                    })
                    .collect();
                let options = AdamW {
                    rate: 1e-2,
                    decay: 0.1,
                    betas: [0.9, 0.999],
                    epsilon: 1e-8,
                    step,
                    factor: 0.7,
                };
                for ([weight, first, second], gradient) in expected.iter_mut().zip(&gradient) {
                    let gradient = f64::from(*gradient) * 0.7;
                    *weight -= 1e-2 * 0.1 * *weight;
                    *first = 0.9 * *first + 0.1 * gradient;
                    *second = 0.999 * *second + 0.001 * gradient * gradient;
                    let [one, two] = [0.9_f64, 0.999].map(|beta| 1.0 - beta.powi(step as i32));
                    *weight -= 1e-2 * (*first / one) / ((*second / two).sqrt() + 1e-8);
                }
                let [weight, first, second] = &mut found;
                adamw(options, &gradient, weight, first, second);
            }
            for (index, found) in found.iter().enumerate() {
                let expected: Vec<f32> = expected.iter().map(|values| values[index] as f32).collect();
                close(&expected, found, 1e-6, &format!("value {index} of {size}"));
            }
        }
    }
}
