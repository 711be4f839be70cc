//! MedViLL's config: sizes, switches, masking schemes, presets, and what they must be.

use serde::{Deserialize, Serialize};

use super::MedVill;
use crate::image::{Norm, Preprocessing};
use crate::kernels::MaskKind;
use crate::nn::{Arrays, BertConfig, Block, DenseNetConfig, ImageEncoderConfig, ResNetConfig, check_norm};
use crate::systems::{ConfigError, DataFacts, SystemConfig, TextSpec, Trainable, first_obstacle};
use crate::text::{LabelSet, Sections};

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

    /// The attention mask of one mini-batch; `draw` in [0, 1) decides for [`Scheme::BiAndSeq2Seq`] (section
    /// 3.3: 75 % S2S).
    pub fn mask_kind(self, config: &MedVillConfig, draw: f64) -> MaskKind {
        match self {
            Self::Bi => MaskKind::Bidirectional,
            Self::Seq2Seq => MaskKind::Seq2Seq,
            Self::Bar => MaskKind::BidirectionalAutoregressive {
                padding: config.bar_sees_padding,
            },
            Self::BiAndSeq2Seq if draw < 0.75 => MaskKind::Seq2Seq,
            Self::BiAndSeq2Seq => MaskKind::Bidirectional,
            Self::NonCrossing => MaskKind::NonCrossing,
        }
    }
}

/// A baseline in the place of the joint encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Image and text are read apart and meet in a product: the paper's "CNN & Transformer".
    DualEncoder,
    /// Reports are written by an LSTM that attends to the visual tokens: the paper's "TieNet".
    Tienet,
}

/// What is *ours*: aids for a small model that is trained from scratch, on drawings, on a laptop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OursConfig {
    /// A log-sum-exp head on the map that reads findings and their sides from the image alone. It stands in for the
    /// ImageNet weights with which the paper's ResNet begins.
    pub findings_head: bool,
    /// A linear layer on the mean of the map that tells AP from PA: nothing else asks the image encoder for it.
    #[serde(default)]
    pub view_head: bool,
    /// Visual tokens carry what the findings head reads off the whole map: a small drafter pools over the map, and
    /// left and right cancel in a pool; what was read by side does not.
    #[serde(default)]
    pub global_prior: bool,
    /// A visual token carries what the findings head reads in its own cell, too: of two things each has its place.
    #[serde(default)]
    pub local_prior: bool,
    /// Visual tokens get a position from a table of the grid's own as well: the shared table begins so quiet that a
    /// drafter trained from scratch takes long to tell left from right.
    #[serde(default)]
    pub grid_positions: bool,
}

