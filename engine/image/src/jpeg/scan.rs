//! The header of a scan, and the tables that it refers to.

use super::frame::{Frame, damaged};
use super::huffman::Huffman;
use crate::error::ImageError;

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

/// The components and tables of a scan.
pub(super) type ScanParts = Vec<(usize, usize, usize)>;

/// An SOS segment: components with their tables, the selection's start (or predictor) and the low bit.
pub(super) fn parse_scan(segment: &[u8], frame: &Frame) -> Result<(ScanParts, u8, u8), ImageError> {
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
