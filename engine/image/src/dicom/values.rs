//! What the pixels of a frame hold before modality and VOI.

/// The values of one frame.
pub(crate) enum Values {
    /// Grey values as stored.
    Grey(Vec<i32>),
    /// Grey values of float pixel data.
    Float(Vec<f32>),
    /// Luminance, and the white that belongs to it.
    Luminance(Vec<f32>, f32),
}
