//! A linear layer with its bias and GELU: over a few rows on WebGPU (`shaders/linear_rows.wgsl`), over any number
//! on the CPU.

use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::cubecl::prelude::CubeCount;
use burn::tensor::{Tensor, activation, module};
use burn_wgpu::CubeBackend;
use hilum_cpu::{Matrix, PackedMatrix};

use super::cpu::{dims, made_once, tensor, values};
use super::launch::{Kernel, contiguous, empty, runs_wgsl};

pub(super) const SOURCE: &str = include_str!("../../../shaders/linear_rows.wgsl");

/// Rows at most on WebGPU: beyond these a tiled product is the better one.
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
    bias: Option<Tensor<1>>,
    gelu: bool,
) -> Tensor<D> {
    let y = module::linear(x, weight, bias);
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
#[backend_extension(Cube, Flex)]
pub(super) trait LinearBackend: Backend {
    /// See [`linear`].
    fn linear_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        biased: bool,
        gelu: bool,
    ) -> FloatTensor<Self>;
}

/// The same for weights that are another layer's, transposed.
#[backend_extension(Flex)]
pub(super) trait TiedLinearBackend: Backend {
    /// See [`tied_linear`].
    fn tied_linear_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Weights `(inputs, outputs)` as the product reads them.
struct Packed(PackedMatrix);
/// The same of weights `(outputs, inputs)`.
struct PackedTransposed(PackedMatrix);

/// `x` through `weights`, as they lie where they are not packed.
fn through(
    x: FloatTensor<Flex>,
    weights: Matrix,
    packed: Option<&PackedMatrix>,
    bias: Option<FloatTensor<Flex>>,
    gelu: bool,
) -> FloatTensor<Flex> {
    let mut shape = x.layout().shape().clone();
    let last = shape.num_dims() - 1;
    shape[last] = weights.shape[1];
    let mut output = vec![0.0; shape.num_elements()];
    let (x, bias) = (values(&x), bias.as_ref().map(values));
    match packed {
        Some(packed) => hilum_cpu::dense(&x, packed, bias.as_deref(), gelu, &mut output),
        None => hilum_cpu::dense_unpacked(&x, weights, bias.as_deref(), gelu, &mut output),
    }
    tensor(output, shape)
}

impl LinearBackend for Flex {
    fn linear_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        biased: bool,
        gelu: bool,
    ) -> FloatTensor<Self> {
        let [inputs, outputs] = dims(&weight);
        let laid_out = values(&weight);
        let weights = Matrix::rows(&laid_out, inputs, outputs);
        let packed = made_once(&[&weight], || Packed(PackedMatrix::new(weights)));
        let packed = packed.as_ref().map(|packed| &packed.0);
        through(x, weights, packed, biased.then_some(bias), gelu)
    }
}

impl TiedLinearBackend for Flex {
    fn tied_linear_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [outputs, inputs] = dims(&weight);
        let laid_out = values(&weight);
        let weights = Matrix::rows(&laid_out, outputs, inputs).transposed();
        let packed = made_once(&[&weight], || PackedTransposed(PackedMatrix::new(weights)));
        let packed = packed.as_ref().map(|packed| &packed.0);
        through(x, weights, packed, Some(bias), false)
    }
}

impl LinearBackend for CubeBackend {
    fn linear_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        _biased: bool,
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

/// The layer by the kernel. The device must satisfy [`super::runs_kernels`]; on WebGPU there are 1 to [`MAX_ROWS`]
/// rows and a bias.
///
/// # Shapes
/// - x `(.., inputs)`, weight `(inputs, outputs)`, bias `(outputs)` -> `(.., outputs)`
///
/// # Panics
/// When shapes disagree or WebGPU is given something else.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    gelu: bool,
) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    assert_eq!(x.dims()[D - 1], inputs, "rows and weights differ in width");
    assert!(
        bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]),
        "weight and bias differ in width"
    );
    if runs_wgsl(&x.device()) {
        let rows = x.shape().num_elements() / inputs.max(1);
        assert!(
            (1..=MAX_ROWS).contains(&rows) && bias.is_some(),
            "{rows} rows do not fit a kernel for 1 to {MAX_ROWS} with a bias"
        );
        assert!(
            outputs.div_ceil(COLUMNS) <= 65_535,
            "{outputs} outputs are more than one axis of workgroups"
        );
    }
    // Where there is no bias the kernel is told so; a tensor is passed all the same, since the dispatch knows no
    // options.
    let biased = bias.is_some();
    let weight = weight.into_dispatch();
    let bias = bias.map_or_else(|| weight.clone(), Tensor::into_dispatch);
    let output = <Dispatch as LinearBackend>::linear_forward(x.into_dispatch(), weight, bias, biased, gelu);
    Tensor::from_dispatch(output)
}

