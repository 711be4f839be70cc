//! Clinical-BERT's config: sizes, and a key for each choice that the paper leaves open, with its reason.

use serde::{Deserialize, Serialize};

use super::{ClinicalBert, POSITIONS};
use crate::image::{Filter, Fit, Norm, Preprocessing};
use crate::nn::{Arrays, BertConfig, DenseNetConfig, ImageEncoderConfig, check_norm};
use crate::systems::{ConfigError, DataFacts, SystemConfig, TextSpec, Trainable, first_obstacle};
use crate::text::{LabelSet, Sections, Uncertain};

/// Shares of the samples that serve each way of masking ("Implementation Details").
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Masked words from the words before them.
    pub s2s: f64,
    /// Masked words from all others; clinical diagnosis is learned from these.
    pub bi: f64,
    /// Masked MeSH words from the words before them.
    pub mmm: f64,
}

/// What radiograph diagnosis reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diagnosis {
    /// CLS of an encoder that reads the image alone, as in the paper.
    Cls,
    /// The mean of the last map's cells: the image encoder alone, as CheXNet (Rajpurkar et al. 2017). *Ours*, to be compared with.
    Cells,
}

/// Image-MeSH matching.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchingConfig {
    /// Sharpens the regions' attention (eq. 5).
    pub rho1: f64,
    /// Sharpens the sum over words (eq. 7).
    pub rho2: f64,
    /// Eq. 7's temperature.
    pub tau: f64,
    /// Regions that a word keeps, the paper's K (Table 5); without it, or where it keeps all, attention is dense, Table 4's "w/o
    /// sparsity".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// Eq. 7 with tau inside the logarithm. *Ours*: no, since it is then a constant that teaches nothing.
    #[serde(default)]
    pub tau_inside_log: bool,
}

impl Default for MatchingConfig {
    /// The paper's.
    fn default() -> Self {
        Self {
            rho1: 4.0,
            rho2: 4.0,
            tau: 0.01,
            keep: Some(12),
            tau_inside_log: false,
        }
    }
}

/// The config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClinicalBertConfig {
    /// How an image becomes its input.
    pub preprocessing: Preprocessing,
    /// The visual feature extractor.
    pub image: ImageEncoderConfig,
    /// The encoder of both modalities.
    pub bert: BertConfig,
    /// Tokens of a report at most, the closing SEP apart: 60 for IU X-Ray, 80 for COV-CTR, 100 in pre-training and, *ours*, for
    /// MIMIC-CXR.
    pub max_tokens: usize,
    /// Words that occur so often make the vocabulary; without it the tokenizer is WordPiece. The paper has a footnote's "less than
    /// three times" for what is left out and "more than 3 times" for what is taken; *ours*: 3 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrences: Option<u64>,
    /// What of a report is read: IU X-Ray joins findings and impression.
    #[serde(default)]
    pub sections: Sections,
    /// The label set of clinical diagnosis, and of radiograph diagnosis: `chexpert14`, `nih14`, or `covid`.
    pub labels: String,
    /// What becomes of an uncertain label: the paper's "U-Zeros".
    #[serde(default = "zeros")]
    pub uncertain: Uncertain,
    /// The head of radiograph diagnosis; *ours*: of COVID-19 too, of which the paper does not say how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// The prediction network's last layer is the word table. *Ours*: the paper's 102M parameters are reached only so.
    #[serde(default = "yes")]
    pub tied: bool,
    /// Shares of the ways of masking; fine-tuning for reports has 0.75 : 0 : 0.25.
    pub ratio: Ratio,
    /// Share of the words that are no MeSH words that is masked; the closing SEP counts as a word (*ours*: else nothing would
    /// teach where a report ends).
    pub masked: f64,
    /// Image-MeSH matching.
    #[serde(default)]
    pub matching: MatchingConfig,
    /// Hypotheses of the beam search.
    pub beam: usize,
    /// Tokens of the vocabulary that are MeSH words; the data settle it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mesh: Vec<u32>,
}

