//! The wordings of abdominal reports. `{}` stands for what a statement is filled with: its amount, its side.

use super::{Voice, capital, stands};
use crate::abdomen::describe::{Description, Kind, Observation, Position};
use crate::phantom::Severity;
use hilum_text::Side;

/// How it was taken.
pub(super) fn technique(position: Position, voice: &mut Voice) -> String {
    voice
        .pick(match position {
            Position::Supine => &[
                "Supine abdominal radiograph.",
                "Supine view of the abdomen.",
                "Single supine radiograph of the abdomen.",
            ],
            Position::Upright => &[
                "Upright abdominal radiograph.",
                "Erect view of the abdomen.",
                "Single upright radiograph of the abdomen.",
            ],
        })
        .to_owned()
}

/// Nothing at all.
pub(super) fn normal(voice: &mut Voice) -> String {
    voice
        .pick(&[
            "No significant abnormality.",
            "Unremarkable abdominal radiograph.",
            "No abnormal finding in the abdomen.",
            "Normal abdominal radiograph.",
            "Nothing remarkable.",
        ])
        .to_owned()
}

/// "small", "moderate", "large".
fn amount(severity: Severity) -> &'static str {
    match severity {
        Severity::Small => "small",
        Severity::Moderate => "moderate",
        Severity::Large => "large",
    }
}

/// "mild", "moderate", "marked".
fn degree(severity: Severity) -> &'static str {
    match severity {
        Severity::Small => "mild",
        Severity::Moderate => "moderate",
        Severity::Large => "marked",
    }
}

/// "mildly", "moderately", "markedly".
fn adverb(severity: Severity) -> String {
    format!("{}ly", degree(severity))
}

fn side(observation: &Observation) -> &'static str {
    match observation.side {
        Some(Side::Right) => "right",
        Some(Side::Left) => "left",
        Some(Side::Bilateral) | None => "both",
    }
}

/// Fills a wording's places in order and gives it a capital.
fn fill(wording: &str, with: &[&str]) -> String {
    let filled = with
        .iter()
        .fold(wording.to_owned(), |text, part| text.replacen("{}", part, 1));
    capital(&filled)
}

/// States one observation.
pub(super) fn positive(observation: &Observation, description: &Description, voice: &mut Voice) -> String {
    let severity = observation.severity;
    match observation.kind {
        Kind::FreeAir => free_air(observation, voice),
        Kind::SmallBowel => small_bowel(severity, description, voice),
        Kind::Colon => {
            let degree_first = voice.chance(50);
            if degree_first {
                let wordings = [
                    "{} gaseous dilatation of the colon.",
                    "{} dilatation of the large bowel.",
                    "There is {} gaseous distension of the colon.",
                    "{} colonic dilatation with gas.",
                ];
                fill(voice.pick(&wordings), &[degree(severity)])
            } else {
                let wordings = [
                    "The colon is {} dilated and filled with gas.",
                    "{} dilated gas-filled colon.",
                    "{} distended large bowel.",
                    "There is a {} dilated, gas-filled colon.",
                ];
                fill(voice.pick(&wordings), &[&adverb(severity)])
            }
        }
        Kind::KidneyStone => kidney_stone(observation, voice),
        Kind::Gallstone => {
            let wordings: &[&str] = if severity == Severity::Small {
                &[
                    "Calcified gallstone in the right upper quadrant.",
                    "A single calcified gallstone is seen.",
                    "Ring-shaped calcification in the right upper quadrant, a gallstone.",
                    "Solitary radiopaque gallstone.",
                ]
            } else {
                &[
                    "{} calcified gallstones in the right upper quadrant.",
                    "{} radiopaque gallstones.",
                    "{} calcified stones in the gallbladder.",
                    "Cholelithiasis with {} calcified stones.",
                ]
            };
            let count = if severity == Severity::Large {
                "numerous"
            } else {
                "several"
            };
            fill(voice.pick(wordings), &[count])
        }
        Kind::Phleboliths => phleboliths(observation, voice),
        Kind::FaecalLoading => {
            let wordings: &[&str] = match severity {
                Severity::Small => &[
                    "Mild faecal loading of the colon.",
                    "Mildly increased stool in the colon.",
                    "Mild faecal retention.",
                    "There is mild faecal loading.",
                ],
                Severity::Moderate => &[
                    "Moderate faecal loading of the colon.",
                    "Moderate amount of stool throughout the colon.",
                    "Moderate faecal retention.",
                    "There is a moderate stool burden.",
                ],
                Severity::Large => &[
                    "Marked faecal loading of the colon.",
                    "Large amount of stool throughout the colon.",
                    "Marked faecal retention in the whole colon.",
                    "There is a large stool burden.",
                ],
            };
            voice.pick(wordings).to_owned()
        }
        Kind::GastricTube => voice
            .pick(&[
                "Nasogastric tube with its tip in the stomach.",
                "The tip of the nasogastric tube projects over the stomach.",
                "NG tube in situ, tip in the stomach.",
                "An enteric tube ends in the stomach.",
                "Nasogastric tube in place.",
            ])
            .to_owned(),
        Kind::Drain => fill(
            voice.pick(&[
                "Surgical drain in the {} abdomen.",
                "A drain enters from the {} flank.",
                "{}-sided abdominal drain in place.",
                "Drainage catheter through the {} flank.",
            ]),
            &[side(observation)],
        ),
        Kind::Stent => fill(
            voice.pick(&[
                "Double-J stent in the {} ureter.",
                "{} ureteric stent in situ.",
                "{} double-J catheter in place.",
                "{} ureteral stent with a coil in the renal pelvis.",
            ]),
            &[side(observation)],
        ),
        Kind::Clips => voice
            .pick(&[
                "Cholecystectomy clips in the right upper quadrant.",
                "Surgical clips in the right upper quadrant.",
                "Surgical clips after cholecystectomy.",
                "There are clips in the gallbladder fossa.",
            ])
            .to_owned(),
    }
}

