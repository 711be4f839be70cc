//! A convolutional image encoder, ResNet or DenseNet, as the systems choose it, and what its pixels are normalised to.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{DenseNet, DenseNetConfig, ResNet, ResNetConfig};
use crate::image::Norm;

/// Which network, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ImageEncoderConfig {
    /// A ResNet (He et al. 2016).
    ResNet(ResNetConfig),
    /// A DenseNet (Huang et al. 2017).
    DenseNet(DenseNetConfig),
}

impl ImageEncoderConfig {
    /// Channels of the picture.
    pub const fn channels(&self) -> usize {
        match self {
            Self::ResNet(net) => net.channels,
            Self::DenseNet(net) => net.channels,
        }
    }

    /// Channels of the last map.
    pub fn features(&self) -> usize {
        match self {
            Self::ResNet(net) => net.features(),
            Self::DenseNet(net) => net.features(),
        }
    }

    /// Cells on a side of the last map of a picture of `size` pixels a side.
    pub const fn grid(size: usize) -> usize {
        size.div_ceil(32)
    }

    /// What keeps it from running on pictures of `size` pixels a side: the key, and what that must be. A damaged or
    /// hostile manifest must not make us allocate: nothing published comes near these bounds.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self, size: usize) -> Result<(), (&'static str, &'static str)> {
        if !(32..=4096).contains(&size) {
            return Err(("preprocessing.size", "be between 32 and 4096"));
        }
        match self {
            Self::ResNet(net) => {
                if net.width > 1024 || net.channels > 16 || net.depths.iter().any(|&n| n > 256) {
                    return Err((
                        "image",
                        "have at most width 1024, 16 channels and 256 blocks a stage",
                    ));
                }
                if net.width == 0 || net.channels == 0 || net.depths.contains(&0) {
                    return Err(("image", "have channels, width and blocks in all four stages"));
                }
            }
            Self::DenseNet(net) => {
                let long = net.depths.iter().any(|&n| n > 256);
                if net.width > 1024 || net.channels > 16 || net.growth > 1024 || long {
                    let most = "have at most width and growth 1024, 16 channels and 256 layers a block";
                    return Err(("densenet", most));
                }
                if net.width == 0 || net.channels == 0 || net.growth == 0 || net.depths.contains(&0) {
                    return Err((
                        "densenet",
                        "have channels, width, growth and layers in all four blocks",
                    ));
                }
                if !size.is_multiple_of(32) {
                    return Err((
                        "preprocessing.size",
                        "be a multiple of 32 before a DenseNet, whose transitions drop what is over",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What keeps a normalisation from being one: see [`ImageEncoderConfig::check`].
///
/// # Errors
/// The fault.
pub fn check_norm(norm: Norm) -> Result<(), (&'static str, &'static str)> {
    match norm {
        Norm::Fixed { mean, sd } if !(mean.is_finite() && sd > 0.0 && sd.is_finite()) => Err((
            "preprocessing.norm",
            "be a mean and a deviation greater than 0, or per_image",
        )),
        _ => Ok(()),
    }
}

/// Pixels in [0, 1] as a network wants them, the one channel repeated.
///
/// # Shapes
/// - pixels `(B, 1, S, S)` -> `(B, channels, S, S)`
pub fn normalize(pixels: Tensor<4>, norm: Norm, channels: usize) -> Tensor<4> {
    let normed = match norm {
        Norm::Fixed { mean, sd } => pixels.sub_scalar(mean).div_scalar(sd),
        Norm::PerImage => {
            let [batch, channels, rows, columns] = pixels.dims();
            // (B, 1, S, S) -> (B, S * S)
            let flat = pixels.reshape([batch, channels * rows * columns]);
            let centred = flat.clone() - flat.mean_dim(1);
            let deviation = centred.clone().square().mean_dim(1).sqrt().add_scalar(1e-3);
            (centred / deviation).reshape([batch, channels, rows, columns])
        }
    };
    normed.repeat_dim(1, channels)
}

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
    /// Random weights.
    pub fn new(config: &ImageEncoderConfig, device: &Device) -> Self {
        match config {
            ImageEncoderConfig::ResNet(net) => Self::ResNet(ResNet::new(net, device)),
            ImageEncoderConfig::DenseNet(net) => Self::DenseNet(DenseNet::new(net, device)),
        }
    }

    /// # Shapes
    /// - picture `(batch, channels, size, size)` -> map `(batch, features, size / 32, size / 32)`
    ///
    /// `watch` is called with the name and value of the stem and each stage.
    pub fn forward(&self, picture: Tensor<4>, watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        match self {
            Self::ResNet(net) => net.forward(picture, watch),
            Self::DenseNet(net) => net.forward(picture, watch),
        }
    }

    /// The cells of the last map, row by row.
    ///
    /// # Shapes
    /// - picture `(B, channels, S, S)` -> `(B, K, F)`
    pub fn cells(&self, picture: Tensor<4>, watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<3> {
        let map = self.forward(picture, watch);
        let [batch, features, rows, columns] = map.dims();
        // (B, F, rows, columns) -> (B, K, F)
        map.reshape([batch, features, rows * columns]).swap_dims(1, 2)
    }
}
