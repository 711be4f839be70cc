//! What stands around a sub-layer of a transformer: dropout, stochastic depth, the residual and the norm,
//! before or after.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;

use super::LayerNorm;

/// Stochastic depth (Huang et al. 2016): in training, a sample's branch is dropped as a whole with
/// probability `rate`, and grows by 1 / (1 - rate) where it stays.
#[derive(Module, Debug)]
pub struct DropPath {
    drop: Dropout,
}

impl DropPath {
    /// `rate` is at least 0 and below 1.
    pub fn new(rate: f64) -> Self {
        Self {
            drop: DropoutConfig::new(rate).init(),
        }
    }

    /// # Shapes
    /// - branch `(batch, tokens, width)` -> the same
    pub fn forward(&self, branch: Tensor<3>) -> Tensor<3> {
        let device = branch.device();
        if self.drop.prob == 0.0 || !device.is_autodiff() {
            return branch;
        }
        let kept = Tensor::ones([branch.dims()[0], 1, 1], &device);
        branch * self.drop.forward(kept)
    }
}

/// `norm(x + f(x))` as BERT has it, or `x + f(norm(x))` as ViT has it (Xiong et al. 2020 compare them).
#[derive(Module, Debug)]
pub struct Residual {
    pub(super) dropout: Dropout,
    drop_path: DropPath,
    pre_norm: bool,
}

impl Residual {
    /// Rates in training; `pre_norm` puts the norm before the sub-layer.
    pub fn new(dropout: f64, drop_path: f64, pre_norm: bool) -> Self {
        Self {
            dropout: DropoutConfig::new(dropout).init(),
            drop_path: DropPath::new(drop_path),
            pre_norm,
        }
    }

    /// What the sub-layer reads.
    ///
    /// # Shapes
    /// - x `(batch, tokens, width)` -> the same
    pub fn open(&self, norm: &LayerNorm, x: &Tensor<3>) -> Tensor<3> {
        if self.pre_norm {
            norm.forward(x.clone())
        } else {
            x.clone()
        }
    }

    /// What the sub-layer's `branch` becomes with the `x` that it was opened with.
    ///
    /// # Shapes
    /// - branch, x `(batch, tokens, width)` -> the same
    pub fn close(&self, norm: &LayerNorm, branch: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        let branch = self.drop_path.forward(self.dropout.forward(branch));
        if self.pre_norm {
            x + branch
        } else {
            norm.forward_sum(branch, x)
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn drop_path_drops_samples_whole_in_training_alone() {
        let ones = |device: &Device| Tensor::<3>::ones([400, 2, 3], device);
        let path = DropPath::new(0.25);
        let still: Vec<f32> = path
            .forward(ones(&Device::flex()))
            .into_data()
            .iter::<f32>()
            .collect();
        assert!(still.iter().all(|v| *v == 1.0));
        let trained: Vec<f32> = path
            .forward(ones(&Device::flex().autodiff()))
            .into_data()
            .iter::<f32>()
            .collect();
        let whole = |sample: &[f32]| sample.iter().all(|v| *v == sample[0]);
        assert!(trained.chunks(6).all(whole), "a sample is dropped whole");
        let kept = trained.chunks(6).filter(|s| s[0] > 0.0).count();
        assert!(trained.iter().all(|v| *v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
        // 300 of 400 by expectation, with a standard deviation of 9.
        assert!((245..=355).contains(&kept), "{kept} of 400 were kept");
    }

    #[test]
    fn norms_stand_where_they_are_asked_for() {
        let device = Device::flex();
        let norm = LayerNorm::new(2, 0.0, &device);
        let x = Tensor::<3>::from_data([[[1.0, 3.0]]], &device);
        let run = |pre_norm| -> Vec<f32> {
            let residual = Residual::new(0.0, 0.0, pre_norm);
            let branch = residual.open(&norm, &x).mul_scalar(2.0);
            residual
                .close(&norm, branch, x.clone())
                .into_data()
                .iter::<f32>()
                .collect()
        };
        // Before: (-1, 1) doubled onto (1, 3). After: (3, 9) to mean 0 and deviation 1.
        assert_eq!(run(true), [-1.0, 5.0]);
        assert_eq!(run(false), [-1.0, 1.0]);
    }
}
