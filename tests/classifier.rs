//! A bundle of a classifier from the outside: what its labels are worth, where it points, what is read where nothing is left to
//! read, and similar cases without films or reports.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::hilum;
use hilum::bundle::{Bundle, Dtype, Label, Manifest, gallery, write};
use hilum::systems::findings::{Classifier, FindingsConfig};
use hilum::systems::{SystemConfig, Task};
use hilum::text::LabelName;
use serde_json::Value;

const BOOTSTRAPS: &[&str] = &["--bootstraps", "200"];

struct Setting {
    _dir: tempfile::TempDir,
    bundle: PathBuf,
    data: PathBuf,
}

impl Setting {
    /// Random weights, and phantoms in NIH's layout.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, data) = (dir.path().join("finder"), dir.path().join("nih"));
        let config = FindingsConfig::tiny();
        let cpu = Device::flex();
        cpu.seed(3);
        let weights = hilum::nn::parameters(&Classifier::init(&config, &cpu).unwrap()).unwrap();
        let own = serde_json::to_value(&config).unwrap();
        let mut manifest = Manifest::new("finder", FindingsConfig::NAME, "tiny", own);
        manifest.tasks = vec![Task::Findings];
        let label = |name: &String| {
            Label::new(&LabelName {
                name: name.clone(),
                side: None,
            })
        };
        manifest.labels = config.labels.iter().map(label).collect();
        write(&bundle, manifest, &weights, None, Dtype::F32).unwrap();
        let drawn = "phantom --layout nih14 --count 60 --size 96 --seed 7 --split test --out";
        let drawn = hilum(&[&drawn.split(' ').collect::<Vec<_>>()[..], &[text(&data)]].concat());
        assert!(drawn.status.success(), "{}", words(&drawn.stderr));
        Self {
            _dir: dir,
            bundle,
            data,
        }
    }

    fn evaluate(&self, task: &str, more: &[&str]) -> Value {
        let base = [
            "evaluate",
            "--json",
            "--task",
            task,
            "--bundle",
            text(&self.bundle),
        ];
        let output = hilum(&[&base[..], &["--data", text(&self.data)], more].concat());
        assert!(output.status.success(), "{}", words(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn refused(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    assert!(!output.status.success());
    words(&output.stderr)
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn labels_say_what_they_are_worth_and_maps_whether_they_point_into_boxes() {
    let setting = Setting::new();
    let found = setting.evaluate("findings", BOOTSTRAPS);
    let labels = found["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 15);
    // Phantoms have no hernia: its area is not a number, and that is said.
    let label = |name: &str| labels.iter().find(|label| label["name"] == name).unwrap();
    assert_eq!(
        (&label("Hernia")["positives"], &label("Hernia")["auroc"]),
        (&Value::from(0), &Value::Null)
    );
    let notes = found["notes"].as_array().unwrap();
    assert!(
        notes
            .iter()
            .any(|note| note.as_str().unwrap().contains("No case has Hernia")),
        "{notes:?}"
    );
    assert!(found.get("auroc_hernia").is_none());

    // The boxes of all labels are those of the whole.
    let boxes: Vec<&Value> = labels
        .iter()
        .filter(|label| label.get("boxes").is_some())
        .collect();
    let number = |value: &Value| value.as_f64().unwrap();
    let count: f64 = boxes.iter().map(|label| number(&label["boxes"])).sum();
    assert!(count > 10.0, "{found}");
    for key in ["boxes_hit", "boxes_hit_by_place"] {
        let hits: f64 = boxes
            .iter()
            .map(|label| number(&label["boxes"]) * number(&label[key]))
            .sum();
        assert!(
            (hits / count - number(&found[key])).abs() < 1e-9,
            "{key}: {found}"
        );
    }

    // Nothing is left to read: every radiograph of a size is read alike, and so are all labels' areas a half.
    let blank = setting.evaluate("findings", &["--blank", "0,0,1,1"]);
    assert!((number(&blank["macro_auroc"]) - 0.5).abs() < 0.1, "{blank}");
    let part = setting.evaluate("findings", &["--blank", "0.1,0.1,0.5,0.8"]);
    assert_ne!(part["macro_auroc"], found["macro_auroc"]);
    let wrong = |more: &[&str]| {
        let base = [
            "evaluate",
            "--task",
            "findings",
            "--bundle",
            text(&setting.bundle),
            "--data",
        ];
        refused(&[&base[..], &[text(&setting.data)], more].concat())
    };
    assert!(wrong(&["--blank", "0.5,0,0.1,1"]).contains("LEFT,TOP,RIGHT,BOTTOM"));
    assert!(wrong(&["--record", "x", "--bootstraps", "10"]).contains("200 resamples"));

    // What is recorded is what was scored, and the command says it beside the finding.
    let tested = "60 phantoms";
    let again = setting.evaluate("findings", &[BOOTSTRAPS, &["--record", tested]].concat());
    let manifest = Bundle::open(&setting.bundle).unwrap().manifest().clone();
    assert_eq!(manifest.provenance.tested, tested);
    let effusion = manifest
        .labels
        .iter()
        .find(|label| label.name == "Effusion")
        .unwrap();
    let area = effusion.area.unwrap();
    assert_eq!(area.auroc, number(&again["auroc_effusion"]));
    assert!(area.low <= area.auroc && area.auroc <= area.high && area.positives > 0);
    assert_eq!(area.low, number(&again["bootstrap"]["auroc_effusion"]["low"]));
    assert!(
        manifest
            .labels
            .iter()
            .find(|label| label.name == "Hernia")
            .unwrap()
            .area
            .is_none()
    );
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/effusion.png");
    let said = hilum(&["findings", text(&sample), "--bundle", text(&setting.bundle)]);
    assert!(
        words(&said.stdout).contains(&format!("{:.2}", area.auroc)),
        "{}",
        words(&said.stdout)
    );
}

#[test]
fn several_runs_are_exported_as_an_ensemble() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let data = at("nih");
    let drawn = "phantom --layout nih14 --count 20 --size 96 --seed 8 --split train --out";
    let drawn = hilum(&[&drawn.split(' ').collect::<Vec<_>>()[..], &[text(&data)]].concat());
    assert!(drawn.status.success(), "{}", words(&drawn.stderr));
    let train = |name: &str, model: &str, seed: u64| {
        let config = at(&format!("{name}.toml"));
        let written = format!(
            "system = \"findings\"\npreset = \"tiny\"\nout = {:?}\nseed = {seed}\n[model]\n{model}\n\
             [data]\nroots = [{:?}]\nall = true\n[objectives]\nfindings = 1.0\n[optim]\nlr = 1e-3\nbatch = 8\nsteps = 2\n",
            at(name),
            data
        );
        std::fs::write(&config, written).unwrap();
        let trained = hilum(&["finetune", text(&config)]);
        assert!(trained.status.success(), "{}", words(&trained.stderr));
        at(name)
    };
    let (first, second) = (
        train("first", "mirror = true", 4),
        train("second", "mirror = true", 5),
    );
    let out = at("ensemble");
    let export = |runs: &[&Path]| {
        let from = runs.iter().flat_map(|run| ["--from", text(run)]);
        let arguments: Vec<&str> = ["export", "--out", text(&out)].into_iter().chain(from).collect();
        hilum(&arguments)
    };
    let exported = export(&[&first, &second]);
    assert!(exported.status.success(), "{}", words(&exported.stderr));
    let manifest = Bundle::open(&out).unwrap().manifest().clone();
    assert_eq!(
        (&manifest.config["encoders"], &manifest.config["mirror"]),
        (&2.into(), &true.into())
    );
    assert_eq!(manifest.provenance.seeds, [4, 5]);
    assert_eq!(
        manifest
            .provenance
            .training
            .matches("2 steps of 8 examples")
            .count(),
        2
    );
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/effusion.png");
    let found = hilum(&["findings", text(&sample), "--bundle", text(&out), "--json"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["findings"].as_array().unwrap().len(), 15, "{found}");

    let other = train("other", "mirror = false", 4);
    let said = words(&export(&[&first, &other]).stderr);
    assert!(
        said.contains("an ensemble's runs have one config") && said.contains("first"),
        "{said}"
    );
    assert!(words(&export(&[&first, &at("nothing")]).stderr).contains("nothing"));
}

#[test]
fn similar_cases_are_found_by_codes_without_films_or_reports() {
    let setting = Setting::new();
    let (bundle, data) = (text(&setting.bundle), text(&setting.data));
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/effusion.png");
    assert!(refused(&["similar", text(&sample), "--bundle", bundle]).contains("does not offer"));
    let built = [
        "gallery",
        "build",
        "--bundle",
        bundle,
        "--data",
        data,
        "--count",
        "40",
        "--no-pictures",
    ];
    let built = hilum(&built);
    assert!(built.status.success(), "{}", words(&built.stderr));
    let opened = Bundle::open(&setting.bundle).unwrap();
    assert_eq!(opened.manifest().tasks, [Task::Findings, Task::Retrieve]);
    assert!(opened.file(gallery::SHEET).is_err());
    let kept = gallery::open(&opened).unwrap().unwrap();
    assert_eq!(kept.features.shape, [40, 1, 32]);
    assert!(
        kept.index
            .cases
            .iter()
            .any(|case| case.labels.contains(&"Effusion".to_owned()))
    );

    // A picture of the gallery is most like itself.
    let own = kept.index.cases[3].id.clone();
    let image = setting.data.join("images").join(&own);
    let found = hilum(&[
        "similar",
        text(&image),
        "--bundle",
        bundle,
        "--count",
        "40",
        "--json",
    ]);
    assert!(found.status.success(), "{}", words(&found.stderr));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let cases = found["cases"].as_array().unwrap();
    assert_eq!(
        (cases.len(), cases[0]["id"].as_str().unwrap()),
        (40, own.as_str())
    );
    let similarity = |case: &Value| case["similarity"].as_f64().unwrap();
    assert!(similarity(&cases[0]) > 0.99 && cases.is_sorted_by(|a, b| similarity(a) >= similarity(b)));
    assert!(
        similarity(&cases[39]) < 0.0,
        "what all have in common does not make them alike"
    );
    assert!(refused(&["similar", "left effusion", "--bundle", bundle]).contains("pictures alone"));

    let scored = setting.evaluate("retrieve", &["--trials", "30"]);
    for key in ["shares_finding_at_5", "shares_finding_by_chance"] {
        assert!((0.0..=1.0).contains(&scored[key].as_f64().unwrap()), "{scored}");
    }
    assert_eq!(scored["n"], 30);
}
