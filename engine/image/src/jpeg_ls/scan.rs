//! The samples of a JPEG-LS scan: contexts, Golomb codes, runs (ITU-T T.87 annex A).

use super::bits::BitReader;
use super::frame::damaged;
use crate::error::ImageError;
use crate::limits::Shape;

/// The order of the run lengths (T.87, A.2.1).
const J: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

/// The parameters of LSE type 1; 0 stands for the default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Preset {
    pub max: i32,
    pub t: [i32; 3],
    pub reset: i32,
}

/// All that stays the same in a scan.
pub(super) struct Coding {
    max: i32,
    near: i32,
    t: [i32; 3],
    reset: i32,
    range: i32,
    qbpp: u32,
    limit: u32,
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
    fn quantise(&self, d: i32) -> i32 {
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

    /// A sample from its prediction and its error, modulo the range (A.4.5, A.5.3).
    fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
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

/// The statistics of one context.
#[derive(Clone, Copy)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

/// The statistics of a run's interruption.
#[derive(Clone, Copy)]
struct RunContext {
    a: i32,
    n: i32,
    negative: i32,
}

/// What adapts in a scan; components of an interleaved scan share it.
struct State<'a> {
    coding: Coding,
    bits: BitReader<'a>,
    contexts: Vec<Context>,
    runs: [RunContext; 2],
}

/// The samples around the one that is decoded: left, above, above left, above right.
#[derive(Clone, Copy)]
struct Around {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

impl State<'_> {
    /// The context's number, negative where the sign is turned, from 9 regions of each of three gradients.
    fn context(&self, s: Around) -> i32 {
        let q = |d| self.coding.quantise(d);
        (q(s.d - s.b) * 9 + q(s.b - s.c)) * 9 + q(s.c - s.a)
    }

    /// Limited-length Golomb code (A.5.3).
    fn golomb(&mut self, k: u32, limit: u32) -> Result<i32, ImageError> {
        let longest = limit - self.coding.qbpp - 1;
        let zeros = self.bits.zeros(longest)?;
        let value = if zeros < longest {
            ((zeros << k) | self.bits.read(k)?) as i32
        } else {
            self.bits.read(self.coding.qbpp)? as i32 + 1
        };
        // No error is larger than the range; this bounds all sums below.
        if value > 2 * self.coding.range + 1 {
            Err(damaged("an error is larger than its range"))
        } else {
            Ok(value)
        }
    }

    /// A sample outside of runs (A.4 to A.6).
    fn regular(&mut self, number: i32, s: Around) -> Result<i32, ImageError> {
        let turned = number < 0;
        let index = number.unsigned_abs() as usize;
        let Context { a, b, c, n } = self.contexts[index];
        let edge = if s.c >= s.a.max(s.b) {
            s.a.min(s.b)
        } else if s.c <= s.a.min(s.b) {
            s.a.max(s.b)
        } else {
            s.a + s.b - s.c
        };
        let prediction = (if turned { edge - c } else { edge + c }).clamp(0, self.coding.max);
        let mut k = 0;
        while (n << k) < a && k < 16 {
            k += 1;
        }
        let mapped = self.golomb(k, self.coding.limit)?;
        let (half, odd) = (mapped >> 1, mapped & 1 == 1);
        let error = if self.coding.near == 0 && k == 0 && 2 * b <= -n {
            if odd { half } else { -half - 1 }
        } else if odd {
            -half - 1
        } else {
            half
        };
        self.update(index, error);
        Ok(self
            .coding
            .reconstruct(prediction, if turned { -error } else { error }))
    }

    /// A.6.
    fn update(&mut self, index: usize, error: i32) {
        let context = &mut self.contexts[index];
        context.b += error * (2 * self.coding.near + 1);
        context.a += error.abs();
        if context.n == self.coding.reset {
            context.a >>= 1;
            context.b = if context.b >= 0 {
                context.b >> 1
            } else {
                -((1 - context.b) >> 1)
            };
            context.n >>= 1;
        }
        context.n += 1;
        if context.b <= -context.n {
            context.b = (context.b + context.n).max(1 - context.n);
            context.c = (context.c - 1).max(-128);
        } else if context.b > 0 {
            context.b = (context.b - context.n).min(0);
            context.c = (context.c + 1).min(127);
        }
    }

    /// How many samples a run has, of at most `left` (A.7.1).
    fn run_length(&mut self, left: usize, order: &mut usize) -> Result<usize, ImageError> {
        let mut length = 0;
        while self.bits.read(1)? == 1 {
            let step = 1 << J[*order];
            if step <= left - length {
                length += step;
                *order = (*order + 1).min(31);
            } else {
                length = left;
            }
            if length == left {
                return Ok(left);
            }
        }
        length += self.bits.read(J[*order])? as usize;
        if length >= left {
            return Err(damaged("a run is longer than its line"));
        }
        Ok(length)
    }

