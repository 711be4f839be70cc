//! Tests of the model whole: masks, sides, sizes.

use std::time::Instant;

use burn::nn::{Initializer, Linear};
use burn::tensor::{Distribution, TensorData};

use super::*;
use crate::image::Preprocessing;
use crate::nn::DenseNetConfig;

/// Special tokens of the small vocabularies here.
const SPECIALS: Specials = Specials {
    cls: 1,
    sep: 2,
    mask: 3,
    ..Specials::BERT
};

/// The tiny model with these aids.
fn aided(ours: OursConfig) -> MedVillConfig {
    MedVillConfig {
        ours: Some(OursConfig {
            findings_head: true,
            ..ours
        }),
        ..MedVillConfig::tiny()
    }
}

fn init(config: &MedVillConfig, device: &Device) -> MedVill {
    MedVill::init(config, SPECIALS, device).unwrap()
}

#[test]
fn presets_can_run_and_say_their_sizes() {
    for name in MedVillConfig::PRESETS {
        MedVillConfig::preset(name).unwrap().validate().unwrap();
    }
    let paper = MedVillConfig::paper();
    assert_eq!(
        (paper.visual_tokens(), paper.features(), paper.sequence()),
        (256, 2048, 512)
    );
}

#[test]
fn a_config_that_cannot_run_is_refused_by_key() {
    let refused = |config: MedVillConfig| config.validate().unwrap_err().to_string();
    let mut config = MedVillConfig::tiny();
    config.bert.heads = 7;
    assert!(refused(config).contains("bert.heads"));
    let mut config = MedVillConfig::tiny();
    config.sampled = 10;
    assert!(refused(config).contains("sampled"));
    let densenet = Some(DenseNetConfig::densenet121());
    let config = MedVillConfig {
        densenet: densenet.clone(),
        ..MedVillConfig::tiny()
    };
    config.validate().unwrap();
    assert_eq!((config.features(), config.channels()), (1024, 3));
    let preprocessing = Preprocessing {
        size: 100,
        ..config.preprocessing
    };
    assert!(
        refused(MedVillConfig {
            preprocessing,
            ..config
        })
        .contains("multiple of 32")
    );
    let mut config = aided(OursConfig::default());
    config.ours = Some(OursConfig {
        global_prior: true,
        ..OursConfig::default()
    });
    assert!(refused(config).contains("findings_head"));
}

#[test]
fn every_visual_token_carries_what_the_map_shows_elsewhere() {
    let device = Device::flex();
    let change = |global_prior: bool| {
        let ours = OursConfig {
            global_prior,
            ..OursConfig::default()
        };
        let model = init(&aided(ours), &device);
        let embed = |last: f32| {
            let mut map = vec![0f32; 9 * 256];
            map[8 * 256..].fill(last);
            let map = Tensor::from_data(TensorData::new(map, [1, 9, 256]), &device);
            model.embed_context(map, None)
        };
        // Column 1 is the first cell; only the last cell was changed.
        let first = (embed(9.0) - embed(0.0)).abs().slice([0..1, 1..2, 0..64]);
        first.max().into_scalar::<f32>()
    };
    assert_eq!(change(false), 0.0);
    assert!(change(true) > 0.01);
}

#[test]
fn a_visual_token_carries_what_its_own_cell_shows() {
    let device = Device::flex();
    let mut model = init(
        &aided(OursConfig {
            grid_positions: true,
            local_prior: true,
            ..OursConfig::default()
        }),
        &device,
    );
    let mut map = vec![0f32; 9 * 256];
    map[8 * 256..].fill(3.0);
    let map = Tensor::from_data(TensorData::new(map, [1, 9, 256]), &device);
    // A layer that is sure of everything in the last cell and of nothing elsewhere.
    let weight = Initializer::Constant { value: 0.1 }.init([256, 3 * 14], &device);
    model.map_findings = model.map_findings.map(|layer| Linear { weight, ..layer });
    let with = model.embed_context(map.clone(), None);
    model.visual.cells = None;
    let change = (with - model.embed_context(map, None)).abs();
    let most = |column: usize| {
        change
            .clone()
            .slice([0..1, column..column + 1, 0..64])
            .max()
            .into_scalar::<f32>()
    };
    // A cell that shows nothing has small probabilities; CLS and SEP are no cells.
    assert!(
        most(9) > 0.1 && (1..9).all(|column| most(column) < 0.1),
        "{change}"
    );
    assert_eq!((most(0), most(10)), (0.0, 0.0));
}

#[test]
fn both_is_sequence_to_sequence_in_three_of_four() {
    let config = MedVillConfig::tiny();
    let draws = (0..100).map(|i| Scheme::BiAndSeq2Seq.mask_kind(&config, f64::from(i) / 100.0));
    assert_eq!(draws.filter(|kind| *kind == MaskKind::Seq2Seq).count(), 75);
}

#[test]
fn a_finding_on_the_patients_left_lies_right_in_the_picture() {
    let device = Device::flex();
    let model = init(&aided(OursConfig::default()), &device);
    // A map that is loud in its last column: what the layer says of it must reach left, not right.
    let mut loud = vec![0f32; 9 * 256];
    for row in 0..3 {
        loud[(row * 3 + 2) * 256..(row * 3 + 3) * 256].fill(3.0);
    }
    let read = |map: Tensor<3>| model.findings_logits(map, None).unwrap().reshape([1, 3, 14]);
    let quiet = read(Tensor::zeros([1, 9, 256], &device));
    let loud = read(Tensor::from_data(TensorData::new(loud, [1, 9, 256]), &device));
    let change: Vec<f32> = (loud - quiet)
        .abs()
        .sum_dim(2)
        .into_data()
        .iter::<f32>()
        .collect();
    assert!(change[1] > 1.0 && change[2] == 0.0, "{change:?}");
}

