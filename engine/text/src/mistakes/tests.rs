//! Each mistake on sentences of our own; that nothing but the spans differs is asserted for all of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::real::picker;
use super::*;
use crate::{Certainty, Finding};

/// Reports in the manners that occur: prose, telegrams under organs' names, sections, lists, small letters.
const REPORTS: [&str; 7] = [
    "There is a small left pleural effusion. Mild cardiomegaly. No pneumothorax. Endotracheal tube ends above the carina. \
     Right central line with tip in the SVC. Small left pleural effusion.",
    "Lines and tubes: Left-sided chest tube in situ. Heart: Heart size is normal. Lungs: Large rounded mass in the right upper lobe. \
     Pleura: No pleural effusion or pneumothorax. Bones: No rib fracture.",
    "INDICATION: Left chest pain.\n\nFINDINGS:\nModerate pulmonary edema. There is a\nsmall right pneumothorax. The trachea is midline.\n\n\
     IMPRESSION:\n1. Small right pneumothorax.\n2. Moderate edema.\n3. CT is recommended.",
    "the lungs are clear. heart size is normal. no pleural effusion or pneumothorax. no acute cardiopulmonary process.",
    "HEART SIZE IS NORMAL. THERE IS A SMALL RIGHT PLEURAL EFFUSION. NO PNEUMOTHORAX.",
    "- Consolidation in the left lower lobe\n- No effusion\n- Nasogastric tube courses below the diaphragm",
    "Normal chest radiograph.",
];

static LABELER: LazyLock<Labeler> = LazyLock::new(Labeler::new);

fn all(mistake: Mistake, report: &str) -> Vec<Mistaken> {
    (1..40)
        .filter_map(|seed| make(mistake, report, &LABELER, &mut picker(seed)))
        .collect()
}

fn texts(mistake: Mistake, report: &str) -> BTreeSet<String> {
    all(mistake, report).into_iter().map(|made| made.text).collect()
}

/// The one thing that can become of a report.
fn only(mistake: Mistake, report: &str) -> String {
    let texts = texts(mistake, report);
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.into_iter().next().unwrap()
}

fn none(mistake: Mistake, report: &str) {
    assert!(texts(mistake, report).is_empty(), "{:?}", texts(mistake, report));
}

#[test]
fn names_are_those_of_files_and_of_people() {
    for mistake in Mistake::ALL {
        let json = serde_json::to_string(&mistake).unwrap();
        assert_eq!(json, format!("{:?}", mistake.name()));
        assert_eq!(mistake.to_string(), mistake.as_str());
    }
}

#[test]
fn only_the_spans_differ() {
    let mut made_of = [0; 5];
    for report in REPORTS {
        for mistake in Mistake::ALL {
            let made = all(mistake, report);
            made_of[mistake as usize] += usize::from(!made.is_empty());
            for made in made {
                assert_ne!(made.text, report);
                assert_eq!(made.undone(), report, "{mistake}");
                assert_eq!(made.spans.len(), made.original.len());
                assert!(made.spans.is_sorted_by_key(|span| span.start));
                assert!(made.spans.last().unwrap().end <= made.text.len());
                assert!(
                    !made.text.contains("  ") && !made.text.contains(".."),
                    "{}",
                    made.text
                );
                let style = |text: &str| (text == text.to_lowercase(), text == text.to_uppercase());
                assert_eq!(style(&made.text), style(report), "{}", made.text);
            }
        }
    }
    assert!(made_of.iter().all(|n| *n >= 3), "{made_of:?}");
}

#[test]
fn sides_are_swapped_everywhere() {
    for (report, swapped) in [
        (
            "Small left effusion. RIGHT lung clear, Left-sided pacemaker.",
            "Small right effusion. LEFT lung clear, Right-sided pacemaker.",
        ),
        (
            "Mediastinum shifted leftward by the right effusion.",
            "Mediastinum shifted rightward by the left effusion.",
        ),
        (
            "Left base clear right now, all right. Drain left in place on the right.",
            "Right base clear right now, all right. Drain left in place on the left.",
        ),
        (
            "Larger on the left now. All left-sided lines.",
            "Larger on the right now. All right-sided lines.",
        ),
    ] {
        assert_eq!(only(Mistake::SideSwap, report), swapped);
        assert_eq!(only(Mistake::SideSwap, swapped), report);
    }
    none(
        Mistake::SideSwap,
        "Bilateral effusions, as of right now. Bright bones.",
    );
}

