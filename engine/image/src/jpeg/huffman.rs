//! The bits of a JPEG scan: unstuffing, markers, canonical Huffman codes (ITU-T T.81 annexes C and F).

use super::frame::{JPEG, damaged};
use crate::error::ImageError;

/// Bits that the fast table resolves.
const FAST: u32 = 9;

/// A Huffman table.
#[derive(Clone, Debug)]
pub(super) struct Huffman {
    /// For each run of `FAST` bits: length of the code it starts with, and its value; length 0 when it is
    /// longer.
    fast: Vec<(u8, u8)>,
    /// For each length 1..=16: one past the last code, left-aligned to 16 bits.
    limit: [u32; 17],
    /// For each length: what to add to a code to have its index into `values`.
    offset: [i32; 17],
    values: Vec<u8>,
}

impl Huffman {
    /// The table of `counts[i]` codes of `i + 1` bits; `None` when there are more codes than bits can tell
    /// apart.
    pub fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut fast = vec![(0, 0); 1 << FAST];
        let mut limit = [0; 17];
        let mut offset = [0; 17];
        let mut code = 0_u32;
        let mut index = 0_usize;
        for length in 1..=16_u32 {
            let count = u32::from(counts[length as usize - 1]);
            offset[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if code >= 1 << length {
                    return None;
                }
                if length <= FAST {
                    let span = 1 << (FAST - length);
                    let start = (code as usize) << (FAST - length);
                    fast[start..start + span].fill((length as u8, values[index]));
                }
                code += 1;
                index += 1;
            }
            limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(Self {
            fast,
            limit,
            offset,
            values: values.to_vec(),
        })
    }
}

/// Reads bits of entropy-coded data up to the next marker.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, right-aligned.
    bits: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            bits: 0,
            count: 0,
        }
    }

    /// Bytes up to the marker, or as far as was read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bits that a scan of this data has at most.
    pub fn capacity(&self) -> usize {
        self.data.len().saturating_mul(8)
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.data.get(self.at) else {
                return;
            };
            if byte == 0xff {
                match self.data.get(self.at + 1) {
                    Some(0) => self.at += 2,
                    _ => return,
                }
            } else {
                self.at += 1;
            }
            self.bits = self.bits << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next `n` (at most 16) bits without taking them; past the end they are zero.
    fn peek(&mut self, n: u32) -> u32 {
        if self.count < n {
            self.fill();
        }
        let mask = (1_u64 << n) - 1;
        let found = if self.count >= n {
            self.bits >> (self.count - n)
        } else {
            self.bits << (n - self.count)
        };
        (found & mask) as u32
    }

    fn take(&mut self, n: u32) -> Result<(), ImageError> {
        if n > self.count {
            return Err(ImageError::truncated(JPEG, "a scan ends before its last sample"));
        }
        self.count -= n;
        // Keeps what was taken from being shifted back in by a peek past the end.
        self.bits &= (1_u64 << self.count) - 1;
        Ok(())
    }

    /// The next `n` (0 to 16) bits.
    pub fn read(&mut self, n: u32) -> Result<u32, ImageError> {
        let value = self.peek(n);
        self.take(n)?;
        Ok(value)
    }

    /// The next coded value.
    pub fn decode(&mut self, table: &Huffman) -> Result<u8, ImageError> {
        let window = self.peek(16);
        let (length, value) = table.fast[(window >> (16 - FAST)) as usize];
        if length > 0 {
            self.take(u32::from(length))?;
            return Ok(value);
        }
        for length in FAST + 1..=16 {
            if window < table.limit[length as usize] {
                let index = (window >> (16 - length)) as i32 + table.offset[length as usize];
                self.take(length)?;
                let value = usize::try_from(index).ok().and_then(|i| table.values.get(i));
                return value
                    .copied()
                    .ok_or_else(|| damaged("a scan has a code that its table does not"));
            }
        }
        Err(damaged("a scan has a code that its table does not"))
    }

    /// A signed number of `size` (0 to 15) bits: T.81's RECEIVE and EXTEND.
    pub fn extend(&mut self, size: u32) -> Result<i32, ImageError> {
        if size == 0 {
            return Ok(0);
        }
        let value = self.read(size)? as i32;
        Ok(if value < 1 << (size - 1) {
            value - (1 << size) + 1
        } else {
            value
        })
    }

    /// Steps over a restart marker.
    pub fn restart(&mut self) -> Result<(), ImageError> {
        // The last byte's fill bits, and whole bytes that belong to nothing, are dropped.
        (self.bits, self.count) = (0, 0);
        let rest = self.data.get(self.at..).unwrap_or_default();
        let found = rest
            .windows(2)
            .position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xff));
        match found {
            Some(skipped) if matches!(rest[skipped + 1], 0xd0..=0xd7) => {
                self.at += skipped + 2;
                Ok(())
            }
            Some(_) => Err(damaged("a restart marker is missing")),
            None => Err(ImageError::truncated(JPEG, "it ends before a restart marker")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_canonical() {
        // Lengths 1, 2, 3 and 12: codes 0, 10, 110, 111000000000.
        let mut counts = [0; 16];
        counts[0] = 1;
        counts[1] = 1;
        counts[2] = 1;
        counts[11] = 1;
        let table = Huffman::new(&counts, &[7, 8, 9, 10]).unwrap();
        let data = [0b0101_1011, 0b1000_0000, 0b0011_0000];
        let mut bits = BitReader::new(&data);
        let read: Vec<u8> = (0..5).map(|_| bits.decode(&table).unwrap()).collect();
        assert_eq!(read, [7, 8, 9, 10, 9]);
    }

    #[test]
    fn too_many_codes_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Huffman::new(&counts, &[1, 2, 3]).is_none());
    }

    #[test]
    fn stuffing_is_removed_and_a_marker_ends_the_bits() {
        let mut bits = BitReader::new(&[0xff, 0x00, 0xff, 0xd9]);
        assert_eq!(bits.read(8).unwrap(), 0xff);
        assert!(matches!(bits.read(1), Err(ImageError::Truncated { .. })));
        assert_eq!(bits.position(), 2);
    }

    #[test]
    fn extend_gives_signed_numbers() {
        let mut bits = BitReader::new(&[0b0111_0000]);
        assert_eq!(bits.extend(2).unwrap(), -2);
        assert_eq!(bits.extend(2).unwrap(), 3);
    }
}
