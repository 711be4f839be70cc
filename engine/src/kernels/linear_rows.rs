//! A linear layer over a few rows with its bias and GELU (`shaders/linear_rows.wgsl`).

use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::cubecl::prelude::CubeCount;
use burn::tensor::{Tensor, activation, module};
use burn_wgpu::CubeBackend;

use super::launch::{Kernel, contiguous, empty, runs_wgsl};

pub(super) const SOURCE: &str = include_str!("../../../shaders/linear_rows.wgsl");

/// Rows at most: beyond these a tiled product is the better one.
pub const MAX_ROWS: usize = 8;
/// Columns of a workgroup, as in the shader.
const COLUMNS: usize = 16;

/// The plain reference, differentiable.
///
/// # Shapes
/// - x `(.., inputs)`, weight `(inputs, outputs)`, bias `(outputs)` -> `(.., outputs)`
pub fn linear_reference<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    gelu: bool,
) -> Tensor<D> {
    let y = module::linear(x, weight, Some(bias));
    if gelu { exact_gelu(y) } else { y }
}

/// GELU with the error function, and with its own derivative.
///
/// Burn's derivative of GELU on WebGPU is that of the approximation by tanh, 3e-4 away from PyTorch's
/// gradients; the CPU has the exact one.
pub fn exact_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let device = x.device();
    if device.is_autodiff() && runs_wgsl(&device.inner()) {
        return x
            .clone()
            .div_scalar(std::f64::consts::SQRT_2)
            .erf()
            .add_scalar(1.0)
            .mul_scalar(0.5)
            * x;
    }
    activation::gelu(x)
}

/// The kernel behind Burn's dispatch.
#[backend_extension(Cube)]
pub(super) trait LinearRowsBackend: Backend {
    /// See [`linear_rows`].
    fn linear_of_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self>;
}

impl LinearRowsBackend for CubeBackend {
    fn linear_of_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self> {
        let x = contiguous(x);
        let (inputs, outputs) = (weight.meta.shape()[0], weight.meta.shape()[1]);
        let mut shape = x.meta.shape().clone();
        let rows = shape.num_elements() / inputs;
        let last = shape.num_dims() - 1;
        shape[last] = outputs;
        let output = empty(&x, shape);
        let constants = vec![("rows", rows.to_string()), ("gelu", gelu.to_string())];
        let kernel = Kernel {
            name: "linear_rows",
            source: SOURCE,
            constants,
        };
        let count = CubeCount::Static(outputs.div_ceil(COLUMNS) as u32, 1, 1);
        let tensors = vec![x, contiguous(weight), contiguous(bias), output.clone()];
        kernel.launch(tensors, &[inputs as u32, outputs as u32], count);
        output
    }
}

/// The layer by the kernel, for 1 to [`MAX_ROWS`] rows. The device must satisfy [`super::runs_wgsl`].
///
/// # Shapes
/// - x `(.., inputs)`, weight `(inputs, outputs)`, bias `(outputs)` -> `(.., outputs)`
///
/// # Panics
/// When shapes disagree or there are more rows.
pub fn linear_rows<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    gelu: bool,
) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    assert_eq!(x.dims()[D - 1], inputs, "rows and weights differ in width");
    assert_eq!(bias.dims(), [outputs], "weight and bias differ in width");
    let rows = x.shape().num_elements() / inputs.max(1);
    assert!(
        (1..=MAX_ROWS).contains(&rows),
        "{rows} rows do not fit a kernel for 1 to {MAX_ROWS}"
    );
    assert!(
        outputs.div_ceil(COLUMNS) <= 65_535,
        "{outputs} outputs are more than one axis of workgroups"
    );
    let output = <Dispatch as LinearRowsBackend>::linear_of_rows(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        gelu,
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::kernels::launch::tests::{close, webgpu};

    #[test]
    fn kernel_equals_reference_for_every_number_of_rows() {
        let Some(gpu) = webgpu() else { return };
        let cpu = Device::flex();
        for rows in 1..=MAX_ROWS {
            for (inputs, outputs) in [(1, 1), (3, 17), (67, 16), (192, 100)] {
                let scale = 1.0 / (inputs as f64).sqrt();
                let x = Tensor::<3>::random([1, rows, inputs], Distribution::Normal(0.0, 2.0), &cpu);
                let weight = Tensor::<2>::random([inputs, outputs], Distribution::Normal(0.0, scale), &cpu);
                let bias = Tensor::<1>::random([outputs], Distribution::Normal(0.0, 1.0), &cpu);
                for gelu in [false, true] {
                    let expected = linear_reference(x.clone(), weight.clone(), bias.clone(), gelu);
                    let there = (weight.clone().to_device(&gpu), bias.clone().to_device(&gpu));
                    let found = linear_rows(x.clone().to_device(&gpu), there.0, there.1, gelu);
                    close(
                        expected,
                        found,
                        2e-5,
                        &format!("{rows} rows, {inputs} to {outputs}, GELU {gelu}"),
                    );
                }
            }
        }
    }
}
