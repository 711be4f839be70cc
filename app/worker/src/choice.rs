//! Where to compute, when the page leaves it open: measured at the first start on the CPU and on the adapter, kept for later
//! ones. An adapter that computes wrongly, or fails, is left for the CPU.

use hilum::device::{self, Adapter};
use hilum_protocol::Trial;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::error::WorkerError;
use super::load::{Length, Loader, Ready};
use super::scope::scope;

/// The program that measures; another one measures anew.
const PROGRAM: &str = env!("HILUM_PROGRAM");
/// Choices that are kept of a bundle: a laptop may have an adapter at the desk and another on the way.
const MOST: usize = 4;
/// Weights of so many bytes stay on the CPU while the adapter is tried; larger ones are loaded again.
const HELD: u64 = 32 << 20;

const SLOWER: &str = "faster here than the graphics adapter";
const WRONG: &str = "the graphics adapter gave wrong words in a trial";

/// A choice, in the browser's storage.
#[derive(Serialize, Deserialize)]
struct Kept {
    adapter: String,
    program: String,
    webgpu: bool,
    why: Option<String>,
    cpu_ms: f64,
    adapter_ms: Option<f64>,
}

/// What was settled.
pub struct Settled {
    /// The bundle on the device that was chosen.
    pub ready: Ready,
    /// What was measured.
    pub trial: Trial,
    /// What the reader should know.
    pub note: Option<String>,
}

impl Settled {
    /// A bundle on the device that was asked for: obeyed, but wrong words are told.
    pub fn asked(mut ready: Ready) -> Self {
        let note = (!ready.sound()).then(|| wrong(&mut ready));
        Self {
            ready,
            trial: Trial::default(),
            note,
        }
    }
}

/// Says at the device that its words are wrong, and gives the sentence for the reader.
fn wrong(ready: &mut Ready) -> String {
    let (why, told) = match ready.chosen.adapter {
        Some(_) => (
            "it gave wrong words in a trial",
            "The graphics adapter gave wrong words in a trial. Do not rely on it; let the CPU compute.",
        ),
        None => (
            "its words in a trial are not those that the model's maker recorded",
            "The model's words in a trial are not those that its maker recorded: the model or this program is damaged. \
             Do not rely on what it says.",
        ),
    };
    ready.chosen.why = Some(why.to_owned());
    told.to_owned()
}

/// Chooses. `failed` is why the page gave up a worker that tried the adapter, where it did.
///
/// # Errors
/// What keeps the CPU from being used.
pub async fn automatic(loader: &mut Loader, failed: Option<String>) -> Result<Settled, WorkerError> {
    let adapter = match device::hardware().await {
        Ok(adapter) => adapter,
        Err(why) => return on_cpu(loader, why.to_owned()).await,
    };
    if let Some(why) = failed {
        return left(loader, &format!("the graphics adapter failed in a trial ({why})")).await;
    }
    let adapter = described(&adapter).await;
    let all = kept(loader).await;
    let own = |kept: &&Kept| kept.adapter == adapter && kept.program == PROGRAM;
    if let Some(kept) = all.iter().find(own) {
        let mut settled = match (&kept.why, kept.webgpu) {
            (Some(why), false) => on_cpu(loader, why.clone()).await?,
            _ => on_adapter(loader).await?,
        };
        settled.trial = Trial {
            cpu_ms: Some(kept.cpu_ms),
            adapter_ms: kept.adapter_ms,
            kept: true,
        };
        return Ok(settled);
    }
    // What cannot be kept is not measured at every visit: the weights would be downloaded twice.
    if loader.source.store.refused().is_some() {
        return on_adapter(loader).await;
    }
    measure(loader, adapter, all).await
}

/// The CPU, with a clause that says why.
async fn on_cpu(loader: &mut Loader, why: String) -> Result<Settled, WorkerError> {
    let ready = loader.ready(device::cpu_because(why), Length::Short).await?;
    Ok(Settled::asked(ready))
}

/// The CPU, because of what the reader should know.
async fn left(loader: &mut Loader, why: &str) -> Result<Settled, WorkerError> {
    let mut settled = on_cpu(loader, why.to_owned()).await?;
    settled.note.get_or_insert_with(|| sentence(why));
    Ok(settled)
}

fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    format!(
        "{}{}; the CPU computes.",
        first.collect::<String>(),
        letters.as_str()
    )
}

