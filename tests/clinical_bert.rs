//! Clinical-BERT against PyTorch: image-MeSH matching in closed form, and one pre-training step with every loss and gradient
//! (`tests/golden/make_clinical_bert_step.py`), on the CPU and on WebGPU; and the whole way by the command, from phantoms to drafts.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use common::hilum;
use hilum::bundle::{AnyArrays, checkpoint};
use hilum::device::test_devices;
use hilum::nn::{self, Array, read_array};
use hilum::systems::clinical_bert::{
    ClinicalBert, ClinicalBertConfig, Kind, Masked, MatchingConfig, matching_loss, matching_scores,
    region_attention,
};
use hilum::text::Specials;

/// Largest gap of a loss, and of any value of a gradient relative to the largest of its tensor, or absolute below 1.
const MOST: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

fn ints(given: &AnyArrays, name: &str) -> Vec<i64> {
    given[name].int().unwrap().data.clone()
}

fn floats<'a>(given: &'a AnyArrays, name: &str) -> &'a Array {
    given[name].float().unwrap()
}

fn tensor<const D: usize>(given: &AnyArrays, name: &str, device: &burn::tensor::Device) -> Tensor<D> {
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

fn drawn(given: &AnyArrays) -> Masked {
    let (lengths, kinds) = (ints(given, "in.lengths"), ints(given, "in.kind"));
    let columns = given["in.words"].shape()[1];
    let rows = |name: &str| -> Vec<Vec<i64>> {
        let all = ints(given, name);
        let rows = all.chunks(columns).zip(&lengths);
        rows.map(|(row, &length)| row[..length as usize].to_vec())
            .collect()
    };
    let words = rows("in.words");
    let asked = |row: &Vec<i64>| {
        let asked = row.iter().enumerate().filter(|(_, label)| **label >= 0);
        asked.map(|(t, label)| (t, *label as u32)).collect()
    };
    Masked {
        kinds: kinds
            .iter()
            .map(|kind| [Kind::S2s, Kind::Bi, Kind::Mmm][*kind as usize])
            .collect(),
        words: words
            .iter()
            .map(|row| row.iter().map(|w| *w as u32).collect())
            .collect(),
        hidden: rows("in.masked_labels").iter().map(asked).collect(),
        mesh: rows("in.mesh")
            .iter()
            .map(|row| row.iter().map(|tag| *tag == 1).collect())
            .collect(),
        targets: ints(given, "in.diagnosis")
            .chunks(14)
            .map(|row| row.iter().map(|d| Some(*d == 1)).collect())
            .collect(),
    }
}

#[test]
fn parity_of_a_training_step() {
    let given = checkpoint::read_safetensors_any(&golden("clinical_bert_step.io.safetensors")).unwrap();
    let weights = checkpoint::read(&golden("clinical_bert_step.weights.safetensors")).unwrap();
    let special = |name: &str| ints(&given, name)[0] as u32;
    let specials = Specials {
        pad: special("in.pad"),
        cls: special("in.cls"),
        sep: special("in.sep"),
        mask: special("in.mask"),
        ..Specials::BERT
    };
    for (name, device) in test_devices() {
        let autodiff = device.clone().autodiff();
        let fresh = ClinicalBert::init(&ClinicalBertConfig::tiny(), specials, &autodiff).unwrap();
        let model = nn::load(fresh, &weights, &autodiff, false).unwrap();
        let features = model.visual_features(tensor(&given, "in.image", &autodiff), |_, _| ());
        let losses = model.pretraining_pass(features, &drawn(&given));
        let named = [
            ("s2s", losses.s2s),
            ("bi", losses.bi),
            ("mmm", losses.mmm),
            ("cd", losses.cd),
            ("imm", losses.imm),
        ];
        let mut worst: BTreeMap<&str, f32> = BTreeMap::new();
        let mut measure = |kind: &'static str, what: &str, gap: f32| {
            assert!(gap <= MOST, "{kind} {what} on {name}: {gap}");
            let entry = worst.entry(kind).or_insert(0.0);
            *entry = entry.max(gap);
        };
        let mut total: Option<Tensor<1>> = None;
        for (what, loss) in named {
            let loss = loss.unwrap();
            let found = loss.clone().inner().into_scalar::<f32>();
            let expected = floats(&given, &format!("out.{what}"));
            measure("loss", what, gap(&[found], &expected.data));
            total = Some(match total {
                Some(sum) => sum + loss,
                None => loss,
            });
        }
        let found = nn::gradients(&model, &total.unwrap().backward()).unwrap();
        let expected: BTreeMap<&str, &Array> = given
            .iter()
            .filter_map(|(name, array)| Some((name.strip_prefix("grad.")?, array.float().unwrap())))
            .collect();
        assert_eq!(
            found.keys().map(String::as_str).collect::<Vec<_>>(),
            expected.keys().copied().collect::<Vec<_>>()
        );
        for (parameter, array) in &found {
            measure(
                "gradient",
                parameter,
                gap(&array.data, &expected[parameter.as_str()].data),
            );
        }
        // Running statistics after the pass, with PyTorch's unbiased variance or the batch's own.
        let moved = nn::parameters(&model.valid()).unwrap();
        for (name, array) in &given {
            if let Some(parameter) = name
                .strip_prefix("statistics.")
                .filter(|n| n.ends_with("running_mean"))
            {
                let expected = array.float().unwrap();
                measure(
                    "statistics",
                    parameter,
                    gap(&moved[parameter].data, &expected.data),
                );
            }
        }
        println!("largest gaps of Clinical-BERT's step on {name}: {worst:?}");
    }
}

