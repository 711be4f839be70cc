//! The step of AdamW.

use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;
use hilum_cpu::AdamW;

use crate::kernels::cpu::values;

/// A step's numbers (Loshchilov and Hutter 2019).
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// Learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
    /// Shares of the moments that are kept.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Steps taken with this one.
    pub step: u64,
}

/// The op behind Burn's dispatch.
#[backend_extension(Flex)]
pub(super) trait AdamWBackend: Backend {
    /// See [`adamw`].
    fn adamw_step(
        weight: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl AdamWBackend for Flex {
    fn adamw_step(
        weight: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let options = AdamW {
            rate: step.rate,
            decay: step.decay,
            betas: step.betas,
            epsilon: step.epsilon,
            step: step.step,
            factor: values(&factor).first().copied().map_or(1.0, f64::from),
        };
        // Written in place where nobody else refers to them.
        let [mut weight, mut first, mut second] = [weight, first, second].map(|t| t.to_contiguous());
        hilum_cpu::adamw(
            options,
            &values(&gradient),
            weight.storage_mut::<f32>(),
            first.storage_mut::<f32>(),
            second.storage_mut::<f32>(),
        );
        (weight, first, second)
    }
}

/// Weight and both moments after a step by `gradient` times `factor`, on the CPU.
///
/// # Shapes
/// - weight, moments, gradient `(values)`; factor `(1)`
///
/// # Panics
/// When shapes disagree.
pub fn adamw(
    weight: Tensor<1>,
    moments: [Tensor<1>; 2],
    gradient: Tensor<1>,
    factor: Tensor<1>,
    step: AdamWStep,
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let [first, second] = moments.map(Tensor::into_dispatch);
    let (weight, first, second) = <Dispatch as AdamWBackend>::adamw_step(
        weight.into_dispatch(),
        first,
        second,
        gradient.into_dispatch(),
        factor.into_dispatch(),
        step,
    );
    (
        Tensor::from_dispatch(weight),
        [Tensor::from_dispatch(first), Tensor::from_dispatch(second)],
    )
}
