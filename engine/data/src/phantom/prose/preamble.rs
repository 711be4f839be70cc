//! What stands above the findings in a report's file: examination, indication, technique, comparison.

use super::voice::Voice;
use crate::phantom::{Description, Institution, Kind, View};

/// The sections before FINDINGS, each one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// Which examination.
    pub examination: &'static str,
    /// Why it was asked for; tells nothing of what is found.
    pub indication: &'static str,
    /// How the picture was taken.
    pub technique: &'static str,
    /// What it is compared with.
    pub comparison: &'static str,
}

/// Writes the sections above the findings.
pub fn preamble(description: &Description) -> Preamble {
    // The first draws are those of the findings, so that both speak of a prior or neither does.
    let mut voice = Voice::new(description, 0, Institution::First);
    let placed = |o: &crate::phantom::Observation| {
        matches!(o.kind, Kind::EtTube | Kind::CentralLine | Kind::ChestDrain)
    };
    let indication = if description.observations.iter().any(placed) {
        voice.pick(&[
            "Line and tube placement.",
            "Intensive care, daily radiograph.",
            "Shortness of breath.",
        ])
    } else {
        voice.pick(&[
            "Cough.",
            "Shortness of breath.",
            "Chest pain.",
            "Fever.",
            "Follow-up.",
            "Preoperative.",
        ])
    };
    let comparison = if voice.compared {
        "Prior radiograph."
    } else {
        "None."
    };
    let (examination, technique) = match description.view {
        View::Ap => ("CHEST (PORTABLE AP)", "Single portable AP view of the chest."),
        View::Pa => ("CHEST (PA)", "Single PA view of the chest."),
    };
    Preamble {
        examination,
        indication,
        technique,
        comparison,
    }
}
