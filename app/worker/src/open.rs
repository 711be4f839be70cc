//! Getting a bundle ready: device, files, a trial of what it says.

use std::cell::RefCell;

use hilum::bundle::{Gallery, Manifest};
use hilum::device;
use hilum_protocol::{DeviceChoice, Opened, Phase, Task, Trial};

use super::choice::{self, Settled};
use super::error::WorkerError;
use super::load::{Length, Loader, progress};
use super::scope::{memory, now};
use super::source::Place;
use super::state::{Engine, State};
use super::store::bundle;

/// On which device a bundle is opened.
pub enum On {
    /// On the one that is asked for, or that a trial shows to be right and the faster. With it, why the adapter is not to be tried,
    /// where the page says so.
    Chosen(DeviceChoice, Option<String>),
    /// On that of the bundle that was opened first.
    First,
}

/// Opens a bundle. Where the page asks it for some tasks `only`, it serves no others.
///
/// # Errors
/// What failed and what to do; a bundle that is open already.
pub async fn open(
    state: &State,
    on: On,
    place: Place,
    sha256: Option<String>,
    only: Option<&[Task]>,
) -> Result<(Engine, Opened), WorkerError> {
    if matches!(on, On::Chosen(..)) {
        progress(Phase::Device, 0, 0);
    }
    let began = now();
    let asked = match &on {
        On::Chosen(DeviceChoice::WebGpu, _) => Some(device::choose(device::DeviceChoice::WebGpu).await?),
        On::Chosen(DeviceChoice::Cpu, _) => Some(device::cpu()),
        On::Chosen(DeviceChoice::Auto, _) | On::First => None,
    };
    let took = now() - began;
    let mut loader = Loader::open(place, sha256.as_deref()).await?;
    loader.times.device = took;
    let settled = match (on, asked) {
        (On::Chosen(..), Some(chosen)) => Settled::asked(loader.ready(chosen, Length::Short).await?),
        (On::Chosen(_, failed), None) => choice::automatic(&mut loader, failed).await?,
        (On::First, _) => {
            let first = state.first()?;
            if state.find(&loader.sha256).is_some() {
                let name = loader.manifest.name.clone();
                return Err(WorkerError::Open { name });
            }
            let ready = loader.beside(first.chosen.clone(), first.lost.clone()).await?;
            Settled {
                ready,
                trial: Trial::default(),
                note: None,
            }
        }
    };
    loader.keep().await;
    Ok(opened(loader, settled, only))
}

fn opened(loader: Loader, settled: Settled, only: Option<&[Task]>) -> (Engine, Opened) {
    let Settled { ready, trial, note } = settled;
    let all = loader.size();
    let (manifest, source) = (&ready.session.manifest, loader.source);
    let mut bundle = bundle(manifest, loader.sha256, all);
    bundle
        .tasks
        .retain(|task| only.is_none_or(|only| only.contains(task)));
    let opened = Opened {
        device: ready.chosen.name.clone(),
        webgpu: ready.chosen.adapter.is_some(),
        why: ready.chosen.why.clone(),
        trial,
        note,
        at: source.place.at.clone(),
        bundle,
        downloaded: source.downloaded,
        bytes: source.total,
        not_kept: source.store.not_kept(&source.place.at),
        times: loader.times,
        memory_loaded: ready.memory,
        memory: memory(),
    };
    let engine = Engine {
        bundle: opened.bundle.clone(),
        session: ready.session,
        chosen: ready.chosen,
        place: source.place,
        gallery: RefCell::default(),
        lost: ready.lost,
    };
    (engine, opened)
}

/// What a page can ask of a bundle: a gallery is searched only where there is one.
pub fn tasks(manifest: &Manifest) -> Vec<Task> {
    let has =
        |task: &Task| manifest.tasks.contains(task) && (*task != Task::Retrieve || Gallery::is_in(manifest));
    Task::ALL.into_iter().filter(has).collect()
}