#[test]
fn one_side_is_a_finding_s_or_a_device_s() {
    let labeler = &*LABELER;
    let swaps = |report: &str| -> BTreeSet<String> {
        (1..40)
            .filter_map(|seed| swap_one_side(report, labeler, &mut picker(seed)))
            .map(|made| made.text)
            .collect()
    };
    assert_eq!(
        swaps("The right heart border is clear. Small left effusion. Nodule in the right lung."),
        BTreeSet::from([
            "The right heart border is clear. Small right effusion. Nodule in the right lung.".to_owned(),
            "The right heart border is clear. Small left effusion. Nodule in the left lung.".to_owned(),
        ])
    );
    for nothing in [
        "No left effusion.",
        "Right middle lobe consolidation.",
        "Moderate right and small left pleural effusions.",
        "Cardiomegaly.",
    ] {
        assert!(swaps(nothing).is_empty(), "{:?}", swaps(nothing));
    }
}

#[test]
fn what_is_put_in_is_stated_and_not_denied() {
    let labeler = &*LABELER;
    let mut seen = BTreeSet::new();
    for report in REPORTS {
        let before = labeler.read(report).labels;
        for text in texts(Mistake::Inserted, report) {
            let after = labeler.read(&text).labels;
            let new: Vec<Finding> = Finding::ALL
                .into_iter()
                .filter(|f| *f != Finding::NoFinding && after[*f as usize] == Some(Certainty::Positive))
                .filter(|f| before[*f as usize] != Some(Certainty::Positive))
                .collect();
            assert!(!new.is_empty(), "{text}");
            seen.extend(new);
            for finding in Finding::ALL.into_iter().filter(|f| *f != Finding::NoFinding) {
                // Nothing that was there is gone.
                assert!(
                    before[finding as usize] != Some(Certainty::Positive)
                        || after[finding as usize] == Some(Certainty::Positive),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(seen.len(), 12, "{seen:?}");
}

#[test]
fn a_denial_gives_way_and_its_others_stay() {
    let texts = texts(
        Mistake::Inserted,
        "Heart size is normal. No pleural effusion or pneumothorax.",
    );
    assert!(
        texts.contains("Heart size is normal. There is a moderate left pneumothorax. No pleural effusion."),
        "{texts:#?}"
    );
    assert!(
        texts.contains("The heart is markedly enlarged. No pleural effusion or pneumothorax."),
        "{texts:#?}"
    );
    for text in super::tests::texts(Mistake::Inserted, "Normal chest radiograph.") {
        assert!(!text.contains("Normal"), "{text}");
    }
}

#[test]
fn a_finding_is_left_out_wherever_it_is_told() {
    for (report, left) in [
        (
            "Heart size is normal. Small left effusion. This may be chronic. No pneumothorax. Left pleural effusion.",
            "Heart size is normal. No pneumothorax.",
        ),
        (
            "1. Small left effusion. 2. Heart size is normal. 3. CT is recommended.",
            "1. Heart size is normal. 2. CT is recommended.",
        ),
        (
            "Pleura: Small left effusion. The apex is clear. Heart: Normal.",
            "Pleura: The apex is clear. Heart: Normal.",
        ),
        (
            "Lungs: Clear. Pleura: Small left effusion. Heart: Normal.",
            "Lungs: Clear. Heart: Normal.",
        ),
        (
            "FINDINGS: Small left effusion. Heart size is normal.\n\nIMPRESSION: CT is recommended.",
            "FINDINGS: Heart size is normal.\n\nIMPRESSION: CT is recommended.",
        ),
        (
            "INDICATION: Pleural effusion.\n\nFINDINGS: Heart size is normal. Small left\neffusion.",
            "INDICATION: Pleural effusion.\n\nFINDINGS: Heart size is normal.",
        ),
        (
            "- No nodule\n- Small effusion\n- Heart normal",
            "- No nodule\n- Heart normal",
        ),
    ] {
        assert_eq!(only(Mistake::LeftOut, report), left);
    }
    let made = all(Mistake::LeftOut, "Heart size is normal. Small left effusion.");
    assert_eq!((made[0].spans.len(), &made[0].spans[0]), (1, &(21..21)));
    assert_eq!(made[0].original, [" Small left effusion."]);
    for nothing in [
        "Small left effusion.",
        "No effusion. Heart normal.",
        "Pacemaker in place. Heart normal.",
        "",
    ] {
        none(Mistake::LeftOut, nothing);
    }
}

#[test]
fn severity_is_turned_round() {
    for (report, wanted) in [
        (
            "There is a mild consolidation.",
            &[
                "There is an extensive consolidation.",
                "There is a marked consolidation.",
            ][..],
        ),
        (
            "Small left effusion. Small left pleural effusion.",
            &["Large left effusion. Large left pleural effusion."],
        ),
        (
            "An extensive left pneumonia. No large effusion.",
            &[
                "A mild left pneumonia. No large effusion.",
                "A minimal left pneumonia. No large effusion.",
            ],
        ),
        ("Small to moderate right effusion.", &["Large right effusion."]),
        (
            "The heart is mildly enlarged.",
            &[
                "The heart is markedly enlarged.",
                "The heart is severely enlarged.",
            ],
        ),
        (
            "Moderate edema, mild scoliosis.",
            &["Minimal edema, mild scoliosis.", "Severe edema, mild scoliosis."],
        ),
        (
            "LARGE PNEUMOTHORAX.",
            &["SMALL PNEUMOTHORAX.", "TINY PNEUMOTHORAX."],
        ),
    ] {
        let texts = texts(Mistake::Severity, report);
        assert_eq!(texts.iter().map(String::as_str).collect::<Vec<_>>(), {
            let mut wanted = wanted.to_vec();
            wanted.sort_unstable();
            wanted
        });
    }
    for nothing in [
        "No small effusion.",
        "Small hernia. Effusion.",
        "Large bore chest tube.",
        "Effusion.",
    ] {
        none(Mistake::Severity, nothing);
    }
}

#[test]
fn devices_end_in_the_wrong_place() {
    for (report, one) in [
        (
            "Endotracheal tube ends above the carina.",
            "Endotracheal tube ends in the right main bronchus.",
        ),
        (
            "ETT tip approximately 4.5 cm above the carina.",
            "ETT tip in the right main bronchus.",
        ),
        (
            "ET tube with tip 5-6 cm above carina.",
            "ET tube with tip at the carina.",
        ),
        (
            "Endotracheal tube is in standard position.",
            "Endotracheal tube is in the right main bronchus.",
        ),
        (
            "Endotracheal tube is appropriately positioned.",
            "Endotracheal tube is positioned in the right main bronchus.",
        ),
        (
            "Right central line with tip in the SVC.",
            "Right central line with tip in the right atrium.",
        ),
        (
            "Left PICC. The tip projects over the lower superior vena cava.",
            "Left PICC. The tip projects over the azygos vein.",
        ),
        ("Catheter tip upper SVC.", "Catheter tip in the right ventricle."),
        (
            "NG tube with tip in the stomach.",
            "NG tube with tip in the distal esophagus.",
        ),
        (
            "Feeding tube courses below the diaphragm.",
            "Feeding tube courses into the left main bronchus.",
        ),
        (
            "Left pacemaker with leads in expected position.",
            "Left pacemaker with leads in the superior vena cava.",
        ),
        (
            "Dual-lead pacemaker with intact leads.",
            "Dual-lead pacemaker with displaced leads.",
        ),
        (
            "Left chest tube in situ.",
            "Left chest tube outside the pleural space.",
        ),
        (
            "Right chest drain directed toward the apex.",
            "Right chest drain kinked outside the pleural space.",
        ),
        (
            "PICC in place. Its tip is in the SVC.",
            "PICC in place. Its tip is in the right atrium.",
        ),
    ] {
        let texts = texts(Mistake::Device, report);
        assert!(texts.contains(one), "{texts:#?}");
    }
    for nothing in [
        "Endotracheal tube removed from above the carina.",
        "No tube. The heart is in the right place.",
        "PICC malpositioned in the SVC.",
        "Mass at the level of the SVC.",
    ] {
        none(Mistake::Device, nothing);
    }
}

#[test]
fn any_text_is_taken() {
    let labeler = &*LABELER;
    for text in [
        "",
        " ",
        ".",
        "1.",
        "1. 2. 3.",
        ":",
        "FINDINGS:",
        "\u{e9}ffusion left\u{2014}right.",
        "Small\u{a0}left effusion\u{2026} (right) ",
        "\n\n\n- \n",
        "left",
        "Small effusion? Large\r\n\r\nright",
        "a: b: c. IMPRESSION: 1) Small effusion 2) large mass",
    ] {
        for mistake in Mistake::ALL {
            // A pick out of range is taken as the last.
            for made in [
                make(mistake, text, labeler, &mut |_| 0),
                make(mistake, text, labeler, &mut |_| usize::MAX),
            ]
            .into_iter()
            .flatten()
            {
                assert_eq!(made.undone(), text);
            }
        }
        if let Some(made) = swap_one_side(text, labeler, &mut |_| 0) {
            assert_eq!(made.undone(), text);
        }
    }
}
