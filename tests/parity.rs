//! Parity with reference tensors that other libraries computed: ResNet, BERT, MedViLL and, in
//! `parity/transformers.rs`, ViT, cross-attention and losses, in `parity/xvl.rs` Medical X-VL, on the CPU and on WebGPU.
//!
//! `tests/golden` holds small ones (its scripts name the libraries and versions); `HILUM_PARITY_DIR` may name a folder with
//! more. Where it is not set, the tests that need it say so and pass.
#![allow(clippy::unwrap_used)]

#[path = "parity/transformers.rs"]
mod transformers;
#[path = "parity/xvl.rs"]
mod xvl;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use hilum::bundle::{AnyArrays, Arrays, checkpoint, import};
use hilum::device::test_devices;
use hilum::kernels::{Mask, MaskKind};
use hilum::nn::{
    self, Array, AttentionPass, BertConfig, DenseNet, DenseNetConfig, Encoder, MlmHead, ResNet, ResNetConfig,
    TextEmbeddings,
};
use hilum::systems::System;
use hilum::systems::medvill::{MedVill, MedVillConfig};
use hilum::text::Specials;

/// Largest difference allowed: absolute, and, for a map whose values are in the hundreds or thousands,
/// relative to its largest. The random batch norms of `resnet50_w8` bring its last map to 4,720; the
/// reference's own float32 is 3.5e-3 away from the same computation in float64 there, 7.5e-7 of that largest
/// value.
const ABSOLUTE: f32 = 1e-4;
const RELATIVE: f32 = 2e-6;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn parity_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("HILUM_PARITY_DIR").map(PathBuf::from);
    if dir.is_none() {
        println!("SKIPPED: HILUM_PARITY_DIR is not set");
    }
    dir
}

fn ints(given: &AnyArrays, name: &str) -> (Vec<usize>, Vec<i64>) {
    let array = given[name]
        .int()
        .unwrap_or_else(|| panic!("{name} holds no integers"));
    (array.shape.clone(), array.data.clone())
}

