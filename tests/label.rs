//! `hilum label` from the outside, and the labeler against real reports where they are at hand.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use hilum::text::{Certainty, Finding, Labeler};

fn label(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum")).arg("label").args(arguments).output().unwrap()
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
    assert!(header[1..].iter().zip(Finding::ALL).all(|(name, finding)| name == finding.name()) && header.len() == 15);
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let cell = |row: usize, finding: Finding| rows[row][1 + finding as usize].to_string();
    assert_eq!((cell(0, Finding::PleuralEffusion), cell(0, Finding::Pneumothorax)), ("1.0".into(), "0.0".into()));
    assert_eq!((cell(1, Finding::Pneumonia), cell(1, Finding::Edema)), ("-1.0".into(), String::new()));
}

#[test]
fn what_cannot_be_labelled_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    fs::write(path("empty.csv"), "").unwrap();
    fs::write(path("good.csv"), "Clear lungs.\n").unwrap();
    fs::write(path("bad.toml"), "[[mention]]\nfinding = 'Gout'\nphrases = ['gout']\n").unwrap();
    let out = path("out.csv");
    for (arguments, said) in [
        (vec![path("none.csv"), "--out".into(), out.clone()], "none.csv"),
        (vec![path("empty.csv"), "--out".into(), out.clone()], "no report"),
        (vec![path("good.csv"), "--out".into(), path("good.csv")], "overwrite"),
        (vec![path("good.csv"), "--out".into(), out.clone(), "--lexicon".into(), path("bad.toml")], "Gout"),
    ] {
        let failed = label(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let stderr = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(said) && stderr.trim().lines().count() == 1, "{stderr}");
    }
    assert!(!PathBuf::from(out).exists());
}

#[test]
fn most_labels_of_real_reports_agree_with_chexpert() {
    let Some(dir) = std::env::var_os("HILUM_DATA_DIR") else {
        eprintln!("skipped: HILUM_DATA_DIR is not set");
        return;
    };
    let path = PathBuf::from(dir).join("openi/chexpert_labels.jsonl");
    let Ok(text) = fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let labeler = Labeler::new();
    let (mut right, mut said, mut there) = (0, 0, 0);
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let truth: Vec<&str> = row["positive"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
        let labels = labeler.read(row["text"].as_str().unwrap()).labels;
        for finding in &Finding::ALL[1..] {
            let (read, is) = (labels[*finding as usize] == Some(Certainty::Positive), truth.contains(&finding.name()));
            said += usize::from(read);
            there += usize::from(is);
            right += usize::from(read && is);
        }
    }
    let f1 = 2.0 * right as f64 / (said + there) as f64;
    eprintln!("micro-F1 of the 13 findings against CheXpert's labeler: {f1:.4}");
    assert!(f1 > 0.75, "{f1}");
}
