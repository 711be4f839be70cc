//! Tubes, lines, drains and pacemakers, and where they end.

use super::place::side_word;
use super::voice::Voice;
use super::words::{capital, plural, words};
use crate::phantom::{Kind, Observation};
use hilum_text::Side;

/// The device with its side.
pub(super) fn device_noun(o: &Observation, voice: &mut Voice) -> String {
    let sided = match o.side {
        None => String::new(),
        Some(Side::Bilateral) => "bilateral".to_owned(),
        Some(side) if voice.chance(30) => format!("{}-sided", side_word(side)),
        Some(side) => side_word(side).to_owned(),
    };
    let several = o.side == Some(Side::Bilateral);
    let noun = match o.kind {
        Kind::EtTube => "endotracheal tube",
        Kind::CentralLine => voice.pick(&["central venous catheter", "central line"]),
        Kind::Pacemaker => voice.pick(&["pacemaker", "chest wall pacemaker", "dual-lead pacemaker"]),
        _ => voice.pick(&["chest tube", "chest drain", "pleural drain"]),
    };
    words(&[&sided, &plural(noun, several)])
}

/// A device, and where it ends, as a sentence.
pub(super) fn device(o: &Observation, voice: &mut Voice) -> String {
    let noun = capital(&device_noun(o, voice));
    let several = o.side == Some(Side::Bilateral);
    let verb = |one: &'static str, more: &'static str| if several { more } else { one };
    let end = match o.kind {
        Kind::EtTube => voice.pick(&[
            "ends above the carina",
            "is in standard position",
            "terminates above the carina",
            "is appropriately positioned",
            "with tip above the carina",
        ]),
        Kind::CentralLine if several => voice.pick(&["end in the superior vena cava", "end in the SVC"]),
        Kind::CentralLine => voice.pick(&[
            "ends in the superior vena cava",
            "terminates in the SVC",
            "with tip in the SVC",
            "projects over the superior vena cava",
        ]),
        Kind::Pacemaker => voice.pick(&[
            "with leads in expected position",
            verb("is in place", "are in place"),
            "with intact leads",
        ]),
        _ => voice.pick(&[
            verb("is in place", "are in place"),
            "in situ",
            "directed toward the apex",
        ]),
    };
    format!("{noun} {end}.")
}
