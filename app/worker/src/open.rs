//! Getting ready: device, bundle, a trial of what it says.

use std::cell::RefCell;

use hilum::bundle::{Gallery, Manifest};
use hilum::device;
use hilum_protocol::{DeviceChoice, Opened, Phase, Task};

use super::choice::{self, Settled};
use super::error::WorkerError;
use super::load::{Length, Loader, progress};
use super::scope::{memory, now};
use super::state::Engine;

/// Opens the bundle on the device that was asked for, or on the one that a trial shows to be right and the faster. `failed` is
/// why the adapter is not to be tried, where the page says so.
///
/// # Errors
/// What failed and what to do.
pub async fn open(
    device: DeviceChoice,
    bundle: String,
    sha256: Option<String>,
    failed: Option<String>,
) -> Result<(Engine, Opened), WorkerError> {
    progress(Phase::Device, 0, 0);
    let began = now();
    let asked = match device {
        DeviceChoice::Auto => None,
        DeviceChoice::WebGpu => Some(device::choose(device::DeviceChoice::WebGpu).await?),
        DeviceChoice::Cpu => Some(device::cpu()),
    };
    let took = now() - began;
    let mut loader = Loader::open(bundle, sha256.as_deref()).await?;
    loader.times.device = took;
    let settled = match asked {
        Some(chosen) => Settled::asked(loader.ready(chosen, Length::Short).await?),
        None => choice::automatic(&mut loader, failed).await?,
    };
    sweep(&loader).await;
    Ok(opened(loader, settled))
}

/// Drops what another version of the bundle left in storage.
async fn sweep(loader: &Loader) {
    let choices = choice::name(&loader.sha256);
    let files = loader.manifest.files.iter().map(|file| file.sha256.as_str());
    let keep: Vec<&str> = files.chain([loader.sha256.as_str(), &choices]).collect();
    loader.source.store.sweep(&loader.source.url, &keep).await;
}

fn opened(loader: Loader, settled: Settled) -> (Engine, Opened) {
    let Settled { ready, trial, note } = settled;
    let (manifest, source) = (&ready.session.manifest, loader.source);
    let opened = Opened {
        device: ready.chosen.name.clone(),
        webgpu: ready.chosen.adapter.is_some(),
        why: ready.chosen.why.clone(),
        trial,
        note,
        bundle: manifest.name.clone(),
        sha256: loader.sha256,
        system: manifest.system.clone(),
        data: manifest.provenance.data.clone(),
        tasks: tasks(manifest),
        downloaded: source.downloaded,
        bytes: source.total,
        not_kept: source.store.refused().map(str::to_owned),
        times: loader.times,
        memory_loaded: ready.memory,
        memory: memory(),
    };
    let engine = Engine {
        session: ready.session,
        chosen: ready.chosen,
        url: source.url,
        gallery: RefCell::default(),
        lost: ready.lost,
    };
    (engine, opened)
}

/// What a page can ask of a bundle: a gallery is searched only where there is one.
fn tasks(manifest: &Manifest) -> Vec<Task> {
    let has =
        |task: &Task| manifest.tasks.contains(task) && (*task != Task::Retrieve || Gallery::is_in(manifest));
    Task::ALL.into_iter().filter(has).collect()
}
