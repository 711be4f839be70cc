//! Medical X-VL against PyTorch: one pre-training step with every loss and gradient, student and momentum teacher apart
//! (`tests/golden/make_xvl_step.py`), on the CPU and on WebGPU; and the whole way by the command, from phantoms to checked reports.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::{Device, Int, Tensor, TensorData};
use hilum::bundle::{AnyArrays, checkpoint};
use hilum::device::test_devices;
use hilum::nn::loss::cross_entropy;
use hilum::nn::{self, Array};
use hilum::systems::Generator;
use hilum::systems::xvl::{Features, MaskedTexts, Negatives, Queued, Xvl, XvlConfig, mim_loss};
use hilum::text::Specials;

/// Largest gap of a loss, and of any value of a gradient relative to the largest of its tensor, or absolute below 1.
const MOST: f32 = 1e-4;
const LOSSES: [&str; 5] = ["contrast", "itm", "mlm", "mim", "report"];
const LAMBDA: f64 = 0.4;
/// The teacher's in masked image modelling.
const TEMPERATURE: f64 = 0.05;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

fn ints(given: &AnyArrays, name: &str) -> Vec<i64> {
    given[name].int().unwrap().data.clone()
}

fn places(given: &AnyArrays, name: &str) -> Vec<usize> {
    ints(given, name).iter().map(|n| *n as usize).collect()
}

fn floats<'a>(given: &'a AnyArrays, name: &str) -> &'a Array {
    given[name].float().unwrap()
}

fn tensor<const D: usize>(given: &AnyArrays, name: &str, device: &Device) -> Tensor<D> {
    let array = floats(given, name);
    let shape: [usize; D] = array.shape.clone().try_into().unwrap();
    Tensor::from_data(TensorData::new(array.data.clone(), shape), device)
}

/// Largest gap, relative to the larger of 1 and the reference's largest value.
fn gap(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1f32, |most, value| most.max(value.abs()));
    let gaps = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
    gaps.fold(0.0, f32::max) / largest
}

fn norm(array: &Array) -> f32 {
    let squares = array.data.iter().map(|v| f64::from(*v).powi(2));
    squares.sum::<f64>().sqrt() as f32
}

/// The sizes of the golden numbers.
fn sizes() -> XvlConfig {
    let mut config = XvlConfig::tiny();
    config.preprocessing.size = 16;
    config.vit.size = 16;
    config.vit.patch = 4;
    config.vit.width = 16;
    config.vit.heads = 2;
    config.vit.mlp_ratio = 2;
    config.bert.vocabulary = 40;
    config.bert.width = 16;
    config.bert.heads = 2;
    config.bert.intermediate = 32;
    config.bert.positions = 16;
    config.max_tokens = 14;
    config.mim.head.hidden = 20;
    config.mim.head.bottleneck = 12;
    config.mim.head.prototypes = 24;
    config
}

/// Texts without their padding.
fn texts(given: &AnyArrays, name: &str) -> Vec<Vec<u32>> {
    let columns = given[name].shape()[1];
    let (all, lengths) = (ints(given, name), places(given, "in.lengths"));
    let rows = all.chunks(columns).zip(&lengths);
    rows.map(|(row, &length)| row[..length].iter().map(|word| *word as u32).collect())
        .collect()
}

fn masked_texts(given: &AnyArrays) -> MaskedTexts {
    let name = "in.masked_labels";
    let columns = given[name].shape()[1];
    let labels = ints(given, name).into_iter().enumerate();
    MaskedTexts {
        texts: texts(given, "in.masked_words"),
        asked: labels
            .filter(|(_, label)| *label >= 0)
            .map(|(at, label)| (at / columns, at % columns, label as u32))
            .collect(),
    }
}

