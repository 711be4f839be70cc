//! What can go wrong with a bundle or a checkpoint, each as one sentence.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// How many problems of an import are written out before the rest is only counted.
const PROBLEMS_SHOWN: usize = 10;

/// An error of this room. `Display` is one sentence: what was wrong, where, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The operating system refused.
    #[error("Could not {action} {}: {cause}.", path.display())]
    Io {
        /// A verb, as in "read".
        action: &'static str,
        /// What was to be read or written.
        path: PathBuf,
        /// The system's reason (part of the sentence, hence not a `source`).
        cause: io::Error,
    },
    /// The folder has no `bundle.json`.
    #[error("{} is not a bundle, for it holds no bundle.json; make one with `hilum export` or `hilum import`.", path.display())]
    NotABundle {
        /// The folder that was opened.
        path: PathBuf,
    },
    /// It names no model of this engine.
    #[error("The bundle cannot be opened: {0}.")]
    Model(#[from] crate::systems::ModelError),
    /// `bundle.json` cannot be understood.
    #[error("bundle.json cannot be used, because {why}; export the bundle again.")]
    Manifest {
        /// The reason, as a clause.
        why: String,
    },
    /// A bundle of another format version.
    #[error(
        "bundle.json has format version {found}, but this engine reads version {known}; export the bundle again with this engine."
    )]
    Version {
        /// The version in the file.
        found: u64,
        /// The version that this engine reads and writes.
        known: u32,
    },
    /// A file name in the manifest that could lead out of the bundle.
    #[error(
        "bundle.json names the file {name:?}, which is not a plain path inside the bundle; do not trust this bundle."
    )]
    FileName {
        /// The refused name.
        name: String,
    },
    /// A file that the manifest lists is not there.
    #[error("The bundle's file {name} is missing from {}; copy or export the bundle again.", path.display())]
    MissingFile {
        /// Its name in the manifest.
        name: String,
        /// The bundle's folder.
        path: PathBuf,
    },
    /// The manifest does not list a file that was asked for.
    #[error("bundle.json lists no file {name}; export the bundle again with it.")]
    UnlistedFile {
        /// The name asked for.
        name: String,
    },
    /// A file is shorter or longer than the manifest says.
    #[error(
        "The bundle's file {name} has {found} bytes where bundle.json says {expected}; copy or export the bundle again."
    )]
    Length {
        /// Its name in the manifest.
        name: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A file's content is not what was exported.
    #[error(
        "The bundle's file {name} is damaged (its SHA-256 is {found}, bundle.json says {expected}); copy or export the bundle again."
    )]
    Hash {
        /// Its name in the manifest.
        name: String,
        /// SHA-256 by the manifest, in hexadecimal.
        expected: String,
        /// SHA-256 of what is there, in hexadecimal.
        found: String,
    },
    /// A shard that was verified but does not follow the format.
    #[error("The bundle's shard {name} cannot be used, because {why}; export the bundle again.")]
    Shard {
        /// The shard's file name.
        name: String,
        /// The reason, as a clause.
        why: String,
    },
    /// A tensor that cannot be stored or has not the length of its shape.
    #[error("The tensor {name} cannot be stored, because {why}.")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// The reason, as a clause, and what to do.
        why: String,
    },
    /// A bundle cannot be written to the folder asked for.
    #[error("The bundle cannot be written to {}, because {why}; choose another folder.", path.display())]
    Target {
        /// The folder.
        path: PathBuf,
        /// The reason, as a clause.
        why: String,
    },
    /// A checkpoint file that cannot be read.
    #[error("The checkpoint {} cannot be read, because {why}.", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The reason, as a clause, and what to do.
        why: String,
    },
    /// There is no import table for a system.
    #[error("No import table is known for the system {system:?}; the systems that have one are {known}.")]
    UnknownSystem {
        /// The name asked for.
        system: String,
        /// The names that have a table.
        known: String,
    },
    /// The checkpoint does not fit the model.
    #[error("The checkpoint does not fit the model: {}.", summary(problems))]
    Import {
        /// All problems, each a clause that names its tensor.
        problems: Vec<String>,
    },
}

#[cfg(not(target_family = "wasm"))]
impl BundleError {
    /// For `map_err`: an operating system's error with what was being done to which path.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { action, path, cause }
    }
}

/// The first problems, and how many more there are.
fn summary(problems: &[String]) -> String {
    let shown = problems[..problems.len().min(PROBLEMS_SHOWN)].join("; ");
    match problems.len().saturating_sub(PROBLEMS_SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_error_shows_ten_problems_and_counts_the_rest() {
        let problems: Vec<String> = (0..13).map(|n| format!("p{n} is missing")).collect();
        let text = BundleError::Import { problems }.to_string();
        assert!(text.contains("p9 is missing; and 3 more."), "{text}");
        assert!(!text.contains("p10"), "{text}");
    }
}
