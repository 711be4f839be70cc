//! JPEG (ITU-T T.81) with raw components and full depth: baseline and extended sequential Huffman coding of 8
//! and 12 bits, and lossless coding of 2 to 16 bits. What photographs use is in [`super::raster`]; DICOM
//! needs these.

use super::error::ImageError;
use super::jpeg_huffman::{BitReader, Huffman};
use super::limits::{Colour, Planes, Shape};
use super::{jpeg_dct, jpeg_lossless};

/// The name of the format in errors.
pub(super) const JPEG: &str = "JPEG";

/// Error of a damaged codestream.
pub(super) fn damaged(detail: impl Into<String>) -> ImageError {
    ImageError::malformed(JPEG, detail)
}

/// A component of the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
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
    pub(super) components: Vec<Component>,
}

/// The header of a scan and all that it refers to.
pub(super) struct Scan<'a> {
    pub frame: &'a Frame,
    /// Index into the frame's components, DC table, AC table.
    pub parts: Vec<(usize, usize, usize)>,
    /// Lossless: the predictor; sequential: 0.
    pub start: u8,
    /// Lossless: the point transform.
    pub low: u8,
    pub restart: usize,
    pub quantisation: &'a [Option<[u16; 64]>; 4],
    pub dc: &'a [Option<Huffman>; 4],
    pub ac: &'a [Option<Huffman>; 4],
}

impl Scan<'_> {
    pub fn dc_table(&self, index: usize) -> Result<&Huffman, ImageError> {
        self.dc
            .get(index)
            .and_then(Option::as_ref)
            .ok_or_else(|| damaged("a scan uses a Huffman table that is not there"))
    }

    pub fn ac_table(&self, index: usize) -> Result<&Huffman, ImageError> {
        self.ac
            .get(index)
            .and_then(Option::as_ref)
            .ok_or_else(|| damaged("a scan uses a Huffman table that is not there"))
    }
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
pub(super) fn parse_frame(marker: u8, segment: &[u8], format: &'static str) -> Result<Frame, ImageError> {
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

/// Decodes baseline, extended sequential and lossless JPEG.
///
/// # Errors
/// When the codestream is damaged, cut short, of another process, or of another shape than `declared`.
pub(crate) fn decode(data: &[u8], declared: Option<Shape>) -> Result<Planes, ImageError> {
    let mut segments = Segments::new(data, JPEG)?;
    let mut frame: Option<Frame> = None;
    let mut planes: Vec<Vec<i32>> = Vec::new();
    let mut quantisation: [Option<[u16; 64]>; 4] = [None; 4];
    let mut dc: [Option<Huffman>; 4] = [const { None }; 4];
    let mut ac: [Option<Huffman>; 4] = [const { None }; 4];
    let mut restart = 0;
    let mut transform = None;
    let mut jfif = false;
    loop {
        let (marker, segment) = match segments.next() {
            // Some writers leave the last marker out.
            Err(ImageError::Truncated { .. })
                if !planes.is_empty() && planes.iter().all(|p| !p.is_empty()) =>
            {
                break;
            }
            other => other?,
        };
        match marker {
            0xd9 => break,
            0xc0 | 0xc1 | 0xc3 => {
                if frame.is_some() {
                    return Err(damaged("it has two frames"));
                }
                let found = parse_frame(marker, segment, JPEG)?;
                found.shape.expect(JPEG, declared)?;
                planes = vec![Vec::new(); found.shape.samples];
                frame = Some(found);
            }
            0xc2 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(ImageError::Unsupported(format!(
                    "JPEG of process SOF{} is not read; save the image as baseline or lossless JPEG",
                    marker & 15
                )));
            }
            0xc4 => parse_huffman(segment, &mut dc, &mut ac)?,
            0xdb => parse_quantisation(segment, &mut quantisation)?,
            0xdd if segment.len() >= 2 => restart = usize::from(u16::from_be_bytes([segment[0], segment[1]])),
            0xe0 if segment.starts_with(b"JFIF\0") => jfif = true,
            0xee if segment.starts_with(b"Adobe") => transform = segment.get(11).copied(),
            0xda => {
                let frame = frame
                    .as_ref()
                    .ok_or_else(|| damaged("a scan stands before the frame"))?;
                let (parts, start, low) = parse_scan(segment, frame)?;
                let scan = Scan {
                    frame,
                    parts,
                    start,
                    low,
                    restart,
                    quantisation: &quantisation,
                    dc: &dc,
                    ac: &ac,
                };
                let mut bits = BitReader::new(segments.rest());
                if frame.marker == 0xc3 {
                    jpeg_lossless::decode_scan(&scan, &mut bits, &mut planes)?;
                } else {
                    jpeg_dct::decode_scan(&scan, &mut bits, &mut planes)?;
                }
                segments.advance(bits.position());
            }
            _ => {}
        }
    }
    let frame = frame.ok_or_else(|| damaged("it has no frame"))?;
    if planes.iter().any(Vec::is_empty) {
        return Err(ImageError::truncated(
            JPEG,
            "it ends before all of its components",
        ));
    }
    let colour = (frame.shape.samples == 3).then(|| colour_of(&frame, transform, jfif));
    let colour = colour.flatten();
    Ok(Planes {
        shape: frame.shape,
        planes,
        precision: frame.precision,
        colour,
        lossless: frame.marker == 0xc3,
    })
}