fn free_air(observation: &Observation, voice: &mut Voice) -> String {
    let amount = amount(observation.severity);
    if observation.side == Some(Side::Bilateral) {
        let wordings = [
            "{} amount of free air under both hemidiaphragms.",
            "There is a {} amount of free air under the diaphragm on both sides.",
            "{} pneumoperitoneum with air under both hemidiaphragms.",
            "{} amount of subdiaphragmatic free air bilaterally.",
            "A {} amount of free intraperitoneal gas is seen below both domes.",
        ];
        return fill(voice.pick(&wordings), &[amount]);
    }
    let wordings = [
        "{} amount of free air under the {} hemidiaphragm.",
        "There is a {} amount of free air under the {} hemidiaphragm.",
        "{} pneumoperitoneum with air under the {} hemidiaphragm.",
        "{} amount of subdiaphragmatic free air on the {}.",
        "A {} amount of free intraperitoneal gas is seen below the {} dome.",
    ];
    fill(voice.pick(&wordings), &[amount, side(observation)])
}

/// What the small bowel's loops mean: both bowels dilated are an ileus, the small one alone and much of it is
/// obstructed.
fn meaning(description: &Description) -> &'static str {
    let severe = description.get(Kind::SmallBowel).map(|o| o.severity) > Some(Severity::Small);
    if severe && !description.has(Kind::Colon) {
        "small bowel obstruction"
    } else if description.has(Kind::Drain) {
        "postoperative ileus"
    } else {
        "ileus"
    }
}

fn small_bowel(severity: Severity, description: &Description, voice: &mut Voice) -> String {
    let levels = match (stands(description), severity) {
        (true, Severity::Small) => " with a few air-fluid levels",
        (true, _) => " with multiple air-fluid levels",
        (false, _) => [" with visible valvulae conniventes", ""][usize::from(voice.chance(70))],
    };
    let obstructed = meaning(description) == "small bowel obstruction";
    let wordings: &[&str] = if voice.chance(20) && !obstructed {
        let wordings = ["{} {}.", "{} {}{}.", "There is {} {}."];
        return fill(
            voice.pick(&wordings),
            &[degree(severity), meaning(description), levels],
        );
    } else {
        &[
            "{} dilated small bowel loops{}.",
            "There are {} dilated loops of small bowel{}.",
            "{} distended small bowel loops in the central abdomen{}.",
            "The small bowel is {} dilated{}.",
        ]
    };
    fill(voice.pick(wordings), &[&adverb(severity), levels])
}

fn kidney_stone(observation: &Observation, voice: &mut Voice) -> String {
    let one = observation.side != Some(Side::Bilateral);
    let wordings: &[&str] = match (observation.severity, one) {
        (Severity::Large, true) => &[
            "Staghorn calculus in the {} kidney.",
            "Large staghorn stone of the {} kidney.",
            "The {} renal pelvis is filled by a staghorn calculus.",
        ],
        (Severity::Large, false) => &[
            "Staghorn calculi in both kidneys.",
            "Bilateral staghorn stones.",
            "Large staghorn calculi of both kidneys.",
        ],
        (Severity::Moderate, true) => &[
            "A calculus of more than 1 cm projects over the {} kidney.",
            "{} renal stone of moderate size.",
            "Moderate-sized calculus in the {} kidney.",
            "Nephrolithiasis on the {} with a stone of moderate size.",
        ],
        (Severity::Moderate, false) => &[
            "Calculi of more than 1 cm project over both kidneys.",
            "Bilateral renal stones of moderate size.",
            "Moderate-sized calculi in both kidneys.",
        ],
        (Severity::Small, true) => &[
            "A small calculus projects over the {} kidney.",
            "Small {} renal stone.",
            "Small radiopaque calculus in the {} kidney.",
            "Small calcification over the {} kidney, consistent with a stone.",
        ],
        (Severity::Small, false) => &[
            "Small calculi project over both kidneys.",
            "Small bilateral renal stones.",
            "Small radiopaque calculi in both kidneys.",
        ],
    };
    fill(voice.pick(wordings), &[side(observation)])
}

