//! The bits of a JPEG-LS scan: after a byte of ones, the next byte has seven (ITU-T T.87, A.1).

use super::frame::JPEG_LS;
use crate::error::ImageError;

/// Reads bits up to the next marker.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, right-aligned; what is above `count` is zero.
    bits: u64,
    count: u32,
    after_ones: bool,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            bits: 0,
            count: 0,
            after_ones: false,
        }
    }

    /// Where the next marker is, or the end: the scan's last bits may not all have been read.
    pub fn end(&self) -> usize {
        let start = self.at.saturating_sub(self.count as usize / 7 + 1);
        let rest = &self.data[start..];
        rest.windows(2)
            .position(|w| w[0] == 0xff && w[1] >= 0x80)
            .map_or(self.data.len(), |p| start + p)
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.data.get(self.at) else {
                return;
            };
            let marker = if self.after_ones {
                byte >= 0x80
            } else {
                byte == 0xff && self.data.get(self.at + 1).is_some_and(|next| *next >= 0x80)
            };
            if marker {
                return;
            }
            let width = if self.after_ones { 7 } else { 8 };
            self.bits = self.bits << width | u64::from(byte);
            self.count += width;
            self.after_ones = byte == 0xff;
            self.at += 1;
        }
    }

    /// The next `n` (0 to 31) bits.
    pub fn read(&mut self, n: u32) -> Result<u32, ImageError> {
        if self.count < n {
            self.fill();
            if self.count < n {
                return Err(ImageError::truncated(
                    JPEG_LS,
                    "a scan ends before its last sample",
                ));
            }
        }
        self.count -= n;
        let value = self.bits >> self.count;
        self.bits &= (1 << self.count) - 1;
        Ok(value as u32)
    }

    /// How many zeros stand before the next one, which is taken too.
    ///
    /// # Errors
    /// When there are more than `most`.
    pub fn zeros(&mut self, most: u32) -> Result<u32, ImageError> {
        let mut zeros = 0;
        loop {
            if self.count == 0 {
                self.fill();
                if self.count == 0 {
                    return Err(ImageError::truncated(
                        JPEG_LS,
                        "a scan ends before its last sample",
                    ));
                }
            }
            let here = self.count - (64 - self.bits.leading_zeros());
            zeros += here;
            if zeros > most {
                return Err(ImageError::malformed(
                    JPEG_LS,
                    "a scan has a code that is too long",
                ));
            }
            if here < self.count {
                self.count -= here + 1;
                self.bits &= (1 << self.count) - 1;
                return Ok(zeros);
            }
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bit_after_a_byte_of_ones_is_skipped() {
        let mut bits = BitReader::new(&[0xff, 0b0101_0000, 0xff, 0xd9]);
        assert_eq!(bits.read(8).unwrap(), 0xff);
        assert_eq!(bits.read(3).unwrap(), 0b101);
        assert_eq!(bits.read(4).unwrap(), 0);
        assert!(bits.read(1).is_err());
    }

    #[test]
    fn zeros_are_counted_across_bytes() {
        let mut bits = BitReader::new(&[0, 0, 0, 0, 0, 0, 0, 0, 0b0010_0001]);
        assert_eq!(bits.zeros(100).unwrap(), 66);
        assert_eq!(bits.zeros(100).unwrap(), 4);
        assert!(bits.zeros(100).is_err());
    }
}
