//! Where cross-attention looked for a score: Grad-CAM (Selvaraju et al. 2017) on its probabilities, as ALBEF has it (Li et al. 2021,
//! section 6.4). The reverse pass is written out, so that a page, which has no automatic differentiation, has the maps too.

use std::ops::Range;

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, softmax};

use super::{CrossAttention, Encoder, LayerNorm, SelfAttention, TransformerLayer};

/// What an attention's reverse pass needs of its forward pass, `(heads, rows, D)` each but the probabilities.
struct Attended {
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    /// `(heads, queries, keys)`.
    probabilities: Tensor<3>,
}

/// What a layer's reverse pass needs of its forward pass.
struct Passed {
    itself: Attended,
    memory: Attended,
    /// Before each norm, `(T, width)`.
    sums: [Tensor<2>; 3],
    /// Before GELU, `(T, intermediate)`.
    inner: Tensor<2>,
}

/// `(rows, heads * D)` -> `(heads, rows, D)`.
fn split(x: Tensor<2>, heads: usize) -> Tensor<3> {
    let [rows, width] = x.dims();
    x.reshape([rows, heads, width / heads]).swap_dims(0, 1)
}

/// `(heads, rows, D)` -> `(rows, heads * D)`.
fn join(x: Tensor<3>) -> Tensor<2> {
    let [heads, rows, dim] = x.dims();
    x.swap_dims(0, 1).reshape([rows, heads * dim])
}

fn affine(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    let y = x.matmul(layer.weight.val());
    match &layer.bias {
        Some(bias) => y + bias.val().unsqueeze::<2>(),
        None => y,
    }
}

/// The gradient of a linear layer's input.
fn affine_back(layer: &Linear, gradient: Tensor<2>) -> Tensor<2> {
    gradient.matmul(layer.weight.val().transpose())
}

/// The gradient of a norm's input: `(g - mean(g) - n mean(g n)) / sd`, g the gradient times the weights, n the normed input.
fn norm_back(norm: &LayerNorm, x: Tensor<2>, gradient: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let deviation = centred
        .clone()
        .square()
        .mean_dim(1)
        .add_scalar(norm.epsilon)
        .sqrt();
    let normed = centred / deviation.clone();
    let gradient = gradient * norm.weight.val().unsqueeze::<2>();
    let along = (gradient.clone() * normed.clone()).mean_dim(1);
    (gradient.clone() - gradient.mean_dim(1) - normed * along) / deviation
}

/// The derivative of GELU: `Phi(x) + x phi(x)`.
fn gelu_slope(x: Tensor<2>) -> Tensor<2> {
    let below = x
        .clone()
        .div_scalar(std::f64::consts::SQRT_2)
        .erf()
        .add_scalar(1.0)
        .mul_scalar(0.5);
    let density = x.clone().square().mul_scalar(-0.5).exp();
    below + x * density.mul_scalar(1.0 / std::f64::consts::TAU.sqrt())
}

impl Attended {
    fn new([query, key, value]: [Tensor<2>; 3], heads: usize) -> Self {
        let [query, key, value] = [query, key, value].map(|x| split(x, heads));
        let scale = 1.0 / (query.dims()[2] as f64).sqrt();
        let scores = query
            .clone()
            .matmul(key.clone().swap_dims(1, 2))
            .mul_scalar(scale);
        Self {
            probabilities: softmax(scores, 2),
            query,
            key,
            value,
        }
    }

    fn mixed(&self) -> Tensor<2> {
        join(self.probabilities.clone().matmul(self.value.clone()))
    }

    /// The gradient of the probabilities.
    fn probabilities_back(&self, gradient: Tensor<2>) -> Tensor<3> {
        let heads = self.query.dims()[0];
        split(gradient, heads).matmul(self.value.clone().swap_dims(1, 2))
    }

    /// The gradients of queries, keys and values.
    fn back(&self, gradient: Tensor<2>) -> [Tensor<2>; 3] {
        let heads = self.query.dims()[0];
        let of_value = self
            .probabilities
            .clone()
            .swap_dims(1, 2)
            .matmul(split(gradient.clone(), heads));
        let weighed = self.probabilities.clone() * self.probabilities_back(gradient);
        let scale = 1.0 / (self.query.dims()[2] as f64).sqrt();
        let of_scores = weighed.clone() - self.probabilities.clone() * weighed.sum_dim(2);
        let of_scores = of_scores.mul_scalar(scale);
        [
            of_scores.clone().matmul(self.key.clone()),
            of_scores.swap_dims(1, 2).matmul(self.query.clone()),
            of_value,
        ]
        .map(join)
    }
}

