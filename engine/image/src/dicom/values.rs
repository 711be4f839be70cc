//! What the pixels of a frame hold before modality and VOI.

/// The values of one frame.
pub(crate) enum Values<'a> {
    /// Grey values as stored.
    Grey(Stored<'a>),
    /// Grey values of float pixel data.
    Float(Vec<f32>),
    /// Luminance, and the white that belongs to it.
    Luminance(Vec<f32>, f32),
}

/// Where samples are.
enum Samples<'a> {
    /// In the file, a byte each.
    Bytes(&'a [u8]),
    /// In the file, two bytes each, the highest one last.
    LittleWords(&'a [[u8; 2]]),
    /// In the file, two bytes each, the highest one first.
    BigWords(&'a [[u8; 2]]),
    /// Decoded.
    Decoded(Vec<i32>),
}

/// Grey values as stored, in the file or decoded. They are read in one pass with what is made of them.
pub(crate) struct Stored<'a> {
    samples: Samples<'a>,
    bits: Bits,
}

/// The bits of a sample that are its value.
#[derive(Clone, Copy)]
pub(crate) struct Bits {
    /// The number of the lowest one.
    pub lowest: u32,
    /// How many there are, 1 to 32.
    pub count: u32,
    /// Whether the highest one is a sign.
    pub signed: bool,
}

impl Bits {
    fn of(self, sample: i32) -> i32 {
        let (up, down) = (32 - self.lowest - self.count, 32 - self.count);
        if self.signed {
            sample << up >> down
        } else {
            ((sample as u32) << up >> down) as i32
        }
    }
}

impl<'a> Stored<'a> {
    /// Samples of a byte.
    pub fn bytes(samples: &'a [u8], bits: Bits) -> Self {
        Self {
            samples: Samples::Bytes(samples),
            bits,
        }
    }

    /// Samples of two bytes, `big` where the highest one is first.
    pub fn words(samples: &'a [[u8; 2]], big: bool, bits: Bits) -> Self {
        let samples = if big {
            Samples::BigWords(samples)
        } else {
            Samples::LittleWords(samples)
        };
        Self { samples, bits }
    }

    /// What a codec has given.
    pub fn decoded(samples: Vec<i32>, bits: Bits) -> Self {
        Self {
            samples: Samples::Decoded(samples),
            bits,
        }
    }

    /// `f` of each value.
    pub fn map<T>(&self, f: impl Fn(i32) -> T) -> Vec<T> {
        let bits = self.bits;
        let value = |sample: i32| f(bits.of(sample));
        match &self.samples {
            Samples::Bytes(bytes) => bytes.iter().map(|b| value(i32::from(*b))).collect(),
            Samples::LittleWords(words) => {
                let word = |w: &[u8; 2]| value(i32::from(u16::from_le_bytes(*w)));
                words.iter().map(word).collect()
            }
            Samples::BigWords(words) => {
                let word = |w: &[u8; 2]| value(i32::from(u16::from_be_bytes(*w)));
                words.iter().map(word).collect()
            }
            Samples::Decoded(samples) => samples.iter().map(|s| value(*s)).collect(),
        }
    }

    /// As [`Self::map`], where the decoded values are, if they are decoded.
    pub fn into_floats(self, f: impl Fn(i32) -> f32) -> Vec<f32> {
        let bits = self.bits;
        match self.samples {
            Samples::Decoded(samples) => samples.into_iter().map(|s| f(bits.of(s))).collect(),
            _ => self.map(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(lowest: u32, count: u32, signed: bool) -> Bits {
        Bits {
            lowest,
            count,
            signed,
        }
    }

    /// One bit after the other.
    fn expected(sample: u32, bits: Bits) -> i32 {
        let kept = u64::from(sample) >> bits.lowest & ((1 << bits.count) - 1);
        let below_zero = bits.signed && kept >> (bits.count - 1) == 1;
        (kept as i64 - if below_zero { 1 << bits.count } else { 0 }) as i32
    }

    #[test]
    fn all_places_give_the_same_values() {
        // Lengths that no vector divides.
        for length in [0, 1, 7, 16, 33, 259] {
            let samples: Vec<u16> = (0..length).map(|i| (i * 40_503 + 77) as u16).collect();
            let little: Vec<[u8; 2]> = samples.iter().map(|s| s.to_le_bytes()).collect();
            let big: Vec<[u8; 2]> = samples.iter().map(|s| s.to_be_bytes()).collect();
            let decoded: Vec<i32> = samples.iter().map(|s| i32::from(*s)).collect();
            for (lowest, count) in [(0, 16), (0, 12), (4, 12), (3, 1), (2, 9), (8, 8)] {
                for signed in [false, true] {
                    let bits = bits(lowest, count, signed);
                    let wanted: Vec<i32> = samples.iter().map(|s| expected(u32::from(*s), bits)).collect();
                    let floats: Vec<f32> = wanted.iter().map(|v| *v as f32).collect();
                    let places = [
                        Stored::words(&little, false, bits),
                        Stored::words(&big, true, bits),
                        Stored::decoded(decoded.clone(), bits),
                    ];
                    for stored in places {
                        assert_eq!(stored.map(|v| v), wanted, "{lowest} {count} {signed}");
                        assert_eq!(stored.into_floats(|v| v as f32), floats);
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_have_values_and_signs() {
        let bytes: Vec<u8> = (0..=255).collect();
        for (lowest, count) in [(0, 8), (0, 6), (2, 6), (7, 1)] {
            for signed in [false, true] {
                let bits = bits(lowest, count, signed);
                let wanted: Vec<i32> = bytes.iter().map(|b| expected(u32::from(*b), bits)).collect();
                assert_eq!(Stored::bytes(&bytes, bits).map(|v| v), wanted);
            }
        }
    }

    #[test]
    fn whole_words_of_32_bits_stay_what_they_are() {
        let samples = vec![i32::MIN, -1, 0, 1, i32::MAX];
        for signed in [false, true] {
            assert_eq!(
                Stored::decoded(samples.clone(), bits(0, 32, signed)).map(|v| v),
                samples
            );
        }
    }
}
