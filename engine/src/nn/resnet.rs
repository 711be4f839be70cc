//! ResNet (He et al. 2016) with torchvision's layout and names; no classification head: what is used is the
//! last map.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{convolve_norm, pool_largest};

/// The residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// 3x3, 3x3 (ResNet-18, 34).
    Basic,
    /// 1x1, 3x3, 1x1 with four times the width at the end (ResNet-50, 101).
    Bottleneck,
}

impl Block {
    const fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// Sizes of a ResNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels of the picture, 3 for checkpoints made for photographs.
    pub channels: usize,
    /// Channels after the stem and of the first stage; doubled at each later stage.
    pub width: usize,
    /// The block.
    pub block: Block,
    /// Blocks a stage.
    pub depths: [usize; 4],
}

impl ResNetConfig {
    /// ResNet-50.
    pub const fn resnet50() -> Self {
        Self {
            channels: 3,
            width: 64,
            block: Block::Bottleneck,
            depths: [3, 4, 6, 3],
        }
    }

    /// ResNet-101.
    pub const fn resnet101() -> Self {
        Self {
            depths: [3, 4, 23, 3],
            ..Self::resnet50()
        }
    }

    /// Channels of the last map.
    pub const fn features(&self) -> usize {
        self.width * 8 * self.block.expansion()
    }
}

/// A convolution without bias, padded so that only its stride shrinks the map.
pub(super) fn conv(input: usize, output: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new([input, output], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal {
            gain: std::f64::consts::SQRT_2,
            fan_out_only: true,
        })
        .init(device)
}

/// The stem's pool: the largest of 3x3, every second row and column.
pub(super) fn halving() -> MaxPool2d {
    let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
    MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(padding)
        .init()
}

pub(super) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

/// The shortcut where shapes differ.
#[derive(Module, Debug)]
pub struct Downsample {
    conv: Conv2d,
    bn: BatchNorm,
}

/// A residual block of either kind; `conv3` is there in a bottleneck alone.
#[derive(Module, Debug)]
pub struct Residual {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    downsample: Option<Downsample>,
}

impl Residual {
    fn new(block: Block, input: usize, width: usize, stride: usize, device: &Device) -> Self {
        let output = width * block.expansion();
        let downsample = (stride != 1 || input != output).then(|| Downsample {
            conv: conv(input, output, 1, stride, device),
            bn: norm(output, device),
        });
        match block {
            Block::Basic => Self {
                conv1: conv(input, width, 3, stride, device),
                bn1: norm(width, device),
                conv2: conv(width, width, 3, 1, device),
                bn2: norm(width, device),
                conv3: None,
                bn3: None,
                downsample,
            },
            // torchvision puts the stride on the 3x3 ("ResNet V1.5").
            Block::Bottleneck => Self {
                conv1: conv(input, width, 1, 1, device),
                bn1: norm(width, device),
                conv2: conv(width, width, 3, stride, device),
                bn2: norm(width, device),
                conv3: Some(conv(width, output, 1, 1, device)),
                bn3: Some(norm(output, device)),
                downsample,
            },
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some(down) => convolve_norm(&down.conv, &down.bn, x.clone(), None, false),
            None => x.clone(),
        };
        let y = convolve_norm(&self.conv1, &self.bn1, x, None, true);
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let y = convolve_norm(&self.conv2, &self.bn2, y, None, true);
                convolve_norm(conv3, bn3, y, Some(shortcut), true)
            }
            _ => convolve_norm(&self.conv2, &self.bn2, y, Some(shortcut), true),
        }
    }
}

/// The network up to its last map.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    pool: MaxPool2d,
    layer1: Vec<Residual>,
    layer2: Vec<Residual>,
    layer3: Vec<Residual>,
    layer4: Vec<Residual>,
}

impl ResNet {
    /// Random weights (He initialisation, fan out).
    pub fn new(config: &ResNetConfig, device: &Device) -> Self {
        let mut input = config.width;
        let mut stage = |number: usize| -> Vec<Residual> {
            let width = config.width << number;
            (0..config.depths[number])
                .map(|index| {
                    let stride = if number > 0 && index == 0 { 2 } else { 1 };
                    let block = Residual::new(config.block, input, width, stride, device);
                    input = width * config.block.expansion();
                    block
                })
                .collect()
        };
        Self {
            conv1: conv(config.channels, config.width, 7, 2, device),
            bn1: norm(config.width, device),
            pool: halving(),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
        }
    }

    /// # Shapes
    /// - picture `(batch, channels, size, size)` -> map `(batch, features, size / 32, size / 32)`, rounded up
    ///
    /// `watch` is called with the name and value of the stem and each stage.
    pub fn forward(&self, picture: Tensor<4>, mut watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        let stem = convolve_norm(&self.conv1, &self.bn1, picture, None, true);
        let mut x = pool_largest(&self.pool, stem);
        watch("stem", &x);
        for (name, stage) in [
            ("layer1", &self.layer1),
            ("layer2", &self.layer2),
            ("layer3", &self.layer3),
            ("layer4", &self.layer4),
        ] {
            x = stage.iter().fold(x, |x, block| block.forward(x));
            watch(name, &x);
        }
        x
    }
}