impl SelfAttention {
    fn attended(&self, x: &Tensor<2>) -> Attended {
        Attended::new(
            [&self.query, &self.key, &self.value].map(|layer| affine(layer, x.clone())),
            self.heads,
        )
    }

    fn back(&self, attended: &Attended, gradient: Tensor<2>) -> Tensor<2> {
        let parts = attended.back(affine_back(&self.output, gradient));
        let [query, key, value] = parts;
        affine_back(&self.query, query) + affine_back(&self.key, key) + affine_back(&self.value, value)
    }
}

impl CrossAttention {
    fn attended(&self, x: &Tensor<2>, memory: &Tensor<2>) -> Attended {
        let of = |layer, x: &Tensor<2>| affine(layer, x.clone());
        Attended::new(
            [of(&self.query, x), of(&self.key, memory), of(&self.value, memory)],
            self.heads,
        )
    }
}

impl TransformerLayer {
    /// The layer's output and what its reverse pass needs; `None` without cross-attention.
    fn passed(&self, x: Tensor<2>, memory: &Tensor<2>) -> Option<(Tensor<2>, Passed)> {
        let crossing = self.crossattention.as_ref()?;
        let itself = self.attention.attended(&x);
        let first = affine(&self.attention.output, itself.mixed()) + x;
        let x = self.attention.norm.forward(first.clone());
        let attended = crossing.attended(&x, memory);
        let second = affine(&crossing.output, attended.mixed()) + x;
        let x = crossing.norm.forward(second.clone());
        let inner = affine(&self.intermediate, x.clone());
        let third = affine(&self.output, gelu(inner.clone())) + x;
        let out = self.output_norm.forward(third.clone());
        let passed = Passed {
            itself,
            memory: attended,
            sums: [first, second, third],
            inner,
        };
        Some((out, passed))
    }

    /// The gradients of what cross-attention adds to its input, and of that input.
    fn back_to_memory(&self, crossing: &CrossAttention, passed: &Passed, gradient: Tensor<2>) -> Tensor<2> {
        let [_, second, third] = passed.sums.clone();
        let gradient = norm_back(&self.output_norm, third, gradient);
        let inner = affine_back(&self.output, gradient.clone()) * gelu_slope(passed.inner.clone());
        norm_back(
            &crossing.norm,
            second,
            gradient + affine_back(&self.intermediate, inner),
        )
    }

    fn back(&self, crossing: &CrossAttention, passed: &Passed, gradient: Tensor<2>) -> Tensor<2> {
        let gradient = self.back_to_memory(crossing, passed, gradient);
        let [query, ..] = passed
            .memory
            .back(affine_back(&crossing.output, gradient.clone()));
        let gradient = gradient + affine_back(&crossing.query, query);
        let gradient = norm_back(&self.attention.norm, passed.sums[0].clone(), gradient);
        gradient.clone() + self.attention.back(&passed.itself, gradient)
    }
}

impl Encoder {
    /// Grad-CAM of a score on the cross-attention of layer `watched`: probabilities times their gradients where these are above 0, the
    /// mean over the heads. `score` is the gradient of the score to what the last layer gives. For layers with norms after them, outside
    /// of training; one text, no padding. `None` where a layer has no cross-attention.
    ///
    /// # Shapes
    /// - x `(1, T, width)`, memory `(1, M, width)`, score `(T, width)` -> `(T, M)`
    pub fn grad_cam(
        &self,
        layers: Range<usize>,
        watched: usize,
        x: Tensor<3>,
        memory: Tensor<3>,
        score: Tensor<2>,
    ) -> Option<Tensor<2>> {
        let (mut x, memory) = (x.squeeze_dim::<2>(0), memory.squeeze_dim::<2>(0));
        let layers = self.layer.get(layers.start.max(watched)..layers.end)?.iter();
        let mut forward = Vec::new();
        for layer in layers {
            let (out, passed) = layer.passed(x, &memory)?;
            forward.push((layer, passed));
            x = out;
        }
        let mut gradient = score;
        for (number, (layer, passed)) in forward.iter().enumerate().rev() {
            let crossing = layer.crossattention.as_ref()?;
            if number > 0 {
                gradient = layer.back(crossing, passed, gradient);
                continue;
            }
            let gradient = layer.back_to_memory(crossing, passed, gradient);
            let gradient = affine_back(&crossing.output, gradient);
            let slopes = passed.memory.probabilities_back(gradient).clamp_min(0.0);
            // (heads, T, M) -> (T, M)
            let seen = passed.memory.probabilities.clone() * slopes;
            return Some(seen.mean_dim(0).squeeze_dim::<2>(0));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::kernels::Mask;
    use crate::nn::{AttentionPass, Cross, LayerConfig, load, parameters};

    fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn fresh(device: &Device) -> Encoder {
        let config = LayerConfig {
            memory_width: Some(24),
            norm_eps: 1e-6,
            ..LayerConfig::new(24, 3, 40)
        };
        Encoder::from_layers(&[config.clone(), config], device)
    }

    /// Two layers over a memory, their input, and the gradient of a score to what they give.
    fn case(device: &Device) -> (Encoder, Tensor<3>, Tensor<3>, Tensor<2>) {
        let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), device);
        (
            fresh(device),
            random([1, 5, 24]),
            random([1, 7, 24]),
            random([1, 5, 24]).squeeze_dim::<2>(0),
        )
    }

