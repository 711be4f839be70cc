//! stub
/// Which end of the stored values is white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// The lowest value is white.
    Monochrome1,
    /// The lowest value is black.
    Monochrome2,
}
