//! What is *ours*, not MedViLL's: aids for a small model that is trained from scratch, see [`OursConfig`].
//!
//! A log-sum-exp head reads findings and their sides off the cells of the map (multiple-instance pooling, Wang et al. 2017), and
//! what it reads is given to the visual tokens.

use burn::nn::{EmbeddingConfig, Initializer, Linear};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{MedVill, MedVillConfig, VisualEmbeddings};
use crate::nn::linear;

/// Labels a side: anywhere, the patient's left, the patient's right.
const LABELS: usize = 14;

impl MedVill {
    /// Logits of the findings of an image, read from its map alone: anywhere, on the left, on the right.
    ///
    /// A label's logit is the log-sum-exp of the cells that may show it: all of them, or those of a side and the middle
    /// column, the patient's left being the right of the image.
    ///
    /// # Shapes
    /// - features `(B, T, F)` -> `(B, 3 * 14)`; `None` where the config has no such head
    ///
    /// `grid` holds the map index of each token; `None` for all cells.
    pub fn findings_logits(&self, features: Tensor<3>, grid: Option<&[usize]>) -> Option<Tensor<2>> {
        let cells = self.map_findings.as_ref()?.forward(features);
        let all: Vec<usize> = (0..cells.dims()[1]).collect();
        Some(self.pool_findings(cells, grid.unwrap_or(&all)))
    }

    /// Cells' logits `(B, T, 3 * 14)` -> the image's `(B, 3 * 14)`.
    fn pool_findings(&self, cells: Tensor<3>, grid: &[usize]) -> Tensor<2> {
        let [batch, tokens, _] = cells.dims();
        let side = self.config.grid();
        let device = cells.device();
        // (B, T, 3 * 14) -> (B, T, 3, 14)
        let cells = cells.reshape([batch, tokens, 3, LABELS]);
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
        // (B, 1, 3, 14) -> (B, 3 * 14)
        sum.reshape([batch, 3 * LABELS])
    }

    /// AP (above 0) or PA from the mean of the map, `(B, T, F)` -> `(B)`; `None` where the config has no such head.
    pub(super) fn view_logits(&self, features: Tensor<3>) -> Option<Tensor<1>> {
        let [batch, _, width] = features.dims();
        let mean = features.mean_dim(1).reshape([batch, width]);
        Some(self.map_view.as_ref()?.forward(mean).reshape([batch]))
    }

    /// Projected visual features with the findings of the whole map, those of their own cell, and a position in the
    /// grid's own table, where the config says so.
    ///
    /// # Shapes
    /// - projected `(B, T, width)`, features `(B, T, F)`, positions `(B, T)` -> `(B, T, width)`
    pub(super) fn add_priors(
        &self,
        mut projected: Tensor<3>,
        features: Tensor<3>,
        positions: Tensor<2, Int>,
        grid: &[usize],
    ) -> Tensor<3> {
        let visual = &self.visual;
        let carried = visual.cells.is_some() || visual.findings.is_some();
        if let Some(head) = self.map_findings.as_ref().filter(|_| carried) {
            let batch = features.dims()[0];
            let cells = head.forward(features);
            if let Some(projection) = &visual.cells {
                // The first 14 are those of anywhere.
                let own = sigmoid(cells.clone().narrow(2, 0, LABELS));
                projected = projected + projection.forward(own);
            }
            if let Some(projection) = &visual.findings {
                let whole = sigmoid(self.pool_findings(cells, grid)).reshape([batch, 1, 3 * LABELS]);
                projected = projected + projection.forward(whole);
            }
        }
        match &visual.grid {
            Some(table) => projected + table.forward(positions),
            None => projected,
        }
    }
}

/// The visual embeddings of a config.
pub(super) fn visual_embeddings(config: &MedVillConfig, device: &Device) -> VisualEmbeddings {
    let (width, ours) = (config.bert.width, config.ours.unwrap_or_default());
    VisualEmbeddings {
        projection: linear(config.features(), width, device),
        grid: ours.grid_positions.then(|| {
            let initializer = Initializer::Normal { mean: 0.0, std: 0.3 };
            let table = EmbeddingConfig::new(config.visual_tokens(), width);
            table.with_initializer(initializer).init(device)
        }),
        findings: ours
            .global_prior
            .then(|| probability_projection(3 * LABELS, width, device)),
        cells: ours
            .local_prior
            .then(|| probability_projection(LABELS, width, device)),
    }
}

/// The head begins where no cell shows anything: summed over the cells of a map, findings are rare then, as they are.
pub(super) fn findings_layer(features: usize, device: &Device) -> Linear {
    let layer = linear(features, 3 * LABELS, device);
    let bias = Some(Initializer::Constant { value: -6.0 }.init([3 * LABELS], device));
    Linear { bias, ..layer }
}

/// A linear layer with weights of sd 0.5, so that a few probabilities are heard beside visual features, whose sum over
/// many channels is about 1.
fn probability_projection(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let layer = linear(inputs, outputs, device);
    let initializer = Initializer::Normal { mean: 0.0, std: 0.5 };
    Linear {
        weight: initializer.init([inputs, outputs], device),
        ..layer
    }
}
