//! Bytes to files.

use std::path::Path;

use crate::error::ImageError;

/// Writes `bytes` to `path`, with the path in the error.
pub(super) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    std::fs::write(path, bytes).map_err(|source| ImageError::Io {
        verb: "write",
        path: path.to_path_buf(),
        source,
    })
}
