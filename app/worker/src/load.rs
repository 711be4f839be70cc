//! A bundle on a device: weights placed shard by shard, then a trial of what it says.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::bundle::{Gate, Manifest, ModelLoader, gate, sha256_hex};
use hilum::device::Chosen;
use hilum::tasks::{Session, TRIAL_TOKENS, trial};
use hilum::text::{Specials, Tokenizer};
use hilum_protocol::{FromEngine, OpenTimes, Phase};

use super::error::WorkerError;
use super::scope::{memory, now, post, yield_now};
use super::source::{Place, Source};

/// The browser gets its turn at least so often, in milliseconds.
const TURN: f64 = 24.0;
/// Tokens of a trial whose time does not count.
const SHORT: usize = 8;
/// With this word all pipelines are compiled: the first word is another step than those that follow.
const COMPILED: usize = 2;

/// How a device is tried.
#[derive(Clone, Copy)]
pub enum Length {
    /// Once, a few words: pipelines are compiled, weights packed, words compared.
    Short,
    /// The whole trial and again: the second time counts. It ends once so many milliseconds have passed since pipelines
    /// were compiled.
    Timed(f64),
}

/// Whether a session says what its manifest records, and how many milliseconds it takes.
type Tried = (Option<bool>, f64);

/// What loads one bundle, on as many devices as need be.
pub struct Loader {
    /// Its files.
    pub source: Source,
    /// Its manifest.
    pub manifest: Manifest,
    /// The hash of that.
    pub sha256: String,
    /// Its bytes.
    bytes: Vec<u8>,
    /// How long each part took, on all devices together.
    pub times: OpenTimes,
    tokenizer: Option<Tokenizer>,
    gate: Option<Gate>,
    /// Bytes that were read before the first shard.
    before: u64,
}

/// A bundle on a device, tried.
pub struct Ready {
    /// The bundle at work.
    pub session: Session,
    /// The device.
    pub chosen: Chosen,
    /// Whether the device was lost since.
    pub lost: Arc<AtomicBool>,
    /// Whether it says what the manifest records.
    pub right: Option<bool>,
    /// Milliseconds of the trial.
    pub ms: f64,
    /// The worker's memory once the weights were loaded.
    pub memory: u64,
    left: Arc<AtomicBool>,
}

impl Ready {
    /// Whether it may be relied on, as far as is known.
    pub fn sound(&self) -> bool {
        self.right != Some(false)
    }

    /// Gives the device back with all that is on it.
    pub fn leave(self) {
        self.left.store(true, Ordering::Relaxed);
        drop(self.session);
        self.chosen.lose();
    }
}

/// Tells the page how far the engine is.
pub fn progress(phase: Phase, done: u64, total: u64) {
    post(&FromEngine::Progress { phase, done, total });
}

impl Loader {
    /// The bundle at `place`, its manifest, tokenizer and gate read.
    ///
    /// # Errors
    /// A file that did not arrive or is not what was published.
    pub async fn open(place: Place, sha256: Option<&str>) -> Result<Self, WorkerError> {
        let mut source = Source::open(place, |done, total| progress(Phase::Weights, done, total)).await;
        let began = now();
        let (manifest, bytes) = source.manifest(sha256).await?;
        let entry = manifest.tokenizer.as_deref();
        let entry = entry.map(|name| manifest.file(name)).transpose()?;
        // A gallery is fetched when it is first searched.
        let gate = manifest.files.iter().find(|file| file.path == gate::FILE);
        let small = entry
            .into_iter()
            .chain(gate)
            .map(|entry| entry.bytes)
            .sum::<u64>();
        source.total = source.read + small + manifest.shard_bytes();
        let tokenizer = match entry {
            Some(entry) => Some(Tokenizer::from_json(&source.file(entry).await?)?),
            None => None,
        };
        let gate = match gate {
            Some(entry) => Some(Gate::read(&manifest, &source.file(entry).await?)?),
            None => None,
        };
        let times = OpenTimes {
            files: now() - began,
            ..OpenTimes::default()
        };
        Ok(Self {
            before: source.read,
            source,
            manifest,
            sha256: sha256_hex(&bytes),
            bytes,
            times,
            tokenizer,
            gate,
        })
    }

