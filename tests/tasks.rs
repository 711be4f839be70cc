//! The tasks from the outside: one small run that does all of them, its bundle, its gallery, its scores.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn hilum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(["--device", "cpu"])
        .args(arguments)
        .output()
        .unwrap()
}

fn done(arguments: &[&str]) -> Output {
    let output = hilum(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_slice(&done(&[arguments, &["--json"]].concat()).stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn picture(data: &Path) -> PathBuf {
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("jpg") => return path,
                _ => {}
            }
        }
    }
    panic!("no picture in {}", data.display());
}

#[test]
fn one_trunk_drafts_finds_matches_and_answers() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, config, run, bundle) = (at("data"), at("run.toml"), at("run"), at("bundle"));
    done(&[
        "phantom",
        "--count",
        "40",
        "--size",
        "96",
        "--seed",
        "6",
        "--out",
        text(&data),
    ]);
    let settings = format!(
        "system = \"medvill\"\npreset = \"tiny\"\nout = {run:?}\n\
         [model]\nsize = 64\nsampled = 3\nmap_findings = true\nanswer_softmax = true\nanswer_form = true\n\
         [data]\nroots = [{data:?}]\n\
         [objectives]\nfindings = 1.0\nreport = 1.0\npairs = 1.0\nvqa = 1.0\n\
         [optim]\nrate = 1e-3\nbatch = 8\nsteps = 4\n"
    );
    std::fs::write(&config, settings).unwrap();
    done(&["finetune", text(&config)]);
    done(&["export", "--from", text(&run), "--out", text(&bundle)]);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(bundle.join("bundle.json")).unwrap()).unwrap();
    assert_eq!(
        manifest["tasks"],
        serde_json::json!(["draft", "findings", "retrieve", "vqa"])
    );
    let labels = manifest["labels"].as_array().unwrap();
    // Nobody of the few in validation has each category; where somebody has, it was fitted.
    assert_eq!(labels.len(), 14);
    assert!(
        labels
            .iter()
            .any(|l| l["temperature"].as_f64().is_some_and(|t| (t - 1.0).abs() > 1e-6)),
        "{labels:?}"
    );
    assert!(manifest["answers"].as_array().unwrap().iter().any(|a| a == "yes"));

    let image = picture(&data);
    let found = json(&["findings", text(&image), "--bundle", text(&bundle)]);
    let found = found["findings"].as_array().unwrap();
    assert_eq!(found.len(), 14);
    assert!(
        found
            .iter()
            .all(|f| (0.0..=1.0).contains(&f["probability"].as_f64().unwrap()))
    );
    let asked = json(&[
        "ask",
        text(&image),
        "Is there a pleural effusion?",
        "--bundle",
        text(&bundle),
    ]);
    assert!(asked["answer"] == "yes" || asked["answer"] == "no", "{asked}");

    assert!(refused(&["similar", text(&image), "--bundle", text(&bundle)]).contains("gallery build"));
    done(&[
        "gallery",
        "build",
        "--bundle",
        text(&bundle),
        "--data",
        text(&data),
        "--count",
        "12",
        "--thumbnail",
        "32",
    ]);
    for query in [text(&image), "small left pleural effusion"] {
        let similar = json(&["similar", query, "--bundle", text(&bundle), "--count", "3"]);
        let cases = similar["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        let scores: Vec<f64> = cases.iter().map(|c| c["probability"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b) && cases[0]["report"].as_str().unwrap().len() > 10);
    }
    assert!(refused(&["similar", "nowhere.png", "--bundle", text(&bundle)]).contains("nowhere.png"));
    // The gallery changed nothing of the model.
    assert_eq!(
        json(&["findings", text(&image), "--bundle", text(&bundle)])["findings"],
        Value::from(found.clone())
    );

    let scored = |task: &str, more: &[&str]| {
        let base = [
            "evaluate",
            "--bundle",
            text(&bundle),
            "--task",
            task,
            "--data",
            text(&data),
            "--split",
            "all",
        ];
        json(&[&base, more].concat())
    };
    let findings = scored("findings", &["--bootstraps", "30", "--against", text(&bundle)]);
    for key in ["micro_auroc", "micro_f1", "side_accuracy"] {
        assert!(
            (0.0..=1.0).contains(&findings[key].as_f64().unwrap()),
            "{key}: {findings}"
        );
    }
    let spread = &findings["bootstrap"]["micro_auroc"];
    assert!(
        spread["sd"].as_f64().unwrap() > 0.0
            && (spread["mean"].as_f64().unwrap() - findings["micro_auroc"].as_f64().unwrap()).abs() < 0.1
    );
    // A bundle does not differ from itself.
    assert_eq!(findings["against"]["t_test"]["micro_auroc"]["p"], 1.0);
    let retrieved = scored("retrieve", &["--candidates", "10", "--trials", "5"]);
    assert_eq!(retrieved["n"], 5);
    assert!(retrieved["mrr"].as_f64().unwrap() >= 0.1 && retrieved["image_to_report_hit_at_5"].is_number());
    let answered = scored("vqa", &[]);
    assert!(
        answered["n"].as_u64().unwrap() >= 6 * 40 && answered["swapped_accuracy"].is_number(),
        "{answered}"
    );
}

