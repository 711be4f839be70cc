//! Questions about a phantom with their answers, from its description alone, never from its report.
//!
//! Closed questions are drawn by the rarity of their answer, so that each is answered yes about as often as
//! no and its wording alone tells little. What the description leaves open (a suggested cause, a pneumonia
//! asked for as consolidation) is not asked.

use super::describe::{Description, Kind, Observation, Severity, View};
use super::noise::Dice;
use crate::study::Question;
use hilum_text::{Certainty, Finding, Side, Zone};

/// Keeps these draws apart from those of the picture.
const STREAM: u64 = 101;

/// What may be asked for: its noun, whether that takes an article, whether it is asked for by side, and how
/// many phantoms in a hundred show it.
const ASKED: [(Kind, &[&str], bool, bool, f32); 17] = [
    (
        Kind::Effusion,
        &["pleural effusion", "effusion"],
        true,
        true,
        11.0,
    ),
    (Kind::Pneumothorax, &["pneumothorax"], true, true, 10.0),
    (Kind::Consolidation, &["consolidation"], false, true, 10.0),
    (Kind::Pneumonia, &["pneumonia"], false, true, 10.0),
    (
        Kind::Opacity,
        &["hazy opacity", "faint opacity"],
        true,
        true,
        10.0,
    ),
    (Kind::Atelectasis, &["atelectasis"], false, true, 9.0),
    (Kind::Edema, &["pulmonary edema", "edema"], false, false, 9.0),
    (
        Kind::Cardiomegaly,
        &["cardiomegaly", "cardiac enlargement"],
        false,
        false,
        11.0,
    ),
    (
        Kind::WideMediastinum,
        &["mediastinal widening"],
        false,
        false,
        10.0,
    ),
    (Kind::Nodule, &["lung nodule", "nodule"], true, true, 6.0),
    (Kind::Mass, &["lung mass", "mass"], true, true, 5.0),
    (
        Kind::PleuralThickening,
        &["pleural thickening"],
        false,
        true,
        11.0,
    ),
    (Kind::RibFracture, &["rib fracture"], true, true, 10.0),
    (Kind::EtTube, &["endotracheal tube"], true, false, 5.0),
    (
        Kind::CentralLine,
        &["central line", "central venous catheter"],
        true,
        true,
        8.0,
    ),
    (Kind::Pacemaker, &["pacemaker"], true, true, 4.0),
    (Kind::ChestDrain, &["chest tube", "chest drain"], true, true, 4.0),
];

/// What fills or shades the lung: where one is, a reader may call it another, so the others are not denied.
const SHADES: [Kind; 7] = [
    Kind::Consolidation,
    Kind::Pneumonia,
    Kind::Opacity,
    Kind::Atelectasis,
    Kind::Edema,
    Kind::Nodule,
    Kind::Mass,
];

/// A question before it gets its number.
struct Draft {
    /// No two questions of one subject.
    subject: (u8, u8),
    text: String,
    answer: &'static str,
    kind: &'static str,
    /// How readily it is taken.
    weight: f32,
}

/// Six to ten questions about a description, `key` (the study's name) deciding which and in which words.
pub fn questions(description: &Description, key: &str) -> Vec<Question> {
    // FNV-1a: the same questions for the same name on every machine.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut dice = Dice::new(hash ^ description.seed, STREAM);
    let (mut closed, mut open) = (closed(description, &mut dice), open(description, &mut dice));
    let (mut closed_drafts, mut drafts) = (Vec::new(), Vec::new());
    for _ in 0..2 + dice.pick(&[1.0; 3]) {
        take(&mut open, &mut dice, &mut drafts);
    }
    for _ in 0..(4 + dice.pick(&[1.0; 3])).max(6 - drafts.len()) {
        take(&mut closed, &mut dice, &mut closed_drafts);
        if let Some(last) = closed_drafts.last().map(|d: &Draft| d.subject) {
            closed.retain(|d| d.subject != last);
        }
    }
    let of = |closed: bool| move |d: Draft| (closed, d);
    let all = closed_drafts
        .into_iter()
        .map(of(true))
        .chain(drafts.into_iter().map(of(false)));
    let number = |(i, (closed, d)): (usize, (bool, Draft))| Question {
        id: format!("{key}-{}", i + 1),
        text: d.text,
        answer: d.answer.to_owned(),
        closed,
        organ: "CHEST".to_owned(),
        kind: d.kind.to_owned(),
    };
    all.enumerate().map(number).collect()
}

