//! Batch norm with running statistics, residual and rectifier in one pass (`shaders/batch_norm.wgsl`, and on
//! the CPU).

use burn::backend::flex::FlexTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Tensor, activation::relu};
use burn_wgpu::{CubeBackend, CubeTensor};

use super::cpu::{dims, tensor, values};
use super::launch::{Kernel, contiguous, nothing, spread};

pub(super) const SOURCE: &str = include_str!("../../../shaders/batch_norm.wgsl");

/// Values of a workgroup, as in the shader.
const EACH: usize = 256;

/// Running mean and variance, weight and bias of a batch norm, `(channels)` each.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Running mean.
    pub mean: Tensor<1>,
    /// Running variance.
    pub variance: Tensor<1>,
    /// Weight.
    pub weight: Tensor<1>,
    /// Bias.
    pub bias: Tensor<1>,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// The plain reference, differentiable.
///
/// # Shapes
/// - x, residual `(batch, channels, rows, columns)` -> the same
pub fn batch_norm_reference(
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    of: Statistics,
    rectify: bool,
) -> Tensor<4> {
    let mut y = burn::tensor::module::batch_norm(x, of.weight, of.bias, of.mean, of.variance, of.epsilon);
    if let Some(residual) = residual {
        y = y + residual;
    }
    if rectify { relu(y) } else { y }
}

/// The kernel behind Burn's dispatch.
#[backend_extension(Cube, Flex)]
pub(super) trait BatchNormBackend: Backend {
    /// See [`batch_norm`].
    #[allow(clippy::too_many_arguments, reason = "the dispatch takes tensors one by one")]
    fn batch_norm_forward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        rectify: bool,
    ) -> FloatTensor<Self>;
}

/// The factor and the summand that fixed statistics come to, by channel.
///
/// # Shapes
/// - all `(channels)`
pub(super) fn folded([mean, variance, weight, bias]: [&FlexTensor; 4], epsilon: f64) -> (Vec<f32>, Vec<f32>) {
    let (mean, variance, weight, bias) = (values(mean), values(variance), values(weight), values(bias));
    let scale: Vec<f32> = weight
        .iter()
        .zip(variance.iter())
        .map(|(weight, variance)| (f64::from(*weight) / (f64::from(*variance) + epsilon).sqrt()) as f32)
        .collect();
    let shift = bias.iter().zip(mean.iter()).zip(&scale);
    let shift = shift.map(|((bias, mean), scale)| bias - mean * scale).collect();
    (scale, shift)
}

impl BatchNormBackend for Flex {
    fn batch_norm_forward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        rectify: bool,
    ) -> FloatTensor<Self> {
        let [_, _, rows, columns] = dims(&x);
        let (scale, shift) = folded([&mean, &variance, &weight, &bias], epsilon);
        let shape = x.layout().shape().clone();
        let mut output = vec![0.0; shape.num_elements()];
        let residual = added.then(|| values(&residual));
        let area = rows * columns;
        hilum_cpu::scale_channels(
            &values(&x),
            residual.as_deref(),
            &scale,
            &shift,
            area,
            rectify,
            &mut output,
        );
        tensor(output, shape)
    }
}

/// How far apart a pixel's channels lie in memory, where the tensor is dense in one of the two common orders.
fn channel_step(tensor: &CubeTensor) -> Option<usize> {
    let (shape, strides) = (tensor.meta.shape(), tensor.meta.strides());
    let [channels, rows, columns] = [shape[1], shape[2], shape[3]];
    let plane = rows * columns;
    let lies = |expected: [usize; 4]| (0..4).all(|axis| shape[axis] == 1 || strides[axis] == expected[axis]);
    if lies([channels * plane, plane, columns, 1]) {
        Some(plane)
    } else if lies([channels * plane, 1, columns * channels, channels]) {
        Some(1)
    } else {
        None
    }
}

impl BatchNormBackend for CubeBackend {
    fn batch_norm_forward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        rectify: bool,
    ) -> FloatTensor<Self> {
        // Convolutions leave channels last; what is added must lie the same way, else both are laid out anew.
        let step = channel_step(&x).filter(|step| channel_step(&residual) == Some(*step));
        let (x, residual, step) = match step {
            Some(step) => (x, residual, step),
            None => {
                let plane = x.meta.shape()[2] * x.meta.shape()[3];
                (
                    contiguous(x),
                    if added { contiguous(residual) } else { residual },
                    plane,
                )
            }
        };
        let constants = vec![("residual", added.to_string()), ("relu", rectify.to_string())];
        let kernel = Kernel {
            name: "batch_norm",
            source: SOURCE,
            constants,
        };
        let residual = if added { residual } else { nothing(&x) };
        let values = x.meta.shape().num_elements();
        let handle = x.client.empty(values * x.dtype.size());
        let output = CubeTensor::new(
            x.client.clone(),
            handle,
            *x.meta.clone(),
            x.device.clone(),
            x.dtype,
        );
        let channels = x.meta.shape()[1];
        let (across, count) = spread(values.div_ceil(EACH));
        let params = [
            values as u32,
            channels as u32,
            step as u32,
            (epsilon as f32).to_bits(),
            across,
        ];
        let [mean, variance, weight, bias] = [mean, variance, weight, bias].map(contiguous);
        kernel.launch(
            vec![x, residual, mean, variance, weight, bias, output.clone()],
            &params,
            count,
        );
        output
    }
}