/// The config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MedVillConfig {
    /// How an image becomes its input.
    pub preprocessing: Preprocessing,
    /// The image encoder.
    pub image: ResNetConfig,
    /// A DenseNet in the ResNet's place, for the paper's ablation D-121; `image` is not read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub densenet: Option<DenseNetConfig>,
    /// The joint encoder.
    pub bert: BertConfig,
    /// Tokens of a report at most, the closing SEP apart.
    pub max_tokens: usize,
    /// Visual tokens kept in pre-training; downstream all are.
    pub sampled: usize,
    /// Epsilon of the language-model head's norm. *Release*: 1e-5 there, 1e-12 elsewhere.
    pub mlm_norm_eps: f64,
    /// Context rows see padding under BAR. *Release*: yes.
    pub bar_sees_padding: bool,
    /// SEP after the image has position K + 1, as the *release*'s generation and VQA code has it; else 0 as in its
    /// pre-training code.
    pub separator_after_visual: bool,
    /// The masking scheme of pre-training; MedViLL's is BAR.
    #[serde(default = "bar")]
    pub scheme: Scheme,
    /// Words are predicted where the report is another's too. *Release*: yes; the paper: true pairs only.
    #[serde(default = "yes")]
    pub mlm_on_negatives: bool,
    /// Linear heads on CLS, for diagnosis.
    #[serde(default)]
    pub diagnosis: bool,
    /// Answers that the head for questions knows; 0 for no such head.
    #[serde(default)]
    pub answers: usize,
    /// One answer of all (softmax) instead of a decision for each. *Ours*: few questions teach it sooner.
    #[serde(default)]
    pub answer_softmax: bool,
    /// A baseline in the joint encoder's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What is *ours*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<OursConfig>,
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
        // The mean of ImageNet's three channels: a radiograph has one.
        let norm = Norm::Fixed {
            mean: 0.449,
            sd: 0.226,
        };
        Self {
            preprocessing: Preprocessing::padded(512, norm),
            image: ResNetConfig::resnet50(),
            densenet: None,
            bert: BertConfig::base(),
            max_tokens: 253,
            sampled: 180,
            mlm_norm_eps: 1e-5,
            bar_sees_padding: true,
            separator_after_visual: false,
            scheme: Scheme::Bar,
            mlm_on_negatives: true,
            diagnosis: false,
            answers: 0,
            answer_softmax: false,
            baseline: None,
            ours: None,
        }
    }

    /// Small enough for a page and for training on a laptop's CPU.
    pub fn demo() -> Self {
        Self {
            preprocessing: Preprocessing::padded(224, Norm::PerImage),
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
                ..BertConfig::base()
            },
            max_tokens: 100,
            sampled: 36,
            mlm_norm_eps: 1e-12,
            bar_sees_padding: false,
            separator_after_visual: false,
            ours: Some(OursConfig {
                findings_head: true,
                view_head: false,
                global_prior: true,
                local_prior: false,
                grid_positions: true,
            }),
            ..Self::paper()
        }
    }

    /// For tests: the shapes of the reference tensors.
    pub fn tiny() -> Self {
        let paper = Self::paper();
        Self {
            preprocessing: Preprocessing {
                size: 96,
                ..paper.preprocessing
            },
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
                ..BertConfig::base()
            },
            max_tokens: 9,
            sampled: 5,
            ..paper
        }
    }

    /// The image encoder: the paper's ResNet, or the DenseNet of its ablation D-121 (sections 4.4, 5).
    pub fn encoder(&self) -> ImageEncoderConfig {
        match &self.densenet {
            Some(densenet) => ImageEncoderConfig::DenseNet(densenet.clone()),
            None => ImageEncoderConfig::ResNet(self.image.clone()),
        }
    }

    /// Channels of the image, as the image encoder wants it.
    pub fn channels(&self) -> usize {
        self.encoder().channels()
    }

    /// Channels of the image encoder's last map.
    pub fn features(&self) -> usize {
        self.encoder().features()
    }

    /// Cells on a side of the last map: a 32nd of the image's side.
    pub const fn grid(&self) -> usize {
        ImageEncoderConfig::grid(self.preprocessing.size)
    }

    /// Visual tokens of an image: cells of the last map.
    pub const fn visual_tokens(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Tokens of a whole sequence with all visual tokens: CLS, V, SEP, W, SEP.
    pub const fn sequence(&self) -> usize {
        self.visual_tokens() + self.max_tokens + 3
    }

    /// Whether the findings head is there.
    pub fn findings_head(&self) -> bool {
        self.ours.is_some_and(|ours| ours.findings_head)
    }

    /// Its labels, in the order of the heads: CheXpert's, those of the sides after them where the findings head tells
    /// sides.
    pub fn labels(&self) -> LabelSet {
        let set = LabelSet::chexpert14();
        if self.findings_head() {
            set.with_sides()
        } else {
            set
        }
    }
}