fn take(from: &mut Vec<Draft>, dice: &mut Dice, to: &mut Vec<Draft>) {
    if !from.is_empty() {
        let index = dice.pick(&from.iter().map(|d| d.weight).collect::<Vec<_>>());
        to.push(from.swap_remove(index));
    }
}

/// What a description says of one kind.
struct Seen<'a> {
    all: Vec<&'a Observation>,
    side: Option<Side>,
}

fn seen(description: &Description, kind: Kind) -> Option<Seen<'_>> {
    let all: Vec<&Observation> = description
        .observations
        .iter()
        .filter(|o| o.kind == kind)
        .collect();
    let mut sides = all.iter().map(|o| o.side);
    let first = sides.next()?;
    let side = if sides.all(|s| s == first) {
        first
    } else {
        Some(Side::Bilateral)
    };
    Some(Seen { all, side })
}

/// Whether a kind is surely not there: not shown, not suggested, and nothing that could be called so.
fn lacks(description: &Description, kind: Kind) -> bool {
    let labels = description.labels();
    let shaded = SHADES.contains(&kind) && description.observations.iter().any(|o| SHADES.contains(&o.kind));
    let device = kind.finding() == Finding::SupportDevices;
    !shaded && seen(description, kind).is_none() && (device || labels[kind.finding() as usize].is_none())
}

fn pick<'w>(dice: &mut Dice, words: &[&'w str]) -> &'w str {
    let index = dice.pick(&vec![1.0; words.len()]);
    words.get(index).copied().unwrap_or_default()
}

