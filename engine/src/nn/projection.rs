//! The head of contrastive pre-training on two views of each image, thrown away after it (SimCLR, Chen et al. 2020, section 2.1): linear,
//! ReLU, linear.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::linear;
use super::loss::nt_xent;

/// Of the contrast of views (Chen et al. 2020, section 5.1: 0.1 to 0.5; the smaller the batch the higher).
const TEMPERATURE: f64 = 0.2;

/// The head.
#[derive(Module, Debug)]
pub struct Projection {
    inner: Linear,
    output: Linear,
}

impl Projection {
    /// Random weights, from `features` to `width`.
    pub fn new(features: usize, width: usize, device: &Device) -> Self {
        Self {
            inner: linear(features, features, device),
            output: linear(features, width, device),
        }
    }

    /// What views are compared by, of any length.
    ///
    /// # Shapes
    /// - x `(rows, features)` -> `(rows, width)`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.inner.forward(x)))
    }

    /// The two views of an image are more alike than those of any two images of the batch (Chen et al. 2020, eq. 1). `None`
    /// for one image, which has no negatives.
    ///
    /// # Shapes
    /// - x `(2 B, features)`, the views of an image one after another -> `(1)`
    ///
    /// # Panics
    /// When a view has no partner.
    pub fn contrast(&self, x: Tensor<2>) -> Option<Tensor<1>> {
        nt_xent(self.forward(x), TEMPERATURE)
    }
}
