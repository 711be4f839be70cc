//! Phantoms in the layout, the small form, and what may go wrong.

use std::fs;

use super::*;
use crate::testing::{edit, goes_round, misses, read, refusal, split_by_patient, write};
use crate::{FindingBox, Format, Layout, Split};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::Nih14, |_, loaded| {
        assert_eq!(loaded.classes, CLASSES);
        for study in &loaded.studies {
            assert!(study.labelled() && study.report.longer().is_empty());
            assert_eq!(study.classes, classes_of(study.description.as_ref().unwrap()));
            let normal = study.labels.unwrap()[Finding::NoFinding as usize] == Some(Certainty::Positive);
            assert_eq!(normal, study.classes.is_empty());
            assert!(
                study
                    .boxes
                    .iter()
                    .all(|place| study.classes.contains(&place.class))
            );
        }
        assert!(loaded.studies.iter().any(|study| !study.boxes.is_empty()));
    });
    misses(Layout::Nih14);
}

#[test]
fn classes_that_mean_the_same_become_chexperts() {
    let labels = to_chexpert(&["Effusion", "Nodule", "Hernia"].map(str::to_owned), false);
    assert_eq!(
        labels[Finding::PleuralEffusion as usize],
        Some(Certainty::Positive)
    );
    assert_eq!(labels[Finding::LungLesion as usize], Some(Certainty::Positive));
    assert_eq!(labels[Finding::Edema as usize], Some(Certainty::Negative));
    for unknown in [
        Finding::LungOpacity,
        Finding::PleuralOther,
        Finding::Fracture,
        Finding::NoFinding,
    ] {
        assert_eq!(labels[unknown as usize], None);
    }
    assert_eq!(
        to_chexpert(&[], true)[Finding::NoFinding as usize],
        Some(Certainty::Positive)
    );
}

#[test]
fn boxes_and_a_list_for_validation_are_read_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, Layout::Nih14, 30, Format::Png);
    let whole = read(root);
    let train: Vec<&str> = whole
        .studies
        .iter()
        .filter(|s| s.split != Split::Test)
        .map(|s| s.id.as_str())
        .collect();
    fs::write(root.join(VALIDATE_LIST), format!("{}\n", train[0])).unwrap();
    // As published: one heading for four numbers, empty columns at the end, NIH's other word for Infiltration.
    let table = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n";
    fs::write(
        root.join(BOXES),
        format!("{table}{},Infiltrate,1.5,2,3,4.25,,,\n", train[1]),
    )
    .unwrap();
    let again = read(root);
    let study = |id: &str| again.studies.iter().find(|s| s.id == id).unwrap();
    let validates = again.studies.iter().filter(|s| s.split == Split::Validate);
    let subject = &study(train[0]).subject;
    assert!(validates.clone().count() > 0 && validates.clone().all(|s| s.subject == *subject));
    let place = FindingBox {
        class: "Infiltration".to_owned(),
        area: [1.5, 2.0, 3.0, 4.25],
    };
    assert_eq!(study(train[1]).boxes, [place]);
    fs::write(
        root.join(BOXES),
        format!("{table}{},Mass,1,2,wide,4,,,\n", train[1]),
    )
    .unwrap();
    let message = refusal(root, Layout::Nih14);
    assert!(
        message.contains("wide") && message.contains("line 2"),
        "{message}"
    );
}

#[test]
fn pictures_lie_in_twelve_folders_and_lists_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, Layout::Nih14, 30, Format::Png);
    let whole = read(root);
    fs::create_dir_all(root.join("images_001")).unwrap();
    fs::rename(root.join("images"), root.join("images_001/images")).unwrap();
    fs::create_dir_all(root.join("images_012/images")).unwrap();
    let name = &whole.studies[3].id;
    fs::rename(
        root.join("images_001/images").join(name),
        root.join("images_012/images").join(name),
    )
    .unwrap();
    fs::rename(root.join(ENTRIES), root.join(ENTRIES_2020)).unwrap();
    let again = read(root);
    assert_eq!(again.counts, whole.counts);
    fs::remove_file(root.join(TEST_LIST)).unwrap();
    assert!(refusal(root, Layout::Nih14).contains(TEST_LIST));
    fs::remove_file(root.join(TRAIN_LIST)).unwrap();
    let drawn = read(root);
    assert_eq!(drawn.studies.len(), 30);
    assert!(
        drawn.notes.iter().any(|n| n.contains("not there")),
        "{:?}",
        drawn.notes
    );
    split_by_patient(&drawn.studies);
}

#[test]
fn the_small_form_is_read_and_a_patient_of_two_splits_is_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("images")).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        fs::write(root.join("images").join(name), "x").unwrap();
    }
    let table = "\u{feff}patient,\"filename\",labels,split,view\r\n1,a.png,No Finding,train,PA\r\n\
                 1,b.png,Mass|Effusion|Pleural Thickening,valid,AP\r\n2,c.png,Hernia,train,PA\r\n";
    fs::write(root.join("labels.csv"), table).unwrap();
    let loaded = read(root);
    assert_eq!(loaded.layout, Layout::Nih14);
    let told: Vec<(Split, usize)> = loaded
        .studies
        .iter()
        .map(|s| (s.split, s.classes.len()))
        .collect();
    assert_eq!(
        told,
        [(Split::Validate, 0), (Split::Validate, 3), (Split::Train, 1)]
    );
    assert_eq!(
        loaded.studies[1].classes,
        ["Effusion", "Mass", "Pleural_Thickening"]
    );
    assert!(loaded.notes[0].starts_with("1 patients"), "{:?}", loaded.notes);
    for (from, to, part) in [
        ("Hernia", "Hernai", "line 4"),
        ("2,c.png", ",c.png", "line 4"),
        (",train,PA\r\n1", ",practice,PA\r\n1", "line 2"),
        ("c.png", "../c.png", "../c.png"),
        ("c.png", "a.png", "twice"),
        ("view", "sight", "view"),
        ("labels", "label", "no column \"labels\""),
        ("AP\r\n2", "AP,AP\r\n2", "labels.csv"),
    ] {
        fs::write(root.join("labels.csv"), table.replacen(from, to, 1)).unwrap();
        let message = refusal(root, Layout::Nih14);
        assert!(
            message.contains(part) && message.contains("labels.csv"),
            "{message}"
        );
    }
}

#[test]
fn damaged_tables_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, Layout::Nih14, 4, Format::Png);
    let name = read(root).studies[2].id.clone();
    let list = |text: &str| text.replace(&name, "other.png");
    edit(&root.join(TRAIN_LIST), list);
    edit(&root.join(TEST_LIST), list);
    let message = refusal(root, Layout::Nih14);
    assert!(message.contains("line 4") && message.contains(&name), "{message}");
    let table = fs::read_to_string(root.join(ENTRIES)).unwrap();
    for column in ["Finding Labels", "Patient ID"] {
        fs::write(root.join(ENTRIES), table.replace(column, "Other")).unwrap();
        let message = refusal(root, Layout::Nih14);
        assert!(
            message.contains(&format!("{ENTRIES} has no column {column:?}")),
            "{message}"
        );
    }
    fs::remove_file(root.join(ENTRIES)).unwrap();
    assert!(refusal(root, Layout::Nih14).contains(ENTRIES));
}
