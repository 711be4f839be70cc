//! The image encoder by itself, as the rows of Table 5 that Medical X-VL is compared with learn it: SimCLR (Chen et al. 2020), DINO (Caron
//! et al. 2021), SimMIM (Xie et al. 2022), of the same ViT. Reports are not read.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::masking::{centre, mim_loss, teacher_temperature};
use super::objectives::{Teacher, still};
use super::{Xvl, XvlConfig};
use crate::nn::{Projection, PrototypeHead, column_of, dense, indices, linear, rows_of};
use crate::systems::train::{Batch, StepContext};

/// How much of an image SimMIM masks (Xie et al. 2022, section 4.1.2).
const RATIO: f64 = 0.6;

/// The side of what SimMIM masks at once, in pixels (Xie et al. 2022, section 4.1.2).
const UNIT: usize = 32;

/// What the image encoder learns from where it learns by itself, and the head for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageAlone {
    /// Two views of an image are more alike than two images. The head is as wide as `contrast.projection`.
    SimClr,
    /// One view tells which prototypes the momentum teacher (`optim.ema`) finds in the other. Head, temperatures, warm-up and centre are those
    /// of `mim`, which iBOT took from DINO. *Ours*: two global views and no smaller crops, a momentum that stays, prototypes that
    /// learn from the first step.
    Dino,
    /// The pixels of masked patches from the others.
    SimMim,
}

impl ImageAlone {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SimClr, Self::Dino, Self::SimMim];

    /// The objective, as runs weigh it.
    pub const fn objective(self) -> &'static str {
        match self {
            Self::SimClr => "simclr",
            Self::Dino => "dino",
            Self::SimMim => "simmim",
        }
    }

    /// Augmented views of each image.
    pub const fn views(self) -> usize {
        match self {
            Self::SimClr | Self::Dino => 2,
            Self::SimMim => 1,
        }
    }

    /// That of an objective's name; `None` for one that is no image's alone.
    pub fn of(objective: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.objective() == objective)
    }
}

/// The head that goes with it, thrown away when the image encoder has learned.
#[derive(Module, Debug)]
pub enum ImageAloneHead {
    /// Of an image's CLS.
    SimClr(Projection),
    /// Of an image's CLS.
    Dino(PrototypeHead),
    /// From a patch to its pixels (Xie et al. 2022, section 3.3).
    SimMim(Linear),
}

impl ImageAloneHead {
    /// Random weights.
    pub fn new(method: ImageAlone, config: &XvlConfig, device: &Device) -> Self {
        let vit = &config.vit;
        match method {
            ImageAlone::SimClr => {
                Self::SimClr(Projection::new(vit.width, config.contrast.projection, device))
            }
            ImageAlone::Dino => Self::Dino(PrototypeHead::new(vit.width, &config.mim.head, device)),
            ImageAlone::SimMim => {
                Self::SimMim(linear(vit.width, vit.channels * vit.patch * vit.patch, device))
            }
        }
    }
}

/// Masks squares of [`UNIT`] pixels, or of one patch where that is larger, on a grid over the image, until their share is [`RATIO`],
/// rounded up (Xie et al. 2022, section 3.2). Those that reach beyond the image end with it.
pub(super) fn mask_units(side: usize, patch: usize, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let unit = (UNIT / patch.max(1)).max(1);
    let units = side.div_ceil(unit);
    let count = units * units;
    let wanted = ((RATIO * count as f64).ceil() as usize).min(count);
    let mut masked = vec![false; count];
    for chosen in sample(rng, count, wanted) {
        masked[chosen] = true;
    }
    let of_patch = |patch: usize| masked[patch / side / unit * units + patch % side / unit];
    (0..side * side).map(of_patch).collect()
}