const fn yes() -> bool {
    true
}

const fn zeros() -> Uncertain {
    Uncertain::Zeros
}

impl ClinicalBertConfig {
    /// The sizes of the paper: DenseNet-121 at 224 px, BERT-base, the vocabulary of MIMIC-CXR.
    pub fn paper() -> Self {
        // The mean of ImageNet's three channels: a radiograph has one.
        let norm = Norm::Fixed {
            mean: 0.449,
            sd: 0.226,
        };
        Self {
            preprocessing: Preprocessing {
                size: 224,
                cut_margins: false,
                fit: Fit::CenterCrop,
                filter: Filter::Triangle,
                norm,
            },
            image: ImageEncoderConfig::DenseNet(DenseNetConfig::densenet121()),
            bert: BertConfig {
                vocabulary: 7861,
                ..BertConfig::base()
            },
            max_tokens: 100,
            occurrences: Some(3),
            sections: Sections::Joined,
            labels: "chexpert14".to_owned(),
            uncertain: Uncertain::Zeros,
            diagnosis: None,
            tied: true,
            ratio: Ratio {
                s2s: 0.5,
                bi: 0.25,
                mmm: 0.25,
            },
            masked: 0.15,
            matching: MatchingConfig::default(),
            beam: 5,
            mesh: Vec::new(),
        }
    }

    /// Small enough for a page and for training on a laptop's CPU.
    pub fn demo() -> Self {
        Self {
            preprocessing: Preprocessing::padded(224, Norm::PerImage),
            image: ImageEncoderConfig::DenseNet(DenseNetConfig {
                channels: 1,
                width: 16,
                growth: 12,
                depths: [2, 4, 6, 4],
            }),
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
            ..Self::paper()
        }
    }

    /// For tests: the sizes of the golden training step.
    pub fn tiny() -> Self {
        Self {
            preprocessing: Preprocessing::padded(64, Norm::PerImage),
            image: ImageEncoderConfig::DenseNet(DenseNetConfig {
                channels: 3,
                width: 8,
                growth: 4,
                depths: [1, 2, 1, 1],
            }),
            bert: BertConfig {
                vocabulary: 60,
                width: 32,
                layers: 2,
                heads: 4,
                intermediate: 64,
                positions: 40,
                dropout: 0.0,
                ..BertConfig::base()
            },
            max_tokens: 30,
            matching: MatchingConfig {
                keep: Some(2),
                ..MatchingConfig::default()
            },
            ..Self::paper()
        }
    }

    /// Cells on a side of the last map: a 32nd of the image's side.
    pub const fn grid(&self) -> usize {
        ImageEncoderConfig::grid(self.preprocessing.size)
    }

    /// Visual tokens of an image: cells of the last map.
    pub const fn visual_tokens(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Whether a token is a MeSH word.
    pub fn is_mesh(&self, token: u32) -> bool {
        self.mesh.binary_search(&token).is_ok()
    }
}

impl SystemConfig for ClinicalBertConfig {
    const NAME: &'static str = "clinical-bert";
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
        let (bert, ratio, matching) = (&self.bert, &self.ratio, &self.matching);
        let image = self.image.check(self.preprocessing.size);
        image
            .and_then(|()| check_norm(self.preprocessing.norm))
            .and_then(|()| bert.check())
            .map_err(|(key, must)| ConfigError { key, must })?;
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let shares = [ratio.s2s, ratio.bi, ratio.mmm];
        let ascending = self.mesh.is_sorted_by(|a, b| a < b);
        let rules = [
            (
                "max_tokens",
                (1..=65_536).contains(&self.max_tokens),
                "be between 1 and 65536",
            ),
            (
                "bert.positions",
                bert.positions > self.max_tokens + POSITIONS[3],
                "hold the words and four more: CLS, image, and a SEP on either side of the words",
            ),
            (
                "labels",
                LabelSet::named(&self.labels).is_ok(),
                "be one of chexpert14, chexpert5, nih14, covid",
            ),
            (
                "ratio",
                shares.iter().all(|s| *s >= 0.0 && s.is_finite()) && shares.iter().sum::<f64>() > 0.0,
                "be shares of at least 0, one of them greater",
            ),
            (
                "masked",
                self.masked > 0.0 && self.masked <= 1.0,
                "be greater than 0 and at most 1",
            ),
            (
                "matching",
                positive(matching.rho1) && positive(matching.rho2) && positive(matching.tau),
                "have rho1, rho2 and tau greater than 0",
            ),
            (
                "matching.keep",
                matching
                    .keep
                    .is_none_or(|k| (1..=self.visual_tokens()).contains(&k)),
                "be between 1 and the number of regions",
            ),
            ("beam", (1..=16).contains(&self.beam), "be between 1 and 16"),
            (
                "mesh",
                ascending && self.mesh.last().is_none_or(|t| (*t as usize) < bert.vocabulary),
                "be tokens of the vocabulary, ascending",
            ),
        ];
        ConfigError::first(rules)
    }

