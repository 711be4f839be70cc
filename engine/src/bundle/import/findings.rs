//! Classifiers of findings as others publish them: torchvision's DenseNet with a head of NIH's classes (CheXNet's many
//! reproductions), and TorchXRayVision's.

use super::{Rename, Table, densenet};

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
    dropped: &[("op_threshs", "they are operating points, and no weights")],
};
