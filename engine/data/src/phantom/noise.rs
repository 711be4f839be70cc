//! Chance and texture that come out alike on every machine: a seeded generator, and noise hashed from lattice
//! points.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of chance: the same `(seed, stream)` gives the same draws everywhere.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        // The key is spread by splitmix64 here, so that no library's own seeding can change the pictures.
        let mut state = seed;
        let mut key = [0u8; 32];
        for chunk in key.chunks_exact_mut(8) {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform between two bounds.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Bell-shaped between two bounds: the mean of three uniform draws.
    pub(crate) fn bell(&mut self, low: f32, high: f32) -> f32 {
        let mean = (self.unit() + self.unit() + self.unit()) / 3.0;
        low + (high - low) * mean
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// -1 or 1.
    pub(crate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// A seed for lattice noise.
    pub(crate) fn noise_seed(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// An index drawn by weight; the last one where the weights sum to nothing.
    pub(crate) fn pick(&mut self, weights: &[f32]) -> usize {
        let total: f32 = weights.iter().sum();
        let mut left = self.unit() * total;
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }
}

/// A well-mixed hash of a lattice point.
pub(crate) fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ seed.wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// Smooth value noise in `[-1, 1]`, one cell a unit.
pub(crate) fn value(x: f32, y: f32, seed: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (ix, iy) = (fx as i32, fy as i32);
    let fade = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (fade(x - fx), fade(y - fy));
    let at = |i: i32, j: i32| (hash(ix + i, iy + j, seed) >> 8) as f32 / 8_388_608.0 - 1.0;
    let top = at(0, 0) + (at(1, 0) - at(0, 0)) * tx;
    let bottom = at(0, 1) + (at(1, 1) - at(0, 1)) * tx;
    top + (bottom - top) * ty
}

/// Two octaves of [`value`], in `[-1, 1]`.
pub(crate) fn rough(x: f32, y: f32, seed: u32) -> f32 {
    let (u, v) = (0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y);
    0.65 * value(u, v, seed) + 0.35 * value(1.8 * x + 1.1 * y + 17.0, 1.8 * y - 1.1 * x - 9.0, seed ^ 0x5bd1)
}

/// [`value`] over two lattices turned against each other, so that no grid shows; in `[-1.2, 1.2]`.
pub(crate) fn grainy(x: f32, y: f32, seed: u32) -> f32 {
    0.6 * value(0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y, seed)
        + 0.6 * value(0.38 * x + 0.92 * y + 31.0, 0.38 * y - 0.92 * x, seed ^ 0x3c71)
}

/// Nearly normal noise of a pixel, mean 0 and deviation 1: the sum of four bytes of its hash.
pub(crate) fn grain(x: i32, y: i32, seed: u32) -> f32 {
    let bytes = hash(x, y, seed).to_le_bytes();
    let sum: i32 = bytes.iter().map(|b| i32::from(*b)).sum();
    (sum - 510) as f32 / 147.8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream| Dice::new(seed, stream).unit();
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn grain_is_nearly_standard_normal() {
        let all: Vec<f32> = (0..40_000).map(|i| grain(i % 200, i / 200, 3)).collect();
        let mean = all.iter().sum::<f32>() / all.len() as f32;
        let variance = all.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / all.len() as f32;
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.05,
            "mean {mean}, variance {variance}"
        );
    }

    #[test]
    fn value_noise_is_continuous_over_cells() {
        for i in 0..50 {
            let x = i as f32 * 0.37 - 6.0;
            assert!((value(x, 3.0 - 1e-4, 5) - value(x, 3.0 + 1e-4, 5)).abs() < 1e-2);
        }
    }
}
