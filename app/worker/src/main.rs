//! The worker: the engine, behind the protocol. It owns device, model and picture; the page owns nothing of
//! it.

#[cfg(target_family = "wasm")]
mod engine;
#[cfg(target_family = "wasm")]
mod open;
#[cfg(target_family = "wasm")]
mod scope;
#[cfg(target_family = "wasm")]
mod search;
#[cfg(target_family = "wasm")]
mod source;
#[cfg(target_family = "wasm")]
mod store;

#[cfg(target_family = "wasm")]
fn main() {
    console_error_panic_hook::set_once();
    engine::listen();
}

#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("this program runs in a browser; build the page with `cargo xtask demo`");
}
