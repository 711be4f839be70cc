//! Parity of one pre-training step with PyTorch: losses, every gradient, and what AdamW makes of them, on the
//! CPU and on WebGPU (`tests/golden/make_medvill_step.py`).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use hilum::bundle::import::{Table, Target};
use hilum::bundle::{AnyArrays, Arrays, checkpoint, import};
use hilum::device::test_devices;
use hilum::kernels::MaskKind;
use hilum::nn::{self, Array};
use hilum::systems::medvill::{Masked, MedVill, MedVillConfig};
use hilum::text::Specials;
use hilum::train::{GradientAccumulator, Method, Optimizer, ParamOptions};

/// Largest gap of a loss, and of any value of a gradient relative to the largest of its tensor, or absolute
/// below 1.
const MOST: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

fn ints(given: &AnyArrays, name: &str) -> Vec<i64> {
    given[name].int().unwrap().data.clone()
}

fn number(given: &AnyArrays, name: &str) -> f32 {
    given[name].float().unwrap().data[0]
}

/// What `prefix` holds, by our names.
fn ours(given: &AnyArrays, prefix: &str) -> BTreeMap<String, Array> {
    let table = Table::of("medvill").unwrap();
    let named = given.iter().filter_map(|(name, array)| {
        let Target::Name(own) = table.target(name.strip_prefix(prefix)?) else {
            panic!("{name} has no name of ours")
        };
        Some((own, array.float().unwrap().clone()))
    });
    named.collect()
}

fn norm(array: &Array) -> f32 {
    array
        .data
        .iter()
        .map(|v| f64::from(*v).powi(2))
        .sum::<f64>()
        .sqrt() as f32
}

/// Largest gap of two tensors, relative to the larger of 1 and the reference's largest value.
fn gap(found: &Array, expected: &Array) -> f32 {
    assert_eq!(found.shape, expected.shape);
    let largest = expected.data.iter().fold(1f32, |m, e| m.max(e.abs()));
    found
        .data
        .iter()
        .zip(&expected.data)
        .map(|(f, e)| (f - e).abs())
        .fold(0.0, f32::max)
        / largest
}

fn sizes() -> MedVillConfig {
    let mut config = MedVillConfig::tiny();
    config.image.width = 4;
    config.image.depths = [1, 2, 1, 1];
    config.bert.vocabulary = 60;
    config.bert.width = 32;
    config.bert.intermediate = 64;
    config.bert.positions = 24;
    config.bert.dropout = 0.0;
    config
}

fn drawn(given: &AnyArrays, kind: MaskKind) -> Masked {
    let lengths = ints(given, "in.lengths");
    let ids = ints(given, "in.input_ids");
    let words = lengths.iter().zip(ids.chunks(10));
    let words = words
        .map(|(&n, row)| row[..n as usize].iter().map(|w| *w as u32).collect())
        .collect();
    let labels = ints(given, "in.mlm_labels");
    let mut hidden = Vec::new();
    for (sample, row) in labels.chunks(17).enumerate() {
        // CLS, five cells and SEP come before the words.
        let asked = row.iter().enumerate().filter(|(_, label)| **label >= 0);
        hidden.extend(asked.map(|(at, label)| (sample, at - 7, *label as u32)));
    }
    let grid = ints(given, "in.grid").iter().map(|&g| g as usize).collect();
    let matched = ints(given, "in.is_aligned").iter().map(|&a| a == 1).collect();
    Masked {
        grid,
        kind,
        words,
        hidden,
        matched: Some(matched),
    }
}