impl SystemConfig for MedVillConfig {
    const NAME: &'static str = "medvill";
    const PRESETS: &'static [&'static str] = &["paper", "demo", "tiny"];

    fn preset(name: &str) -> Option<Self> {
        match name {
            "paper" => Some(Self::paper()),
            "demo" => Some(Self::demo()),
            "tiny" => Some(Self::tiny()),
            _ => None,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let (bert, ours) = (&self.bert, self.ours.as_ref());
        let image = self.encoder().check(self.preprocessing.size);
        image
            .and_then(|()| check_norm(self.preprocessing.norm))
            .and_then(|()| bert.check())
            .map_err(|(key, must)| ConfigError { key, must })?;
        let prior = ours.is_some_and(|o| (o.global_prior || o.local_prior) && !o.findings_head);
        let rules = [
            (
                "max_tokens",
                (1..=65_536).contains(&self.max_tokens),
                "be between 1 and 65536",
            ),
            ("answers", self.answers <= 65_536, "be at most 65536"),
            (
                "ours.findings_head",
                !prior,
                "be true where global_prior or local_prior is",
            ),
            (
                "bert.positions",
                bert.positions >= self.visual_tokens() + 2 && bert.positions >= self.max_tokens + 2,
                "hold all visual tokens and all words, with two to spare",
            ),
            (
                "sampled",
                (1..=self.visual_tokens()).contains(&self.sampled),
                "be between 1 and the number of visual tokens",
            ),
        ];
        ConfigError::first(rules)
    }

    fn validate_objectives(&self, on: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
        let ours = |has: fn(&OursConfig) -> bool| self.ours.as_ref().is_some_and(has);
        let dual = self.baseline == Some(Baseline::DualEncoder);
        let rules = [
            (
                on("sides") && !on("report"),
                "sides needs report, whose words it is about",
            ),
            (
                on("view") && !ours(|o| o.view_head),
                "view needs model.ours.view_head = true",
            ),
            (
                on("findings") && !ours(|o| o.findings_head),
                "findings needs model.ours.findings_head = true",
            ),
            (
                (on("diagnosis") || on("diagnosis_image")) && !self.diagnosis,
                "diagnosis needs model.diagnosis = true",
            ),
            (
                dual && (on("mlm") || on("itm") || on("report")),
                "a dual encoder has no joint reading to pre-train or to draft with",
            ),
        ];
        first_obstacle(rules)
    }

    fn with_data(mut self, data: &DataFacts<'_>) -> Result<Self, ConfigError> {
        let fail = |key, must| Err(ConfigError { key, must });
        if (data.on)("vqa") && data.answers.is_empty() {
            return fail(
                "objectives.vqa",
                "be 0, since the training split holds no question; give data with questions",
            );
        }
        if (data.on)("sides") && data.side_tokens < 2 {
            return fail(
                "objectives.sides",
                "be 0, since the tokenizer holds no whole left and right",
            );
        }
        // Without any text nothing is read: the preset's vocabulary stays, and its tables with their first weights.
        if data.vocabulary > 0 {
            self.bert.vocabulary = data.vocabulary;
        } else if MedVill::OBJECTIVES.iter().any(|o| o.text && (data.on)(o.name)) {
            return fail(
                "objectives",
                "name none that reads reports, since the data hold no text; learn findings from images alone",
            );
        }
        self.answers = data.answers.len();
        self.validate()?;
        Ok(self)
    }

    fn adapt(mut self, checkpoint: &Arrays) -> Self {
        let has = |name: &str| checkpoint.contains_key(name);
        let any = |test: &dyn Fn(&str) -> bool| checkpoint.keys().any(|name| test(name));
        // The vocabulary is the checkpoint's own, and so are the layers that not every checkpoint has.
        let words = ["word_embeddings.weight", "predictions.decoder.weight"]
            .into_iter()
            .find_map(|end| checkpoint.iter().find(|(name, _)| name.ends_with(end)));
        if let Some((_, words)) = words {
            self.bert.vocabulary = words.shape.first().copied().unwrap_or(self.bert.vocabulary);
        }
        // The release's fine-tuned files, for generation and VQA, lack the prefix and place SEP after the image.
        self.separator_after_visual =
            any(&|name| name.contains("img_encoder.model.") && !name.split('.').any(|part| part == "enc"));
        // The paper's ablations have another image encoder: R-101, D-121.
        self.densenet = any(&|name| name.ends_with("conv0.weight")).then(DenseNetConfig::densenet121);
        if any(&|name| name.contains("layer3.22.") || name.contains("img_encoder.model.6.22.")) {
            self.image.depths = ResNetConfig::resnet101().depths;
        }
        let ours = OursConfig {
            findings_head: has("map_findings.weight"),
            view_head: has("map_view.weight"),
            global_prior: has("visual.findings.weight"),
            local_prior: has("visual.cells.weight"),
            grid_positions: has("visual.grid.weight"),
        };
        self.ours = (ours.findings_head || ours.view_head || ours.grid_positions).then_some(ours);
        self
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn text(&self) -> Option<TextSpec> {
        Some(TextSpec {
            max_tokens: self.max_tokens,
            vocabulary: self.bert.vocabulary,
            occurrences: None,
            sections: Sections::Longer,
        })
    }

    fn labels(&self) -> LabelSet {
        self.labels()
    }

    fn answers(&self) -> usize {
        self.answers
    }
}
