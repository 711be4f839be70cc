//! The cache changes no draft, and a beam finds the best.

use burn::tensor::{Device, Distribution};

use super::*;
use crate::bundle::Manifest;
use crate::systems::medvill::{Baseline, MedVill, MedVillConfig};
use crate::text::Tokenizer;

pub(in crate::tasks) fn words() -> Tokenizer {
    let texts = [
        "the heart is normal in size",
        "there is a small left pleural effusion",
        "no pneumothorax is seen",
    ];
    Tokenizer::train(texts.iter().map(|t| (*t).to_owned()), 90).unwrap()
}

/// A session of a random model, which writes long, arbitrary text: every step is compared, none is easy. BERT or the
/// baseline's LSTM writes.
pub(in crate::tasks) fn session(
    device: &Device,
    tokenizer: &Tokenizer,
    baseline: Option<Baseline>,
) -> Session {
    let mut config = MedVillConfig {
        baseline,
        ..MedVillConfig::tiny()
    };
    config.bert.vocabulary = tokenizer.vocabulary_size();
    config.max_tokens = 62;
    let specials = tokenizer.specials();
    // Random weights are drawn on the CPU, so that all devices have the same.
    let cpu = Device::flex();
    cpu.seed(7);
    let mut weights = crate::nn::parameters(&MedVill::init(&config, specials, &cpu).unwrap()).unwrap();
    // Louder words and a SEP that is loath to come make a long draft whose words differ.
    let table = weights.get_mut("text.word_embeddings.weight").unwrap();
    table.data.iter_mut().for_each(|w| *w *= 20.0);
    weights.get_mut("mlm.decoder.bias").unwrap().data[specials.sep as usize] = -6.0;
    let fresh = MedVill::init(&config, specials, device).unwrap();
    let model = crate::nn::load(fresh, &weights, device, false).unwrap();
    let mut manifest = Manifest::new("test", "medvill", "tiny", serde_json::Value::Null);
    manifest.tasks = vec![Task::Draft];
    Session::from_parts(manifest, model.into(), Some(tokenizer.clone()), device.clone()).unwrap()
}

fn options(beam: usize, cache: bool) -> DraftOptions {
    DraftOptions {
        beam,
        max_tokens: 62,
        cache,
    }
}

fn greedy(drafter: &Drafter<'_>, image: Tensor<3>, options: DraftOptions) -> Draft {
    pollster::block_on(drafter.draft(image, options, |_| ControlFlow::Continue(()))).unwrap()
}

#[test]
fn the_cache_does_not_change_the_draft() {
    let tokenizer = words();
    let cpu = Device::flex();
    let images = Tensor::<3>::random([3, 9, 256], Distribution::Normal(0.0, 1.0), &cpu);
    let devices = crate::device::test_devices()
        .into_iter()
        .map(|(_, device)| (device, None));
    // The baseline's LSTM on the CPU alone: it has no kernel of ours, and a software adapter takes minutes
    // for its many dispatches.
    for (device, baseline) in devices.chain([(cpu.clone(), Some(Baseline::Tienet))]) {
        let session = session(&device, &tokenizer, baseline);
        let drafter = Drafter::new(&session).unwrap();
        let images = images.clone().to_device(&device);
        let at_once = |options| pollster::block_on(drafter.draft_batch(images.clone(), options)).unwrap();
        let (batch, beams) = (at_once(options(1, true)), at_once(options(3, true)));
        for (sample, together) in batch.iter().enumerate() {
            let one = images.clone().narrow(0, sample, 1);
            let draft = |options| greedy(&drafter, one.clone(), options);
            let (cached, whole) = (draft(options(1, true)), draft(options(1, false)));
            let count = cached.tokens.len();
            assert!(count > 5, "too short to prove anything: {count} tokens");
            assert_eq!(cached.ids(), whole.ids());
            assert_eq!(cached.ids(), together.ids());
            assert_eq!(draft(options(3, true)).ids(), draft(options(3, false)).ids());
            assert_eq!(draft(options(3, true)).ids(), beams[sample].ids());
            for (a, b) in cached.tokens.iter().zip(&whole.tokens) {
                assert!((a.probability - b.probability).abs() < 1e-4);
            }
        }
    }
}

/// All texts of at most `most` tokens by their mean log-probability a token, SEP included: what a beam as wide as the
/// vocabulary must find.
fn best_by_search(session: &Session, image: &Tensor<3>, most: usize) -> Vec<u32> {
    let generator = session.generator().unwrap();
    let specials = session.tokenizer(Task::Draft).unwrap().specials();
    let scores = |tokens: &[u32]| -> Vec<f32> {
        let mut ids: Vec<i32> = tokens.iter().map(|t| *t as i32).collect();
        ids.push(specials.pad as i32);
        let count = ids.len();
        let logits = generator.forward(image.clone(), ints(ids, [1, count], &image.device()));
        let vocabulary = logits.dims()[2];
        let step = logits.narrow(1, count - 1, 1).reshape([1, vocabulary]);
        log_softmax(step, 1).into_data().iter::<f32>().collect()
    };
    let (mut best, mut found) = (f64::NEG_INFINITY, Vec::new());
    let mut open: Vec<(f64, Vec<u32>)> = vec![(0.0, Vec::new())];
    for step in 1..=most {
        let mut next = Vec::new();
        for (sum, tokens) in open {
            for (id, score) in scores(&tokens).into_iter().enumerate() {
                let id = id as u32;
                if [specials.pad, specials.cls, specials.mask, specials.unk].contains(&id) {
                    continue;
                }
                let sum = sum + f64::from(score);
                if id == specials.sep {
                    if sum / step as f64 > best {
                        (best, found) = (sum / step as f64, tokens.clone());
                    }
                } else {
                    next.push((sum, [tokens.as_slice(), &[id]].concat()));
                }
            }
        }
        open = next;
    }
    found
}

#[test]
fn a_beam_as_wide_as_all_texts_finds_the_most_probable_one() {
    let tokenizer = words();
    let device = Device::flex();
    let session = session(&device, &tokenizer, None);
    let drafter = Drafter::new(&session).unwrap();
    let image = Tensor::<3>::random([1, 9, 256], Distribution::Normal(0.0, 1.0), &device);
    // Two steps: SEP at once, or one word and SEP.
    let all = DraftOptions {
        beam: tokenizer.vocabulary_size(),
        max_tokens: 2,
        cache: true,
    };
    let draft = greedy(&drafter, image.clone(), all);
    assert!(draft.finished);
    assert_eq!(draft.ids(), best_by_search(&session, &image, 2));
}

#[test]
fn a_stop_ends_the_draft_at_that_token() {
    let tokenizer = words();
    let device = Device::flex();
    let session = session(&device, &tokenizer, None);
    let drafter = Drafter::new(&session).unwrap();
    let image = Tensor::<3>::random([1, 9, 256], Distribution::Normal(0.0, 1.0), &device);
    let mut seen = 0;
    let stop = |_: &Token| {
        seen += 1;
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let draft = pollster::block_on(drafter.draft(image, options(1, true), stop)).unwrap();
    assert_eq!((draft.tokens.len(), draft.finished), (3, false));
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
        let model = MedVill::init(&config, tokenizer.specials(), &device).unwrap();
        let image = Tensor::<3>::zeros([1, config.visual_tokens(), config.features()], &device);
        let column = |id: u32| ints(vec![id as i32], [1, 1], &device);
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for round in 0..6 {
            let mut state = model.start(image.clone(), 70);
            let mut last = None;
            for step in 0..62 {
                let began = std::time::Instant::now();
                model.step(&mut state, last.take()).into_data();
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
