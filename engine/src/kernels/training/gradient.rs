//! How an op records a gradient of its own.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchDevice, Flex};
use burn::tensor::Device;

use crate::kernels::cpu::tensor;

/// A tensor whose gradient is recorded.
type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

/// What an op keeps of its forward pass, and what it makes of it.
pub(in crate::kernels) trait Gradient<const N: usize>:
    Clone + Debug + Send + 'static
{
    /// The gradients of the inputs that are wanted, from that of the output.
    fn backward(self, output: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

#[derive(Debug)]
struct Recorded<G>(PhantomData<fn() -> G>);

impl<G: Gradient<N>, const N: usize> Backward<Flex, N> for Recorded<G> {
    type State = G;

    fn backward(self, ops: Ops<G, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let output = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = ops.state.backward(output, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Runs `forward` on the values of `inputs` and records what it keeps for the way back.
pub(in crate::kernels) fn record<G: Gradient<N>, C: CheckpointStrategy, const N: usize>(
    inputs: [Tracked<C>; N],
    forward: impl FnOnce([FlexTensor; N]) -> (FlexTensor, G),
) -> Tracked<C> {
    let values = inputs.each_ref().map(|input| input.primitive().clone());
    let nodes = inputs.map(|input| input.node());
    let (output, kept) = forward(values);
    match Recorded::<G>(PhantomData)
        .prepare::<C>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(step) => step.finish(kept, output),
        OpsKind::UnTracked(step) => step.finish(output),
    }
}

/// A tensor of `values` in the shape of `of`.
pub(in crate::kernels) fn like(of: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    tensor(values, of.layout().shape().clone())
}

/// Whether ops record their gradients by kernels of their own: on the CPU, in training.
pub fn records_kernels(device: &Device) -> bool {
    device.is_autodiff() && matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

#[cfg(test)]
pub(in crate::kernels) mod tests {
    use burn::tensor::{Distribution, Tensor};

    use super::*;
    use crate::kernels::launch::tests::close;

    /// Values between -1 and 1.
    pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
    }

    /// Asserts that an op (`true`) and its reference (`false`) agree in output and gradients of all inputs.
    pub fn compare<const N: usize, const D: usize>(
        what: &str,
        inputs: [Tensor<1>; N],
        op: impl Fn([Tensor<1>; N], bool) -> Tensor<D>,
    ) {
        let device = Device::flex().autodiff();
        let run = |ours: bool| {
            let leaves = inputs
                .each_ref()
                .map(|t| Tensor::<1>::from_data(t.clone().into_data(), &device).require_grad());
            let y = op(leaves.clone(), ours);
            // Gradients that differ from place to place.
            let gradients = (y.clone().sin() * y.clone()).sum().backward();
            let mut found = vec![y.inner().reshape([-1])];
            found.extend(leaves.iter().filter_map(|leaf| leaf.grad(&gradients)));
            found
        };
        let (expected, found) = (run(false), run(true));
        assert_eq!(expected.len(), found.len(), "{what}: gradients");
        for (number, (expected, found)) in expected.into_iter().zip(found).enumerate() {
            let scale = expected.clone().abs().max().into_scalar::<f32>().max(1.0);
            close(expected, found, 2e-5 * scale, &format!("{what}, {number}"));
        }
    }
}