    /// The sample that ends a run (A.7.2). `kind` is 1 where the samples to the left and above are alike.
    fn interruption(&mut self, kind: usize, order: usize, s: Around) -> Result<i32, ImageError> {
        let RunContext { a, n, negative } = self.runs[kind];
        let threshold = if kind == 1 { a + (n >> 1) } else { a };
        let mut k = 0;
        while (n << k) < threshold && k < 16 {
            k += 1;
        }
        let mapped = self.golomb(k, self.coding.limit - J[order] - 1)?;
        let both = mapped + kind as i32;
        let odd = both & 1 == 1;
        let magnitude = (both + i32::from(odd)) / 2;
        let error = if (k != 0 || 2 * negative >= n) == odd {
            -magnitude
        } else {
            magnitude
        };
        let run = &mut self.runs[kind];
        run.negative += i32::from(error < 0);
        run.a += (mapped + 1 - kind as i32) >> 1;
        if run.n == self.coding.reset {
            run.a >>= 1;
            run.n >>= 1;
            run.negative >>= 1;
        }
        run.n += 1;
        let (prediction, turned) = if kind == 1 { (s.a, false) } else { (s.b, s.a > s.b) };
        Ok(self
            .coding
            .reconstruct(prediction, if turned { -error } else { error }))
    }
}

/// One component's line under way, with what lies beyond its edges: a sample before the first and one after
/// the last.
struct Lines {
    above: Vec<i32>,
    current: Vec<i32>,
    order: usize,
}

impl Lines {
    fn new(width: usize) -> Self {
        Self {
            above: vec![0; width + 2],
            current: vec![0; width + 2],
            order: 0,
        }
    }

    /// Goes to the next line.
    fn turn(&mut self) {
        std::mem::swap(&mut self.above, &mut self.current);
        let width = self.above.len() - 2;
        // The sample left of a line is the first above it, the one right of the line above is its last
        // (A.2.1).
        self.current[0] = self.above[1];
        self.above[width + 1] = self.above[width];
    }

    fn around(&self, x: usize) -> Around {
        Around {
            a: self.current[x],
            b: self.above[x + 1],
            c: self.above[x],
            d: self.above[x + 2],
        }
    }
}

/// Decodes the lines of one component.
fn decode_line(state: &mut State<'_>, lines: &mut Lines) -> Result<(), ImageError> {
    let width = lines.current.len() - 2;
    let mut x = 0;
    while x < width {
        let s = lines.around(x);
        let number = state.context(s);
        if number != 0 {
            lines.current[x + 1] = state.regular(number, s)?;
            x += 1;
            continue;
        }
        let run = state.run_length(width - x, &mut lines.order)?;
        lines.current[x + 1..=x + run].fill(s.a);
        x += run;
        if x < width {
            let s = lines.around(x);
            let kind = usize::from((s.a - s.b).abs() <= state.coding.near);
            lines.current[x + 1] = state.interruption(kind, lines.order, s)?;
            lines.order = lines.order.saturating_sub(1);
            x += 1;
        }
    }
    Ok(())
}

/// Decodes a line of components whose samples alternate: a run is one of all components.
fn decode_mixed_line(state: &mut State<'_>, parts: &mut [Lines]) -> Result<(), ImageError> {
    let width = parts[0].current.len() - 2;
    let mut order = parts[0].order;
    let mut x = 0;
    while x < width {
        if parts.iter().any(|p| state.context(p.around(x)) != 0) {
            for part in parts.iter_mut() {
                let s = part.around(x);
                part.current[x + 1] = state.regular(state.context(s), s)?;
            }
            x += 1;
            continue;
        }
        let run = state.run_length(width - x, &mut order)?;
        for part in parts.iter_mut() {
            let a = part.current[x];
            part.current[x + 1..=x + run].fill(a);
        }
        x += run;
        if x < width {
            for part in parts.iter_mut() {
                let s = part.around(x);
                part.current[x + 1] = state.interruption(0, order, s)?;
            }
            order = order.saturating_sub(1);
            x += 1;
        }
    }
    parts[0].order = order;
    Ok(())
}

/// Decodes one scan of `count` components into as many planes, and gives the bytes it took.
pub(super) fn decode_scan(
    data: &[u8],
    shape: Shape,
    coding: Coding,
    interleave: u8,
    planes: &mut [Vec<i32>],
) -> Result<usize, ImageError> {
    let start = Context {
        a: 2.max((coding.range + 32) >> 6),
        b: 0,
        c: 0,
        n: 1,
    };
    let run = RunContext {
        a: start.a,
        n: 1,
        negative: 0,
    };
    let mut state = State {
        coding,
        bits: BitReader::new(data),
        contexts: vec![start; 365],
        runs: [run; 2],
    };
    let mut parts: Vec<Lines> = planes.iter().map(|_| Lines::new(shape.width)).collect();
    for _ in 0..shape.height {
        parts.iter_mut().for_each(Lines::turn);
        if interleave == 2 {
            decode_mixed_line(&mut state, &mut parts)?;
        } else {
            for part in &mut parts {
                decode_line(&mut state, part)?;
            }
        }
        for (plane, part) in planes.iter_mut().zip(&parts) {
            plane.extend_from_slice(&part.current[1..=shape.width]);
        }
    }
    Ok(state.bits.end())
}
