//! The projection head of self-distillation (DINO, Caron et al. 2021, section 3.1; iBOT, Zhou et al. 2022, section 3.3): three linear
//! layers, unit length, and a weight-normalised layer of prototypes.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{INITIALIZER_RANGE, dense, linear, unit};

/// Sizes of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrototypeConfig {
    /// Width of the two inner layers.
    pub hidden: usize,
    /// Width before the prototypes.
    pub bottleneck: usize,
    /// Prototypes.
    pub prototypes: usize,
}

/// A layer whose rows have a direction and a length (Salimans and Kingma 2016).
#[derive(Module, Debug)]
pub struct WeightNormed {
    weight_v: Param<Tensor<2>>,
    weight_g: Param<Tensor<2>>,
}

/// The head. Its linear layers are DINO's `mlp`, counted without the activations between them.
#[derive(Module, Debug)]
pub struct PrototypeHead {
    layer: Vec<Linear>,
    last_layer: WeightNormed,
}

impl PrototypeHead {
    /// Random weights, prototypes of length 1.
    pub fn new(width: usize, config: &PrototypeConfig, device: &Device) -> Self {
        let &PrototypeConfig {
            hidden,
            bottleneck,
            prototypes,
        } = config;
        let normal = Initializer::Normal {
            mean: 0.0,
            std: INITIALIZER_RANGE,
        };
        Self {
            layer: vec![
                linear(width, hidden, device),
                linear(hidden, hidden, device),
                linear(hidden, bottleneck, device),
            ],
            last_layer: WeightNormed {
                weight_v: normal.init([prototypes, bottleneck], device),
                weight_g: Initializer::Ones.init([prototypes, 1], device),
            },
        }
    }

    /// Logits of the prototypes.
    ///
    /// # Shapes
    /// - x `(rows, width)` -> `(rows, prototypes)`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.layer.len().saturating_sub(1);
        let mut x = x;
        for (number, linear) in self.layer.iter().enumerate() {
            x = dense(linear, x, number < last);
        }
        let prototypes = unit(self.last_layer.weight_v.val()) * self.last_layer.weight_g.val();
        unit(x).matmul(prototypes.transpose())
    }
}
