//! Batch norm in training, with the residual and the rectifier after it.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};
use hilum_cpu::{BatchNorm, BatchNormGradients, BatchStatistics};

use super::gradient::{Gradient, like, record};
use crate::kernels::cpu::{dims, tensor, values};

/// What the dispatch takes besides tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    added: bool,
    epsilon: f64,
    rectify: bool,
}

/// The op behind Burn's dispatch.
#[backend_extension(Flex, Autodiff)]
pub(super) trait BatchNormTrainingBackend: Backend {
    /// The output, and mean and variance of the batch; see [`batch_norm_recorded`].
    fn batch_norm_training(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Options,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn forward(
    x: &FlexTensor,
    residual: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    options: Options,
) -> (FlexTensor, BatchStatistics) {
    let [_, _, rows, columns] = dims(x);
    let residual = options.added.then(|| values(residual));
    let (input, weight, bias) = (values(x), values(weight), values(bias));
    let mut output = vec![0.0; input.len()];
    let norm = BatchNorm {
        weight: &weight,
        bias: &bias,
        epsilon: options.epsilon as f32,
        area: rows * columns,
        rectify: options.rectify,
    };
    let statistics = hilum_cpu::batch_norm_train(&input, residual.as_deref(), norm, &mut output);
    (like(x, output), statistics)
}

fn as_tensors(statistics: BatchStatistics) -> [FlexTensor; 2] {
    [statistics.mean, statistics.variance].map(|of| {
        let channels = of.len();
        tensor(of, Shape::new([channels]))
    })
}

impl BatchNormTrainingBackend for Flex {
    fn batch_norm_training(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Options,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (output, statistics) = forward(&x, &residual, &weight, &bias, options);
        let [mean, variance] = as_tensors(statistics);
        (output, mean, variance)
    }
}

/// What a batch norm keeps for the way back.
#[derive(Clone, Debug)]
struct BatchNormGradient {
    x: FlexTensor,
    y: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    statistics: BatchStatistics,
    options: Options,
}

impl Gradient<4> for BatchNormGradient {
    fn backward(self, output: FlexTensor, _: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let [_, _, rows, columns] = dims(&self.x);
        let (x, y, weight, bias) = (
            values(&self.x),
            values(&self.y),
            values(&self.weight),
            values(&self.bias),
        );
        let mut dx = vec![0.0; x.len()];
        let mut dresidual = self.options.added.then(|| vec![0.0; x.len()]);
        let (mut dweight, mut dbias) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
        let norm = BatchNorm {
            weight: &weight,
            bias: &bias,
            epsilon: self.options.epsilon as f32,
            area: rows * columns,
            rectify: self.options.rectify,
        };
        let gradients = BatchNormGradients {
            dx: &mut dx,
            dresidual: dresidual.as_deref_mut(),
            dweight: &mut dweight,
            dbias: &mut dbias,
        };
        hilum_cpu::batch_norm_backward(&x, &y, &values(&output), norm, &self.statistics, gradients);
        [
            Some(like(&self.x, dx)),
            dresidual.map(|gradient| like(&self.x, gradient)),
            Some(like(&self.weight, dweight)),
            Some(like(&self.bias, dbias)),
        ]
    }
}

impl<C: CheckpointStrategy> BatchNormTrainingBackend for Autodiff<Flex, C> {
    fn batch_norm_training(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Options,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let mut found = None;
        let output = record::<_, C, 4>([x, residual, weight, bias], |[x, residual, weight, bias]| {
            let (y, statistics) = forward(&x, &residual, &weight, &bias, options);
            found = Some(as_tensors(statistics.clone()));
            let kept = BatchNormGradient {
                x,
                y: y.clone(),
                weight,
                bias,
                statistics,
                options,
            };
            (y, kept)
        });
        let [mean, variance] = found.unwrap_or_else(|| {
            as_tensors(BatchStatistics {
                mean: vec![],
                variance: vec![],
            })
        });
        (
            output,
            FloatTensor::<Self>::new(mean),
            FloatTensor::<Self>::new(variance),
        )
    }
}

/// Batch norm by the batch's own statistics, the residual and the rectifier in training on the CPU: the output, and
/// the batch's mean and variance (divided by the number of values), which have no gradient.
///
/// # Shapes
/// - x, residual `(batch, channels, rows, columns)` -> the same; weight, bias, mean, variance `(channels)`
///
/// # Panics
/// When shapes disagree.
pub fn batch_norm_recorded(
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    rectify: bool,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    assert!(
        residual.as_ref().is_none_or(|r| r.dims() == x.dims()),
        "x and residual differ in shape"
    );
    let options = Options {
        added: residual.is_some(),
        epsilon,
        rectify,
    };
    let x = x.into_dispatch();
    let residual = residual.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let (output, mean, variance) = <Dispatch as BatchNormTrainingBackend>::batch_norm_training(
        x,
        residual,
        weight.into_dispatch(),
        bias.into_dispatch(),
        options,
    );
    (
        Tensor::from_dispatch(output),
        Tensor::from_dispatch(mean),
        Tensor::from_dispatch(variance),
    )
}

#[cfg(test)]
mod tests {
    use burn::tensor::{activation::relu, module::batch_norm_train};

    use super::*;
    use crate::kernels::launch::tests::close;
    use crate::kernels::training::gradient::tests::{compare, random};

    #[test]
    fn gradients_and_statistics_equal_burns() {
        for [batch, channels, rows, columns] in [[2, 1, 2, 2], [3, 5, 7, 3], [2, 16, 14, 14], [4, 3, 1, 33]] {
            for (added, rectify) in [(false, false), (false, true), (true, true), (true, false)] {
                let count = batch * channels * rows * columns;
                let shape = [batch, channels, rows, columns];
                let inputs = [
                    random([count]),
                    random([count]),
                    random([channels]),
                    random([channels]),
                ];
                compare(
                    &format!("{shape:?}, {added}, {rectify}"),
                    inputs,
                    |[x, residual, weight, bias], ours| {
                        let x: Tensor<4> = x.reshape(shape);
                        let residual = added.then(|| residual.reshape(shape));
                        let theirs = batch_norm_train(x.clone(), weight.clone(), bias.clone(), 1e-5);
                        if ours {
                            let (y, mean, variance) =
                                batch_norm_recorded(x, residual, weight, bias, 1e-5, rectify);
                            close(theirs.mean.inner(), mean.inner(), 1e-6, "mean");
                            close(theirs.variance.inner(), variance.inner(), 1e-6, "variance");
                            return y;
                        }
                        let y = match residual {
                            Some(residual) => theirs.output + residual,
                            None => theirs.output,
                        };
                        if rectify { relu(y) } else { y }
                    },
                );
            }
        }
    }
}
