//! Medical X-VL's losses over a batch: contrastive, image-text matching, masked words, masked patches (eq. 10); reports; labels; the image
//! alone.

use burn::tensor::{Device, Tensor};
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::contrast::{Features, Queued};
use super::image_alone::ImageAlone;
use super::masking::{centre, mask_blocks, mask_words, mim_loss, teacher_temperature, two_readings};
use super::matching::{MistakenTexts, Negatives, draw_negatives};
use super::{ReadTexts, Xvl, XvlConfig};
use crate::nn::loss::{binary_cross_entropy, similarities};
use crate::nn::{Array, Arrays, column_of, dense, samples_of};
use crate::systems::train::{Batch, Images, Losses, Objective, ParamGroup, Progress, StepContext, Trainable};
use crate::systems::{ConfigError, SystemConfig, Task};
use crate::text::Specials;

/// The momentum teacher: the run's average where it keeps one, else the student as it is. Nothing of it has a gradient.
pub(super) struct Teacher<'a> {
    pub(super) model: &'a Xvl,
    device: Device,
}

impl<'a> Teacher<'a> {
    pub(super) fn new(student: &'a Xvl, average: Option<&'a Xvl>) -> Self {
        let model = average.unwrap_or(student);
        Self {
            model,
            device: model.device(),
        }
    }

    /// Something as the teacher takes it.
    fn take<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        still(x, &self.device)
    }

    /// What its ViT cuts into patches of a batch's images: it looks for itself, where there is a backbone that learns.
    pub(super) fn view(&self, images: &Images) -> Option<Tensor<4>> {
        let images = match images {
            Images::Pixels(pixels) => Images::Pixels(self.take(pixels.clone())),
            Images::Features(cells) => Images::Features(self.take(cells.clone())),
            Images::None => Images::None,
        };
        self.model.view_of(&images)
    }
}

/// A value without its gradient, on the device with or without gradients that `device` is.
pub(super) fn still<const D: usize>(x: Tensor<D>, device: &Device) -> Tensor<D> {
    match (x.device().is_autodiff(), device.is_autodiff()) {
        (true, false) => x.inner(),
        (false, true) => Tensor::from_inner(x),
        _ => x.detach(),
    }
}

/// The pairs of a batch, read by student and teacher.
struct Pairs<'a> {
    /// What the ViT cuts into patches, `(B, F, side, side)`.
    view: Tensor<4>,
    /// `(B, 1 + K, width)`.
    image: Tensor<3>,
    texts: Vec<&'a [u32]>,
    mistaken: Vec<&'a [Vec<u32>]>,
    read: ReadTexts,
    image_m: Tensor<3>,
    read_m: ReadTexts,
}

impl Trainable for Xvl {
    type Config = XvlConfig;

