//! The classifier's config: sizes, labels, presets, and what they must be.

use serde::{Deserialize, Serialize};

use crate::image::{Filter, Fit, Norm, Preprocessing};
use crate::nn::{Arrays, Block, DenseNetConfig, ImageEncoderConfig, ResNetConfig, check_norm};
use crate::systems::{ConfigError, DataFacts, SystemConfig, TextSpec};
use crate::text::{LabelName, LabelSet, NIH14, Uncertain};

/// How cells' logits become the image's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// `log(mean(exp(r x))) / r`, between the mean and the maximum (Wang et al. 2017, eq. 1).
    LogSumExp {
        /// r.
        r: f64,
    },
}

/// The config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingsConfig {
    /// How an image becomes its input.
    pub preprocessing: Preprocessing,
    /// The image encoder.
    pub encoder: ImageEncoderConfig,
    /// How cells' logits become the image's.
    pub pooling: Pooling,
    /// The labels, in the order of the outputs: CheXpert's or NIH's names where they mean the same, their own else.
    pub labels: Vec<String>,
    /// Outputs of the projection that contrastive pre-training compares; 0 for no such head.
    #[serde(default)]
    pub projection: usize,
    /// Encoders whose features stand side by side: 1, or more for an ensemble of runs (Lakshminarayanan et al. 2017), which
    /// `hilum export` makes of several.
    #[serde(default = "one")]
    pub encoders: usize,
    /// Whether an image is read mirrored too and the mean of both taken, outside of training: for labels without a side.
    #[serde(default)]
    pub mirror: bool,
}

/// Encoders of a model that is no ensemble.
const fn one() -> usize {
    1
}

/// Labels at most: no published set comes near.
const MOST_LABELS: usize = 1000;

/// NIH's classes and, as its table has it, No Finding.
fn nih15() -> Vec<String> {
    NIH14
        .into_iter()
        .chain(["No Finding"])
        .map(str::to_owned)
        .collect()
}

/// The 18 outputs of TorchXRayVision's models, in their order.
pub const XRV18: [&str; 18] = [
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
];

impl FindingsConfig {
    /// Features of a cell.
    pub fn features(&self) -> usize {
        self.encoders * self.encoder.features()
    }

    /// TorchXRayVision's DenseNet-121 of all data sets: one channel in -1024..1024, the middle square, 224 px.
    pub fn xrv() -> Self {
        let norm = Norm::Fixed {
            mean: 0.5,
            sd: 1.0 / 2048.0,
        };
        let mut net = DenseNetConfig::densenet121();
        net.channels = 1;
        Self {
            preprocessing: Preprocessing {
                size: 224,
                cut_margins: false,
                fit: Fit::CenterCrop,
                filter: Filter::Gaussian,
                norm,
            },
            encoder: ImageEncoderConfig::DenseNet(net),
            pooling: Pooling::Mean,
            labels: XRV18.map(str::to_owned).to_vec(),
            projection: 0,
            encoders: 1,
            mirror: false,
        }
    }

    /// torchvision's DenseNet-121, as CheXNet takes it: NIH's classes, the mean of ImageNet's three channels.
    pub fn densenet121() -> Self {
        let norm = Norm::Fixed {
            mean: 0.449,
            sd: 0.226,
        };
        Self {
            preprocessing: Preprocessing {
                size: 224,
                cut_margins: false,
                fit: Fit::Stretch,
                filter: Filter::Triangle,
                norm,
            },
            encoder: ImageEncoderConfig::DenseNet(DenseNetConfig::densenet121()),
            labels: NIH14.map(str::to_owned).to_vec(),
            ..Self::xrv()
        }
    }

    /// Small enough for a page and for training on a laptop's CPU: the image encoder of MedViLL's demo.
    pub fn small() -> Self {
        Self {
            preprocessing: Preprocessing::padded(224, Norm::PerImage),
            encoder: ImageEncoderConfig::ResNet(ResNetConfig {
                channels: 1,
                width: 16,
                block: Block::Basic,
                depths: [1, 2, 2, 2],
            }),
            pooling: Pooling::Mean,
            labels: nih15(),
            projection: 0,
            encoders: 1,
            mirror: false,
        }
    }

