//! The page: a reading room. What is read and written here never leaves it.

#[cfg(target_family = "wasm")]
mod address;
#[cfg(target_family = "wasm")]
mod app;
#[cfg(target_family = "wasm")]
mod bundles;
#[cfg(target_family = "wasm")]
mod check;
#[cfg(target_family = "wasm")]
mod connection;
#[cfg(target_family = "wasm")]
mod files;
#[cfg(target_family = "wasm")]
mod gate;
#[cfg(target_family = "wasm")]
mod heat;
#[cfg(target_family = "wasm")]
mod looks;
#[cfg(target_family = "wasm")]
mod marks;
#[cfg(target_family = "wasm")]
mod models;
#[cfg(target_family = "wasm")]
mod panels;
#[cfg(target_family = "wasm")]
mod questions;
#[cfg(target_family = "wasm")]
mod report;
#[cfg(target_family = "wasm")]
mod structured;
#[cfg(target_family = "wasm")]
mod viewer;
#[cfg(target_family = "wasm")]
mod workspace;

#[cfg(target_family = "wasm")]
fn main() {
    console_error_panic_hook::set_once();
    app::mount();
}

#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("this program runs in a browser; build the page with `cargo xtask demo`");
}
