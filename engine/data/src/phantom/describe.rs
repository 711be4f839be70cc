//! What a phantom shows, before it is drawn or reported: the one source of picture, prose, labels, masks and
//! boxes.

use serde::{Deserialize, Serialize};

use hilum_text::{Certainty, Finding, Labels, Side, Zone};

/// How the beam crosses the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum View {
    /// Front to back: portable, supine, larger heart, scapulae over the lungs.
    Ap,
    /// Back to front: upright, deeper breath.
    Pa,
}

/// What is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // each is the field's own word
pub enum Kind {
    Effusion,
    Pneumothorax,
    /// Dense, homogeneous, with an edge.
    Consolidation,
    /// Patchy, ill-defined, with air bronchograms.
    Pneumonia,
    /// Faint and hazy: neither of the two above.
    Opacity,
    /// Plate-like bands, volume loss.
    Atelectasis,
    Edema,
    Cardiomegaly,
    WideMediastinum,
    Nodule,
    Mass,
    PleuralThickening,
    RibFracture,
    EtTube,
    CentralLine,
    Pacemaker,
    ChestDrain,
}

impl Kind {
    /// The CheXpert category that this counts for.
    pub const fn finding(self) -> Finding {
        match self {
            Self::Effusion => Finding::PleuralEffusion,
            Self::Pneumothorax => Finding::Pneumothorax,
            Self::Consolidation => Finding::Consolidation,
            Self::Pneumonia => Finding::Pneumonia,
            Self::Opacity => Finding::LungOpacity,
            Self::Atelectasis => Finding::Atelectasis,
            Self::Edema => Finding::Edema,
            Self::Cardiomegaly => Finding::Cardiomegaly,
            Self::WideMediastinum => Finding::EnlargedCardiomediastinum,
            Self::Nodule | Self::Mass => Finding::LungLesion,
            Self::PleuralThickening => Finding::PleuralOther,
            Self::RibFracture => Finding::Fracture,
            Self::EtTube | Self::CentralLine | Self::Pacemaker | Self::ChestDrain => Finding::SupportDevices,
        }
    }
}

/// How much of it there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Severity {
    Small,
    Moderate,
    Large,
}

/// One thing seen, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// What.
    pub kind: Kind,
    /// Which side of the patient; `None` for what lies in the middle or everywhere.
    pub side: Option<Side>,
    /// Which third of the lung, where it matters.
    pub zone: Option<Zone>,
    /// How much.
    pub severity: Severity,
    /// Categories that a careful reader would only suggest as its cause ("may represent pneumonia").
    pub suggests: Vec<Finding>,
}

/// A whole phantom patient on one radiograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The seed that made it.
    pub seed: u64,
    /// How it was taken.
    pub view: View,
    /// What it shows; empty when normal.
    pub observations: Vec<Observation>,
}

impl Description {
    /// The truth: `Positive` for what is there, `Uncertain` for what is only suggested, `None` (not
    /// `Negative`) for the rest;
    /// `NoFinding` is `Positive` when nothing but devices is there or suggested.
    pub fn labels(&self) -> Labels {
        let mut labels: Labels = [None; 14];
        for observation in &self.observations {
            for suggested in &observation.suggests {
                let label = &mut labels[*suggested as usize];
                if label.is_none() {
                    *label = Some(Certainty::Uncertain);
                }
            }
            labels[observation.kind.finding() as usize] = Some(Certainty::Positive);
        }
        let diseased = Finding::ALL[1..13].iter().any(|f| labels[*f as usize].is_some());
        if !diseased {
            labels[Finding::NoFinding as usize] = Some(Certainty::Positive);
        }
        labels
    }

    /// The side of each category that is there and has one; left and right together are bilateral.
    pub fn sides(&self) -> [Option<Side>; 14] {
        let mut sides = [None; 14];
        for observation in &self.observations {
            let slot = &mut sides[observation.kind.finding() as usize];
            *slot = match (*slot, observation.side) {
                (None, side) => side,
                (side, None) => side,
                (Some(a), Some(b)) if a == b => Some(a),
                _ => Some(Side::Bilateral),
            };
        }
        sides
    }
}
