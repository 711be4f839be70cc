//! The worker's state and what it does with each message.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Tensor;
use hilum::bundle::Manifest;
use hilum::device::Chosen;
use hilum::image::{Radiograph, WindowChoice, decode, prepare};
use hilum::systems::medvill::MedVill;
use hilum::tasks::{DraftOptions, Drafter, ask as answer, finding_logits};
use hilum::text::{Presenter, Tokenizer, present};
use hilum_protocol::{Answer, Drafted, FromEngine, Piece, Reading, Shown, ToEngine};
use wasm_bindgen::prelude::*;
use web_sys::MessageEvent;

use super::open::open;
use super::scope::{breathe, now, post, scope};
use super::search::{Shelf, search};

/// A picture is shown at most so large: more than a screen has, and quick to apply a window to.
const SHOWN: usize = 1536;
/// The browser gets its turn at least so often, in milliseconds.
const TURN: f64 = 24.0;
/// So many answers to a question.
const ANSWERS: usize = 3;

/// What every task needs.
pub struct Ready {
    /// The device.
    pub chosen: Chosen,
    /// The model on it.
    pub model: MedVill,
    /// Its words.
    pub tokenizer: Tokenizer,
    /// What the bundle says of itself.
    pub manifest: Manifest,
    /// The bundle's folder.
    pub url: String,
    /// Its gallery, once it was searched.
    pub shelf: RefCell<Option<Rc<Shelf>>>,
    /// Whether the device was lost since.
    pub lost: Arc<AtomicBool>,
}

/// A picture with what the image encoder made of it, once anything was asked.
struct Seen {
    radiograph: Radiograph,
    features: RefCell<Option<Tensor<3>>>,
}

/// The worker's state. Messages are handled one after the other, except that a draft lets others in between
/// its words and a search between its cases.
#[derive(Default)]
pub struct Engine {
    ready: RefCell<Option<Rc<Ready>>>,
    picture: RefCell<Option<Rc<Seen>>>,
    /// The request whose draft may go on: a stop, a new picture and a new draft end the one before.
    drafting: Cell<Option<u32>>,
    /// The same of a search.
    searching: Cell<Option<u32>>,
}

impl Engine {
    /// What was opened.
    ///
    /// # Errors
    /// A sentence, before anything was.
    pub fn ready(&self) -> Result<Rc<Ready>, String> {
        Ok(self
            .ready
            .borrow()
            .clone()
            .ok_or("the engine is not ready yet; wait until the page says so")?)
    }

    /// What the image encoder makes of the picture, `(1, K, features)`: computed once.
    ///
    /// # Errors
    /// A sentence: there is no picture, or it cannot be shown.
    pub fn features(&self, ready: &Ready) -> Result<Tensor<3>, String> {
        let seen = self
            .picture
            .borrow()
            .clone()
            .ok_or("there is no picture yet; open one first")?;
        if let Some(features) = seen.features.borrow().as_ref() {
            return Ok(features.clone());
        }
        // The model sees the window that the file asks for, whatever the reader looks at: so all can be made
        // again.
        let gray = seen
            .radiograph
            .display(&WindowChoice::Default)
            .map_err(|e| e.to_string())?;
        let prepared = prepare(&gray, ready.model.config().size);
        let drafter = Drafter::new(&ready.model, &ready.tokenizer);
        let features = drafter
            .encode(&prepared, &ready.chosen.device)
            .map_err(|e| e.to_string())?;
        *seen.features.borrow_mut() = Some(features.clone());
        Ok(features)
    }

    /// Whether a search may go on.
    pub fn searches(&self, request: u32) -> bool {
        self.searching.get() == Some(request)
    }
}

/// Takes messages from now on.
pub fn listen() {
    let engine = Rc::new(Engine::default());
    let handler = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        match serde_wasm_bindgen::from_value(event.data()) {
            Ok(message) => wasm_bindgen_futures::spawn_local(handle(engine.clone(), message)),
            Err(error) => {
                wasm_bindgen::throw_str(&format!("page and worker are of different versions: {error}"))
            }
        }
    });
    scope().set_onmessage(Some(handler.as_ref().unchecked_ref()));
    handler.forget();
    post(&FromEngine::Pong);
}