#[test]
fn parity_of_image_mesh_matching() {
    let Some(dir) = std::env::var_os("HILUM_PARITY_DIR") else {
        println!(
            "SKIPPED parity of image-MeSH matching: HILUM_PARITY_DIR names no folder of reference tensors"
        );
        return;
    };
    let path = Path::new(&dir).join("closed_form_losses.io.safetensors");
    let given = checkpoint::read_safetensors_any(&path).unwrap();
    let sparse = MatchingConfig::default();
    let dense = MatchingConfig { keep: None, ..sparse };
    for (name, device) in test_devices() {
        let words = || tensor::<3>(&given, "in.imm.words", &device);
        let regions = || tensor::<3>(&given, "in.imm.regions", &device);
        let mut worst = 0f32;
        let mut near = |found: Vec<f32>, expected: &str| {
            let gap = gap(&found, &floats(&given, expected).data);
            assert!(gap <= 1e-5, "{expected} on {name}: {gap}");
            worst = worst.max(gap);
        };
        for (config, expected) in [(dense, "out.imm.alpha"), (sparse, "out.imm.alpha_sparse")] {
            let found = region_attention(words(), regions(), &config);
            near(read_array("alpha", found).unwrap().data, expected);
        }
        let tags = tensor::<2>(&given, "in.imm.mesh_tags", &device);
        let real = tensor::<2>(&given, "in.imm.word_mask", &device);
        let scores = matching_scores(words(), regions(), tags, real, &sparse);
        let inside = MatchingConfig {
            tau_inside_log: true,
            ..sparse
        };
        for (config, expected) in [
            (sparse, "out.imm.loss_score_over_tau"),
            (inside, "out.imm.loss_tau_inside_log_as_printed"),
        ] {
            let loss = matching_loss(scores.clone(), &config).into_scalar::<f32>();
            near(vec![loss], expected);
        }
        println!("parity of image-MeSH matching on {name}: largest difference {worst:.1e}");
    }
}

