//! What the worker does with each message.

use std::rc::Rc;

use hilum::image::{WindowChoice, decode};
use hilum_protocol::{FromEngine, Shown, ToEngine};
use wasm_bindgen::prelude::*;
use web_sys::MessageEvent;

use super::error::WorkerError;
use super::open::open;
use super::run::run;
use super::scope::{post, scope, yield_now};
use super::state::{Image, State};

/// An image is shown at most so large: more than a screen has, and quick to apply a window to.
const SHOWN: usize = 1536;

/// Takes messages from now on.
pub fn listen() {
    let state = Rc::new(State::default());
    let handler = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
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

async fn handle(state: Rc<State>, message: ToEngine) {
    match message {
        ToEngine::Ping => post(&FromEngine::Pong),
        ToEngine::Cancel { request } => state.cancel(request),
        ToEngine::LoseDevice => {
            if let Some(engine) = state.engine.borrow().as_ref() {
                engine.chosen.lose();
            }
        }
        ToEngine::Open {
            device,
            bundle,
            sha256,
            failed,
        } => match open(device, bundle, sha256, failed).await {
            Ok((engine, opened)) => {
                *state.engine.borrow_mut() = Some(Rc::new(engine));
                post(&FromEngine::Opened(opened));
                judge(&state).await;
            }
            Err(why) => post(&FromEngine::NotOpened(why.to_string())),
        },
        ToEngine::Image { request, bytes } => {
            state.cancel_all();
            let result = read(&state, request, &bytes).map_err(|e| e.to_string());
            post(&FromEngine::Image { request, result });
            judge(&state).await;
        }
        ToEngine::Run { request, task } => {
            state.begin(task.task(), request);
            let result = run(&state, request, &task).await;
            // A request whose device was lost is sent again by the page: that it failed would only be in the way.
            let lost = match (&result, state.engine()) {
                (Err(_), Ok(engine)) => engine.is_lost().await,
                _ => false,
            };
            if !lost {
                let result = result.map_err(|e| e.to_string());
                post(&FromEngine::Done { request, result });
            }
        }
    }
}

/// Tells the page how unlike the training pictures the image at hand is, as soon as there are both it and a model. What fails
/// here is said when something is asked of the image.
async fn judge(state: &State) {
    let (engine, image) = (state.engine(), state.image.borrow().clone());
    if let (Ok(engine), Some(image)) = (engine, image) {
        // The page shows the picture, or that the engine is ready, before the encoder has its turn.
        yield_now().await;
        let _ = image.judge(&engine.session).await;
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