/// The losses by name, and the parts of contrastive learning.
fn losses(student: &Xvl, teacher: &Xvl, given: &AnyArrays) -> Vec<(&'static str, Tensor<1>)> {
    let (device, plain) = (student.device(), teacher.device());
    let words = texts(given, "in.words");
    let slices: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
    let pixels = || tensor::<4>(given, "in.image", &device);
    let image = student.encode_patches(pixels(), None);
    let read = student.read(&student.texts(&slices));
    let image_m = teacher.encode_patches(tensor(given, "in.image", &plain), None);
    let read_m = teacher.read(&teacher.texts(&slices));

    let features = Features {
        image: student.image_features(&image),
        text: student.text_features(&read),
        image_m: Tensor::from_inner(teacher.image_features(&image_m)),
        text_m: Tensor::from_inner(teacher.text_features(&read_m)),
    };
    let queued = Queued {
        image: Some(tensor(given, "in.image_queue", &device)),
        text: Some(tensor(given, "in.text_queue", &device)),
    };
    let contrast = student.contrast(&features, &queued, LAMBDA);
    let mut named = vec![
        ("i2t", contrast.i2t.clone()),
        ("t2i", contrast.t2i.clone()),
        ("i2i", contrast.i2i.clone()),
        ("t2t", contrast.t2t.clone()),
        ("contrast", contrast.mean()),
    ];

    let negatives = Negatives {
        image: places(given, "in.negative_image"),
        text: places(given, "in.negative_text"),
    };
    named.push((
        "itm",
        student.matching_loss(&image, &read, &negatives, None).unwrap(),
    ));

    let masked = masked_texts(given);
    let opinion = Tensor::from_inner(teacher.mlm_logits(&image_m, &masked));
    let logits = student.mlm_logits(&image, &masked);
    let mlm = student.mlm_loss(logits, &masked, Some((opinion, LAMBDA)));
    named.push(("mlm", mlm.unwrap()));

    let hidden: Vec<bool> = ints(given, "in.patch_mask").iter().map(|m| *m == 1).collect();
    let patches: Vec<usize> = (0..hidden.len()).filter(|patch| hidden[*patch]).collect();
    let seen = student.encode_patches(pixels(), Some(&hidden));
    let mim = mim_loss(
        student.patch_logits(&seen, &read, &patches),
        Tensor::from_inner(teacher.patch_logits(&image_m, &read_m, &patches)),
        tensor(given, "in.centre", &device),
        &student.config().mim,
        TEMPERATURE,
    );
    named.push(("mim", mim));

    // Each word, SEP among them, from CLS and the words before it; behind SEP nothing is asked.
    let [batch, columns]: [usize; 2] = given["in.words"].shape().try_into().unwrap();
    let padded: Vec<i32> = ints(given, "in.words").iter().map(|w| *w as i32).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(padded, [batch, columns]), &device);
    let logits = student.forward(image, tokens.narrow(1, 0, columns - 1));
    let targets: Vec<Option<usize>> = words
        .iter()
        .flat_map(|text| (0..columns).map(|place| text.get(place).map(|word| *word as usize)))
        .collect();
    // (B, T, V) -> (B T, V)
    let report = cross_entropy(logits.flatten::<2>(0, 1), &targets);
    named.push(("report", report.unwrap()));
    named
}

#[test]
fn parity_of_a_training_step() {
    let given = checkpoint::read_safetensors_any(&golden("xvl_step.io.safetensors")).unwrap();
    let special = |name: &str| ints(&given, name)[0] as u32;
    let specials = Specials {
        pad: special("in.pad"),
        cls: special("in.cls"),
        sep: special("in.sep"),
        mask: special("in.mask"),
        ..Specials::BERT
    };
    let load = |name: &str, device: &Device| {
        let weights = checkpoint::read(&golden(name)).unwrap();
        let fresh = Xvl::init(&sizes(), specials, device).unwrap();
        nn::load(fresh, &weights, device, false).unwrap()
    };
    let below = |prefix: &str| -> BTreeMap<&str, &Array> {
        let named = given.iter();
        named
            .filter_map(|(name, array)| Some((name.strip_prefix(prefix)?, array.float().unwrap())))
            .collect()
    };
    for (name, device) in test_devices() {
        let student = load("xvl_step.weights.safetensors", &device.clone().autodiff());
        let teacher = load("xvl_step.teacher.safetensors", &device);
        let mut worst: BTreeMap<&str, f32> = BTreeMap::new();
        let mut measure = |kind: &'static str, what: &str, gap: f32| {
            assert!(gap <= MOST, "{kind} {what} on {name}: {gap}");
            let entry = worst.entry(kind).or_insert(0.0);
            *entry = entry.max(gap);
        };
        let mut sum: Option<Tensor<1>> = None;
        for (what, loss) in losses(&student, &teacher, &given) {
            let found = loss.clone().inner().into_scalar::<f32>();
            let expected = floats(&given, &format!("out.{what}"));
            measure("loss", what, gap(&[found], &expected.data));
            if LOSSES.contains(&what) {
                sum = Some(match sum {
                    Some(sum) => sum + loss,
                    None => loss,
                });
            }
        }
        let total = sum.unwrap();
        let found = total.clone().inner().into_scalar::<f32>();
        measure("loss", "total", gap(&[found], &floats(&given, "out.total").data));
        let found = nn::gradients(&student, &total.backward()).unwrap();
        let expected = below("grad.");
        assert_eq!(
            found.keys().map(String::as_str).collect::<Vec<_>>(),
            expected.keys().copied().collect::<Vec<_>>()
        );
        for (parameter, array) in &found {
            let expected = expected[parameter.as_str()];
            assert_eq!(array.shape, expected.shape, "{parameter}");
            measure("gradient", parameter, gap(&array.data, &expected.data));
        }
        // Which parameters each loss reaches, and how far.
        for loss in LOSSES {
            let mut all = losses(&student, &teacher, &given).into_iter();
            let (_, value) = all.find(|(what, _)| *what == loss).unwrap();
            let found = nn::gradients(&student, &value.backward()).unwrap();
            let expected = below(&format!("grad_norm.{loss}."));
            let reached: BTreeSet<&str> = found.keys().map(String::as_str).collect();
            let meant: BTreeSet<&str> = expected.keys().copied().collect();
            assert!(
                reached == meant,
                "{loss} on {name}: {:?}",
                reached.symmetric_difference(&meant)
            );
            for (parameter, array) in &found {
                let off = gap(&[norm(array)], &expected[parameter.as_str()].data);
                measure("norm", &format!("of {parameter} by {loss}"), off);
            }
        }
        println!("largest gaps of Medical X-VL's step on {name}: {worst:?}");
    }
}

fn hilum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(arguments)
        .args(["--device", "cpu"])
        .output()
        .unwrap()
}

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
