//! Attention in training.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};
use hilum_cpu::{Attended, AttendedGradients, AttentionShape, Visible};

use super::gradient::{Gradient, like, record};
use crate::kernels::Mask;
use crate::kernels::cpu::{dims, tensor, values};

/// The op behind Burn's dispatch.
#[backend_extension(Flex, Autodiff)]
pub(super) trait AttentionTrainingBackend: Backend {
    /// See [`attention_recorded`].
    fn attention_training(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        dropped: bool,
        visible: Visible,
        heads: usize,
    ) -> FloatTensor<Self>;
}

/// What an attention keeps for the way back.
#[derive(Clone, Debug)]
struct AttentionGradient {
    inputs: [FlexTensor; 3],
    probabilities: FlexTensor,
    factors: Option<FlexTensor>,
    shape: AttentionShape,
}

fn forward(
    inputs: [FlexTensor; 3],
    factors: Option<FlexTensor>,
    visible: &Visible,
    heads: usize,
) -> (FlexTensor, AttentionGradient) {
    let ([batch, queries, width], [_, keys, _]) = (dims(&inputs[0]), dims(&inputs[1]));
    let shape = AttentionShape {
        batch,
        queries,
        keys,
        heads,
        head_dim: width / heads,
    };
    let [query, key, value] = inputs.each_ref().map(values);
    let attended = Attended {
        query: &query,
        key: &key,
        value: &value,
    };
    let mut output = vec![0.0; query.len()];
    let mut probabilities = vec![0.0; batch * heads * queries * keys];
    let by = factors.as_ref().map(values);
    hilum_cpu::attention_train(
        attended,
        shape,
        visible,
        by.as_deref(),
        &mut probabilities,
        &mut output,
    );
    let output = like(&inputs[0], output);
    let kept = AttentionGradient {
        probabilities: tensor(probabilities, Shape::new([batch, heads, queries, keys])),
        factors: factors.clone(),
        shape,
        inputs: inputs.clone(),
    };
    (output, kept)
}

impl AttentionTrainingBackend for Flex {
    fn attention_training(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        dropped: bool,
        visible: Visible,
        heads: usize,
    ) -> FloatTensor<Self> {
        forward([query, key, value], dropped.then_some(factors), &visible, heads).0
    }
}

impl Gradient<3> for AttentionGradient {
    fn backward(self, output: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [query, key, value] = self.inputs.each_ref().map(values);
        let [mut dquery, mut dkey, mut dvalue] = [&query, &key, &value].map(|x| vec![0.0; x.len()]);
        let attended = Attended {
            query: &query,
            key: &key,
            value: &value,
        };
        let gradients = AttendedGradients {
            dquery: &mut dquery,
            dkey: &mut dkey,
            dvalue: &mut dvalue,
        };
        let factors = self.factors.as_ref().map(values);
        hilum_cpu::attention_backward(
            attended,
            self.shape,
            &values(&self.probabilities),
            factors.as_deref(),
            &values(&output),
            gradients,
        );
        let [of_query, of_key, of_value] = &self.inputs;
        [(of_query, dquery), (of_key, dkey), (of_value, dvalue)]
            .map(|(of, gradient)| Some(like(of, gradient)))
    }
}

impl<C: CheckpointStrategy> AttentionTrainingBackend for Autodiff<Flex, C> {
    fn attention_training(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        dropped: bool,
        visible: Visible,
        heads: usize,
    ) -> FloatTensor<Self> {
        let factors = dropped.then(|| factors.primitive().clone());
        record::<_, C, 3>([query, key, value], |inputs| {
            forward(inputs, factors, &visible, heads)
        })
    }
}

/// Masked attention in training on the CPU. `factors` is dropout's mask of the probabilities, grown by `1 / (1 - rate)`
/// where it keeps; it has no gradient.
///
/// # Shapes
/// - query, output `(batch, queries, width)`, key and value `(batch, keys, width)`, factors `(batch, heads, queries,
///   keys)`
///
/// # Panics
/// When shapes disagree.
pub fn attention_recorded(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    factors: Option<Tensor<4>>,
    mask: &Mask,
    heads: usize,
) -> Tensor<3> {
    let [batch, queries, width] = query.dims();
    let [_, keys, _] = key.dims();
    assert_eq!(value.dims(), key.dims(), "keys and values differ in shape");
    assert_eq!(
        key.dims(),
        [batch, keys, width],
        "queries and keys differ in batch or width"
    );
    assert_eq!(mask.lengths.len(), batch, "one length a sample");
    assert!(
        heads > 0 && width.is_multiple_of(heads),
        "heads do not fit the width"
    );
    assert!(
        factors
            .as_ref()
            .is_none_or(|f| f.dims() == [batch, heads, queries, keys]),
        "factors and probabilities differ in shape"
    );
    let query = query.into_dispatch();
    let dropped = factors.is_some();
    let factors = factors.map_or_else(|| query.clone(), Tensor::into_dispatch);
    let output = <Dispatch as AttentionTrainingBackend>::attention_training(
        query,
        key.into_dispatch(),
        value.into_dispatch(),
        factors,
        dropped,
        mask.visible(queries, keys),
        heads,
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::kernels::training::gradient::tests::{compare, random};
    use crate::kernels::{MaskKind, attention_reference};

    #[test]
    fn gradients_equal_burns() {
        for (batch, queries, keys, heads, dim) in [
            (1, 1, 1, 1, 4),
            (2, 9, 9, 2, 7),
            (3, 17, 17, 1, 16),
            (2, 5, 21, 3, 8),
        ] {
            let width = heads * dim;
            for dropped in [false, true] {
                let mask = Mask {
                    kind: if queries == keys {
                        MaskKind::Seq2Seq
                    } else {
                        MaskKind::Bidirectional
                    },
                    context: keys / 3,
                    query_start: 0,
                    // The last sample has nothing to see where its mask goes by lengths.
                    lengths: (0..batch).map(|b| keys - b * keys / batch.max(2)).collect(),
                };
                let inputs = [
                    random([batch * queries * width]),
                    random([batch * keys * width]),
                    random([batch * keys * width]),
                ];
                let factors = random([batch, heads, queries, keys]);
                let what = format!("{batch} x {queries} x {keys}, {heads} heads of {dim}, dropout {dropped}");
                compare(&what, inputs, |[q, k, v], ours| {
                    let device = Device::flex().autodiff();
                    let factors = Tensor::<4>::from_data(factors.clone().into_data(), &device);
                    let (q, k, v) = (
                        q.reshape([batch, queries, width]),
                        k.reshape([batch, keys, width]),
                        v.reshape([batch, keys, width]),
                    );
                    if ours {
                        return attention_recorded(q, k, v, dropped.then_some(factors), &mask, heads);
                    }
                    let masked = mask.masked(queries, keys, &device);
                    attention_reference(q, k, v, masked, heads, |p| if dropped { p * factors } else { p })
                });
            }
        }
    }
}