/// Batch norm by the kernel. The device must satisfy [`super::runs_kernels`].
///
/// # Shapes
/// - x, residual `(batch, channels, rows, columns)` -> the same
///
/// # Panics
/// When shapes disagree.
pub fn batch_norm(x: Tensor<4>, residual: Option<Tensor<4>>, of: Statistics, rectify: bool) -> Tensor<4> {
    let [_, channels, ..] = x.dims();
    assert!(
        residual.as_ref().is_none_or(|r| r.dims() == x.dims()),
        "x and residual differ in shape"
    );
    for tensor in [&of.mean, &of.variance, &of.weight, &of.bias] {
        assert_eq!(
            tensor.dims(),
            [channels],
            "statistics and picture differ in channels"
        );
    }
    // Where nothing is added the kernel is told so; a tensor is passed all the same, since the dispatch knows
    // no options.
    let added = residual.is_some();
    let residual = residual.unwrap_or_else(|| x.clone());
    let output = <Dispatch as BatchNormBackend>::batch_norm_forward(
        x.into_dispatch(),
        residual.into_dispatch(),
        added,
        of.mean.into_dispatch(),
        of.variance.into_dispatch(),
        of.weight.into_dispatch(),
        of.bias.into_dispatch(),
        of.epsilon,
        rectify,
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::kernels::launch::tests::{close, cpu_and_webgpu};

    /// The same values with channels last in memory.
    fn channels_last(x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, rows, columns] = x.dims();
        // Flattening copies into the new order.
        let flat: Tensor<1> = x
            .permute([0, 2, 3, 1])
            .reshape([batch * rows * columns * channels]);
        flat.reshape([batch, rows, columns, channels])
            .permute([0, 3, 1, 2])
    }

    #[test]
    fn kernels_equal_reference_in_either_order_of_memory() {
        for (name, device) in cpu_and_webgpu() {
            compare(name, &device);
        }
    }

    fn compare(name: &str, gpu: &Device) {
        let cpu = Device::flex();
        for [batch, channels, rows, columns] in [[1, 1, 1, 1], [2, 3, 5, 7], [1, 64, 9, 9], [2, 5, 1, 130]] {
            let random = || {
                Tensor::<4>::random(
                    [batch, channels, rows, columns],
                    Distribution::Normal(0.0, 1.0),
                    &cpu,
                )
            };
            let one = |low, high| Tensor::<1>::random([channels], Distribution::Uniform(low, high), &cpu);
            let (x, residual) = (random(), random());
            let (mean, variance, weight, bias) =
                (one(-1.0, 1.0), one(0.1, 2.0), one(0.5, 1.5), one(-1.0, 1.0));
            let of = Statistics {
                mean,
                variance,
                weight,
                bias,
                epsilon: 1e-5,
            };
            let there = |t: &Tensor<1>| t.clone().to_device(gpu);
            let (mean, variance, weight, bias) = (
                there(&of.mean),
                there(&of.variance),
                there(&of.weight),
                there(&of.bias),
            );
            let on_gpu = Statistics {
                mean,
                variance,
                weight,
                bias,
                epsilon: 1e-5,
            };
            for rectify in [false, true] {
                for residual in [None, Some(residual.clone())] {
                    let expected = batch_norm_reference(x.clone(), residual.clone(), of.clone(), rectify);
                    let (x, residual) = (x.clone().to_device(gpu), residual.map(|r| r.to_device(gpu)));
                    let what = format!("{name}: {batch}x{channels}x{rows}x{columns}, {rectify}");
                    let found = batch_norm(x.clone(), residual.clone(), on_gpu.clone(), rectify);
                    close(expected.clone(), found, 1e-5, &what);
                    let found = batch_norm(
                        channels_last(x.clone()),
                        residual.clone(),
                        on_gpu.clone(),
                        rectify,
                    );
                    close(
                        expected.clone(),
                        found,
                        1e-5,
                        &format!("{what}, x with channels last"),
                    );
                    let last = residual.map(channels_last);
                    let found = batch_norm(channels_last(x), last, on_gpu.clone(), rectify);
                    close(expected, found, 1e-5, &format!("{what}, channels last"));
                }
            }
        }
    }
}
