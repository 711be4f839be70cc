//! What is not there: organs that look normal, and findings denied, one by one or in a list.

use super::observed::capital;
use super::voice::Voice;
use super::{Known, Organ};
use crate::data::phantom::describe::{Description, Kind};
use crate::text::{Finding, Side};

/// What may lie in a lung.
const LUNG: [Finding; 6] = [
    Finding::LungLesion,
    Finding::LungOpacity,
    Finding::Edema,
    Finding::Consolidation,
    Finding::Pneumonia,
    Finding::Atelectasis,
];

/// A normal chest in one breath.
pub(super) fn all_normal(voice: &mut Voice) -> String {
    voice
        .pick(&[
            "The lungs are clear without consolidation, effusion or pneumothorax. Heart size is normal.",
            "Heart, lungs, mediastinum and pleural surfaces are normal.",
            "Clear lungs. Normal heart size. No pleural effusion or pneumothorax.",
            "The lungs are clear and the heart is not enlarged. No effusion or pneumothorax.",
            "Cardiomediastinal silhouette and hila are normal. The lungs are clear.",
        ])
        .to_owned()
}

/// Adds what can be said to be normal of one organ. `found` tells whether something was just stated there.
pub(super) fn organ(
    organ: Organ,
    found: bool,
    description: &Description,
    known: &Known,
    voice: &mut Voice,
    sentences: &mut Vec<String>,
) {
    let said = match (organ, voice.brief) {
        (_, 4..) => None,
        (Organ::Pleura, _) => denial(description, known, voice),
        (Organ::Lungs, 0..=2) => lungs(found, description, known, voice),
        (Organ::Heart, 0..=1) => heart(known, voice),
        (Organ::Mediastinum, 0) => mediastinum(known, voice),
        (Organ::Bones, 0) => bones(known, voice),
        _ => None,
    };
    sentences.extend(said);
}

fn lungs(found: bool, description: &Description, known: &Known, voice: &mut Voice) -> Option<String> {
    if !found && known.lacks_all(&LUNG) {
        let clear = ["The lungs are clear.", "Lungs are clear.", "Both lungs are clear.", "The lungs are well expanded and clear."];
        return Some(voice.pick(&clear).to_owned());
    }
    // One lung may be praised only when everything is in the other one.
    let mut sides = description.observations.iter().filter(|o| Organ::of(o.kind) == Organ::Lungs).map(|o| o.side);
    let first = sides.next().flatten()?;
    let other = match first {
        Side::Left => "right",
        Side::Right => "left",
        Side::Bilateral => return None,
    };
    if !sides.all(|s| s == Some(first)) || !voice.chance(45) {
        return None;
    }
    Some(voice.pick(&["The {} lung is clear.", "The lungs are otherwise clear."]).replace("{}", other))
}

/// One sentence that denies several findings.
fn denial(description: &Description, known: &Known, voice: &mut Voice) -> Option<String> {
    let mut denied: Vec<&str> = Vec::new();
    let airspace = [Finding::Consolidation, Finding::Pneumonia, Finding::LungOpacity, Finding::Atelectasis];
    if known.lacks_all(&airspace) && voice.brief < 2 && voice.chance(60) {
        denied.push(voice.pick(&["focal consolidation", "consolidation"]));
    }
    if known.lacks(Finding::Edema) && voice.brief < 2 && voice.chance(20) {
        denied.push("pulmonary edema");
    }
    if known.lacks(Finding::PleuralEffusion) && voice.chance(92) {
        denied.push(voice.pick(&["pleural effusion", "effusion"]));
    }
    if known.lacks(Finding::Pneumothorax) && voice.chance(92) {
        let drained = description.observations.iter().any(|o| o.kind == Kind::ChestDrain);
        denied.push(if drained && voice.chance(40) { "residual pneumothorax" } else { "pneumothorax" });
    }
    let last = denied.pop()?;
    let list = if denied.is_empty() { last.to_owned() } else { format!("{} or {last}", denied.join(", ")) };
    let no = if voice.full { &["There is no {}.", "No {}.", "No evidence of {}."] } else { &["No {}.", "No {}.", "No evidence of {}."] };
    Some(voice.pick(no).replace("{}", &list))
}

fn heart(known: &Known, voice: &mut Voice) -> Option<String> {
    let whole = known.lacks_all(&[Finding::Cardiomegaly, Finding::EnlargedCardiomediastinum]);
    if !known.lacks(Finding::Cardiomegaly) || !voice.chance(88) {
        return None;
    }
    let words: &[&str] = if whole {
        &[
            "Heart size is normal.",
            "The cardiomediastinal silhouette is normal.",
            "The cardiac silhouette is normal in size.",
            "The heart is not enlarged.",
            "Cardiomediastinal silhouette is within normal limits.",
        ]
    } else {
        &["Heart size is normal.", "The cardiac silhouette is normal in size.", "The heart is not enlarged."]
    };
    Some(capital(voice.pick(words)))
}

fn mediastinum(known: &Known, voice: &mut Voice) -> Option<String> {
    if !known.lacks(Finding::EnlargedCardiomediastinum) || !voice.chance(35) {
        return None;
    }
    let words = ["The mediastinum is normal.", "The mediastinum is not widened.", "Hilar and mediastinal contours are normal."];
    Some(voice.pick(&words).to_owned())
}

fn bones(known: &Known, voice: &mut Voice) -> Option<String> {
    if !known.lacks(Finding::Fracture) || !voice.chance(40) {
        return None;
    }
    let words = ["No acute osseous abnormality.", "No rib fracture.", "The bones are intact."];
    Some(voice.pick(&words).to_owned())
}
