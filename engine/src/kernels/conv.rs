//! Convolution with what follows it, on the CPU.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};
use hilum_cpu::{ConvShape, PackedConv};

use super::batch_norm::{Statistics, folded};
use super::cpu::{dims, made_once, tensor, values};

/// Steps of a convolution along rows and columns, and zeros around the picture: above and below, left and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSteps {
    /// Steps.
    pub stride: [usize; 2],
    /// Zeros.
    pub padding: [usize; 2],
}

impl ConvSteps {
    /// The sizes of a convolution of `x` `(batch, inputs, rows, columns)` by `weight` `(outputs, inputs, rows,
    /// columns)`.
    pub(super) fn shape(self, x: [usize; 4], weight: [usize; 4]) -> ConvShape {
        ConvShape {
            batch: x[0],
            inputs: x[1],
            outputs: weight[0],
            size: [x[2], x[3]],
            kernel: [weight[2], weight[3]],
            stride: self.stride,
            padding: self.padding,
        }
    }
}

/// What follows the product of a convolution.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "made for one call")]
pub enum After {
    /// Nothing.
    Nothing,
    /// A bias, `(outputs)`.
    Bias(Tensor<1>),
    /// A batch norm with running statistics.
    Norm(Statistics),
}

/// [`After`] beside its tensors, which the dispatch takes one by one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Follows {
    Nothing,
    Bias,
    Norm { epsilon: f64 },
}

/// The kernel behind Burn's dispatch.
#[backend_extension(Flex)]
pub(super) trait ConvBackend: Backend {
    /// See [`conv`].
    #[allow(clippy::too_many_arguments, reason = "the dispatch takes tensors one by one")]
    fn conv_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        follows: Follows,
        added: bool,
        rectify: bool,
        steps: ConvSteps,
    ) -> FloatTensor<Self>;
}

impl ConvBackend for Flex {
    fn conv_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        follows: Follows,
        added: bool,
        rectify: bool,
        steps: ConvSteps,
    ) -> FloatTensor<Self> {
        let shape = steps.shape(dims(&x), dims(&weight));
        let pack = || match follows {
            Follows::Nothing => PackedConv::new(&values(&weight), None, vec![0.0; shape.outputs], shape),
            Follows::Bias => PackedConv::new(&values(&weight), None, values(&bias).into_owned(), shape),
            Follows::Norm { epsilon } => {
                let (scale, shift) = folded([&mean, &variance, &gamma, &bias], epsilon);
                PackedConv::new(&values(&weight), Some(&scale), shift, shape)
            }
        };
        let of: &[&FlexTensor] = match follows {
            Follows::Nothing => &[&weight],
            Follows::Bias => &[&weight, &bias],
            Follows::Norm { .. } => &[&weight, &mean, &variance, &gamma, &bias],
        };
        // Where they are not kept they are packed for this picture alone.
        let packed = made_once(of, pack).unwrap_or_else(|| Arc::new(pack()));
        let [rows, columns] = shape.output_size();
        let mut output = vec![0.0; shape.batch * shape.outputs * rows * columns];
        let residual = added.then(|| values(&residual));
        hilum_cpu::conv(
            &values(&x),
            &packed,
            shape,
            residual.as_deref(),
            rectify,
            &mut output,
        );
        tensor(output, Shape::new([shape.batch, shape.outputs, rows, columns]))
    }
}

