//! A tube, line or lead that ends in the wrong place.

use std::ops::Range;

use super::prose::Prose;
use super::table::{Place, TABLE};
use super::{Edit, Mistaken, apply, choose};
use crate::pattern::Word;

/// Words of sentences in which a device is gone, or is in the wrong place already.
const SPENT: [&str; 8] = [
    "remov",
    "malposition",
    "reposition",
    "retract",
    "advanc",
    "withdr",
    "extubat",
    "discontinu",
];

/// After these a noun follows as it is.
const PREPOSITIONS: [&str; 26] = [
    "in",
    "at",
    "over",
    "within",
    "overlying",
    "near",
    "of",
    "approximating",
    "into",
    "reaches",
    "reaching",
    "overlies",
    "overlie",
    "to",
    "above",
    "by",
    "around",
    "projecting",
    "projects",
    "entering",
    "enters",
    "approximates",
    "inside",
    "between",
    "through",
    "towards",
];

/// Verbs after which a device goes somewhere.
const MOVING: [&str; 11] = [
    "course",
    "courses",
    "coursing",
    "pass",
    "passes",
    "passing",
    "extends",
    "extending",
    "coursed",
    "traverses",
    "descends",
];

/// A place that can be made wrong.
struct Found {
    device: usize,
    place: &'static Place,
    /// Numbers of words.
    words: Range<usize>,
}

/// Makes what is said of one device's place wrong, wherever the report says it.
pub(super) fn make(report: &str, pick: &mut dyn FnMut(usize) -> usize) -> Option<Mistaken> {
    let prose = Prose::read(report);
    let mut found = find(&prose);
    let firm: Vec<usize> = found
        .iter()
        .filter(|f| !f.place.loose)
        .map(|f| f.device)
        .collect();
    found.retain(|f| !f.place.loose || !firm.contains(&f.device));
    let chosen = choose(&found, pick)?;
    let said = |f: &Found| -> Vec<&str> {
        let words = &prose.words[f.words.clone()];
        let telling = words.iter().map(|w| w.lower.as_str());
        telling.filter(|w| *w != "the").collect()
    };
    let moves = |f: &Found| {
        let before = f
            .words
            .start
            .checked_sub(1)
            .map_or("", |at| prose.words[at].lower.as_str());
        !f.place.moving.is_empty() && (MOVING.contains(&before) || prose.words[f.words.start].lower == "into")
    };
    let wrong = |list: &[String], pick: &mut dyn FnMut(usize) -> usize| choose(list, pick).cloned();
    let (still, moving) = (
        wrong(&chosen.place.wrong, pick)?,
        wrong(&chosen.place.moving, pick),
    );
    let edits = found
        .iter()
        .filter(|f| f.device == chosen.device && said(f) == said(chosen))
        .map(|f| {
            let with = moving.as_ref().filter(|_| moves(f)).unwrap_or(&still);
            edit(&prose, f, with)
        })
        .collect();
    apply(report, edits)
}

fn find(prose: &Prose) -> Vec<Found> {
    let mut found = Vec::new();
    // The device spoken of, and the sentence that named it.
    let mut spoken: Option<(usize, usize)> = None;
    for (number, sentence) in prose.sentences.iter().enumerate() {
        let words = prose.words_of(number);
        let spent = words
            .iter()
            .any(|w| SPENT.iter().any(|stem| w.lower.starts_with(stem)) || w.lower == "no");
        let tip = words
            .iter()
            .any(|w| matches!(w.lower.as_str(), "tip" | "tips" | "end"));
        // "The tip is in the SVC." goes on about the device of the sentence before.
        spoken = spoken.filter(|(_, named)| tip && number - named <= 1);
        let mut at = 0;
        while at < words.len() {
            if let Some(device) = named(&words[at..]) {
                spoken = Some((device, number));
            }
            let place = place(&words[at..], spoken.map(|s| s.0), tip)
                .filter(|_| sentence.told && !spent && !(at > 0 && words[at - 1].lower == "sided"));
            if let Some((device, place, length)) = place {
                let start = sentence.words.start + at;
                found.push(Found {
                    device,
                    place,
                    words: start..start + length,
                });
                at += length;
            } else {
                at += 1;
            }
        }
    }
    found
}

/// The device that is named by the first words, by the longest of its names.
fn named(words: &[Word]) -> Option<usize> {
    let longest = |device: usize| {
        TABLE.devices[device]
            .names
            .iter()
            .filter_map(|n| n.matches(words))
            .max()
    };
    (0..TABLE.devices.len())
        .filter_map(|device| Some((longest(device)?, device)))
        // The first of the file where two are as long.
        .max_by_key(|(length, device)| (*length, std::cmp::Reverse(*device)))
        .map(|(_, device)| device)
}

/// The place that the first words tell, of the device spoken of, or of one that it belongs to without doubt.
fn place(words: &[Word], spoken: Option<usize>, tip: bool) -> Option<(usize, &'static Place, usize)> {
    let devices = TABLE.devices.iter().enumerate();
    devices
        .flat_map(|(at, device)| device.places.iter().map(move |place| (at, place)))
        .filter(|(at, place)| spoken.map_or(place.alone && tip, |spoken| spoken == *at))
        .filter_map(|(at, place)| {
            let length = place.right.iter().filter_map(|p| p.matches(words)).max()?;
            Some((at, place, length))
        })
        .max_by_key(|(at, _, length)| (*length, std::cmp::Reverse(*at)))
}

fn edit(prose: &Prose, found: &Found, with: &str) -> Edit {
    let words = &prose.words;
    let span = words[found.words.start].span.start..words[found.words.end - 1].span.end;
    let before = found
        .words
        .start
        .checked_sub(1)
        .map_or("", |at| words[at].lower.as_str());
    let with = if found.place.noun && !PREPOSITIONS.contains(&before) {
        format!("in {with}")
    } else {
        with.to_owned()
    };
    (span, prose.styled(&with))
}
