//! Look-up tables and windows (PS3.3 C.11.1 and C.11.2).

use serde::{Deserialize, Serialize};

/// How a window maps values (PS3.3 C.11.2.1.2 and C.11.2.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowFunction {
    /// The standard's linear function, whose centre lies half a value low and whose width counts values.
    #[default]
    Linear,
    /// Linear, with centre and width as they are.
    LinearExact,
    /// A logistic curve.
    Sigmoid,
}

/// A window: what is shown between black and white.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The middle grey's value, in units after the modality LUT.
    pub center: f64,
    /// From black to white, in the same units.
    pub width: f64,
    /// The curve.
    pub function: WindowFunction,
    /// Its name in the file.
    pub explanation: Option<String>,
}

impl Window {
    /// The brightness of `x`, 0 to 1.
    pub fn apply(&self, x: f64) -> f64 {
        let y = match self.function {
            WindowFunction::Linear if self.width > 1.0 => {
                (x - (self.center - 0.5)) / (self.width - 1.0) + 0.5
            }
            // A width of 1 is a threshold.
            WindowFunction::Linear => f64::from(u8::from(x > self.center - 0.5)),
            WindowFunction::LinearExact => (x - self.center) / self.width + 0.5,
            WindowFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - self.center) / self.width).exp()),
        };
        y.clamp(0.0, 1.0)
    }
}

/// A table from whole values to whole values; what lies beyond its ends has the end's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lut {
    /// The value of the first entry.
    pub first: i64,
    /// Bits of an entry.
    pub bits: u32,
    /// At least one entry.
    pub entries: Vec<u16>,
}

impl Lut {
    /// The entry of `value`.
    pub fn get(&self, value: i64) -> u16 {
        let last = self.entries.len().saturating_sub(1);
        let index = usize::try_from(value.saturating_sub(self.first))
            .unwrap_or(0)
            .min(last);
        self.entries.get(index).copied().unwrap_or(0)
    }
}

/// A VOI LUT with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiLut {
    /// The table.
    pub lut: Lut,
    /// Its name in the file.
    pub explanation: Option<String>,
}

impl VoiLut {
    /// The table of `entries` of `bits` bits, the first for the value `first`.
    pub fn new(first: i64, bits: u32, entries: Vec<u16>, explanation: Option<String>) -> Self {
        Self {
            lut: Lut { first, bits, entries },
            explanation,
        }
    }

    /// The brightness of `x`, 0 to 1.
    pub fn apply(&self, x: f32) -> f64 {
        let top = f64::from((1_u32 << self.lut.bits.clamp(1, 16)) - 1);
        (f64::from(self.lut.get(x.round() as i64)) / top).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(function: WindowFunction, center: f64, width: f64) -> Window {
        Window {
            center,
            width,
            function,
            explanation: None,
        }
    }

    #[test]
    fn the_standards_own_examples_hold() {
        // PS3.3 C.11.2.1.2.1: c = 2048, w = 4096 maps 0..=4095 to the whole range.
        let w = window(WindowFunction::Linear, 2048.0, 4096.0);
        assert_eq!((w.apply(0.0), w.apply(4095.0)), (0.0, 1.0));
        assert!((w.apply(2047.5) - 0.5).abs() < 1e-12);
        // c = 0, w = 1: black up to -0.5, white above.
        let w = window(WindowFunction::Linear, 0.0, 1.0);
        assert_eq!((w.apply(-0.5), w.apply(-0.4)), (0.0, 1.0));
        // C.11.2.1.3.2: exact.
        let w = window(WindowFunction::LinearExact, 127.5, 255.0);
        assert_eq!(
            (w.apply(0.0), w.apply(127.5), w.apply(255.0), w.apply(300.0)),
            (0.0, 0.5, 1.0, 1.0)
        );
    }

    #[test]
    fn the_sigmoid_is_half_at_its_centre_and_symmetric() {
        let w = window(WindowFunction::Sigmoid, 100.0, 50.0);
        assert!((w.apply(100.0) - 0.5).abs() < 1e-12);
        assert!((w.apply(130.0) + w.apply(70.0) - 1.0).abs() < 1e-12);
        assert!((w.apply(125.0) - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-12);
    }

    #[test]
    fn a_table_holds_its_ends() {
        let lut = Lut {
            first: -2,
            bits: 8,
            entries: vec![5, 6, 7],
        };
        assert_eq!([-100, -2, -1, 0, 100].map(|v| lut.get(v)), [5, 5, 6, 7, 7]);
        assert_eq!(lut.get(i64::MAX), 7);
        assert_eq!(lut.get(i64::MIN), 5);
    }
}
