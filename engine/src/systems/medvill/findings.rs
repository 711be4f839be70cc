//! Findings read from a picture's map alone, and the view with them. *Ours*.

use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor, TensorData};

use super::MedVill;
use crate::nn::linear;
use crate::systems::learn::{Batch, Target, binary_cross_entropy};

impl MedVill {
    /// Logits of the findings of a picture, read from its map alone: anywhere, on the left, on the right.
    ///
    /// A category's logit is the log-sum-exp of the cells that may show it: all of them, or those of a side
    /// and the middle column, the patient's left being the right of the picture.
    ///
    /// # Shapes
    /// - features `(batch, tokens, features)` -> `(batch, 3, 14)`; `None` where the config has no such layer
    ///
    /// `grid` holds the map index of each token.
    pub fn map_findings(&self, features: Tensor<3>, grid: &[usize]) -> Option<Tensor<3>> {
        Some(self.pool_findings(self.map_findings.as_ref()?.forward(features), grid))
    }

    /// Cells' logits `(batch, tokens, 3 * 14)` -> the picture's `(batch, 3, 14)`.
    pub(super) fn pool_findings(&self, cells: Tensor<3>, grid: &[usize]) -> Tensor<3> {
        let [batch, tokens, _] = cells.dims();
        let side = self.config.size.div_ceil(32);
        let device = cells.device();
        let cells = cells.reshape([batch, tokens, 3, 14]);
        let middle = side / 2;
        let mut hidden = vec![0f32; tokens * 3];
        for (token, cell) in grid.iter().enumerate() {
            let column = cell % side;
            // 0: anywhere, 1: the patient's left, 2: the patient's right
            hidden[token * 3 + 1] = if column < middle { -1e4 } else { 0.0 };
            hidden[token * 3 + 2] = if column > side - 1 - middle { -1e4 } else { 0.0 };
        }
        let hidden = Tensor::<4>::from_data(TensorData::new(hidden, [1, tokens, 3, 1]), &device);
        let cells = cells + hidden;
        let peak = cells.clone().detach().max_dim(1);
        let sum = (cells - peak.clone()).exp().sum_dim(1).log() + peak;
        sum.reshape([batch, 3, 14])
    }

    /// Findings and sides from the picture's map alone (binary cross-entropy).
    pub(super) fn findings_loss(&self, features: Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let grid: Vec<usize> = (0..features.dims()[1]).collect();
        let logits = self.map_findings(features, &grid)?;
        let targets: Vec<Target> = batch
            .examples
            .iter()
            .flat_map(|e| e.findings.iter().flatten().copied())
            .collect();
        Some(binary_cross_entropy(logits, &targets))
    }

    /// F1 and sides of the map's findings at a probability of one half.
    pub(super) fn findings_measures(
        &self,
        features: Tensor<3>,
        batch: &Batch<'_>,
    ) -> Vec<(&'static str, f64, f64)> {
        let grid: Vec<usize> = (0..features.dims()[1]).collect();
        let Some(logits) = self.map_findings(features, &grid) else {
            return Vec::new();
        };
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let (mut right, mut sum, mut sides_right, mut sides) = (0.0, 0.0, 0.0, 0.0);
        for (row, example) in logits.chunks(3 * 14).zip(&batch.examples) {
            for category in 1..14 {
                let (says, is) = (row[category] > 0.0, example.findings[0][category] == Some(true));
                right += 2.0 * f64::from(u8::from(says && is));
                sum += f64::from(u8::from(says)) + f64::from(u8::from(is));
                if let (true, Some(left), Some(right)) =
                    (is, example.findings[1][category], example.findings[2][category])
                {
                    let says = |side: usize| row[side * 14 + category] > 0.0;
                    sides += 1.0;
                    sides_right += f64::from(u8::from(says(1) == left && says(2) == right));
                }
            }
        }
        vec![("micro_f1", right, sum), ("side", sides_right, sides)]
    }

    /// AP (true) or PA from the mean of the map, where the view is published.
    pub(super) fn view_loss(&self, features: Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let layer = self.map_view.as_ref()?;
        let [batch_size, _, width] = features.dims();
        let targets: Vec<Target> = batch.examples.iter().map(|e| e.ap).collect();
        let logits = layer.forward(features.mean_dim(1).reshape([batch_size, width]));
        targets
            .iter()
            .any(Option::is_some)
            .then(|| binary_cross_entropy(logits, &targets))
    }
}

/// The layer begins where no cell shows anything: summed over the cells of a map, findings are rare then, as
/// they are.
pub(super) fn map_findings_layer(features: usize, device: &Device) -> Linear {
    let layer = linear(features, 3 * 14, device);
    let bias = Some(Initializer::Constant { value: -6.0 }.init([3 * 14], device));
    Linear { bias, ..layer }
}
