//! `hilum import` of classifiers that others published, from the file to findings.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn hilum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(arguments)
        .output()
        .unwrap()
}

fn said(arguments: &[&str]) -> Value {
    let output = hilum(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(
        error.starts_with("hilum: ") && error.trim_end().lines().count() == 1,
        "{error}"
    );
    error
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn import<'a>(from: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let (from, out) = (text(from), text(out));
    let own = [
        "import", "--system", "findings", "--from", from, "--out", out, "--json",
    ];
    [&own[..], more].concat()
}

#[test]
fn a_module_of_torchxrayvision_serves_findings() {
    let dir = tempfile::tempdir().unwrap();
    let (from, bundle) = (at("tests/golden/xrv_tiny.whole.pt"), dir.path().join("b"));
    let imported = said(&import(&from, &bundle, &[]));
    assert_eq!(imported["preset"], "xrv");
    let notes = imported["notes"].to_string();
    assert!(notes.contains("4 of 18 outputs were left out"), "{notes}");

    let manifest = std::fs::read(bundle.join("bundle.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["tasks"], json!(["findings"]));
    assert_eq!(manifest["trial"]["numbers"].as_array().unwrap().len(), 14);
    let labels = manifest["labels"].as_array().unwrap();
    let names: Vec<&Value> = labels.iter().map(|label| &label["name"]).collect();
    assert_eq!(json!(names), manifest["config"]["labels"]);
    assert_eq!((names.len(), names[7]), (14, &json!("Pleural Effusion")));
    assert!(labels.iter().all(|label| label["operating_point"].is_number()));

    let picture = at("www/samples/effusion.png");
    let on = ["--bundle", text(&bundle), "--device", "cpu", "--json"];
    let findings = said(&[&["findings", text(&picture)][..], &on].concat());
    let findings = findings["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 14, "{findings:?}");
    assert_eq!(said(&[&["trial"][..], &on].concat())["right"], true);

    // In NIH's layout, whose Effusion is that.
    let data = dir.path().join("data");
    let count = ["--count", "24", "--size", "96", "--seed", "1", "--split", "test"];
    let made = ["phantom", "--layout", "nih14", "--out", text(&data)];
    assert!(hilum(&[&made[..], &count].concat()).status.success());
    let all = [
        "evaluate",
        "--task",
        "findings",
        "--data",
        text(&data),
        "--split",
        "all",
    ];
    let scores = said(&[&all[..], &on].concat());
    assert_eq!(scores["n"], 24);
    assert!(scores["auroc_pleural_effusion"].is_number(), "{scores}");
}

#[test]
fn what_a_published_file_lacks_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (from, bundle) = (at("tests/golden/xrv_tiny.legacy.pt"), dir.path().join("b"));
    let imported = said(&import(&from, &bundle, &[]));
    let notes = imported["notes"].to_string();
    for part in ["does not name its 18 outputs", "no operating points"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    // A file of one data set, known by its name.
    let named = dir
        .path()
        .join("kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt");
    std::fs::copy(&from, &named).unwrap();
    let imported = said(&import(&named, &dir.path().join("c"), &[]));
    let notes = imported["notes"].to_string();
    assert!(notes.contains("densenet121-res224-rsna"), "{notes}");
    assert!(notes.contains("16 of 18 outputs were left out"), "{notes}");

    let own = format!("Pneumonia{}", ",".repeat(17));
    let out = dir.path().join("d");
    let imported = said(&import(&from, &out, &["--labels", &own]));
    assert!(
        imported["notes"]
            .to_string()
            .contains("17 of 18 outputs were left out")
    );
    let few = refused(&import(&from, &dir.path().join("e"), &["--labels", "a,b"]));
    assert!(
        few.contains("names 2 labels") && few.contains("18 outputs"),
        "{few}"
    );
    let unfit = refused(&import(
        &from,
        &dir.path().join("e"),
        &["--preset", "densenet121"],
    ));
    assert!(
        unfit.contains("18 outputs") && unfit.contains("--labels"),
        "{unfit}"
    );
    let stranger = refused(&import(
        &at("tests/golden/resnet_tiny.weights.safetensors"),
        &dir.path().join("e"),
        &[],
    ));
    assert!(
        stranger.contains("ResNet") && stranger.contains("densenet121-res224-all"),
        "{stranger}"
    );
    let none = refused(&import(
        &at("www/samples/effusion.png"),
        &dir.path().join("e"),
        &[],
    ));
    assert!(none.contains("effusion.png"), "{none}");
}
