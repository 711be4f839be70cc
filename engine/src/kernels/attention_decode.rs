//! The decoding step over a static key and value cache (`shaders/attention_decode.wgsl`, and on the CPU).

use burn::backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor};
use burn::cubecl::prelude::CubeCount;
use burn::tensor::Tensor;
use burn_wgpu::CubeBackend;
use hilum_cpu::AttentionShape;

use super::attention::{MAX_HEAD_DIM, Mask, MaskKind, attention_reference};
use super::cpu::{dims, tensor, values};
use super::launch::{Kernel, contiguous, empty_like};

pub(super) const SOURCE: &str = include_str!("../../../shaders/attention_decode.wgsl");

/// The plain reference: writes rows `start..start + rows` of the caches and attends causally.
///
/// # Shapes
/// - query, key, value `(batch, rows, width)`; caches `(batch, capacity, width)`
/// - output `(batch, rows, width)` and both caches
///
/// Only the columns in use are read, so a step costs what its position asks for.
pub fn decode_attention_reference(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    caches: (Tensor<3>, Tensor<3>),
    start: usize,
    heads: usize,
) -> (Tensor<3>, (Tensor<3>, Tensor<3>)) {
    let [batch, rows, width] = query.dims();
    let keys = start + rows;
    let device = query.device();
    let (key_cache, value_cache) = write(caches, key, value, start);
    let used = |cache: &Tensor<3>| cache.clone().slice([0..batch, 0..keys, 0..width]);
    let mask = Mask {
        kind: MaskKind::Seq2Seq,
        context: 0,
        query_start: start,
        lengths: vec![keys; batch],
    };
    let masked = mask.masked(rows, keys, &device);
    let output = attention_reference(query, used(&key_cache), used(&value_cache), masked, heads, |p| p);
    (output, (key_cache, value_cache))
}

/// Writes rows `start..` of both caches, in place where nobody else refers to them.
fn write(
    caches: (Tensor<3>, Tensor<3>),
    key: Tensor<3>,
    value: Tensor<3>,
    start: usize,
) -> (Tensor<3>, Tensor<3>) {
    let [batch, rows, width] = key.dims();
    let put = |cache: Tensor<3>, x| cache.slice_assign([0..batch, start..start + rows, 0..width], x);
    (put(caches.0, key), put(caches.1, value))
}

/// The CPU's kernel behind Burn's dispatch.
#[backend_extension(Flex)]
pub(super) trait CachedBackend: Backend {
    /// Attention over the rows of caches up to a query's own.
    fn attention_cached(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        start: usize,
        heads: usize,
    ) -> FloatTensor<Self>;
}

impl CachedBackend for Flex {
    fn attention_cached(
        query: FloatTensor<Self>,
        key_cache: FloatTensor<Self>,
        value_cache: FloatTensor<Self>,
        start: usize,
        heads: usize,
    ) -> FloatTensor<Self> {
        let ([batch, queries, width], [_, keys, _]) = (dims(&query), dims(&key_cache));
        let shape = AttentionShape {
            batch,
            queries,
            keys,
            heads,
            head_dim: width / heads,
        };
        let mut output = vec![0.0; batch * queries * width];
        let (keys, values_) = (values(&key_cache), values(&value_cache));
        hilum_cpu::decode_attention(&values(&query), &keys, &values_, shape, start, &mut output);
        tensor(output, query.layout().shape().clone())
    }
}

/// The decoding step by the CPU's kernel, where no gradients are recorded: as [`decode_attention_reference`], with the
/// caches written in place where nobody else refers to them.
///
/// # Shapes
/// - query, key, value `(batch, rows, width)`; caches `(batch, capacity, width)`
/// - output `(batch, rows, width)` and both caches
///
/// # Panics
/// When shapes disagree or the rows do not fit the capacity.
pub fn decode_attention_cpu(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    caches: (Tensor<3>, Tensor<3>),
    start: usize,
    heads: usize,
) -> (Tensor<3>, (Tensor<3>, Tensor<3>)) {
    assert!(
        heads > 0 && query.dims()[2].is_multiple_of(heads),
        "heads do not fit the width"
    );
    let caches = write(caches, key, value, start);
    let output = <Dispatch as CachedBackend>::attention_cached(
        query.into_dispatch(),
        caches.0.clone().into_dispatch(),
        caches.1.clone().into_dispatch(),
        start,
        heads,
    );
    (Tensor::from_dispatch(output), caches)
}

/// The kernel behind Burn's dispatch.
#[backend_extension(Cube)]
pub(super) trait DecodeBackend: Backend {
    /// See [`decode_attention`].
    fn attention_decode(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        key_cache: FloatTensor<Self>,
        value_cache: FloatTensor<Self>,
        start: usize,
        heads: usize,
    ) -> FloatTensor<Self>;
}

