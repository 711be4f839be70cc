//! Layer norm in training.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;
use hilum_cpu::LayerNormGradients;

use super::gradient::{Gradient, like, record};
use crate::kernels::cpu::values;

/// The op behind Burn's dispatch.
#[backend_extension(Flex, Autodiff)]
pub(super) trait LayerNormTrainingBackend: Backend {
    /// See [`layer_norm_recorded`].
    fn layer_norm_training(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl LayerNormTrainingBackend for Flex {
    fn layer_norm_training(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let residual = added.then(|| values(&residual));
        let (input, weight, bias) = (values(&x), values(&weight), values(&bias));
        let mut output = vec![0.0; input.len()];
        hilum_cpu::layer_norm(
            &input,
            residual.as_deref(),
            &weight,
            &bias,
            epsilon as f32,
            &mut output,
        );
        like(&x, output)
    }
}

/// What a layer norm keeps for the way back.
#[derive(Clone, Debug)]
struct LayerNormGradient {
    x: FlexTensor,
    residual: Option<FlexTensor>,
    weight: FlexTensor,
    epsilon: f64,
}

impl Gradient<4> for LayerNormGradient {
    fn backward(self, output: FlexTensor, _: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let (x, weight) = (values(&self.x), values(&self.weight));
        let residual = self.residual.as_ref().map(values);
        let mut dx = vec![0.0; x.len()];
        let (mut dweight, mut dbias) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
        let gradients = LayerNormGradients {
            dx: &mut dx,
            dweight: &mut dweight,
            dbias: &mut dbias,
        };
        let epsilon = self.epsilon as f32;
        hilum_cpu::layer_norm_backward(
            &x,
            residual.as_deref(),
            &values(&output),
            &weight,
            epsilon,
            gradients,
        );
        let dx = like(&self.x, dx);
        [
            Some(dx.clone()),
            self.residual.is_some().then_some(dx),
            Some(like(&self.weight, dweight)),
            Some(like(&self.weight, dbias)),
        ]
    }
}

impl<C: CheckpointStrategy> LayerNormTrainingBackend for Autodiff<Flex, C> {
    fn layer_norm_training(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        added: bool,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        record::<_, C, 4>([x, residual, weight, bias], |[x, residual, weight, bias]| {
            let output =
                Flex::layer_norm_training(x.clone(), residual.clone(), added, weight.clone(), bias, epsilon);
            let kept = LayerNormGradient {
                x,
                residual: added.then_some(residual),
                weight,
                epsilon,
            };
            (output, kept)
        })
    }
}

/// Layer norm of `x + residual` in training on the CPU.
///
/// # Shapes
/// - x, residual `(.., width)`, weight, bias `(width)` -> `(.., width)`
///
/// # Panics
/// When shapes disagree.
pub fn layer_norm_recorded<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    // What is added may be one row for all: the kernel wants it in full.
    let residual = residual.map(|r| {
        if r.dims() == x.dims() {
            r
        } else {
            r.expand(x.shape())
        }
    });
    let added = residual.is_some();
    let x = x.into_dispatch();
    let residual = residual.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let output = <Dispatch as LayerNormTrainingBackend>::layer_norm_training(
        x,
        residual,
        added,
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::layer_norm_reference;
    use crate::kernels::training::gradient::tests::{compare, random};

    #[test]
    fn gradients_equal_burns() {
        for (rows, width) in [(1, 3), (7, 16), (5, 33), (70, 192)] {
            for added in [false, true] {
                let inputs = [
                    random([rows * width]),
                    random([rows * width]),
                    random([width]),
                    random([width]),
                ];
                compare(
                    &format!("{rows} x {width}, {added}"),
                    inputs,
                    |[x, residual, weight, bias], ours| {
                        let shaped = |t: Tensor<1>| -> Tensor<2> { t.reshape([rows, width]) };
                        let residual = added.then(|| shaped(residual));
                        let norm = if ours {
                            layer_norm_recorded
                        } else {
                            layer_norm_reference
                        };
                        norm(shaped(x), residual, weight, bias, 1e-5)
                    },
                );
            }
        }
    }
}
