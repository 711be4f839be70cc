//! The published layouts by name, what is read of one, and what that gives.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::study::{Counts, Split, Study};

/// The layouts that this version reads and writes, for messages.
pub(crate) const SUPPORTED: &str =
    "mimic-cxr, openi, r2gen, vqa-rad, nih14, chexpert, covid, cov-ctr or figures";

/// A layout in which a data set is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// MIMIC-CXR-JPG 2.0.0, with the report files of MIMIC-CXR.
    MimicCxr,
    /// Indiana University's collection (Open-i).
    OpenI,
    /// What R2Gen was trained on: IU X-Ray or MIMIC-CXR behind one `annotation.json`.
    R2Gen,
    /// VQA-RAD.
    VqaRad,
    /// NIH ChestX-ray14.
    Nih14,
    /// CheXpert.
    CheXpert,
    /// RSNA Pneumonia Detection Challenge.
    Rsna,
    /// SIIM-ACR Pneumothorax Segmentation.
    Siim,
    /// COVID-19 Image Data Collection.
    Covid,
    /// COV-CTR.
    CovCtr,
    /// Figures of publications with their captions.
    Figures,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 11] = [
        Self::MimicCxr,
        Self::OpenI,
        Self::R2Gen,
        Self::VqaRad,
        Self::Nih14,
        Self::CheXpert,
        Self::Rsna,
        Self::Siim,
        Self::Covid,
        Self::CovCtr,
        Self::Figures,
    ];

    /// As the command names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MimicCxr => "mimic-cxr",
            Self::OpenI => "openi",
            Self::R2Gen => "r2gen",
            Self::VqaRad => "vqa-rad",
            Self::Nih14 => "nih14",
            Self::CheXpert => "chexpert",
            Self::Rsna => "rsna",
            Self::Siim => "siim",
            Self::Covid => "covid",
            Self::CovCtr => "cov-ctr",
            Self::Figures => "figures",
        }
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = NoSuchLayout;

    fn from_str(text: &str) -> Result<Self, NoSuchLayout> {
        let wanted = text.trim().to_ascii_lowercase().replace('_', "-");
        Self::ALL
            .into_iter()
            .find(|l| l.name() == wanted)
            .ok_or_else(|| NoSuchLayout(text.to_owned()))
    }
}

/// A layout's name that is not one of those that exist.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no layout {0:?}; choose one of {known}", known = Layout::names())]
pub struct NoSuchLayout(String);

/// Which pictures are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Views {
    /// AP and PA.
    #[default]
    Frontal,
    /// AP only, as MedViLL does.
    Ap,
    /// PA only.
    Pa,
    /// Any projection, lateral ones too.
    All,
}

/// What to read of a data set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// One part; `None` for all.
    pub split: Option<Split>,
    /// Which projections.
    pub views: Views,
    /// Every image of a study that has several, not only its first.
    pub every_image: bool,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its layout.
    pub layout: Layout,
    /// The studies, in the order of the publisher's table.
    pub studies: Vec<Study>,
    /// How many, and what was missing.
    pub counts: Counts,
    /// The data set's own label set in the published order; empty where the labels are CheXpert's.
    pub classes: Vec<String>,
    /// What a reader ought to know: whence the split, what was left out.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_round() {
        for layout in Layout::ALL {
            assert_eq!(layout.name().parse::<Layout>().unwrap(), layout);
        }
        assert_eq!("MIMIC_CXR".parse::<Layout>().unwrap(), Layout::MimicCxr);
        let message = "padchest".parse::<Layout>().unwrap_err().to_string();
        assert!(
            message.contains("padchest") && message.contains("nih14"),
            "{message}"
        );
    }
}
