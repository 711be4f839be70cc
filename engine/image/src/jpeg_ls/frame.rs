//! What all parts of the JPEG-LS decoder say of a damaged codestream.

use crate::error::ImageError;

/// The name of the format in errors.
pub(super) const JPEG_LS: &str = "JPEG-LS";

/// Error of a damaged codestream.
pub(super) fn damaged(detail: &str) -> ImageError {
    ImageError::malformed(JPEG_LS, detail)
}
