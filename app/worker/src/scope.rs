//! What surrounds a worker: its messages, its clock, its turn in the browser's queue.

use hilum_protocol::FromEngine;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::DedicatedWorkerGlobalScope;

/// The worker's global object.
pub fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Sends to the page.
pub fn post(message: &FromEngine) {
    // Neither fails on the protocol's own types; if one did, the page must not wait in silence.
    match serde_wasm_bindgen::to_value(message) {
        Ok(value) => _ = scope().post_message(&value),
        Err(error) => wasm_bindgen::throw_str(&error.to_string()),
    }
}

/// Milliseconds since the worker began.
pub fn now() -> f64 {
    scope().performance().map_or(0.0, |clock| clock.now())
}

/// Lets the browser deliver what is waiting, for instance a cancellation.
pub async fn yield_now() {
    let turn = js_sys::Promise::new(&mut |resolve, _| {
        // Where no timer can be had, the promise is settled at once.
        if scope().set_timeout_with_callback(&resolve).is_err() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    });
    let _ = JsFuture::from(turn).await;
}

/// Bytes of this worker's WebAssembly memory; it never shrinks.
pub fn memory() -> u64 {
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    let buffer: js_sys::ArrayBuffer = memory.buffer().unchecked_into();
    u64::from(buffer.byte_length())
}

/// What JavaScript threw, in words.
pub fn words(thrown: &JsValue) -> String {
    let error = thrown
        .dyn_ref::<js_sys::Error>()
        .map(|e| String::from(e.message()));
    let exception = thrown
        .dyn_ref::<web_sys::DomException>()
        .map(|e| format!("{}: {}", e.name(), e.message()));
    exception
        .or(error)
        .or_else(|| thrown.as_string())
        .unwrap_or_else(|| format!("{thrown:?}"))
}