fn int_tensor(given: &AnyArrays, name: &str, device: &Device) -> Tensor<2, Int> {
    let (shape, data) = ints(given, name);
    let data: Vec<i32> = data.iter().map(|v| *v as i32).collect();
    Tensor::from_data(TensorData::new(data, [shape[0], shape[1]]), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn expect(worst: &mut f32, given: &AnyArrays, name: &str, found: &[f32], device: &str) {
    expect_rows(worst, given, name, found, device, None);
}

/// The same, of a `(batch, tokens, ..)` tensor only the rows that are no padding, where `lengths` tells them.
fn expect_rows(
    worst: &mut f32,
    given: &AnyArrays,
    name: &str,
    found: &[f32],
    device: &str,
    lengths: Option<&[usize]>,
) {
    let expected = given[name]
        .float()
        .unwrap_or_else(|| panic!("{name} holds no numbers"));
    assert_eq!(expected.data.len(), found.len(), "{name} on {device}");
    let largest = expected.data.iter().fold(0f32, |m, e| m.max(e.abs()));
    let row = found.len() / expected.shape.iter().take(2).product::<usize>().max(1);
    for (i, (e, f)) in expected.data.iter().zip(found).enumerate() {
        let tokens = expected.shape.get(1).copied().unwrap_or(1);
        if lengths.is_some_and(|lengths| i / row % tokens >= lengths[i / row / tokens]) {
            continue;
        }
        let gap = (e - f).abs();
        assert!(
            gap <= ABSOLUTE.max(RELATIVE * largest),
            "{name} on {device}: value {i} is {f}, the reference says {e}"
        );
        // What is reported is measured as what is allowed: absolute where the largest value is up to 50,
        // relative beyond.
        *worst = worst.max(gap / (largest * RELATIVE / ABSOLUTE).max(1.0));
    }
}

/// Weights of `prefix`, without it.
fn below(arrays: &Arrays, prefix: &str) -> Arrays {
    let strip =
        |(name, array): (&String, &Array)| Some((name.strip_prefix(prefix)?.to_owned(), array.clone()));
    arrays.iter().filter_map(strip).collect()
}

/// Names and shapes of a whole MedViLL whose parts a checkpoint may hold.
fn medvill_shapes(config: &MedVillConfig) -> BTreeMap<String, Vec<usize>> {
    nn::shapes(&MedVill::init(config, Specials::BERT, &Device::flex()).unwrap())
}

fn check_resnet(weights: &Path, io: &Path, config: &ResNetConfig, stages: &[(&str, &str)]) {
    let given = checkpoint::read_safetensors_any(io).unwrap();
    let image = given["in.image"].float().unwrap();
    let mut weights = checkpoint::read(weights).unwrap();
    // The classifier has no part in MedViLL.
    weights.retain(|name, _| !name.starts_with("fc."));
    let expected = medvill_shapes(&MedVillConfig {
        image: config.clone(),
        ..MedVillConfig::tiny()
    });
    let imported = import("medvill", &weights, &expected, true).unwrap();
    for (label, device) in test_devices() {
        let net = nn::load(
            ResNet::new(config, &device),
            &below(&imported.arrays, "image."),
            &device,
            false,
        )
        .unwrap();
        let shape: [usize; 4] = image.shape.clone().try_into().unwrap();
        let x = Tensor::<4>::from_data(TensorData::new(image.data.clone(), shape), &device);
        let mut worst = 0.0;
        let mut seen = 0;
        net.forward(x, |name, value| {
            for (_, reference) in stages.iter().filter(|(stage, _)| *stage == name) {
                expect(&mut worst, &given, reference, &values(value.clone()), label);
                seen += 1;
            }
        });
        assert_eq!(seen, stages.len());
        println!(
            "parity {} on {label}: largest difference {worst:.2e}",
            io.display()
        );
    }
}

#[test]
fn parity_resnet50_w8() {
    let Some(dir) = parity_dir() else { return };
    let config = ResNetConfig {
        width: 8,
        ..ResNetConfig::resnet50()
    };
    check_resnet(
        &dir.join("resnet50_w8.weights.safetensors"),
        &dir.join("resnet50_w8.io.safetensors"),
        &config,
        &[
            ("stem", "out.stem"),
            ("layer2", "out.layer2"),
            ("layer4", "out.layer4"),
        ],
    );
}

#[test]
fn parity_densenet121_g4() {
    let Some(dir) = parity_dir() else { return };
    let given = checkpoint::read_safetensors_any(&dir.join("densenet121_g4.io.safetensors")).unwrap();
    let weights = checkpoint::read(&dir.join("densenet121_g4.weights.safetensors")).unwrap();
    let net = DenseNetConfig {
        width: 8,
        growth: 4,
        ..DenseNetConfig::densenet121()
    };
    let config = MedVillConfig {
        densenet: Some(net.clone()),
        ..MedVillConfig::tiny()
    };
    // The classifier has no part in MedViLL, so its logits are not compared; the table leaves it out.
    let imported = import("medvill", &weights, &medvill_shapes(&config), true).unwrap();
    assert!(
        imported.notes.iter().any(|note| note.contains("classifier")),
        "{:?}",
        imported.notes
    );
    let image = given["in.image"].float().unwrap();
    for (label, device) in test_devices() {
        let net = nn::load(
            DenseNet::new(&net, &device),
            &below(&imported.arrays, "image."),
            &device,
            false,
        )
        .unwrap();
        let shape: [usize; 4] = image.shape.clone().try_into().unwrap();
        let x = Tensor::<4>::from_data(TensorData::new(image.data.clone(), shape), &device);
        let mut worst = None;
        net.forward(x, |name, value| {
            if name == "norm5" {
                let mut gap = 0.0;
                expect(
                    &mut gap,
                    &given,
                    "out.features_pre_relu",
                    &values(value.clone()),
                    label,
                );
                worst = Some(gap);
            }
        });
        println!(
            "parity densenet121_g4 on {label}: largest difference {:.2e}",
            worst.unwrap()
        );
    }
}

/// What a file of BERT's reference tensors was made with.
struct BertCase<'a> {
    config: &'a BertConfig,
    mlm_norm_eps: f64,
    /// The number in the name of the first layer's output.
    first_layer: usize,
    /// Under which names, and with which kind and context.
    passes: &'a [(&'a str, MaskKind, usize)],
}

