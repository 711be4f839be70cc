//! The public data sets that lie in `HILUM_DATA_DIR`, read by their loaders. Without the variable each test
//! says that it skipped.
//!
//! The expected numbers were counted from the files by other means (a few lines of Python over the published
//! tables) and are facts of the publications, not of this program. A part of a collection has fewer rows;
//! where a file holds another number of them, what is checked is the consistency of what was read with a
//! plain count of the same file's rows.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use hilum::data::{Layout, Loaded, ReadOptions, Split, Study, Summary, Views, load, recognise};

fn folder(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("HILUM_DATA_DIR")
        .map(|d| PathBuf::from(d).join(name))
        .filter(|p| p.is_dir());
    if found.is_none() {
        println!("SKIPPED: {name} is not in HILUM_DATA_DIR");
    }
    found
}

fn read(root: &Path) -> Loaded {
    load(root, None, &ReadOptions::default()).unwrap()
}

fn by_patient(studies: &[Study]) {
    let mut splits: HashMap<&str, Split> = HashMap::new();
    for study in studies {
        assert_eq!(
            *splits.entry(&study.subject).or_insert(study.split),
            study.split,
            "{}",
            study.subject
        );
    }
}

/// Copies single files of a data set, so that one form of it is read alone.
fn alone(root: &Path, names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(root.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn count(summary: &Summary, class: &str) -> usize {
    summary
        .classes
        .iter()
        .find(|(c, _)| c == class)
        .map_or(0, |(_, n)| *n)
}

fn positive(summary: &Summary, label: &str) -> usize {
    summary
        .labels
        .iter()
        .find(|(l, _)| *l == label)
        .map_or(0, |(_, l)| l.positive)
}

#[test]
fn vqa_rad_has_its_questions() {
    let Some(root) = folder("vqa_rad") else { return };
    assert_eq!(recognise(&root).unwrap(), Layout::VqaRad);
    let loaded = read(&root);
    let summary = Summary::of(&loaded);
    let rows = std::fs::read_to_string(root.join("train.jsonl"))
        .unwrap()
        .lines()
        .count();
    assert_eq!(summary.missing, 0);
    assert_eq!(summary.all.questions, rows);
    if rows == 1797 {
        assert_eq!(
            (summary.closed, summary.open, summary.n, summary.subjects),
            (1027, 770, 313, 313)
        );
        assert_eq!(
            summary.question_organs,
            [("ABD", 581), ("CHEST", 620), ("HEAD", 596)]
                .map(|(k, n)| (k.to_owned(), n))
                .into()
        );
        assert_eq!(
            (
                summary.question_kinds["PRES"],
                summary.question_kinds["POS"],
                summary.question_kinds["PRES, ATTRIB"]
            ),
            (637, 258, 4)
        );
    }
    let share = summary.splits["validate"].studies as f64 / summary.n as f64;
    assert!((0.05..0.16).contains(&share), "{share}");
    by_patient(&loaded.studies);
}

#[test]
fn vqa_rad_reads_the_other_form() {
    let Some(root) = folder("vqa_rad") else { return };
    let bare = alone(&root, &["trainset.json"]);
    std::fs::create_dir(bare.path().join("images")).unwrap();
    for entry in std::fs::read_dir(root.join("images")).unwrap() {
        let name = entry.unwrap().file_name();
        std::fs::write(bare.path().join("images").join(name), "").unwrap();
    }
    let summary = Summary::of(&read(bare.path()));
    assert_eq!(summary.missing, 0);
    if summary.all.questions == 3064 {
        assert_eq!(
            (
                summary.n,
                summary.closed,
                summary.open,
                summary.question_kinds["PRES"]
            ),
            (314, 1823, 1241, 1214)
        );
    } else {
        assert!(summary.all.questions > 1000, "{}", summary.all.questions);
    }
}

#[test]
fn openi_gives_the_same_reports_in_every_form() {
    let Some(root) = folder("openi") else { return };
    assert_eq!(recognise(&root).unwrap(), Layout::OpenI);
    let lines = read(&root);
    let text = |loaded: &Loaded| -> HashMap<String, (String, String)> {
        let of = |s: &Study| {
            (
                s.id.clone(),
                (s.report.findings.clone(), s.report.impression.clone()),
            )
        };
        loaded.studies.iter().map(of).collect()
    };
    let archive = alone(&root, &["ecgen-radiology.tgz"]);
    assert_eq!(recognise(archive.path()).unwrap(), Layout::OpenI);
    let packed = read(archive.path());
    assert_eq!(text(&packed), text(&lines));
    let table = read(alone(&root, &["indiana_reports.csv"]).path());
    let all = text(&lines);
    let same = text(&table)
        .iter()
        .filter(|(id, report)| all.get(*id) == Some(report))
        .count();
    assert_eq!(same, table.studies.len());
    let summary = Summary::of(&lines);
    assert!(lines.studies.iter().all(|s| !s.has_image()));
    assert_eq!((summary.all.images, summary.all.reports), (0, summary.n));
    by_patient(&lines.studies);
    if text(&packed).len() == 2326 {
        // 2,337 reports, of which 11 have neither section; 2,272 are in the table and labelled by hand.
        assert_eq!((summary.n, table.studies.len() + 11), (2326, 2272));
    }
}

#[test]
fn openi_labels_are_those_of_the_hand() {
    let Some(root) = folder("openi") else { return };
    let gold = std::fs::read_to_string(root.join("gold14.csv")).unwrap();
    let ids: HashSet<&str> = gold.lines().skip(1).filter_map(|l| l.split(',').next()).collect();
    let loaded = read(&root);
    let of = |name: &str| {
        let column = gold
            .lines()
            .next()
            .unwrap()
            .split(',')
            .position(|c| c == name)
            .unwrap();
        let read: HashSet<&str> = loaded.studies.iter().map(|s| s.id.as_str()).collect();
        gold.lines()
            .skip(1)
            .filter(|l| l.split(',').nth(column) == Some("1") && read.contains(l.split(',').next().unwrap()))
            .count()
    };
    let summary = Summary::of(&loaded);
    assert_eq!(
        summary.labelled,
        loaded
            .studies
            .iter()
            .filter(|s| ids.contains(s.id.as_str()))
            .count()
    );
    for (class, label) in [
        ("Effusion", "Pleural Effusion"),
        ("Cardiomegaly", "Cardiomegaly"),
        ("normal", "No Finding"),
    ] {
        assert_eq!(count(&summary, class), of(class), "{class}");
        assert!(positive(&summary, label) >= of(class), "{label}");
    }
}

#[test]
fn the_covid_collection_is_split_by_patient() {
    let Some(root) = folder("covid_cxr") else { return };
    assert_eq!(recognise(&root).unwrap(), Layout::Covid);
    let loaded = read(&root);
    let summary = Summary::of(&loaded);
    assert_eq!(summary.missing, 0);
    by_patient(&loaded.studies);
    if summary.n == 256 {
        assert_eq!(
            (summary.subjects, summary.all.reports, summary.labelled),
            (139, 142, 219)
        );
        assert_eq!(
            (
                count(&summary, "COVID-19"),
                count(&summary, "No Finding"),
                count(&summary, "ARDS")
            ),
            (162, 8, 10)
        );
        assert_eq!(
            (
                count(&summary, "Streptococcus"),
                count(&summary, "Klebsiella"),
                count(&summary, "Bacterial")
            ),
            (10, 5, 27)
        );
        assert_eq!((summary.views["AP"], summary.views["PA"]), (113, 143));
    }
    let ap = load(
        &root,
        None,
        &ReadOptions {
            views: Views::Ap,
            ..Default::default()
        },
    )
    .unwrap();
    assert_eq!(ap.studies.len() + ap.counts.other_views, summary.n);
}

#[test]
fn the_small_nih_form_is_split_by_patient() {
    let Some(root) = folder("nih_small") else { return };
    assert_eq!(recognise(&root).unwrap(), Layout::Nih14);
    let loaded = read(&root);
    let summary = Summary::of(&loaded);
    assert_eq!(summary.missing, 0);
    by_patient(&loaded.studies);
    if summary.n == 800 {
        for (class, n) in [
            ("Effusion", 141),
            ("Infiltration", 119),
            ("Hernia", 9),
            ("Pleural_Thickening", 22),
        ] {
            assert_eq!(count(&summary, class), n, "{class}");
        }
        assert_eq!(
            (
                positive(&summary, "No Finding"),
                positive(&summary, "Pleural Effusion")
            ),
            (399, 141)
        );
        assert_eq!(
            (summary.views["AP"], summary.views["PA"], summary.subjects),
            (285, 515, 221)
        );
        assert!(
            loaded.notes.iter().any(|n| n.starts_with("15 patients")),
            "{:?}",
            loaded.notes
        );
    }
}
