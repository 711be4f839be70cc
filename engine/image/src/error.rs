//! What can go wrong between a file and a picture, or a file and a report: each error is one sentence for the person who opened the
//! file.

use std::path::PathBuf;

/// Why an image could not be read, displayed or written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes are of no format that is read here.
    #[error("this is neither DICOM, PNG, JPEG, TIFF nor WebP: {0}")]
    NotAnImage(String),
    /// The bytes stop before what they declare.
    #[error("the {format} data is cut short: {detail}; copy or export the file again")]
    Truncated {
        /// `DICOM`, `PNG`, ...
        format: &'static str,
        /// What was declared, and what is there.
        detail: String,
    },
    /// The bytes contradict themselves or their standard.
    #[error("the {format} data is damaged: {detail}; copy or export the file again")]
    Malformed {
        /// `DICOM`, `PNG`, ...
        format: &'static str,
        /// What was wrong, and where.
        detail: String,
    },
    /// Valid, but a form that is not read here.
    #[error("{0}")]
    Unsupported(String),
    /// Larger than the limits of [`super::limits`].
    #[error("the image is too large: {0}")]
    TooLarge(String),
    /// A DICOM object without an image.
    #[error("this DICOM file holds no image: {0}; choose an image object of the study")]
    NoPixels(String),
    /// A window was asked for that the image does not have, or that makes no sense.
    #[error("{0}")]
    Window(String),
    /// A caller's buffer does not fit its declared size.
    #[error("{0}")]
    Shape(String),
    /// A decoder of another crate stopped in the middle.
    #[error(
        "the {0} decoder gave up on this image, which is probably damaged; copy or export the file again"
    )]
    Decoder(&'static str),
    /// Reading or writing a file failed.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Encoding a picture failed.
    #[error("cannot encode the {0} picture: {1}")]
    Encode(&'static str, String),
}

/// Why no text of a report could be taken from a DICOM file.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The bytes do not begin as DICOM does.
    #[error("this is no DICOM file; give the structured report, or the report as plain text")]
    NotDicom,
    /// Another object: what it is.
    #[error(
        "this DICOM file is no report: {0}; give the structured report (SR) of the study, or the report as plain text"
    )]
    NoReport(&'static str),
    /// A structured document that is not written: of doses, of computer-aided detection, of a procedure.
    #[error(
        "this structured report is no written report, but one of doses, measurements or the like; give the report as plain text"
    )]
    OtherDocument,
    /// A report without text: why.
    #[error("this structured report holds no text: {0}; give the report as plain text")]
    NoText(&'static str),
    /// Its text is encrypted.
    #[error(
        "the text of this structured report is encrypted; export it without encryption, or give the report as plain text"
    )]
    Encrypted,
    /// The file is cut short, damaged, or of a form that is not read.
    #[error(transparent)]
    File(#[from] ImageError),
}

impl ImageError {
    /// [`ImageError::Truncated`] of `format`.
    pub(crate) fn truncated(format: &'static str, detail: impl Into<String>) -> Self {
        Self::Truncated {
            format,
            detail: detail.into(),
        }
    }

    /// [`ImageError::Malformed`] of `format`.
    pub(crate) fn malformed(format: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed {
            format,
            detail: detail.into(),
        }
    }
}