/// What three components are: by Adobe's marker; by JFIF's, whose colours are YCbCr (ITU-T T.871, 6.1); by
/// their names; and by their sampling, for nobody halves red or blue. Without any of these the data set says.
fn colour_of(frame: &Frame, transform: Option<u8>, jfif: bool) -> Option<Colour> {
    let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
    let halved = frame.components[1..]
        .iter()
        .any(|c| c.h < frame.components[0].h || c.v < frame.components[0].v);
    match transform {
        Some(0) => Some(Colour::Rgb),
        Some(1) => Some(Colour::Ybr),
        _ if ids.eq_ignore_ascii_case(b"RGB") => Some(Colour::Rgb),
        _ if (jfif && frame.marker != 0xc3) || halved => Some(Colour::Ybr),
        _ => None,
    }
}

/// A DHT segment: one or more tables.
fn parse_huffman(
    mut segment: &[u8],
    dc: &mut [Option<Huffman>; 4],
    ac: &mut [Option<Huffman>; 4],
) -> Result<(), ImageError> {
    while let Some((&[head, ref counts @ ..], rest)) = segment.split_first_chunk::<17>() {
        let total: usize = counts.iter().map(|c| usize::from(*c)).sum();
        let (index, class) = (usize::from(head & 15), head >> 4);
        if index > 3 || class > 1 || total > rest.len() {
            return Err(damaged("a Huffman table is longer than its segment"));
        }
        let mut lengths = [0_u8; 16];
        lengths.copy_from_slice(counts);
        let table = Huffman::new(&lengths, &rest[..total])
            .ok_or_else(|| damaged("a Huffman table has too many codes"))?;
        if class == 0 {
            dc[index] = Some(table)
        } else {
            ac[index] = Some(table)
        }
        segment = &rest[total..];
    }
    Ok(())
}

/// A DQT segment: one or more tables, kept in zigzag order.
fn parse_quantisation(mut segment: &[u8], tables: &mut [Option<[u16; 64]>; 4]) -> Result<(), ImageError> {
    while let Some((&head, rest)) = segment.split_first() {
        let size = if head >> 4 == 0 { 64 } else { 128 };
        let index = usize::from(head & 15);
        if index > 3 || rest.len() < size {
            return Err(damaged("a quantisation table is longer than its segment"));
        }
        let mut table = [0_u16; 64];
        for (i, q) in table.iter_mut().enumerate() {
            *q = if size == 64 {
                rest[i].into()
            } else {
                u16::from_be_bytes([rest[2 * i], rest[2 * i + 1]])
            };
        }
        tables[index] = Some(table);
        segment = &rest[size..];
    }
    Ok(())
}

/// The components and tables of a scan.
pub(super) type ScanParts = Vec<(usize, usize, usize)>;

/// An SOS segment: components with their tables, the selection's start (or predictor) and the low bit.
fn parse_scan(segment: &[u8], frame: &Frame) -> Result<(ScanParts, u8, u8), ImageError> {
    let count = usize::from(segment.first().copied().unwrap_or(0));
    if count == 0 || count > frame.components.len() || segment.len() < 4 + 2 * count {
        return Err(damaged("a scan header does not fit its frame"));
    }
    let mut parts: ScanParts = Vec::with_capacity(count);
    for pair in segment[1..=2 * count].chunks_exact(2) {
        let component = frame.components.iter().position(|c| c.id == pair[0]);
        let component =
            component.ok_or_else(|| damaged("a scan names a component that the frame does not have"))?;
        if parts.iter().any(|p| p.0 == component) {
            return Err(damaged("a scan names a component twice"));
        }
        parts.push((component, usize::from(pair[1] >> 4), usize::from(pair[1] & 15)));
    }
    Ok((parts, segment[1 + 2 * count], segment[3 + 2 * count] & 15))
}
