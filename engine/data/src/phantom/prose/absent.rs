//! What is not there: organs that look normal, and findings denied, one by one or in a list.

use super::voice::Voice;
use super::words::capital;
use super::{Known, Organ};
use crate::phantom::{Description, Kind, Severity};
use hilum_text::{Finding, Side};

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
            "Unremarkable appearance of the chest. The lungs are clear and the heart is normal in size.",
            "Normal lungs and pleura. The heart and mediastinum are unremarkable.",
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
        (Organ::Mediastinum, 0) => mediastinum(known, voice, sentences),
        (Organ::Bones, 0) => bones(known, voice),
        _ => None,
    };
    sentences.extend(said);
    match organ {
        Organ::Pleura => sentences.extend(angles(known, voice)),
        Organ::Heart => sentences.extend(vessels(known, voice)),
        _ => {}
    }
}

fn lungs(found: bool, description: &Description, known: &Known, voice: &mut Voice) -> Option<String> {
    let smothered = description
        .observations
        .iter()
        .any(|o| Organ::of(o.kind) == Organ::Pleura && o.severity == Severity::Large);
    if !found && smothered {
        return None;
    }
    if !found && known.lacks_all(&LUNG) {
        let clear = [
            "The lungs are clear.",
            "Lungs are clear.",
            "The lungs are well expanded and clear.",
            "Both lungs are clear.",
            "The lungs are well aerated.",
            "The lungs are well inflated without focal abnormality.",
        ];
        return Some(voice.pick(&clear).to_owned());
    }
    if !found {
        return None;
    }
    // One lung may be praised only when everything is in the other one.
    let in_chest = |kind| matches!(Organ::of(kind), Organ::Lungs | Organ::Pleura);
    let mut sides = description
        .observations
        .iter()
        .filter(|o| in_chest(o.kind))
        .map(|o| o.side);
    let first = sides.next().flatten()?;
    let other = match first {
        Side::Left => "right",
        Side::Right => "left",
        Side::Bilateral => return None,
    };
    if !sides.all(|s| s == Some(first)) || !voice.chance(45) {
        return None;
    }
    Some(
        voice
            .pick(&[
                "The {} lung is clear.",
                "The lungs are otherwise clear.",
                "The {} lung is well aerated.",
            ])
            .replace("{}", other),
    )
}

/// One sentence that denies several findings.
fn denial(description: &Description, known: &Known, voice: &mut Voice) -> Option<String> {
    let mut denied: Vec<&str> = Vec::new();
    let airspace = [
        Finding::Consolidation,
        Finding::Pneumonia,
        Finding::LungOpacity,
        Finding::Atelectasis,
    ];
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
        let drained = description
            .observations
            .iter()
            .any(|o| o.kind == Kind::ChestDrain);
        denied.push(if drained && voice.chance(40) {
            "residual pneumothorax"
        } else {
            "pneumothorax"
        });
    }
    let last = denied.pop()?;
    let list = if denied.is_empty() {
        last.to_owned()
    } else {
        format!("{} or {last}", denied.join(", "))
    };
    let no = if voice.full {
        &["There is no {}.", "No {}.", "No evidence of {}."]
    } else {
        &["No {}.", "No {}.", "No evidence of {}."]
    };
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
            "The heart is normal in size.",
            "Cardiac and mediastinal contours are unremarkable.",
        ]
    } else {
        &[
            "Heart size is normal.",
            "The cardiac silhouette is normal in size.",
            "The heart is not enlarged.",
        ]
    };
    Some(capital(voice.pick(words)))
}

fn mediastinum(known: &Known, voice: &mut Voice, said: &[String]) -> Option<String> {
    if !known.lacks(Finding::EnlargedCardiomediastinum) || !voice.chance(65) {
        return None;
    }
    if said.iter().any(|s| s.to_lowercase().contains("mediastin")) {
        let rest = [
            "The hila are unremarkable.",
            "The trachea is midline.",
            "Hilar structures are normal.",
        ];
        return voice.chance(40).then(|| voice.pick(&rest).to_owned());
    }
    let words = [
        "The mediastinum is normal.",
        "Mediastinal contours are unremarkable.",
        "The mediastinum is not widened.",
        "Hilar and mediastinal contours are normal.",
        "Mediastinal and hilar structures are within normal limits.",
        "The hila are unremarkable.",
        "The trachea is midline.",
        "The mediastinum and aortic arch are normal.",
    ];
    Some(voice.pick(&words).to_owned())
}

fn bones(known: &Known, voice: &mut Voice) -> Option<String> {
    if !known.lacks(Finding::Fracture) || !voice.chance(60) {
        return None;
    }
    let words = [
        "No acute osseous abnormality.",
        "The bones are intact.",
        "Visualized osseous structures are unremarkable.",
        "No rib fracture.",
        "No acute bony abnormality.",
        "No displaced rib fracture is seen.",
        "Bones and soft tissues are unremarkable.",
        "No bony abnormality of the thorax.",
        "The upper abdomen and bones are unremarkable.",
    ];
    Some(voice.pick(&words).to_owned())
}

/// The vessels of the lung, told of after the heart.
fn vessels(known: &Known, voice: &mut Voice) -> Option<String> {
    if !known.lacks(Finding::Edema) || voice.brief > 0 || !voice.chance(22) {
        return None;
    }
    let words = [
        "The pulmonary vasculature is normal.",
        "Pulmonary vascularity is within normal limits.",
        "The pulmonary vessels are not engorged.",
        "No vascular congestion.",
    ];
    Some(voice.pick(&words).to_owned())
}

/// The angles of the pleura, sharp where no fluid and no thickening is.
fn angles(known: &Known, voice: &mut Voice) -> Option<String> {
    let sharp = known.lacks_all(&[Finding::PleuralEffusion, Finding::PleuralOther]);
    if !sharp || voice.brief > 0 || !voice.chance(15) {
        return None;
    }
    let words = [
        "The costophrenic angles are sharp.",
        "Costophrenic sulci are clear.",
        "The pleural surfaces are smooth.",
        "Both hemidiaphragms are smooth.",
    ];
    Some(voice.pick(&words).to_owned())
}