fn phleboliths(observation: &Observation, voice: &mut Voice) -> String {
    if observation.side == Some(Side::Bilateral) {
        let wordings = [
            "Phleboliths on both sides of the pelvis.",
            "Bilateral pelvic phleboliths.",
            "Small pelvic calcifications on both sides, phleboliths.",
        ];
        return voice.pick(&wordings).to_owned();
    }
    let wordings: &[&str] = if observation.severity == Severity::Small {
        &[
            "A phlebolith in the {} pelvis.",
            "Small {} pelvic phlebolith.",
            "Small rounded calcification in the {} pelvis, a phlebolith.",
        ]
    } else {
        &[
            "Phleboliths in the {} pelvis.",
            "Small {} pelvic phleboliths.",
            "Small rounded calcifications in the {} pelvis, phleboliths.",
        ]
    };
    fill(voice.pick(wordings), &[side(observation)])
}

/// Denies what is not there, so many statements at most.
pub(super) fn denial(description: &Description, most: usize, voice: &mut Voice, sentences: &mut Vec<String>) {
    let has = |kind| description.has(kind);
    let mut all: Vec<&[&str]> = Vec::new();
    match (has(Kind::SmallBowel), has(Kind::Colon)) {
        (false, false) => all.push(&[
            "Normal bowel gas pattern.",
            "No dilated bowel loops.",
            "Nonspecific bowel gas pattern.",
            "No evidence of bowel obstruction.",
            "The bowel gas pattern is unremarkable.",
            "No ileus.",
        ]),
        (true, false) => all.push(&["The colon is not dilated.", "No colonic dilatation."]),
        (false, true) => all.push(&["No dilated small bowel.", "The small bowel is not dilated."]),
        (true, true) => {}
    }
    if stands(description) && !has(Kind::FreeAir) {
        all.push(&[
            "No free air.",
            "No free air under the diaphragm.",
            "No evidence of pneumoperitoneum.",
            "There is no subdiaphragmatic free air.",
        ]);
    }
    match (
        has(Kind::KidneyStone),
        has(Kind::Gallstone),
        has(Kind::Phleboliths),
    ) {
        (false, false, false) => all.push(&[
            "No radiopaque calculus.",
            "No abnormal calcification.",
            "No radiopaque stone is seen.",
        ]),
        (false, _, _) => all.push(&["No urinary calculus.", "No renal calculus."]),
        (true, false, _) => all.push(&["No calcified gallstones."]),
        (true, true, _) => {}
    }
    let harmless: &[&str] = &[
        "Psoas shadows are preserved.",
        "The bones are intact.",
        "The visualised bones are unremarkable.",
        "Renal outlines are normal.",
    ];
    if voice.chance(15) {
        all.push(harmless);
    }
    if voice.chance(25) {
        all.reverse();
    }
    for wordings in all.into_iter().take(most) {
        sentences.push(voice.pick(wordings).to_owned());
    }
}

/// What it amounts to, where that can be said.
pub(super) fn ending(description: &Description, voice: &mut Voice) -> Option<String> {
    let has = |kind| description.has(kind);
    if has(Kind::FreeAir) && has(Kind::Drain) {
        return Some(
            voice
                .pick(&[
                    "Postoperative pneumoperitoneum is likely.",
                    "Postoperative state.",
                ])
                .to_owned(),
        );
    }
    if has(Kind::FreeAir) {
        let wordings = [
            "Bowel perforation is suspected.",
            "Findings are suspicious for perforation.",
            "Impression: pneumoperitoneum.",
        ];
        return Some(voice.pick(&wordings).to_owned());
    }
    if has(Kind::SmallBowel) {
        let wordings = [
            "Findings suggest {}.",
            "Impression: {}.",
            "This is consistent with {}.",
        ];
        return Some(fill(voice.pick(&wordings), &[meaning(description)]));
    }
    if has(Kind::FaecalLoading) {
        let wordings = ["Consistent with constipation.", "Impression: constipation."];
        return Some(voice.pick(&wordings).to_owned());
    }
    if has(Kind::Colon) {
        let wordings = ["Impression: colonic dilatation.", "Follow-up is advised."];
        return Some(voice.pick(&wordings).to_owned());
    }
    if has(Kind::KidneyStone) {
        let wordings = ["Impression: nephrolithiasis.", "Impression: renal stone disease."];
        return Some(voice.pick(&wordings).to_owned());
    }
    let sick = description.findings().len();
    let only_clips = sick == 1 && has(Kind::Clips);
    (has(Kind::Drain) || only_clips).then(|| "Postoperative state.".to_owned())
}