/// A convolution without groups or dilation, what follows it, the residual and the rectifier in one pass; on the CPU
/// where no gradients are recorded.
///
/// # Shapes
/// - x `(batch, inputs, rows, columns)`, weight `(outputs, inputs, rows, columns)`, residual like the output
/// - output `(batch, outputs, rows, columns)`
///
/// # Panics
/// When shapes disagree.
pub fn conv(
    x: Tensor<4>,
    weight: Tensor<4>,
    steps: ConvSteps,
    after: After,
    residual: Option<Tensor<4>>,
    rectify: bool,
) -> Tensor<4> {
    let shape = steps.shape(x.dims(), weight.dims());
    assert_eq!(
        weight.dims()[1],
        shape.inputs,
        "picture and weights differ in channels"
    );
    let [rows, columns] = shape.output_size();
    assert!(
        residual
            .as_ref()
            .is_none_or(|r| r.dims() == [shape.batch, shape.outputs, rows, columns]),
        "output and residual differ in shape"
    );
    // What there is none of is told; a tensor is passed all the same, since the dispatch knows no options.
    let x = x.into_dispatch();
    let (follows, tensors) = match after {
        After::Nothing => (Follows::Nothing, [(); 4].map(|()| x.clone())),
        After::Bias(bias) => {
            assert_eq!(bias.dims(), [shape.outputs], "weights and bias differ in outputs");
            let bias = bias.into_dispatch();
            (Follows::Bias, [x.clone(), x.clone(), x.clone(), bias])
        }
        After::Norm(of) => {
            let tensors = [of.mean, of.variance, of.weight, of.bias];
            assert!(
                tensors.iter().all(|t| t.dims() == [shape.outputs]),
                "weights and statistics differ in outputs"
            );
            (
                Follows::Norm { epsilon: of.epsilon },
                tensors.map(Tensor::into_dispatch),
            )
        }
    };
    let [mean, variance, gamma, bias] = tensors;
    let added = residual.is_some();
    let residual = residual.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let output = <Dispatch as ConvBackend>::conv_forward(
        x,
        weight.into_dispatch(),
        mean,
        variance,
        gamma,
        bias,
        residual,
        follows,
        added,
        rectify,
        steps,
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, module::conv2d, ops::ConvOptions};

    use super::*;
    use crate::kernels::batch_norm_reference;
    use crate::kernels::launch::tests::close;

    fn random<const D: usize>(shape: [usize; D], low: f64, high: f64) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(low, high), &Device::flex())
    }

    #[test]
    fn kernel_equals_burns_convolution_and_the_norm_after_it() {
        for (batch, inputs, outputs, size, kernel, stride, padding) in [
            (1, 1, 1, 1, 1, 1, 0),
            (2, 3, 8, 17, 7, 2, 3),
            (3, 8, 5, 9, 3, 1, 1),
            (1, 16, 16, 14, 3, 2, 1),
            (2, 5, 7, 11, 1, 1, 0),
            (2, 5, 7, 11, 1, 2, 0),
            (2, 3, 12, 32, 8, 8, 0),
        ] {
            let x = random([batch, inputs, size, size], -1.0, 1.0);
            let weight = random([outputs, inputs, kernel, kernel], -1.0, 1.0);
            let bias = random([outputs], -1.0, 1.0);
            let steps = ConvSteps {
                stride: [stride; 2],
                padding: [padding; 2],
            };
            let options = ConvOptions::new(steps.stride, steps.padding, [1, 1], 1);
            let plain = |bias| conv2d(x.clone(), weight.clone(), bias, options.clone());
            let run =
                |after, residual, rectify| conv(x.clone(), weight.clone(), steps, after, residual, rectify);
            let what = format!("{inputs} to {outputs}, kernel {kernel}, stride {stride}");
            close(plain(None), run(After::Nothing, None, false), 1e-4, &what);
            close(
                plain(Some(bias.clone())),
                run(After::Bias(bias.clone()), None, false),
                1e-4,
                &what,
            );
            let of = Statistics {
                mean: random([outputs], -1.0, 1.0),
                variance: random([outputs], 0.1, 2.0),
                weight: random([outputs], 0.5, 1.5),
                bias,
                epsilon: 1e-5,
            };
            let residual = random(plain(None).dims(), -1.0, 1.0);
            for (residual, rectify) in [
                (None, false),
                (Some(residual.clone()), true),
                (Some(residual), false),
            ] {
                let expected = batch_norm_reference(plain(None), residual.clone(), of.clone(), rectify);
                close(
                    expected,
                    run(After::Norm(of.clone()), residual, rectify),
                    3e-4,
                    &what,
                );
            }
        }
    }
}
