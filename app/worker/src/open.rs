//! Getting ready: device, bundle, pipelines.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::bundle::{Gallery, Manifest, ModelLoader};
use hilum::device;
use hilum::image::Gray8;
use hilum::tasks::{DraftOptions, Drafter, Session, Subject, TaskError, perform};
use hilum::text::{Specials, Tokenizer};
use hilum_protocol::{DeviceChoice, FromEngine, OpenTimes, Opened, Partial, Phase, Task, TaskRequest};

use super::error::WorkerError;
use super::scope::{memory, now, post, yield_now};
use super::source::Source;
use super::state::Engine;

/// Tokens of the trial draft: its first step differs from those that follow.
const TRIAL_TOKENS: usize = 3;

fn progress(phase: Phase, done: u64, total: u64) {
    post(&FromEngine::Progress { phase, done, total });
}

/// Chooses a device, loads the bundle and compiles what its tasks need.
///
/// # Errors
/// What failed and what to do.
pub async fn open(
    device: DeviceChoice,
    bundle: String,
    sha256: Option<String>,
) -> Result<(Engine, Opened), WorkerError> {
    let mut times = OpenTimes::default();
    let began = now();
    progress(Phase::Device, 0, 0);
    let chosen = device::choose(match device {
        DeviceChoice::Auto => device::DeviceChoice::Auto,
        DeviceChoice::WebGpu => device::DeviceChoice::WebGpu,
        DeviceChoice::Cpu => device::DeviceChoice::Cpu,
    })
    .await?;
    let lost = Arc::new(AtomicBool::new(false));
    let mark_lost = lost.clone();
    chosen.on_lost(move |reason| {
        mark_lost.store(true, Ordering::Relaxed);
        post(&FromEngine::Lost(reason));
    });
    times.device = now() - began;

    let mut source = Source::open(bundle, |done, total| progress(Phase::Weights, done, total)).await;
    let mut mark = now();
    let (manifest, sha256) = source.manifest(sha256.as_deref()).await?;
    let entry = manifest
        .tokenizer
        .as_deref()
        .map(|name| manifest.file(name))
        .transpose()?;
    // A gallery is fetched when it is first searched.
    source.total = source.read + entry.map_or(0, |entry| entry.bytes) + manifest.shard_bytes();
    let tokenizer = match entry {
        Some(entry) => Some(Tokenizer::from_json(&source.file(entry).await?)?),
        None => None,
    };
    let specials = tokenizer.as_ref().map_or(Specials::BERT, Tokenizer::specials);
    let mut loader = ModelLoader::new(&manifest, specials, &chosen.device)?;
    for entry in manifest.shards() {
        let bytes = source.file(entry).await?;
        times.files += now() - mark;
        mark = now();
        loader = loader.push(entry, &bytes)?;
        times.upload += now() - mark;
        mark = now();
    }
    let model = loader.finish()?;
    let mut keep: Vec<&str> = manifest.files.iter().map(|file| file.sha256.as_str()).collect();
    keep.push(&sha256);
    source.store.sweep(&source.url, &keep).await;
    let session = Session::from_parts(manifest, model, tokenizer, chosen.device.clone())?;

    let memory_loaded = memory();
    mark = now();
    warm(&session).await?;
    times.warm = now() - mark;
    let manifest = &session.manifest;
    let opened = Opened {
        device: chosen.name.clone(),
        webgpu: chosen.adapter.is_some(),
        why: chosen.why.clone(),
        bundle: manifest.name.clone(),
        sha256,
        system: manifest.system.clone(),
        data: manifest.provenance.data.clone(),
        tasks: tasks(manifest),
        downloaded: source.downloaded,
        bytes: source.total,
        not_kept: source.store.refused().map(str::to_owned),
        times,
        memory_loaded,
        memory: memory(),
    };
    let engine = Engine {
        session,
        chosen,
        url: source.url,
        gallery: RefCell::default(),
        lost,
    };
    Ok((engine, opened))
}

/// What a page can ask of a bundle: a gallery is searched only where there is one.
fn tasks(manifest: &Manifest) -> Vec<Task> {
    let has =
        |task: &Task| manifest.tasks.contains(task) && (*task != Task::Retrieve || Gallery::is_in(manifest));
    Task::ALL.into_iter().filter(has).collect()
}

/// Compiles pipelines in a trial run of what the bundle offers: a short draft, or its first other task.
async fn warm(session: &Session) -> Result<(), WorkerError> {
    let offers = |task: Task| session.manifest.tasks.contains(&task);
    let total = if offers(Task::Draft) {
        TRIAL_TOKENS as u64 + 1
    } else {
        2
    };
    progress(Phase::Warming, 0, total);
    yield_now().await;
    let side = session.spec().preprocessing.size;
    let image = session.encode_gray(&Gray8 {
        width: side,
        height: side,
        pixels: (0..side * side).map(|i| (i % 251) as u8).collect(),
    });
    if offers(Task::Draft) {
        let drafter = Drafter::new(session)?;
        let options = DraftOptions {
            max_tokens: TRIAL_TOKENS,
            ..DraftOptions::default()
        };
        let mut trial = drafter.begin(image.tokens, options);
        for step in 1..=TRIAL_TOKENS as u64 {
            trial.next().await?;
            progress(Phase::Warming, step, total);
            yield_now().await;
        }
        return Ok(());
    }
    progress(Phase::Warming, 1, total);
    yield_now().await;
    let trial = if offers(Task::Findings) {
        Some(TaskRequest::Findings)
    } else if offers(Task::Vqa) {
        let question = "Is this normal?".to_owned();
        Some(TaskRequest::Vqa { question })
    } else {
        None
    };
    if let Some(request) = trial {
        let subject = Subject {
            image: Some(&image),
            gallery: None,
        };
        perform(session, &request, subject, &now, async |_: Partial| {
            ControlFlow::Continue(())
        })
        .await?;
    } else {
        // Reading back waits until the encoder has run.
        let read = image.tokens.into_data_async().await;
        read.map_err(|e| TaskError::Device(format!("{e:?}")))?;
    }
    Ok(())
}
