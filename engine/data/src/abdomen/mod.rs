//! The abdominal phantom: synthetic abdominal radiographs of described patients, lying or standing, with a report
//! from the same description. A plain sibling of the chest's [`crate::phantom`], from whose canvas it draws.
//!
//! It is the second domain of Medical X-VL (Park et al. 2022, "Application to real clinical data in different domain",
//! table 6). [`describe`] draws who the patient is, [`draw`] what the detector sees, [`report`] what is written;
//! [`findings`] reads a report back. All depend on the seed alone: the same seed gives the same bytes on every
//! machine, and the same patient at every size.

mod air;
mod anatomy;
mod bones;
mod bowel;
mod describe;
mod devices;
mod draw;
mod reads;
mod report;
mod sample;
mod scene;
#[cfg(test)]
mod tests;
mod write;

pub use describe::{AbdominalFinding, Description, Kind, Observation, Position};
pub use reads::findings;
pub use report::report;
pub use sample::describe;
pub use write::{AbdomenTruth, TRUTH_FILE, Written, write_abdomens};

use crate::phantom::PhantomError;

/// Keeps the abdomen's draws apart from the chest's of the same seed.
const SALT: u64 = 0x4142_444f_4d45_4e00;

/// One synthetic abdominal radiograph.
#[derive(Clone, Debug)]
pub struct Abdomen {
    /// Who it is.
    pub description: Description,
    /// Pixels a side.
    pub size: usize,
    /// As displayed, row-major, bone bright; `size * size`.
    pub pixels: Vec<u8>,
    /// As stored by the detector, 0 to 4095, bone bright, before the display's look-up table; `size * size`.
    pub pixels_12bit: Vec<u16>,
}

/// Draws a description at `size` pixels a side.
///
/// # Errors
/// [`PhantomError::Size`] outside 64 to 4096.
pub fn draw(description: &Description, size: usize) -> Result<Abdomen, PhantomError> {
    draw::draw(description, size)
}