/// The pixels of each patch: channel by channel, row by row.
///
/// # Shapes
/// - image `(B, channels, side * patch, side * patch)` -> `(B * side * side, channels * patch * patch)`
fn pixels_of(image: Tensor<4>, patch: usize) -> Tensor<2> {
    let [batch, channels, size, _] = image.dims();
    let side = size / patch;
    // (B, C, S, S) -> (B, C, rows, patch, columns, patch) -> (B, rows, columns, C, patch, patch) -> (B * K, pixels)
    image
        .reshape([batch, channels, side, patch, side, patch])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch * side * side, channels * patch * patch])
}

/// Each view's row in the place of the other view's.
fn crossed(rows: Tensor<2>) -> Tensor<2> {
    let (count, device) = (rows.dims()[0], rows.device());
    rows.select(0, indices((0..count).map(|row| row ^ 1), &device))
}

impl Xvl {
    /// The loss of the head that there is; `None` where there is none or nothing to learn from.
    pub(super) fn image_alone_loss(
        &self,
        view: &Tensor<4>,
        batch: &Batch<'_>,
        step: &mut StepContext<'_, Self>,
    ) -> Option<Tensor<1>> {
        // A frozen backbone's cells are of one view.
        let paired = || view.dims()[0] == 2 * batch.examples.len();
        match self.image_alone.as_ref()? {
            ImageAloneHead::SimClr(head) if paired() => head.contrast(self.cls(view.clone())),
            ImageAloneHead::Dino(head) if paired() => self.dino_loss(head, view.clone(), batch, step),
            ImageAloneHead::SimMim(head) => {
                let (vit, images) = (&self.config.vit, 0..view.dims()[0]);
                let masked: Vec<bool> = images
                    .flat_map(|_| mask_units(vit.grid(), vit.patch, step.rng))
                    .collect();
                Some(self.simmim_loss(head, view.clone(), &masked))
            }
            _ => None,
        }
    }

    /// What stands for each image, `(B, width)`.
    fn cls(&self, view: Tensor<4>) -> Tensor<2> {
        column_of(&self.encode_patches(view, None), 0)
    }

    /// Cross-entropy of each view's prototypes against those that the teacher finds in the other one (Caron et al. 2021, eq. 2 and 3).
    fn dino_loss(
        &self,
        head: &PrototypeHead,
        view: Tensor<4>,
        batch: &Batch<'_>,
        step: &mut StepContext<'_, Self>,
    ) -> Option<Tensor<1>> {
        let teacher = Teacher::new(self, step.teacher);
        let Some(ImageAloneHead::Dino(teacher_head)) = &teacher.model.image_alone else {
            return None;
        };
        let student = head.forward(self.cls(view));
        let device = student.device();
        let seen = teacher.view(&batch.images)?;
        let targets = still(
            teacher_head.forward(teacher.model.cls(seen)),
            &device.clone().inner(),
        );
        let config = &self.config.mim;
        let centre = centre(step.memory, "dino", &targets, config.centre);
        let share = step.progress.share();
        Some(mim_loss(
            student,
            crossed(still(targets, &device)),
            still(centre, &device),
            config,
            teacher_temperature(config, share),
        ))
    }

    /// The mean distance of the masked patches' pixels, normalised as the network sees them, from what is made of them (Xie et al. 2022,
    /// section 3.4).
    ///
    /// # Shapes
    /// - image `(B, channels, S, S)`, masked `B * K` patches -> `(1)`
    fn simmim_loss(&self, head: &Linear, image: Tensor<4>, masked: &[bool]) -> Tensor<1> {
        let hidden: Vec<usize> = (0..masked.len()).filter(|patch| masked[*patch]).collect();
        let tokens = self.encode_patches(image.clone(), Some(masked));
        let tokens = self.visual_encoder.patch_tokens(&tokens);
        let made = dense(head, rows_of(tokens, hidden.iter().copied()), false);
        let pixels = pixels_of(image, self.config.vit.patch);
        let device = pixels.device();
        (made - pixels.select(0, indices(hidden, &device))).abs().mean()
    }
}

#[cfg(test)]
mod tests;