/// The adapter unmeasured, unless it fails or computes wrongly.
async fn on_adapter(loader: &mut Loader) -> Result<Settled, WorkerError> {
    match on_webgpu(loader, Length::Short).await {
        Ok(ready) if ready.sound() => Ok(Settled::asked(ready)),
        Ok(ready) => {
            ready.leave();
            left(loader, WRONG).await
        }
        Err(why) => left(loader, &why).await,
    }
}

/// The bundle on the adapter, or a clause that says why not.
async fn on_webgpu(loader: &mut Loader, length: Length) -> Result<Ready, String> {
    let failed = |why: &dyn std::fmt::Display| format!("the graphics adapter failed in a trial ({why})");
    let chosen = device::choose(device::DeviceChoice::WebGpu).await;
    let chosen = chosen.map_err(|e| failed(&e))?;
    loader.ready(chosen, length).await.map_err(|e| failed(&e))
}

/// The trial on both; what is faster of what is right is taken and kept.
async fn measure(loader: &mut Loader, adapter: String, all: Vec<Kept>) -> Result<Settled, WorkerError> {
    let cpu = loader.ready(device::cpu(), Length::Timed(f64::INFINITY)).await?;
    let (cpu_ms, cpu_sound) = (cpu.ms, cpu.sound());
    let hold = loader.manifest.shard_bytes() <= HELD || loader.source.store.refused().is_some();
    let held = hold.then_some(cpu);
    let tried = on_webgpu(loader, Length::Timed(Trial::MOST * cpu_ms)).await;
    let adapter_ms = tried.as_ref().ok().map(|ready| ready.ms);
    let trial = Trial {
        cpu_ms: Some(cpu_ms),
        adapter_ms,
        kept: false,
    };
    let why = match tried {
        Ok(ready) if ready.sound() && !(cpu_sound && cpu_ms <= ready.ms) => {
            let kept = Kept {
                adapter,
                program: PROGRAM.to_owned(),
                webgpu: true,
                why: None,
                cpu_ms,
                adapter_ms,
            };
            keep(loader, all, kept).await;
            let settled = Settled::asked(ready);
            return Ok(Settled { trial, ..settled });
        }
        Ok(ready) => {
            let why = if ready.sound() { SLOWER } else { WRONG };
            ready.leave();
            why.to_owned()
        }
        // What failed may have failed for the moment: it is tried again at the next start.
        Err(why) => {
            let settled = left(loader, &why).await?;
            return Ok(Settled { trial, ..settled });
        }
    };
    let mut settled = match held {
        Some(mut ready) => {
            ready.chosen.why = Some(why.clone());
            Settled::asked(ready)
        }
        None => on_cpu(loader, why.clone()).await?,
    };
    if why == WRONG {
        settled.note.get_or_insert_with(|| sentence(WRONG));
    }
    let kept = Kept {
        adapter,
        program: PROGRAM.to_owned(),
        webgpu: false,
        why: Some(why),
        cpu_ms,
        adapter_ms,
    };
    keep(loader, all, kept).await;
    settled.trial = trial;
    Ok(settled)
}

/// The name in storage of a bundle's choices.
pub fn name(sha256: &str) -> String {
    format!("device-{sha256}")
}

async fn kept(loader: &Loader) -> Vec<Kept> {
    let bytes = loader.source.store.get(&name(&loader.sha256)).await;
    // What another version wrote, or is damaged, is measured again.
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

async fn keep(loader: &mut Loader, mut all: Vec<Kept>, new: Kept) {
    all.retain(|kept| kept.adapter != new.adapter);
    all.insert(0, new);
    all.truncate(MOST);
    if let Ok(bytes) = serde_json::to_vec(&all) {
        let (name, at) = (name(&loader.sha256), loader.source.place.at.clone());
        loader.source.store.put(&name, &at, &bytes, false).await;
    }
}

/// The adapter in the browser's words and its limits: what tells it from another one. Browsers keep most to themselves.
async fn described(adapter: &Adapter) -> String {
    let own = async || -> Result<String, JsValue> {
        let get = |of: &JsValue, name: &str| js_sys::Reflect::get(of, &name.into());
        let gpu = get(&get(&scope(), "navigator")?, "gpu")?;
        let request: js_sys::Function = get(&gpu, "requestAdapter")?.dyn_into()?;
        let promise: js_sys::Promise = request.call0(&gpu)?.dyn_into()?;
        let info = get(&JsFuture::from(promise).await?, "info")?;
        let words = ["vendor", "architecture", "device", "description"];
        let words = words.map(|name| get(&info, name).ok().and_then(|word| word.as_string()));
        Ok(format!("{words:?}"))
    };
    format!("{} {adapter:?}", own().await.unwrap_or_default())
}
