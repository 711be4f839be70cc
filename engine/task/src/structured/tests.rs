#![allow(clippy::unwrap_used)]

use hilum_text::{Certainty, Finding, LabelSet, Labeler};

use super::*;

fn reading(name: &str, probability: f64, side: Option<&str>) -> Reading {
    Reading {
        name: name.to_owned(),
        probability,
        operating_point: 0.5,
        present: probability >= 0.5,
        side: side.map(str::to_owned),
        area: None,
    }
}

fn at(form: &Form, name: &str) -> usize {
    form.lines.iter().position(|line| line.name == name).unwrap()
}

/// CheXpert's categories, each as probable as `probability` says.
fn chexpert(probability: impl Fn(Finding) -> f64) -> Vec<Reading> {
    let read = |finding: Finding| reading(finding.name(), probability(finding), None);
    Finding::ALL.map(read).to_vec()
}

#[test]
fn the_table_is_whole() {
    let lines = TABLE.lines().count() - 1;
    let rows: Vec<Row> = rows().collect();
    assert_eq!(rows.len(), lines);
    assert!(TABLE.lines().all(|line| line.split('\t').count() == 8));
    for row in rows.iter().filter(|row| row.region != NONE) {
        for sentence in [row.present, row.on_a_side, row.on_both_sides] {
            assert!(sentence.is_empty() || sentence.ends_with('.'), "{row:?}");
            assert_eq!(
                sentence.contains("{side}"),
                !sentence.is_empty() && sentence == row.on_a_side,
                "{row:?}"
            );
        }
        assert!(!row.present.is_empty() && row.on_a_side.is_empty() == row.on_both_sides.is_empty());
        assert!(
            row.absent.starts_with("no ") != row.absent.ends_with('.'),
            "{row:?}"
        );
        assert!(
            row.kind_of.is_empty() || rows.iter().any(|other| other.line == row.kind_of),
            "{row:?}"
        );
        // It would not end where a line were a kind of itself.
        assert!(!row.is_kind_of(row.line), "{row:?}");
    }
    let mut regions: Vec<&str> = rows.iter().map(|row| row.region).collect();
    regions.dedup();
    assert_eq!(
        regions,
        [
            "Lungs",
            "Pleura",
            "Heart and mediastinum",
            "Bones",
            "Devices",
            NONE,
            OTHER
        ]
    );
}

#[test]
fn every_label_of_the_label_sets_has_a_line() {
    for set in LabelSet::NAMES {
        for label in LabelSet::named(set).unwrap().labels {
            let form = Form::filled(&[reading(&label.name, 0.9, None)], false);
            let own: Vec<&Line> = form.lines.iter().filter(|line| line.reading.is_some()).collect();
            if plain(&label.name) == "nofinding" {
                assert!(own.is_empty());
            } else {
                assert_eq!(own.len(), 1, "{}", label.name);
                assert_ne!(own[0].region(), OTHER, "{}", label.name);
            }
        }
    }
}

#[test]
fn clearly_below_is_absent_and_the_rest_is_open() {
    let of = |probability: f64, operating_point: f64| {
        State::of(&Reading {
            operating_point,
            present: probability >= operating_point,
            ..reading("Edema", probability, None)
        })
    };
    assert_eq!(of(0.5, 0.5), State::Present);
    assert_eq!(of(0.1, 0.5), State::Absent);
    // Clearly below the threshold, and yet not rare.
    assert_eq!(of(0.2, 0.5), State::Open);
    assert_eq!(of(0.4, 0.9), State::Open);
    // Rare, and yet close to the threshold.
    assert_eq!(of(0.06, 0.1), State::Open);
    assert_eq!(of(0.05, 0.1), State::Absent);
    assert_eq!(of(f64::NAN, 0.5), State::Open);
}

#[test]
fn what_was_told_no_better_than_chance_is_open() {
    let of = |low: f64| {
        let area = Area {
            auroc: 0.6,
            low,
            high: 0.7,
            positives: 40,
        };
        State::of(&Reading {
            area: Some(area),
            ..reading("Edema", 0.9, None)
        })
    };
    assert_eq!(
        [of(0.52), of(0.5), of(f64::NAN)],
        [State::Present, State::Open, State::Open]
    );
}

#[test]
fn where_the_gate_speaks_every_line_is_open() {
    let form = Form::filled(&chexpert(|finding| (finding as usize % 2) as f64), true);
    assert_eq!((form.lines.len(), form.count(State::Open)), (13, 13));
    assert_eq!(form.text(), "");
}

#[test]
fn a_form_reads_like_a_report() {
    let mut readings = vec![
        reading("Consolidation", 0.9, Some("left")),
        reading("Pneumonia", 0.3, None),
        reading("Atelectasis", 0.02, None),
        reading("Edema", 0.01, None),
        reading("Lung Lesion", 0.01, None),
        reading("Lung Opacity", 0.01, None),
        reading("Pneumothorax", 0.01, None),
        reading("Pleural Effusion", 0.8, Some("bilateral")),
        reading("Cardiomegaly", 0.03, None),
        reading("Enlarged Cardiomediastinum", 0.03, None),
        reading("Fracture", 0.01, None),
        reading("Support Devices", 0.99, Some("left")),
        reading("No Finding", 0.01, None),
    ];
    readings.reverse();
    let form = Form::filled(&readings, false);
    assert_eq!(
        form.text(),
        "Lungs: There is consolidation in the left lung. No atelectasis, pulmonary edema, or lung lesion.\n\
         Pleura: There are bilateral pleural effusions. No pneumothorax.\n\
         Heart and mediastinum: Heart size is normal. The cardiomediastinal silhouette is not enlarged.\n\
         Bones: No fracture.\n\
         Devices: Support devices are in place."
    );
}

