//! Convolution in training.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};
use hilum_cpu::{ConvShape, PackedConv};

use super::gradient::{Gradient, like, record};
use crate::kernels::ConvSteps;
use crate::kernels::cpu::{dims, tensor, values};

/// The convolution whose gradient is recorded, behind Burn's dispatch.
#[backend_extension(Flex, Autodiff)]
pub(super) trait ConvTrainingBackend: Backend {
    /// See [`conv_recorded`].
    fn conv_training(x: FloatTensor<Self>, weight: FloatTensor<Self>, steps: ConvSteps) -> FloatTensor<Self>;
}

impl ConvTrainingBackend for Flex {
    fn conv_training(x: FloatTensor<Self>, weight: FloatTensor<Self>, steps: ConvSteps) -> FloatTensor<Self> {
        let shape = steps.shape(dims(&x), dims(&weight));
        let [rows, columns] = shape.output_size();
        // Packed anew at every step, which moves the weights.
        let packed = PackedConv::new(&values(&weight), None, vec![0.0; shape.outputs], shape);
        let mut output = vec![0.0; shape.batch * shape.outputs * rows * columns];
        hilum_cpu::conv(&values(&x), &packed, shape, None, false, &mut output);
        tensor(output, Shape::new([shape.batch, shape.outputs, rows, columns]))
    }
}

/// What a convolution keeps for the way back.
#[derive(Clone, Debug)]
struct ConvGradient {
    x: FlexTensor,
    weight: FlexTensor,
    shape: ConvShape,
}

impl Gradient<2> for ConvGradient {
    fn backward(self, output: FlexTensor, [picture, _]: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let (x, weight) = (values(&self.x), values(&self.weight));
        let mut x_gradient = picture.then(|| vec![0.0; x.len()]);
        let mut weight_gradient = vec![0.0; weight.len()];
        hilum_cpu::conv_backward(
            &x,
            &weight,
            &values(&output),
            self.shape,
            x_gradient.as_deref_mut(),
            &mut weight_gradient,
            None,
        );
        [
            x_gradient.map(|gradient| like(&self.x, gradient)),
            Some(like(&self.weight, weight_gradient)),
        ]
    }
}

impl<C: CheckpointStrategy> ConvTrainingBackend for Autodiff<Flex, C> {
    fn conv_training(x: FloatTensor<Self>, weight: FloatTensor<Self>, steps: ConvSteps) -> FloatTensor<Self> {
        record::<_, C, 2>([x, weight], |[x, weight]| {
            let shape = steps.shape(dims(&x), dims(&weight));
            let output = Flex::conv_training(x.clone(), weight.clone(), steps);
            (output, ConvGradient { x, weight, shape })
        })
    }
}

/// A convolution without groups, dilation or bias in training on the CPU.
///
/// # Shapes
/// - x `(batch, inputs, rows, columns)`, weight `(outputs, inputs, rows, columns)`
/// - output `(batch, outputs, rows, columns)`
///
/// # Panics
/// When shapes disagree.
pub fn conv_recorded(x: Tensor<4>, weight: Tensor<4>, steps: ConvSteps) -> Tensor<4> {
    assert_eq!(
        weight.dims()[1],
        x.dims()[1],
        "picture and weights differ in channels"
    );
    let output =
        <Dispatch as ConvTrainingBackend>::conv_training(x.into_dispatch(), weight.into_dispatch(), steps);
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{module::conv2d, ops::ConvOptions};

    use super::*;
    use crate::kernels::training::gradient::tests::{compare, random};

    #[test]
    fn gradients_equal_burns() {
        for (batch, inputs, outputs, size, kernel, stride, padding) in [
            (1, 1, 1, 1, 1, 1, 0),
            (2, 3, 8, 17, 7, 2, 3),
            (3, 8, 5, 9, 3, 1, 1),
            (2, 16, 16, 14, 3, 2, 1),
            (2, 5, 7, 11, 1, 1, 0),
            (2, 5, 7, 11, 1, 2, 0),
            (2, 70, 66, 6, 3, 1, 1),
        ] {
            let steps = ConvSteps {
                stride: [stride; 2],
                padding: [padding; 2],
            };
            let options = ConvOptions::new(steps.stride, steps.padding, [1, 1], 1);
            let (x, weight) = (
                random([batch, inputs, size, size]),
                random([outputs, inputs, kernel, kernel]),
            );
            let what = format!("{inputs} to {outputs}, kernel {kernel}, stride {stride}");
            let flat = [x.reshape([-1]), weight.reshape([-1])];
            compare(&what, flat, |[x, weight], ours| {
                let x = x.reshape([batch, inputs, size, size]);
                let weight = weight.reshape([outputs, inputs, kernel, kernel]);
                match ours {
                    true => conv_recorded(x, weight, steps),
                    false => conv2d(x, weight, None, options.clone()),
                }
            });
        }
    }
}
