//! What the worker does with each message.

use std::rc::Rc;

use hilum::image::{WindowChoice, decode, read_report};
use hilum_protocol::{FromEngine, Shown, Task, ToEngine};
use js_sys::Map;
use wasm_bindgen::prelude::*;
use web_sys::MessageEvent;

use super::error::WorkerError;
use super::open::{On, open};
use super::run::run;
use super::scope::{post, scope, yield_now};
use super::state::{Image, State};
use super::store::Store;

/// An image is shown at most so large: more than a screen has, and quick to apply a window to.
const SHOWN: usize = 1536;

/// Takes messages from now on.
pub fn listen() {
    let state = Rc::new(State::default());
    let handler = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some((folder, files)) = folder(&event.data()) {
            return state.take_folder(folder, files);
        }
        match serde_wasm_bindgen::from_value(event.data()) {
            Ok(message) => wasm_bindgen_futures::spawn_local(handle(state.clone(), message)),
            Err(error) => {
                wasm_bindgen::throw_str(&format!("page and worker are of different versions: {error}"))
            }
        }
    });
    scope().set_onmessage(Some(handler.as_ref().unchecked_ref()));
    handler.forget();
    post(&FromEngine::Pong);
}

/// The folder that a message brings, where it is such a message.
fn folder(message: &JsValue) -> Option<(String, Map)> {
    let get = |key: &str| js_sys::Reflect::get(message, &key.into()).ok();
    Some((get("folder")?.as_string()?, get("files")?.dyn_into().ok()?))
}

async fn handle(state: Rc<State>, message: ToEngine) {
    match message {
        ToEngine::Ping => post(&FromEngine::Pong),
        ToEngine::Cancel { request } => state.cancel(request),
        ToEngine::LoseDevice => {
            if let Ok(engine) = state.first() {
                engine.chosen.lose();
            }
        }
        ToEngine::Open {
            device,
            bundle,
            sha256,
            tasks,
            failed,
        } => begin(&state, On::Chosen(device, failed), bundle, sha256, tasks).await,
        ToEngine::Add {
            bundle,
            sha256,
            tasks,
        } => begin(&state, On::First, bundle, sha256, tasks).await,
        ToEngine::Close { sha256 } => state.close(&sha256),
        ToEngine::Stored => stored(None).await,
        ToEngine::Free { sha256 } => stored(Some(sha256)).await,
        ToEngine::Image { request, bytes } => {
            state.cancel_all();
            let result = read(&state, request, &bytes).map_err(|e| e.to_string());
            post(&FromEngine::Image { request, result });
            judge(&state).await;
        }
        ToEngine::Report { request, bytes } => {
            let result = read_report(&bytes).map_err(|e| e.to_string());
            post(&FromEngine::Report { request, result });
        }
        ToEngine::Run {
            request,
            task,
            bundle,
        } => {
            state.begin(task.task(), request);
            let serving = match bundle {
                Some(sha256) => state.find(&sha256).ok_or(WorkerError::Closed),
                None => state.serving(&task).await,
            };
            let (bundle, result) = match serving {
                Ok(engine) => {
                    let result = run(&state, &engine, request, &task).await;
                    // A request whose device was lost is sent again by the page: that it failed would only be in the way.
                    if result.is_err() && engine.is_lost().await {
                        return;
                    }
                    (engine.bundle.sha256.clone(), result)
                }
                Err(why) => (String::new(), Err(why)),
            };
            let result = result.map_err(|e| e.to_string());
            post(&FromEngine::Done {
                request,
                bundle,
                result,
            });
        }
    }
}

/// Opens a bundle and tells the page what came of it.
async fn begin(state: &State, on: On, at: String, sha256: Option<String>, only: Option<Vec<Task>>) {
    let adds = matches!(on, On::First);
    let place = state.place(at);
    match open(state, on, place.clone(), sha256, only.as_deref()).await {
        Ok((engine, opened)) => {
            state.open(engine);
            post(&FromEngine::Opened(Box::new(opened)));
            judge(state).await;
        }
        Err(why) => {
            if place.is_folder() {
                // What was read of it before it failed is of no use.
                Store::open().await.sweep(&place.at, None).await;
            }
            let (bundle, why) = (place.at, why.to_string());
            post(&match adds {
                true => FromEngine::NotAdded { bundle, why },
                false => FromEngine::NotOpened(why),
            });
        }
    }
}

/// Lists what is kept, once a bundle is freed where one is to be.
async fn stored(free: Option<String>) {
    let store = Store::open().await;
    if let Some(sha256) = free {
        store.free(&sha256).await;
    }
    post(&FromEngine::Stored(store.kept().await));
}

/// Tells the page how unlike the training pictures of each bundle the image at hand is, as soon as there are both it and one.
async fn judge(state: &State) {
    let Some(image) = state.image.borrow().clone() else {
        return;
    };
    for engine in state.engines() {
        // The page shows the picture, or that the engine is ready, before the encoder has its turn.
        yield_now().await;
        image.judge(&engine).await;
    }
}

/// Decodes a file and keeps it as the image at hand.
fn read(state: &State, request: u32, bytes: &[u8]) -> Result<Box<Shown>, WorkerError> {
    let radiograph = decode(bytes)?;
    // What cannot be shown is no radiograph either.
    radiograph.display(&WindowChoice::Default)?;
    let shown = Box::new(Shown::new(&radiograph, SHOWN));
    *state.image.borrow_mut() = Some(Rc::new(Image::new(radiograph, request)));
    Ok(shown)
}
