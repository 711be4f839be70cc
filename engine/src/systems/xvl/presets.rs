//! Medical X-VL's presets.

use super::{ContrastConfig, MimConfig, Paths, XvlConfig};
use crate::image::{Filter, Fit, Norm, Preprocessing};
use crate::nn::vit::Positions;
use crate::nn::{BertConfig, Block, ImageEncoderConfig, PrototypeConfig, ResNetConfig, SinCos, VitConfig};
use crate::text::{Sections, Uncertain};

impl XvlConfig {
    /// The sizes of the release: ViT-S/16 at 224 px, a BERT of width 384, six layers below and six with cross-attention. The paper
    /// says BERT-base, whose width the image encoder does not have.
    pub fn paper() -> Self {
        let norm = Norm::Fixed { mean: 0.0, sd: 1.0 };
        Self {
            preprocessing: Preprocessing {
                size: 224,
                cut_margins: true,
                fit: Fit::Pad,
                filter: Filter::Triangle,
                norm,
            },
            vit: VitConfig::vit_s16(),
            backbone: None,
            bert: BertConfig {
                width: 384,
                ..BertConfig::base()
            },
            fusion: 6,
            alternating: true,
            paths: Paths::Both,
            max_tokens: 100,
            occurrences: None,
            sections: Sections::Longer,
            contrast: ContrastConfig::default(),
            hard_negatives: true,
            masked: 0.15,
            keyword: 6.0,
            mim: MimConfig::default(),
            report_ratio: 0.3,
            labels: "chexpert14".to_owned(),
            uncertain: Uncertain::Zeros,
            diagnosis: false,
            image_alone: None,
            sides: false,
            decoder: 0,
            answers: Vec::new(),
            mesh: Vec::new(),
        }
    }

    /// Small enough for a page and for training on a laptop's CPU; over the image encoder of MedViLL's demo.
    pub fn demo() -> Self {
        let backbone = ResNetConfig {
            channels: 1,
            width: 16,
            block: Block::Basic,
            depths: [1, 2, 2, 2],
        };
        Self {
            preprocessing: Preprocessing::padded(224, Norm::PerImage),
            vit: VitConfig {
                channels: backbone.features(),
                size: ImageEncoderConfig::grid(224),
                patch: 1,
                width: 128,
                layers: 2,
                heads: 4,
                positions: Positions::Fixed(SinCos::Mae),
                ..VitConfig::vit_s16()
            },
            backbone: Some(ImageEncoderConfig::ResNet(backbone)),
            bert: BertConfig {
                vocabulary: 1024,
                width: 128,
                layers: 4,
                heads: 4,
                intermediate: 512,
                positions: 128,
                dropout: 0.05,
                ..BertConfig::base()
            },
            fusion: 2,
            contrast: ContrastConfig {
                projection: 64,
                queue: 1024,
                ..ContrastConfig::default()
            },
            mim: MimConfig {
                head: PrototypeConfig {
                    hidden: 256,
                    bottleneck: 64,
                    prototypes: 256,
                },
                ..MimConfig::default()
            },
            report_ratio: 0.0,
            ..Self::paper()
        }
    }

    /// For tests: the sizes of the reference tensors.
    pub fn tiny() -> Self {
        Self {
            preprocessing: Preprocessing::padded(64, Norm::Fixed { mean: 0.0, sd: 1.0 }),
            vit: VitConfig {
                size: 64,
                width: 48,
                layers: 2,
                heads: 4,
                ..VitConfig::vit_s16()
            },
            bert: BertConfig {
                vocabulary: 100,
                width: 48,
                layers: 4,
                heads: 4,
                intermediate: 96,
                positions: 40,
                dropout: 0.0,
                ..BertConfig::base()
            },
            fusion: 2,
            max_tokens: 30,
            contrast: ContrastConfig {
                projection: 24,
                queue: 8,
                ..ContrastConfig::default()
            },
            mim: MimConfig {
                head: PrototypeConfig {
                    hidden: 40,
                    bottleneck: 16,
                    prototypes: 32,
                },
                ..MimConfig::default()
            },
            report_ratio: 0.0,
            ..Self::paper()
        }
    }
}