    #[test]
    fn the_reverse_pass_says_what_automatic_differentiation_says() {
        let plain = Device::flex();
        let (encoder, x, memory, score) = case(&plain);
        let flat = memory.clone().squeeze_dim::<2>(0);
        let (mut found, mut forward) = (x.clone().squeeze_dim::<2>(0), Vec::new());
        for layer in &encoder.layer {
            let (out, passed) = layer.passed(found, &flat).unwrap();
            forward.push((layer, passed));
            found = out;
        }
        let back = |gradient, (layer, passed): &(&TransformerLayer, Passed)| {
            layer.back(layer.crossattention.as_ref().unwrap(), passed, gradient)
        };
        let gradient = forward.iter().rev().fold(score.clone(), back);

        let device = plain.clone().autodiff();
        let weights = parameters(&encoder).unwrap();
        let learning = load(fresh(&device), &weights, &device, false).unwrap();
        let leaf = Tensor::from_inner(x).require_grad();
        let memory = Tensor::from_inner(memory);
        let crossing = AttentionPass::new(Mask::padding(vec![7]));
        let cross = Cross {
            memory: &memory,
            attend: &crossing,
        };
        let attend = AttentionPass::new(Mask::padding(vec![5]));
        let out = learning.forward_layers(0..2, leaf.clone(), &attend, Some(cross), |_, _| ());
        for (f, e) in read(found).iter().zip(read(out.clone().inner())) {
            assert!((f - e).abs() < 1e-5, "forward: {f}, Burn says {e}");
        }
        let weighed = out.squeeze_dim::<2>(0) * Tensor::from_inner(score);
        let expected = leaf.grad(&weighed.sum().backward()).unwrap();
        for (f, e) in read(gradient).iter().zip(read(expected)) {
            assert!((f - e).abs() < 1e-4 * (1.0 + e.abs()), "{f}, Burn says {e}");
        }
    }

    #[test]
    fn a_map_is_the_probabilities_by_what_the_score_gains_of_them() {
        // One more of a probability, and what the score gains: by the memory's value, which the last layer adds before its norm.
        let device = Device::flex();
        let (encoder, x, memory, score) = case(&device);
        let maps = encoder
            .grad_cam(0..2, 1, x.clone(), memory.clone(), score.clone())
            .unwrap();
        assert_eq!(maps.dims(), [5, 7]);
        let flat = memory.squeeze_dim::<2>(0);
        let (middle, _) = encoder.layer[0].passed(x.squeeze_dim::<2>(0), &flat).unwrap();
        let layer = &encoder.layer[1];
        let (_, passed) = layer.passed(middle, &flat).unwrap();
        let crossing = layer.crossattention.as_ref().unwrap();
        let finish = |probabilities: Tensor<3>| -> f32 {
            let mixed = join(probabilities.matmul(passed.memory.value.clone()));
            let before = passed.sums[1].clone() - affine(&crossing.output, passed.memory.mixed());
            let x = crossing.norm.forward(affine(&crossing.output, mixed) + before);
            let inner = affine(&layer.output, gelu(affine(&layer.intermediate, x.clone())));
            (layer.output_norm.forward(inner + x) * score.clone())
                .sum()
                .into_scalar::<f32>()
        };
        let (row, key, step) = (2, 4, 1e-2);
        let gain = |head: usize| {
            let moved = |by: f32| {
                let one = Tensor::full([1, 1, 1], by, &device);
                let at = [head..head + 1, row..row + 1, key..key + 1];
                let p = passed.memory.probabilities.clone();
                let value = p.clone().slice(at.clone()) + one;
                finish(p.slice_assign(at, value))
            };
            let p = read(passed.memory.probabilities.clone())[(head * 5 + row) * 7 + key];
            p * ((moved(step) - moved(-step)) / (2.0 * step)).max(0.0)
        };
        let expected = (0..3).map(gain).sum::<f32>() / 3.0;
        let found = read(maps)[row * 7 + key];
        assert!(
            (found - expected).abs() < 2e-3,
            "{found}, differences say {expected}"
        );
    }
}
