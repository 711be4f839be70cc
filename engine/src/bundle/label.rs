//! A label of a bundle: its name, its side, and what makes its logit a decision.

use hilum_task::Area;
use serde::{Deserialize, Serialize};

use crate::metrics::Calibration;
use crate::text::{LabelName, Side};

/// A label that the model predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The label's name, for findings CheXpert's column name.
    pub name: String,
    /// The side that it speaks of, `left` or `right`; anywhere where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "side")]
    pub side: Option<Side>,
    /// The probability from which on the label counts as present, chosen on validation data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<f64>,
    /// The logit is divided by this before it becomes a probability (Guo et al. 2017), fitted on validation
    /// data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// How well the model told it on test data, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
}

impl Label {
    /// A label that is not calibrated.
    pub fn new(label: &LabelName) -> Self {
        Self {
            name: label.name.clone(),
            side: label.side,
            operating_point: None,
            temperature: None,
            area: None,
        }
    }

    /// How its logit becomes a probability and a decision.
    pub fn calibration(&self) -> Calibration {
        let default = Calibration::default();
        Calibration {
            temperature: self.temperature.unwrap_or(default.temperature),
            operating_point: self.operating_point.unwrap_or(default.operating_point),
        }
    }
}

/// A side as the word that reports use.
mod side {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::text::Side;

    pub fn serialize<S: Serializer>(side: &Option<Side>, serializer: S) -> Result<S::Ok, S::Error> {
        match side {
            Some(side) => serializer.serialize_str(side.name()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Side>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let parse = |text: String| {
            let known = [Side::Left, Side::Right, Side::Bilateral];
            let wrong = || D::Error::custom(format!("{text:?} is not a side, left or right"));
            known
                .into_iter()
                .find(|side| side.name() == text)
                .ok_or_else(wrong)
        };
        text.map(parse).transpose()
    }
}
