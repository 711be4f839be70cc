//! Phantoms in the layout, the other forms, and what may go wrong.

use std::fs;

use super::*;
use crate::phantom;
use crate::testing::{edit, goes_round, misses, read, refusal, write};
use crate::{Format, Layout, Split, Summary};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::VqaRad, |_, loaded| {
        for study in &loaded.studies {
            let own = phantom::questions(study.description.as_ref().unwrap(), &study.id);
            let told = |all: &[crate::Question]| {
                all.iter()
                    .map(|q| (q.text.clone(), q.answer.clone(), q.closed, q.kind.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(told(&study.questions), told(&own));
            assert!(study.questions.iter().all(|q| q.organ == "CHEST"));
        }
    });
    misses(Layout::VqaRad);
}

fn by_hand(root: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(root.join("images")).unwrap();
    for name in ["synpic1.jpg", "synpic2.jpg"] {
        fs::write(root.join("images").join(name), "x").unwrap();
    }
    for (name, text) in files {
        fs::write(root.join(name), text).unwrap();
    }
}

const ARRAY: &str = r#"[{"qid": 1, "image_name": "synpic1.jpg", "image_organ": "CHEST", "answer": 7, "answer_type": "OPEN",
  "question_type": "COUNT", "question": "How many ribs?", "phrase_type": "freeform"},
 {"qid": 2, "image_name": "synpic2.jpg", "image_organ": "HEAD", "answer": "Yes", "answer_type": "CLOSED ",
  "question_type": "PRES", "question": "Is it there?", "phrase_type": "para"},
 {"qid": 3, "image_name": "synpic1.jpg", "image_organ": "CHEST", "answer": "no", "answer_type": "CLOSED",
  "question_type": "PRES", "question": "Is the  heart large", "phrase_type": "test_freeform"}]"#;

#[test]
fn arrays_are_read_and_phrase_types_test() {
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), &[(PUBLIC, ARRAY)]);
    let loaded = read(folder.path());
    let summary = Summary::of(&loaded);
    assert_eq!((summary.n, summary.all.questions, summary.closed), (3, 3, 2));
    assert_eq!(summary.splits["test"].questions, 1);
    assert_eq!(summary.shared_subjects, 1);
    let first = &loaded.studies[0].questions[0];
    assert_eq!(
        (first.answer.as_str(), first.kind.as_str(), first.organ.as_str()),
        ("7", "COUNT", "CHEST")
    );
    assert!(loaded.studies[1].questions[0].closed);
}

#[test]
fn training_rows_that_repeat_the_test_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let test = r#"{"qid": "9", "image": "synpic1.jpg", "question": "Is the heart large?", "answer": "No", "answer_type": "CLOSED"}"#;
    by_hand(
        folder.path(),
        &[
            ("trainset.json", &ARRAY.replace("test_", "")),
            ("test.jsonl", test),
        ],
    );
    let loaded = read(folder.path());
    let of = |split: Split| {
        loaded
            .studies
            .iter()
            .filter(|s| s.split == split)
            .flat_map(|s| &s.questions)
            .count()
    };
    assert_eq!((of(Split::Test), of(Split::Train) + of(Split::Validate)), (1, 2));
    assert!(
        loaded.notes[0].starts_with("1 training rows"),
        "{:?}",
        loaded.notes
    );
}

#[test]
fn damaged_files_say_where() {
    let row = r#"{"qid": "9", "image": "synpic1.jpg", "question": "Q", "answer": "No", "answer_type": "CLOSED", "split": "train"}"#;
    for (from, to, part) in [
        ("CLOSED", "SHUT", "SHUT"),
        ("\"answer\": \"No\"", "\"answer\": null", "\"answer\""),
        ("\"answer\": \"No\"", "\"answer\": [1]", "neither"),
        ("\"image\"", "\"picture\"", "\"image\""),
        ("synpic1.jpg", "..", "\"..\""),
        ("\"train\"}", "\"lesson\"}", "lesson"),
        ("\"train\"}", "\"train\"", "JSON"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        by_hand(
            folder.path(),
            &[("train.jsonl", &format!("{row}\n{}\n", row.replacen(from, to, 1)))],
        );
        let message = refusal(folder.path(), Layout::VqaRad);
        assert!(
            message.contains("train.jsonl, line 2") && message.contains(part),
            "{message}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    by_hand(folder.path(), &[("trainset.json", &ARRAY[..300])]);
    assert!(refusal(folder.path(), Layout::VqaRad).contains("trainset.json, line "));
    fs::remove_file(folder.path().join("trainset.json")).unwrap();
    assert!(refusal(folder.path(), Layout::VqaRad).contains("train.jsonl"));
}

#[test]
fn a_tenth_of_the_images_validates_where_rows_do_not_say() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Layout::VqaRad, 60, Format::Jpg);
    edit(&folder.path().join("train.jsonl"), |t| {
        t.replace("\"validate\"", "\"train\"")
    });
    let loaded = read(folder.path());
    let validating = loaded
        .studies
        .iter()
        .filter(|s| s.split == Split::Validate)
        .count();
    assert!((1..20).contains(&validating), "{validating}");
    crate::testing::split_by_patient(&loaded.studies);
}
