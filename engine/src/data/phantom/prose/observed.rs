//! What is there: noun phrases and sentences for each kind of observation, and what it may mean.

use super::place::{after, before, side_word};
use super::voice::Voice;
use super::{Known, Organ};
use crate::data::phantom::describe::{Kind, Observation, Severity};
use crate::text::{Finding, Side, Zone};

/// How a noun phrase agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// Takes an article.
    One,
    Several,
    /// Cannot be counted: "edema".
    Mass,
}

/// A noun phrase without its article.
pub(super) struct Phrase {
    text: String,
    number: Number,
}

impl Phrase {
    fn with_article(&self) -> String {
        match self.number {
            Number::One => {
                let an = self.text.starts_with(['a', 'e', 'i', 'o', 'u']);
                format!("{} {}", if an { "an" } else { "a" }, self.text)
            }
            Number::Several | Number::Mass => self.text.clone(),
        }
    }

    fn is(&self) -> &'static str {
        if self.number == Number::Several { "are" } else { "is" }
    }

    /// As it stands alone: "Small left pleural effusion".
    pub(super) fn bare(&self) -> &str {
        &self.text
    }
}

/// With a capital first letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Parts with one space between them, empty ones left out.
fn words(parts: &[&str]) -> String {
    parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// States one observation, and what it may mean, in one sentence or two.
pub(super) fn sentence(o: &Observation, known: &Known, voice: &mut Voice, sentences: &mut Vec<String>) {
    let suspicion = suspicion(o, known, voice);
    if Organ::of(o.kind) == Organ::Devices {
        sentences.push(device(o, voice));
    } else if let Some(predicate) = predicate(o, voice).filter(|_| suspicion.is_none()) {
        sentences.push(predicate);
    } else {
        let phrase = phrase(o, voice);
        let own = suspicion.is_none() || voice.chance(50);
        let stated = if voice.full { frame(&phrase, own, voice) } else { capital(&phrase.text) };
        match suspicion {
            None => sentences.push(format!("{stated}.")),
            Some(suspicion) if own => {
                sentences.push(format!("{stated}."));
                sentences.push(hedge_apart(&suspicion, voice));
            }
            Some(suspicion) => sentences.push(format!("{stated}, {}.", hedge_within(&suspicion, voice))),
        }
        return;
    }
    if let Some(suspicion) = suspicion {
        sentences.push(hedge_apart(&suspicion, voice));
    }
}

/// Two observations in one sentence.
pub(super) fn pair(a: &Observation, b: &Observation, voice: &mut Voice) -> String {
    let (a, b) = (phrase(a, voice), phrase(b, voice));
    if voice.full {
        format!("There {} {} and {}.", a.is(), a.with_article(), b.with_article())
    } else {
        format!("{} and {}.", capital(&a.text), b.text)
    }
}

/// A whole clause around a noun phrase; the verb comes last only where no clause follows.
fn frame(phrase: &Phrase, may_end: bool, voice: &mut Voice) -> String {
    match voice.pick(&["there", "present", "seen", "noted"]) {
        verb @ ("present" | "seen" | "noted") if may_end => {
            format!("{} {} {verb}", capital(&phrase.with_article()), phrase.is())
        }
        _ => format!("There {} {}", phrase.is(), phrase.with_article()),
    }
}

/// Sentences whose subject is the organ: "The heart is mildly enlarged."
fn predicate(o: &Observation, voice: &mut Voice) -> Option<String> {
    if voice.chance(45) {
        return None;
    }
    let how = size(o.severity, voice, &["mildly"], &["moderately"], &["severely", "markedly"]);
    match o.kind {
        Kind::Cardiomegaly if o.side.is_none() => {
            let subject = voice.pick(&["The heart", "The cardiac silhouette"]);
            Some(format!("{subject} is {how} enlarged."))
        }
        Kind::WideMediastinum if o.side.is_none() => Some(format!("The mediastinum is {how} widened.")),
        _ => None,
    }
}

fn size<'a>(
    severity: Severity,
    voice: &mut Voice,
    small: &[&'a str],
    moderate: &[&'a str],
    large: &[&'a str],
) -> &'a str {
    voice.pick(match severity {
        Severity::Small => small,
        Severity::Moderate => moderate,
        Severity::Large => large,
    })
}

/// The observation as a noun phrase with its severity, side and zone.
pub(super) fn phrase(o: &Observation, voice: &mut Voice) -> Phrase {
    let several = o.side == Some(Side::Bilateral);
    let number = if several { Number::Several } else { Number::One };
    let s = o.severity;
    match o.kind {
        Kind::Effusion => {
            let size = size(s, voice, &["small", "small", "trace"], &["moderate"], &["large"]);
            pleural(size, if several { "pleural effusions" } else { "pleural effusion" }, number, o, voice)
        }
        Kind::Pneumothorax => {
            let size = size(s, voice, &["small", "small", "tiny"], &["moderate"], &["large"]);
            pleural(size, if several { "pneumothoraces" } else { "pneumothorax" }, number, o, voice)
        }
        Kind::PleuralThickening => {
            let size = size(s, voice, &["mild"], &["moderate"], &["marked", "extensive"]);
            pleural(size, "pleural thickening", Number::Mass, o, voice)
        }
        Kind::Consolidation => {
            let size = size(s, voice, &["small focal", "mild"], &["moderate"], &["extensive", "large"]);
            let quality = voice.pick(&["", "dense", "homogeneous"]);
            lung(words(&[size, quality]), "consolidation", Number::Mass, o, voice)
        }
        Kind::Pneumonia => pneumonia(o, voice),
        Kind::Opacity => {
            let size = size(s, voice, &["faint", "mild"], &["moderate"], &["extensive", "large"]);
            let quality = voice.pick(&["hazy", "ill-defined"]);
            lung(words(&[size, quality]), if several { "opacities" } else { "opacity" }, number, o, voice)
        }
        Kind::Atelectasis => {
            let size = size(s, voice, &["mild", "minimal"], &["moderate"], &["extensive", "marked"]);
            let quality = voice.pick(&["", "linear", "subsegmental"]);
            lung(words(&[size, quality]), "atelectasis", Number::Mass, o, voice)
        }
        Kind::Edema => {
            let size = size(s, voice, &["mild"], &["moderate"], &["severe"]);
            let noun = voice.pick(&["pulmonary edema", "interstitial pulmonary edema"]);
            lung(size.to_owned(), noun, Number::Mass, o, voice)
        }
        Kind::Nodule => {
            let size = size(s, voice, &["small", "tiny"], &["well-defined", "rounded"], &["large"]);
            lung(size.to_owned(), if several { "nodules" } else { "nodule" }, number, o, voice)
        }
        Kind::Mass => {
            let size = size(s, voice, &["small"], &["moderate-sized", "rounded"], &["large"]);
            lung(size.to_owned(), if several { "masses" } else { "mass" }, number, o, voice)
        }
        Kind::Cardiomegaly => {
            let size = size(s, voice, &["mild"], &["moderate"], &["severe", "marked"]);
            let noun = voice.pick(&["cardiomegaly", "cardiomegaly", "enlargement of the cardiac silhouette"]);
            Phrase { text: words(&[size, noun]), number: Number::Mass }
        }
        Kind::WideMediastinum => {
            let size = size(s, voice, &["mild"], &["moderate"], &["marked", "severe"]);
            let noun = voice.pick(&["widening of the mediastinum", "mediastinal widening"]);
            Phrase { text: words(&[size, noun]), number: Number::Mass }
        }
        Kind::RibFracture => fracture(o, voice),
        Kind::EtTube | Kind::CentralLine | Kind::Pacemaker | Kind::ChestDrain => {
            Phrase { text: device_noun(o, voice), number }
        }
    }
}

/// A phrase in the lung: its place before or after the noun.
fn lung(adjectives: String, noun: &str, number: Number, o: &Observation, voice: &mut Voice) -> Phrase {
    let text = if voice.chance(55) {
        words(&[&adjectives, &before(o.side, o.zone, voice), noun])
    } else {
        words(&[&adjectives, noun, &after(o.side, o.zone, voice)])
    };
    Phrase { text, number }
}

/// A phrase in the pleural space: apex and base instead of lobes.
fn pleural(size: &str, noun: &str, number: Number, o: &Observation, voice: &mut Voice) -> Phrase {
    let side = o.side.map_or("", side_word);
    let level = match (o.zone, o.kind) {
        // Fluid lies at the base: that goes without saying.
        (None, _) | (Some(Zone::Lower), Kind::Effusion) => "",
        (Some(Zone::Upper), _) => "apical",
        (Some(Zone::Mid), _) => "lateral",
        (Some(Zone::Lower), _) => "basal",
    };
    let text = match o.side {
        Some(Side::Left | Side::Right) if voice.chance(20) => {
            words(&[size, level, noun, &format!("on the {side}")])
        }
        Some(Side::Left | Side::Right) if voice.chance(20) => words(&[size, &format!("{side}-sided"), level, noun]),
        _ => words(&[size, side, level, noun]),
    };
    Phrase { text, number }
}

fn pneumonia(o: &Observation, voice: &mut Voice) -> Phrase {
    let size = size(o.severity, voice, &["mild", "small"], &["moderate"], &["extensive", "severe"]);
    if voice.chance(30) {
        let text =
            words(&[size, "patchy changes", &after(o.side, o.zone, voice), "consistent with pneumonia"]);
        return Phrase { text, number: Number::Several };
    }
    let quality = voice.pick(&["patchy", ""]);
    let mut phrase = lung(words(&[size, quality]), "pneumonia", Number::Mass, o, voice);
    if voice.chance(25) {
        phrase.text.push_str(" with air bronchograms");
    }
    phrase
}

fn fracture(o: &Observation, voice: &mut Voice) -> Phrase {
    let several = o.side == Some(Side::Bilateral);
    let size = size(o.severity, voice, &["nondisplaced"], &["mildly displaced"], &["displaced"]);
    let side = o.side.map_or("", side_word);
    let level = match o.zone {
        None => "",
        Some(Zone::Upper) => "upper",
        Some(Zone::Mid) => "mid",
        Some(Zone::Lower) => "lower",
    };
    if several {
        return Phrase { text: words(&[size, side, level, "rib fractures"]), number: Number::Several };
    }
    let text = if !side.is_empty() && voice.chance(30) {
        words(&[size, "fracture of a", side, level, "rib"])
    } else {
        words(&[size, side, level, "rib fracture"])
    };
    Phrase { text, number: Number::One }
}

fn device_noun(o: &Observation, voice: &mut Voice) -> String {
    let sided = match o.side {
        None => String::new(),
        Some(Side::Bilateral) => "bilateral".to_owned(),
        Some(side) if voice.chance(30) => format!("{}-sided", side_word(side)),
        Some(side) => side_word(side).to_owned(),
    };
    let several = o.side == Some(Side::Bilateral);
    let noun = match o.kind {
        Kind::EtTube => "endotracheal tube",
        Kind::CentralLine => voice.pick(&["central venous catheter", "central line", "internal jugular catheter"]),
        Kind::Pacemaker => "pacemaker",
        _ => voice.pick(&["chest tube", "chest drain"]),
    };
    format!("{}{}", words(&[&sided, noun]), if several { "s" } else { "" })
}

/// A device, and where it ends.
fn device(o: &Observation, voice: &mut Voice) -> String {
    let noun = capital(&device_noun(o, voice));
    let several = o.side == Some(Side::Bilateral);
    let verb = |one: &'static str, more: &'static str| if several { more } else { one };
    let end = match o.kind {
        Kind::EtTube => {
            voice.pick(&["ends above the carina", "is in standard position", "terminates above the carina"])
        }
        Kind::CentralLine if several => voice.pick(&["end in the superior vena cava", "end in the SVC"]),
        Kind::CentralLine => voice.pick(&["ends in the superior vena cava", "terminates in the SVC"]),
        Kind::Pacemaker => voice.pick(&["with leads in expected position", verb("is in place", "are in place")]),
        _ => voice.pick(&[verb("is in place", "are in place"), "in situ"]),
    };
    format!("{noun} {end}.")
}

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

fn hedge_apart(what: &str, voice: &mut Voice) -> String {
    match voice.pick(&["may", "exclude", "could", "possible"]) {
        "exclude" if !what.contains(" versus ") => format!("{} cannot be excluded.", capital(what)),
        "could" => format!("This could reflect {what}."),
        "possible" if !what.starts_with("an ") && !what.starts_with("a ") => format!("Possible {what}."),
        _ => format!("This may represent {what}."),
    }
}

/// Follows the observation after a comma.
pub(super) fn hedge_within(what: &str, voice: &mut Voice) -> String {
    match voice.pick(&["which may represent", "possibly", "which could reflect"]) {
        "possibly" if what.contains(" versus ") => what.to_owned(),
        words => format!("{words} {what}"),
    }
}
