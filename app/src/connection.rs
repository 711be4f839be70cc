//! The line to the worker: start it, send, and replace it when it is of no use any more.

use std::cell::RefCell;

use hilum_protocol::{FromEngine, ToEngine};
use js_sys::{Map, Object, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{Event, MessageEvent, Worker, WorkerOptions, WorkerType};

/// The program that loads the worker's module.
const PROGRAM: &str = "worker-boot.js";

struct Line {
    worker: Worker,
    // Kept alive as long as the worker may call them.
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(Event)>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

thread_local! {
    static LINE: RefCell<Option<Line>> = const { RefCell::new(None) };
    /// The reader's folders of this visit, for a worker that is restarted.
    static FOLDERS: RefCell<Vec<Object>> = const { RefCell::new(Vec::new()) };
}

/// Starts a worker, ending the one before it. `hear` gets its messages, `broken` a sentence when it crashes.
///
/// # Errors
/// When the browser cannot start one.
pub fn start(
    hear: impl Fn(FromEngine) + 'static,
    broken: impl Fn(String) + Clone + 'static,
) -> Result<(), String> {
    end();
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    let worker = Worker::new_with_options(PROGRAM, &options)
        .map_err(|e| format!("this browser cannot run module workers ({e:?}); use a newer one"))?;
    let failed = broken.clone();
    let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        // What the boot program says of a failure is under this key; all else is the engine's.
        let broken = js_sys::Reflect::get(&event.data(), &"broken".into())
            .ok()
            .and_then(|b| b.as_string());
        if let Some(why) = broken {
            return failed(why);
        }
        match serde_wasm_bindgen::from_value(event.data()) {
            Ok(message) => hear(message),
            Err(error) => failed(format!(
                "page and engine are of different versions ({error}); reload the page"
            )),
        }
    });
    let error = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
        // Where the program itself did not load, the event has no message at all.
        let why = js_sys::Reflect::get(&event, &"message".into())
            .ok()
            .and_then(|m| m.as_string());
        broken(
            why.filter(|why| !why.is_empty())
                .unwrap_or_else(|| "its program did not load".to_owned()),
        );
    });
    worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
    worker.set_onerror(Some(error.as_ref().unchecked_ref()));
    LINE.set(Some(Line {
        worker,
        _message: message,
        _error: error,
    }));
    Ok(())
}

/// Ends the worker, whatever it is doing; its memory and its device go with it.
pub fn end() {
    LINE.set(None);
}

/// Sends to the worker; without one, nothing is sent.
pub fn send(message: &ToEngine) {
    LINE.with_borrow(|line| {
        if let (Some(line), Ok(value)) = (line, serde_wasm_bindgen::to_value(message)) {
            // It fails only for what cannot be copied; the protocol's types can.
            let _ = line.worker.post_message(&value);
        }
    });
}

/// Sends the files of a folder, a `Map` from their paths in it, under the name by which its bundle is opened. They are files of the
/// browser's and not copied.
pub fn send_folder(at: &str, files: &Map) {
    let message = Object::new();
    // Neither fails on an object that was just made.
    let _ = Reflect::set(&message, &"folder".into(), &at.into());
    let _ = Reflect::set(&message, &"files".into(), files);
    post(&message);
    FOLDERS.with_borrow_mut(|all| all.push(message));
}

/// Sends all folders again, to another worker.
pub fn send_folders() {
    FOLDERS.with_borrow(|all| all.iter().for_each(post));
}

fn post(message: &Object) {
    LINE.with_borrow(|line| {
        if let Some(line) = line {
            // It fails only for what cannot be copied; files can.
            let _ = line.worker.post_message(message);
        }
    });
}