fn said(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = hilum(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    error
}

/// A run's config; `more` follows the data's lines, `objectives` is what is learned.
fn config(dir: &Path, name: &str, model: &str, more: &str, objectives: &str) -> PathBuf {
    let text = format!(
        "system = \"clinical-bert\"\npreset = \"tiny\"\nout = {:?}\nseed = 1\ncheckpoint_every = 100\nvalidate = []\n{}\
         [model]\nbert.vocabulary = 400\nmax_tokens = 30\n{model}\n[data]\nroots = [{:?}]\n{more}\n\
         [objectives]\n{objectives}\n[optim]\nlr = 1e-3\nbatch = 8\nsteps = 3\n",
        dir.join(name),
        match name {
            "first" => String::new(),
            _ => format!("init = {:?}\n", dir.join("first")),
        },
        dir.join("data"),
    );
    let path = dir.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

const ALL: &str = "cd = 1.0\nmmm = 1.0\ns2s = 1.0\nbi = 1.0\nimm = 1.0";

#[test]
fn phantoms_become_a_bundle_that_drafts_finds_and_shows_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let made = [
        "phantom", "--layout", "r2gen", "--count", "60", "--size", "64", "--seed", "3", "--out",
    ];
    said(&[&made[..], &[&at("data")]].concat());
    let first = config(dir.path(), "first", "", "", ALL);
    said(&["pretrain", first.to_str().unwrap()]);
    // A second vocabulary, and a head for labels; words that both know keep their rows.
    let model = "diagnosis = \"cls\"\noccurrences = 6";
    let objectives = "s2s = 1.0\nmmm = 1.0\ndiagnosis = 1.0";
    let second = config(dir.path(), "second", model, "own_words = true", objectives);
    said(&["finetune", second.to_str().unwrap()]);
    let pieces = |run: &str| -> usize {
        let file = std::fs::read(Path::new(&at(run)).join("tokenizer.json")).unwrap();
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(file["model"]["type"], "WordLevel");
        file["model"]["vocab"].as_object().unwrap().len()
    };
    assert!(pieces("second") < pieces("first") && pieces("second") > 50);

    said(&["export", "--from", &at("second"), "--out", &at("bundle")]);
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/samples/effusion.png");
    let picture = picture.to_str().unwrap();
    let bundle = at("bundle");
    let on = ["--bundle", bundle.as_str(), "--json"];
    let looks = at("looks.svg");
    let draft = said(&[&["draft", picture, "--attention", &looks][..], &on].concat());
    let draft: serde_json::Value = serde_json::from_str(&draft).unwrap();
    // The paper's beam of five settles all words at once.
    assert_eq!(draft["timing"]["token_ms"], serde_json::json!([]));
    let drawn = std::fs::read_to_string(&looks).unwrap();
    let tokens = draft["tokens"].as_array().unwrap().len();
    assert!(drawn.matches("<use ").count() >= tokens, "a map a word");
    let findings = said(&[&["findings", picture][..], &on].concat());
    let findings: serde_json::Value = serde_json::from_str(&findings).unwrap();
    assert_eq!(findings["findings"].as_array().unwrap().len(), 14);

    let data = at("data");
    let lengths = at("lengths.svg");
    let score = ["evaluate", "--task", "draft", "--data", &data, "--limit", "4"];
    let with = ["--split", "all", "--lengths", &lengths, "--beam", "2"];
    let scores = said(&[&score[..], &with, &on].concat());
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    for name in [
        "bleu_2",
        "cider",
        "length_distance",
        "mesh_recall",
        "swapped_bleu_1",
    ] {
        assert!(scores[name].is_number(), "{name}: {scores}");
    }
    assert!(std::fs::read_to_string(&lengths).unwrap().contains("<polyline"));
}

#[test]
fn what_cannot_be_learned_from_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let made = [
        "phantom", "--layout", "r2gen", "--count", "30", "--size", "64", "--seed", "4", "--out",
    ];
    said(&[&made[..], &[&at("data")]].concat());
    let run = |model: &str, more: &str, objectives: &str| {
        refused(&[
            "pretrain",
            config(dir.path(), "first", model, more, objectives)
                .to_str()
                .unwrap(),
        ])
    };
    // A list of headings of which no report speaks.
    std::fs::write(at("mesh.txt"), "# plants\nBryophyta\nCycas\n").unwrap();
    let more = format!("mesh = {:?}", at("mesh.txt"));
    let error = run("", &more, ALL);
    assert!(
        error.contains("data.mesh") && error.contains("vocabulary"),
        "{error}"
    );
    // A vocabulary in which the labels cannot be told.
    let error = run("occurrences = 100000", "", ALL);
    assert!(error.contains("100000"), "{error}");
    // Objectives without their share, and without their head.
    let error = run("ratio = { s2s = 1.0, bi = 0.0, mmm = 0.0 }", "", ALL);
    assert!(error.contains("ratio"), "{error}");
    let error = run("", "", "diagnosis = 1.0");
    assert!(error.contains("model.diagnosis"), "{error}");
    // Pictures that are not there.
    std::fs::remove_dir_all(Path::new(&at("data")).join("images")).unwrap();
    let error = run("", "", ALL);
    assert!(error.contains("images") || error.contains("missing"), "{error}");
    // A checkpoint of another width: which tensor, its shape, and the one that is expected.
    let from = golden("bert_tiny.weights.safetensors");
    let error = refused(&[
        "import",
        "--system",
        "clinical-bert",
        "--preset",
        "tiny",
        "--allow-missing",
        "--from",
        from.to_str().unwrap(),
        "--out",
        &at("bundle"),
    ]);
    for part in ["position_embeddings.weight", "[24, 32]", "[40, 32]"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