#[test]
fn a_words_attention_is_that_of_the_step_that_wrote_it() {
    let device = Device::flex();
    let model = init(&MedVillConfig::tiny(), &device);
    let features = Tensor::<3>::random([1, 9, 256], Distribution::Default, &device);
    let look = |words: Vec<i32>| {
        let count = words.len();
        let attention = model
            .attention(features.clone(), ints(words, [1, count], &device))
            .unwrap();
        assert_eq!(attention.dims(), [1, count, 9]);
        attention.into_data().iter::<f32>().collect::<Vec<_>>()
    };
    let (known, other) = (look(vec![7, 8, 9]), look(vec![7, 8, 4]));
    // The third word itself and what follows are not seen by the step that writes it.
    assert!(
        known.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-6),
        "{known:?} {other:?}"
    );
    assert!(
        known
            .chunks(9)
            .all(|row| row.iter().all(|p| *p > 0.0) && row.iter().sum::<f32>() < 1.0)
    );
    let changed = look(vec![7, 5, 9]);
    assert_eq!(known[..18], changed[..18], "what comes later changes nothing");
    assert_ne!(known[18..], changed[18..], "what came before does");
}

#[test]
fn teacher_forcing_gives_what_the_steps_give() {
    let device = Device::flex();
    for baseline in [None, Some(Baseline::Tienet)] {
        let config = MedVillConfig {
            baseline,
            ..MedVillConfig::tiny()
        };
        let model = init(&config, &device);
        let features = Tensor::<3>::random([2, 9, 256], Distribution::Default, &device);
        let words = ints(vec![7, 8, 9, 10, 11, 12], [2, 3], &device);
        let forced = model.forward(features.clone(), words.clone());
        assert_eq!(forced.dims(), [2, 4, 120]);
        let mut state = model.start(features, 4);
        for t in 0..4 {
            let last = (t > 0).then(|| words.clone().narrow(1, t - 1, 1));
            let step = model.step(&mut state, last);
            let gap = (step - forced.clone().narrow(1, t, 1).reshape([2, 120]))
                .abs()
                .max();
            assert!(gap.into_scalar::<f32>() < 1e-4, "{baseline:?}, step {t}");
        }
    }
}

#[test]
fn under_non_crossing_text_is_blind_to_the_picture_but_matching_is_not() {
    let device = Device::flex();
    let config = MedVillConfig::tiny();
    let model = init(&config, &device);
    let pass = |scheme: Scheme, shade: f32| {
        let features = Tensor::<3>::full([1, 9, 256], shade, &device);
        let words = ints(vec![7, 8, 9, 2], [1, 4], &device);
        let context = model.embed_context(features, None);
        let text = model.embed_text(words, scheme);
        let columns = 11 + text.dims()[1];
        let encoded = model.encode(
            context,
            text,
            scheme.mask_kind(&config, 0.0),
            vec![columns],
            |_, _| (),
        );
        let words = encoded.hidden.slice([0..1, 11..columns, 0..64]);
        let values = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        (
            values(words),
            encoded.pooled.into_data().iter::<f32>().collect::<Vec<_>>(),
        )
    };
    let (dark, bright) = (pass(Scheme::NonCrossing, 0.1), pass(Scheme::NonCrossing, 2.0));
    assert_eq!(dark.0.len(), 5 * 64, "a second CLS opens the text");
    assert_eq!(dark.0, bright.0);
    assert_ne!(dark.1, bright.1);
    assert_ne!(pass(Scheme::Bi, 0.1).0, pass(Scheme::Bi, 2.0).0);
}

#[allow(clippy::disallowed_methods, reason = "a measurement")]
/// `cargo test --release -p hilum --lib paper_size -- --ignored --nocapture`
#[test]
#[ignore = "takes gigabytes and half a minute; it is a measurement"]
fn paper_size_drafts_one_word() {
    let config = MedVillConfig::paper();
    for (name, device) in crate::device::test_devices() {
        let model = MedVill::init(&config, Specials::BERT, &device).unwrap();
        let pixels = Tensor::<4>::random([1, 1, 512, 512], Distribution::Default, &device);
        let pass = || {
            let began = Instant::now();
            let features = model.encode_image(pixels.clone());
            device.sync().unwrap();
            let encoded = began.elapsed();
            let mut state = model.start(features, 130);
            device.sync().unwrap();
            let opened = began.elapsed();
            let token = ints(vec![1000], [1, 1], &device);
            let logits = model.step(&mut state, None);
            assert_eq!(
                logits.into_data().iter::<f32>().filter(|p| p.is_finite()).count(),
                30_522
            );
            let stepped = began.elapsed();
            model.step(&mut state, Some(token)).into_data();
            [encoded, opened, stepped, began.elapsed()]
        };
        // The first pass draws the weights.
        pass();
        let [encoded, opened, stepped, again] = pass();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status
            .lines()
            .find(|l| l.starts_with("VmHWM"))
            .unwrap_or("VmHWM: unknown")
            .to_owned();
        println!(
            "paper size on {name}: picture {encoded:.2?}, context {:.2?}, first word {:.2?}, next word {:.2?}; {peak}",
            opened - encoded,
            stepped - opened,
            again - stepped
        );
    }
}
