//! The vocabulary that every room shares: CheXpert's 14 categories, what a report says of each, and sides.

use serde::{Deserialize, Serialize};

/// One of the 14 categories of the CheXpert labeler (Irvin et al. 2019, table 1), in that paper's order.
///
/// Published CSV files order their columns differently: read them by header with [`Finding::from_name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Finding {
    /// Nothing but devices is positive or uncertain.
    NoFinding,
    /// A widened mediastinum.
    EnlargedCardiomediastinum,
    /// An enlarged heart.
    Cardiomegaly,
    /// A nodule or a mass.
    LungLesion,
    /// Any opacity, infiltrate or airspace disease.
    LungOpacity,
    /// Pulmonary oedema, vascular congestion.
    Edema,
    /// Consolidated lung.
    Consolidation,
    /// Pneumonia, infection.
    Pneumonia,
    /// Collapse of lung, from plate-like to lobar.
    Atelectasis,
    /// Air in the pleural space.
    Pneumothorax,
    /// Fluid in the pleural space.
    PleuralEffusion,
    /// Thickening, scarring, plaque, fibrosis of the pleura.
    PleuralOther,
    /// A fracture of ribs, clavicle, spine.
    Fracture,
    /// Tubes, lines, pacemakers, drains.
    SupportDevices,
}

impl Finding {
    /// All categories, in order.
    pub const ALL: [Self; 14] = [
        Self::NoFinding,
        Self::EnlargedCardiomediastinum,
        Self::Cardiomegaly,
        Self::LungLesion,
        Self::LungOpacity,
        Self::Edema,
        Self::Consolidation,
        Self::Pneumonia,
        Self::Atelectasis,
        Self::Pneumothorax,
        Self::PleuralEffusion,
        Self::PleuralOther,
        Self::Fracture,
        Self::SupportDevices,
    ];

    /// The column name in CheXpert's CSV files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoFinding => "No Finding",
            Self::EnlargedCardiomediastinum => "Enlarged Cardiomediastinum",
            Self::Cardiomegaly => "Cardiomegaly",
            Self::LungLesion => "Lung Lesion",
            Self::LungOpacity => "Lung Opacity",
            Self::Edema => "Edema",
            Self::Consolidation => "Consolidation",
            Self::Pneumonia => "Pneumonia",
            Self::Atelectasis => "Atelectasis",
            Self::Pneumothorax => "Pneumothorax",
            Self::PleuralEffusion => "Pleural Effusion",
            Self::PleuralOther => "Pleural Other",
            Self::Fracture => "Fracture",
            Self::SupportDevices => "Support Devices",
        }
    }

    /// Whether it lies on a side: what is of one organ in the middle, or of both lungs, does not.
    pub const fn has_side(self) -> bool {
        !matches!(
            self,
            Self::NoFinding
                | Self::EnlargedCardiomediastinum
                | Self::Cardiomegaly
                | Self::Edema
                | Self::SupportDevices
        )
    }

    /// The category of a CSV column, compared without case, spaces and underscores.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = |s: &str| -> String {
            s.chars()
                .filter(|c| c.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect()
        };
        let wanted = plain(name);
        Self::ALL.into_iter().find(|f| plain(f.name()) == wanted)
    }
}

/// What a report says of one category. Blank in CheXpert's CSV is `None` of `Option<Certainty>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Certainty {
    /// Stated to be present, `1.0` in the CSV.
    Positive,
    /// Stated to be absent, `0.0`.
    Negative,
    /// Hedged, `-1.0`.
    Uncertain,
}

/// What a report says of all 14 categories, indexed by `Finding as usize`.
pub type Labels = [Option<Certainty>; 14];

/// A side of the patient's body (not of the picture).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    /// The patient's left: the right half of a frontal radiograph.
    Left,
    /// The patient's right: the left half of a frontal radiograph.
    Right,
    /// Both.
    Bilateral,
}

impl Side {
    /// In lower case, as reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Bilateral => "bilateral",
        }
    }
}

/// A third of a lung by height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Zone {
    /// Above the hilum.
    Upper,
    /// At the hilum.
    Mid,
    /// Below the hilum.
    Lower,
}
