//! The worker: the engine, behind the protocol. It owns device, model and image; the page owns none of
//! them.

#[cfg(target_family = "wasm")]
mod choice;
#[cfg(target_family = "wasm")]
mod dispatch;
#[cfg(target_family = "wasm")]
mod error;
#[cfg(target_family = "wasm")]
mod load;
#[cfg(target_family = "wasm")]
mod open;
#[cfg(target_family = "wasm")]
mod run;
#[cfg(target_family = "wasm")]
mod scope;
#[cfg(target_family = "wasm")]
mod source;
#[cfg(target_family = "wasm")]
mod state;
#[cfg(target_family = "wasm")]
mod store;

#[cfg(target_family = "wasm")]
fn main() {
    console_error_panic_hook::set_once();
    dispatch::listen();
}

#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("this program runs in a browser; build the page with `cargo xtask demo`");
}
