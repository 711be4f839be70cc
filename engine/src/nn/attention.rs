//! Self-attention with a pluggable mask, and the one place that chooses between kernel and reference.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::{LayerConfig, LayerNorm, Residual, dense};
use crate::kernels::{
    MAX_HEAD_DIM, Mask, attention_recorded, attention_reference, decode_attention, decode_attention_cpu,
    decode_attention_reference, masked_attention, records_kernels, runs_cpu_kernels, runs_kernels, runs_wgsl,
    side_by_side,
};

/// What all layers of one pass share: the mask, and what is made of it once and only where it is needed.
#[derive(Debug)]
pub struct AttentionPass {
    mask: Mask,
    lengths: OnceCell<Tensor<1, Int>>,
    masked: RefCell<Option<Tensor<4, Bool>>>,
    kept: Option<RefCell<Vec<Tensor<4>>>>,
}

impl AttentionPass {
    /// A pass under `mask`.
    pub fn new(mask: Mask) -> Self {
        Self {
            mask,
            lengths: OnceCell::new(),
            masked: RefCell::default(),
            kept: None,
        }
    }

    /// A pass that keeps the probabilities of its layers for [`AttentionPass::probabilities`]; the reference serves
    /// all devices then, since the kernel never writes them.
    pub fn with_weights(mask: Mask) -> Self {
        Self {
            kept: Some(RefCell::default()),
            ..Self::new(mask)
        }
    }

    /// What a pass of [`AttentionPass::with_weights`] kept, a tensor a layer: `(batch, heads, queries, keys)`. Nothing of
    /// other passes.
    pub fn probabilities(self) -> Vec<Tensor<4>> {
        self.kept.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Attention of `(batch, queries, width)` over `(batch, keys, width)`; `drop` acts on probabilities in
    /// training.
    ///
    /// The kernels serve in inference, and the CPU's in training; the reference serves where probabilities are kept,
    /// and what WebGPU has no kernel for: training, and heads too wide.
    pub(super) fn attention(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        heads: usize,
        drop: &Dropout,
    ) -> Tensor<3> {
        let device = query.device();
        let [_, queries, width] = query.dims();
        let wide = runs_wgsl(&device) && width / heads > MAX_HEAD_DIM;
        if self.kept.is_none() && runs_kernels(&device) && !wide {
            let lengths = self.lengths.get_or_init(|| lengths_tensor(&self.mask, &device));
            return masked_attention(query, key, value, lengths.clone(), &self.mask, heads);
        }
        let keys = key.dims()[1];
        if self.kept.is_none() && records_kernels(&device) {
            // Dropout of ones is its mask.
            let shape = [query.dims()[0], heads, queries, keys];
            let factors = (drop.prob > 0.0).then(|| drop.forward(Tensor::ones(shape, &device)));
            return attention_recorded(query, key, value, factors, &self.mask, heads);
        }
        let masked = self.masked(queries, keys, &device);
        attention_reference(query, key, value, masked, heads, |probabilities| {
            if let Some(kept) = &self.kept {
                kept.borrow_mut().push(probabilities.clone());
            }
            drop.forward(probabilities)
        })
    }

    /// The mask as a tensor, made anew where a layer has other queries or keys than the one before.
    fn masked(&self, queries: usize, keys: usize, device: &Device) -> Tensor<4, Bool> {
        let mut made = self.masked.borrow_mut();
        let fits = |mask: &Tensor<4, Bool>| mask.dims()[2..] == [queries, keys];
        match made.as_ref().filter(|mask| fits(mask)) {
            Some(mask) => mask.clone(),
            None => made.insert(self.mask.masked(queries, keys, device)).clone(),
        }
    }
}

fn lengths_tensor(mask: &Mask, device: &Device) -> Tensor<1, Int> {
    let lengths: Vec<i32> = mask
        .lengths
        .iter()
        .map(|&n| i32::try_from(n).unwrap_or(i32::MAX))
        .collect();
    let count = lengths.len();
    Tensor::from_data(TensorData::new(lengths, [count]), device)
}

/// Keys and values of one layer, `(batch, capacity, width)` each, allocated once a draft.
#[derive(Clone, Debug)]
pub struct KeyValueCache {
    tensors: (Tensor<3>, Tensor<3>),
}

impl KeyValueCache {
    /// An empty cache.
    pub fn new(batch: usize, capacity: usize, width: usize, device: &Device) -> Self {
        // Two allocations, not one cloned: the kernel writes in place.
        let empty = || Tensor::zeros([batch, capacity, width], device);
        Self {
            tensors: (empty(), empty()),
        }
    }

    /// Puts `key` and `value`, `(batch, rows, width)`, at the front.
    pub fn prefill(&mut self, key: Tensor<3>, value: Tensor<3>) {
        let [batch, rows, width] = key.dims();
        let put = |cache: Tensor<3>, x: Tensor<3>| cache.slice_assign([0..batch, 0..rows, 0..width], x);
        let (keys, values) = self.tensors.clone();
        self.tensors = (put(keys, key), put(values, value));
    }

