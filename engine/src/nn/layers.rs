//! Layers that choose between kernel and reference, so that a network reads the same on every device.

use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, Initializer, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, activation::relu};

use crate::kernels::{
    self, After, ConvSteps, MAX_ROWS, PoolSteps, Statistics, batch_norm, batch_norm_recorded, conv,
    conv_recorded, layer_norm_recorded, layer_norm_reference, linear_recorded, linear_reference, max_pool,
    records_kernels, runs_cpu_kernels, runs_kernels, runs_wgsl, sum_layer_norm, tied_linear,
    tied_linear_reference,
};

/// Standard deviation of BERT's random weights.
pub const INITIALIZER_RANGE: f64 = 0.02;

/// A linear layer as BERT initialises it: weights normal with sd 0.02, biases zero.
pub fn linear(input: usize, output: usize, device: &Device) -> Linear {
    linear_of(input, output, true, INITIALIZER_RANGE, device)
}

/// The same with or without a bias, and weights of another standard deviation.
pub(super) fn linear_of(input: usize, output: usize, bias: bool, range: f64, device: &Device) -> Linear {
    let normal = Initializer::Normal {
        mean: 0.0,
        std: range,
    };
    Linear {
        weight: normal.init([input, output], device),
        bias: bias.then(|| Initializer::Zeros.init([output], device)),
    }
}

/// A linear layer, and GELU after it where wanted.
///
/// # Shapes
/// - x `(.., inputs)` -> `(.., outputs)`
pub fn dense<const D: usize>(layer: &Linear, x: Tensor<D>, gelu: bool) -> Tensor<D> {
    let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().map(Param::val));
    let device = x.device();
    let rows = x.shape().num_elements() / x.dims()[D - 1].max(1);
    let kernel = match runs_wgsl(&device) {
        true => (1..=MAX_ROWS).contains(&rows) && bias.is_some(),
        false => runs_kernels(&device),
    };
    let linear = match kernel {
        true => kernels::linear,
        false if records_kernels(&device) => linear_recorded,
        false => linear_reference,
    };
    linear(x, weight, bias, gelu)
}

/// A linear layer whose weights are another's, transposed.
///
/// # Shapes
/// - x `(rows, inputs)`, weight `(outputs, inputs)`, bias `(outputs)` -> `(rows, outputs)`
pub fn tied_dense(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let device = x.device();
    let linear = match runs_cpu_kernels(&device) {
        true => tied_linear,
        false => tied_linear_reference,
    };
    linear(x, weight, bias)
}

/// Layer norm (Ba et al. 2016), of a sum where there is a residual.
#[derive(Module, Debug)]
pub struct LayerNorm {
    pub(super) weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    pub(super) epsilon: f64,
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
        let device = x.device();
        let norm = match runs_kernels(&device) {
            true => sum_layer_norm,
            false if records_kernels(&device) => layer_norm_recorded,
            false => layer_norm_reference,
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
    if runs_kernels(&device) {
        return batch_norm(x, residual, statistics(norm, &device), rectify);
    }
    // In training its statistics are those of the batch, and it keeps count of them.
    if records_kernels(&device) && norm.training.is_enabled() {
        let (weight, bias) = (norm.gamma.val(), norm.beta.val());
        let (y, mean, variance) = batch_norm_recorded(x, residual, weight, bias, norm.epsilon, rectify);
        for (running, of_batch) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
            let before = running
                .value_sync()
                .to_device(&device)
                .mul_scalar(1.0 - norm.momentum);
            running.update((before + of_batch.mul_scalar(norm.momentum)).detach());
        }
        return y;
    }
    let mut y = norm.forward(x);
    if let Some(residual) = residual {
        y = y + residual;
    }
    if rectify { relu(y) } else { y }
}

fn statistics(norm: &BatchNorm, device: &Device) -> Statistics {
    Statistics {
        mean: norm.running_mean.value().to_device(device),
        variance: norm.running_var.value().to_device(device),
        weight: norm.gamma.val(),
        bias: norm.beta.val(),
        epsilon: norm.epsilon,
    }
}

/// A convolution, its bias where it has one.
///
/// # Shapes
/// - x `(batch, inputs, rows, columns)` -> `(batch, outputs, rows, columns)`
pub fn convolve(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let device = x.device();
    match steps(layer) {
        Some(steps) if runs_cpu_kernels(&device) => {
            let after = layer
                .bias
                .as_ref()
                .map_or(After::Nothing, |bias| After::Bias(bias.val()));
            conv(x, layer.weight.val(), steps, after, None, false)
        }
        Some(steps) if records_kernels(&device) => {
            let y = conv_recorded(x, layer.weight.val(), steps);
            match &layer.bias {
                Some(bias) => y + bias.val().reshape([1, -1, 1, 1]),
                None => y,
            }
        }
        _ => layer.forward(x),
    }
}

/// A convolution without bias and the batch norm after it, then the residual and the rectifier where they follow.
///
/// # Shapes
/// - x `(batch, inputs, rows, columns)` -> `(batch, outputs, rows, columns)`, like the residual
pub fn convolve_norm(
    layer: &Conv2d,
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    rectify: bool,
) -> Tensor<4> {
    let device = x.device();
    match steps(layer) {
        Some(steps) if layer.bias.is_none() && runs_cpu_kernels(&device) => {
            let after = After::Norm(statistics(norm, &device));
            conv(x, layer.weight.val(), steps, after, residual, rectify)
        }
        _ => norm_channels(norm, convolve(layer, x), residual, rectify),
    }
}

/// The steps of a convolution that the CPU's kernels take.
fn steps(layer: &Conv2d) -> Option<ConvSteps> {
    if layer.groups != 1 || layer.dilation != [1, 1] {
        return None;
    }
    let padding = symmetric(&layer.padding)?;
    Some(ConvSteps {
        stride: layer.stride,
        padding,
    })
}

/// A max pool without dilation.
///
/// # Shapes
/// - x `(batch, channels, rows, columns)` -> the same with fewer rows and columns
pub fn pool_largest(layer: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    let device = x.device();
    let kernels = runs_cpu_kernels(&device) || records_kernels(&device);
    match symmetric(&layer.padding) {
        Some(padding) if kernels && layer.dilation == [1, 1] && !layer.ceil_mode => {
            let steps = PoolSteps {
                kernel: layer.kernel_size,
                stride: layer.stride,
                padding,
            };
            max_pool(x, steps)
        }
        _ => layer.forward(x),
    }
}

/// Padding that is the same above and below, left and right.
const fn symmetric(padding: &PaddingConfig2d) -> Option<[usize; 2]> {
    match *padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            Some([top, left])
        }
        _ => None,
    }
}