async fn handle(engine: Rc<Engine>, message: ToEngine) {
    match message {
        ToEngine::Ping => post(&FromEngine::Pong),
        ToEngine::Stop => engine.drafting.set(None),
        ToEngine::StopSearch => engine.searching.set(None),
        ToEngine::LoseDevice => {
            if let Some(ready) = engine.ready.borrow().as_ref() {
                ready.chosen.lose();
            }
        }
        ToEngine::Open { wish, bundle, sha256 } => match open(wish, bundle, sha256).await {
            Ok((ready, opened)) => {
                *engine.ready.borrow_mut() = Some(Rc::new(ready));
                post(&FromEngine::Opened(opened));
            }
            Err(why) => post(&FromEngine::NotOpened(why)),
        },
        ToEngine::Picture { request, bytes } => {
            engine.drafting.set(None);
            engine.searching.set(None);
            let result = decode(&bytes).map_err(|e| e.to_string()).and_then(|picture| {
                // What cannot be shown is no picture either.
                picture
                    .display(&WindowChoice::Default)
                    .map_err(|e| e.to_string())?;
                Ok(picture)
            });
            let result = result.map(|picture| {
                let shown = Box::new(Shown::new(&picture, SHOWN));
                *engine.picture.borrow_mut() = Some(Rc::new(Seen {
                    radiograph: picture,
                    features: RefCell::default(),
                }));
                shown
            });
            post(&FromEngine::Picture { request, result });
        }
        ToEngine::Draft { request } => {
            engine.drafting.set(Some(request));
            let result = draft(&engine, request).await;
            // A draft whose device was lost is begun again by the page: that it failed would only be in the
            // way.
            if result.is_ok() || !lost(&engine).await {
                post(&FromEngine::Drafted { request, result });
            }
        }
        ToEngine::Findings { request } => {
            let result = findings(&engine).await;
            if result.is_ok() || !lost(&engine).await {
                post(&FromEngine::Findings { request, result });
            }
        }
        ToEngine::Ask { request, question } => {
            let result = ask(&engine, &question).await;
            if result.is_ok() || !lost(&engine).await {
                post(&FromEngine::Answers { request, result });
            }
        }
        ToEngine::Search { request, text } => {
            engine.searching.set(Some(request));
            let result = search(&engine, request, text.as_deref()).await.transpose();
            // A search that was stopped has no end.
            if let Some(result) = result
                && (result.is_ok() || !lost(&engine).await)
            {
                post(&FromEngine::Found { request, result });
            }
        }
    }
}

async fn findings(engine: &Engine) -> Result<Vec<Reading>, String> {
    let ready = engine.ready()?;
    let features = engine.features(&ready)?;
    let logits = finding_logits(&ready.model, features, None, ready.tokenizer.specials()).await;
    let logits = logits.map_err(|e| e.to_string())?;
    let mut readings: Vec<_> = logits
        .iter()
        .flat_map(|l| l.readings(&ready.manifest.calibrations()))
        .collect();
    readings.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let told = readings.iter().map(|r| Reading {
        name: r.finding.name().to_owned(),
        probability: r.probability,
        operating_point: r.operating_point,
        present: r.present(),
        side: r.side.map(|side| side.name().to_owned()),
    });
    Ok(told.collect())
}

async fn ask(engine: &Engine, question: &str) -> Result<Vec<Answer>, String> {
    let ready = engine.ready()?;
    let features = engine.features(&ready)?;
    let known = &ready.manifest.answers;
    let found = answer(
        &ready.model,
        &ready.tokenizer,
        known,
        features,
        &[question],
        ANSWERS,
    )
    .await;
    let told = found.map_err(|e| e.to_string())?.into_iter().flatten();
    Ok(told
        .map(|(text, probability)| Answer { text, probability })
        .collect())
}

/// Whether the device is gone. The loss itself may be told a little later than what failed by it.
async fn lost(engine: &Engine) -> bool {
    const ROUNDS: usize = 50;
    let Some(ready) = engine
        .ready
        .borrow()
        .clone()
        .filter(|ready| ready.chosen.adapter.is_some())
    else {
        return false;
    };
    for _ in 0..ROUNDS {
        if ready.lost.load(Ordering::Relaxed) {
            return true;
        }
        breathe().await;
    }
    false
}

async fn draft(engine: &Engine, request: u32) -> Result<Drafted, String> {
    let ready = engine.ready()?;
    let began = now();
    let drafter = Drafter::new(&ready.model, &ready.tokenizer);
    let features = engine.features(&ready)?;
    let encode_ms = now() - began;
    let words = ready.model.config().words;
    let mut drafting = drafter.begin(
        features,
        DraftOptions {
            beam: 1,
            words,
            cache: true,
        },
    );
    let mut presenter = Presenter::new(&ready.tokenizer);
    let (mut first_ms, mut turn) = (0.0, now());
    let mut waiting = String::new();
    while let Some(word) = drafting.next().await.map_err(|e| e.to_string())? {
        if first_ms == 0.0 {
            first_ms = now() - began;
        }
        waiting += &presenter.push(word.id);
        if now() - turn >= TURN {
            if !waiting.is_empty() {
                post(&FromEngine::Words {
                    request,
                    text: std::mem::take(&mut waiting),
                });
            }
            breathe().await;
            turn = now();
        }
        if engine.drafting.get() != Some(request) {
            break;
        }
    }
    let seconds = (now() - began - encode_ms).max(0.1) / 1e3;
    let draft = drafting.draft();
    waiting += &presenter.finish();
    if !waiting.is_empty() {
        post(&FromEngine::Words {
            request,
            text: waiting,
        });
    }
    let ids: Vec<u32> = draft.words.iter().map(|w| w.id).collect();
    let piece = |w: &hilum::tasks::Word| Piece {
        text: ready.tokenizer.piece(w.id),
        probability: w.probability,
        lead: w.lead,
    };
    Ok(Drafted {
        text: present(&ready.tokenizer.decode(&ids)),
        pieces: draft.words.iter().map(piece).collect(),
        finished: draft.finished,
        stopped: engine.drafting.get() != Some(request),
        encode_ms,
        first_ms,
        pieces_per_s: ids.len() as f64 / seconds,
    })
}
