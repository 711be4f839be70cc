//! The bits of a JPEG-LS scan: after a byte of ones, the next byte has seven (ITU-T T.87, A.1).

use super::frame::Flaw;

/// Reads bits up to the next marker.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the highest down; what is below `count` of them is zero.
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

    /// Takes whole bytes as long as there is room for them.
    fn fill(&mut self) {
        if let Some(word) = self.word_without_ones() {
            let bytes = (64 - self.count) / 8;
            let after = self.count + 8 * bytes;
            if bytes > 0 {
                self.bits = (self.bits | word >> self.count) & u64::MAX << (64 - after);
                self.count = after;
                self.at += bytes as usize;
            }
            return;
        }
        while self.count <= 56 && self.take_byte() {}
    }

    /// The next eight bytes, where none of them and not the one before is all ones.
    fn word_without_ones(&self) -> Option<u64> {
        let word = u64::from_be_bytes(*self.data.get(self.at..)?.first_chunk()?);
        // A byte of the complement is 0 where taking 1 from it borrows.
        let zeros = !word;
        let found = zeros.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080;
        (found == 0 && !self.after_ones).then_some(word)
    }

    /// Takes a byte, for which there must be room; `false` at the end and before a marker.
    fn take_byte(&mut self) -> bool {
        let Some(&byte) = self.data.get(self.at) else {
            return false;
        };
        let marker = if self.after_ones {
            byte >= 0x80
        } else {
            byte == 0xff && self.data.get(self.at + 1).is_some_and(|next| *next >= 0x80)
        };
        if marker {
            return false;
        }
        let width = if self.after_ones { 7 } else { 8 };
        self.bits |= u64::from(byte) << (64 - width) >> self.count;
        self.count += width;
        self.after_ones = byte == 0xff;
        self.at += 1;
        true
    }

    /// The highest `n` (0 to 31) bits.
    fn top(bits: u64, n: u32) -> u32 {
        (bits >> 1 >> (63 - n)) as u32
    }

    /// The next `n` (0 to 31) bits.
    pub fn read(&mut self, n: u32) -> Result<u32, Flaw> {
        if self.count < n {
            self.fill();
            if self.count < n {
                return Err(Flaw::Ends);
            }
        }
        let value = Self::top(self.bits, n);
        self.bits <<= n;
        self.count -= n;
        Ok(value)
    }

    /// How many zeros stand before the next one, which is taken too, and the `k` (0 to 16) bits after it.
    /// `None` where not all of them are at hand, or where there are `longest` zeros or more: then nothing is
    /// taken.
    #[inline]
    pub fn zeros_and_bits(&mut self, k: u32, longest: u32) -> Option<(u32, u32)> {
        if self.count < 32 {
            self.fill();
        }
        let zeros = self.bits.leading_zeros();
        if zeros >= longest || zeros + 1 + k > self.count {
            return None;
        }
        let rest = self.bits << zeros << 1;
        self.bits = rest << k;
        self.count -= zeros + 1 + k;
        Some((zeros, Self::top(rest, k)))
    }

    /// How many zeros stand before the next one, which is taken too.
    ///
    /// # Errors
    /// When there are more than `most`.
    pub fn zeros(&mut self, most: u32) -> Result<u32, Flaw> {
        let mut zeros = 0;
        loop {
            if self.count == 0 {
                self.fill();
                if self.count == 0 {
                    return Err(Flaw::Ends);
                }
            }
            let here = self.bits.leading_zeros().min(self.count);
            zeros += here;
            if zeros > most {
                return Err(Flaw::LongCode);
            }
            if here < self.count {
                self.bits = self.bits << here << 1;
                self.count -= here + 1;
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
    /// Bytes with and without ones, so that words and single bytes are taken in turns.
    fn scan() -> Vec<u8> {
        let mut bytes = Vec::new();
        for i in 0..4000_u32 {
            let byte = (i.wrapping_mul(2_654_435_761) >> 21) as u8;
            bytes.push(if i % 41 == 7 { 0xff } else { byte });
            if bytes[bytes.len() - 1] == 0xff {
                bytes.push(byte & 0x7f);
            }
        }
        bytes
    }

    /// All bits of a scan, one by one.
    fn unstuffed(scan: &[u8]) -> Vec<u32> {
        let mut bits = Vec::new();
        let mut before = 0;
        for byte in scan {
            let width = if before == 0xff { 7 } else { 8 };
            bits.extend((0..width).rev().map(|i| u32::from(byte >> i & 1)));
            before = *byte;
        }
        bits
    }

    #[test]
    fn words_and_bytes_give_the_same_bits() {
        let scan = scan();
        let expected = unstuffed(&scan);
        for step in [1, 3, 8, 13, 31] {
            let mut reader = BitReader::new(&scan);
            for chunk in expected.chunks_exact(step) {
                let value = chunk.iter().fold(0, |v, bit| v << 1 | bit);
                assert_eq!(reader.read(step as u32), Ok(value));
            }
            assert!(reader.read(31).is_err());
        }
    }

    #[test]
    fn a_code_at_hand_is_what_its_parts_are() {
        let scan = scan();
        for k in [0, 1, 5, 16] {
            let (mut whole, mut parts) = (BitReader::new(&scan), BitReader::new(&scan));
            for _ in 0..800 {
                let code = (parts.zeros(100).unwrap(), parts.read(k).unwrap());
                match whole.zeros_and_bits(k, 9) {
                    Some(found) => assert_eq!(found, code),
                    None => assert_eq!((whole.zeros(100).unwrap(), whole.read(k).unwrap()), code),
                }
            }
        }
    }
}
