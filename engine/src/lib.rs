//! Hilum: five chest-radiograph vision-language systems in one engine, natively and on WebGPU.
//!
//! Rooms, each importing only rooms below it: [`train`], [`tasks`], [`bundle`], [`systems`], [`nn`],
//! [`metrics`], [`kernels`], and the crates [`data`], [`text`] and [`image`], which know no tensors.
//! `ARCHITECTURE.md` draws them.

pub mod bundle;
pub mod device;
pub mod kernels;
pub mod metrics;
pub mod nn;
pub mod systems;
pub mod tasks;
#[cfg(not(target_family = "wasm"))]
#[allow(
    clippy::disallowed_methods,
    reason = "training is native: it may read the clock"
)]
pub mod train;

pub use {hilum_data as data, hilum_image as image, hilum_text as text};