#[test]
fn parity_of_a_training_step() {
    let given = checkpoint::read_safetensors_any(&golden("medvill_step.io.safetensors")).unwrap();
    let weights = checkpoint::read(&golden("medvill_step.weights.safetensors")).unwrap();
    let config = sizes();
    let special = |name: &str| ints(&given, name)[0] as u32;
    let specials = Specials {
        cls: special("in.cls"),
        sep: special("in.sep"),
        pad: 0,
        ..Specials::BERT
    };
    for (name, device) in test_devices() {
        let mut worst = BTreeMap::new();
        let mut measure = |what: String, gap: f32| {
            let kind = what.split(' ').next().unwrap_or_default().to_owned();
            assert!(gap <= MOST, "{what} on {name}: {gap}");
            let entry = worst.entry(kind).or_insert(0f32);
            *entry = entry.max(gap);
        };
        for (scheme, kind) in [
            ("bi", MaskKind::Bidirectional),
            ("s2s", MaskKind::Seq2Seq),
            ("bar", MaskKind::BidirectionalAutoregressive { padding: true }),
        ] {
            // A software adapter takes its time: one scheme there, all on the CPU.
            if name != "CPU" && scheme != "s2s" {
                continue;
            }
            let autodiff = device.clone().autodiff();
            let fresh = MedVill::init(&config, specials, &autodiff).unwrap();
            let named = import("medvill", &weights, &nn::shapes(&fresh), false)
                .unwrap()
                .arrays;
            let model = nn::load(fresh, &named, &autodiff, false).unwrap();
            let pixels = given["in.image"].float().unwrap();
            let picture =
                Tensor::<4>::from_data(TensorData::new(pixels.data.clone(), [4, 3, 96, 96]), &autodiff);
            let features = model.visual_features(picture, |_, _| ());
            let (mlm, irm) = model.pretraining_pass(features, &drawn(&given, kind));
            let (mlm, irm) = (mlm.unwrap(), irm.unwrap());
            for (what, loss) in [("mlm_loss", &mlm), ("irm_loss", &irm)] {
                let found = loss.clone().inner().into_scalar::<f32>();
                measure(
                    format!("loss {scheme} {what}"),
                    (found - number(&given, &format!("out.{scheme}.{what}"))).abs(),
                );
            }
            let gradients = (mlm + irm).backward();
            let found = nn::gradients(&model, &gradients).unwrap();
            if scheme == "s2s" {
                let expected = ours(&given, "grad.s2s.");
                let names: Vec<&String> = found.keys().collect();
                assert_eq!(names, expected.keys().collect::<Vec<_>>());
                for (parameter, array) in &found {
                    measure(format!("gradient {parameter}"), gap(array, &expected[parameter]));
                }
            }
            let mut norms = ours(&given, &format!("grad_norm.{scheme}."));
            // Ours looks PAD up like any other word.
            norms.extend(ours(&given, &format!("grad_norm.{scheme}_pad.")));
            for (parameter, array) in &norms {
                let expected = array.data[0];
                let off = (norm(&found[parameter]) - expected).abs() / expected.max(1.0);
                measure(format!("gradient-norm {scheme} {parameter}"), off);
            }

            let mut optimizer = Optimizer::new(Method::AdamW, [0.9, 0.999], 0.9);
            let mut sum = GradientAccumulator::default();
            sum.add(&model, &gradients, 1.0);
            let pace = |_: &str, rank: usize| ParamOptions {
                lr: 1e-3,
                weight_decay: if rank > 1 { 0.01 } else { 0.0 },
            };
            let (moved, whole) = optimizer.step(model, &sum, 1.0, &pace);
            let expected = number(&given, &format!("out.{scheme}.norm"));
            if scheme != "bar" {
                let off = (whole.unwrap().into_scalar::<f32>() - expected).abs() / expected.max(1.0);
                measure(format!("norm {scheme}"), off);
            }
            let stepped = nn::parameters(&moved.valid()).unwrap();
            for (parameter, array) in ours(&given, &format!("step.{scheme}.")) {
                let off = (norm(&stepped[&parameter]) - array.data[0]).abs() / array.data[0].max(1.0);
                measure(format!("step {scheme} {parameter}"), off);
            }
            if scheme == "s2s" {
                statistics(&given, &stepped, &mut measure);
            }
        }
        println!("largest gaps on {name}: {worst:?}");
    }
}

/// Running statistics after the pass. PyTorch keeps the unbiased variance.
fn statistics(given: &AnyArrays, stepped: &Arrays, measure: &mut impl FnMut(String, f32)) {
    let (unbiased, biased) = (ours(given, "statistics."), ours(given, "statistics_biased."));
    let off =
        |all: &BTreeMap<String, Array>| all.iter().map(|(n, e)| gap(&stepped[n], e)).fold(0f32, f32::max);
    println!(
        "running variance from PyTorch's (unbiased): {}, from the biased: {}",
        off(&unbiased),
        off(&biased)
    );
    for (name, expected) in unbiased.iter().filter(|(n, _)| n.ends_with("running_mean")) {
        measure(format!("statistics {name}"), gap(&stepped[name], expected));
    }
    measure("variance either".to_owned(), off(&unbiased).min(off(&biased)));
}
