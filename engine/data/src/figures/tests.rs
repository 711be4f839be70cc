//! Phantoms in the layout, tables by hand, and what may go wrong.

use std::fs;

use super::*;
use crate::phantom::Institution;
use crate::testing::{goes_round, misses, read, refusal};
use crate::{Layout, Split};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::Figures, |_, loaded| {
        for study in &loaded.studies {
            let description = study.description.as_ref().unwrap();
            assert_eq!(
                study.report.findings,
                write::caption(description, Institution::First)
            );
            assert!(study.report.impression.is_empty() && study.labels.is_none());
        }
    });
    misses(Layout::Figures);
}

const ROWS: &str = "{\"image\": \"a.jpg\", \"text\": \"Large  effusion\\non the left.\", \"split\": \"val\"}\n\
                    {\"image\": \"b.jpg\", \"caption\": \"Follow-up.\", \"split\": \"test\"}\n\
                    {\"image\": \"a.jpg\", \"text\": \"Arrow.\", \"split\": \"validate\"}\n\
                    {\"image\": \"c.jpg\", \"text\": \"Normal.\"}\n";

fn by_hand(root: &Path, rows: &str, folder: &str) {
    let images = root.join(folder);
    fs::create_dir_all(&images).unwrap();
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        fs::write(images.join(name), "x").unwrap();
    }
    fs::write(root.join(CAPTIONS), rows).unwrap();
}

#[test]
fn captions_are_reports_and_those_of_one_picture_are_joined() {
    for images in FOLDERS {
        let folder = tempfile::tempdir().unwrap();
        by_hand(folder.path(), ROWS, images);
        let loaded = read(folder.path());
        assert_eq!(loaded.layout, Layout::Figures);
        let told: Vec<_> = loaded
            .studies
            .iter()
            .map(|s| (s.id.as_str(), s.report.findings.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("a", "Large effusion on the left. Arrow."),
                ("b", "Follow-up."),
                ("c", "Normal.")
            ]
        );
        assert_eq!(
            [loaded.studies[0].split, loaded.studies[1].split],
            [Split::Validate, Split::Test]
        );
        let notes = loaded.notes.join("\n");
        assert!(
            notes.contains("1 rows name no split") && notes.contains("1 further"),
            "{notes}"
        );
    }
}

#[test]
fn damaged_tables_say_where() {
    for (from, to, parts) in [
        ("\"b.jpg\"", "\"../b.jpg\"", ["line 2", "../b.jpg"]),
        (
            "\"caption\": \"Follow-up.\"",
            "\"title\": \"x\"",
            ["line 2", "\"text\""],
        ),
        ("\"split\": \"test\"", "\"split\": \"all\"", ["line 2", "\"all\""]),
        (
            "\"split\": \"validate\"",
            "\"split\": \"test\"",
            ["line 3", "a.jpg is in test here"],
        ),
        ("\"Normal.\"}", "\"Nor", ["line 4", "well-formed"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        by_hand(folder.path(), &ROWS.replacen(from, to, 1), "images");
        let message = refusal(folder.path(), Layout::Figures);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path(), Layout::Figures).contains(CAPTIONS));
}
