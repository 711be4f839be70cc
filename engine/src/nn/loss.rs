//! Losses that systems share.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Int, Tensor, TensorData};

use crate::text::Target;

/// Mean cross-entropy of `targets` under `logits`.
///
/// # Shapes
/// - logits `(rows, classes)`, targets `(rows)` -> `(1)`
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let rows = targets.dims()[0];
    log_softmax(logits, 1)
        .gather(1, targets.reshape([rows, 1]))
        .mean()
        .neg()
}

/// Mean binary cross-entropy over the targets that are known; the order of `targets` is that of the logits.
///
/// # Shapes
/// - logits of any shape -> `(1)`
pub fn binary_cross_entropy<const D: usize>(logits: Tensor<D>, targets: &[Target]) -> Tensor<1> {
    let device = logits.device();
    let count = targets.len();
    let weights: Vec<f32> = targets.iter().map(|t| f32::from(u8::from(t.is_some()))).collect();
    let signs: Vec<f32> = targets
        .iter()
        .map(|t| if *t == Some(true) { 1.0 } else { -1.0 })
        .collect();
    let known = weights.iter().sum::<f32>().max(1.0);
    let row = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [count]), &device);
    // log sigma(z) where present, log sigma(-z) where absent
    let likelihoods = log_sigmoid(logits.reshape([count]) * row(signs));
    (likelihoods * row(weights)).sum().div_scalar(known).neg()
}
