//! How an op with kernels of its own records its gradient on the CPU.

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

/// A tensor whose gradient is recorded.
pub(super) type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

/// What an op keeps of its forward pass, and what it makes of it.
pub(super) trait Gradient<const N: usize>: Clone + Debug + Send + 'static {
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
pub(super) fn record<G: Gradient<N>, C: CheckpointStrategy, const N: usize>(
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

/// Whether ops record their gradients by kernels of their own: on the CPU, in training.
pub fn records_kernels(device: &Device) -> bool {
    device.is_autodiff() && matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}
