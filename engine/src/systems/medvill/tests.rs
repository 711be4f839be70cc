//! Tests of the model whole: masks, sides, sizes.

use std::time::Instant;

use burn::tensor::{Distribution, TensorData};

use super::*;
use crate::nn::DenseNetConfig;

#[test]
fn presets_can_run_and_say_their_sizes() {
    for name in MedVillConfig::PRESETS {
        MedVillConfig::preset(name).unwrap().check().unwrap();
    }
    let paper = MedVillConfig::paper();
    assert_eq!(
        (paper.visual_tokens(), paper.features(), paper.sequence()),
        (256, 2048, 512)
    );
}

#[test]
fn a_config_that_cannot_run_is_refused_by_key() {
    let mut config = MedVillConfig::tiny();
    config.bert.heads = 7;
    assert!(config.check().unwrap_err().to_string().contains("bert.heads"));
    let mut config = MedVillConfig::tiny();
    config.sampled = 10;
    assert!(config.check().unwrap_err().to_string().contains("sampled"));
    let densenet = Some(DenseNetConfig::densenet121());
    let config = MedVillConfig {
        densenet: densenet.clone(),
        ..MedVillConfig::tiny()
    };
    config.check().unwrap();
    assert_eq!((config.features(), config.channels()), (1024, 3));
    let config = MedVillConfig {
        size: 100,
        densenet,
        ..MedVillConfig::tiny()
    };
    assert!(config.check().unwrap_err().to_string().contains("multiple of 32"));
    let config = MedVillConfig {
        findings_projection: true,
        ..MedVillConfig::tiny()
    };
    assert!(
        config
            .check()
            .unwrap_err()
            .to_string()
            .contains("findings_projection")
    );
    let bilinear: BilinearConfig = serde_json::from_value(serde_json::json!({ "width": 8 })).unwrap();
    let mut config = MedVillConfig {
        bilinear: Some(bilinear),
        picture_vector: 8,
        ..MedVillConfig::tiny()
    };
    assert!(config.check().unwrap_err().to_string().contains("answer_softmax"));
    config.answer_softmax = true;
    config.check().unwrap();
    config.picture_vector = 0;
    assert!(config.check().unwrap_err().to_string().contains("picture_vector"));
}

