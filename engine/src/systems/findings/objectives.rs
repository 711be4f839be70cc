//! The classifier's losses over a batch: its labels, where they are seen, and two views of one image as a pair.

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Classifier, FindingsConfig};
use crate::nn::loss::binary_cross_entropy;
use crate::nn::{Arrays, indices};
use crate::systems::train::{Batch, Images, Losses, Objective, ParamGroup, StepContext, Trainable};
use crate::systems::{ConfigError, Task};
use crate::text::{Specials, Target};

impl Trainable for Classifier {
    type Config = FindingsConfig;

    const OBJECTIVES: &'static [Objective] = &[
        Objective::image("findings", Some(Task::Findings)),
        Objective::image("boxes", Some(Task::Findings)),
        Objective::image("contrast", None),
    ];

    fn views(on: &dyn Fn(&str) -> bool) -> usize {
        if on("contrast") { 2 } else { 1 }
    }

    fn init(config: &FindingsConfig, _: Specials, device: &Device) -> Result<Self, ConfigError> {
        Self::init(config, device)
    }

    fn config(&self) -> &FindingsConfig {
        &self.config
    }

    fn losses(&self, batch: &Batch<'_>, step: &mut StepContext<'_, Self>) -> Losses {
        let mut losses = Losses::new();
        let cells = match &batch.images {
            Images::Pixels(pixels) => self.read(pixels.clone()),
            Images::Features(features) => features.clone(),
            Images::None => return losses,
        };
        let weights = step.weights;
        if weights.on("contrast") {
            losses.extend(self.contrast_loss(&cells).map(|loss| ("contrast", loss)));
        }
        if weights.on("findings") || weights.on("boxes") {
            let cells = self.cell_logits(cells);
            if weights.on("boxes") {
                losses.extend(boxes_loss(&cells, batch).map(|loss| ("boxes", loss)));
            }
            if weights.on("findings") {
                let logits = self.pool(cells);
                let views = logits.dims()[0] / batch.examples.len().max(1);
                let of_views = |e: &&crate::systems::train::Example| e.targets.repeat(views);
                let targets: Vec<Target> = batch.examples.iter().flat_map(of_views).collect();
                losses.extend(binary_cross_entropy(logits, &targets).map(|loss| ("findings", loss)));
            }
        }
        losses
    }

    fn param_group(name: &str) -> ParamGroup {
        if name.starts_with("image.") || name.starts_with("others.") {
            ParamGroup::Backbone
        } else {
            ParamGroup::Head
        }
    }

    fn layers(&self) -> usize {
        0
    }

    fn cached_features(&self, pixels: Tensor<4>) -> Option<Tensor<3>> {
        Some(self.read(pixels))
    }

    fn ensemble(config: &FindingsConfig, members: &[&Arrays]) -> Option<(FindingsConfig, Arrays)> {
        super::ensemble::ensemble(config, members)
    }
}

impl Classifier {
    /// The contrast of views, of the mean of the cells.
    ///
    /// # Shapes
    /// - cells `(2 B, K, F)`, the views of an image one after another -> `(1)`
    fn contrast_loss(&self, cells: &Tensor<3>) -> Option<Tensor<1>> {
        let head = self.projection.as_ref()?;
        let pooled: Tensor<2> = cells.clone().mean_dim(1).squeeze_dim(1);
        head.contrast(pooled)
    }
}

/// How much of a finding's map lies outside of its box: minus the logarithm of what the softmax over the cells has inside, the
/// mean over the batch's boxes. *Ours*; the boxes teach where to look, the labels what there is. `None` where there is no box.
///
/// # Shapes
/// - cells' logits `(B, K, labels)` -> `(1)`
fn boxes_loss(cells: &Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
    let [images, count, labels] = cells.dims();
    let side = count.isqrt();
    let boxes: Vec<_> = batch.boxes.iter().filter(|b| b.label < labels).collect();
    if boxes.is_empty() || side * side != count {
        return None;
    }
    let device = cells.device();
    // A cell is inside where it meets the box.
    let inside = |area: [f32; 4], cell: usize| {
        let [left, top] = [cell % side, cell / side].map(|at| at as f32 / side as f32);
        let step = 1.0 / side as f32;
        left < area[2] && left + step > area[0] && top < area[3] && top + step > area[1]
    };
    let mask: Vec<f32> = boxes
        .iter()
        .flat_map(|b| (0..count).map(|cell| f32::from(u8::from(inside(b.area, cell)))))
        .collect();
    let mask = Tensor::<2>::from_data(TensorData::new(mask, [boxes.len(), count]), &device);
    // (B, K, labels) -> (B * labels, K)
    let rows = cells.clone().swap_dims(1, 2).reshape([images * labels, count]);
    let rows = rows.select(
        0,
        indices(boxes.iter().map(|b| b.image * labels + b.label), &device),
    );
    let within = (softmax(rows, 1) * mask).sum_dim(1);
    Some(within.clamp_min(1e-6).log().mean().neg())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::train::SeenBox;

    #[test]
    fn boxes_ask_for_what_the_softmax_has_inside_them() {
        let device = Device::flex();
        // Two images of 2 x 2 cells, two labels: of the second image the second label is high in the lower left cell.
        let mut values = vec![0.0; 2 * 4 * 2];
        values[8 + 2 * 2 + 1] = 2.0;
        let cells = Tensor::<3>::from_data(TensorData::new(values, [2, 4, 2]), &device);
        let seen = |image, label, area| SeenBox { image, label, area };
        let loss = |boxes: Vec<SeenBox>| {
            let batch = Batch {
                images: Images::None,
                masks: None,
                boxes,
                examples: Vec::new(),
                negatives: Vec::new(),
                questions: Vec::new(),
            };
            boxes_loss(&cells, &batch).map(|loss| loss.into_scalar::<f32>())
        };
        let lower_left = [0.1, 0.6, 0.4, 0.9];
        let share = 2f32.exp() / (2f32.exp() + 3.0);
        let one = loss(vec![seen(1, 1, lower_left)]).unwrap();
        assert!((one + share.ln()).abs() < 1e-5, "{one}");
        // A box over a border meets the cells on both sides of it; the mean is over boxes.
        let left = seen(0, 0, [0.0, 0.4, 0.5, 0.9]);
        let both = loss(vec![seen(1, 1, lower_left), left]).unwrap();
        assert!((both - (one + 2f32.ln()) / 2.0).abs() < 1e-5, "{both}");
        assert_eq!(loss(Vec::new()), None);
        assert_eq!(loss(vec![seen(0, 2, lower_left)]), None, "no such label");
    }
}
