//! The transformer layer that all systems share: self-attention, cross-attention where wanted, feed-forward;
//! norms after (BERT, Devlin et al. 2019) or before (ViT, Dosovitskiy et al. 2021).

use std::ops::Range;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    AttentionPass, CrossAttention, DecodeState, INITIALIZER_RANGE, KeyValueCache, LayerNorm, Memory,
    Residual, SelfAttention, dense, linear_of,
};

/// Sizes and switches of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerConfig {
    /// Width of the hidden states.
    pub width: usize,
    /// Attention heads; divide the width.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Width of what cross-attention reads; without it there is no cross-attention.
    pub memory_width: Option<usize>,
    /// Whether norms stand before the sub-layers (ViT) or after (BERT).
    pub pre_norm: bool,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Dropout probability in training.
    pub dropout: f64,
    /// Probability in training that a sample skips a sub-layer.
    pub drop_path: f64,
    /// Epsilon of the layer norms.
    pub norm_eps: f64,
    /// Standard deviation of random weights.
    pub initializer_range: f64,
}

impl LayerConfig {
    /// BERT's layer of these sizes, without dropout.
    pub const fn new(width: usize, heads: usize, intermediate: usize) -> Self {
        Self {
            width,
            heads,
            intermediate,
            memory_width: None,
            pre_norm: false,
            qkv_bias: true,
            dropout: 0.0,
            drop_path: 0.0,
            norm_eps: 1e-12,
            initializer_range: INITIALIZER_RANGE,
        }
    }

    /// One of its linear layers: random weights, biases zero.
    pub(super) fn linear(&self, input: usize, output: usize, bias: bool, device: &Device) -> Linear {
        linear_of(input, output, bias, self.initializer_range, device)
    }
}

/// A memory that a pass reads and the pass over it, whose lengths are the memory's.
#[derive(Clone, Copy, Debug)]
pub struct Cross<'a> {
    /// `(batch, keys, memory_width)`.
    pub memory: &'a Tensor<3>,
    /// Shared by the layers of this pass, but by no other pass.
    pub attend: &'a AttentionPass,
}

/// One layer. Names are BERT's; of a ViT's block `norm1` is `attention.norm`, `norm2` is `output_norm`.
#[derive(Module, Debug)]
pub struct TransformerLayer {
    pub(super) attention: SelfAttention,
    pub(super) crossattention: Option<CrossAttention>,
    pub(super) intermediate: Linear,
    pub(super) output: Linear,
    pub(super) output_norm: LayerNorm,
    residual: Residual,
}

impl TransformerLayer {
    /// With random weights.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        Self {
            attention: SelfAttention::init(config, device),
            crossattention: config
                .memory_width
                .map(|memory_width| CrossAttention::new(config, memory_width, device)),
            intermediate: config.linear(config.width, config.intermediate, true, device),
            output: config.linear(config.intermediate, config.width, true, device),
            output_norm: LayerNorm::new(config.width, config.norm_eps, device),
            residual: Residual::new(config.dropout, config.drop_path, config.pre_norm),
        }
    }

    /// Cross-attention is left out where the layer has none or no memory is given.
    ///
    /// # Shapes
    /// - x `(batch, tokens, width)` -> the same
    pub fn forward(&self, x: Tensor<3>, attend: &AttentionPass, cross: Option<Cross<'_>>) -> Tensor<3> {
        let x = self.attention.forward(x, attend, None);
        let memory = cross.and_then(|cross| Some((self.memory(cross.memory)?, cross.attend)));
        self.after_attention(x, memory.as_ref().map(|(memory, attend)| (memory, *attend)))
    }

    /// The same for the prefix of a text that is decoded, whose keys and values go to the front of `cache`; `memory`
    /// as [`TransformerLayer::memory`] gave it.
    ///
    /// # Shapes
    /// - x `(batch, prefix, width)` -> the same
    pub fn prefill(
        &self,
        x: Tensor<3>,
        attend: &AttentionPass,
        cache: &mut KeyValueCache,
        memory: Option<(&Memory, &AttentionPass)>,
    ) -> Tensor<3> {
        let x = self.attention.forward(x, attend, Some(cache));
        self.after_attention(x, memory)
    }

    /// One decoding step, see [`SelfAttention::decode`]; `memory` as [`TransformerLayer::memory`] gave it.
    ///
    /// # Shapes
    /// - x `(batch, rows, width)` -> the same
    pub fn decode(
        &self,
        x: Tensor<3>,
        start: usize,
        cache: &mut KeyValueCache,
        memory: Option<(&Memory, &AttentionPass)>,
    ) -> Tensor<3> {
        let x = self.attention.decode(x, start, cache);
        self.after_attention(x, memory)
    }

    /// The keys and values of a memory, where the layer reads one.
    pub fn memory(&self, memory: &Tensor<3>) -> Option<Memory> {
        self.crossattention.as_ref().map(|layer| layer.memory(memory))
    }

    /// Cross-attention, where there is a memory, and the feed-forward layer.
    fn after_attention(&self, mut x: Tensor<3>, memory: Option<(&Memory, &AttentionPass)>) -> Tensor<3> {
        if let (Some(layer), Some((memory, attend))) = (&self.crossattention, memory) {
            x = layer.forward(x, memory, attend);
        }
        let inner = self.residual.open(&self.output_norm, &x);
        let inner = dense(&self.intermediate, inner, true);
        self.residual
            .close(&self.output_norm, dense(&self.output, inner, false), x)
    }
}