/// The plain reference of a layer whose weights are another's, transposed; differentiable.
///
/// # Shapes
/// - x `(rows, inputs)`, weight `(outputs, inputs)`, bias `(outputs)` -> `(rows, outputs)`
pub fn tied_linear_reference(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    x.matmul(weight.transpose()) + bias.unsqueeze()
}

/// The same by the kernel, on the CPU without gradients.
///
/// # Shapes
/// - x `(rows, inputs)`, weight `(outputs, inputs)`, bias `(outputs)` -> `(rows, outputs)`
///
/// # Panics
/// When shapes disagree.
pub fn tied_linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let [outputs, inputs] = weight.dims();
    assert_eq!(x.dims()[1], inputs, "rows and weights differ in width");
    assert_eq!(bias.dims(), [outputs], "weight and bias differ in width");
    let output = <Dispatch as TiedLinearBackend>::tied_linear_forward(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::kernels::launch::tests::{close, cpu_and_webgpu};

    fn random<const D: usize>(shape: [usize; D], scale: f64) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, scale), &Device::flex())
    }

    #[test]
    fn kernels_equal_reference_for_every_number_of_rows() {
        for (name, device) in cpu_and_webgpu() {
            for rows in (1..=MAX_ROWS).chain((name == "CPU").then_some(70)) {
                for (inputs, outputs) in [(1, 1), (3, 17), (67, 16), (192, 100)] {
                    let x = random([1, rows, inputs], 2.0);
                    let weight = random([inputs, outputs], 1.0 / (inputs as f64).sqrt());
                    let bias = random([outputs], 1.0);
                    for gelu in [false, true] {
                        let expected = linear_reference(x.clone(), weight.clone(), Some(bias.clone()), gelu);
                        let there = (weight.clone().to_device(&device), bias.clone().to_device(&device));
                        let found = linear(x.clone().to_device(&device), there.0, Some(there.1), gelu);
                        let what = format!("{name}: {rows} rows, {inputs} to {outputs}, GELU {gelu}");
                        close(expected, found, 2e-5, &what);
                    }
                }
            }
        }
    }

    #[test]
    fn no_bias_and_transposed_weights_are_taken_on_the_cpu() {
        for (rows, inputs, outputs) in [(1, 5, 7), (2, 64, 33), (19, 30, 300)] {
            let (x, weight, bias) = (
                random([rows, inputs], 1.0),
                random([inputs, outputs], 1.0),
                random([outputs], 1.0),
            );
            let expected = linear_reference(x.clone(), weight.clone(), None, false);
            close(
                expected,
                linear(x.clone(), weight.clone(), None, false),
                2e-5,
                "no bias",
            );
            let across = Tensor::<2>::from_data(weight.transpose().into_data(), &Device::flex());
            let expected = tied_linear_reference(x.clone(), across.clone(), bias.clone());
            close(expected, tied_linear(x, across, bias), 2e-5, "tied");
        }
    }

    #[test]
    fn weights_that_lie_otherwise_are_read_as_they_are_meant() {
        let (x, weight) = (random([3, 6], 1.0), random([5, 6], 1.0));
        let expected = linear_reference(x.clone(), weight.clone().transpose(), None, false);
        close(
            expected.clone(),
            linear(x.clone(), weight.clone().transpose(), None, false),
            1e-5,
            "transposed",
        );
        // The same block of memory in its own order is another matrix.
        let square = random([6, 6], 1.0);
        let expected = linear_reference(x.clone(), square.clone(), None, false);
        close(
            expected,
            linear(x.clone(), square.clone(), None, false),
            1e-5,
            "square",
        );
        let expected = linear_reference(x.clone(), square.clone().transpose(), None, false);
        close(
            expected,
            linear(x, square.transpose(), None, false),
            1e-5,
            "square, transposed",
        );
    }
}