    /// For tests.
    pub fn tiny() -> Self {
        Self {
            preprocessing: Preprocessing::padded(64, Norm::PerImage),
            encoder: ImageEncoderConfig::ResNet(ResNetConfig {
                channels: 1,
                width: 4,
                block: Block::Basic,
                depths: [1, 1, 1, 1],
            }),
            ..Self::small()
        }
    }
}

impl SystemConfig for FindingsConfig {
    const NAME: &'static str = "findings";
    const PRESETS: &'static [&'static str] = &["xrv", "densenet121", "small", "tiny"];

    fn preset(name: &str) -> Option<Self> {
        match name {
            "xrv" => Some(Self::xrv()),
            "densenet121" => Some(Self::densenet121()),
            "small" => Some(Self::small()),
            "tiny" => Some(Self::tiny()),
            _ => None,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let image = self.encoder.check(self.preprocessing.size);
        let checked = image.and_then(|()| check_norm(self.preprocessing.norm));
        checked.map_err(|(key, must)| ConfigError { key, must })?;
        let twice = |at: usize| self.labels[..at].contains(&self.labels[at]);
        let sharp = match self.pooling {
            Pooling::Mean => true,
            Pooling::LogSumExp { r } => r > 0.0 && r.is_finite(),
        };
        let rules = [
            (
                "labels",
                (1..=MOST_LABELS).contains(&self.labels.len()) && !(0..self.labels.len()).any(twice),
                "name between 1 and 1000 labels, none of them twice",
            ),
            ("pooling.log_sum_exp.r", sharp, "be greater than 0"),
            ("projection", self.projection <= 4096, "be at most 4096"),
            (
                "encoders",
                (1..=16).contains(&self.encoders),
                "be between 1 and 16",
            ),
        ];
        ConfigError::first(rules)
    }

    fn validate_objectives(&self, on: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
        if on("contrast") && self.projection == 0 {
            return Err("contrast needs model.projection, the width of what it compares");
        }
        Ok(())
    }

    fn with_data(self, _: &DataFacts<'_>) -> Result<Self, ConfigError> {
        Ok(self)
    }

    /// What a checkpoint tells of itself: the sizes of a DenseNet. The channels stay the preset's, for they go with how it
    /// prepares pictures.
    fn adapt(mut self, checkpoint: &Arrays) -> Self {
        let ImageEncoderConfig::DenseNet(net) = &mut self.encoder else {
            return self;
        };
        let outputs = |ending: &str| {
            let found = checkpoint.iter().find(|(name, _)| name.ends_with(ending));
            found.and_then(|(_, array)| array.shape.first().copied())
        };
        net.width = outputs("conv0.weight").unwrap_or(net.width);
        let growth = outputs("denselayer1.conv2.weight").or_else(|| outputs("denselayer1.conv.2.weight"));
        net.growth = growth.unwrap_or(net.growth);
        for (block, depth) in net.depths.iter_mut().enumerate() {
            let part = format!("denseblock{}.denselayer", block + 1);
            let number = |name: &String| {
                let (_, rest) = name.split_once(&part)?;
                rest.split('.').next()?.parse::<usize>().ok()
            };
            *depth = checkpoint.keys().filter_map(number).max().unwrap_or(*depth);
        }
        self
    }

    fn with_labels(mut self, labels: &[String]) -> Self {
        self.labels = labels.to_vec();
        self
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn text(&self) -> Option<TextSpec> {
        None
    }

    fn labels(&self) -> LabelSet {
        let label = |name: &String| LabelName {
            name: name.clone(),
            side: None,
        };
        LabelSet {
            name: "own",
            labels: self.labels.iter().map(label).collect(),
            uncertain: Uncertain::Ignore,
        }
    }
}