/// A stack of layers: an encoder, a decoder, or both, as mask and memory say.
#[derive(Module, Debug)]
pub struct Encoder {
    pub(super) layer: Vec<TransformerLayer>,
}

impl Encoder {
    /// A layer a config, so that the last layers of a stack may read a memory that the first do not.
    pub fn from_layers(configs: &[LayerConfig], device: &Device) -> Self {
        Self {
            layer: configs
                .iter()
                .map(|config| TransformerLayer::new(config, device))
                .collect(),
        }
    }

    /// # Shapes
    /// - x `(batch, tokens, width)` -> the same
    ///
    /// `watch` is called with each layer's number and output.
    pub fn forward(
        &self,
        mut x: Tensor<3>,
        attend: &AttentionPass,
        mut watch: impl FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        for (number, layer) in self.layer.iter().enumerate() {
            x = layer.forward(x, attend, None);
            watch(number, &x);
        }
        x
    }

    /// Some of the layers, with cross-attention where a memory is given: ALBEF's text encoder is the first
    /// half of a stack, its fusion encoder the second (Li et al. 2021).
    ///
    /// # Shapes
    /// - x `(batch, tokens, width)` -> the same
    ///
    /// # Panics
    /// When the stack has fewer layers.
    pub fn forward_layers(
        &self,
        layers: Range<usize>,
        mut x: Tensor<3>,
        attend: &AttentionPass,
        cross: Option<Cross<'_>>,
        mut watch: impl FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        for number in layers {
            x = self.layer[number].forward(x, attend, cross);
            watch(number, &x);
        }
        x
    }

    /// Reads a prefix under a mask of its own, such as one that lets its tokens see one another in both directions,
    /// and keeps its keys and values at the front of an empty `state`.
    ///
    /// # Shapes
    /// - x `(batch, prefix, width)` -> the same
    ///
    /// # Panics
    /// When tokens were written already, or the prefix does not fit.
    pub fn prefill(&self, mut x: Tensor<3>, attend: &AttentionPass, state: &mut DecodeState) -> Tensor<3> {
        state.begin(x.dims()[1]);
        for (number, layer) in self.layer.iter().enumerate() {
            let (cache, memory) = state.layer(number);
            x = layer.prefill(x, attend, cache, memory);
        }
        x
    }

    /// One decoding step, see [`SelfAttention::decode`]; `state` moves on by as many rows.
    ///
    /// # Shapes
    /// - x `(batch, rows, width)`, the newest tokens -> the same
    ///
    /// # Panics
    /// When the state has no room for the rows.
    pub fn step(&self, mut x: Tensor<3>, state: &mut DecodeState) -> Tensor<3> {
        let start = state.advance(x.dims()[1]);
        for (number, layer) in self.layer.iter().enumerate() {
            let (cache, memory) = state.layer(number);
            x = layer.decode(x, start, cache, memory);
        }
        x
    }

    /// Empty caches for `batch` samples of up to `capacity` tokens, one a layer.
    pub fn caches(&self, batch: usize, capacity: usize, width: usize, device: &Device) -> Vec<KeyValueCache> {
        self.layer
            .iter()
            .map(|_| KeyValueCache::new(batch, capacity, width, device))
            .collect()
    }

    /// The keys and values of a memory, an entry a layer, `None` where a layer reads none.
    pub fn memories(&self, memory: &Tensor<3>) -> Vec<Option<Memory>> {
        self.layer.iter().map(|layer| layer.memory(memory)).collect()
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layer.len()
    }
}
