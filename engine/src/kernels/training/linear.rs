//! A linear layer in training.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;
use hilum_cpu::Matrix;

use super::gradient::{Gradient, like, record};
use crate::kernels::cpu::{dims, tensor, values};

/// The op behind Burn's dispatch.
#[backend_extension(Flex, Autodiff)]
pub(super) trait LinearTrainingBackend: Backend {
    /// See [`linear_recorded`].
    fn linear_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        biased: bool,
        gelu: bool,
    ) -> FloatTensor<Self>;
}

/// The product with its bias.
fn product(x: &FlexTensor, weight: &FlexTensor, bias: Option<&FlexTensor>) -> FlexTensor {
    let [inputs, outputs] = dims(weight);
    let mut shape = x.layout().shape().clone();
    let last = shape.num_dims() - 1;
    shape[last] = outputs;
    let rows = shape.num_elements() / outputs.max(1);
    let mut output = match bias.map(values) {
        Some(bias) => bias.repeat(rows),
        None => vec![0.0; rows * outputs],
    };
    let (x, weight) = (values(x), values(weight));
    let (x, weight) = (
        Matrix::rows(&x, rows, inputs),
        Matrix::rows(&weight, inputs, outputs),
    );
    hilum_cpu::matmul(x, weight, bias.is_some(), &mut output);
    tensor(output, shape)
}

fn activated(x: &FlexTensor) -> FlexTensor {
    let x = (values(x), x);
    let mut output = vec![0.0; x.0.len()];
    hilum_cpu::gelu_of(&x.0, &mut output);
    like(x.1, output)
}

impl LinearTrainingBackend for Flex {
    fn linear_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        biased: bool,
        gelu: bool,
    ) -> FloatTensor<Self> {
        let y = product(&x, &weight, biased.then_some(&bias));
        if gelu { activated(&y) } else { y }
    }
}

/// What a linear layer keeps for the way back: `before` is what its GELU saw.
#[derive(Clone, Debug)]
struct LinearGradient {
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    before: Option<FlexTensor>,
}

impl Gradient<3> for LinearGradient {
    fn backward(self, output: FlexTensor, [input, ..]: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [inputs, outputs] = dims(&self.weight);
        let mut gradient = values(&output);
        if let Some(before) = &self.before {
            hilum_cpu::gelu_backward(&values(before), gradient.to_mut());
        }
        let (x, weight) = (values(&self.x), values(&self.weight));
        let mut x_gradient = input.then(|| vec![0.0; x.len()]);
        let mut weight_gradient = vec![0.0; weight.len()];
        let mut bias_gradient = self.bias.as_ref().map(|_| vec![0.0; outputs]);
        hilum_cpu::dense_backward(
            &x,
            Matrix::rows(&weight, inputs, outputs),
            &gradient,
            x_gradient.as_deref_mut(),
            &mut weight_gradient,
            bias_gradient.as_deref_mut(),
        );
        [
            x_gradient.map(|gradient| like(&self.x, gradient)),
            Some(like(&self.weight, weight_gradient)),
            self.bias
                .as_ref()
                .zip(bias_gradient)
                .map(|(bias, gradient)| like(bias, gradient)),
        ]
    }
}

impl<C: CheckpointStrategy> LinearTrainingBackend for Autodiff<Flex, C> {
    fn linear_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        biased: bool,
        gelu: bool,
    ) -> FloatTensor<Self> {
        record::<_, C, 3>([x, weight, bias], |[x, weight, bias]| {
            let bias = biased.then_some(bias);
            let y = product(&x, &weight, bias.as_ref());
            let (output, before) = if gelu { (activated(&y), Some(y)) } else { (y, None) };
            let kept = LinearGradient {
                x,
                weight,
                bias,
                before,
            };
            (output, kept)
        })
    }
}

/// A linear layer, and GELU after it where wanted, in training on the CPU.
///
/// # Shapes
/// - x `(.., inputs)`, weight `(inputs, outputs)`, bias `(outputs)` -> `(.., outputs)`
///
/// # Panics
/// When shapes disagree.
pub fn linear_recorded<const D: usize>(
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
    let biased = bias.is_some();
    let weight = weight.into_dispatch();
    let bias = bias.map_or_else(|| weight.clone(), Tensor::into_dispatch);
    let output =
        <Dispatch as LinearTrainingBackend>::linear_training(x.into_dispatch(), weight, bias, biased, gelu);
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::linear_reference;
    use crate::kernels::training::gradient::tests::{compare, random};

    #[test]
    fn gradients_equal_burns() {
        for (rows, inputs, outputs) in [(1, 1, 1), (6, 5, 7), (30, 64, 33), (70, 48, 100)] {
            for (biased, gelu) in [(true, false), (true, true), (false, false)] {
                let inputs_ = [
                    random([rows * inputs]),
                    random([inputs * outputs]),
                    random([outputs]),
                ];
                let what = format!("{rows} rows, {inputs} to {outputs}, GELU {gelu}");
                compare(&what, inputs_, |[x, weight, bias], ours| {
                    let x: Tensor<3> = x.reshape([1, rows, inputs]);
                    let bias = biased.then_some(bias);
                    let linear = if ours { linear_recorded } else { linear_reference };
                    linear(x, weight.reshape([inputs, outputs]), bias, gelu)
                });
            }
        }
    }
}
