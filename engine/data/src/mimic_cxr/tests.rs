//! Phantoms written in the layout and read back, and what may go wrong on the way.

use std::fs;
use std::path::Path;

use crate::phantom::{self, View};
use crate::testing::{self, edit};
use crate::{DataError, Format, Layout, ReadOptions, Split, Views, load, recognise};
use hilum_text::Certainty;

fn write(root: &Path, count: usize, format: Format) -> crate::Counts {
    testing::write(root, Layout::MimicCxr, count, format)
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 60, Format::Jpg);
    assert_eq!(recognise(folder.path()).unwrap(), Layout::MimicCxr);
    let loaded = load(folder.path(), None, &ReadOptions::default()).unwrap();
    assert_eq!(loaded.counts, written);
    assert_eq!(loaded.studies.len(), 60);
    for study in &loaded.studies {
        let description = study.description.as_ref().unwrap();
        assert_eq!(study.labels.unwrap(), description.labels());
        assert_eq!(study.view, Some(description.view));
        assert_eq!(study.report, phantom::report(description));
        assert!(study.image.is_file());
        assert_eq!(study.questions, phantom::questions(description, &study.id));
        let id = study.id.parse::<u64>().unwrap();
        assert!((50_000_000..60_000_000).contains(&id));
        let path = study
            .image
            .strip_prefix(folder.path())
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        assert!(
            path.starts_with(&format!(
                "files/p{}/p{}/s{id}/",
                &study.subject[..2],
                study.subject
            )),
            "{path}"
        );
    }
}

#[test]
fn every_format_is_found() {
    for format in [Format::Png, Format::Dicom] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 6, format);
        let loaded = load(folder.path(), Some(Layout::MimicCxr), &ReadOptions::default()).unwrap();
        let ending = format.extension();
        assert!(
            loaded
                .studies
                .iter()
                .all(|s| s.image.extension().unwrap() == ending)
        );
        assert_eq!(loaded.studies.len(), 6);
    }
}

#[test]
fn split_and_views_choose() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), 60, Format::Png);
    let test = load(
        folder.path(),
        None,
        &ReadOptions {
            split: Some(Split::Test),
            ..Default::default()
        },
    )
    .unwrap();
    assert_eq!(test.studies.len(), written.test);
    assert!(test.studies.iter().all(|s| s.split == Split::Test));
    let ap = load(
        folder.path(),
        None,
        &ReadOptions {
            views: Views::Ap,
            ..Default::default()
        },
    )
    .unwrap();
    assert!(ap.studies.iter().all(|s| s.view == Some(View::Ap)));
    assert_eq!(ap.studies.len() + ap.counts.other_views, 60);
    let pa = load(
        folder.path(),
        None,
        &ReadOptions {
            views: Views::Pa,
            ..Default::default()
        },
    )
    .unwrap();
    assert_eq!(ap.studies.len() + pa.studies.len(), 60);
    // A lateral picture, which has neither view, and one of which none is told.
    edit(&folder.path().join(super::METADATA), |text| {
        text.replacen(",AP,", ",LATERAL,", 1).replacen(",PA,", ",,", 1)
    });
    for (views, others) in [(Views::Frontal, 2), (Views::All, 0)] {
        let options = ReadOptions {
            views,
            ..Default::default()
        };
        let read = load(folder.path(), None, &options).unwrap();
        assert_eq!(
            (read.studies.len(), read.counts.other_views),
            (60 - others, others)
        );
        let untold = read.studies.iter().filter(|s| s.view.is_none()).count();
        assert_eq!(untold, 2 - others);
    }
}

#[test]
fn columns_are_found_by_name_in_any_order_and_tables_may_be_compressed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 5, Format::Png);
    let whole = load(folder.path(), None, &ReadOptions::default()).unwrap();
    let turn = |text: &str| -> String {
        text.lines()
            .map(|l| l.split(',').rev().collect::<Vec<_>>().join(",") + "\n")
            .collect()
    };
    for name in [super::SPLIT, super::CHEXPERT] {
        edit(&folder.path().join(name), turn);
    }
    let plain = folder.path().join(super::METADATA);
    let gz = fs::File::create(folder.path().join(format!("{}.gz", super::METADATA))).unwrap();
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
    std::io::copy(&mut fs::File::open(&plain).unwrap(), &mut gz).unwrap();
    gz.finish().unwrap();
    fs::remove_file(plain).unwrap();
    let again = load(folder.path(), None, &ReadOptions::default()).unwrap();
    assert_eq!(again.counts, whole.counts);
    let labels = |l: &crate::Loaded| l.studies.iter().map(|s| s.labels).collect::<Vec<_>>();
    assert_eq!(labels(&again), labels(&whole));
}

