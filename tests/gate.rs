//! The gate from the outside: what a bundle says of a picture that is unlike what it was trained on, before it says anything else.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::hilum;
use serde_json::Value;

/// The result and what was said beside it.
fn told(arguments: &[&str]) -> (Value, String) {
    let output = hilum(&[arguments, &["--json"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    (serde_json::from_slice(&output.stdout).unwrap(), said)
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_demo_says_of_what_is_no_phantom_that_it_is_unlike_them() {
    let (phantom, page) = (project("www/samples/effusion.png"), project("www/page.png"));
    let asked = |picture: &Path| {
        let picture = text(picture).to_owned();
        [
            vec!["draft".to_owned(), picture.clone()],
            vec!["findings".to_owned(), picture.clone()],
            vec![
                "ask".to_owned(),
                picture.clone(),
                "is there an effusion?".to_owned(),
            ],
            vec!["similar".to_owned(), picture],
        ]
    };
    for arguments in asked(&phantom) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (result, said) = told(&arguments);
        assert_eq!(result["foreign"], false, "{arguments:?}: {result}");
        assert!(!said.contains("unlike"), "{arguments:?}: {said}");
    }
    for arguments in asked(&page) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (result, said) = told(&arguments);
        assert_eq!(result["foreign"], true, "{arguments:?}: {result}");
        assert!(result["unlikeness"].as_f64().unwrap() > 1.0);
        assert!(
            said.contains("warning: this picture is unlike"),
            "{arguments:?}: {said}"
        );
    }
    // A search by words is about no picture.
    assert!(told(&["similar", "a left pleural effusion"]).0["foreign"].is_null());
}

#[test]
fn the_demo_flags_real_films_and_passes_unseen_phantoms() {
    let Some(data) = std::env::var_os("HILUM_DATA_DIR") else {
        println!("SKIPPED real films through the demo's gate: HILUM_DATA_DIR is not set");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let phantoms = dir.path().join("phantoms");
    told(&[
        "phantom",
        "--count",
        "150",
        "--size",
        "256",
        "--seed",
        "987654",
        "--out",
        text(&phantoms),
    ]);
    let films = PathBuf::from(data).join("films/images");
    let limit = ["--limit", "150"];
    let (result, _) = told(
        &[
            &["gate", "check", "--own", text(&phantoms), text(&films)],
            &limit[..],
        ]
        .concat(),
    );
    let flagged = |at: usize| result["folders"][at]["flagged"].as_f64().unwrap();
    assert!(flagged(0) <= 0.05, "{result}");
    assert!(flagged(1) >= 0.95, "{result}");
    assert!(result["folders"][1]["auroc"].as_f64().unwrap() > 0.98, "{result}");
}

#[test]
fn a_gate_is_fitted_to_a_bundles_data_and_a_bundle_without_one_cannot_tell() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, run, bundle, config) = (at("data"), at("run"), at("bundle"), at("run.toml"));
    let written = format!(
        "system = \"findings\"\npreset = \"tiny\"\nout = {run:?}\nseed = 3\n[data]\nroots = [{data:?}]\n\
         [objectives]\nfindings = 1.0\n[optim]\nlr = 2e-3\nbatch = 8\nsteps = 4\n"
    );
    std::fs::write(&config, written).unwrap();
    told(&[
        "phantom",
        "--count",
        "40",
        "--size",
        "64",
        "--seed",
        "5",
        "--split",
        "train",
        "--out",
        text(&data),
    ]);
    assert!(hilum(&["finetune", text(&config)]).status.success());
    let exported = hilum(&["export", "--from", text(&run), "--out", text(&bundle)]);
    let said = String::from_utf8(exported.stderr).unwrap();
    assert!(
        said.contains("cannot tell what is unlike its training pictures"),
        "{said}"
    );

    let picture = project("www/samples/normal.png");
    let on = ["--bundle", text(&bundle)];
    let find = || told(&[&["findings", text(&picture)], &on[..]].concat());
    let (result, said) = find();
    assert!(
        result["foreign"].is_null() && result["unlikeness"].is_null(),
        "{result}"
    );
    assert!(
        said.contains("cannot tell whether this picture is unlike"),
        "{said}"
    );

    let fit = |more: &[&str]| hilum(&[&["gate", "fit", "--data", text(&data)], &on[..], more].concat());
    let few = fit(&[]);
    let said = String::from_utf8(few.stderr).unwrap();
    assert!(
        !few.status.success() && said.contains("40 to train on and 0 to validate"),
        "{said}"
    );
    let more = at("more");
    told(&[
        "phantom",
        "--count",
        "50",
        "--size",
        "64",
        "--seed",
        "6",
        "--split",
        "validate",
        "--out",
        text(&more),
    ]);
    let other = at("other");
    told(&[
        "phantom",
        "--count",
        "20",
        "--size",
        "64",
        "--seed",
        "9",
        "--split",
        "train",
        "--out",
        text(&other),
    ]);
    let fitted = fit(&["--data", text(&more), "--data", text(&other)]);
    assert!(
        fitted.status.success(),
        "{}",
        String::from_utf8_lossy(&fitted.stderr)
    );
    let (result, _) = find();
    assert!(result["unlikeness"].as_f64().is_some_and(|v| v > 0.0), "{result}");

    // Pictures that are known to be foreign: enough of a kind, and all of them pictures.
    let known = |folder: &Path| {
        fit(&[
            "--data",
            text(&more),
            "--data",
            text(&other),
            "--unlike",
            text(folder),
        ])
    };
    let told_of = |output: Output| String::from_utf8(output.stderr).unwrap();
    let samples = project("www/samples");
    assert!(told_of(known(&samples)).contains("known to be foreign takes 50"));
    let (alike, damaged) = (at("alike"), at("damaged"));
    std::fs::create_dir(&alike).unwrap();
    for number in 0..50 {
        std::fs::copy(&picture, alike.join(format!("{number}.png"))).unwrap();
    }
    assert_eq!(find().0["foreign"], false);
    let fitted = known(&alike);
    assert!(fitted.status.success(), "{}", told_of(fitted));
    assert_eq!(find().0["foreign"], true);
    std::fs::rename(&alike, &damaged).unwrap();
    std::fs::write(damaged.join("8.png"), "no picture").unwrap();
    let said = told_of(known(&damaged));
    assert!(said.contains("8.png"), "{said}");

    // Of what is foreign nothing is filled in.
    let (result, said) = told(&[&["draft", text(&project("www/page.png"))], &on[..]].concat());
    assert_eq!(
        (&result["foreign"], &result["text"]),
        (&true.into(), &"".into()),
        "{result}"
    );
    let form = result["form"].as_array().unwrap();
    assert!(
        !form.is_empty() && form.iter().all(|line| line["state"] == "open"),
        "{result}"
    );
    assert!(said.contains("warning: this picture is unlike"), "{said}");
}
