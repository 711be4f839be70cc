//! What stays the same in a JPEG-LS scan: its parameters, and what follows from them (ITU-T T.87 annexes A and C).

use super::frame::damaged;
use crate::error::ImageError;

/// The parameters of LSE type 1; 0 stands for the default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Preset {
    pub max: i32,
    pub t: [i32; 3],
    pub reset: i32,
}

/// All that stays the same in a scan.
pub(super) struct Coding {
    pub max: i32,
    pub near: i32,
    t: [i32; 3],
    pub reset: i32,
    pub range: i32,
    pub qbpp: u32,
    pub limit: u32,
}

impl Coding {
    /// Defaults of T.87, C.2.4.1.1.
    pub fn new(precision: u32, near: i32, preset: Preset) -> Result<Self, ImageError> {
        let max = if preset.max > 0 {
            preset.max
        } else {
            (1 << precision) - 1
        };
        if max >= 1 << precision || near > 255.min(max / 2) {
            return Err(damaged(
                "its largest value or its tolerance does not fit its bits",
            ));
        }
        let clamp = |i: i32, low: i32| if i > max || i < low { low } else { i };
        let basic = if max >= 128 {
            let factor = (max.min(4095) + 128) / 256;
            [
                factor + 2 + 3 * near,
                4 * factor + 3 + 5 * near,
                17 * factor + 4 + 7 * near,
            ]
        } else {
            let factor = 256 / (max + 1);
            [
                2.max(3 / factor + 3 * near),
                3.max(7 / factor + 5 * near),
                4.max(21 / factor + 7 * near),
            ]
        };
        let pick = |given: i32, default: i32, low: i32| if given > 0 { given } else { clamp(default, low) };
        let t1 = pick(preset.t[0], basic[0], near + 1);
        let t2 = pick(preset.t[1], basic[1], t1);
        let t3 = pick(preset.t[2], basic[2], t2);
        if !(near < t1 && t1 <= t2 && t2 <= t3 && t3 <= max) {
            return Err(damaged("its thresholds are out of order"));
        }
        let reset = if preset.reset > 0 { preset.reset } else { 64 };
        // The upper bound is ours: with it no sum of errors overflows.
        if !(3..=4096).contains(&reset) {
            return Err(damaged("its reset interval is out of range"));
        }
        let range = (max + 2 * near) / (2 * near + 1) + 1;
        let bits_of = |n: i32| 32 - (n - 1).leading_zeros();
        let bpp = bits_of(max + 1).max(2);
        Ok(Self {
            max,
            near,
            t: [t1, t2, t3],
            reset,
            range,
            qbpp: bits_of(range),
            limit: 2 * (bpp + bpp.max(8)),
        })
    }

    /// The region of a gradient, -4 to 4.
    fn quantise(&self, d: i32) -> i8 {
        let magnitude = d.abs();
        let region = match magnitude {
            _ if magnitude <= self.near => return 0,
            _ if magnitude < self.t[0] => 1,
            _ if magnitude < self.t[1] => 2,
            _ if magnitude < self.t[2] => 3,
            _ => 4,
        };
        if d < 0 { -region } else { region }
    }

    /// The regions of all gradients, from that of `-max` to that of `max`.
    pub fn regions(&self) -> Vec<i8> {
        (-self.max..=self.max).map(|d| self.quantise(d)).collect()
    }

    /// A sample from its prediction and its error, modulo the range (A.4.5, A.5.3).
    #[inline]
    pub fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut value = prediction + error * step;
        if value < -self.near {
            value += self.range * step;
        } else if value > self.max + self.near {
            value -= self.range * step;
        }
        value.clamp(0, self.max)
    }
}
