//! `hilum label` from the outside.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use hilum::text::Finding;

fn label(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .arg("label")
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_table_of_reports_becomes_chexpert_csv() {
    let dir = tempfile::tempdir().unwrap();
    let (reports, out) = (dir.path().join("reports.csv"), dir.path().join("out.csv"));
    fs::write(
        &reports,
        "Report Impression\n\"Small right effusion, no pneumothorax.\"\n\"IMPRESSION: Possible pneumonia.\"\n",
    )
    .unwrap();
    let done = label(&[reports.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut rows = csv::Reader::from_path(&out).unwrap();
    let header: Vec<String> = rows.headers().unwrap().iter().map(str::to_string).collect();
    assert_eq!(header[0], "Reports");
    assert!(
        header[1..]
            .iter()
            .zip(Finding::ALL)
            .all(|(name, finding)| name == finding.name())
            && header.len() == 15
    );
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let cell = |row: usize, finding: Finding| rows[row][1 + finding as usize].to_string();
    assert_eq!(
        (cell(0, Finding::PleuralEffusion), cell(0, Finding::Pneumothorax)),
        ("1.0".into(), "0.0".into())
    );
    assert_eq!(
        (cell(1, Finding::Pneumonia), cell(1, Finding::Edema)),
        ("-1.0".into(), String::new())
    );
}

#[test]
fn tables_of_other_programs_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (reports, out) = (dir.path().join("reports.csv"), dir.path().join("out.csv"));
    let (from, to) = (reports.to_str().unwrap(), out.to_str().unwrap());
    fs::write(
        &reports,
        "\u{feff}study;impression;findings\r\ns1;Pneumothorax.;\r\ns2;No edema.;Small effusion.\r\n",
    )
    .unwrap();
    let done = label(&[from, "--out", to]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        said.contains("2 reports of columns findings, impression"),
        "{said}"
    );
    let mut rows = csv::Reader::from_path(&out).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let cell = |row: usize, finding: Finding| rows[row][1 + finding as usize].to_string();
    assert_eq!(cell(0, Finding::Pneumothorax), "1.0");
    assert_eq!(
        (cell(1, Finding::PleuralEffusion), cell(1, Finding::Edema)),
        ("1.0".into(), "0.0".into())
    );
    // What would swallow rows, and identifiers, leave no table behind.
    fs::remove_file(&out).unwrap();
    for (table, said) in [
        (
            "id,report\n1,\"Small effusion.\n2,Clear.\n",
            "line 2: a quotation mark",
        ),
        ("study_id,subject_id\n50000001,10000001\n", "no column of reports"),
        ("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ] {
        fs::write(&reports, table).unwrap();
        let failed = label(&[from, "--out", to]);
        let stderr = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(said) && stderr.trim().lines().count() == 1,
            "{stderr}"
        );
        assert!(!out.exists());
    }
}

#[test]
fn what_cannot_be_labelled_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    fs::write(path("empty.csv"), "").unwrap();
    fs::write(path("good.csv"), "Clear lungs.\n").unwrap();
    fs::write(
        path("bad.toml"),
        "[[mention]]\nfinding = 'Gout'\nphrases = ['gout']\n",
    )
    .unwrap();
    let out = path("out.csv");
    for (arguments, said) in [
        (vec![path("none.csv"), "--out".into(), out.clone()], "none.csv"),
        (vec![path("empty.csv"), "--out".into(), out.clone()], "no report"),
        (
            vec![path("good.csv"), "--out".into(), path("good.csv")],
            "overwrite",
        ),
        (
            vec![
                path("good.csv"),
                "--out".into(),
                out.clone(),
                "--lexicon".into(),
                path("bad.toml"),
            ],
            "line 2",
        ),
    ] {
        let failed = label(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let stderr = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(said) && stderr.trim().lines().count() == 1,
            "{stderr}"
        );
    }
    assert!(!PathBuf::from(out).exists());
}

#[test]
fn the_reading_can_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    fs::write(path("reports.csv"), "No displaced rib fractures.\n").unwrap();
    fs::write(
        path("lexicon.toml"),
        "[[mention]]\nfinding = 'Edema'\nphrases = ['rib']\n",
    )
    .unwrap();
    fs::write(
        path("overlay.toml"),
        "[[mention]]\nfinding = 'Pneumonia'\nphrases = ['displaced', 'rib']\n",
    )
    .unwrap();
    let (fracture, edema, pneumonia) = (Finding::Fracture, Finding::Edema, Finding::Pneumonia);
    for (arguments, finding, cell) in [
        (vec![], fracture, "1.0"),
        (vec!["--plain".to_string()], fracture, "0.0"),
        (vec!["--lexicon".into(), path("lexicon.toml")], edema, "1.0"),
        (vec!["--overlay".into(), path("overlay.toml")], pneumonia, "0.0"),
        (
            vec![
                "--lexicon".into(),
                path("lexicon.toml"),
                "--overlay".into(),
                path("overlay.toml"),
            ],
            pneumonia,
            "1.0",
        ),
    ] {
        let (reports, out) = (path("reports.csv"), path("out.csv"));
        let all: Vec<&str> = [reports.as_str(), "--out", &out]
            .into_iter()
            .chain(arguments.iter().map(String::as_str))
            .collect();
        let done = label(&all);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let mut rows = csv::Reader::from_path(&out).unwrap();
        let row = rows.records().next().unwrap().unwrap();
        assert_eq!(&row[1 + finding as usize], cell, "{arguments:?}");
    }
}
