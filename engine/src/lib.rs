//! Hilum: five chest-radiograph vision-language systems in one engine, natively and on WebGPU.
//!
//! Rooms, each importing only rooms below it: [`train`], [`bundle`], [`tasks`], [`systems`], [`nn`], [`data`],
//! [`metrics`], [`text`], [`image`], [`kernels`]. `ARCHITECTURE.md` draws them.

pub mod bundle;
pub mod data;
pub mod device;
pub mod image;
pub mod kernels;
pub mod metrics;
pub mod nn;
pub mod systems;
pub mod tasks;
pub mod text;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::disallowed_methods, reason = "training is native: it may read the clock")]
pub mod train;
