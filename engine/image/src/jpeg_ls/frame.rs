//! What all parts of the JPEG-LS decoder say of a damaged codestream.

use crate::error::ImageError;

/// The name of the format in errors.
pub(super) const JPEG_LS: &str = "JPEG-LS";

/// Error of a damaged codestream.
pub(super) fn damaged(detail: &str) -> ImageError {
    ImageError::malformed(JPEG_LS, detail)
}

/// What a scan's samples can be wrong in. It is returned for each of them, and so it is as small as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Ends,
    LongCode,
    LargeError,
    LongRun,
}

impl From<Flaw> for ImageError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Ends => Self::truncated(JPEG_LS, "a scan ends before its last sample"),
            Flaw::LongCode => damaged("a scan has a code that is too long"),
            Flaw::LargeError => damaged("an error is larger than its range"),
            Flaw::LongRun => damaged("a run is longer than its line"),
        }
    }
}
