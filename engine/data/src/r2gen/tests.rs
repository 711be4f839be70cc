//! Phantoms in the layout, both of its variants, and what may go wrong.

use std::fs;

use super::*;
use crate::phantom;
use crate::testing::{edit, goes_round, misses, read, refusal, write};
use crate::{Format, Layout, ReadOptions, Split, Views, load};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::R2Gen, |_, loaded| {
        for study in &loaded.studies {
            let description = study.description.as_ref().unwrap();
            assert_eq!(study.report.findings, phantom::report(description).findings);
            assert!(study.report.impression.is_empty() && study.labels.is_none());
            assert!(study.id.starts_with(&format!("{}_IM-", study.subject)));
            assert_eq!(study.headings(), phantom::mesh(description));
        }
    });
    misses(Layout::R2Gen);
}

const IU: &str = r#"{"train": [{"id": "CXR7_IM-0002", "report": "Heart  normal.\nLungs clear.", "image_path": ["CXR7_IM-0002/0.png", "CXR7_IM-0002/1.png"], "split": "train"}],
 "val": [{"id": "CXR8_IM-0003-0001", "report": "Clear.", "image_path": ["CXR8_IM-0003-0001/0.png"], "split": "val"}],
 "test": [{"id": "CXR9_IM-0004", "report": "Clear.", "image_path": ["CXR9_IM-0004/0.png", "CXR9_IM-0004/1.png"], "split": "test"}]}"#;

fn by_hand(root: &Path, annotation: &str, pictures: &[&str]) {
    for picture in pictures {
        let path = root.join(IMAGES).join(picture);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    fs::write(root.join(ANNOTATION), annotation).unwrap();
}

const PICTURES: [&str; 4] = [
    "CXR7_IM-0002/0.png",
    "CXR7_IM-0002/1.png",
    "CXR8_IM-0003-0001/0.png",
    "CXR9_IM-0004/0.png",
];

#[test]
fn the_first_picture_or_every_one_is_read_in_the_published_splits() {
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), IU, &PICTURES);
    let loaded = read(folder.path());
    let told: Vec<_> = loaded
        .studies
        .iter()
        .map(|s| (s.id.as_str(), s.subject.as_str(), s.split))
        .collect();
    assert_eq!(
        told,
        [
            ("CXR7_IM-0002", "CXR7", Split::Train),
            ("CXR8_IM-0003-0001", "CXR8", Split::Validate),
            ("CXR9_IM-0004", "CXR9", Split::Test)
        ]
    );
    assert_eq!(loaded.studies[0].report.findings, "Heart normal. Lungs clear.");
    assert!(loaded.studies[0].image.ends_with(PICTURES[0]) && loaded.studies[0].view.is_none());
    assert_eq!((loaded.counts.further_images, loaded.counts.missing), (2, 0));
    let every = ReadOptions {
        every_image: true,
        views: Views::All,
        ..Default::default()
    };
    let every = load(folder.path(), None, &every).unwrap();
    assert_eq!((every.studies.len(), every.counts.missing), (4, 1));
    assert!(
        every.counts.missing_files[0].ends_with("images/CXR9_IM-0004/1.png"),
        "{:?}",
        every.counts.missing_files
    );
    let ap = ReadOptions {
        views: Views::Ap,
        ..Default::default()
    };
    assert!(load(folder.path(), None, &ap).is_err(), "no view is published");
}

#[test]
fn mimic_cxrs_variant_has_patients_and_studies_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |id: &str, study: u32, split: &str| {
        format!(
            "{{\"id\": \"{id}\", \"study_id\": {study}, \"subject_id\": 10000001, \"report\": \"Clear.\", \
             \"image_path\": [\"p10/p10000001/s{study}/{id}.jpg\"], \"split\": \"{split}\"}}"
        )
    };
    let text = format!(
        "{{\"train\": [{}, {}, {}], \"val\": [], \"test\": [{}]}}",
        entry("aa", 50_000_001, "train"),
        entry("bb", 50_000_001, "train"),
        entry("aa", 50_000_001, "train"),
        entry("cc", 50_000_002, "test")
    );
    by_hand(folder.path(), &text, &[]);
    for name in ["s50000001/aa.jpg", "s50000001/bb.jpg", "s50000002/cc.jpg"] {
        let path = folder.path().join("files/p10/p10000001").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    let loaded = read(folder.path());
    let told: Vec<_> = loaded
        .studies
        .iter()
        .map(|s| (s.id.as_str(), s.subject.as_str()))
        .collect();
    assert_eq!(told, [("50000001", "10000001"), ("50000002", "10000001")]);
    assert_eq!(loaded.counts.further_images, 1);
    let notes = loaded.notes.join("; ");
    assert!(
        notes.contains("1 patients are in several") && notes.contains("1 entries that repeat"),
        "{notes}"
    );
}

#[test]
fn damaged_files_say_which_entry() {
    for (from, to, parts) in [
        ("\"val\"", "\"dev\"", ["top level", "\"val\""]),
        (
            "\"test\": [",
            "\"test\": 3, \"more\": [",
            ["top level", "\"test\""],
        ),
        ("{\"train\"", "[\"train\"", ["line 1", "JSON"]),
        ("\"test\"}]}", "\"te", ["line 3", "JSON"]),
        ("[{\"id\"", "[7, {\"id\"", ["train, entry 1", "object"]),
        ("\"id\": \"CXR8", "\"uid\": \"CXR8", ["val, entry 1", "\"id\""]),
        ("\"report\"", "\"text\"", ["CXR7_IM-0002", "\"report\""]),
        (
            "CXR8_IM-0003-0001/0.png",
            "../0.png",
            ["val, entry 1", "../0.png"],
        ),
        (
            "[\"CXR9_IM-0004/0.png\", ",
            "[[], ",
            ["test, entry 1", "image_path"],
        ),
        (
            "[\"CXR8_IM-0003-0001/0.png\"]",
            "[]",
            ["val, entry 1", "image_path"],
        ),
        (
            "\"split\": \"val\"",
            "\"split\": \"test\"",
            ["val, entry 1", "\"test\""],
        ),
        (
            "\"CXR9_IM-0004\"",
            "\"CXR7_IM-0002\"",
            ["test, entry 1", "\"train\""],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        by_hand(folder.path(), &IU.replacen(from, to, 1), &PICTURES);
        let message = refusal(folder.path(), Layout::R2Gen);
        assert!(
            message.contains(ANNOTATION) && parts.iter().all(|part| message.contains(part)),
            "{message}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let message = refusal(folder.path(), Layout::R2Gen);
    assert!(
        message.contains("holds no annotation.json,") && message.contains("r2gen"),
        "{message}"
    );
    by_hand(folder.path(), IU, &[]);
    let message = refusal(folder.path(), Layout::R2Gen);
    assert!(
        message.contains("none of the 3") && message.contains("CXR7_IM-0002"),
        "{message}"
    );
}

#[test]
fn pictures_of_other_endings_are_found() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Layout::R2Gen, 3, Format::Jpg);
    edit(&folder.path().join(ANNOTATION), |t| t.replace("/0.jpg", "/0.png"));
    assert_eq!(read(folder.path()).studies.len(), 3);
}
