//! DenseNet (Huang et al. 2017) with torchvision's layout and names; no classification head: what is used is
//! the last map.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d};
use burn::tensor::{Device, Tensor, activation::relu};
use serde::{Deserialize, Serialize};

use super::resnet::{conv, halving, norm};
use super::{convolve, convolve_norm, norm_channels, pool_largest};
use crate::kernels::runs_cpu_kernels;

/// Sizes of a DenseNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseNetConfig {
    /// Channels of the picture, 3 for checkpoints made for photographs.
    pub channels: usize,
    /// Channels after the stem.
    pub width: usize,
    /// Channels that each layer adds, the paper's k.
    pub growth: usize,
    /// Layers of each of the four blocks.
    pub depths: [usize; 4],
}

/// Channels of a layer's bottleneck, in growths (the paper's DenseNet-B).
const BOTTLENECK: usize = 4;

impl DenseNetConfig {
    /// DenseNet-121.
    pub const fn densenet121() -> Self {
        Self {
            channels: 3,
            width: 64,
            growth: 32,
            depths: [6, 12, 24, 16],
        }
    }

    /// Channels of the last map: after each block but the last, a transition halves them.
    pub const fn features(&self) -> usize {
        let [first, second, third, fourth] = self.depths;
        let first = (self.width + first * self.growth) / 2;
        let second = (first + second * self.growth) / 2;
        let third = (second + third * self.growth) / 2;
        third + fourth * self.growth
    }
}

/// A layer: norm, 1x1, norm, 3x3; it sees all maps of its block before it.
#[derive(Module, Debug)]
pub struct DenseLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
}

impl DenseLayer {
    fn new(input: usize, growth: usize, device: &Device) -> Self {
        let inner = BOTTLENECK * growth;
        Self {
            norm1: norm(input, device),
            conv1: conv(input, inner, 1, 1, device),
            norm2: norm(inner, device),
            conv2: conv(inner, growth, 3, 1, device),
        }
    }

    /// # Shapes
    /// - all maps of the block so far `(batch, channels, rows, columns)` -> `(batch, growth, rows, columns)`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = norm_channels(&self.norm1, x, None, true);
        let x = convolve_norm(&self.conv1, &self.norm2, x, None, true);
        convolve(&self.conv2, x)
    }
}

/// A dense block: each layer's maps are added to those it saw.
///
/// # Shapes
/// - x `(batch, channels, rows, columns)` -> `(batch, channels + layers * growth, rows, columns)`
fn dense_block(layers: &[DenseLayer], x: Tensor<4>) -> Tensor<4> {
    let [batch, mut channels, rows, columns] = x.dims();
    if batch > 1 || !runs_cpu_kernels(&x.device()) {
        return layers.iter().fold(x, |x, layer| {
            let new = layer.forward(x.clone());
            Tensor::cat(vec![x, new], 1)
        });
    }
    // Room for all maps at once, which layers read and write in place, instead of a copy a layer. Of several pictures what there
    // is so far would not lie in one piece.
    let growth = layers.first().map_or(0, |layer| layer.conv2.weight.dims()[0]);
    let room = [batch, channels + layers.len() * growth, rows, columns];
    let mut maps = Tensor::zeros(room, &x.device()).slice_assign([0..batch, 0..channels], x);
    for layer in layers {
        let new = layer.forward(maps.clone().slice([0..batch, 0..channels]));
        maps = maps.slice_assign([0..batch, channels..channels + growth], new);
        channels += growth;
    }
    maps
}

/// Between two blocks: half the channels, half the side.
#[derive(Module, Debug)]
pub struct Transition {
    norm: BatchNorm,
    conv: Conv2d,
    pool: AvgPool2d,
}

