//! How elements are written, and what pixel data may be.

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

/// The pixel data element.
#[derive(Clone, Debug)]
pub(crate) enum PixelData<'a> {
    /// Samples as they are. `wide` when they are 16-bit words (OW); `big` when the highest byte is first.
    Native { bytes: &'a [u8], wide: bool, big: bool },
    /// Float samples, of 4 or 8 bytes.
    Float { bytes: &'a [u8], size: usize },
    /// Compressed: the basic offset table and the fragments.
    Encapsulated {
        offsets: &'a [u8],
        fragments: Vec<&'a [u8]>,
    },
}
