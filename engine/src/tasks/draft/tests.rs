//! The cache changes no draft, and costs what it should.

use burn::tensor::{Device, Distribution};

use super::*;
use crate::systems::medvill::MedVillConfig;

fn words() -> Tokenizer {
    let texts = [
        "the heart is normal in size",
        "there is a small left pleural effusion",
        "no pneumothorax is seen",
    ];
    Tokenizer::train(texts.iter().map(|t| (*t).to_owned()), 90).unwrap()
}

/// A random model writes long, arbitrary text: every step is compared, none is easy.
fn model(device: &Device, tokenizer: &Tokenizer) -> MedVill {
    writer(device, tokenizer, false)
}

/// The same, where BERT or the baseline's LSTM writes.
fn writer(device: &Device, tokenizer: &Tokenizer, recurrent: bool) -> MedVill {
    let mut config = MedVillConfig {
        recurrent,
        ..MedVillConfig::tiny()
    };
    config.bert.vocabulary = tokenizer.vocabulary_size();
    config.words = 62;
    // Random weights are drawn on the CPU, so that all devices have the same.
    let cpu = Device::flex();
    cpu.seed(7);
    let mut weights = crate::nn::parameters(&MedVill::new(&config, &cpu).unwrap()).unwrap();
    // Louder words and a SEP that is loath to come make a long draft whose words differ.
    weights
        .get_mut("text.word_embeddings.weight")
        .unwrap()
        .data
        .iter_mut()
        .for_each(|w| *w *= 20.0);
    weights.get_mut("mlm.decoder.bias").unwrap().data[tokenizer.specials().sep as usize] = -6.0;
    crate::nn::load(MedVill::new(&config, device).unwrap(), &weights, device, false).unwrap()
}

fn options(beam: usize, cache: bool) -> DraftOptions {
    DraftOptions {
        beam,
        words: 62,
        cache,
    }
}

fn ids(draft: &Draft) -> Vec<u32> {
    draft.words.iter().map(|w| w.id).collect()
}

#[test]
fn the_cache_does_not_change_the_draft() {
    let tokenizer = words();
    let cpu = Device::flex();
    let features = Tensor::<3>::random([3, 9, 256], Distribution::Normal(0.0, 1.0), &cpu);
    let devices = crate::device::test_devices()
        .into_iter()
        .map(|(_, device)| (device, false));
    // The baseline's LSTM on the CPU alone: it has no kernel of ours, and a software adapter takes minutes
    // for its many dispatches.
    for (device, recurrent) in devices.chain([(cpu.clone(), true)]) {
        let model = writer(&device, &tokenizer, recurrent);
        let drafter = Drafter::new(&model, &tokenizer);
        let features = features.clone().to_device(&device);
        let batch = pollster::block_on(drafter.draft_batch(features.clone(), 62)).unwrap();
        for (sample, together) in batch.iter().enumerate() {
            let one = features.clone().slice([sample..sample + 1, 0..9, 0..256]);
            let draft = |options| {
                pollster::block_on(drafter.draft(one.clone(), options, |_| ControlFlow::Continue(())))
                    .unwrap()
            };
            let (cached, whole) = (draft(options(1, true)), draft(options(1, false)));
            assert!(
                cached.words.len() > 5,
                "too short to prove anything: {} words",
                cached.words.len()
            );
            assert_eq!(ids(&cached), ids(&whole));
            assert_eq!(ids(&cached), ids(together));
            assert_eq!(ids(&draft(options(3, true))), ids(&draft(options(3, false))));
            for (a, b) in cached.words.iter().zip(&whole.words) {
                assert!((a.probability - b.probability).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn a_wider_beam_never_finds_a_less_likely_report() {
    let tokenizer = words();
    let device = Device::flex();
    let model = model(&device, &tokenizer);
    let drafter = Drafter::new(&model, &tokenizer);
    let features = Tensor::<3>::random([1, 9, 256], Distribution::Normal(0.0, 1.0), &device);
    let mean = |draft: &Draft| {
        draft.words.iter().map(|w| w.probability.ln()).sum::<f32>() / draft.words.len().max(1) as f32
    };
    let draft = |beam| {
        let each = |_: &Word| ControlFlow::Continue(());
        pollster::block_on(drafter.draft(features.clone(), options(beam, true), each)).unwrap()
    };
    assert!(mean(&draft(4)) >= mean(&draft(1)) - 1e-4);
}

#[test]
fn a_stop_ends_the_draft_at_that_word() {
    let tokenizer = words();
    let device = Device::flex();
    let model = model(&device, &tokenizer);
    let drafter = Drafter::new(&model, &tokenizer);
    let features = Tensor::<3>::random([1, 9, 256], Distribution::Normal(0.0, 1.0), &device);
    let mut seen = 0;
    let stop = |_: &Word| {
        seen += 1;
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let draft = pollster::block_on(drafter.draft(features, options(1, true), stop)).unwrap();
    assert_eq!((draft.words.len(), draft.finished), (3, false));
}

#[test]
fn word_60_costs_at_most_a_tenth_more_than_word_5() {
    let device = Device::flex();
    let tokenizer = words();
    let mut config = MedVillConfig::demo();
    config.bert.vocabulary = tokenizer.vocabulary_size();
    let model = MedVill::new(&config, &device).unwrap();
    let features = Tensor::<3>::zeros([1, config.visual_tokens(), config.features()], &device);
    let mut state = model.open_draft(features, tokenizer.specials(), 70);
    let column = |id: u32| ints(vec![id as i32], [1, 1], &device);
    let mut costs = Vec::new();
    let mut last = None;
    for _ in 0..61 {
        let before = state.work();
        model.step_draft(&mut state, last.take(), column(tokenizer.specials().mask));
        costs.push(state.work() - before);
        last = Some(column(9));
    }
    let ratio = costs[60] as f64 / costs[5] as f64;
    assert!(ratio <= 1.1 && ratio > 1.0, "{ratio}");
}

/// `cargo test --release -p hilum --lib measure_words -- --ignored --nocapture`
#[test]
#[ignore = "it is a measurement"]
#[allow(clippy::disallowed_methods, reason = "a measurement")]
fn measure_words_5_and_60() {
    let tokenizer = words();
    let mut config = MedVillConfig::demo();
    config.bert.vocabulary = tokenizer.vocabulary_size();
    for (name, device) in crate::device::test_devices() {
        let model = MedVill::new(&config, &device).unwrap();
        let features = Tensor::<3>::zeros([1, config.visual_tokens(), config.features()], &device);
        let column = |id: u32| ints(vec![id as i32], [1, 1], &device);
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for round in 0..6 {
            let mut state = model.open_draft(features.clone(), tokenizer.specials(), 70);
            let mut last = None;
            for step in 0..62 {
                let began = std::time::Instant::now();
                model
                    .step_draft(&mut state, last.take(), column(tokenizer.specials().mask))
                    .into_data();
                let milliseconds = began.elapsed().as_secs_f64() * 1e3;
                last = Some(column(9));
                // The first round compiles and fills caches.
                match step {
                    3..=6 if round > 0 => early.push(milliseconds),
                    58..=61 if round > 0 => late.push(milliseconds),
                    _ => {}
                }
            }
        }
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let (early, late) = (median(&mut early), median(&mut late));
        println!(
            "{name}: word 5 {early:.2} ms, word 60 {late:.2} ms, ratio {:.2}",
            late / early
        );
    }
}