    /// Loads the bundle on a device and tries it.
    ///
    /// # Errors
    /// A shard that did not arrive or does not fit the model, and a device that fails.
    pub async fn ready(&mut self, chosen: Chosen, length: Length) -> Result<Ready, WorkerError> {
        let (lost, left) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (mark_lost, was_left) = (lost.clone(), left.clone());
        chosen.on_lost(move |reason| {
            if !was_left.load(Ordering::Relaxed) {
                mark_lost.store(true, Ordering::Relaxed);
                post(&FromEngine::Lost(reason));
            }
        });
        let phase = match chosen.adapter {
            Some(_) => Phase::TryingAdapter,
            None => Phase::TryingCpu,
        };
        progress(phase, 0, 0);
        match self.placed(&chosen, phase, length).await {
            Ok((session, memory, (right, ms))) => Ok(Ready {
                session,
                chosen,
                lost,
                right,
                ms,
                memory,
                left,
            }),
            Err(why) => {
                left.store(true, Ordering::Relaxed);
                chosen.lose();
                Err(why)
            }
        }
    }

    /// Loads the bundle on a device on which another one is at work already, and tries it. What fails is no reason to lose the
    /// device.
    ///
    /// # Errors
    /// A shard that did not arrive or does not fit the model, a device that fails, and other words than the manifest records.
    pub async fn beside(&mut self, chosen: Chosen, lost: Arc<AtomicBool>) -> Result<Ready, WorkerError> {
        let (session, memory, (right, ms)) = self.placed(&chosen, Phase::TryingCpu, Length::Short).await?;
        let ready = Ready {
            session,
            chosen,
            lost,
            right,
            ms,
            memory,
            left: Arc::default(),
        };
        if ready.sound() {
            Ok(ready)
        } else {
            Err(WorkerError::WrongWords)
        }
    }

    /// Bytes of its files in all.
    pub fn size(&self) -> u64 {
        let files = self.manifest.files.iter().map(|file| file.bytes).sum::<u64>();
        files + self.bytes.len() as u64
    }

    /// Keeps the manifest of the bundle, which is open, and drops what another version of it left. What a folder holds now and
    /// what was kept of it may both be of use.
    pub async fn keep(&mut self) {
        let place = &self.source.place;
        let store = &mut self.source.store;
        store.put(&self.sha256, &place.at, &self.bytes, true).await;
        let current = Some((self.sha256.as_str(), &self.manifest));
        match (place.is_folder(), store.refused()) {
            (false, _) => store.sweep(&place.at, current).await,
            // Half a bundle is of no use without its folder.
            (true, Some(_)) => store.sweep(&place.at, None).await,
            (true, None) => {}
        }
    }

    /// The bundle at work, the memory that it took, and what its trial showed.
    async fn placed(
        &mut self,
        chosen: &Chosen,
        phase: Phase,
        length: Length,
    ) -> Result<(Session, u64, Tried), WorkerError> {
        let session = self.place(chosen).await?;
        let memory = memory();
        let began = now();
        let tried = tried(&session, phase, length).await?;
        self.times.warm += now() - began;
        Ok((session, memory, tried))
    }

    async fn place(&mut self, chosen: &Chosen) -> Result<Session, WorkerError> {
        self.source.read = self.before;
        let specials = self
            .tokenizer
            .as_ref()
            .map_or(Specials::BERT, Tokenizer::specials);
        let mut loader = ModelLoader::new(&self.manifest, specials, &chosen.device)?;
        for entry in self.manifest.shards() {
            let began = now();
            let bytes = self.source.file(entry).await?;
            let read = now();
            loader = loader.push(entry, &bytes)?;
            self.times.files += read - began;
            self.times.upload += now() - read;
        }
        let model = loader.finish()?;
        let (manifest, tokenizer) = (self.manifest.clone(), self.tokenizer.clone());
        let session = Session::from_parts(manifest, model, tokenizer, chosen.device.clone())?;
        Ok(session.with_gate(self.gate.clone()))
    }
}

async fn tried(session: &Session, phase: Phase, length: Length) -> Result<Tried, WorkerError> {
    let (turns, tokens, limit) = match length {
        Length::Short => (1, SHORT, f64::INFINITY),
        Length::Timed(limit) => (2, TRIAL_TOKENS, limit),
    };
    let total = (turns * tokens + 1) as u64;
    let (mut right, mut ms) = (None, 0.0);
    for turn in 0..turns {
        progress(phase, (turn * tokens) as u64, total);
        yield_now().await;
        let mut began = now();
        let mut waited = began;
        let said = trial(session, tokens, async |step| {
            if turn == 0 && step == COMPILED {
                began = now();
            }
            if (turn, step) > (0, COMPILED) && now() - began > limit {
                return ControlFlow::Break(());
            }
            if now() - waited >= TURN {
                progress(phase, (turn * tokens + step) as u64, total);
                yield_now().await;
                waited = now();
            }
            ControlFlow::Continue(())
        });
        let said = said.await?;
        ms = now() - began;
        right = said.right;
        if said.stopped || right == Some(false) {
            break;
        }
    }
    Ok((right, ms))
}
