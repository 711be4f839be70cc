//! The impression: what matters most, in one to three short sentences.

use super::hedge::{hedge_within, suspicion};
use super::observed::phrase;
use super::voice::Voice;
use super::words::capital;
use super::{Known, Organ};
use crate::phantom::{Description, Kind, Observation};
use hilum_text::Finding;

/// The lower, the sooner it is told.
const fn urgency(kind: Kind) -> u8 {
    match kind {
        Kind::Pneumothorax => 0,
        Kind::WideMediastinum => 1,
        Kind::Mass => 2,
        Kind::Pneumonia => 3,
        Kind::Edema => 4,
        Kind::Consolidation => 5,
        Kind::Effusion => 6,
        Kind::RibFracture => 7,
        Kind::Nodule => 8,
        Kind::Opacity => 9,
        Kind::Cardiomegaly => 10,
        Kind::Atelectasis => 11,
        Kind::PleuralThickening => 12,
        Kind::EtTube | Kind::CentralLine | Kind::Pacemaker | Kind::ChestDrain => 13,
    }
}

/// Writes the impression of a description.
pub(super) fn impression(description: &Description, voice: &mut Voice) -> String {
    let known = Known::of(description);
    voice.hedged.clear();
    let has_devices = description
        .observations
        .iter()
        .any(|o| Organ::of(o.kind) == Organ::Devices);
    if known.normal() {
        return normal(has_devices, voice);
    }
    let mut matters: Vec<&Observation> = description
        .observations
        .iter()
        .filter(|o| Organ::of(o.kind) != Organ::Devices)
        .collect();
    matters.sort_by_key(|o| (urgency(o.kind), std::cmp::Reverse(o.severity)));
    let mut sentences = Vec::new();
    let mut rest = matters.as_slice();
    while let ([first, tail @ ..], 0..3) = (rest, sentences.len()) {
        rest = tail;
        let mut text = capital(phrase(first, voice).bare());
        if let Some(suspicion) = suspicion(first, &known, voice) {
            text = format!("{text}, {}", hedge_within(&suspicion, voice));
        } else if let [second, after @ ..] = tail
            && second.suggests.is_empty()
            && voice.chance(35)
        {
            text = format!("{text} and {}", phrase(second, voice).bare());
            rest = after;
        }
        sentences.push(format!("{text}."));
    }
    let room = sentences.len() < 3;
    if room && has_devices && voice.chance(25) {
        sentences.push(devices(voice).to_owned());
    } else if room && known.has(Finding::LungLesion) && voice.chance(40) {
        let advice = [
            "CT is recommended.",
            "Chest CT is recommended for further evaluation.",
            "Recommend follow-up CT.",
        ];
        sentences.push(voice.pick(&advice).to_owned());
    } else if room && known.lacks(Finding::Pneumothorax) && voice.chance(12) {
        sentences.push("No pneumothorax.".to_owned());
    }
    sentences.join(" ")
}

fn normal(has_devices: bool, voice: &mut Voice) -> String {
    let words = voice.pick(&[
        "No acute cardiopulmonary process.",
        "No acute cardiopulmonary abnormality.",
        "Normal chest radiograph.",
        "No acute disease.",
        "Clear lungs.",
        "No evidence of pneumonia.",
        "Normal heart and lungs.",
        "No radiographic evidence of acute disease.",
        "Unremarkable chest radiograph.",
        "No active disease in the chest.",
    ]);
    match words {
        // A chest with tubes in it is not called a normal radiograph.
        "Normal chest radiograph." | "Unremarkable chest radiograph." if has_devices => {
            "No acute cardiopulmonary process.".to_owned()
        }
        _ if has_devices && voice.chance(50) => format!("{words} {}", devices(voice)),
        _ => words.to_owned(),
    }
}

fn devices<'a>(voice: &mut Voice) -> &'a str {
    voice.pick(&[
        "Support devices as described.",
        "Support devices in standard position.",
        "Medical devices as above.",
    ])
}