    const OBJECTIVES: &'static [Objective] = &[
        Objective::pair("contrast", Some(Task::Retrieve)),
        Objective::pair("itm", Some(Task::Retrieve)),
        Objective::pair("mlm", Some(Task::Check)),
        Objective::pair("mim", None),
        Objective::pair("report", Some(Task::Draft)),
        Objective::text("language", None),
        Objective::image("vqa", Some(Task::Vqa)),
        Objective::image("diagnosis", Some(Task::Findings)),
        Objective::image(ImageAlone::SimClr.objective(), None),
        Objective::image(ImageAlone::Dino.objective(), None),
        Objective::image(ImageAlone::SimMim.objective(), None),
    ];

    const MISTAKES: bool = true;

    const WORD_ROWS: &'static [&'static str] = &["text.word_embeddings.weight", "mlm.decoder.bias"];

    fn views(on: &dyn Fn(&str) -> bool) -> usize {
        let methods = ImageAlone::ALL.into_iter();
        let views = methods
            .filter(|method| on(method.objective()))
            .map(ImageAlone::views);
        views.max().unwrap_or(1)
    }

    /// A report is checked by the heads of image-text matching.
    fn learned(on: &dyn Fn(&str) -> bool) -> Vec<Task> {
        let objectives = Self::OBJECTIVES.iter().filter(|o| on(o.name));
        let tasks = objectives.filter_map(|o| o.task);
        tasks.filter(|task| on("itm") || *task != Task::Check).collect()
    }

    fn init(config: &XvlConfig, specials: Specials, device: &Device) -> Result<Self, ConfigError> {
        Self::init(config, specials, device)
    }

    fn config(&self) -> &XvlConfig {
        self.config()
    }

    fn losses(&self, batch: &Batch<'_>, step: &mut StepContext<'_, Self>) -> Losses {
        let mut losses = Losses::new();
        if step.weights.on("language") {
            losses.extend(self.language_loss(batch, step).map(|loss| ("language", loss)));
        }
        let Some(view) = self.view_of(&batch.images) else {
            return losses;
        };
        if let Some(name) = self.config.image_alone.map(ImageAlone::objective)
            && step.weights.on(name)
        {
            losses.extend(self.image_alone_loss(&view, batch, step).map(|loss| (name, loss)));
        }
        let mut others = Self::OBJECTIVES
            .iter()
            .filter(|o| ImageAlone::of(o.name).is_none());
        if !others.any(|o| step.weights.on(o.name)) {
            return losses;
        }
        let image = self.encode_patches(view.clone(), None);
        if step.weights.on("diagnosis") {
            losses.extend(self.diagnosis_loss(&image, batch).map(|loss| ("diagnosis", loss)));
        }
        if step.weights.on("vqa") {
            losses.extend(self.answer_loss(&image, batch).map(|loss| ("vqa", loss)));
        }
        let rows = batch.rows(true, true);
        let paired = ["contrast", "itm", "mlm", "mim", "report"];
        if rows.is_empty() || !paired.iter().any(|name| step.weights.on(name)) {
            return losses;
        }
        let teacher = Teacher::new(self, step.teacher);
        let pairs = self.pairs(batch, &rows, view, &image, &teacher, step.rng);
        let share = step.progress.share();
        let contrast = &self.config.contrast;
        let ramp = if contrast.ramp > 0.0 {
            (share / contrast.ramp).min(1.0)
        } else {
            1.0
        };
        let lambda = contrast.lambda * ramp;
        if step.weights.on("contrast") || step.weights.on("itm") {
            losses.extend(self.comparing_losses(&pairs, &teacher, lambda, step));
        }
        if step.weights.on("mlm") {
            losses.extend(
                self.word_loss(&pairs, &teacher, lambda, step)
                    .map(|loss| ("mlm", loss)),
            );
        }
        if step.weights.on("mim") {
            let temperature = teacher_temperature(&self.config.mim, share);
            losses.extend(
                self.patch_loss(&pairs, &teacher, temperature, step)
                    .map(|loss| ("mim", loss)),
            );
        }
        if step.weights.on("report") {
            losses.extend(self.report_loss(&pairs, step).map(|loss| ("report", loss)));
        }
        losses
    }

    /// Keeps the temperature within its bounds (*release*).
    fn after_step(mut self, _: Progress) -> Self {
        let [least, most] = self.config.contrast.within;
        self.temp = self.temp.map(|temperature| {
            let learns = temperature.is_require_grad();
            let clamped = temperature.inner().clamp(least, most);
            Tensor::from_inner(clamped).set_require_grad(learns)
        });
        self
    }

    fn remarks(&self) -> Vec<String> {
        let [least, most] = self.config.contrast.within;
        let temperature = f64::from(self.temp.val().into_scalar::<f32>());
        let at = |bound: f64| (temperature - bound).abs() < 1e-6 * bound.max(1.0);
        let mut remarks = Vec::new();
        if at(least) || at(most) {
            remarks.push(format!(
                "The temperature of contrastive learning stands at its bound, {temperature:.3}: it would go on if contrast.within let it. \
                 At the lower bound the features tell pairs apart with ease, or are overfitted; at the upper one they tell nothing."
            ));
        }
        remarks
    }

    /// The decoder begins as the fusion encoder's last layers.
    fn first_weights(config: &XvlConfig, mut weights: Arrays) -> Arrays {
        let begun = weights.keys().any(|name| name.starts_with("decoder."));
        let copied = config.decoder.min(config.fusion);
        for layer in (0..copied).filter(|_| !begun) {
            let from = format!("encoder.layer.{}.", config.bert.layers - copied + layer);
            let to = format!("decoder.layer.{}.", config.decoder - copied + layer);
            let layer: Vec<(String, Array)> = weights
                .iter()
                .filter_map(|(name, array)| Some((to.clone() + name.strip_prefix(&from)?, array.clone())))
                .collect();
            weights.extend(layer);
        }
        weights
    }

    fn param_group(name: &str) -> ParamGroup {
        ParamGroup::of_joint(name, &["image", "visual_encoder", "masked_embed"])
    }

    /// A backbone's cells; the ViT over them learns.
    fn cached_features(&self, pixels: Tensor<4>) -> Option<Tensor<3>> {
        self.image.as_ref()?;
        // (B, F, side, side) -> (B, K, F)
        Some(
            self.view(self.normalized(pixels))
                .flatten::<3>(2, 3)
                .swap_dims(1, 2),
        )
    }

    fn stands_before_cached(name: &str) -> bool {
        name.starts_with("image.")
    }

    fn layers(&self) -> usize {
        self.config.bert.layers
    }
}

