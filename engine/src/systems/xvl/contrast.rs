//! Contrastive learning across and within the modalities (eq. 1 to 6), with queues from the momentum teacher (He et al. 2020) and its
//! opinion as soft targets (eq. 11; ALBEF, Li et al. 2021, eq. 6).

use burn::tensor::{Tensor, activation::softmax};

use super::Xvl;
use crate::nn::loss::{similarities, soft_cross_entropy};

/// The features of a batch, of unit length: the student's and the teacher's, row by row the same studies.
#[derive(Clone, Debug)]
pub struct Features {
    /// Images, `(B, projection)`.
    pub image: Tensor<2>,
    /// Texts, `(B, projection)`.
    pub text: Tensor<2>,
    /// Images by the teacher.
    pub image_m: Tensor<2>,
    /// Texts by the teacher.
    pub text_m: Tensor<2>,
}

/// Features of other studies that the teacher made before: `(queued, projection)` each.
#[derive(Clone, Debug, Default)]
pub struct Queued {
    /// Images.
    pub image: Option<Tensor<2>>,
    /// Texts.
    pub text: Option<Tensor<2>>,
}

/// The four contrastive losses, `(1)` each.
#[derive(Debug)]
pub struct ContrastLosses {
    /// Images ask texts.
    pub i2t: Tensor<1>,
    /// Texts ask images.
    pub t2i: Tensor<1>,
    /// Images ask images.
    pub i2i: Tensor<1>,
    /// Texts ask texts.
    pub t2t: Tensor<1>,
}

impl ContrastLosses {
    /// Their mean, as the release has it: half of eq. 6.
    pub fn mean(self) -> Tensor<1> {
        (self.i2t + self.t2i + self.i2i + self.t2t).div_scalar(4.0)
    }

    /// The mean of those across the modalities, eq. 4.
    pub fn across(self) -> Tensor<1> {
        (self.i2t + self.t2i).div_scalar(2.0)
    }
}

impl Xvl {
    /// Eq. 4 and 5 with a share `lambda` of the teacher's distribution in each target; the keys are the teacher's features of the batch
    /// and those of the queues.
    pub fn contrast(&self, features: &Features, queued: &Queued, lambda: f64) -> ContrastLosses {
        let keys = |own: &Tensor<2>, queued: &Option<Tensor<2>>| match queued {
            Some(queued) => Tensor::cat(vec![own.clone(), queued.clone()], 0),
            None => own.clone(),
        };
        let images = keys(&features.image_m, &queued.image);
        let texts = keys(&features.text_m, &queued.text);
        let temperature = self.temp.val();
        let loss = |asks: &Tensor<2>, teacher_asks: &Tensor<2>, keys: &Tensor<2>| {
            let [batch, columns] = [asks.dims()[0], keys.dims()[0]];
            let logits = similarities(asks.clone(), keys.clone(), temperature.clone());
            let fixed = temperature.clone().detach();
            let opinion = softmax(similarities(teacher_asks.clone(), keys.clone(), fixed), 1);
            // Row i asks for key i.
            let own = Tensor::<2>::eye(batch, &asks.device());
            let others = Tensor::zeros([batch, columns - batch], &asks.device());
            let own = if columns > batch {
                Tensor::cat(vec![own, others], 1)
            } else {
                own
            };
            let targets = opinion.mul_scalar(lambda) + own.mul_scalar(1.0 - lambda);
            soft_cross_entropy(logits, targets.detach()).mean()
        };
        ContrastLosses {
            i2t: loss(&features.image, &features.image_m, &texts),
            t2i: loss(&features.text, &features.text_m, &images),
            i2i: loss(&features.image, &features.image_m, &images),
            t2t: loss(&features.text, &features.text_m, &texts),
        }
    }
}
