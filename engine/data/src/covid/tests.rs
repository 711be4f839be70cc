//! Phantoms in the layout, and what may go wrong.

use std::fs;

use super::classes::classes;
use super::*;
use crate::collect::by_patient;
use crate::study::Split;
use crate::testing::{edit, goes_round, misses, read, refusal, write};
use crate::{Format, Layout, ReadOptions, Views, load};
use hilum_text::{Certainty, Finding};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::Covid, |_, loaded| {
        for study in &loaded.studies {
            let wanted = classes(write::finding(study.description.as_ref().unwrap()));
            assert_eq!(
                (study.labelled(), &study.classes),
                (wanted.is_some(), &wanted.unwrap_or_default())
            );
            assert!(study.classes.iter().all(|c| loaded.classes.contains(c)));
        }
    });
    misses(Layout::Covid);
}

const TABLE: &str = "filename,patientid,view,finding,clinical_notes,modality\n\
                     a.jpg,1,AP Supine,Pneumonia/Viral/COVID-19,\"Fever,\nthen \"\"cough\"\".\",X-ray\n\
                     b.jpg,1,PA,todo,,X-ray\nc.jpg,2,L,Pneumonia,,X-ray\nd.nii.gz,3,Axial,Pneumonia,,CT\n\
                     e.png,4,PA,No Finding,,X-ray\n";

fn by_hand(root: &Path, table: &str) {
    fs::create_dir_all(root.join(IMAGES)).unwrap();
    for name in ["a.jpg", "b.jpg", "e.png"] {
        fs::write(root.join(IMAGES).join(name), "x").unwrap();
    }
    fs::write(root.join(METADATA), table).unwrap();
}

#[test]
fn notes_views_and_what_is_unlabelled() {
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), TABLE);
    fs::create_dir(folder.path().join(MASKS)).unwrap();
    fs::write(folder.path().join(MASKS).join("a.png"), "x").unwrap();
    let loaded = read(folder.path());
    assert_eq!(
        (
            loaded.studies.len(),
            loaded.counts.other_views,
            loaded.counts.subjects
        ),
        (3, 2, 2)
    );
    // All projections are radiographs still: the slice of a CT is none.
    let all = ReadOptions {
        views: Views::All,
        ..Default::default()
    };
    let all = load(folder.path(), None, &all).unwrap();
    assert_eq!((all.counts.missing, all.counts.other_views), (1, 1));
    let [a, b, e] = &loaded.studies[..] else {
        panic!("three")
    };
    assert_eq!(a.report.findings, "Fever, then \"cough\".");
    assert_eq!(a.classes, ["Pneumonia", "Viral", "COVID-19"]);
    assert_eq!(
        a.labels.unwrap()[Finding::Pneumonia as usize],
        Some(Certainty::Positive)
    );
    assert!(!b.labelled() && b.labels.is_none() && b.classes.is_empty());
    assert_eq!(a.split, b.split);
    assert_eq!(
        e.labels.unwrap()[Finding::NoFinding as usize],
        Some(Certainty::Positive)
    );
    assert_eq!(loaded.classes, ["Pneumonia", "Viral", "COVID-19", "No Finding"]);
    let notes = loaded.notes.join("; ");
    assert!(
        notes.contains("1 pictures have no label") && notes.contains("1 lung masks"),
        "{notes}"
    );
}

#[test]
fn a_column_of_splits_holds_where_it_is_filled_in() {
    let table = "filename,patientid,view,finding,clinical_notes,split\na.jpg,1,PA,COVID-19,,test\nb.jpg,2,PA,ARDS,,validate\n\
                 e.png,4,PA,No Finding,,";
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), table);
    let loaded = read(folder.path());
    let splits: Vec<Split> = loaded.studies.iter().map(|study| study.split).collect();
    assert_eq!(splits, [Split::Test, Split::Validate, by_patient("4", 10, 20)]);
    // Where some were drawn that is said, and only there.
    let drawn = |loaded: &crate::Loaded| {
        loaded
            .notes
            .iter()
            .any(|note| note.contains("no split is published"))
    };
    assert!(drawn(&loaded), "{:?}", loaded.notes);
    by_hand(folder.path(), &format!("{table}train"));
    assert!(!drawn(&read(folder.path())));
    by_hand(folder.path(), &table.replace("validate", "dev"));
    let message = refusal(folder.path(), Layout::Covid);
    assert!(message.contains("dev") && message.contains("line 3"), "{message}");
}

#[test]
fn damaged_tables_say_where() {
    for (from, to, part) in [
        ("b.jpg", "../b.jpg", "line 4"),
        ("e.png,4", "e.png,", "patientid"),
        ("clinical_notes", "notes", "\"clinical_notes\""),
        ("e.png,4,PA", "e.png,4", "metadata.csv"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        by_hand(folder.path(), &TABLE.replacen(from, to, 1));
        let message = refusal(folder.path(), Layout::Covid);
        assert!(message.contains(part) && message.contains(METADATA), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Layout::Covid, 2, Format::Png);
    edit(&folder.path().join(METADATA), |t| {
        t.lines().next().unwrap().to_owned() + "\n"
    });
    assert!(refusal(folder.path(), Layout::Covid).contains("no study"));
    fs::remove_file(folder.path().join(METADATA)).unwrap();
    assert!(refusal(folder.path(), Layout::Covid).contains(METADATA));
}
