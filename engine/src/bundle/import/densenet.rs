//! DenseNet under torchvision's names, which are also the canonical ones below `image.`.

use super::Rename;

/// A DenseNet as torchvision saves it. The weights that it publishes were made when a layer's parts were
/// called `norm.1`.
pub const TORCHVISION: &[Rename] = &[
    ("features.conv0.weight", "image.conv0.weight"),
    ("features.norm0.*", "image.norm0.*"),
    ("features.denseblock*.*.norm.*.*", "image.denseblock*.*.norm*.*"),
    ("features.denseblock*.*.conv.*.*", "image.denseblock*.*.conv*.*"),
    ("features.denseblock*.**", "image.denseblock*.**"),
    ("features.transition*.**", "image.transition*.**"),
    ("features.norm5.*", "image.norm5.*"),
];
