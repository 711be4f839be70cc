//! ResNet under torchvision's names, which are also the canonical ones below `image.`.

use super::Rename;

/// A ResNet as torchvision saves it.
pub const TORCHVISION: &[Rename] = &[
    ("conv1.weight", "image.conv1.weight"),
    ("bn1.*", "image.bn1.*"),
    ("layer1.**", "image.layer1.**"),
    ("layer2.**", "image.layer2.**"),
    ("layer3.**", "image.layer3.**"),
    ("layer4.**", "image.layer4.**"),
];
