//! Medical X-VL's config: sizes, a key for each row of the paper's Table 1, and one for each choice that it leaves open. *Release* marks
//! what the paper's published code has where the paper is silent, *ours* what neither settles.

use serde::{Deserialize, Serialize};

use super::{ImageAlone, Xvl};
use crate::image::Preprocessing;
use crate::nn::vit::Pooling;
use crate::nn::{Arrays, BertConfig, ImageEncoderConfig, PrototypeConfig, VitConfig, check_norm};
use crate::systems::{ConfigError, DataFacts, SystemConfig, TextSpec, Trainable, first_obstacle};
use crate::text::{LabelSet, Sections, Uncertain};

/// Which CLS says whether image and report match (Table 1, "w/o Ensemble"), and learns to. Table 1's "text path only" and "image path
/// only" are a model that learned with both and is read with one; a run with one learns that path alone, as ALBEF does the text's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paths {
    /// The mean of both; their losses are summed.
    #[default]
    Both,
    /// That of the text, which asks the image.
    Text,
    /// That of the image, which asks the text.
    Image,
    /// None: features alone are compared, in a model that was not taught to match (Table 2's CoCa).
    Neither,
}

/// Contrastive learning with queues (eq. 1 to 6) and momentum distillation (eq. 11).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastConfig {
    /// Width of what is compared; *release*.
    pub projection: usize,
    /// The temperature at the start; it is learned. *Release*.
    pub temperature: f64,
    /// What the temperature stays within; *release*.
    pub within: [f64; 2],
    /// Features of each modality that are remembered, Q; 0 for none: of random weights that learn fast, what is remembered is told from what
    /// is new by its age, and nothing else is learned.
    pub queue: usize,
    /// The share of the momentum teacher's opinion in the targets of contrastive learning and of masked words, lambda; 0 is Table 1's
    /// "w/o Knowledge distillation".
    pub lambda: f64,
    /// The share of the run over which lambda grows from 0: the first of 15 epochs in the *release*.
    pub ramp: f64,
    /// Images are compared with images and texts with texts, too (eq. 5); no leaves eq. 4 alone, for the rows of Tables 2 and 3 in the
    /// manner of ALBEF and CoCa.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub intra: bool,
    /// The share of a text's words that is left out in training, others each time and others for student and teacher, where it is compared, matched
    /// and in view of masked patches: few pairs are not learned by heart then. *Ours*; the paper leaves out none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: f64,
}

impl Default for ContrastConfig {
    fn default() -> Self {
        Self {
            projection: 256,
            temperature: 0.07,
            within: [0.001, 0.5],
            queue: 49_152,
            lambda: 0.4,
            ramp: 1.0 / 15.0,
            intra: true,
            left_out: 0.0,
        }
    }
}

/// Masked image modelling against a momentum teacher (eq. 8; iBOT, Zhou et al. 2022). All but the ratio is the *release*'s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MimConfig {
    /// The share of the patches that is masked, in blocks.
    pub ratio: f64,
    /// The head.
    pub head: PrototypeConfig,
    /// The student's temperature.
    pub student: f64,
    /// The teacher's temperature at the start and after its warm-up.
    pub teacher: [f64; 2],
    /// The share of the run that the teacher's temperature takes to warm up.
    pub warmup: f64,
    /// How much of the running centre of the teacher's logits is kept each step.
    pub centre: f64,
}

impl Default for MimConfig {
    fn default() -> Self {
        Self {
            ratio: 0.3,
            head: PrototypeConfig {
                hidden: 2048,
                bottleneck: 256,
                prototypes: 8192,
            },
            student: 0.1,
            teacher: [0.04, 0.07],
            warmup: 0.3,
            centre: 0.9,
        }
    }
}

