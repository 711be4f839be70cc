//! Classifiers of findings as others publish them: torchvision's DenseNet with a head of NIH's classes (CheXNet's many
//! reproductions), and TorchXRayVision's (Cohen et al. 2022).

use super::{HeadNames, Rename, Table, densenet};

/// The head, whose name in torchvision is ours. Reproductions of CheXNet have a Sequential of it and a sigmoid, and wrap the
/// network.
const HEAD: &[Rename] = &[
    ("classifier.0.*", "classifier.*"),
    ("classifier.*", "classifier.*"),
];

/// The import table of classifiers.
pub const TABLE: Table = Table {
    system: "findings",
    prefixes: &["densenet121.", "model."],
    endings: &[],
    renames: &[HEAD, densenet::TORCHVISION],
    dropped: &[],
    strangers: &[
        (
            "uplayer1.**",
            "it is TorchXRayVision's ResNet autoencoder, which predicts no findings; give one of its DenseNet-121 files \
             (densenet121-res224-all and its siblings)",
        ),
        (
            "layer4.**",
            "it is a ResNet, as TorchXRayVision's resnet50-res512-all for 512 px is; of published classifiers DenseNets are taken: \
             TorchXRayVision's densenet121-res224-all and its siblings, torchvision's and CheXNet's",
        ),
    ],
    head: Some(HeadNames {
        linear: "classifier",
        points: "op_threshs",
        lists: &["targets", "pathologies", "labels", "classes", "class_names"],
        published: include_str!("xrv.json"),
    }),
};
