//! A trained model on disk: manifest, shards, quantised weights, and the import of published checkpoints.
//!
//! This room knows tensors only as named arrays of f32 (see [`Array`]); putting them on a device is the
//! caller's work. Whatever needs a file system is native; the page uses [`Manifest::parse`], [`verify`] and
//! [`ShardDecoder`], which take bytes.
//!
//! A bundle is a folder: `bundle.json` ([`Manifest`]), `tokenizer.json`, and `weights-NNN.safetensors`, the
//! shards of [`shard`]; where it has them, those of `gallery/` ([`Gallery`]) and `gate.safetensors` ([`Gate`]). The hash of a bundle is the SHA-256 of its `bundle.json`, which holds those of its
//! files.

pub mod array;
#[cfg(not(target_family = "wasm"))]
pub mod checkpoint;
pub mod error;
pub mod gallery;
pub mod gate;
pub mod import;
mod label;
mod load;
pub mod manifest;
pub mod quant;
#[cfg(not(target_family = "wasm"))]
pub mod reader;
pub mod shard;
mod trial;
#[cfg(not(target_family = "wasm"))]
pub mod writer;

pub use array::{AnyArray, AnyArrays, Array, Arrays, IntArray};
pub use error::BundleError;
pub use gallery::{Gallery, GalleryCase, GalleryIndex};
pub use gate::{Gate, Known};
pub use import::{Head, Imported, import};
pub use label::Label;
pub use load::{ModelLoader, load_model};
pub use manifest::{Dtype, FileEntry, Manifest, Provenance, sha256_hex, verify};
#[cfg(not(target_family = "wasm"))]
pub use reader::Bundle;
pub use shard::ShardDecoder;
pub use trial::Trial;
#[cfg(not(target_family = "wasm"))]
pub use writer::{put_files, put_manifest, write};