    fn validate_objectives(&self, on: &dyn Fn(&str) -> bool) -> Result<(), &'static str> {
        let Ratio { s2s, bi, mmm } = self.ratio;
        let rules = [
            (
                on("diagnosis") && self.diagnosis.is_none(),
                "diagnosis needs model.diagnosis = \"cls\"",
            ),
            (on("s2s") && s2s == 0.0, "s2s needs a share in model.ratio"),
            (
                (on("bi") || on("cd")) && bi == 0.0,
                "bi and cd need a share of bi in model.ratio",
            ),
            (on("mmm") && mmm == 0.0, "mmm needs a share in model.ratio"),
            (
                on("imm") && s2s + bi == 0.0,
                "imm needs a share of s2s or bi in model.ratio: words that were replaced match no image",
            ),
        ];
        first_obstacle(rules)
    }

    fn with_data(mut self, data: &DataFacts<'_>) -> Result<Self, ConfigError> {
        if data.vocabulary > 0 {
            self.bert.vocabulary = data.vocabulary;
        } else if ClinicalBert::OBJECTIVES
            .iter()
            .any(|o| o.text && (data.on)(o.name))
        {
            return Err(ConfigError {
                key: "objectives",
                must: "name none that reads reports, since the data hold no text; learn diagnosis from images alone",
            });
        }
        if let Some(mesh) = data.mesh {
            self.mesh = mesh.to_vec();
        }
        if self.mesh.is_empty() && ((data.on)("mmm") || (data.on)("imm")) {
            return Err(ConfigError {
                key: "data.mesh",
                must: "name a list of Medical Subject Headings whose words stand in the reports: none of theirs is in the \
                       vocabulary; without one, give objectives.mmm and objectives.imm no weight",
            });
        }
        self.validate()?;
        Ok(self)
    }

    fn adapt(mut self, checkpoint: &Arrays) -> Self {
        // The vocabulary is the checkpoint's own, and so are the layers that not every one has.
        let rows = |end: &str| {
            let found = checkpoint.iter().find(|(name, _)| name.ends_with(end));
            found.and_then(|(_, array)| array.shape.first().copied())
        };
        if let Some(words) = rows("word_embeddings.weight") {
            self.bert.vocabulary = words;
        }
        self.tied = !checkpoint.contains_key("prediction.decoder.weight");
        let head = checkpoint.get("diagnosis.weight");
        if let Some(width) = head.and_then(|head| head.shape.get(1).copied()) {
            self.diagnosis = Some(if width == self.bert.width {
                Diagnosis::Cls
            } else {
                Diagnosis::Cells
            });
        }
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

    fn labels(&self) -> LabelSet {
        let set = LabelSet::named(&self.labels).unwrap_or_else(|_| LabelSet::chexpert14());
        LabelSet {
            uncertain: self.uncertain,
            ..set
        }
    }
}