/// The config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XvlConfig {
    /// How an image becomes its input.
    pub preprocessing: Preprocessing,
    /// The image encoder; its width is that of `bert`, since the fusion encoder reads both streams with the same weights.
    pub vit: VitConfig,
    /// A convolutional network under the ViT, whose map stands for the image: the ViT's hybrid form (Dosovitskiy et al. 2021, section
    /// 3.1), *ours*, for data too few to teach a ViT to see. `vit` is then sized by that map: its channels and side, patches of 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<ImageEncoderConfig>,
    /// Text encoder and fusion encoder, one above the other.
    pub bert: BertConfig,
    /// The last layers of `bert`, which have cross-attention: the fusion encoder.
    pub fusion: usize,
    /// One set of fusion weights for both paths; no is Table 1's "w/o Alternating fusion encoder".
    #[serde(default = "yes")]
    pub alternating: bool,
    /// Which path's CLS says whether a pair matches, and learns to.
    #[serde(default)]
    pub paths: Paths,
    /// Tokens of a report at most, the closing SEP apart.
    pub max_tokens: usize,
    /// Words that occur so often make the vocabulary; without it the tokenizer is WordPiece, as in the paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrences: Option<u64>,
    /// What of a report is read: the longer of findings and impression.
    #[serde(default)]
    pub sections: Sections,
    /// Contrastive learning.
    #[serde(default)]
    pub contrast: ContrastConfig,
    /// Negatives of image-text matching are drawn by their similarity; no is Table 1's "w/o Hard negative mining".
    #[serde(default = "yes")]
    pub hard_negatives: bool,
    /// Share of a text's tokens that is masked.
    pub masked: f64,
    /// How much likelier a word of Medical Subject Headings is masked than another (*release*: 6; *ours*: the share of all stays);
    /// 1 is Table 1's "w/o Medical keyword weighting".
    pub keyword: f64,
    /// Masked image modelling.
    #[serde(default)]
    pub mim: MimConfig,
    /// The share of the patches that is masked where a report is learned to be written; *release*: that of `mim`.
    #[serde(default)]
    pub report_ratio: f64,
    /// The label set of the head on the image encoder.
    pub labels: String,
    /// What becomes of an uncertain label.
    #[serde(default = "zeros")]
    pub uncertain: Uncertain,
    /// The image encoder has a head for `labels`.
    #[serde(default)]
    pub diagnosis: bool,
    /// That head tells each of them of the left and of the right too, *ours*.
    #[serde(default)]
    pub sides: bool,
    /// The image encoder has a head by which it learns by itself, for the rows of Table 5: `simclr`, `dino` or `simmim`, by the objective of
    /// that name. What is learned after it begins with `init_only = ["visual_encoder"]`, over a backbone with `image` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_alone: Option<ImageAlone>,
    /// Layers of the decoder that writes answers to questions; 0 for a model that is asked none. *Ours*: it begins with the weights of the
    /// fusion encoder's last layers, as ALBEF's does.
    #[serde(default)]
    pub decoder: usize,
    /// The closed list of answers, as tokens with their closing SEP; the data of a run settle it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Vec<u32>>,
    /// Tokens that are words of Medical Subject Headings, ascending; the data of a run settle it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mesh: Vec<u32>,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(share: &f64) -> bool {
    *share == 0.0
}

const fn is_yes(value: &bool) -> bool {
    *value
}

const fn zeros() -> Uncertain {
    Uncertain::Zeros
}

impl XvlConfig {
    /// Channels of the image.
    pub fn channels(&self) -> usize {
        self.backbone
            .as_ref()
            .map_or(self.vit.channels, ImageEncoderConfig::channels)
    }

    /// Whether a token is a word of Medical Subject Headings.
    pub fn is_mesh(&self, token: u32) -> bool {
        self.mesh.binary_search(&token).is_ok()
    }
}

