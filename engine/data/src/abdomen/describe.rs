//! What an abdominal phantom shows, before it is drawn or reported: the one source of picture, report and truth.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::phantom::Severity;
use hilum_text::Side;

/// How the patient was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Position {
    /// On the back: gas lies in front, nothing settles.
    Supine,
    /// Standing: free air rises under the diaphragm, fluid settles below gas.
    Upright,
}

/// What is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // each is the field's own word
pub enum Kind {
    /// Below the diaphragm, only in upright patients.
    FreeAir,
    /// Dilated loops of small bowel.
    SmallBowel,
    /// A dilated colon.
    Colon,
    KidneyStone,
    Gallstone,
    /// Harmless calcified veins in the pelvis.
    Phleboliths,
    FaecalLoading,
    GastricTube,
    Drain,
    /// A double-J stent in a ureter.
    Stent,
    /// Clips of a cholecystectomy.
    Clips,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::FreeAir,
        Self::SmallBowel,
        Self::Colon,
        Self::KidneyStone,
        Self::Gallstone,
        Self::Phleboliths,
        Self::FaecalLoading,
        Self::GastricTube,
        Self::Drain,
        Self::Stent,
        Self::Clips,
    ];

    /// The clinically important finding that it is; `None` for what is harmless.
    pub const fn finding(self) -> Option<AbdominalFinding> {
        Some(match self {
            Self::FreeAir => AbdominalFinding::FreeAir,
            Self::SmallBowel => AbdominalFinding::SmallBowelDilatation,
            Self::Colon => AbdominalFinding::ColonicDilatation,
            Self::KidneyStone => AbdominalFinding::UrinaryStone,
            Self::Gallstone => AbdominalFinding::Gallstone,
            Self::FaecalLoading => AbdominalFinding::FaecalLoading,
            Self::GastricTube => AbdominalFinding::GastricTube,
            Self::Drain => AbdominalFinding::Drain,
            Self::Stent => AbdominalFinding::UretericStent,
            Self::Clips => AbdominalFinding::Clips,
            Self::Phleboliths => return None,
        })
    }
}

/// What is clinically important on an abdominal radiograph, as drafts are scored by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AbdominalFinding {
    /// Pneumoperitoneum.
    FreeAir,
    /// Ileus or obstruction of the small bowel.
    SmallBowelDilatation,
    /// Dilatation of the large bowel.
    ColonicDilatation,
    /// A stone in a kidney, a ureter or the bladder.
    UrinaryStone,
    /// A stone in the gallbladder.
    Gallstone,
    /// Faeces throughout the colon.
    FaecalLoading,
    /// A tube to the stomach.
    GastricTube,
    /// A surgical or percutaneous drain.
    Drain,
    /// A stent in a ureter.
    UretericStent,
    /// Surgical clips.
    Clips,
}

impl AbdominalFinding {
    /// All findings, in the order of their values.
    pub const ALL: [Self; 10] = [
        Self::FreeAir,
        Self::SmallBowelDilatation,
        Self::ColonicDilatation,
        Self::UrinaryStone,
        Self::Gallstone,
        Self::FaecalLoading,
        Self::GastricTube,
        Self::Drain,
        Self::UretericStent,
        Self::Clips,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FreeAir => "Free air",
            Self::SmallBowelDilatation => "Small bowel dilatation",
            Self::ColonicDilatation => "Colonic dilatation",
            Self::UrinaryStone => "Urinary stone",
            Self::Gallstone => "Gallstone",
            Self::FaecalLoading => "Faecal loading",
            Self::GastricTube => "Gastric tube",
            Self::Drain => "Drain",
            Self::UretericStent => "Ureteric stent",
            Self::Clips => "Surgical clips",
        }
    }
}

impl fmt::Display for AbdominalFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing seen, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// What.
    pub kind: Kind,
    /// Which side of the patient; `None` for what lies in the middle or everywhere.
    pub side: Option<Side>,
    /// How much.
    pub severity: Severity,
}

/// A whole phantom patient on one abdominal radiograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The seed that made it.
    pub seed: u64,
    /// How it was taken.
    pub position: Position,
    /// What it shows; empty when normal.
    pub observations: Vec<Observation>,
}

impl Description {
    /// The observation of a kind; there is one at most.
    pub fn get(&self, kind: Kind) -> Option<&Observation> {
        self.observations.iter().find(|o| o.kind == kind)
    }

    /// Whether a kind is there.
    pub fn has(&self, kind: Kind) -> bool {
        self.get(kind).is_some()
    }

    /// What is clinically important, in the order of [`AbdominalFinding::ALL`]; empty when normal.
    pub fn findings(&self) -> Vec<AbdominalFinding> {
        let here = |f: &AbdominalFinding| self.observations.iter().any(|o| o.kind.finding() == Some(*f));
        AbdominalFinding::ALL.into_iter().filter(here).collect()
    }
}