#[test]
fn published_labels_read_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1, Format::Png);
    let path = folder.path().join(super::CHEXPERT);
    edit(&path, |text| {
        let mut lines = text.lines();
        let (header, row) = (lines.next().unwrap(), lines.next().unwrap());
        let ids: Vec<&str> = row.split(',').take(2).collect();
        format!("{header}\n{},1.0,0.0,-1.0,,,,,,,,,,,\n", ids.join(","))
    });
    let labels = load(folder.path(), None, &ReadOptions::default())
        .unwrap()
        .studies[0]
        .labels
        .unwrap();
    assert_eq!(
        labels[hilum_text::Finding::Atelectasis as usize],
        Some(Certainty::Positive)
    );
    assert_eq!(
        labels[hilum_text::Finding::Cardiomegaly as usize],
        Some(Certainty::Negative)
    );
    assert_eq!(
        labels[hilum_text::Finding::Consolidation as usize],
        Some(Certainty::Uncertain)
    );
    assert_eq!(labels.iter().flatten().count(), 3);
}

#[test]
fn a_missing_file_is_counted_and_all_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 8, Format::Png);
    let studies = load(folder.path(), None, &ReadOptions::default())
        .unwrap()
        .studies;
    fs::remove_file(&studies[2].image).unwrap();
    let loaded = load(folder.path(), None, &ReadOptions::default()).unwrap();
    assert_eq!((loaded.studies.len(), loaded.counts.missing), (7, 1));
    assert!(
        loaded.counts.missing_files[0]
            .to_string_lossy()
            .contains(&studies[2].id)
    );
    fs::remove_dir_all(folder.path().join("files")).unwrap();
    let error = load(folder.path(), None, &ReadOptions::default()).unwrap_err();
    assert!(
        matches!(error, DataError::NothingThere { expected: 8, .. }),
        "{error}"
    );
}

#[test]
fn reports_of_their_own_archive_are_found() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1, Format::Png);
    let study = load(folder.path(), None, &ReadOptions::default())
        .unwrap()
        .studies
        .remove(0);
    let below = super::report_file(&study.subject, &study.id);
    let moved = folder.path().join("mimic-cxr-reports").join(&below);
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(folder.path().join(&below), moved).unwrap();
    let again = load(folder.path(), None, &ReadOptions::default()).unwrap();
    assert_eq!(again.studies[0].report, study.report);
}

#[test]
fn damaged_tables_say_where() {
    let damaged = |name: &str, from: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 2, Format::Png);
        edit(&folder.path().join(name), |text| text.replacen(from, to, 1));
        load(folder.path(), None, &ReadOptions::default())
            .unwrap_err()
            .to_string()
    };
    let split = damaged(super::SPLIT, ",train", ",training set");
    assert!(
        split.contains("line ") && split.contains("training set"),
        "{split}"
    );
    let column = damaged(super::METADATA, "ViewPosition", "View");
    assert!(column.contains("ViewPosition"), "{column}");
    for finding in super::COLUMNS {
        let label = damaged(super::CHEXPERT, &format!(",{}", finding.name()), ",Other");
        let column = format!("{} has no column {:?}", super::CHEXPERT, finding.name());
        assert!(label.contains(&column), "{label}");
    }
    // NegBio's table stands in for CheXpert's.
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1, Format::Png);
    fs::remove_file(folder.path().join(super::CHEXPERT)).unwrap();
    edit(&folder.path().join(super::NEGBIO), |t| {
        t.replace("Edema", "Oedema")
    });
    let label = testing::refusal(folder.path(), Layout::MimicCxr);
    let column = format!("{} has no column \"Edema\"", super::NEGBIO);
    assert!(label.contains(&column), "{label}");
    let truth = damaged(crate::TRUTH_FILE, "{", "(");
    assert!(truth.contains("line 1"), "{truth}");
}

#[test]
fn identifiers_cannot_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1, Format::Png);
    let study = load(folder.path(), None, &ReadOptions::default())
        .unwrap()
        .studies
        .remove(0);
    edit(&folder.path().join(super::METADATA), |t| {
        t.replace(&study.subject, "../../x")
    });
    let error = load(folder.path(), None, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::Value { line: 2, .. }), "{error}");
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(a.path(), 4, Format::Jpg);
    write(b.path(), 4, Format::Jpg);
    for name in [super::SPLIT, super::METADATA, super::CHEXPERT, crate::TRUTH_FILE] {
        assert_eq!(
            fs::read(a.path().join(name)).unwrap(),
            fs::read(b.path().join(name)).unwrap(),
            "{name}"
        );
    }
    let image = load(a.path(), None, &ReadOptions::default())
        .unwrap()
        .studies
        .remove(0)
        .image;
    let twin = b.path().join(image.strip_prefix(a.path()).unwrap());
    assert_eq!(fs::read(image).unwrap(), fs::read(twin).unwrap());
}
