//! Label sets: the names that a head predicts, where a label tells a side, and what a blank and an "uncertain" mean.

use serde::{Deserialize, Serialize};

use crate::{Certainty, Finding, Side, TextError};

/// A label: present, absent, or unknown, and then neither learned from nor counted.
pub type Target = Option<bool>;

/// What it means that a published label is blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    /// Not mentioned, hence absent: labels of reports (CheXpert, MIMIC-CXR).
    Absent,
    /// Not labelled, hence unknown: collections that label some categories alone (NIH, COVID-19, Open-I).
    Unknown,
}

/// What becomes of "uncertain" (Irvin et al. 2019, section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertain {
    /// Not learned from: U-Ignore.
    #[default]
    Ignore,
    /// Absent: U-Zeros.
    Zeros,
    /// Present: U-Ones.
    Ones,
}

/// A label of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelName {
    /// The name, for CheXpert's categories that of their published column.
    pub name: String,
    /// The side that it speaks of; `None` for anywhere.
    pub side: Option<Side>,
}

/// A name without case, spaces and signs: data sets differ in those.
pub fn plain_name(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether two names are one class, whatever their case and signs; NIH's and Open-I's words for CheXpert's are known.
pub fn same_class(one: &str, other: &str) -> bool {
    let plain = |name: &str| {
        let plain = plain_name(name);
        match plain.as_str() {
            "pleuraleffusion" => "effusion".to_owned(),
            "normal" => "nofinding".to_owned(),
            "infiltrate" => "infiltration".to_owned(),
            _ => plain,
        }
    };
    plain(one) == plain(other)
}

/// Labels in the order of a model's outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    /// The set's name in configs.
    pub name: &'static str,
    /// The labels; those of a side come after all that speak of anywhere.
    pub labels: Vec<LabelName>,
    /// What becomes of "uncertain".
    pub uncertain: Uncertain,
}

/// CheXpert's five of its competition (Irvin et al. 2019, table 3).
const CHEXPERT5: [&str; 5] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Pleural Effusion",
];

/// NIH ChestX-ray14's (Wang et al. 2017), as its table spells them.
pub const NIH14: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
];

impl LabelSet {
    /// The names of the sets.
    pub const NAMES: [&'static str; 4] = ["chexpert14", "chexpert5", "nih14", "covid"];

    /// The set of that name.
    ///
    /// # Errors
    /// An unknown name, with those that are known.
    pub fn named(name: &str) -> Result<Self, TextError> {
        let anywhere = |names: &[&str]| {
            let label = |name: &&str| LabelName {
                name: (*name).to_owned(),
                side: None,
            };
            names.iter().map(label).collect()
        };
        let (name, labels, uncertain) = match name {
            "chexpert14" => (
                "chexpert14",
                anywhere(&Finding::ALL.map(Finding::name)),
                Uncertain::Ignore,
            ),
            "chexpert5" => ("chexpert5", anywhere(&CHEXPERT5), Uncertain::Ignore),
            "nih14" => ("nih14", anywhere(&NIH14), Uncertain::Ignore),
            "covid" => (
                "covid",
                anywhere(&["COVID-19", "Viral", "Bacterial"]),
                Uncertain::Ignore,
            ),
            other => {
                let known = Self::NAMES.join(", ");
                return Err(TextError::LabelSet(format!(
                    "{other:?} is not a label set; choose one of: {known}"
                )));
            }
        };
        Ok(Self {
            name,
            labels,
            uncertain,
        })
    }

    /// CheXpert's 14 categories.
    pub fn chexpert14() -> Self {
        let label = |finding: Finding| LabelName {
            name: finding.name().to_owned(),
            side: None,
        };
        Self {
            name: "chexpert14",
            labels: Finding::ALL.map(label).to_vec(),
            uncertain: Uncertain::Ignore,
        }
    }

    /// The set with each of its labels on the left and on the right after them.
    pub fn with_sides(mut self) -> Self {
        let anywhere: Vec<LabelName> = self.labels.iter().filter(|l| l.side.is_none()).cloned().collect();
        self.labels = anywhere.clone();
        for side in [Side::Left, Side::Right] {
            self.labels.extend(anywhere.iter().map(|label| LabelName {
                side: Some(side),
                ..label.clone()
            }));
        }
        self
    }

    /// How many labels.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// What is known of a label that a report or a table states so.
    pub fn target(&self, stated: Option<Certainty>, blank: Blank) -> Target {
        match (stated, blank, self.uncertain) {
            (Some(Certainty::Positive), ..) => Some(true),
            (Some(Certainty::Negative), ..) => Some(false),
            (Some(Certainty::Uncertain), _, Uncertain::Ignore) => None,
            (Some(Certainty::Uncertain), _, Uncertain::Zeros) => Some(false),
            (Some(Certainty::Uncertain), _, Uncertain::Ones) => Some(true),
            (None, Blank::Absent, _) => Some(false),
            (None, Blank::Unknown, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_come_after_what_is_anywhere() {
        let set = LabelSet::chexpert14().with_sides();
        assert_eq!(set.len(), 42);
        assert!(set.labels[..14].iter().all(|label| label.side.is_none()));
        assert_eq!(set.labels[24].name, "Pleural Effusion");
        assert_eq!(set.labels[24].side, Some(Side::Left));
        for name in LabelSet::NAMES {
            assert_eq!(LabelSet::named(name).unwrap().name, name);
        }
        assert!(
            LabelSet::named("chexpert")
                .unwrap_err()
                .to_string()
                .contains("nih14")
        );
    }

    #[test]
    fn a_blank_is_unknown_where_not_all_was_labelled() {
        let set = LabelSet::chexpert14();
        assert_eq!(set.target(None, Blank::Absent), Some(false));
        assert_eq!(set.target(None, Blank::Unknown), None);
        assert_eq!(set.target(Some(Certainty::Uncertain), Blank::Absent), None);
    }
}
