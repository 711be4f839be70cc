//! image
pub mod encode;
mod encode_dicom;
mod error;
mod radiograph;
pub use error::ImageError;
pub use radiograph::Polarity;