#[test]
fn a_line_is_spoken_for_by_its_kind() {
    let mut form = Form::filled(
        &[
            reading("Mass", 0.9, Some("right")),
            reading("Lung Lesion", 0.9, None),
            reading("Lung Opacity", 0.01, None),
            reading("Pneumothorax", 0.01, None),
            reading("Effusion", 0.01, None),
        ],
        false,
    );
    let text = form.text();
    assert!(
        text.starts_with("Lungs: There is a right lung mass.\nPleura: No pneumothorax or pleural effusion."),
        "{text}"
    );
    let mass = at(&form, "Mass");
    form.set(mass, State::Absent);
    let text = form.text();
    assert!(
        text.starts_with("Lungs: There is a lung lesion. No lung mass.\n"),
        "{text}"
    );
    form.set(mass, State::Present);
    form.set(at(&form, "Lung opacity"), State::Present);
    let text = form.text();
    assert!(
        text.starts_with("Lungs: There is a right lung mass. There is a lung opacity.\n"),
        "{text}"
    );
}

#[test]
fn what_the_table_does_not_know_is_called_by_its_own_name() {
    let form = Form::filled(
        &[
            reading("Aortic_Enlargement", 0.9, None),
            reading("Calcification", 0.01, None),
            reading("ILD", 0.02, None),
            reading("rib notching", 0.7, Some("left")),
        ],
        false,
    );
    assert!(
        form.lines
            .iter()
            .filter(|line| line.region() != OTHER)
            .all(|line| line.state == State::Open)
    );
    assert_eq!(
        form.text(),
        "Other: Aortic Enlargement is present. Rib notching is present on the left. No calcification or ILD."
    );
}

#[test]
fn a_region_that_the_model_does_not_know_is_there_and_open() {
    let form = Form::filled(
        &[reading("Mass", 0.01, None), reading("Hernia", 0.01, None)],
        false,
    );
    let lines = |region: &str| form.lines.iter().filter(|line| line.region() == region).count();
    assert_eq!((lines("Lungs"), lines("Bones"), lines("Devices")), (1, 1, 1));
    assert_eq!(
        form.text(),
        "Lungs: No lung mass.\nHeart and mediastinum: No hiatal hernia."
    );
}

#[test]
fn what_the_reader_touched_is_never_changed() {
    let mut form = Form::filled(&chexpert(|_| 0.01), false);
    let (effusion, edema) = (at(&form, "Pleural effusion"), at(&form, "Pulmonary edema"));
    form.set_side(effusion, Some("right"));
    form.set(edema, State::Open);
    form.set(at(&form, "Fracture"), State::Present);
    // No side is where there is none.
    form.set_side(edema, Some("left"));
    let touched = form.clone();
    form.refill(&chexpert(|_| 0.9)[..12], false);
    for line in &form.lines {
        let before = touched.lines.iter().find(|old| old.name == line.name).unwrap();
        if before.touched {
            assert_eq!(
                (line.state, line.side, line.touched),
                (before.state, before.side, true)
            );
        } else if line.reading.is_some() {
            assert_eq!(line.state, State::Present);
        }
    }
    // Its new reading has come, where there is one, and it stands where it stood.
    assert_eq!(form.lines[effusion].reading.as_ref().unwrap().probability, 0.9);
    assert!(form.lines.windows(2).all(|pair| pair[0].order <= pair[1].order));
    assert!(form.text().contains("right pleural effusion") && form.text().contains("There is a fracture."));
    // So it is where the gate speaks.
    form.refill(&chexpert(|_| 0.9), true);
    assert_eq!(form.count(State::Present), 2);
}

#[test]
fn the_labeler_reads_what_was_written() {
    let labeler = Labeler::new();
    let whole = |probability: f64| Form::filled(&chexpert(|_| probability), false);
    let mut misread = Vec::new();
    for finding in &Finding::ALL[1..] {
        for (probability, wanted) in [(0.9, Certainty::Positive), (0.01, Certainty::Negative)] {
            for side in [None, Some("left"), Some("right"), Some("bilateral")] {
                let text = Form::filled(&[reading(finding.name(), probability, side)], false).text();
                let read = labeler.read_report(&text);
                let told = read.sides()[*finding as usize].map(|side| side.name());
                let sided = probability < 0.5 || !finding.has_side() || told == side;
                if read.labels[*finding as usize] != Some(wanted) || !sided {
                    misread.push(text);
                }
            }
        }
    }
    assert_eq!(misread, Vec::<String>::new());
    let labels = labeler.read_report(&whole(0.01).text()).labels;
    let denied = labels[1..]
        .iter()
        .filter(|label| **label == Some(Certainty::Negative));
    assert_eq!(denied.count(), 13, "{}", whole(0.01).text());
}
