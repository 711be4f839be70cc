//! Layers that choose between kernel and reference, so that a network reads the same on every device.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, Initializer, Linear};
use burn::tensor::{Device, Tensor, activation::relu};

use crate::kernels::{
    MAX_ROWS, Statistics, batch_norm, exact_gelu, layer_norm_reference, linear_reference, linear_rows,
    runs_wgsl, sum_layer_norm,
};

/// A linear layer as BERT initialises it: weights normal with sd 0.02, biases zero.
pub fn linear(input: usize, output: usize, device: &Device) -> Linear {
    let weight = Initializer::Normal { mean: 0.0, std: 0.02 }.init([input, output], device);
    let bias = Some(Initializer::Zeros.init([output], device));
    Linear { weight, bias }
}

/// A linear layer with bias, and GELU after it where wanted.
///
/// # Shapes
/// - x `(.., inputs)` -> `(.., outputs)`
pub fn dense<const D: usize>(layer: &Linear, x: Tensor<D>, gelu: bool) -> Tensor<D> {
    let Some(bias) = &layer.bias else {
        let y = layer.forward(x);
        return if gelu { exact_gelu(y) } else { y };
    };
    let (weight, bias) = (layer.weight.val(), bias.val());
    let rows = x.shape().num_elements() / x.dims()[D - 1].max(1);
    if runs_wgsl(&x.device()) && (1..=MAX_ROWS).contains(&rows) {
        return linear_rows(x, weight, bias, gelu);
    }
    linear_reference(x, weight, bias, gelu)
}

/// Layer norm (Ba et al. 2016), of a sum where there is a residual.
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// Weights of one and biases of zero.
    pub fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        let (weight, bias) = (
            Initializer::Ones.init([width], device),
            Initializer::Zeros.init([width], device),
        );
        Self {
            weight,
            bias,
            epsilon,
        }
    }

    /// # Shapes
    /// - x `(.., width)` -> the same
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.sum(x, None)
    }

    /// The norm of `x + residual`.
    ///
    /// # Shapes
    /// - x, residual `(.., width)` -> the same
    pub fn forward_sum<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        self.sum(x, Some(residual))
    }

    fn sum<const D: usize>(&self, x: Tensor<D>, residual: Option<Tensor<D>>) -> Tensor<D> {
        let norm = if runs_wgsl(&x.device()) {
            sum_layer_norm
        } else {
            layer_norm_reference
        };
        norm(x, residual, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

/// Batch norm, then the residual and the rectifier where they follow.
///
/// # Shapes
/// - x, residual `(batch, channels, rows, columns)` -> the same
pub fn norm_channels(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    rectify: bool,
) -> Tensor<4> {
    let device = x.device();
    if runs_wgsl(&device) {
        let statistics = Statistics {
            mean: norm.running_mean.value().to_device(&device),
            variance: norm.running_var.value().to_device(&device),
            weight: norm.gamma.val(),
            bias: norm.beta.val(),
            epsilon: norm.epsilon,
        };
        return batch_norm(x, residual, statistics, rectify);
    }
    // In training its statistics are those of the batch, and it keeps count of them.
    let mut y = norm.forward(x);
    if let Some(residual) = residual {
        y = y + residual;
    }
    if rectify { relu(y) } else { y }
}
