//! MedViLL's sizes, switches and masking schemes.

use serde::{Deserialize, Serialize};

use super::BilinearConfig;
use crate::kernels::Rule;
use crate::nn::{BertConfig, Block, DenseNetConfig, ResNetConfig};

/// Figure 2's masking schemes; one that mixes two draws one of them a mini-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Bidirectional.
    Bi,
    /// Sequence to sequence.
    Seq2Seq,
    /// Bidirectional auto-regressive.
    Bar,
    /// Sequence to sequence in three of four mini-batches, else bidirectional.
    BiAndSeq2Seq,
    /// Modalities see only themselves; a second CLS opens the text.
    NonCrossing,
}

impl Scheme {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::Bi,
        Self::Seq2Seq,
        Self::Bar,
        Self::BiAndSeq2Seq,
        Self::NonCrossing,
    ];

    /// The attention rule of one mini-batch; `draw` in [0, 1) decides for [`Scheme::BiAndSeq2Seq`] (section
    /// 3.3: 75 % S2S).
    pub fn rule(self, config: &MedVillConfig, draw: f64) -> Rule {
        match self {
            Self::Bi => Rule::Bidirectional,
            Self::Seq2Seq => Rule::Seq2Seq,
            Self::Bar => Rule::BidirectionalAutoregressive {
                padding: config.bar_sees_padding,
            },
            Self::BiAndSeq2Seq if draw < 0.75 => Rule::Seq2Seq,
            Self::BiAndSeq2Seq => Rule::Bidirectional,
            Self::NonCrossing => Rule::NonCrossing,
        }
    }
}

/// Sizes and switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MedVillConfig {
    /// Side of the square picture in pixels.
    pub size: usize,
    /// The image encoder.
    pub image: ResNetConfig,
    /// A DenseNet in the ResNet's place, for the paper's ablation D-121; `image` is not read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub densenet: Option<DenseNetConfig>,
    /// The joint encoder.
    pub bert: BertConfig,
    /// Words of a report at most, the closing SEP apart.
    pub words: usize,
    /// Visual tokens kept in pre-training; downstream all are.
    pub sampled: usize,
    /// Epsilon of the language-model head's norm. *Release*: 1e-5 there, 1e-12 elsewhere.
    pub mlm_norm_eps: f64,
    /// Context rows see padding under BAR. *Release*: yes.
    pub bar_sees_padding: bool,
    /// SEP after the picture has position K + 1, as the *release*'s generation and VQA code has it; else 0 as
    /// in its pre-training code.
    pub separator_after_visual: bool,
    /// Mean and standard deviation of pixels in [0, 1]. *Ours* where the picture has one channel.
    pub pixel_norm: [f32; 2],
    /// Each picture is brought to mean 0 and deviation 1 by itself instead. *Ours*: exposures differ more
    /// than anatomies.
    pub standardise: bool,
    /// Visual tokens get a position from a table of the grid's own as well. *Ours*: the shared table begins
    /// so quiet that a drafter trained from scratch takes long to tell left from right.
    #[serde(default)]
    pub own_grid: bool,
    /// Visual tokens carry what `map_findings` reads off the whole map, through a linear layer of its own.
    /// *Ours*: a small drafter pools over the map, and left and right cancel in a pool; what was read by side
    /// does not.
    #[serde(default)]
    pub findings_projection: bool,
    /// A visual token carries what `map_findings` reads in its own cell, too. *Ours*: where in a lung a thing
    /// lies is seen from which tokens show it, and of two things each has its place.
    #[serde(default)]
    pub cells_projection: bool,
    /// The masking scheme of pre-training; MedViLL's is BAR.
    #[serde(default = "bar")]
    pub scheme: Scheme,
    /// Words are predicted where the report is a stranger's too. *Release*: yes; the paper: true pairs only.
    #[serde(default = "yes")]
    pub mlm_on_strangers: bool,
    /// Fourteen linear heads on CLS, for diagnosis.
    #[serde(default)]
    pub diagnosis: bool,
    /// Answers that the head for questions knows; 0 for no such head.
    #[serde(default)]
    pub answers: usize,
    /// One answer of all (softmax) instead of a decision for each. *Ours*: few questions teach it sooner.
    #[serde(default)]
    pub answer_softmax: bool,
    /// Bilinear heads that answer beside CLS times SEP or in its place. *Ours*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bilinear: Option<BilinearConfig>,
    /// Only answers that the question's form allows: yes or no to an auxiliary verb, one of the named to
    /// "or". *Ours*.
    #[serde(default)]
    pub answer_form: bool,
    /// Width of a vector of the whole picture, the mean of its map through a linear layer; 0 for none.
    /// *Ours*: what the bilinear heads take, and what learns to tell training pictures apart.
    #[serde(default)]
    pub picture_vector: usize,
    /// Training pictures that are told apart by their vectors, in the place of pre-training on many pictures;
    /// 0 for none. *Ours*.
    #[serde(default)]
    pub identities: usize,
    /// Picture and words are read apart and meet in a product: the paper's baseline "CNN & Transformer".
    #[serde(default)]
    pub towers: bool,
    /// Reports are written by an LSTM that attends to the visual tokens, not by BERT: the paper's baseline
    /// "TieNet".
    #[serde(default)]
    pub recurrent: bool,
    /// A linear layer on the map that reads findings and their sides from the picture alone. *Ours*: it
    /// stands in for the ImageNet weights with which the paper's ResNet begins.
    pub map_findings: bool,
    /// A linear layer on the mean of the map that tells AP from PA. *Ours*: nothing else asks the image
    /// encoder for it, and few questions do.
    #[serde(default)]
    pub map_view: bool,
}