impl Xvl {
    /// What the ViT cuts into patches, of a batch's images or of a frozen backbone's cells; `None` where there are no images.
    pub(super) fn view_of(&self, images: &Images) -> Option<Tensor<4>> {
        match images {
            Images::Pixels(pixels) => Some(self.view(self.normalized(pixels.clone()))),
            Images::Features(cells) => {
                let ([batch, _, features], side) = (cells.dims(), self.config.vit.grid());
                // (B, K, F) -> (B, F, K) -> (B, F, side, side)
                let map = cells.clone().swap_dims(1, 2);
                Some(map.reshape([batch, features, side, side]))
            }
            Images::None => None,
        }
    }

    fn pairs<'a>(
        &self,
        batch: &Batch<'a>,
        rows: &[usize],
        view: Tensor<4>,
        image: &Tensor<3>,
        teacher: &Teacher<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Pairs<'a> {
        let texts: Vec<&[u32]> = rows
            .iter()
            .map(|&row| batch.examples[row].tokens.as_slice())
            .collect();
        let of_rows = |view: Tensor<4>| {
            let device = view.device();
            if rows.len() == view.dims()[0] {
                view
            } else {
                view.select(0, crate::nn::indices(rows.iter().copied(), &device))
            }
        };
        let [own, teachers] = two_readings(&texts, self.config.contrast.left_out, rng);
        let read = |texts: &[Vec<u32>], by: &Self| {
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            by.read(&by.texts(&texts))
        };
        let view_m = teacher.view(&batch.images);
        let view_m = view_m.unwrap_or_else(|| teacher.take(view.clone()));
        Pairs {
            image: samples_of(image, rows),
            read: read(&own, self),
            image_m: teacher.model.encode_patches(of_rows(view_m), None),
            read_m: read(&teachers, teacher.model),
            view: of_rows(view),
            mistaken: rows
                .iter()
                .map(|&row| batch.examples[row].mistaken.as_slice())
                .collect(),
            texts,
        }
    }

    /// Contrastive learning, and matching, whose negatives are drawn by the same similarities.
    fn comparing_losses(
        &self,
        pairs: &Pairs<'_>,
        teacher: &Teacher<'_>,
        lambda: f64,
        step: &mut StepContext<'_, Self>,
    ) -> Losses {
        let device = pairs.image.device();
        let mut losses = Losses::new();
        let features = Features {
            image: self.image_features(&pairs.image),
            text: self.text_features(&pairs.read),
            image_m: still(teacher.model.image_features(&pairs.image_m), &device),
            text_m: still(teacher.model.text_features(&pairs.read_m), &device),
        };
        if step.weights.on("contrast") {
            let config = &self.config.contrast;
            // What is remembered lies on the device without gradients, as a checkpoint restores it.
            let plain = device.clone().inner();
            let mut recall = |name: &str, new: &Tensor<2>| {
                if config.queue == 0 {
                    return None;
                }
                let queue = step.memory.queue(name, config.queue, config.projection, &plain);
                let queued = queue.features().map(|queued| still(queued, &device));
                queue.push(still(new.clone(), &plain));
                queued
            };
            let queued = Queued {
                image: recall("image", &features.image_m),
                text: recall("text", &features.text_m),
            };
            let batch = pairs.texts.len();
            // One pair alone, and nothing remembered: there is nothing to tell it from.
            if batch > 1 || queued.image.is_some() {
                let parts = self.contrast(&features, &queued, lambda);
                let loss = if config.intra {
                    parts.mean()
                } else {
                    parts.across()
                };
                losses.push(("contrast", loss));
            }
        }
        if step.weights.on("itm") {
            let mistaken = self.mistaken(pairs, step);
            let loss = self.negatives(&features, step).and_then(|negatives| {
                self.matching_loss(&pairs.image, &pairs.read, &negatives, mistaken.as_ref())
            });
            losses.extend(loss.map(|loss| ("itm", loss)));
        }
        losses
    }

    /// Of each study whose report was given mistakes one such report.
    fn mistaken(&self, pairs: &Pairs<'_>, step: &mut StepContext<'_, Self>) -> Option<MistakenTexts> {
        let (mut images, mut texts): (Vec<usize>, Vec<&[u32]>) = (Vec::new(), Vec::new());
        for (row, mistaken) in pairs.mistaken.iter().enumerate() {
            let chosen = mistaken.choose(step.rng);
            images.extend(chosen.map(|_| row));
            texts.extend(chosen.map(Vec::as_slice));
        }
        (!images.is_empty()).then(|| MistakenTexts {
            images,
            texts: self.read(&self.texts(&texts)),
        })
    }

    /// Negatives from the batch: by the softmax of the student's similarities to the teacher's features, as in ALBEF (Li et al. 2021), or
    /// with equal chances.
    fn negatives(&self, features: &Features, step: &mut StepContext<'_, Self>) -> Option<Negatives> {
        let batch = features.image.dims()[0];
        let table = |asks: &Tensor<2>, keys: &Tensor<2>| -> Vec<f32> {
            if !self.config.hard_negatives {
                return vec![1.0; batch * batch];
            }
            let logits = similarities(
                asks.clone().detach(),
                keys.clone().detach(),
                self.temp.val().detach(),
            );
            let weights = burn::tensor::activation::softmax(logits, 1);
            weights.into_data().iter::<f32>().collect()
        };
        let image = table(&features.text, &features.image_m);
        let text = table(&features.image, &features.text_m);
        Some(Negatives {
            image: draw_negatives(&image, batch, step.rng)?,
            text: draw_negatives(&text, batch, step.rng)?,
        })
    }

    fn word_loss(
        &self,
        pairs: &Pairs<'_>,
        teacher: &Teacher<'_>,
        lambda: f64,
        step: &mut StepContext<'_, Self>,
    ) -> Option<Tensor<1>> {
        let masked = mask_words(&pairs.texts, &self.config, self.specials.mask, step.rng);
        if masked.asked.is_empty() {
            return None;
        }
        let logits = self.mlm_logits(&pairs.image, &masked);
        let opinion = (lambda > 0.0).then(|| {
            let logits_m = teacher.model.mlm_logits(&pairs.image_m, &masked);
            (still(logits_m, &logits.device()), lambda)
        });
        self.mlm_loss(logits, &masked, opinion)
    }

    fn patch_loss(
        &self,
        pairs: &Pairs<'_>,
        teacher: &Teacher<'_>,
        temperature: f64,
        step: &mut StepContext<'_, Self>,
    ) -> Option<Tensor<1>> {
        let (config, side) = (&self.config.mim, self.config.vit.grid());
        let images = 0..pairs.texts.len();
        let masked: Vec<bool> = images
            .flat_map(|_| mask_blocks(side, config.ratio, step.rng))
            .collect();
        let patches: Vec<usize> = (0..masked.len()).filter(|patch| masked[*patch]).collect();
        let image = self.encode_patches(pairs.view.clone(), Some(&masked));
        let student = self.patch_logits(&image, &pairs.read, &patches);
        let device = student.device();
        let plain = device.clone().inner();
        let teacher_logits = teacher
            .model
            .patch_logits(&pairs.image_m, &pairs.read_m, &patches);
        let teacher_logits = still(teacher_logits, &plain);
        // Over the masked patches, *ours*: they are drawn, and the head is spared the others.
        let centre = centre(step.memory, "mim", &teacher_logits, config.centre);
        let (teacher_logits, centre) = (still(teacher_logits, &device), still(centre, &device));
        Some(mim_loss(student, teacher_logits, centre, config, temperature))
    }

    /// Each word from those before it and the picture, of which patches are masked as the config says.
    fn report_loss(&self, pairs: &Pairs<'_>, step: &mut StepContext<'_, Self>) -> Option<Tensor<1>> {
        let (ratio, side) = (self.config.report_ratio, self.config.vit.grid());
        let image = if ratio > 0.0 {
            let images = 0..pairs.texts.len();
            let masked: Vec<bool> = images.flat_map(|_| mask_blocks(side, ratio, step.rng)).collect();
            self.encode_patches(pairs.view.clone(), Some(&masked))
        } else {
            pairs.image.clone()
        };
        self.writing_loss(&image, &pairs.texts)
    }

    /// Of reports with or without an image, which none of them sees: each word from those before it, and masked words from all around
    /// them, half each. What stands for BERT's weights where those are not to be had, *ours*.
    fn language_loss(&self, batch: &Batch<'_>, step: &mut StepContext<'_, Self>) -> Option<Tensor<1>> {
        let rows = batch.rows(false, true);
        let text = |&row: &usize| batch.examples[row].tokens.as_slice();
        let texts: Vec<&[u32]> = rows.iter().map(text).collect();
        if texts.is_empty() {
            return None;
        }
        let nothing = Tensor::zeros([texts.len(), 1, self.config.bert.width], &self.device());
        let written = self.writing_loss(&nothing, &texts)?;
        let masked = mask_words(&texts, &self.config, self.specials.mask, step.rng);
        if masked.asked.is_empty() {
            return Some(written);
        }
        let filled_in = self.mlm_loss(self.mlm_logits(&nothing, &masked), &masked, None)?;
        Some((written + filled_in).div_scalar(2.0))
    }

    /// One linear layer on the image's CLS, binary cross-entropy ("Details for Model for Downstream Tasks").
    fn diagnosis_loss(&self, image: &Tensor<3>, batch: &Batch<'_>) -> Option<Tensor<1>> {
        let (head, labels) = (self.diagnosis.as_ref()?, self.config.labels().len());
        let rows = batch.known(batch.rows(true, false), labels);
        if rows.is_empty() {
            return None;
        }
        let logits = dense(head, column_of(&samples_of(image, &rows), 0), false);
        binary_cross_entropy(logits, &batch.targets(&rows, labels))
    }
}
