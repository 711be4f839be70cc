//! What is there: noun phrases and sentences for each kind of observation, and what it may mean.

use super::devices::{device, device_noun};
use super::hedge::{hedge_apart, hedge_within, suspicion};
use super::place::{after, before, side_word};
use super::voice::Voice;
use super::words::{capital, plural, words};
use super::{Known, Organ};
use crate::phantom::{Kind, Observation, Severity};
use hilum_text::{Side, Zone};

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
        if self.number == Number::Several {
            "are"
        } else {
            "is"
        }
    }

    /// As it stands alone: "Small left pleural effusion".
    pub(super) fn bare(&self) -> &str {
        &self.text
    }
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
        // In plain reports "There" alone decides whether anything is stated, before its size and side share
        // the chance among them.
        let stated = if voice.full || voice.plain {
            frame(&phrase, own, voice)
        } else {
            capital(&phrase.text)
        };
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
    match voice.pick(&["there", "present", "seen", "noted", "identified", "demonstrated"]) {
        verb if may_end && verb != "there" => {
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
    let how = size(
        o.severity,
        voice,
        &["mildly"],
        &["moderately"],
        &["severely", "markedly"],
    );
    match o.kind {
        Kind::Cardiomegaly if o.side.is_none() => {
            let subject = voice.pick(&["The heart", "The cardiac silhouette", "Heart size"]);
            let large = if subject == "Heart size" {
                "increased"
            } else {
                "enlarged"
            };
            Some(format!("{subject} is {how} {large}."))
        }
        Kind::WideMediastinum if o.side.is_none() => {
            let subject = voice.pick(&["The mediastinum", "The superior mediastinum"]);
            Some(format!("{subject} is {how} widened."))
        }
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
            pleural(
                size,
                if several {
                    "pleural effusions"
                } else {
                    "pleural effusion"
                },
                number,
                o,
                voice,
            )
        }
        Kind::Pneumothorax => {
            let size = size(s, voice, &["small", "small", "tiny"], &["moderate"], &["large"]);
            pleural(
                size,
                if several { "pneumothoraces" } else { "pneumothorax" },
                number,
                o,
                voice,
            )
        }
        Kind::PleuralThickening => {
            let size = size(s, voice, &["mild"], &["moderate"], &["marked", "extensive"]);
            pleural(size, "pleural thickening", Number::Mass, o, voice)
        }
        Kind::Consolidation => {
            let size = size(
                s,
                voice,
                &["small focal", "mild"],
                &["moderate"],
                &["extensive", "large"],
            );
            let quality = voice.pick(&["", "dense", "homogeneous", "confluent"]);
            lung(words(&[size, quality]), "consolidation", Number::Mass, o, voice)
        }
        Kind::Pneumonia => pneumonia(o, voice),
        Kind::Opacity => {
            let size = size(
                s,
                voice,
                &["faint", "mild"],
                &["moderate"],
                &["extensive", "large"],
            );
            let quality = voice.pick(&["hazy", "ill-defined", "vague", "ground-glass"]);
            lung(
                words(&[size, quality]),
                if several { "opacities" } else { "opacity" },
                number,
                o,
                voice,
            )
        }
        Kind::Atelectasis => {
            let size = size(
                s,
                voice,
                &["mild", "minimal"],
                &["moderate"],
                &["extensive", "marked"],
            );
            let quality = voice.pick(&["", "linear", "subsegmental", "discoid"]);
            let mut phrase = lung(words(&[size, quality]), "atelectasis", Number::Mass, o, voice);
            if o.severity != Severity::Small && voice.chance(20) {
                phrase.text.push_str(" with volume loss");
            }
            phrase
        }
        Kind::Edema => {
            let size = size(s, voice, &["mild"], &["moderate"], &["severe"]);
            let noun = voice.pick(&[
                "pulmonary edema",
                "interstitial edema",
                "pulmonary edema with vascular congestion",
            ]);
            let side = before(o.side, None, voice);
            Phrase {
                text: words(&[size, &side, noun]),
                number: Number::Mass,
            }
        }
        Kind::Nodule => {
            let size = size(
                s,
                voice,
                &["small", "tiny"],
                &["well-defined", "rounded", "well-circumscribed"],
                &["large"],
            );
            let noun = voice.pick(&["nodule", "nodule", "pulmonary nodule"]);
            lung(size.to_owned(), &plural(noun, several), number, o, voice)
        }
        Kind::Mass => {
            let size = size(s, voice, &["small"], &["moderate-sized", "rounded"], &["large"]);
            let quality = voice.pick(&["", "well-circumscribed", "dense"]);
            lung(
                words(&[size, quality]),
                if several { "masses" } else { "mass" },
                number,
                o,
                voice,
            )
        }
        Kind::Cardiomegaly => {
            let size = size(s, voice, &["mild"], &["moderate"], &["severe", "marked"]);
            let noun = voice.pick(&[
                "cardiomegaly",
                "cardiomegaly",
                "enlargement of the cardiac silhouette",
                "cardiac enlargement",
            ]);
            Phrase {
                text: words(&[size, noun]),
                number: Number::Mass,
            }
        }
        Kind::WideMediastinum => {
            let size = size(s, voice, &["mild"], &["moderate"], &["marked", "severe"]);
            let noun = voice.pick(&[
                "widening of the mediastinum",
                "mediastinal widening",
                "widening of the superior mediastinum",
            ]);
            Phrase {
                text: words(&[size, noun]),
                number: Number::Mass,
            }
        }
        Kind::RibFracture => fracture(o, voice),
        Kind::EtTube | Kind::CentralLine | Kind::Pacemaker | Kind::ChestDrain => Phrase {
            text: device_noun(o, voice),
            number,
        },
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
    let apex = o.kind == Kind::PleuralThickening && o.zone == Some(Zone::Upper);
    let blunts = o.kind == Kind::Effusion && o.severity == Severity::Small;
    let text = match o.side {
        Some(Side::Left | Side::Right) if apex && voice.chance(35) => {
            words(&[size, noun, &format!("at the {side} apex")])
        }
        Some(Side::Left | Side::Right) if blunts && voice.chance(20) => {
            words(&[size, side, noun, "blunting the costophrenic angle"])
        }
        Some(Side::Left | Side::Right) if voice.chance(20) => {
            words(&[size, level, noun, &format!("on the {side}")])
        }
        Some(Side::Left | Side::Right) if voice.chance(20) => {
            words(&[size, &format!("{side}-sided"), level, noun])
        }
        _ => words(&[size, side, level, noun]),
    };
    Phrase { text, number }
}

fn pneumonia(o: &Observation, voice: &mut Voice) -> Phrase {
    let size = size(
        o.severity,
        voice,
        &["mild", "small"],
        &["moderate"],
        &["extensive", "severe"],
    );
    if voice.chance(12) {
        // Side and zone stay on the noun's own side of "consistent with".
        let place = before(o.side, o.zone, voice);
        let text = words(&["findings consistent with", size, &place, "pneumonia"]);
        return Phrase {
            text,
            number: Number::Several,
        };
    }
    let (noun, number) =
        match voice.pick(&["pneumonia", "pneumonia", "areas of pneumonia", "bronchopneumonia"]) {
            "areas of pneumonia" => {
                let text = words(&[size, "patchy areas of pneumonia", &after(o.side, o.zone, voice)]);
                return Phrase {
                    text,
                    number: Number::Several,
                };
            }
            noun => (noun, Number::Mass),
        };
    let quality = voice.pick(&["patchy", "", "ill-defined"]);
    let mut phrase = lung(words(&[size, quality]), noun, number, o, voice);
    if voice.chance(25) {
        phrase.text.push_str(" with air bronchograms");
    }
    phrase
}

/// Severity is the number of ribs: one, two, more.
fn fracture(o: &Observation, voice: &mut Voice) -> Phrase {
    let side = o.side.map_or("", side_word);
    let level = match o.zone {
        None => "",
        Some(Zone::Upper) => "upper",
        Some(Zone::Mid) => "mid",
        Some(Zone::Lower) => "lower",
    };
    if o.severity == Severity::Small && o.side != Some(Side::Bilateral) {
        let text = if !side.is_empty() && voice.chance(30) {
            words(&["fracture of a", side, level, "rib"])
        } else {
            words(&[side, level, "rib fracture"])
        };
        return Phrase {
            text,
            number: Number::One,
        };
    }
    let count = size(o.severity, voice, &[""], &["two"], &["multiple", "several"]);
    let quality = voice.pick(&["", "adjacent"]);
    Phrase {
        text: words(&[count, quality, side, level, "rib fractures"]),
        number: Number::Several,
    }
}
