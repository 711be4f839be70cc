//! The answers against the descriptions, and that the words alone do not tell them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::describe;
use super::*;

fn all(count: u64) -> impl Iterator<Item = (Description, Vec<Question>)> {
    (0..count).map(|seed| {
        let description = describe(seed);
        let questions = questions(&description, &format!("s{seed}"));
        (description, questions)
    })
}

#[test]
fn six_to_ten_of_both_sorts_no_two_alike() {
    for (description, questions) in all(2000) {
        assert!(
            (6..=10).contains(&questions.len()),
            "{} questions of {description:?}",
            questions.len()
        );
        let texts: BTreeSet<&str> = questions.iter().map(|q| q.text.as_str()).collect();
        assert_eq!(texts.len(), questions.len(), "{questions:?}");
        let ids: BTreeSet<&str> = questions.iter().map(|q| q.id.as_str()).collect();
        assert_eq!(ids.len(), questions.len());
        assert!(questions.iter().any(|q| q.closed) && questions.iter().any(|q| !q.closed));
        for q in questions {
            assert!(
                q.text.ends_with('?') && !q.text.contains(['{', '}']) && !q.text.contains("  "),
                "{q:?}"
            );
            assert!(!q.closed || ["yes", "no"].contains(&q.answer.as_str()), "{q:?}");
        }
    }
}

#[test]
fn the_same_name_gives_the_same_questions() {
    let description = describe(5);
    assert_eq!(questions(&description, "a"), questions(&description, "a"));
    assert_ne!(questions(&description, "a"), questions(&description, "b"));
}

/// The kinds that a text names: asked independently of how the questions are made.
fn named(text: &str) -> Vec<Kind> {
    let words: [(&str, Kind); 17] = [
        ("effusion", Kind::Effusion),
        ("pneumothorax", Kind::Pneumothorax),
        ("consolidation", Kind::Consolidation),
        ("pneumonia", Kind::Pneumonia),
        ("opacity", Kind::Opacity),
        ("atelectasis", Kind::Atelectasis),
        ("edema", Kind::Edema),
        ("cardiomegaly", Kind::Cardiomegaly),
        ("mediastin", Kind::WideMediastinum),
        ("nodule", Kind::Nodule),
        ("mass", Kind::Mass),
        ("thickening", Kind::PleuralThickening),
        ("fracture", Kind::RibFracture),
        ("intubated", Kind::EtTube),
        ("central", Kind::CentralLine),
        ("pacemaker", Kind::Pacemaker),
        ("chest tube", Kind::ChestDrain),
    ];
    words
        .into_iter()
        .filter(|(w, _)| text.contains(w))
        .map(|(_, k)| k)
        .collect()
}

#[test]
fn answers_follow_from_the_description() {
    let mut checked = 0;
    for (description, questions) in all(3000) {
        for q in questions {
            let text = q.text.to_lowercase();
            let [kind] = named(&text)[..] else { continue };
            let sides: Vec<Side> = description
                .observations
                .iter()
                .filter(|o| o.kind == kind)
                .filter_map(|o| o.side)
                .collect();
            let there = description.observations.iter().any(|o| o.kind == kind);
            let on = |side: Side| sides.contains(&side) || sides.contains(&Side::Bilateral);
            let expected = match (q.closed, text.contains("left"), text.contains("right")) {
                (true, true, false) => said(on(Side::Left)),
                (true, false, true) => said(on(Side::Right)),
                (true, ..) => said(there),
                (false, ..) if text.contains("which side") => match (on(Side::Left), on(Side::Right)) {
                    (true, true) => "both",
                    (true, false) => "left",
                    _ => "right",
                },
                _ => {
                    assert!(there, "{q:?} of {description:?}");
                    continue;
                }
            };
            assert_eq!(q.answer, expected, "{q:?} of {description:?}");
            checked += 1;
        }
    }
    assert!(checked > 8000, "{checked}");
}

#[test]
fn what_is_only_suggested_is_not_asked_for() {
    for (description, questions) in all(3000) {
        for suggested in description.observations.iter().flat_map(|o| &o.suggests) {
            let word = suggested.name().to_lowercase();
            let asked = questions
                .iter()
                .find(|q| q.closed && q.text.to_lowercase().contains(&word));
            assert!(asked.is_none(), "{asked:?} of {description:?}");
        }
    }
}

#[test]
fn the_words_alone_tell_little() {
    let (mut yes, mut closed) = (0, 0);
    let mut by_text: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let (mut kinds, mut texts) = (BTreeSet::new(), BTreeSet::new());
    for (_, questions) in all(6000) {
        for q in questions {
            kinds.insert(q.kind.clone());
            texts.insert(q.text.clone());
            if q.closed {
                closed += 1;
                yes += u32::from(q.answer == "yes");
                let slot = by_text.entry(q.text).or_default();
                slot.0 += u32::from(q.answer == "yes");
                slot.1 += 1;
            }
        }
    }
    let share = f64::from(yes) / f64::from(closed);
    println!("{yes} yes of {closed}, {} wordings", texts.len());
    for (text, (yes, all)) in &by_text {
        println!("{:.2} {all:5} {text}", f64::from(*yes) / f64::from(*all));
    }
    // Guessing by the wording alone: the commoner answer of each.
    let guessed: u32 = by_text.values().map(|(yes, all)| (*yes).max(all - yes)).sum();
    println!(
        "guessed by wording: {:.3}",
        f64::from(guessed) / f64::from(closed)
    );
    assert!((0.45..0.55).contains(&share), "{share}");
    assert!(
        f64::from(guessed) / f64::from(closed) < 0.66,
        "{guessed} of {closed}"
    );
    assert!(texts.len() > 200, "{}", texts.len());
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["ABN", "PLANE", "POS", "PRES", "SIZE"]
    );
}