#[test]
fn every_visual_token_carries_what_the_map_shows_elsewhere() {
    let device = Device::flex();
    let change = |findings_projection: bool| {
        let config = MedVillConfig {
            map_findings: true,
            findings_projection,
            ..MedVillConfig::tiny()
        };
        let model = MedVill::new(&config, &device).unwrap();
        let specials = Specials {
            cls: 1,
            sep: 2,
            ..Specials::BERT
        };
        let grid: Vec<usize> = (0..9).collect();
        let embed = |last: f32| {
            let mut map = vec![0f32; 9 * 256];
            map[8 * 256..].fill(last);
            let map = Tensor::from_data(TensorData::new(map, [1, 9, 256]), &device);
            model.embed_context(map, &grid, specials)
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
    let config = MedVillConfig {
        map_findings: true,
        own_grid: true,
        cells_projection: true,
        ..MedVillConfig::tiny()
    };
    let mut model = MedVill::new(&config, &device).unwrap();
    let specials = Specials {
        cls: 1,
        sep: 2,
        ..Specials::BERT
    };
    let grid: Vec<usize> = (0..9).collect();
    let mut map = vec![0f32; 9 * 256];
    map[8 * 256..].fill(3.0);
    let map = Tensor::from_data(TensorData::new(map, [1, 9, 256]), &device);
    // A layer that is sure of everything in the last cell and of nothing elsewhere.
    let weight = Initializer::Constant { value: 0.1 }.init([256, 3 * 14], &device);
    model.map_findings = model.map_findings.map(|layer| Linear { weight, ..layer });
    let with = model.embed_context(map.clone(), &grid, specials);
    model.visual.cells = None;
    let change = (with - model.embed_context(map, &grid, specials)).abs();
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
    let draws = (0..100).map(|i| Scheme::BiAndSeq2Seq.rule(&config, f64::from(i) / 100.0));
    assert_eq!(draws.filter(|rule| *rule == Rule::Seq2Seq).count(), 75);
}

#[test]
fn a_finding_on_the_patients_left_lies_right_in_the_picture() {
    let device = Device::flex();
    let config = MedVillConfig {
        map_findings: true,
        ..MedVillConfig::tiny()
    };
    let model = MedVill::new(&config, &device).unwrap();
    let grid: Vec<usize> = (0..9).collect();
    // A map that is loud in its last column: what the layer says of it must reach left, not right.
    let mut loud = vec![0f32; 9 * 256];
    for row in 0..3 {
        loud[(row * 3 + 2) * 256..(row * 3 + 3) * 256].fill(3.0);
    }
    let quiet = model
        .map_findings(Tensor::zeros([1, 9, 256], &device), &grid)
        .unwrap();
    let loud = model
        .map_findings(
            Tensor::from_data(TensorData::new(loud, [1, 9, 256]), &device),
            &grid,
        )
        .unwrap();
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
    let model = MedVill::new(&MedVillConfig::tiny(), &device).unwrap();
    let specials = Specials {
        cls: 1,
        sep: 2,
        mask: 3,
        ..Specials::BERT
    };
    let features = Tensor::<3>::random([1, 9, 256], Distribution::Default, &device);
    let look = |words: Vec<i32>| {
        let count = words.len();
        let layers = model.attention(features.clone(), ints(words, [1, count], &device), specials);
        assert_eq!(layers.len(), model.config().bert.layers);
        layers
            .into_iter()
            .map(|layer| {
                assert_eq!(layer.dims(), [1, count, 9]);
                layer.into_data().iter::<f32>().collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    let (known, other) = (look(vec![7, 8, 9]), look(vec![7, 8, 4]));
    for (known, other) in known.iter().zip(&other) {
        // The third word itself and what follows are not seen by the step that writes it.
        assert!(
            known.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-6),
            "{known:?} {other:?}"
        );
        assert!(
            known
                .chunks(9)
                .all(|row| row.iter().all(|p| *p > 0.0) && row.iter().sum::<f32>() < 1.0)
        );
    }
    let changed = look(vec![7, 5, 9]);
    let last = known.len() - 1;
    assert_eq!(
        known[last][..18],
        changed[last][..18],
        "what comes later changes nothing"
    );
    assert_ne!(known[last][18..], changed[last][18..], "what came before does");
}

#[test]
fn under_non_crossing_text_is_blind_to_the_picture_but_matching_is_not() {
    let device = Device::flex();
    let config = MedVillConfig::tiny();
    let model = MedVill::new(&config, &device).unwrap();
    let specials = Specials {
        cls: 1,
        sep: 2,
        ..Specials::BERT
    };
    let grid: Vec<usize> = (0..9).collect();
    let pass = |scheme: Scheme, shade: f32| {
        let features = Tensor::<3>::full([1, 9, 256], shade, &device);
        let words = ints(vec![7, 8, 9, 2], [1, 4], &device);
        let context = model.embed_context(features, &grid, specials);
        let text = model.embed_text(words, scheme, specials);
        let columns = 11 + text.dims()[1];
        let encoded = model.encode(context, text, scheme.rule(&config, 0.0), vec![columns], |_, _| ());
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
        let model = MedVill::new(&config, &device).unwrap();
        let pixels = Tensor::<3>::random([1, 512, 512], Distribution::Default, &device);
        let began = Instant::now();
        let features = model.encode_image(model.picture(pixels), |_, _| ());
        device.sync().unwrap();
        let encoded = began.elapsed();
        let mut state = model.open_draft(features, Specials::BERT, 130);
        device.sync().unwrap();
        let opened = began.elapsed();
        let mask = || ints(vec![103], [1, 1], &device);
        let logits = model.step_draft(&mut state, None, mask());
        assert_eq!(
            logits.into_data().iter::<f32>().filter(|p| p.is_finite()).count(),
            30_522
        );
        let stepped = began.elapsed();
        model.step_draft(&mut state, Some(mask()), mask()).into_data();
        let again = began.elapsed();
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
