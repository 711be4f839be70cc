//! Marker segments and the frame header (ITU-T T.81 annex B), which JPEG-LS shares.

use crate::error::ImageError;
use crate::limits::Shape;

/// The name of the format in errors.
pub(super) const JPEG: &str = "JPEG";

/// Error of a damaged codestream.
pub(super) fn damaged(detail: impl Into<String>) -> ImageError {
    ImageError::malformed(JPEG, detail)
}

/// A component of the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    pub id: u8,
    /// Horizontal and vertical sampling factors, 1 to 4.
    pub h: usize,
    pub v: usize,
    /// Quantisation table.
    pub table: usize,
}

/// The frame header.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The process: the low byte of the SOF marker.
    pub marker: u8,
    pub precision: u32,
    pub shape: Shape,
    pub(crate) components: Vec<Component>,
}

/// Walks over marker segments.
pub(crate) struct Segments<'a> {
    data: &'a [u8],
    at: usize,
    format: &'static str,
}

impl<'a> Segments<'a> {
    /// Starts after the SOI marker.
    pub fn new(data: &'a [u8], format: &'static str) -> Result<Self, ImageError> {
        if !data.starts_with(&[0xff, 0xd8]) {
            return Err(ImageError::malformed(
                format,
                "it does not begin with a start-of-image marker",
            ));
        }
        Ok(Self { data, at: 2, format })
    }

    /// The next marker's low byte and its segment, which is empty where a marker has none.
    pub fn next(&mut self) -> Result<(u8, &'a [u8]), ImageError> {
        let short = || ImageError::truncated(self.format, "it ends before its end-of-image marker");
        // Fill bytes may stand before a marker.
        let start = self.data.get(self.at..).ok_or_else(short)?;
        let skipped = start
            .windows(2)
            .position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xff))
            .ok_or_else(short)?;
        self.at += skipped + 2;
        let marker = self.data[self.at - 1];
        if matches!(marker, 0x01 | 0xd0..=0xd9) {
            return Ok((marker, &[]));
        }
        let length = self.data.get(self.at..self.at + 2).ok_or_else(short)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(ImageError::malformed(
                self.format,
                "a marker segment has no length",
            ));
        }
        let segment = self.data.get(self.at + 2..self.at + length).ok_or_else(short)?;
        self.at += length;
        Ok((marker, segment))
    }

    /// What follows the segment read last.
    pub fn rest(&self) -> &'a [u8] {
        &self.data[self.at..]
    }

    /// Steps over `count` bytes of [`Segments::rest`].
    pub fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.data.len());
    }
}

/// Reads the header up to the frame: its process and shape, JPEG-LS included.
pub(crate) fn probe(data: &[u8]) -> Result<Frame, ImageError> {
    let mut segments = Segments::new(data, JPEG)?;
    loop {
        match segments.next()? {
            (marker @ (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7), segment) => {
                return parse_frame(marker, segment, JPEG);
            }
            (0xd9 | 0xda, _) => return Err(damaged("it has no frame header")),
            _ => {}
        }
    }
}

/// Reads a frame header.
pub(crate) fn parse_frame(marker: u8, segment: &[u8], format: &'static str) -> Result<Frame, ImageError> {
    let bad = |what: &str| ImageError::malformed(format, what);
    let &[precision, h0, h1, w0, w1, count, ref rest @ ..] = segment else {
        return Err(bad("its frame header is too short"));
    };
    let samples = usize::from(count);
    if !(1..=4).contains(&samples) || rest.len() < 3 * samples {
        return Err(bad("its frame header has no components or too many"));
    }
    let height = usize::from(u16::from_be_bytes([h0, h1]));
    let width = usize::from(u16::from_be_bytes([w0, w1]));
    if !(2..=16).contains(&precision) {
        return Err(bad("its samples are declared to have no or more than 16 bits"));
    }
    let components: Vec<_> = rest
        .chunks_exact(3)
        .take(samples)
        .map(|c| Component {
            id: c[0],
            h: usize::from(c[1] >> 4),
            v: usize::from(c[1] & 15),
            table: usize::from(c[2]),
        })
        .collect();
    if components
        .iter()
        .any(|c| !(1..=4).contains(&c.h) || !(1..=4).contains(&c.v))
    {
        return Err(bad("a sampling factor is not from 1 to 4"));
    }
    Ok(Frame {
        marker,
        precision: u32::from(precision),
        shape: Shape::new(width, height, samples)?,
        components,
    })
}
