//! Medical X-VL's whole way through the command: phantoms, training, bundle, every task, and what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::hilum;

fn said(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&said(&[arguments, &["--json"]].concat())).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    error
}

/// A run's config in a folder that has phantoms under `data`.
fn config(dir: &Path, model: &str, optim: &str) -> PathBuf {
    let text = format!(
        "system = \"xvl\"\npreset = \"tiny\"\nout = {:?}\nseed = 1\ncheckpoint_every = 100\nvalidate = []\n[model]\nbert.vocabulary = 400\n\
         bert.positions = 100\nmax_tokens = 60\n{model}\n[data]\nroots = [{:?}]\n[objectives]\ncontrast = 1.0\nitm = 1.0\nmlm = 1.0\n\
         mim = 1.0\nreport = 1.0\n[optim]\nlr = 1e-3\nsteps = 3\nema = 0.9\n{optim}\n",
        dir.join("run"),
        dir.join("data"),
    );
    let path = dir.join("run.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn phantoms_become_a_bundle_that_retrieves_drafts_and_checks_reports() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    said(&[
        "phantom",
        "--layout",
        "openi",
        "--count",
        "60",
        "--size",
        "64",
        "--seed",
        "3",
        "--out",
        &at("data"),
    ]);
    // A queue longer than the data, and a batch of one, are refused by their keys.
    let error = refused(&[
        "pretrain",
        config(dir.path(), "contrast.queue = 500", "batch = 8")
            .to_str()
            .unwrap(),
    ]);
    assert!(
        error.contains("contrast.queue") && error.contains("number of studies"),
        "{error}"
    );
    let error = refused(&[
        "pretrain",
        config(dir.path(), "", "batch = 4\naccumulate = 4")
            .to_str()
            .unwrap(),
    ]);
    assert!(
        error.contains("optim.batch") && error.contains("no negatives"),
        "{error}"
    );

    said(&["pretrain", config(dir.path(), "", "batch = 8").to_str().unwrap()]);
    said(&["export", "--from", &at("run"), "--out", &at("bundle")]);
    let (bundle, data) = (at("bundle"), at("data"));
    let score = |task: &str, more: &[&str]| {
        let basic = [
            "evaluate", "--task", task, "--data", &data, "--bundle", &bundle, "--split", "all", "--limit",
            "12",
        ];
        json(&[&basic[..], more].concat())
    };
    let found = score("retrieve", &["--exact", "--candidates", "10"]);
    for name in ["image_to_report_hit_at_1", "report_to_image_hit_at_10", "mrr"] {
        assert!(found[name].is_number(), "{name}: {found}");
    }
    // Of ten candidates one is right.
    assert!((found["image_to_report_hit_at_1_by_chance"].as_f64().unwrap() - 0.1).abs() < 1e-9);
    let checked = score("check", &["--trials", "3"]);
    for name in [
        "auroc_side_swap",
        "auroc_wrong_report",
        "n_positive",
        "right_words_changed",
        "auroc_inserted",
    ] {
        assert!(checked[name].is_number(), "{name}: {checked}");
    }
    let draft = score("draft", &[]);
    assert!(draft["bleu_4"].is_number(), "{draft}");

    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/effusion.png");
    let picture = picture.to_str().unwrap();
    let report = "There is a large left pleural effusion. The right lung is clear. No pneumothorax.";
    std::fs::write(at("report.txt"), report).unwrap();
    let checked = json(&["check", picture, &at("report.txt"), "--bundle", &bundle]);
    assert!(
        checked["matching"].is_number() && checked["exchanged"].is_number(),
        "{checked}"
    );
    let words = checked["words"].as_array().unwrap();
    assert_eq!(words.len(), 14);
    let sides = words.iter().filter(|word| word["side"] == true);
    let sides: Vec<&str> = sides.map(|word| word["written"].as_str().unwrap()).collect();
    assert_eq!(sides, ["left", "right"]);
    for word in words {
        let span = word["start"].as_u64().unwrap() as usize..word["end"].as_u64().unwrap() as usize;
        assert_eq!(&report[span], word["written"].as_str().unwrap());
        assert!(
            word["likeliest_probability"].as_f64().unwrap() >= word["probability"].as_f64().unwrap() * 0.999
        );
    }
    said(&[
        "draft",
        picture,
        "--bundle",
        &bundle,
        "--attention",
        &at("looks.svg"),
    ]);

    // What is no report of a chest radiograph is not scored.
    for (text, part) in [
        ("  \n", "empty"),
        ("Обе лёгочные поля без очаговых изменений.", "Cyrillic"),
        (
            "Knee, two views. No fracture of the femur, tibia or patella. Joint spaces are preserved.",
            "knee",
        ),
    ] {
        std::fs::write(at("other.txt"), text).unwrap();
        let error = refused(&["check", picture, &at("other.txt"), "--bundle", &bundle]);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_image_encoder_learns_by_itself_before_it_marks_findings() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for (split, count, seed) in [("train", "24", "3"), ("validate", "7", "4")] {
        let out = at(split);
        said(&[
            "phantom", "--count", count, "--size", "64", "--seed", seed, "--split", split, "--out", &out,
        ]);
    }
    let roots = format!("roots = [{:?}, {:?}]", at("train"), at("validate"));
    let write = |name: &str, top: &str, model: &str, data: &str, optim: &str, objective: &str| {
        let text = format!(
            "system = \"xvl\"\npreset = \"tiny\"\nout = {:?}\nseed = 1\nvalidate = []\n{top}\n[model]\nbert.vocabulary = 400\n\
             bert.positions = 100\nmax_tokens = 60\n{model}\n[data]\n{roots}\n{data}\n[objectives]\n{objective} = 1.0\n[optim]\n\
             lr = 1e-3\nsteps = 3\nbatch = 8\nema = 0.9\n{optim}\n",
            at(name),
        );
        let path = at(&format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let augment = "augment = { shift = 0.1, contrast = 0.3, brightness = 0.1 }";
    let logged = |name: &str| {
        let lines = std::fs::read_to_string(dir.path().join(name).join("metrics.jsonl")).unwrap();
        serde_json::from_str::<serde_json::Value>(lines.lines().last().unwrap()).unwrap()
    };
    for method in ["simclr", "dino", "simmim"] {
        let model = format!("image_alone = {method:?}");
        said(&["pretrain", &write(method, "", &model, augment, "", method)]);
        let last = logged(method);
        for value in [method, &format!("validation_{method}")] {
            assert!(
                last[value].as_f64().is_some_and(|loss| loss > 0.0),
                "{value}: {last}"
            );
        }
        let top = format!("init = {:?}\ninit_only = [\"visual_encoder\"]", at(method));
        let tuned = format!("{method}-tuned");
        said(&[
            "finetune",
            &write(&tuned, &top, "diagnosis = true", "", "", "diagnosis"),
        ]);
        assert!(logged(&tuned)["diagnosis"].is_number());
    }
    let bundle = at("bundle");
    said(&["export", "--from", &at("dino-tuned"), "--out", &bundle]);
    let manifest = std::fs::read_to_string(dir.path().join("bundle/bundle.json")).unwrap();
    assert!(!manifest.contains("image_alone"), "{manifest}");

    // Over a backbone that does not learn: validation, too, shows each image twice.
    let run = hybrid(dir.path(), augment, "dino = 1.0");
    let text = std::fs::read_to_string(&run).unwrap();
    let text = text.replace("diagnosis = true", "image_alone = \"dino\"");
    std::fs::write(&run, format!("{text}freeze = [\"image\"]\n")).unwrap();
    said(&["pretrain", run.to_str().unwrap()]);
    assert!(logged("run")["validation_dino"].is_number());

    // What does not go together is refused by its key.
    for (model, data, objective, parts) in [
        ("", augment, "simclr", ["model.image_alone", "objectives"]),
        (
            "image_alone = \"simclr\"",
            "",
            "simclr",
            ["data.augment", "two views"],
        ),
        ("image_alone = \"moco\"", augment, "simclr", ["moco", "simclr"]),
    ] {
        let error = refused(&["pretrain", &write("refused", "", model, data, "", objective)]);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

/// A run over a backbone, with everything that the first one leaves out.
fn hybrid(dir: &Path, data: &str, objectives: &str) -> PathBuf {
    let text = format!(
        "system = \"xvl\"\npreset = \"tiny\"\nout = {:?}\nseed = 1\nvalidate = []\n[model]\nbert.vocabulary = 400\nbert.positions = 100\n\
         max_tokens = 60\npreprocessing = {{ size = 64, norm = \"per_image\" }}\n\
         backbone.resnet = {{ channels = 1, width = 4, block = \"basic\", depths = [1, 1, 1, 1] }}\n\
         vit = {{ channels = 32, size = 2, patch = 1, width = 48, layers = 1, heads = 4, mlp_ratio = 2, class_token = true, \
         pooling = \"cls\", positions = \"learned\", qkv_bias = true, norm_eps = 1e-6, drop_path = 0.0 }}\n\
         diagnosis = true\nsides = true\ndecoder = 2\n[data]\nroots = [{:?}, {:?}]\n{data}\n[objectives]\n{objectives}\n[optim]\nlr = 1e-3\n\
         steps = 3\nbatch = 8\n",
        dir.join("run"),
        dir.join("train"),
        dir.join("validate"),
    );
    let path = dir.join("run.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn over_a_backbone_it_answers_marks_and_suggests() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for (split, count, seed) in [("train", "60", "3"), ("validate", "20", "4")] {
        let out = at(split);
        said(&[
            "phantom", "--count", count, "--size", "64", "--seed", seed, "--split", split, "--out", &out,
        ]);
    }
    let all = "itm = 1.0\nmlm = 1.0\nvqa = 1.0\ndiagnosis = 1.0\nreport = 1.0";
    let run = hybrid(dir.path(), "mistakes = 4", all);
    said(&["pretrain", run.to_str().unwrap()]);
    let bundle = at("bundle");
    said(&["export", "--from", &at("run"), "--out", &bundle]);
    let manifest = std::fs::read_to_string(dir.path().join("bundle/bundle.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert!(manifest["check"]["word"].is_number(), "{manifest}");
    said(&[
        "gallery",
        "build",
        "--bundle",
        &bundle,
        "--data",
        &at("train"),
        "--split",
        "train",
        "--count",
        "30",
        "--source",
        "phantoms",
    ]);

    // Questions: a choice among the answers of training, or an answer that is written.
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/effusion.png");
    let picture = picture.to_str().unwrap();
    let question = "Is there a pleural effusion?";
    let chosen = json(&["ask", picture, question, "--bundle", &bundle]);
    assert!(
        ["yes", "no"].contains(&chosen["answer"].as_str().unwrap()),
        "{chosen}"
    );
    let written = json(&["ask", picture, question, "--bundle", &bundle, "--write"]);
    assert!(
        written["answers"][0]["probability"].as_f64().unwrap() > 0.0,
        "{written}"
    );
    for more in [&[][..], &["--written"]] {
        let basic = [
            "evaluate",
            "--task",
            "vqa",
            "--data",
            &at("validate"),
            "--split",
            "all",
            "--bundle",
            &bundle,
        ];
        let scores = json(&[&basic[..], more].concat());
        assert!(
            scores["accuracy"].is_number() || scores["closed_accuracy"].is_number(),
            "{scores}"
        );
    }

    // Marks lie within the report and are beyond their limits; a report that does not belong has another one suggested.
    let report = "There is a large left pleural effusion. The right lung is clear. No pneumothorax. The heart is enlarged.";
    std::fs::write(at("report.txt"), report).unwrap();
    let maps = at("maps.svg");
    let checked = json(&[
        "check",
        picture,
        &at("report.txt"),
        "--bundle",
        &bundle,
        "--maps",
        &maps,
    ]);
    assert_eq!(checked["sentences"].as_array().unwrap().len(), 4, "{checked}");
    for mark in checked["marks"].as_array().unwrap() {
        let span = mark["start"].as_u64().unwrap() as usize..mark["end"].as_u64().unwrap() as usize;
        assert!(report.get(span).is_some_and(|text| !text.is_empty()), "{mark}");
        assert!(mark["strength"].as_f64().unwrap() > 0.0, "{mark}");
    }
    let belongs = checked["matching"].as_f64().unwrap() >= checked["limits"]["matching"].as_f64().unwrap();
    let better = checked["suggestion"]["matching"].as_f64();
    assert!(!belongs || better.is_none(), "{checked}");
    if let Some(better) = better {
        assert!(better > checked["matching"].as_f64().unwrap(), "{checked}");
    }
    assert!(std::fs::read_to_string(maps).unwrap().contains("Grad-CAM"));
    let data = at("validate");
    let scores = json(&[
        "evaluate", "--task", "check", "--data", &data, "--split", "all", "--bundle", &bundle, "--trials",
        "20",
    ]);
    let below = scores["n_wrong_report_below_limit"].as_u64().unwrap();
    assert_eq!(
        below > 0,
        scores["wrong_reports_with_a_better_one"].is_number(),
        "{scores}"
    );

    // What does not go together is refused by its key.
    let run = hybrid(dir.path(), "", "vqa = 1.0");
    let text = std::fs::read_to_string(&run).unwrap();
    std::fs::write(&run, text.replace("decoder = 2", "decoder = 0")).unwrap();
    let error = refused(&["pretrain", run.to_str().unwrap()]);
    assert!(error.contains("model.decoder"), "{error}");
    std::fs::write(&run, text.replace("size = 2, patch = 1", "size = 4, patch = 1")).unwrap();
    let error = refused(&["pretrain", run.to_str().unwrap()]);
    assert!(
        error.contains("vit.size") && error.contains("backbone"),
        "{error}"
    );
}

#[test]
fn tables_read_a_model_by_one_path_and_carry_it_to_the_abdomen() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let mut arguments = vec![
        "tables", "--system", "xvl", "--out", out, "--seeds", "1", "--scale", "0.004",
    ];
    for key in ["whole", "text-path", "hard-negatives", "coca", "none"] {
        arguments.extend(["--variant", key]);
    }
    arguments.extend(["--task", "retrieval", "--task", "abdomen"]);
    let made = json(&arguments);
    let rows = |domain: &str, task: &str| -> Vec<String> {
        let rows = made["cells"][domain][task].as_object();
        rows.map_or_else(Vec::new, |rows| rows.keys().cloned().collect())
    };
    let compared = [
        "CoCa-style",
        "Medical X-VL",
        "No pre-training",
        "Text path alone",
        "with hard negatives",
    ];
    for domain in ["first", "second"] {
        assert_eq!(rows(domain, "retrieval"), compared, "{domain}");
        assert!(rows(domain, "abdomen").is_empty());
    }
    assert_eq!(rows("abdomen", "abdomen"), ["Medical X-VL", "No pre-training"]);
    let run = |name: &str| dir.path().join("seed-0/runs").join(name);
    // One path is no training of its own; what was not pre-trained is not pre-trained on abdomens either.
    assert!(run("whole-pretraining").is_dir() && !run("text-path-pretraining").exists());
    assert!(run("whole-abdomen-abdomen-before").is_dir() && !run("none-abdomen-abdomen-before").exists());
    // What a row says holds over what all rows say.
    let config = |name: &str| std::fs::read_to_string(run(name).join("config.toml")).unwrap();
    assert!(config("coca-pretraining").contains("paths = \"neither\""));
    assert!(config("whole-pretraining").contains("hard_negatives = false"));
    assert!(config("hard-negatives-pretraining").contains("hard_negatives = true"));
    let cell = |column: &str| made["cells"]["first"]["retrieval"]["Text path alone"][column]["mean"].as_f64();
    assert!(
        cell("exact_hit_at_1").is_some() && cell("image_to_report_hit_at_1_by_chance").is_some(),
        "{made}"
    );
    let text = std::fs::read_to_string(dir.path().join("tables.md")).unwrap();
    assert!(
        text.contains("Table 6), abdomen") && text.contains("| Chance"),
        "{text}"
    );
}
