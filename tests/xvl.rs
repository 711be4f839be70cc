//! Medical X-VL against PyTorch: one pre-training step with every loss and gradient, student and momentum teacher apart
//! (`tests/golden/make_xvl_step.py`), on the CPU and on WebGPU.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
