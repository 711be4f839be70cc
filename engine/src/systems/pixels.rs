//! The system of the tests, none of the papers': logistic regression on pixels, and a unigram model of words. What a
//! system must bring is all that it brings; whatever the engine does with any system is tried with it.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::train::{Batch, Images, Losses, Objective, ParamGroup, StepContext, Trainable};
use super::{ConfigError, DataFacts, Input, Spec, System, SystemConfig, Task, TextSpec, TraceInputError};
use crate::image::{Norm, Preprocessing};
use crate::nn::loss::{binary_cross_entropy, cross_entropy};
use crate::nn::{AnyArrays, Trace};
use crate::text::{LabelSet, Sections, Specials, Target};

/// The config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelsConfig {
    /// How an image becomes its input.
    pub preprocessing: Preprocessing,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
}

impl SystemConfig for PixelsConfig {
    const NAME: &'static str = "pixels";
    const PRESETS: &'static [&'static str] = &["tiny"];

    fn preset(name: &str) -> Option<Self> {
        let norm = Norm::Fixed { mean: 0.0, sd: 1.0 };
        (name == "tiny").then_some(Self {
            preprocessing: Preprocessing::padded(24, norm),
            vocabulary: 80,
        })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.preprocessing.size == 0 || self.vocabulary == 0 {
            return Err(ConfigError {
                key: "preprocessing.size",
                must: "be greater than 0",
            });
        }
        Ok(())
    }

    fn validate_objectives(&self, _: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
        Ok(())
    }

    fn with_data(mut self, data: &DataFacts<'_>) -> Result<Self, ConfigError> {
        if data.vocabulary > 0 {
            self.vocabulary = data.vocabulary;
        }
        Ok(self)
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn text(&self) -> Option<TextSpec> {
        Some(TextSpec {
            max_tokens: 8,
            vocabulary: self.vocabulary,
            occurrences: None,
            sections: Sections::Longer,
        })
    }

    fn labels(&self) -> LabelSet {
        LabelSet::chexpert14()
    }
}

/// The model.
#[derive(Module, Debug)]
pub struct Pixels {
    head: Linear,
    words: Param<Tensor<1>>,
    #[module(skip)]
    config: PixelsConfig,
}

impl Pixels {
    fn logits(&self, image: Tensor<3>) -> Tensor<2> {
        let [batch, _, width] = image.dims();
        self.head.forward(image.reshape([batch, width]))
    }
}

impl System for Pixels {
    fn spec(&self) -> Spec {
        let size = self.config.preprocessing.size;
        Spec {
            preprocessing: self.config.preprocessing,
            text: self.config.text(),
            grid: [1, 1],
            lead: 0,
            features: size * size,
            labels: 14,
            answers: 0,
        }
    }

    fn tasks(&self) -> Vec<Task> {
        vec![Task::Findings]
    }

    fn encode_image(&self, pixels: Tensor<4>) -> Tensor<3> {
        let [batch, _, rows, columns] = pixels.dims();
        pixels.reshape([batch, 1, rows * columns])
    }

    fn classify(&self, input: Input<'_>) -> Option<Tensor<2>> {
        Some(self.logits(input.image?))
    }

    fn trace(&self, inputs: &AnyArrays, trace: &mut Trace) -> Result<(), TraceInputError> {
        let fault = |must: &str| TraceInputError {
            name: "in.image".to_owned(),
            must: must.to_owned(),
        };
        let image = inputs.get("in.image").and_then(|a| a.float());
        let image = image.ok_or_else(|| fault("is missing"))?;
        let size = self.config.preprocessing.size;
        if image.shape != [1, 1, size, size] {
            return Err(fault("must be (1, 1, S, S)"));
        }
        let device = self.words.val().device();
        let pixels = crate::nn::vector(image, &device).reshape([1, 1, size, size]);
        trace.put("out.logits", &self.logits(self.encode_image(pixels)));
        Ok(())
    }
}

impl Trainable for Pixels {
    type Config = PixelsConfig;

    const OBJECTIVES: &'static [Objective] = &[
        Objective::image("findings", Some(Task::Findings)),
        Objective::text("words", None),
    ];

    fn init(config: &PixelsConfig, _: Specials, device: &Device) -> Result<Self, ConfigError> {
        config.validate()?;
        // From nothing, since other tests draw from the same device's stream.
        let size = config.preprocessing.size;
        let weight = Initializer::Zeros.init([size * size, 14], device);
        let bias = Some(Initializer::Zeros.init([14], device));
        Ok(Self {
            head: Linear { weight, bias },
            words: Initializer::Zeros.init([config.vocabulary], device),
            config: config.clone(),
        })
    }

    fn config(&self) -> &PixelsConfig {
        &self.config
    }

    fn losses(&self, batch: &Batch<'_>, step: &mut StepContext<'_, Self>) -> Losses {
        let mut losses = Losses::new();
        let image = match &batch.images {
            Images::Pixels(pixels) => Some(self.encode_image(pixels.clone())),
            Images::Features(features) => Some(features.clone()),
            Images::None => None,
        };
        if let Some(image) = image.filter(|_| step.weights.on("findings")) {
            let targets: Vec<Target> = batch.examples.iter().flat_map(|e| e.targets.clone()).collect();
            let loss = binary_cross_entropy(self.logits(image), &targets);
            losses.extend(loss.map(|loss| ("findings", loss)));
        }
        let tokens: Vec<usize> = batch
            .examples
            .iter()
            .flat_map(|e| e.tokens.iter().map(|token| *token as usize))
            .collect();
        if step.weights.on("words") && !tokens.is_empty() {
            let logits: Tensor<2> = self.words.val().unsqueeze_dim(0);
            let targets: Vec<Option<usize>> = tokens.into_iter().map(Some).collect();
            let loss = cross_entropy(logits.repeat_dim(0, targets.len()), &targets);
            losses.extend(loss.map(|loss| ("words", loss)));
        }
        losses
    }

    fn param_group(_: &str) -> ParamGroup {
        ParamGroup::Head
    }

    fn layers(&self) -> usize {
        0
    }
}
