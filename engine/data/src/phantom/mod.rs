//! The phantom: synthetic frontal radiographs drawn from a described patient, with masks and boxes from the
//! same geometry.
//!
//! [`describe`] draws who the patient is, [`draw`] what the detector sees. Both depend on the seed alone: the
//! same seed gives the same bytes on every machine, and the same patient at every size.

mod anatomy;
mod bones;
pub(crate) mod canvas;
mod chinese;
mod describe;
mod devices;
mod draw;
pub(crate) mod expose;
mod lesions;
mod masks;
mod mesh;
pub(crate) mod noise;
mod pleura;
mod prose;
mod questions;
mod sample;
mod scene;
pub(crate) mod shapes;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod thumbnail_baseline;
mod vessels;

pub use chinese::{chinese_report, chinese_terms};
pub use describe::{Description, Kind, Observation, Severity, View};
pub use expose::Institution;
pub use masks::{Mask, PixelBox};
pub(crate) use mesh::ANATOMY;
pub use mesh::mesh;
pub use prose::{plain_report, preamble, report, report_at};
pub use questions::questions;
pub use sample::describe;

/// What keeps a phantom from being drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhantomError {
    /// The size is out of bounds.
    #[error("a phantom of {0} pixels a side cannot be drawn: choose a size between 64 and 4096")]
    Size(usize),
}

/// One synthetic radiograph and the truth about it.
#[derive(Clone, Debug)]
pub struct Phantom {
    /// Who it is.
    pub description: Description,
    /// Pixels a side.
    pub size: usize,
    /// As displayed, row-major, bone bright; `size * size`.
    pub pixels: Vec<u8>,
    /// As stored by the detector, 0 to 4095, bone bright, before the display's look-up table; `size * size`.
    pub pixels_12bit: Vec<u16>,
    /// The lungs' outline above the diaphragm.
    pub lungs: Mask,
    /// The heart's outline.
    pub heart: Mask,
    /// For each observation (by its index) that is seen on the picture, its mask and box; one entry a side
    /// where it is bilateral.
    pub findings: Vec<(usize, Mask, PixelBox)>,
}

/// Draws a description at `size` pixels a side, as the first institution would.
///
/// # Errors
/// [`PhantomError::Size`] outside 64 to 4096.
pub fn draw(description: &Description, size: usize) -> Result<Phantom, PhantomError> {
    draw::draw(description, size, Institution::First)
}

/// [`draw`] with the equipment of a chosen institution.
///
/// # Errors
/// [`PhantomError::Size`] outside 64 to 4096.
pub fn draw_at(
    description: &Description,
    size: usize,
    institution: Institution,
) -> Result<Phantom, PhantomError> {
    draw::draw(description, size, institution)
}