fn fill(dice: &mut Dice, wordings: &[&str], noun: &str, article: bool) -> String {
    let with = match (article, noun.starts_with(['a', 'e', 'i', 'o', 'u'])) {
        (false, _) => noun.to_owned(),
        (true, true) => format!("an {noun}"),
        (true, false) => format!("a {noun}"),
    };
    let text = pick(dice, wordings).replace("{a}", &with).replace("{}", noun);
    let mut letters = text.chars();
    letters
        .next()
        .map(|c| c.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

const fn said(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn closed(description: &Description, dice: &mut Dice) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (i, (kind, nouns, article, sided, share)) in ASKED.into_iter().enumerate() {
        let noun = pick(dice, nouns);
        let seen = seen(description, kind);
        if seen.is_none() && !lacks(description, kind) {
            continue;
        }
        let presence: &[&str] = match kind {
            Kind::Cardiomegaly => &[
                "Is the heart enlarged?",
                "Is there {a}?",
                "Is the cardiac silhouette enlarged?",
            ],
            Kind::WideMediastinum => &[
                "Is the mediastinum widened?",
                "Is there {a}?",
                "Does this image show {a}?",
            ],
            Kind::EtTube => &["Is the patient intubated?", "Is there {a}?", "Is {a} in place?"],
            Kind::CentralLine | Kind::Pacemaker | Kind::ChestDrain => &[
                "Is there {a}?",
                "Is {a} in place?",
                "Does the patient have {a}?",
                "Can {a} be seen?",
            ],
            _ => &[
                "Is there {a}?",
                "Is there evidence of {a}?",
                "Does this radiograph show {a}?",
                "Is {a} present?",
                "Can {a} be seen?",
            ],
        };
        let there = seen.is_some();
        let text = fill(dice, presence, noun, article);
        drafts.push(Draft {
            subject: (i as u8, 0),
            text,
            answer: said(there),
            kind: "PRES",
            weight: if there { 180.0 / share } else { 0.7 },
        });
        if sided {
            let (asked, word) = if dice.chance(0.5) {
                (Side::Left, "left")
            } else {
                (Side::Right, "right")
            };
            let side = seen.as_ref().and_then(|s| s.side);
            let here = there && (side == Some(asked) || side == Some(Side::Bilateral));
            let wordings = [
                format!("Is there {{a}} on the {word}?"),
                format!("Is there a {word}-sided {{}}?"),
                format!("Does the {word} side show {{a}}?"),
            ];
            let wordings: &[&str] = match article {
                true => &[&wordings[0], &wordings[1], &wordings[2]],
                false => &[&wordings[0], &wordings[2]],
            };
            let text = fill(dice, wordings, noun, article);
            drafts.push(Draft {
                subject: (i as u8, 1),
                text,
                answer: said(here),
                kind: "POS",
                weight: if there { 100.0 / share } else { 0.03 },
            });
            if there && matches!(side, Some(Side::Left | Side::Right)) {
                let wordings = [
                    format!("Is the {{}} on the {word}?"),
                    format!("Is the {{}} {word}-sided?"),
                ];
                let text = fill(dice, &[&wordings[0], &wordings[1]], noun, article);
                drafts.push(Draft {
                    subject: (i as u8, 2),
                    text,
                    answer: said(here),
                    kind: "POS",
                    weight: 60.0 / share,
                });
            }
        }
    }
    general(description, dice, &mut drafts);
    drafts
}

/// Of the whole picture: normality, lungs, heart, devices, view.
fn general(description: &Description, dice: &mut Dice, drafts: &mut Vec<Draft>) {
    let shows = |kinds: &[Kind]| description.observations.iter().any(|o| kinds.contains(&o.kind));
    let devices = [Kind::EtTube, Kind::CentralLine, Kind::Pacemaker, Kind::ChestDrain];
    let diseased = description.labels()[Finding::NoFinding as usize] != Some(Certainty::Positive);
    // `share` of a hundred phantoms have the answer yes.
    let mut add =
        |subject: u8, yes: bool, share: f32, kind: &'static str, wordings: &[&str], dice: &mut Dice| {
            let text = pick(dice, wordings).to_owned();
            let weight = 100.0 / if yes { share } else { 100.0 - share };
            drafts.push(Draft {
                subject: (subject, 0),
                text,
                answer: said(yes),
                kind,
                weight,
            });
        };
    if diseased || description.observations.is_empty() {
        let normal = [
            "Is this a normal chest radiograph?",
            "Is the chest normal?",
            "Does this image look normal?",
        ];
        add(100, !diseased, 30.0, "ABN", &normal, dice);
        let abnormal = [
            "Is there any abnormality?",
            "Are there abnormal findings?",
            "Is anything abnormal seen?",
        ];
        add(101, diseased, 70.0, "ABN", &abnormal, dice);
    }
    if shows(&SHADES) || !diseased {
        add(
            102,
            !shows(&SHADES),
            40.0,
            "ABN",
            &[
                "Are the lungs clear?",
                "Are the lungs normal?",
                "Are both lungs clear?",
            ],
            dice,
        );
    }
    let heart = [
        "Is the heart size normal?",
        "Is the heart of normal size?",
        "Is the cardiac silhouette normal in size?",
    ];
    // The same fact as the heart's enlargement, asked the other way round: only one of the two is asked.
    if dice.chance(0.5) {
        add(7, !shows(&[Kind::Cardiomegaly]), 89.0, "SIZE", &heart, dice);
    }
    let any = [
        "Are there any support devices?",
        "Are any lines or tubes present?",
        "Is any device seen?",
    ];
    add(103, shows(&devices), 8.0, "PRES", &any, dice);
    let ap = description.view == View::Ap;
    match dice.chance(0.5) {
        true => add(
            104,
            ap,
            45.0,
            "PLANE",
            &[
                "Is this an AP view?",
                "Is this an AP film?",
                "Was this taken from front to back?",
            ],
            dice,
        ),
        false => add(
            104,
            !ap,
            55.0,
            "PLANE",
            &[
                "Is this a PA view?",
                "Is this a PA film?",
                "Was this taken from back to front?",
            ],
            dice,
        ),
    }
}

fn open(description: &Description, dice: &mut Dice) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut add = |text: String, answer: &'static str, kind: &'static str| {
        drafts.push(Draft {
            subject: (0, 0),
            text,
            answer,
            kind,
            weight: 1.0,
        });
    };
    let view = [
        "What is the view?",
        "Which view is this?",
        "How was this image taken?",
        "Is this AP or PA?",
    ];
    add(
        pick(dice, &view).to_owned(),
        if description.view == View::Ap { "AP" } else { "PA" },
        "PLANE",
    );
    let mut shown: Vec<(Kind, &'static str)> = Vec::new();
    for (kind, nouns, article, sided, _) in ASKED {
        let Some(seen) = seen(description, kind) else {
            continue;
        };
        let noun = pick(dice, nouns);
        shown.push((kind, nouns[0]));
        if let (true, Some(side)) = (sided, seen.side) {
            let answer = match side {
                Side::Left => "left",
                Side::Right => "right",
                Side::Bilateral => "both",
            };
            let wordings = [
                "On which side is the {}?",
                "Which side has {a}?",
                "Which side shows the {}?",
            ];
            add(fill(dice, &wordings, noun, article), answer, "POS");
        }
        let [one] = seen.all.as_slice() else { continue };
        if let (Some(zone), true) = (one.zone, SHADES.contains(&kind)) {
            let answer = match zone {
                Zone::Upper => "upper",
                Zone::Mid => "mid",
                Zone::Lower => "lower",
            };
            let wordings = [
                "In which lung zone is the {}?",
                "Which zone of the lung shows the {}?",
            ];
            add(fill(dice, &wordings, noun, article), answer, "POS");
        }
        if let Some((wordings, answer)) = severity(kind, one.severity) {
            add(fill(dice, wordings, noun, article), answer, "SIZE");
        }
    }
    let device = |kind: Kind| kind.finding() == Finding::SupportDevices;
    let findings: Vec<&'static str> = shown
        .iter()
        .filter(|(k, _)| !device(*k))
        .map(|(_, n)| *n)
        .collect();
    let suggested = description.observations.iter().any(|o| !o.suggests.is_empty());
    let which = [
        "Which finding is seen?",
        "What abnormality is seen?",
        "What does this radiograph show?",
    ];
    match findings.as_slice() {
        [] if shown.is_empty() => add(pick(dice, &which).to_owned(), "none", "ABN"),
        [one] if !suggested => add(pick(dice, &which).to_owned(), one, "ABN"),
        _ => {}
    }
    let devices: Vec<&'static str> = shown
        .iter()
        .filter(|(k, _)| device(*k))
        .map(|(_, n)| *n)
        .collect();
    let which = [
        "Which device is seen?",
        "What support device is present?",
        "Which tube, line or device is there?",
    ];
    match devices.as_slice() {
        [] => add(pick(dice, &which).to_owned(), "none", "PRES"),
        [one] => add(pick(dice, &which).to_owned(), one, "PRES"),
        _ => {}
    }
    drafts
}

/// How much of it there is; nothing for what has no size.
fn severity(kind: Kind, severity: Severity) -> Option<(&'static [&'static str], &'static str)> {
    let of = |words: [&'static str; 3]| words[severity as usize];
    match kind {
        Kind::Effusion | Kind::Pneumothorax | Kind::Mass => Some((
            &["How large is the {}?", "What is the size of the {}?"],
            of(["small", "moderate", "large"]),
        )),
        Kind::RibFracture => Some((
            &["How many ribs are broken?", "How many rib fractures are seen?"],
            of(["one", "two", "several"]),
        )),
        Kind::Edema | Kind::Cardiomegaly | Kind::Consolidation | Kind::Pneumonia | Kind::Atelectasis => {
            Some((
                &["How severe is the {}?", "What is the degree of the {}?"],
                of(["mild", "moderate", "severe"]),
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