fn check_bert(weights: &Path, io: &Path, case: &BertCase<'_>) {
    let config = case.config;
    let given = checkpoint::read_safetensors_any(io).unwrap();
    let weights = checkpoint::read(weights).unwrap();
    let medvill = MedVillConfig {
        bert: config.clone(),
        ..MedVillConfig::tiny()
    };
    let imported = import("medvill", &weights, &medvill_shapes(&medvill), true).unwrap();
    let (shape, attention) = ints(&given, "in.attention_mask");
    let lengths: Vec<usize> = attention
        .chunks(shape[1])
        .map(|row| row.iter().filter(|&&keep| keep == 1).count())
        .collect();
    let (_, segments) = ints(&given, "in.token_type_ids");
    for (label, device) in test_devices() {
        let part = |prefix: &str| below(&imported.arrays, prefix);
        let text = nn::load(
            TextEmbeddings::new(config, &device),
            &part("text."),
            &device,
            false,
        )
        .unwrap();
        let encoder = nn::load(Encoder::new(config, &device), &part("encoder."), &device, false).unwrap();
        let words = int_tensor(&given, "in.input_ids", &device);
        let [batch, tokens] = words.dims();
        let positions: Vec<i32> = (0..tokens as i32).cycle().take(batch * tokens).collect();
        let positions = Tensor::<2, Int>::from_data(TensorData::new(positions, [batch, tokens]), &device);
        // Our embeddings take one segment a call; the reference mixes both, so each token is taken from its
        // own.
        let [zero, one] = [0, 1].map(|segment| text.forward(words.clone(), positions.clone(), segment));
        let second: Vec<f32> = segments.iter().map(|s| *s as f32).collect();
        let second = Tensor::<3>::from_data(TensorData::new(second, [batch, tokens, 1]), &device);
        let embedded = zero * (second.clone().neg() + 1.0) + one * second;
        let mut worst = 0.0;
        expect(
            &mut worst,
            &given,
            "out.embeddings",
            &values(embedded.clone()),
            label,
        );
        for &(prefix, kind, context) in case.passes {
            let mask = Mask {
                kind,
                context,
                query_start: 0,
                lengths: lengths.clone(),
            };
            // Under our causal kind a row of padding sees padding, as in MedViLL's release; nobody reads such
            // rows.
            let rows = (kind == MaskKind::Seq2Seq).then_some(lengths.as_slice());
            let hidden = encoder.forward(embedded.clone(), &AttentionPass::new(mask), |layer, x| {
                let name = format!("out.{prefix}layer{}", layer + case.first_layer);
                if given.contains_key(&name) {
                    expect_rows(&mut worst, &given, &name, &values(x.clone()), label, rows);
                }
            });
            let name = |layer: usize| format!("out.{prefix}attention{}", layer + case.first_layer);
            if rows.is_none() && given.contains_key(&name(0)) {
                let mask = Mask {
                    kind,
                    context,
                    query_start: 0,
                    lengths: lengths.clone(),
                };
                let keeping = AttentionPass::with_weights(mask);
                encoder.forward(embedded.clone(), &keeping, |_, _| ());
                let kept = keeping.probabilities();
                assert_eq!(kept.len(), config.layers);
                for (layer, probabilities) in kept.into_iter().enumerate() {
                    expect(&mut worst, &given, &name(layer), &values(probabilities), label);
                }
            }
            if given.contains_key("out.last_hidden") {
                expect(
                    &mut worst,
                    &given,
                    "out.last_hidden",
                    &values(hidden.clone()),
                    label,
                );
            }
            let head = nn::load(
                MlmHead::new(config, case.mlm_norm_eps, &device),
                &part("mlm."),
                &device,
                false,
            )
            .unwrap();
            let logits = values(head.forward(hidden.reshape([batch * tokens, config.width]), text.words()));
            expect_rows(
                &mut worst,
                &given,
                &format!("out.{prefix}mlm_logits"),
                &logits,
                label,
                rows,
            );
        }
        println!(
            "parity {} on {label}: largest difference {worst:.2e}",
            io.display()
        );
    }
}

