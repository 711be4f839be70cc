//! The bounds that hold before memory is taken: no file, however it lies about itself, makes the reader take
//! more.

use super::error::ImageError;

/// Samples (rows x columns x colour components) of one image. The largest radiographs, stitched whole-leg
/// films, have about half of it.
pub const MAX_SAMPLES: usize = 1 << 26;

/// Bytes of a data set after inflation.
pub const MAX_INFLATED: usize = 1 << 28;

/// Bytes of a file.
pub const MAX_FILE: u64 = 1 << 30;

/// Sequences within sequences.
pub(crate) const MAX_DEPTH: usize = 16;

/// Elements and items of a data set.
pub(crate) const MAX_ELEMENTS: usize = 1 << 20;

/// Width, height and colour components of an image, within [`MAX_SAMPLES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub width: usize,
    pub height: usize,
    pub samples: usize,
}

impl Shape {
    /// A shape that may be allocated.
    pub fn new(width: usize, height: usize, samples: usize) -> Result<Self, ImageError> {
        if width == 0 || height == 0 || samples == 0 {
            return Err(ImageError::malformed(
                "image",
                format!("it declares {width} x {height} pixels"),
            ));
        }
        let total = width.checked_mul(height).and_then(|n| n.checked_mul(samples));
        if total.is_none_or(|n| n > MAX_SAMPLES) {
            return Err(ImageError::TooLarge(format!(
                "{width} x {height} pixels are declared, and at most {} million values are read",
                MAX_SAMPLES >> 20
            )));
        }
        Ok(Self {
            width,
            height,
            samples,
        })
    }

    /// Pixels of one plane.
    pub fn pixels(self) -> usize {
        self.width * self.height
    }

    /// Whether a header may have meant this shape: grey and colour are at times mistaken for each other.
    fn fits(self, declared: Self) -> bool {
        let samples = [self.samples, declared.samples];
        (self.width, self.height) == (declared.width, declared.height)
            && (samples[0] == samples[1] || matches!(samples, [1, 3] | [3, 1]))
    }

    /// Errors when a codestream of `format` declares another shape than the data set around it.
    pub fn expect(self, format: &'static str, declared: Option<Self>) -> Result<(), ImageError> {
        match declared {
            Some(d) if !self.fits(d) => Err(ImageError::malformed(
                format,
                format!(
                    "it holds {} x {} pixels of {} components where the data set declares {} x {} of {}",
                    self.width, self.height, self.samples, d.width, d.height, d.samples
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// What a codec gives back: one vector of `width * height` values for each component.
#[derive(Clone, Debug)]
pub(crate) struct Planes {
    pub shape: Shape,
    pub planes: Vec<Vec<i32>>,
    /// Bits of a sample.
    pub precision: u32,
    /// What three components are, where the codestream says it.
    pub colour: Option<Colour>,
    /// Whether the samples are those that were encoded.
    pub lossless: bool,
}

/// What three components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Rgb,
    /// Luminance and two differences.
    Ybr,
    /// As `Ybr`, with luminance from 16 to 235 of 255.
    YbrPartial,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_bounded_without_overflow() {
        assert!(Shape::new(3000, 2500, 1).is_ok());
        assert!(matches!(
            Shape::new(60_000, 60_000, 1),
            Err(ImageError::TooLarge(_))
        ));
        assert!(matches!(
            Shape::new(usize::MAX, 2, 3),
            Err(ImageError::TooLarge(_))
        ));
        assert!(Shape::new(0, 5, 1).is_err());
    }

    #[test]
    fn a_codestream_must_agree_with_its_data_set() {
        let a = Shape::new(4, 5, 1).unwrap();
        assert!(a.expect("JPEG", None).is_ok());
        assert!(a.expect("JPEG", Some(a)).is_ok());
        assert!(a.expect("JPEG", Some(Shape::new(5, 4, 1).unwrap())).is_err());
    }
}
