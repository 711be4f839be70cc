//! `hilum draft` of a bundle that does not draft: the text is written from its findings, and says so.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::Device;
use hilum::bundle::{Dtype, Label, Manifest, write};
use hilum::systems::findings::{Classifier, FindingsConfig};
use hilum::systems::{SystemConfig, Task};
use hilum::tasks::Reading;
use hilum::tasks::structured::Form;
use hilum::text::LabelName;
use serde_json::{Value, json};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/effusion.png")
}

/// `hilum draft` of the sample.
fn draft(bundle: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(["--device", "cpu", "draft"])
        .arg(sample())
        .arg("--bundle")
        .arg(bundle)
        .args(more)
        .output()
        .unwrap()
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A classifier with random weights, whose bias calls everything rare (0.12): atelectasis is present at its low threshold, what is
/// hot is absent, cardiomegaly is left open.
fn classifier(dir: &Path) {
    let config = FindingsConfig::tiny();
    let cpu = Device::flex();
    cpu.seed(3);
    let weights = hilum::nn::parameters(&Classifier::init(&config, &cpu).unwrap()).unwrap();
    let config = serde_json::to_value(&config).unwrap();
    let mut manifest = Manifest::new("finder", FindingsConfig::NAME, "tiny", config);
    manifest.tasks = vec![Task::Findings];
    let label = |name: &String| {
        let (temperature, operating_point) = match name.as_str() {
            "Atelectasis" => (1.0, 0.001),
            "Cardiomegaly" => (1.0, 0.999),
            _ => (0.1, 0.5),
        };
        let name = LabelName {
            name: name.clone(),
            side: None,
        };
        Label {
            temperature: Some(temperature),
            operating_point: Some(operating_point),
            ..Label::new(&name)
        }
    };
    manifest.labels = FindingsConfig::tiny().labels.iter().map(label).collect();
    write(dir, manifest, &weights, None, Dtype::F32).unwrap();
}

#[test]
fn a_bundle_that_does_not_draft_writes_from_its_findings() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("finder");
    classifier(&bundle);

    let output = draft(&bundle, &[]);
    let (text, note) = (words(&output.stdout), words(&output.stderr));
    assert!(output.status.success(), "{note}");
    assert!(
        text.starts_with("Lungs: There is atelectasis. No consolidation, pneumonia, "),
        "{text}"
    );
    assert!(
        text.contains("\nPleura: No pneumothorax, pleural effusion, or pleural thickening.\n"),
        "{text}"
    );
    // What is open, and what no label speaks of, is left out.
    assert!(
        !text.to_lowercase().contains("heart size") && !text.contains("fracture"),
        "{text}"
    );
    for part in [
        "does not draft",
        "from its findings by templates",
        "1 present",
        "12 absent",
        "3 left open",
    ] {
        assert!(note.contains(part), "{part:?} is not in {note:?}");
    }

    let output = draft(&bundle, &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["made"], "structured");
    assert_eq!(told["text"], text.trim_end());
    assert_eq!(told["bundle"]["name"], "finder");
    let form = told["form"].as_array().unwrap();
    let line = |name: &str| form.iter().find(|line| line["line"] == name).unwrap();
    assert_eq!(
        (&line("Atelectasis")["state"], &line("Atelectasis")["region"]),
        (&json!("present"), &json!("Lungs"))
    );
    assert_eq!(line("Pleural thickening")["label"], "Pleural_Thickening");
    assert!(line("Pleural thickening")["probability"].as_f64().unwrap() <= 0.1);
    assert_eq!(line("Cardiomegaly")["state"], "open");
    assert_eq!(line("Fracture")["probability"], Value::Null);

    let output = draft(&bundle, &["--beam", "3", "--attention", "looks.svg"]);
    let error = words(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("--beam, --attention") && error.contains("does not draft"),
        "{error}"
    );
}

#[test]
fn a_draft_says_that_it_is_one() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/models/demo");
    let output = draft(&demo, &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["made"], "draft");
    assert_eq!(told["form"], Value::Null);
}

#[test]
fn every_label_of_the_published_classifiers_has_a_line() {
    let read = |name: &String| Reading {
        name: name.clone(),
        probability: 0.9,
        operating_point: 0.5,
        present: true,
        side: None,
        area: None,
    };
    for (config, lines) in [(FindingsConfig::xrv(), 18), (FindingsConfig::densenet121(), 14)] {
        let readings: Vec<Reading> = config.labels.iter().map(read).collect();
        let form = Form::filled(&readings, false);
        let read = form.lines.iter().filter(|line| line.reading.is_some());
        assert_eq!(read.count(), lines);
        assert!(form.lines.iter().all(|line| line.region() != "Other"));
    }
}
