//! The image encoder: the paper's ResNet, or the DenseNet of its ablation D-121 (section 4.4, 5).

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::MedVillConfig;
use crate::nn::{DenseNet, ResNet};

/// The network whose last map is cut into visual tokens.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model holds one of them, once")]
pub enum ImageEncoder {
    /// A ResNet.
    ResNet(ResNet),
    /// A DenseNet.
    DenseNet(DenseNet),
}

impl ImageEncoder {
    pub(super) fn new(config: &MedVillConfig, device: &Device) -> Self {
        match &config.densenet {
            Some(densenet) => Self::DenseNet(DenseNet::new(densenet, device)),
            None => Self::ResNet(ResNet::new(&config.image, device)),
        }
    }

    /// # Shapes
    /// - picture `(batch, channels, size, size)` -> map `(batch, features, size / 32, size / 32)`
    ///
    /// `watch` is called with the name and value of the stem and each stage.
    pub(super) fn forward(&self, picture: Tensor<4>, watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        match self {
            Self::ResNet(net) => net.forward(picture, watch),
            Self::DenseNet(net) => net.forward(picture, watch),
        }
    }
}
