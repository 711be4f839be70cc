//! Layer norm of a sum (`shaders/layer_norm.wgsl`, and on the CPU).

use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Tensor, module};
use burn_wgpu::CubeBackend;

use super::cpu::{tensor, values};
use super::launch::{Kernel, contiguous, empty_like, nothing, spread};

pub(super) const SOURCE: &str = include_str!("../../../shaders/layer_norm.wgsl");

/// The plain reference, differentiable.
///
/// # Shapes
/// - x, residual `(.., width)`, weight, bias `(width)` -> `(.., width)`
pub fn layer_norm_reference<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let sum = match residual {
        Some(residual) => x + residual,
        None => x,
    };
    module::layer_norm(sum, weight, Some(bias), epsilon)
}

/// The kernel behind Burn's dispatch.
#[backend_extension(Cube, Flex)]
pub(super) trait LayerNormBackend: Backend {
    /// See [`sum_layer_norm`].
    fn layer_norm_sum(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl LayerNormBackend for Flex {
    fn layer_norm_sum(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let shape = x.layout().shape().clone();
        let mut output = vec![0.0; shape.num_elements()];
        let residual = added.then(|| values(&residual));
        let (weight, bias) = (values(&weight), values(&bias));
        hilum_cpu::layer_norm(
            &values(&x),
            residual.as_deref(),
            &weight,
            &bias,
            epsilon as f32,
            &mut output,
        );
        tensor(output, shape)
    }
}

impl LayerNormBackend for CubeBackend {
    fn layer_norm_sum(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let x = contiguous(x);
        let width = weight.meta.shape()[0];
        let rows = x.meta.shape().num_elements() / width;
        let constants = vec![("residual", added.to_string())];
        let kernel = Kernel {
            name: "layer_norm",
            source: SOURCE,
            constants,
        };
        let residual = if added { contiguous(residual) } else { nothing(&x) };
        let output = empty_like(&x);
        let (across, count) = spread(rows);
        let params = [rows as u32, width as u32, (epsilon as f32).to_bits(), across];
        kernel.launch(
            vec![x, residual, contiguous(weight), contiguous(bias), output.clone()],
            &params,
            count,
        );
        output
    }
}

/// Layer norm of `x + residual` by the kernel. The device must satisfy [`super::runs_kernels`].
///
/// # Shapes
/// - x, residual `(.., width)`, weight, bias `(width)` -> `(.., width)`
///
/// # Panics
/// When shapes disagree.
pub fn sum_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    assert!(
        residual.as_ref().is_none_or(|r| r.dims() == x.dims()),
        "x and residual differ in shape"
    );
    assert_eq!(weight.dims(), bias.dims(), "weight and bias differ in shape");
    assert_eq!(
        x.dims()[D - 1],
        weight.dims()[0],
        "rows and weights differ in width"
    );
    // Where nothing is added the kernel is told so; a tensor is passed all the same, since the dispatch knows
    // no options.
    let added = residual.is_some();
    let residual = residual.unwrap_or_else(|| x.clone());
    let output = <Dispatch as LayerNormBackend>::layer_norm_sum(
        x.into_dispatch(),
        residual.into_dispatch(),
        added,
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::kernels::launch::tests::{close, cpu_and_webgpu};

    #[test]
    fn kernels_equal_reference_at_odd_sizes_and_far_from_zero() {
        let cpu = Device::flex();
        // More rows than there may be workgroups along one axis, and values whose mean dwarfs their spread.
        for (batch, rows, width, mean) in [
            (1, 1, 1, 0.0),
            (2, 3, 65, 0.0),
            (1, 2, 192, 50.0),
            (3, 22_000, 2, 0.0),
        ] {
            let random =
                |mean: f64| Tensor::<3>::random([batch, rows, width], Distribution::Normal(mean, 1.0), &cpu);
            let one = || Tensor::<1>::random([width], Distribution::Normal(1.0, 0.5), &cpu);
            let (x, residual, weight, bias) = (random(mean), random(0.0), one(), one());
            for residual in [None, Some(residual)] {
                let (w, b) = (weight.clone(), bias.clone());
                // A width of 1 or 2 divides by next to nothing unless epsilon is large.
                let expected = layer_norm_reference(x.clone(), residual.clone(), w.clone(), b.clone(), 1e-2);
                for (name, device) in cpu_and_webgpu() {
                    let there = residual.clone().map(|r| r.to_device(&device));
                    let found = sum_layer_norm(
                        x.clone().to_device(&device),
                        there,
                        w.clone().to_device(&device),
                        b.clone().to_device(&device),
                        1e-2,
                    );
                    let what = format!("{name}: {batch}x{rows}x{width} around {mean}");
                    close(expected.clone(), found, 1e-4, &what);
                }
            }
        }
    }
}