#[test]
fn few_questions_are_answered_by_the_memory_of_their_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, pictures, answers, bundle) = (at("data"), at("pictures"), at("answers"), at("bundle"));
    let phantoms = [
        "phantom", "--layout", "vqa-rad", "--count", "16", "--size", "64", "--seed", "6", "--split", "train",
    ];
    done(&[&phantoms[..], &["--out", text(&data)]].concat());
    let run = |out: &Path, more: &str, bilinear: &str, optim: &str| {
        let config = out.with_extension("toml");
        let settings = format!(
            "system = \"medvill\"\npreset = \"tiny\"\nout = {out:?}\n{more}\n\
             [model]\nsize = 64\nsampled = 3\nstandardise = true\npicture_vector = 32\nanswer_softmax = true\n\
             answer_form = true\nimage = {{ channels = 1, width = 8, block = \"basic\", depths = [1, 1, 1, 1] }}\n\
             bert = {{ vocabulary = 300, width = 32, layers = 1, heads = 2, intermediate = 64, positions = 64, dropout = 0.1 }}\n\
             {bilinear}\n[data]\nroots = [{data:?}]\nall = true\ncache = {:?}\n{optim}",
            at("cache")
        );
        std::fs::write(&config, settings).unwrap();
        config
    };
    let know = "augment = true\n[objectives]\nidentity = 1.0\n[optim]\nrate = 3e-3\nbatch = 8\nsteps = 60\n";
    done(&["pretrain", text(&run(&pictures, "", "", know))]);
    let log = |run: &Path| std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(
        !log(&pictures).contains("validation"),
        "all pictures are learned from"
    );
    let ask = "by_question = true\nvary_questions = true\n[objectives]\nvqa = 1.0\nquestion_kind = 1.0\n\
               [optim]\nrate = 5e-3\nimage_rate = 0.0\nbatch = 32\nsteps = 80\n";
    let init = format!(
        "init = {pictures:?}\ninit_only = [\"image\", \"picture_vector\", \"picture_norm\", \"identity\"]"
    );
    let heads = "bilinear = { width = 64, memory = true, kinds = true }";
    done(&["finetune", text(&run(&answers, &init, heads, ask))]);
    let plain = at("plain");
    done(&[
        "finetune",
        text(&run(
            &plain,
            &init,
            heads,
            &ask.replace("vary_questions = true", "vary_questions = false"),
        )),
    ]);
    let first = |run: &Path, loss: &str| -> Value {
        serde_json::from_str::<Value>(log(run).lines().next().unwrap()).unwrap()[loss].clone()
    };
    assert_ne!(
        first(&answers, "vqa"),
        first(&plain, "vqa"),
        "questions are said in other words"
    );
    // Both began with the same image encoder, which stays as it is: its maps were computed once.
    let kept = std::fs::read_dir(at("cache").join("64px-1"))
        .unwrap()
        .filter_map(Result::ok);
    assert_eq!(
        kept.filter(|file| file.file_name().to_string_lossy().starts_with("maps-"))
            .count(),
        1
    );
    done(&["export", "--from", text(&answers), "--out", text(&bundle)]);
    let scores = json(&[
        "evaluate",
        "--task",
        "vqa",
        "--bundle",
        text(&bundle),
        "--data",
        text(&data),
        "--split",
        "all",
    ]);
    let score = |key: &str| scores[key].as_f64().unwrap();
    assert!(score("accuracy") > 0.85, "{scores}");
    // What it knows it knows of the picture.
    assert!(score("swapped_accuracy") < score("accuracy") - 0.1, "{scores}");
    assert!(score("blank_accuracy") < score("accuracy") - 0.1, "{scores}");
    // Reports are written in one wording, where that is asked for.
    let write = "[objectives]\nreport = 1.0\n[optim]\nrate = 1e-3\nbatch = 8\nsteps = 1\n";
    let (dictated, told) = (at("dictated"), at("told"));
    done(&["finetune", text(&run(&dictated, "", "", write))]);
    done(&[
        "finetune",
        text(&run(&told, "", "", &format!("plain = true\n{write}"))),
    ]);
    assert_ne!(first(&dictated, "report"), first(&told, "report"));
    // Nobody to remember.
    let error = refused(&["finetune", text(&run(&at("alone"), "", heads, ask))]);
    assert!(error.contains("memory") && error.contains("identity"), "{error}");
}

#[test]
fn generated_reports_are_scored() {
    let dir = tempfile::tempdir().unwrap();
    let (candidates, references) = (dir.path().join("c.txt"), dir.path().join("r.txt"));
    std::fs::write(
        &candidates,
        "there is a small left pleural effusion .\nno pneumothorax .\n",
    )
    .unwrap();
    std::fs::write(
        &references,
        "there is a small left pleural effusion .\nthere is no pneumothorax .\n",
    )
    .unwrap();
    let scores = json(&[
        "score",
        "--candidates",
        text(&candidates),
        "--references",
        text(&references),
    ]);
    assert_eq!(scores["n"], 2);
    for key in ["bleu_1", "bleu_4", "meteor", "rouge_l", "cider"] {
        assert!(scores[key].as_f64().unwrap() > 0.0, "{key}: {scores}");
    }
    std::fs::write(&references, "one line\n").unwrap();
    let error = refused(&[
        "score",
        "--candidates",
        text(&candidates),
        "--references",
        text(&references),
    ]);
    assert!(error.contains('2') && error.contains('1'), "{error}");
}