    /// Samples.
    pub fn batch(&self) -> usize {
        self.tensors.0.dims()[0]
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        self.tensors.0.device()
    }

    /// Keeps the samples of `rows`, in that order, as a beam search reorders its hypotheses.
    pub fn select(&mut self, rows: &Tensor<1, Int>) {
        let (keys, values) = self.tensors.clone();
        self.tensors = (keys.select(0, rows.clone()), values.select(0, rows.clone()));
    }

    /// [`KeyValueCache::select`] of the columns `written` alone, where all rows hold the same in the others.
    pub fn select_columns(&mut self, rows: &Tensor<1, Int>, written: Range<usize>) {
        let empty = || Tensor::zeros([1, 1, 1], &rows.device());
        // Taken, not cloned: what is owned once is written in place.
        let (keys, values) = std::mem::replace(&mut self.tensors, (empty(), empty()));
        let put = |cache: Tensor<3>| {
            let [batch, _, width] = cache.dims();
            let at = [0..batch, written.clone(), 0..width];
            let columns = cache.clone().slice(at.clone()).select(0, rows.clone());
            cache.slice_assign(at, columns)
        };
        self.tensors = (put(keys), put(values));
    }
}

/// Multi-head self-attention with its output projection, residual and norm (Vaswani et al. 2017, eq. 1; the
/// norm after as in BERT, Devlin et al. 2019, or before as in ViT, Dosovitskiy et al. 2021, eq. 2).
#[derive(Module, Debug)]
pub struct SelfAttention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) norm: LayerNorm,
    residual: Residual,
    pub(super) heads: usize,
}

impl SelfAttention {
    /// BERT's. `width` must be a multiple of `heads`.
    pub fn new(width: usize, heads: usize, dropout: f64, norm_eps: f64, device: &Device) -> Self {
        let config = LayerConfig {
            dropout,
            norm_eps,
            ..LayerConfig::new(width, heads, width)
        };
        Self::init(&config, device)
    }

    /// As a layer's config says.
    pub fn init(config: &LayerConfig, device: &Device) -> Self {
        let width = config.width;
        let project = || config.linear(width, width, config.qkv_bias, device);
        Self {
            query: project(),
            key: project(),
            value: project(),
            output: config.linear(width, width, true, device),
            norm: LayerNorm::new(width, config.norm_eps, device),
            residual: Residual::new(config.dropout, config.drop_path, config.pre_norm),
            heads: config.heads,
        }
    }

    /// # Shapes
    /// - x `(batch, tokens, width)` -> the same
    ///
    /// With a `cache`, the keys and values of the pass are put at its front.
    pub fn forward(
        &self,
        x: Tensor<3>,
        attend: &AttentionPass,
        cache: Option<&mut KeyValueCache>,
    ) -> Tensor<3> {
        let [query, key, value] = self.project(&x);
        if let Some(cache) = cache {
            cache.prefill(key.clone(), value.clone());
        }
        let mixed = attend.attention(query, key, value, self.heads, &self.residual.dropout);
        self.close(mixed, x)
    }

    /// One decoding step: rows at positions `start..start + rows` see the cache up to and including
    /// themselves.
    ///
    /// # Shapes
    /// - x `(batch, rows, width)` -> the same
    pub fn decode(&self, x: Tensor<3>, start: usize, cache: &mut KeyValueCache) -> Tensor<3> {
        let [query, key, value] = self.project(&x);
        let [_, _, width] = query.dims();
        let mixed = if runs_wgsl(&query.device()) && width / self.heads <= MAX_HEAD_DIM {
            decode_attention(query, key, value, &cache.tensors, start, self.heads)
        } else {
            let device = query.device();
            let step = match runs_cpu_kernels(&device) {
                true => decode_attention_cpu,
                false => decode_attention_reference,
            };
            let empty = || Tensor::zeros([1, 1, 1], &device);
            // Taken, not cloned: a cache that is owned once is written in place.
            let tensors = std::mem::replace(&mut cache.tensors, (empty(), empty()));
            let (mixed, tensors) = step(query, key, value, tensors, start, self.heads);
            cache.tensors = tensors;
            mixed
        };
        self.close(mixed, x)
    }

    /// Queries, keys and values of `x`.
    fn project(&self, x: &Tensor<3>) -> [Tensor<3>; 3] {
        let x = self.residual.open(&self.norm, x);
        let of = |layer| dense(layer, x.clone(), false);
        if runs_cpu_kernels(&x.device()) {
            return side_by_side([&self.query, &self.key, &self.value], of);
        }
        [&self.query, &self.key, &self.value].map(of)
    }

    fn close(&self, mixed: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        self.residual
            .close(&self.norm, dense(&self.output, mixed, false), x)
    }
}
