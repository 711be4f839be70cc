//! The engine in a browser's worker: what WebAssembly and the browser's WebGPU could do otherwise than the
//! desktop does.
#![cfg(target_family = "wasm")]
#![allow(clippy::unwrap_used)]

#[path = "../../../tests/decode/by_hand.rs"]
mod by_hand;

use burn::tensor::{Device, Tensor, TensorData};
use hilum::bundle::Manifest;
use hilum::device::{self, DeviceChoice};
use hilum::image::{Gray8, WindowChoice, decode};
use hilum::nn;
use hilum::systems::Task;
use hilum::systems::medvill::{MedVill, MedVillConfig};
use hilum::tasks::{Draft, DraftOptions, Drafter, Session};
use hilum::text::Tokenizer;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

fn words() -> Tokenizer {
    let texts = [
        "the heart is normal in size",
        "there is a small left pleural effusion",
        "no pneumothorax is seen",
    ];
    Tokenizer::train(texts.iter().map(|t| (*t).to_owned()), 90).unwrap()
}

/// The same random weights on every device.
fn weights(config: &MedVillConfig, tokenizer: &Tokenizer) -> nn::Arrays {
    let cpu = Device::flex();
    cpu.seed(7);
    let model = MedVill::init(config, tokenizer.specials(), &cpu).unwrap();
    let mut weights = nn::parameters(&model).unwrap();
    // Without SEP the draft does not end early; louder words make it one whose words differ.
    weights.get_mut("mlm.decoder.bias").unwrap().data[tokenizer.specials().sep as usize] = -1e4;
    weights
        .get_mut("text.word_embeddings.weight")
        .unwrap()
        .data
        .iter_mut()
        .for_each(|w| *w *= 20.0);
    weights
}

fn session(device: &Device, config: &MedVillConfig, tokenizer: &Tokenizer) -> Session {
    let model = MedVill::init(config, tokenizer.specials(), device).unwrap();
    let model = nn::load(model, &weights(config, tokenizer), device, false).unwrap();
    let config = serde_json::to_value(config).unwrap();
    let mut manifest = Manifest::new("test", "medvill", "tiny", config);
    manifest.tasks = vec![Task::Draft];
    Session::from_parts(manifest, model.into(), Some(tokenizer.clone()), device.clone()).unwrap()
}

async fn draft(device: &Device, config: &MedVillConfig, tokenizer: &Tokenizer, cache: bool) -> Draft {
    let session = session(device, config, tokenizer);
    let side = config.preprocessing.size;
    let image = Gray8 {
        width: side,
        height: side,
        pixels: (0..side * side).map(|i| (i * 7 % 251) as u8).collect(),
    };
    let drafter = Drafter::new(&session).unwrap();
    let options = DraftOptions {
        beam: 1,
        max_tokens: 12,
        cache,
    };
    let mut drafting = drafter.begin(session.encode_gray(&image).tokens, options);
    while drafting.next().await.unwrap().is_some() {}
    drafting.draft().clone()
}

/// The tokens are the same up to the first near tie.
fn same(a: &Draft, b: &Draft) {
    assert!(a.tokens.len() > 3, "too short to prove anything");
    let parts = a.tokens.iter().zip(&b.tokens).find(|(a, b)| a.id != b.id);
    assert!(parts.is_none_or(|(a, _)| a.margin < 1e-3), "{a:?} {b:?}");
}

#[wasm_bindgen_test]
async fn the_cache_changes_no_draft_and_webgpu_writes_what_the_cpu_writes() {
    let tokenizer = words();
    let mut config = MedVillConfig::tiny();
    config.bert.vocabulary = tokenizer.vocabulary_size();
    let cpu = Device::flex();
    let whole = draft(&cpu, &config, &tokenizer, false).await;
    same(&draft(&cpu, &config, &tokenizer, true).await, &whole);
    // Chromium is started with its software adapter: that it cannot be had is a failure, not a skip.
    let gpu = device::choose(DeviceChoice::WebGpu).await.unwrap();
    same(&draft(&gpu.device, &config, &tokenizer, true).await, &whole);
    same(&draft(&gpu.device, &config, &tokenizer, false).await, &whole);

    // A matrix product over odd sizes, to f32 rounding.
    let values = |n: usize| {
        (0..n)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0)
            .collect::<Vec<_>>()
    };
    let product = async |device: &Device| {
        let a = Tensor::<2>::from_data(TensorData::new(values(33 * 65), [33, 65]), device);
        let b = Tensor::<2>::from_data(TensorData::new(values(65 * 17), [65, 17]), device);
        a.matmul(b)
            .into_data_async()
            .await
            .unwrap()
            .iter::<f32>()
            .collect::<Vec<_>>()
    };
    let (one, other) = (product(&cpu).await, product(&gpu.device).await);
    assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[wasm_bindgen_test]
fn every_codec_gives_the_reference_values_here_too() {
    by_hand::every_codec_gives_the_reference_values();
}

#[wasm_bindgen_test]
fn files_that_are_refused_are_refused_in_the_same_words() {
    for (name, bytes, word) in by_hand::bad_files() {
        let error = decode(&bytes).expect_err(name).to_string();
        assert!(error.contains(word), "{name}: {error}");
    }
    let png = include_bytes!("../../../www/samples/effusion.png");
    let picture = decode(png).unwrap().display(&WindowChoice::Default).unwrap();
    assert!(picture.pixels.iter().any(|v| *v > 100));
    for end in [40, 400, 4000] {
        assert!(decode(&png[..end]).is_err());
    }
}
