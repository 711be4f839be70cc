//! What an observation may mean but does not show: suspicion in words.

use super::Known;
use super::voice::Voice;
use super::words::capital;
use crate::phantom::Observation;
use hilum_text::Finding;

/// The categories that an observation only suggests, as a list in words, said once a section.
pub(super) fn suspicion(o: &Observation, known: &Known, voice: &mut Voice) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for finding in &o.suggests {
        if known.has(*finding) || voice.hedged.contains(finding) {
            continue;
        }
        let name = match finding {
            Finding::Pneumonia => voice.pick(&["pneumonia", "pneumonia", "infection"]),
            Finding::Atelectasis => "atelectasis",
            Finding::Edema => "edema",
            Finding::Consolidation => "consolidation",
            Finding::LungLesion => "an underlying mass",
            Finding::LungOpacity => "an underlying opacity",
            Finding::PleuralEffusion => "pleural effusion",
            Finding::PleuralOther => "pleural thickening",
            Finding::Pneumothorax => "pneumothorax",
            Finding::Fracture => "a fracture",
            Finding::Cardiomegaly => "cardiomegaly",
            Finding::EnlargedCardiomediastinum => "mediastinal widening",
            Finding::NoFinding | Finding::SupportDevices => continue,
        };
        voice.hedged.push(*finding);
        names.push(name);
    }
    let last = names.pop()?;
    if names.is_empty() {
        return Some(last.to_owned());
    }
    let or = voice.pick(&["or", "versus"]);
    Some(format!("{} {or} {last}", names.join(", ")))
}

/// A sentence of its own, after the observation's.
pub(super) fn hedge_apart(what: &str, voice: &mut Voice) -> String {
    let listed = what.contains(" versus ");
    let bare = !what.starts_with("an ") && !what.starts_with("a ");
    let form = voice.pick(&["may", "excluded", "could", "possible", "setting", "considered"]);
    match form {
        "excluded" if !listed => format!("{} cannot be excluded.", capital(what)),
        "could" => format!("This could reflect {what}."),
        "possible" if bare => format!("Possible {what}."),
        "setting" => format!("In the appropriate clinical setting this may represent {what}."),
        "considered" if bare && !listed => format!("{} should be considered.", capital(what)),
        _ => format!("This may represent {what}."),
    }
}

/// Follows the observation after a comma.
pub(super) fn hedge_within(what: &str, voice: &mut Voice) -> String {
    match voice.pick(&[
        "which may represent",
        "possibly",
        "which could reflect",
        "concerning for",
        "suspicious for",
    ]) {
        "possibly" if what.contains(" versus ") => what.to_owned(),
        words => format!("{words} {what}"),
    }
}
