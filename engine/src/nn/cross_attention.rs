//! Cross-attention: queries of one sequence over keys and values of another (Vaswani et al. 2017, section
//! 3.2.3).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Device;
use burn::tensor::{Int, Tensor};

use super::{AttentionPass, LayerConfig, LayerNorm, Residual, dense};

/// Keys and values of a sequence that is attended to, `(batch, keys, width)` each: computed once, read at
/// every decoding step.
#[derive(Clone, Debug)]
pub struct Memory {
    key: Tensor<3>,
    value: Tensor<3>,
}

impl Memory {
    /// Keeps the samples of `rows`, in that order, as a beam search reorders its hypotheses.
    pub fn select(&mut self, rows: &Tensor<1, Int>) {
        self.key = self.key.clone().select(0, rows.clone());
        self.value = self.value.clone().select(0, rows.clone());
    }
}

/// Cross-attention with its output projection, residual and norm, named as ALBEF's `crossattention` is.
#[derive(Module, Debug)]
pub struct CrossAttention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) norm: LayerNorm,
    residual: Residual,
    pub(super) heads: usize,
}

impl CrossAttention {
    /// Over a memory of `memory_width` features; the rest as the layer's config says.
    pub fn new(config: &LayerConfig, memory_width: usize, device: &Device) -> Self {
        let width = config.width;
        Self {
            query: config.linear(width, width, config.qkv_bias, device),
            key: config.linear(memory_width, width, config.qkv_bias, device),
            value: config.linear(memory_width, width, config.qkv_bias, device),
            output: config.linear(width, width, true, device),
            norm: LayerNorm::new(width, config.norm_eps, device),
            residual: Residual::new(config.dropout, config.drop_path, config.pre_norm),
            heads: config.heads,
        }
    }

    /// The keys and values of a memory.
    ///
    /// # Shapes
    /// - memory `(batch, keys, memory_width)`
    pub fn memory(&self, memory: &Tensor<3>) -> Memory {
        Memory {
            key: dense(&self.key, memory.clone(), false),
            value: dense(&self.value, memory.clone(), false),
        }
    }

    /// `attend` is a pass of its own, whose lengths are the memory's: [`crate::kernels::Mask::padding`].
    ///
    /// # Shapes
    /// - x `(batch, queries, width)` -> the same
    pub fn forward(&self, x: Tensor<3>, memory: &Memory, attend: &AttentionPass) -> Tensor<3> {
        let query = dense(&self.query, self.residual.open(&self.norm, &x), false);
        let mixed = attend.attention(
            query,
            memory.key.clone(),
            memory.value.clone(),
            self.heads,
            &self.residual.dropout,
        );
        self.residual
            .close(&self.norm, dense(&self.output, mixed, false), x)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::device::test_devices;
    use crate::kernels::Mask;

    fn read(tensor: Tensor<3>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn case(pre_norm: bool) -> (CrossAttention, Tensor<3>, Tensor<3>) {
        let device = Device::flex();
        let config = LayerConfig {
            pre_norm,
            ..LayerConfig::new(24, 2, 48)
        };
        let cross = CrossAttention::new(&config, 10, &device);
        let random = |shape| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        (cross, random([2, 5, 24]), random([2, 7, 10]))
    }

    #[test]
    fn what_is_padding_changes_nothing_and_what_is_not_does() {
        for pre_norm in [false, true] {
            let (cross, x, memory) = case(pre_norm);
            let run = |memory: &Tensor<3>| {
                let attend = AttentionPass::new(Mask::padding(vec![7, 4]));
                read(cross.forward(x.clone(), &cross.memory(memory), &attend))
            };
            let before = run(&memory);
            let changed = |at: usize| {
                let noise = Tensor::full([1, 1, 10], 3.0, &memory.device());
                run(&memory.clone().slice_assign([1..2, at..at + 1, 0..10], noise))
            };
            assert_eq!(before, changed(4), "column 4 of the second sample is padding");
            assert_ne!(before, changed(3), "column 3 is not");
        }
    }

    #[test]
    fn every_device_says_the_same() {
        let (cross, x, memory) = case(false);
        let expected = read(cross.forward(
            x.clone(),
            &cross.memory(&memory),
            &AttentionPass::new(Mask::padding(vec![7, 4])),
        ));
        for (name, device) in test_devices() {
            let cross = cross.clone().to_device(&device);
            let memory = cross.memory(&memory.clone().to_device(&device));
            let attend = AttentionPass::new(Mask::padding(vec![7, 4]));
            let found = read(cross.forward(x.clone().to_device(&device), &memory, &attend));
            for (e, f) in expected.iter().zip(&found) {
                assert!((e - f).abs() < 1e-5, "{name}: {f}, the CPU says {e}");
            }
        }
    }
}