impl DecodeBackend for CubeBackend {
    fn attention_decode(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        key_cache: FloatTensor<Self>,
        value_cache: FloatTensor<Self>,
        start: usize,
        heads: usize,
    ) -> FloatTensor<Self> {
        let query = contiguous(query);
        let shape = query.meta.shape();
        let (batch, rows, width) = (shape[0], shape[1], shape[2]);
        let capacity = key_cache.meta.shape()[1];
        let output = empty_like(&query);
        let constants = vec![("head_dim", (width / heads).to_string())];
        let kernel = Kernel {
            name: "attention_decode",
            source: SOURCE,
            constants,
        };
        let params = [
            batch as u32,
            rows as u32,
            capacity as u32,
            heads as u32,
            start as u32,
        ];
        // The caches are bound as they are: a copy would be written instead of them.
        let tensors = vec![
            query,
            contiguous(key),
            contiguous(value),
            key_cache,
            value_cache,
            output.clone(),
        ];
        kernel.launch(tensors, &params, CubeCount::Static(heads as u32, batch as u32, 1));
        output
    }
}

/// The decoding step by the kernel, which writes the caches **in place**: every clone of them sees the new
/// rows. The device must satisfy [`super::runs_wgsl`].
///
/// # Shapes
/// - query, key, value `(batch, rows, width)`; caches `(batch, capacity, width)`, row-major
/// - output `(batch, rows, width)`
///
/// # Panics
/// When shapes disagree or the rows do not fit the capacity.
pub fn decode_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    caches: &(Tensor<3>, Tensor<3>),
    start: usize,
    heads: usize,
) -> Tensor<3> {
    let [batch, rows, width] = query.dims();
    let [cache_batch, capacity, cache_width] = caches.0.dims();
    assert_eq!(
        key.dims(),
        [batch, rows, width],
        "new keys are shaped like queries"
    );
    assert_eq!(
        value.dims(),
        [batch, rows, width],
        "new values are shaped like queries"
    );
    assert_eq!(
        caches.1.dims(),
        [cache_batch, capacity, cache_width],
        "both caches have one shape"
    );
    assert!(
        cache_batch == batch && cache_width == width,
        "caches and queries differ in batch or width"
    );
    assert!(
        start + rows <= capacity,
        "rows {start}..{} do not fit a cache of {capacity}",
        start + rows
    );
    assert!(
        heads > 0 && width % heads == 0 && width / heads <= MAX_HEAD_DIM,
        "heads do not fit the kernel"
    );
    let output = <Dispatch as DecodeBackend>::attention_decode(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        caches.0.clone().into_dispatch(),
        caches.1.clone().into_dispatch(),
        start,
        heads,
    );
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::kernels::launch::tests::{close, webgpu};

    #[test]
    fn kernels_equal_reference_step_by_step() {
        let cpu = Device::flex();
        let gpu = webgpu();
        for (batch, capacity, heads, dim, rows) in [
            (1, 9, 1, 8, 1),
            (2, 70, 3, 20, 2),
            (3, 130, 2, 64, 2),
            (2, 17, 2, 65, 1),
            (2, 33, 3, 80, 2),
            (1, 70, 2, 96, 2),
            (2, 67, 2, 127, 1),
            (1, 130, 2, 128, 2),
        ] {
            let width = heads * dim;
            let empty = |device: &Device| {
                (
                    Tensor::<3>::zeros([batch, capacity, width], device),
                    Tensor::zeros([batch, capacity, width], device),
                )
            };
            let (mut expected_caches, mut cpu_caches) = (empty(&cpu), empty(&cpu));
            let gpu_caches = gpu.as_ref().map(empty);
            let mut start = 0;
            while start + rows <= capacity {
                let random =
                    || Tensor::<3>::random([batch, rows, width], Distribution::Normal(0.0, 1.0), &cpu);
                let (q, k, v) = (random(), random(), random());
                let (expected, after) = decode_attention_reference(
                    q.clone(),
                    k.clone(),
                    v.clone(),
                    expected_caches,
                    start,
                    heads,
                );
                expected_caches = after;
                let what = format!("step at {start}, {batch}x{rows}, {heads} heads of {dim}");
                let (found, after) =
                    decode_attention_cpu(q.clone(), k.clone(), v.clone(), cpu_caches, start, heads);
                cpu_caches = after;
                close(expected.clone(), found, 2e-5, &format!("CPU: {what}"));
                if let (Some(gpu), Some(caches)) = (&gpu, &gpu_caches) {
                    let [q, k, v] = [q, k, v].map(|x| x.to_device(gpu));
                    close(
                        expected,
                        decode_attention(q, k, v, caches, start, heads),
                        2e-5,
                        &what,
                    );
                }
                // The newest row is written again next time, as the decoder does with MASK.
                start += rows.max(2) - 1;
            }
            let ours = [Some(cpu_caches), gpu_caches].into_iter().flatten();
            for (keys, values) in ours {
                close(expected_caches.0.clone(), keys, 0.0, "key cache");
                close(expected_caches.1.clone(), values, 0.0, "value cache");
            }
        }
    }
}