const fn bar() -> Scheme {
    Scheme::Bar
}

const fn yes() -> bool {
    true
}

impl MedVillConfig {
    /// The sizes of the paper: ResNet-50 at 512 px, BERT-base.
    pub fn paper() -> Self {
        Self {
            size: 512,
            image: ResNetConfig::resnet50(),
            densenet: None,
            bert: BertConfig::base(),
            words: 253,
            sampled: 180,
            mlm_norm_eps: 1e-5,
            bar_sees_padding: true,
            separator_after_visual: false,
            pixel_norm: [0.449, 0.226],
            standardise: false,
            own_grid: false,
            findings_projection: false,
            cells_projection: false,
            scheme: Scheme::Bar,
            mlm_on_strangers: true,
            diagnosis: false,
            answers: 0,
            answer_softmax: false,
            bilinear: None,
            answer_form: false,
            picture_vector: 0,
            identities: 0,
            towers: false,
            recurrent: false,
            map_findings: false,
            map_view: false,
        }
    }

    /// Small enough for a page and for training on a laptop's CPU.
    pub fn demo() -> Self {
        Self {
            size: 224,
            image: ResNetConfig {
                channels: 1,
                width: 16,
                block: Block::Basic,
                depths: [1, 2, 2, 2],
            },
            bert: BertConfig {
                vocabulary: 1024,
                width: 128,
                layers: 3,
                heads: 4,
                intermediate: 512,
                positions: 128,
                dropout: 0.05,
                norm_eps: 1e-12,
            },
            words: 100,
            sampled: 36,
            mlm_norm_eps: 1e-12,
            bar_sees_padding: false,
            separator_after_visual: false,
            pixel_norm: [0.5, 0.25],
            standardise: true,
            own_grid: true,
            findings_projection: true,
            map_findings: true,
            ..Self::paper()
        }
    }

    /// For tests: the shapes of the reference tensors.
    pub fn tiny() -> Self {
        Self {
            size: 96,
            image: ResNetConfig {
                width: 8,
                ..ResNetConfig::resnet50()
            },
            bert: BertConfig {
                vocabulary: 120,
                width: 64,
                layers: 2,
                heads: 4,
                intermediate: 128,
                positions: 64,
                dropout: 0.1,
                norm_eps: 1e-12,
            },
            words: 9,
            sampled: 5,
            ..Self::paper()
        }
    }

    /// Channels of the picture, as the image encoder wants it.
    pub fn channels(&self) -> usize {
        self.densenet
            .as_ref()
            .map_or(self.image.channels, |densenet| densenet.channels)
    }

    /// Channels of the image encoder's last map.
    pub fn features(&self) -> usize {
        self.densenet
            .as_ref()
            .map_or(self.image.features(), DenseNetConfig::features)
    }

    /// Visual tokens of a picture: cells of the last map, a 32nd of the side, squared.
    pub const fn visual_tokens(&self) -> usize {
        let side = self.size.div_ceil(32);
        side * side
    }

    /// Tokens of a whole sequence with all visual tokens: CLS, V, SEP, W, SEP.
    pub const fn sequence(&self) -> usize {
        self.visual_tokens() + self.words + 3
    }
}
