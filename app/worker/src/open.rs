//! Getting ready: device, bundle, pipelines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::bundle::{FileEntry, Manifest, ModelLoader, sha256_hex, verify};
use hilum::device::{self, DeviceChoice};
use hilum::image::{Gray8, prepare};
use hilum::tasks::{DraftOptions, Drafter};
use hilum::text::Tokenizer;
use hilum_protocol::{FromEngine, OpenTimes, Opened, Phase, Wish};

use super::engine::Ready;
use super::scope::{breathe, memory, now, post};
use super::store::{Store, fetch};

/// A manifest is read whole; it is no longer than this.
const MANIFEST_BYTES: u64 = 4 << 20;

/// Where the files of one bundle come from.
struct Source {
    url: String,
    store: Store,
    downloaded: u64,
    read: u64,
    total: u64,
}

impl Source {
    /// A file, verified, from storage or the network.
    async fn file(&mut self, entry: &FileEntry) -> Result<Vec<u8>, String> {
        let before = self.read;
        let report = |total: u64, read: u64| post(&FromEngine::Progress { phase: Phase::Weights, done: read, total });
        let total = self.total;
        let mut bytes = None;
        if let Some(kept) = self.store.get(&entry.sha256).await {
            match verify(entry, &kept) {
                Ok(()) => bytes = Some(kept),
                // Damaged in storage: fetched anew.
                Err(_) => self.store.remove(&entry.sha256).await,
            }
        }
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => {
                let url = format!("{}/{}", self.url, entry.path);
                let bytes = fetch(&url, entry.bytes, |read| report(total, before + read)).await?;
                verify(entry, &bytes).map_err(|e| e.to_string())?;
                self.downloaded += entry.bytes;
                self.store.put(&entry.sha256, &self.url, &bytes).await;
                bytes
            }
        };
        self.read = before + entry.bytes;
        report(total, self.read);
        Ok(bytes)
    }

    /// `bundle.json`, verified where its hash is known beforehand.
    async fn manifest(&mut self, sha256: Option<&str>) -> Result<(Manifest, String), String> {
        if let Some(sha256) = sha256
            && let Some(kept) = self.store.get(sha256).await
            && sha256_hex(&kept) == sha256
        {
            let manifest = Manifest::parse(&kept).map_err(|e| e.to_string())?;
            self.read = kept.len() as u64;
            return Ok((manifest, sha256.to_owned()));
        }
        let bytes = fetch(&format!("{}/bundle.json", self.url), MANIFEST_BYTES, |_| ()).await?;
        let found = sha256_hex(&bytes);
        if sha256.is_some_and(|expected| expected != found) {
            return Err("the model on the server is not the one that this page was made with; reload the page, or \
                        publish page and model together"
                .to_owned());
        }
        let manifest = Manifest::parse(&bytes).map_err(|e| e.to_string())?;
        self.read = bytes.len() as u64;
        self.downloaded += self.read;
        self.store.put(&found, &self.url, &bytes).await;
        Ok((manifest, found))
    }
}

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

    let store = Store::open().await;
    let mut source = Source { url: bundle, store, downloaded: 0, read: 0, total: 0 };
    let mut mark = now();
    let (manifest, sha256) = source.manifest(sha256.as_deref()).await?;
    source.total = source.read + manifest.files.iter().map(|file| file.bytes).sum::<u64>();
    let name = manifest.tokenizer.clone().ok_or("the bundle has no tokenizer; export it with one")?;
    let words = source.file(manifest.file(&name).map_err(|e| e.to_string())?).await?;
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
        return Err(format!("the bundle's tokenizer has {pieces} word pieces, its model {vocabulary}; export it anew"));
    }
    let mut keep: Vec<&str> = manifest.files.iter().map(|file| file.sha256.as_str()).collect();
    keep.push(&sha256);
    source.store.sweep(&source.url, &keep).await;

    let memory_loaded = memory();
    // A trial draft compiles every pipeline that a real one needs: the first step differs from those that follow.
    const STEPS: usize = 3;
    let total = STEPS as u64 + 1;
    progress(Phase::Warming, 0, total);
    breathe().await;
    mark = now();
    let drafter = Drafter::new(&model, &tokenizer);
    let side = model.config().size;
    let blank = Gray8 { width: side, height: side, pixels: (0..side * side).map(|i| (i % 251) as u8).collect() };
    let features = drafter.encode(&prepare(&blank, side), &chosen.device).map_err(|e| e.to_string())?;
    let mut trial = drafter.begin(features, DraftOptions { beam: 1, words: STEPS, cache: true });
    for step in 1..=STEPS as u64 {
        trial.next().await.map_err(|e| e.to_string())?;
        progress(Phase::Warming, step, total);
        breathe().await;
    }
    times.warm = now() - mark;
    let opened = Opened {
        device: chosen.name.clone(),
        webgpu: chosen.adapter.is_some(),
        why: chosen.why.clone(),
        bundle: manifest.name.clone(),
        sha256,
        system: manifest.system.clone(),
        data: manifest.provenance.data.clone(),
        downloaded: source.downloaded,
        bytes: source.total,
        not_kept: source.store.refused().map(str::to_owned),
        times,
        memory_loaded,
        memory: memory(),
    };
    Ok((Ready { chosen, model, tokenizer, lost }, opened))
}
