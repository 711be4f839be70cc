//! Hilum: five chest-radiograph vision-language systems in one engine, natively and on WebGPU.
//!
//! Rooms, each importing only rooms below it: [`train`], [`bundle`], [`tasks`], [`systems`], [`nn`], [`data`],
//! [`metrics`], [`text`], [`image`], [`kernels`]. `ARCHITECTURE.md` draws them. Those that need tensors are behind the
//! feature `compute`.

#[cfg(feature = "compute")]
pub mod bundle;
pub mod data;
#[cfg(feature = "compute")]
pub mod device;
pub mod image;
#[cfg(feature = "compute")]
pub mod kernels;
pub mod metrics;
#[cfg(feature = "compute")]
pub mod nn;
#[cfg(feature = "compute")]
pub mod systems;
#[cfg(feature = "compute")]
pub mod tasks;
pub mod text;
#[cfg(all(feature = "compute", not(target_family = "wasm")))]
#[allow(clippy::disallowed_methods, reason = "training is native: it may read the clock")]
pub mod train;
