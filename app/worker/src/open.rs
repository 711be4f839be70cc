//! Getting ready: device, bundle, pipelines.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::bundle::{Gallery, ModelLoader};
use hilum::device::{self, DeviceChoice};
use hilum::image::{Gray8, prepare};
use hilum::tasks::{DraftOptions, Drafter};
use hilum::text::Tokenizer;
use hilum_protocol::{FromEngine, Offers, OpenTimes, Opened, Phase, Wish};

use super::engine::Ready;
use super::scope::{breathe, memory, now, post};
use super::source::Source;

/// Chooses a device, loads the bundle and compiles what a draft needs.
///
/// # Errors
/// A sentence that says what failed and what to do.
pub async fn open(wish: Wish, bundle: String, sha256: Option<String>) -> Result<(Ready, Opened), String> {
    let progress = |phase, done, total| post(&FromEngine::Progress { phase, done, total });
    let mut times = OpenTimes::default();
    let began = now();
    progress(Phase::Device, 0, 0);
    let choice = match wish {
        Wish::Auto => DeviceChoice::Auto,
        Wish::WebGpu => DeviceChoice::WebGpu,
        Wish::Cpu => DeviceChoice::Cpu,
    };
    let chosen = device::choose(choice).await.map_err(|e| e.to_string())?;
    let lost = Arc::new(AtomicBool::new(false));
    let mark_lost = lost.clone();
    chosen.on_lost(move |reason| {
        mark_lost.store(true, Ordering::Relaxed);
        post(&FromEngine::Lost(reason));
    });
    times.device = now() - began;

    let mut source = Source::open(bundle, move |done, total| progress(Phase::Weights, done, total)).await;
    let mut mark = now();
    let (manifest, sha256) = source.manifest(sha256.as_deref()).await?;
    let name = manifest
        .tokenizer
        .clone()
        .ok_or("the bundle has no tokenizer; export it with one")?;
    let words = manifest.file(&name).map_err(|e| e.to_string())?;
    // A gallery is fetched when it is first searched.
    source.total = source.read + words.bytes + manifest.shard_bytes();
    let words = source.file(words).await?;
    let tokenizer = Tokenizer::from_json(&words).map_err(|e| e.to_string())?;
    let mut loader = ModelLoader::new(&manifest, &chosen.device).map_err(|e| e.to_string())?;
    for entry in manifest.shards() {
        let bytes = source.file(entry).await?;
        times.files += now() - mark;
        mark = now();
        loader = loader.push(entry, &bytes).map_err(|e| e.to_string())?;
        times.upload += now() - mark;
        mark = now();
    }
    let model = loader.finish().map_err(|e| e.to_string())?;
    let (pieces, vocabulary) = (tokenizer.vocabulary_size(), model.config().bert.vocabulary);
    if pieces != vocabulary {
        return Err(format!(
            "the bundle's tokenizer has {pieces} word pieces, its model {vocabulary}; export it anew"
        ));
    }
    let mut keep: Vec<&str> = manifest.files.iter().map(|file| file.sha256.as_str()).collect();
    keep.push(&sha256);
    source.store.sweep(&source.url, &keep).await;

    let memory_loaded = memory();
    // A trial draft compiles every pipeline that a real one needs: the first step differs from those that
    // follow.
    const STEPS: usize = 3;
    let total = STEPS as u64 + 1;
    progress(Phase::Warming, 0, total);
    breathe().await;
    mark = now();
    let drafter = Drafter::new(&model, &tokenizer);
    let side = model.config().size;
    let blank = Gray8 {
        width: side,
        height: side,
        pixels: (0..side * side).map(|i| (i % 251) as u8).collect(),
    };
    let features = drafter
        .encode(&prepare(&blank, side), &chosen.device)
        .map_err(|e| e.to_string())?;
    let mut trial = drafter.begin(
        features,
        DraftOptions {
            beam: 1,
            words: STEPS,
            cache: true,
        },
    );
    for step in 1..=STEPS as u64 {
        trial.next().await.map_err(|e| e.to_string())?;
        progress(Phase::Warming, step, total);
        breathe().await;
    }
    times.warm = now() - mark;
    let has = |task: &str| manifest.tasks.iter().any(|name| name == task);
    let offers = Offers {
        findings: has("findings"),
        search: has("retrieve") && Gallery::is_in(&manifest),
        answers: has("vqa"),
    };
    let opened = Opened {
        device: chosen.name.clone(),
        webgpu: chosen.adapter.is_some(),
        why: chosen.why.clone(),
        bundle: manifest.name.clone(),
        sha256,
        system: manifest.system.clone(),
        data: manifest.provenance.data.clone(),
        offers,
        downloaded: source.downloaded,
        bytes: source.total,
        not_kept: source.store.refused().map(str::to_owned),
        times,
        memory_loaded,
        memory: memory(),
    };
    Ok((
        Ready {
            chosen,
            model,
            tokenizer,
            manifest,
            url: source.url,
            shelf: RefCell::default(),
            lost,
        },
        opened,
    ))
}
