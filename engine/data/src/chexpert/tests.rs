//! Phantoms in the layout, and what may go wrong.

use std::fs;

use super::*;
use crate::phantom::View;
use crate::testing::{edit, goes_round, misses, read, refusal, write};
use crate::{Format, Layout, ReadOptions, Split, Views, load};
use hilum_text::{Certainty, Finding};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::CheXpert, |_, loaded| {
        assert!(loaded.classes.is_empty());
        for study in &loaded.studies {
            assert_eq!(
                study.labels.unwrap(),
                study.description.as_ref().unwrap().labels()
            );
            let held_out = study
                .image
                .to_string_lossy()
                .replace('\\', "/")
                .contains("/valid/");
            assert_eq!(held_out, study.split == Split::Test);
        }
    });
    misses(Layout::CheXpert);
}

const HEADER: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,\
                      Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,\
                      Fracture,Support Devices\n";

fn by_hand(root: &std::path::Path, train: &str) {
    for picture in ["view1_frontal.jpg", "view2_lateral.jpg", "view3_frontal.jpg"] {
        let path = root.join("CheXpert-v1.0/train/patient00001/study2").join(picture);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    fs::write(root.join(TRAIN), HEADER.to_owned() + train).unwrap();
}

const ROWS: &str = "CheXpert-v1.0/train/patient00001/study2/view2_lateral.jpg,Male,40,Lateral,,,,,,,,,,,,,,,\n\
                    CheXpert-v1.0/train/patient00001/study2/view1_frontal.jpg,Male,40,Frontal,AP,,0.0,-1.0,1.0,,,,,,,,,,1\n\
                    CheXpert-v1.0/train/patient00001/study2/view3_frontal.jpg,Male,40,Frontal,PA,,0.0,-1.0,1.0,,,,,,,,,,1\n";

#[test]
fn blanks_uncertain_labels_and_views() {
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), ROWS);
    let loaded = read(folder.path());
    assert_eq!(
        (
            loaded.studies.len(),
            loaded.counts.other_views,
            loaded.counts.further_images
        ),
        (1, 1, 1)
    );
    let study = &loaded.studies[0];
    assert_eq!(
        (study.id.as_str(), study.subject.as_str()),
        ("patient00001/study2", "patient00001")
    );
    assert_eq!(study.view, Some(View::Ap));
    let labels = study.labels.unwrap();
    assert_eq!(
        labels[Finding::EnlargedCardiomediastinum as usize],
        Some(Certainty::Negative)
    );
    assert_eq!(labels[Finding::Cardiomegaly as usize], Some(Certainty::Uncertain));
    assert_eq!(labels[Finding::LungOpacity as usize], Some(Certainty::Positive));
    assert_eq!(
        labels[Finding::SupportDevices as usize],
        Some(Certainty::Positive)
    );
    assert_eq!(labels.iter().flatten().count(), 4);
    let every = ReadOptions {
        every_image: true,
        ..Default::default()
    };
    assert_eq!(load(folder.path(), None, &every).unwrap().studies.len(), 2);
    let all = ReadOptions {
        views: Views::All,
        ..every
    };
    let all = load(folder.path(), None, &all).unwrap();
    let told: Vec<_> = all.studies.iter().map(|s| s.view).collect();
    assert_eq!(
        told,
        [None, Some(View::Ap), Some(View::Pa)],
        "the lateral one too"
    );
    assert_eq!(all.counts.other_views, 0);
    // The folder of the paths' first component may be the root itself.
    fs::rename(
        folder.path().join(TRAIN),
        folder.path().join("CheXpert-v1.0").join(TRAIN),
    )
    .unwrap();
    assert_eq!(read(&folder.path().join("CheXpert-v1.0")).studies.len(), 1);
}

#[test]
fn damaged_tables_say_where() {
    for (from, to, part) in [
        ("Frontal,AP", "Oblique,AP", "line 3"),
        ("0.0,-1.0", "0.5,-1.0", "0.5"),
        ("CheXpert-v1.0/train", "../train", "line 2"),
        (
            "CheXpert-v1.0/train/patient00001/study2/view2_lateral.jpg",
            "a.jpg",
            "line 2",
        ),
        ("view3", "view1", "twice"),
        (",,,1\n", ",,1\n", "train.csv"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        by_hand(folder.path(), &ROWS.replacen(from, to, 1));
        let message = refusal(folder.path(), Layout::CheXpert);
        assert!(
            message.contains(part) && message.contains("train.csv"),
            "{message}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), ROWS);
    // No label column may be absent: a blank would pass for one that nobody marked.
    for finding in Finding::ALL {
        fs::write(
            folder.path().join(TRAIN),
            HEADER.replace(&format!(",{}", finding.name()), ",Other") + ROWS,
        )
        .unwrap();
        let message = refusal(folder.path(), Layout::CheXpert);
        let column = format!("{TRAIN} has no column {:?}", finding.name());
        assert!(message.contains(&column), "{message}");
    }
    fs::remove_file(folder.path().join(TRAIN)).unwrap();
    assert!(refusal(folder.path(), Layout::CheXpert).contains(TRAIN));
}

#[test]
fn a_patient_of_both_tables_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Layout::CheXpert, 20, Format::Png);
    let train = fs::read_to_string(folder.path().join(TRAIN)).unwrap();
    let row = train.lines().nth(1).unwrap().to_owned();
    edit(&folder.path().join(VALID), |t| format!("{t}{row}\n"));
    let message = refusal(folder.path(), Layout::CheXpert);
    assert!(
        message.contains("patient") && message.contains(VALID),
        "{message}"
    );
}