impl Transition {
    fn new(input: usize, device: &Device) -> Self {
        let pool = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        Self {
            norm: norm(input, device),
            conv: conv(input, input / 2, 1, 1, device),
            pool,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = norm_channels(&self.norm, x, None, true);
        self.pool.forward(convolve(&self.conv, x))
    }
}

/// The network up to its last map.
#[derive(Module, Debug)]
pub struct DenseNet {
    conv0: Conv2d,
    norm0: BatchNorm,
    pool0: MaxPool2d,
    denseblock1: Vec<DenseLayer>,
    transition1: Transition,
    denseblock2: Vec<DenseLayer>,
    transition2: Transition,
    denseblock3: Vec<DenseLayer>,
    transition3: Transition,
    denseblock4: Vec<DenseLayer>,
    norm5: BatchNorm,
}

impl DenseNet {
    /// Random weights (He initialisation, fan out).
    pub fn new(config: &DenseNetConfig, device: &Device) -> Self {
        let (width, growth) = (config.width, config.growth);
        let block = |channels: &mut usize, number: usize| -> Vec<DenseLayer> {
            (0..config.depths[number])
                .map(|_| {
                    let layer = DenseLayer::new(*channels, growth, device);
                    *channels += growth;
                    layer
                })
                .collect()
        };
        let transition = |channels: &mut usize| {
            let transition = Transition::new(*channels, device);
            *channels /= 2;
            transition
        };
        let mut channels = width;
        Self {
            conv0: conv(config.channels, width, 7, 2, device),
            norm0: norm(width, device),
            pool0: halving(),
            denseblock1: block(&mut channels, 0),
            transition1: transition(&mut channels),
            denseblock2: block(&mut channels, 1),
            transition2: transition(&mut channels),
            denseblock3: block(&mut channels, 2),
            transition3: transition(&mut channels),
            denseblock4: block(&mut channels, 3),
            norm5: norm(channels, device),
        }
    }

    /// # Shapes
    /// - picture `(batch, channels, size, size)` -> map `(batch, features, size / 32, size / 32)`, rectified;
    ///   each halving but the first two rounds down
    ///
    /// `watch` is called with the name and value of the stem and each block, and of the last norm before its rectifier.
    pub fn forward(&self, picture: Tensor<4>, mut watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        let stem = convolve_norm(&self.conv0, &self.norm0, picture, None, true);
        let mut x = pool_largest(&self.pool0, stem);
        watch("stem", &x);
        let blocks = [
            ("denseblock1", &self.denseblock1, Some(&self.transition1)),
            ("denseblock2", &self.denseblock2, Some(&self.transition2)),
            ("denseblock3", &self.denseblock3, Some(&self.transition3)),
            ("denseblock4", &self.denseblock4, None),
        ];
        for (name, layers, transition) in blocks {
            x = dense_block(layers, x);
            watch(name, &x);
            if let Some(transition) = transition {
                x = transition.forward(x);
            }
        }
        x = norm_channels(&self.norm5, x, None, false);
        watch("norm5", &x);
        relu(x)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::nn;

    #[test]
    fn maps_written_in_place_are_those_that_are_put_side_by_side() {
        let device = Device::flex();
        let (width, growth) = (5, 3);
        let layers: Vec<DenseLayer> = (0..3)
            .map(|number| DenseLayer::new(width + number * growth, growth, &device))
            .collect();
        for batch in [1, 3] {
            let x = Tensor::<4>::random([batch, width, 9, 7], Distribution::Normal(0.0, 1.0), &device);
            let expected = layers.iter().fold(x.clone(), |x, layer| {
                let new = layer.forward(x.clone());
                Tensor::cat(vec![x, new], 1)
            });
            let found = dense_block(&layers, x.clone());
            assert_eq!(found.dims(), [batch, width + 3 * growth, 9, 7]);
            found.into_data().assert_eq(&expected.into_data(), true);
            // What the block was given is not written.
            let again = dense_block(&layers, x.clone()).narrow(1, 0, width);
            again.into_data().assert_eq(&x.into_data(), true);
        }
    }

    #[test]
    fn densenet_121_has_the_published_size() {
        let config = DenseNetConfig::densenet121();
        assert_eq!(config.features(), 1024);
        let shapes = nn::shapes(&DenseNet::new(&config, &Device::flex()));
        assert_eq!(shapes["denseblock3.denselayer24.conv2.weight"], [32, 128, 3, 3]);
        // torchvision's 7,978,856 less the classifier's 1000 * 1024 + 1000.
        let learned = shapes.iter().filter(|(name, _)| !name.contains("running_"));
        assert_eq!(
            learned
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum::<usize>(),
            7_978_856 - 1_025_000
        );
    }
}