impl SystemConfig for XvlConfig {
    const NAME: &'static str = "xvl";
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
        let Self {
            vit,
            bert,
            contrast,
            mim,
            ..
        } = self;
        let size = self.preprocessing.size;
        let backbone = self.backbone.as_ref().map_or(Ok(()), |net| net.check(size));
        let checked = check_norm(self.preprocessing.norm)
            .and_then(|()| bert.check())
            .and(backbone);
        checked.map_err(|(key, must)| ConfigError { key, must })?;
        let seen = match &self.backbone {
            Some(net) => {
                vit.channels == net.features() && vit.size == ImageEncoderConfig::grid(size) && vit.patch == 1
            }
            None => vit.size == size && (1..=4).contains(&vit.channels),
        };
        let share = |x: f64| (0.0..1.0).contains(&x);
        let small = vit.size <= 2048 && vit.width <= 8192 && vit.layers <= 128 && vit.mlp_ratio <= 64;
        let [least, most] = contrast.within;
        let PrototypeConfig {
            hidden,
            bottleneck,
            prototypes,
        } = mim.head;
        let sizes = [hidden, bottleneck, prototypes, contrast.projection];
        ConfigError::first([
            (
                "vit",
                vit.validate().is_ok() && small && vit.layers > 0,
                "have a size of at most 2048 that its patches fill, heads that divide its width, and layers",
            ),
            (
                "vit.pooling",
                vit.class_token && vit.pooling == Pooling::Cls,
                "be cls, with class_token = true: the image's CLS is compared and matched",
            ),
            (
                "vit.size",
                seen,
                "be preprocessing.size, with 1 to 4 channels; over a backbone the side of its map, with its channels and patches of 1",
            ),
            (
                "vit.width",
                vit.width == bert.width,
                "be that of bert.width: the fusion encoder reads both streams with the same weights",
            ),
            (
                "fusion",
                (1..=bert.layers).contains(&self.fusion),
                "be at least 1 and at most bert.layers",
            ),
            (
                "max_tokens",
                (1..=65_536).contains(&self.max_tokens),
                "be between 1 and 65536",
            ),
            (
                "bert.positions",
                bert.positions >= self.max_tokens + 2,
                "hold the words and two more, CLS and SEP",
            ),
            (
                "contrast.within",
                least > 0.0 && least < most && most.is_finite(),
                "be two temperatures greater than 0, the smaller one first",
            ),
            (
                "contrast.temperature",
                (least..=most).contains(&contrast.temperature),
                "lie within contrast.within",
            ),
            (
                "contrast",
                sizes.iter().all(|n| (1..=1 << 20).contains(n)) && contrast.queue <= 1 << 20,
                "have a projection of at least 1, as mim.head has widths and prototypes, and neither those nor a queue above 2^20",
            ),
            (
                "contrast.lambda",
                (0.0..=1.0).contains(&contrast.lambda) && share(contrast.ramp),
                "be between 0 and 1, and contrast.ramp at least 0 and below 1",
            ),
            (
                "contrast.left_out",
                share(contrast.left_out),
                "be at least 0 and below 1",
            ),
            (
                "masked",
                self.masked > 0.0 && self.masked <= 1.0,
                "be greater than 0 and at most 1",
            ),
            (
                "keyword",
                self.keyword > 0.0 && self.keyword.is_finite(),
                "be greater than 0; 1 masks all words alike",
            ),
            (
                "mim.ratio",
                mim.ratio > 0.0 && share(mim.ratio) && share(self.report_ratio),
                "be greater than 0 and below 1, and report_ratio at least 0 and below 1",
            ),
            (
                "mim",
                [mim.student, mim.teacher[0], mim.teacher[1]]
                    .iter()
                    .all(|t| *t > 0.0 && t.is_finite())
                    && share(mim.warmup)
                    && share(mim.centre),
                "have temperatures greater than 0, and warmup and centre at least 0 and below 1",
            ),
            (
                "image_alone",
                self.image_alone != Some(ImageAlone::SimMim) || self.backbone.is_none(),
                "be simclr or dino over a backbone: simmim restores the pixels of the ViT's own patches",
            ),
            (
                "decoder",
                self.decoder <= 128,
                "have at most 128 layers; 0 for a model that is asked nothing",
            ),
            (
                "answers",
                self.answers.len() <= 65_536
                    && self.answers.iter().all(|answer| {
                        (1..=self.max_tokens + 1).contains(&answer.len())
                            && answer.iter().all(|t| (*t as usize) < bert.vocabulary)
                    }),
                "be at most 65536 answers of tokens of the vocabulary, none longer than max_tokens",
            ),
            (
                "labels",
                LabelSet::named(&self.labels).is_ok(),
                "be one of chexpert14, chexpert5, nih14, covid",
            ),
            (
                "mesh",
                self.mesh.is_sorted_by(|a, b| a < b)
                    && self.mesh.last().is_none_or(|t| (*t as usize) < bert.vocabulary),
                "be tokens of the vocabulary, ascending",
            ),
        ])
    }

    fn validate_objectives(&self, on: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
        let lacks = |method: ImageAlone| on(method.objective()) && self.image_alone != Some(method);
        first_obstacle([
            (
                on("diagnosis") && !self.diagnosis,
                "diagnosis needs model.diagnosis = true",
            ),
            (
                on("itm") && self.paths == Paths::Neither,
                "itm needs a path that says whether a pair matches: model.paths = \"both\", \"text\" or \"image\"",
            ),
            (
                on("contrast") && !on("itm") && self.paths != Paths::Neither,
                "contrast alone teaches no head that says whether a pair matches: weigh itm too, or compare features alone by \
                 model.paths = \"neither\"",
            ),
            (
                on("vqa") && self.decoder == 0,
                "vqa needs a decoder: model.decoder = 6, as in the paper",
            ),
            (
                lacks(ImageAlone::SimClr),
                "simclr needs model.image_alone = \"simclr\"",
            ),
            (lacks(ImageAlone::Dino), "dino needs model.image_alone = \"dino\""),
            (
                lacks(ImageAlone::SimMim),
                "simmim needs model.image_alone = \"simmim\"",
            ),
            (
                Xvl::views(on) > 1 && Xvl::OBJECTIVES.iter().filter(|o| on(o.name)).count() > 1,
                "simclr and dino go alone: they show each image twice, which no other objective expects",
            ),
        ])
    }

    fn with_data(mut self, data: &DataFacts<'_>) -> Result<Self, ConfigError> {
        let reads = Xvl::OBJECTIVES.iter().any(|o| o.text && (data.on)(o.name));
        let compares = ["contrast", "itm", "simclr"].iter().any(|name| (data.on)(name));
        if data.vocabulary > 0 {
            self.bert.vocabulary = data.vocabulary;
        }
        if let Some(mesh) = data.mesh {
            self.mesh = mesh.to_vec();
        }
        if self.decoder > 0 {
            self.answers = data.answers.to_vec();
        }
        ConfigError::first([
            (
                "objectives.vqa",
                !(data.on)("vqa") || !data.answers.is_empty(),
                "be 0, since the training split holds no question; give data with questions",
            ),
            (
                "objectives",
                !reads || data.vocabulary > 0,
                "name none that reads reports, since the data hold no text; learn diagnosis from images alone",
            ),
            (
                "optim.batch",
                !compares || data.together > 1,
                "let at least two studies go through the model together (optim.batch over optim.accumulate): one alone has no negatives; \
                 raise it, or give contrast, itm and simclr no weight in objectives",
            ),
            (
                "contrast.queue",
                !(data.on)("contrast") || self.contrast.queue <= data.studies,
                "be at most the number of studies in training: a longer queue holds each study's own features, which would count as \
                 negatives; lower model.contrast.queue or give more data",
            ),
        ])?;
        self.validate()?;
        Ok(self)
    }

    fn adapt(mut self, checkpoint: &Arrays) -> Self {
        let rows = |end: &str| {
            let found = checkpoint.iter().find(|(name, _)| name.ends_with(end));
            found.and_then(|(_, array)| array.shape.first().copied())
        };
        if let Some(words) = rows("word_embeddings.weight") {
            self.bert.vocabulary = words;
        }
        self.diagnosis = checkpoint.contains_key("diagnosis.weight");
        let layers = checkpoint.keys().filter_map(|name| {
            let number = name.strip_prefix("decoder.layer.")?.split('.').next()?;
            number.parse::<usize>().ok()
        });
        self.decoder = layers.max().map_or(0, |last| last + 1);
        self
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn text(&self) -> Option<TextSpec> {
        Some(TextSpec {
            max_tokens: self.max_tokens,
            vocabulary: self.bert.vocabulary,
            occurrences: self.occurrences,
            sections: self.sections,
        })
    }

    fn answers(&self) -> usize {
        self.answers.len()
    }

    fn labels(&self) -> LabelSet {
        let set = LabelSet::named(&self.labels).unwrap_or_else(|_| LabelSet::chexpert14());
        let set = if self.sides { set.with_sides() } else { set };
        LabelSet {
            uncertain: self.uncertain,
            ..set
        }
    }
}
