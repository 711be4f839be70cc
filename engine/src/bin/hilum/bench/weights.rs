//! Seeded random weights and inputs, drawn before anything is built: what Burn draws lazily would be drawn in the first pass.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use hilum::nn::{self, Array, Arrays, stream};
use rand::{Rng, RngExt};

/// Values of mean 0 and standard deviation `sd`, uniform: quick to draw, 135 million of them.
fn uniform(rng: &mut impl Rng, count: usize, mean: f32, sd: f32) -> Vec<f32> {
    let half = sd * 3f32.sqrt();
    (0..count)
        .map(|_| mean + (rng.random::<f32>() * 2.0 - 1.0) * half)
        .collect()
}

/// Weights of these shapes, each random about where it would begin, so that a swapped tensor shows; convolutions and
/// projections by their fan-in, so that depth neither kills nor blows up the signal.
fn draw(shapes: BTreeMap<String, Vec<usize>>, seed: u64) -> Arrays {
    let mut arrays = Arrays::new();
    for (place, (name, shape)) in shapes.into_iter().enumerate() {
        let count = shape.iter().product::<usize>();
        let fan_in = shape.iter().skip(1).product::<usize>().max(1) as f32;
        let (mean, sd) = match shape.len() {
            _ if name.ends_with("running_var") => (1.0, 0.25),
            1 if name.ends_with("weight") => (1.0, 0.2),
            1 => (0.0, 0.2),
            4 => (0.0, (2.0 / fan_in).sqrt()),
            _ => (0.0, fan_in.sqrt().recip()),
        };
        let mut rng = stream(seed, place as u64);
        let data = uniform(&mut rng, count, mean, sd);
        arrays.insert(name, Array { shape, data });
    }
    arrays
}

/// `module` with random weights, and the weights.
///
/// # Errors
/// Never but for a module whose names are not unique.
pub fn drawn<M: Module>(module: M, seed: u64, device: &Device) -> anyhow::Result<(M, Arrays)> {
    let weights = draw(nn::shapes(&module), seed);
    Ok((nn::load(module, &weights, device, false)?, weights))
}

/// A random input of standard deviation 1, other than all weights.
pub fn input(shape: &[usize], seed: u64) -> Array {
    let mut rng = stream(seed, u64::MAX);
    let data = uniform(&mut rng, shape.iter().product(), 0.0, 1.0);
    Array {
        shape: shape.to_vec(),
        data,
    }
}

/// Random pixels in [0, 1].
pub fn pixels(shape: &[usize], seed: u64) -> Array {
    let mut rng = stream(seed, u64::MAX - 1);
    let data = (0..shape.iter().product()).map(|_| rng.random()).collect();
    Array {
        shape: shape.to_vec(),
        data,
    }
}

/// An array on a device.
pub fn tensor<const D: usize>(array: &Array, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(array.data.clone(), array.shape.clone()), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_depend_on_the_seed_alone_and_stand_about_where_they_begin() {
        let shapes = || {
            let shape = |name: &str, shape: &[usize]| (name.to_owned(), shape.to_vec());
            BTreeMap::from([
                shape("a.conv.weight", &[64, 8, 3, 3]),
                shape("a.norm.running_var", &[512]),
                shape("a.norm.weight", &[512]),
            ])
        };
        let (first, again, other) = (draw(shapes(), 3), draw(shapes(), 3), draw(shapes(), 4));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(first["a.norm.running_var"].data.iter().all(|v| *v > 0.5));
        let conv = &first["a.conv.weight"].data;
        let sd = (conv.iter().map(|v| v * v).sum::<f32>() / conv.len() as f32).sqrt();
        assert!((sd / (2.0f32 / 72.0).sqrt() - 1.0).abs() < 0.05, "{sd}");
    }
}
