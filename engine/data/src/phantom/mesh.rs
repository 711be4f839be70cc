//! The Medical Subject Headings of a phantom, as Open-i's indexers give them: the term, then its place, side and
//! size behind slashes.

use super::describe::{Description, Kind, Observation, Severity};
use hilum_text::{Side, Zone};

/// The anatomy of any chest, which reports name whether or not something is seen there.
pub(crate) const ANATOMY: [&str; 5] = ["Thorax", "Lung", "Pleura", "Heart", "Mediastinum"];

/// The heading of a chest that shows nothing at all.
const NORMAL: &str = "normal";

/// The headings of a description, each once: what is shown, or "normal", and the anatomy.
pub fn mesh(description: &Description) -> Vec<String> {
    let mut headings: Vec<String> = Vec::new();
    for heading in description.observations.iter().map(heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    if headings.is_empty() {
        headings.push(NORMAL.to_owned());
    }
    headings.extend(ANATOMY.map(str::to_owned));
    headings
}

fn heading(o: &Observation) -> String {
    let side = o.side.map_or("", side);
    let (lobe, base) = (lobe(o), base(o));
    let (mild, small) = (
        size(o, ["mild", "moderate", "severe"]),
        size(o, ["small", "moderate", "large"]),
    );
    // Of the middle size nobody speaks.
    let extent = size(o, ["small", "", "large"]);
    let number = size(o, ["", "", "multiple"]);
    let parts: [&str; 5] = match o.kind {
        Kind::Effusion => ["Pleural Effusion", "", "", side, small],
        Kind::Pneumothorax => ["Pneumothorax", "", apex(o), side, small],
        Kind::Consolidation => ["Consolidation", "lung", lobe, side, ""],
        Kind::Pneumonia => ["Pneumonia", "", lobe, side, ""],
        Kind::Opacity => ["Opacity", "lung", base, side, ""],
        Kind::Atelectasis => ["Pulmonary Atelectasis", "", base, side, mild],
        Kind::Edema => ["Pulmonary Edema", "", "", "", mild],
        Kind::Cardiomegaly => ["Cardiomegaly", "", "", "", mild],
        Kind::WideMediastinum => ["Mediastinum", "enlarged", "", "", mild],
        Kind::Nodule => ["Nodule", "lung", lobe, side, extent],
        Kind::Mass => ["Mass", "lung", lobe, side, extent],
        Kind::PleuralThickening => ["Thickening", "pleura", apex(o), side, mild],
        Kind::RibFracture => ["Fractures, Bone", "ribs", "", side, number],
        Kind::EtTube => ["Tube, Inserted", "trachea", "", "", ""],
        Kind::CentralLine => ["Central Venous Catheters", "", "", side, ""],
        Kind::Pacemaker => ["Pacemaker, Artificial", "", "", side, ""],
        Kind::ChestDrain => ["Chest Tubes", "", "", side, ""],
    };
    let told: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    told.join("/")
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
        Side::Bilateral => "bilateral",
    }
}

/// The third of a lung by its lobe: the left lung has none in the middle, but a lingula.
fn lobe(o: &Observation) -> &'static str {
    match (o.zone, o.side) {
        (None, _) => "",
        (Some(Zone::Upper), _) => "upper lobe",
        (Some(Zone::Mid), Some(Side::Left)) => "lingula",
        (Some(Zone::Mid), _) => "middle lobe",
        (Some(Zone::Lower), _) => "lower lobe",
    }
}

/// [`lobe`], with the base for the lowest.
fn base(o: &Observation) -> &'static str {
    match o.zone {
        Some(Zone::Lower) => "base",
        _ => lobe(o),
    }
}

/// The pleura has an apex and a base.
fn apex(o: &Observation) -> &'static str {
    match o.zone {
        Some(Zone::Upper) => "apex",
        Some(Zone::Lower) => "base",
        _ => "",
    }
}

fn size(o: &Observation, words: [&'static str; 3]) -> &'static str {
    words[match o.severity {
        Severity::Small => 0,
        Severity::Moderate => 1,
        Severity::Large => 2,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{View, describe, report};

    fn one(kind: Kind, side: Option<Side>, zone: Option<Zone>, severity: Severity) -> String {
        let observation = Observation {
            kind,
            side,
            zone,
            severity,
            suggests: Vec::new(),
        };
        let description = Description {
            seed: 1,
            view: View::Pa,
            observations: vec![observation.clone(), observation],
        };
        let headings = mesh(&description);
        assert_eq!(headings[1..], ANATOMY, "each once");
        headings[0].clone()
    }

    #[test]
    fn headings_name_place_side_and_size() {
        let (left, lower) = (Some(Side::Left), Some(Zone::Lower));
        for (kind, side, zone, severity, heading) in [
            (
                Kind::Effusion,
                left,
                lower,
                Severity::Small,
                "Pleural Effusion/left/small",
            ),
            (
                Kind::Atelectasis,
                Some(Side::Right),
                lower,
                Severity::Small,
                "Pulmonary Atelectasis/base/right/mild",
            ),
            (
                Kind::Cardiomegaly,
                None,
                None,
                Severity::Large,
                "Cardiomegaly/severe",
            ),
            (
                Kind::Nodule,
                left,
                Some(Zone::Mid),
                Severity::Moderate,
                "Nodule/lung/lingula/left",
            ),
            (
                Kind::EtTube,
                None,
                None,
                Severity::Small,
                "Tube, Inserted/trachea",
            ),
        ] {
            assert_eq!(one(kind, side, zone, severity), heading);
        }
    }

    #[test]
    fn what_a_report_states_has_its_word_among_the_headings() {
        // The word that stands in the prose whatever its wording, and in the heading.
        let shared = [
            (Kind::Effusion, "effusion"),
            (Kind::Pneumothorax, "pneumothora"),
            (Kind::Consolidation, "consolidation"),
            (Kind::Pneumonia, "pneumonia"),
            (Kind::Opacity, "opacit"),
            (Kind::Atelectasis, "atelectasis"),
            (Kind::Edema, "edema"),
            (Kind::WideMediastinum, "mediastin"),
            (Kind::Nodule, "nodule"),
            (Kind::Mass, "mass"),
            (Kind::PleuralThickening, "thickening"),
            (Kind::RibFracture, "fracture"),
        ];
        for seed in 0..400 {
            let description = describe(seed);
            let headings = mesh(&description).join(" ").to_lowercase();
            let text = report(&description).findings.to_lowercase();
            for (kind, word) in shared {
                if description.observations.iter().any(|o| o.kind == kind) {
                    assert!(
                        headings.contains(word) && text.contains(word),
                        "{word}: {headings}; {text}"
                    );
                }
            }
            let normal = description.observations.is_empty();
            assert_eq!(headings.starts_with(NORMAL), normal);
        }
    }
}
