//! A classifier of findings, none of the five papers': a convolutional network, a linear layer on each cell of its last map, and a
//! pooling of the cells.
//!
//! With the mean of the cells it is CheXNet (Rajpurkar et al. 2017) and TorchXRayVision's DenseNet-121 (Cohen et al. 2022): the
//! linear layer of a mean is the mean of linear layers, and each cell's own logit is the class activation map (Zhou et al. 2016).
//! With log-sum-exp it is the weakly supervised localiser of Wang et al. (2017, section 3.2). The config is in `config`, the
//! losses in `objectives`, how several become one in `ensemble`.

mod config;
mod ensemble;
mod objectives;

use burn::module::Module;
use burn::nn::{Initializer, Linear};
#[cfg(not(target_family = "wasm"))]
use burn::tensor::TensorData;
use burn::tensor::{Device, Tensor};

#[cfg(not(target_family = "wasm"))]
use super::TraceInputError;
use super::{ConfigError, Input, Spec, System, SystemConfig, Task};
use crate::nn::loss::lse_pool;
#[cfg(not(target_family = "wasm"))]
use crate::nn::{AnyArrays, Trace};
use crate::nn::{ImageEncoder, ImageEncoderConfig, Projection, linear, normalize};

pub use config::{FindingsConfig, Pooling};

/// The model.
#[derive(Module, Debug)]
pub struct Classifier {
    image: ImageEncoder,
    others: Vec<ImageEncoder>,
    classifier: Linear,
    projection: Option<Projection>,
    #[module(skip)]
    config: FindingsConfig,
}

impl Classifier {
    /// Random weights.
    ///
    /// # Errors
    /// When the config cannot run.
    pub fn init(config: &FindingsConfig, device: &Device) -> Result<Self, ConfigError> {
        config.validate()?;
        let (features, labels) = (config.features(), config.labels.len());
        // Findings are rare, and the head begins there.
        let bias = Initializer::Constant { value: -2.0 }.init([labels], device);
        Ok(Self {
            image: ImageEncoder::new(&config.encoder, device),
            others: (1..config.encoders)
                .map(|_| ImageEncoder::new(&config.encoder, device))
                .collect(),
            classifier: Linear {
                bias: Some(bias),
                ..linear(features, labels, device)
            },
            projection: (config.projection > 0).then(|| Projection::new(features, config.projection, device)),
            config: config.clone(),
        })
    }

    /// The cells of the last map: of an ensemble's encoders, side by side. `watch` sees the first one's stages.
    ///
    /// # Shapes
    /// - normalised image `(B, channels, S, S)` -> `(B, K, F)`
    pub fn cells(&self, image: Tensor<4>, watch: impl FnMut(&str, &Tensor<4>)) -> Tensor<3> {
        let others = self
            .others
            .iter()
            .map(|other| other.cells(image.clone(), |_, _| ()));
        let others: Vec<_> = others.collect();
        let first = self.image.cells(image, watch);
        if others.is_empty() {
            return first;
        }
        Tensor::cat(std::iter::once(first).chain(others).collect(), 2)
    }

    /// The cells of an image as it comes.
    ///
    /// # Shapes
    /// - pixels in [0, 1], `(B, 1, S, S)` -> `(B, K, F)`
    fn read(&self, pixels: Tensor<4>) -> Tensor<3> {
        let (norm, channels) = (self.config.preprocessing.norm, self.config.encoder.channels());
        self.cells(normalize(pixels, norm, channels), |_, _| ())
    }

    /// The mean of the cells of an image and of its mirror image, each at its place in the image.
    fn read_both_ways(&self, pixels: Tensor<4>) -> Tensor<3> {
        let mirrored = self.read(pixels.clone().flip([3]));
        let [batch, count, features] = mirrored.dims();
        let side = count.isqrt();
        // (B, rows * columns, F) -> (B, rows, columns, F), the columns turned back
        let turned = mirrored.reshape([batch, side, side, features]).flip([2]);
        (self.read(pixels) + turned.reshape([batch, count, features])).mul_scalar(0.5)
    }

    /// Logits of the labels in each cell.
    ///
    /// # Shapes
    /// - cells `(B, K, F)` -> `(B, K, labels)`
    pub fn cell_logits(&self, cells: Tensor<3>) -> Tensor<3> {
        self.classifier.forward(cells)
    }

    /// Logits of the labels in the image.
    ///
    /// # Shapes
    /// - cells' logits `(B, K, labels)` -> `(B, labels)`
    pub fn pool(&self, cells: Tensor<3>) -> Tensor<2> {
        let pooled = match self.config.pooling {
            Pooling::Mean => cells.mean_dim(1),
            Pooling::LogSumExp { r } => lse_pool(cells, 1, r),
        };
        pooled.squeeze_dim(1)
    }

    #[cfg(not(target_family = "wasm"))]
    fn device(&self) -> Device {
        self.classifier.weight.val().device()
    }
}

impl System for Classifier {
    fn spec(&self) -> Spec {
        let side = ImageEncoderConfig::grid(self.config.preprocessing.size);
        Spec {
            preprocessing: self.config.preprocessing,
            text: None,
            grid: [side, side],
            lead: 0,
            features: self.config.features(),
            labels: self.config.labels.len(),
            answers: 0,
        }
    }

    fn tasks(&self) -> Vec<Task> {
        vec![Task::Findings]
    }

    fn encode_image(&self, pixels: Tensor<4>) -> Tensor<3> {
        if self.config.mirror {
            self.read_both_ways(pixels)
        } else {
            self.read(pixels)
        }
    }

    fn classify(&self, input: Input<'_>) -> Option<Tensor<2>> {
        Some(self.pool(self.cell_logits(input.image?)))
    }

    fn evidence(&self, image: Tensor<3>) -> Option<Tensor<3>> {
        Some(self.cell_logits(image))
    }

    /// The mean of the cells, from which the labels are read.
    fn code(&self, image: Tensor<3>) -> Option<Tensor<2>> {
        Some(image.mean_dim(1).squeeze_dim(1))
    }

    /// From `in.image`, normalised, `(B, channels, S, S)`: the maps of the stem and of each stage, the last map's cells, and the
    /// logits.
    #[cfg(not(target_family = "wasm"))]
    fn trace(&self, inputs: &AnyArrays, trace: &mut Trace) -> Result<(), TraceInputError> {
        let fault = |must: String| TraceInputError {
            name: "in.image".to_owned(),
            must,
        };
        let image = inputs.get("in.image").and_then(|a| a.float());
        let image = image.ok_or_else(|| fault("is missing or holds no numbers".to_owned()))?;
        let (channels, size) = (self.config.encoder.channels(), self.config.preprocessing.size);
        let [batch, rest @ ..] = image.shape.as_slice() else {
            return Err(fault("has no dimensions".to_owned()));
        };
        if *batch == 0 || *rest != [channels, size, size] {
            return Err(fault(format!(
                "must be (B, {channels}, {size}, {size}), not {:?}",
                image.shape
            )));
        }
        let data = TensorData::new(image.data.clone(), [*batch, channels, size, size]);
        let cells = self.cells(Tensor::from_data(data, &self.device()), |name, map| {
            trace.put(format_args!("out.{name}"), map);
        });
        trace.put("out.cells", &cells);
        let logits = self.cell_logits(cells);
        trace.put("out.cell_logits", &logits);
        trace.put("out.logits", &self.pool(logits));
        Ok(())
    }
}
