//! Max pooling on the CPU, in inference and in training.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};
use hilum_cpu::PoolShape;

use super::cpu::{dims, tensor, values};
use super::training::gradient::{Gradient, record};

/// Rows and columns of a pool's kernel, its steps, and what is passed over around the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSteps {
    /// Kernel.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Above and below, left and right; smaller than the kernel.
    pub padding: [usize; 2],
}

/// The op behind Burn's dispatch.
#[backend_extension(Flex, Autodiff)]
pub(super) trait MaxPoolBackend: Backend {
    /// See [`max_pool`].
    fn max_pool_forward(x: FloatTensor<Self>, steps: PoolSteps) -> FloatTensor<Self>;
}

/// What a max pool keeps for the way back.
#[derive(Clone, Debug)]
struct MaxPoolGradient {
    indices: Vec<i32>,
    shape: PoolShape,
}

fn forward(x: &FlexTensor, steps: PoolSteps) -> (FlexTensor, MaxPoolGradient) {
    let [batch, channels, rows, columns] = dims(x);
    let shape = PoolShape {
        size: [rows, columns],
        kernel: steps.kernel,
        stride: steps.stride,
        padding: steps.padding,
    };
    let [rows, columns] = shape.output_size();
    let count = batch * channels * rows * columns;
    let (mut output, mut indices) = (vec![0.0; count], vec![0; count]);
    hilum_cpu::max_pool(&values(x), shape, &mut output, &mut indices);
    let output = tensor(output, Shape::new([batch, channels, rows, columns]));
    (output, MaxPoolGradient { indices, shape })
}

impl MaxPoolBackend for Flex {
    fn max_pool_forward(x: FloatTensor<Self>, steps: PoolSteps) -> FloatTensor<Self> {
        forward(&x, steps).0
    }
}

impl Gradient<1> for MaxPoolGradient {
    fn backward(self, output: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [batch, channels, ..] = dims::<4>(&output);
        let [rows, columns] = self.shape.size;
        let mut gradient = vec![0.0; batch * channels * rows * columns];
        hilum_cpu::max_pool_backward(&values(&output), &self.indices, self.shape, &mut gradient);
        [Some(tensor(
            gradient,
            Shape::new([batch, channels, rows, columns]),
        ))]
    }
}

impl<C: CheckpointStrategy> MaxPoolBackend for Autodiff<Flex, C> {
    fn max_pool_forward(x: FloatTensor<Self>, steps: PoolSteps) -> FloatTensor<Self> {
        record::<_, C, 1>([x], |[x]| forward(&x, steps))
    }
}

/// The largest value that the kernel meets.
///
/// # Shapes
/// - x `(batch, channels, rows, columns)` -> the same with fewer rows and columns
///
/// # Panics
/// When the padding is not smaller than the kernel.
pub fn max_pool(x: Tensor<4>, steps: PoolSteps) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as MaxPoolBackend>::max_pool_forward(
        x.into_dispatch(),
        steps,
    ))
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;
    use burn::nn::pool::MaxPool2dConfig;

    use super::*;
    use crate::kernels::launch::tests::close;
    use crate::kernels::training::gradient::tests::{compare, random};

    #[test]
    fn values_and_gradients_equal_burns() {
        for (shape, kernel, stride, padding) in [
            ([1, 1, 3, 3], 3, 2, 1),
            ([2, 3, 17, 12], 3, 2, 1),
            ([2, 5, 8, 8], 2, 2, 0),
            ([1, 4, 30, 31], 3, 1, 1),
        ] {
            let steps = PoolSteps {
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
            };
            let theirs = MaxPool2dConfig::new(steps.kernel)
                .with_strides(steps.stride)
                .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
                .init();
            let theirs = |x| theirs.forward(x);
            let x: Tensor<4> = random(shape);
            close(theirs(x.clone()), max_pool(x.clone(), steps), 0.0, "values");
            compare(
                &format!("{shape:?}, {steps:?}"),
                [x.reshape([-1])],
                |[x], ours| {
                    let x = x.reshape(shape);
                    if ours { max_pool(x, steps) } else { theirs(x) }
                },
            );
        }
    }
}