#[test]
fn parity_bert_h64_under_both_namings() {
    let Some(dir) = parity_dir() else { return };
    let config = MedVillConfig::tiny().bert;
    for weights in [
        "bert_h64.weights.safetensors",
        "bert_h64_legacy_names.weights.safetensors",
    ] {
        let passes = [("", MaskKind::Bidirectional, 0)];
        let case = BertCase {
            config: &config,
            mlm_norm_eps: 1e-12,
            first_layer: 1,
            passes: &passes,
        };
        check_bert(&dir.join(weights), &dir.join("bert_h64.io.safetensors"), &case);
    }
}

#[test]
fn parity_medvill_tiny() {
    let Some(dir) = parity_dir() else { return };
    let given = checkpoint::read_safetensors_any(&dir.join("medvill_tiny.io.safetensors")).unwrap();
    let weights = checkpoint::read(&dir.join("medvill_tiny.weights.safetensors")).unwrap();
    let config = MedVillConfig::tiny();
    let imported = import("medvill", &weights, &medvill_shapes(&config), false).unwrap();
    for (label, device) in test_devices() {
        let model = nn::load(
            MedVill::init(&config, Specials::BERT, &device).unwrap(),
            &imported.arrays,
            &device,
            false,
        )
        .unwrap();
        let mut trace = nn::Trace::on();
        model.trace(&given, &mut trace).unwrap();
        let outputs = trace.into_arrays().unwrap();
        let mut worst = 0.0;
        let mut compared = 0;
        for (name, reference) in &given {
            if name.starts_with("out.") && reference.float().is_some() {
                expect(&mut worst, &given, name, &outputs[name].data, label);
                compared += 1;
            }
        }
        assert_eq!(compared, 20, "two maps, and six values of three schemes");
        println!("parity medvill_tiny on {label}: largest difference {worst:.2e}");
    }
}

#[test]
fn parity_golden_bert_bidirectional_and_causal() {
    let config = BertConfig {
        vocabulary: 50,
        width: 32,
        layers: 2,
        heads: 4,
        intermediate: 64,
        positions: 24,
        dropout: 0.1,
        ..BertConfig::base()
    };
    let passes = [
        ("", MaskKind::Bidirectional, 0),
        ("causal.", MaskKind::Seq2Seq, 5),
    ];
    let case = BertCase {
        config: &config,
        mlm_norm_eps: 1e-12,
        first_layer: 0,
        passes: &passes,
    };
    let dir = golden();
    check_bert(
        &dir.join("bert_tiny.weights.safetensors"),
        &dir.join("bert_tiny.io.safetensors"),
        &case,
    );
}

#[test]
fn parity_golden_resnet() {
    let config = ResNetConfig {
        channels: 3,
        width: 4,
        block: hilum::nn::Block::Bottleneck,
        depths: [1, 2, 1, 1],
    };
    let dir = golden();
    let stages = [
        ("stem", "out.pool"),
        ("layer1", "out.layer1"),
        ("layer2", "out.layer2"),
        ("layer3", "out.layer3"),
        ("layer4", "out.layer4"),
    ];
    check_resnet(
        &dir.join("resnet_tiny.weights.safetensors"),
        &dir.join("resnet_tiny.io.safetensors"),
        &config,
        &stages,
    );
}
