//! The samples of a JPEG-LS scan: contexts, Golomb codes, runs (ITU-T T.87 annex A).

use super::bits::BitReader;
use super::coding::Coding;
use super::frame::Flaw;
use crate::error::ImageError;
use crate::limits::Shape;

/// The order of the run lengths (T.87, A.2.1).
const J: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

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
    regions: Vec<i8>,
    contexts: Vec<Context>,
    runs: [RunContext; 2],
}

/// The smallest number of bits, of at most 16, by which `n` is shifted to be no less than `a` (A.5.1).
#[inline]
fn golomb_parameter(n: i32, a: i32) -> u32 {
    let k = n.leading_zeros().saturating_sub(a.leading_zeros());
    (k + u32::from(n << k < a)).min(16)
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
    /// The region of a gradient.
    #[inline]
    fn region(&self, d: i32) -> i32 {
        let index = (d + self.coding.max) as usize;
        self.regions.get(index).copied().map_or(0, i32::from)
    }

    /// The context's number, negative where the sign is turned, from 9 regions of each of three gradients.
    fn context(&self, s: Around) -> i32 {
        (self.region(s.d - s.b) * 9 + self.region(s.b - s.c)) * 9 + self.region(s.c - s.a)
    }

    /// Limited-length Golomb code (A.5.3).
    #[inline]
    fn golomb(&mut self, k: u32, limit: u32) -> Result<i32, Flaw> {
        let longest = limit - self.coding.qbpp - 1;
        let value = match self.bits.zeros_and_bits(k, longest) {
            Some((zeros, low)) => (zeros << k | low) as i32,
            None => self.rare_golomb(k, longest)?,
        };
        // No error is larger than the range; this bounds all sums below.
        if value > 2 * self.coding.range + 1 {
            Err(Flaw::LargeError)
        } else {
            Ok(value)
        }
    }

    /// A code that is long, or at the end of the scan.
    #[cold]
    fn rare_golomb(&mut self, k: u32, longest: u32) -> Result<i32, Flaw> {
        let zeros = self.bits.zeros(longest)?;
        Ok(if zeros < longest {
            (zeros << k | self.bits.read(k)?) as i32
        } else {
            self.bits.read(self.coding.qbpp)? as i32 + 1
        })
    }

    /// A sample outside of runs (A.4 to A.6).
    #[inline]
    fn regular(&mut self, number: i32, s: Around) -> Result<i32, Flaw> {
        // 0, or all ones where the sign is turned: `(v ^ turn) - turn` is `v` or `-v`.
        let turn = number >> 31;
        let index = ((number ^ turn) - turn) as usize;
        let Context { a, b, c, n } = self.contexts[index];
        // The median of both neighbours and of the plane through all three.
        let edge = (s.a + s.b - s.c).clamp(s.a.min(s.b), s.a.max(s.b));
        let prediction = (edge + ((c ^ turn) - turn)).clamp(0, self.coding.max);
        let k = golomb_parameter(n, a);
        let mapped = self.golomb(k, self.coding.limit)?;
        // Errors below 0 have the odd numbers, and the others where the context's mean is far below 0.
        let flip = self.coding.near == 0 && k == 0 && 2 * b <= -n;
        let error = (mapped >> 1) ^ -(mapped & 1) ^ -i32::from(flip);
        self.update(index, error);
        Ok(self.coding.reconstruct(prediction, (error ^ turn) - turn))
    }

    /// A.6.
    #[inline]
    fn update(&mut self, index: usize, error: i32) {
        let context = &mut self.contexts[index];
        let Context {
            mut a,
            mut b,
            c,
            mut n,
        } = *context;
        b += error * (2 * self.coding.near + 1);
        a += error.abs();
        if n == self.coding.reset {
            a >>= 1;
            // Halved towards minus infinity, where it is below 0, as where it is not.
            b >>= 1;
            n >>= 1;
        }
        n += 1;
        let (low, high) = (b <= -n, b > 0);
        let up = (b + n).max(1 - n);
        let down = (b - n).min(0);
        context.a = a;
        context.b = match (low, high) {
            (true, _) => up,
            (_, true) => down,
            _ => b,
        };
        context.c = (c + i32::from(high) - i32::from(low)).clamp(-128, 127);
        context.n = n;
    }

    /// How many samples a run has, of at most `left` (A.7.1).
    fn run_length(&mut self, left: usize, order: &mut usize) -> Result<usize, Flaw> {
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
            return Err(Flaw::LongRun);
        }
        Ok(length)
    }

    /// The sample that ends a run (A.7.2). `kind` is 1 where the samples to the left and above are alike.
    fn interruption(&mut self, kind: usize, order: usize, s: Around) -> Result<i32, Flaw> {
        let RunContext { a, n, negative } = self.runs[kind];
        let threshold = if kind == 1 { a + (n >> 1) } else { a };
        let k = golomb_parameter(n, threshold);
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
fn decode_line(state: &mut State<'_>, lines: &mut Lines) -> Result<(), Flaw> {
    let width = lines.current.len() - 2;
    let mut x = 0;
    while x < width {
        x = decode_regular(state, lines, x)?;
        if x == width {
            break;
        }
        let a = lines.current[x];
        let run = state.run_length(width - x, &mut lines.order)?;
        lines.current[x + 1..=x + run].fill(a);
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

/// Decodes samples from column `x` on up to the next run or the end of the line, and gives the column there.
fn decode_regular(state: &mut State<'_>, lines: &mut Lines, x: usize) -> Result<usize, Flaw> {
    let width = lines.current.len() - 2;
    let mut s = lines.around(x);
    let mut above = state.region(s.b - s.c);
    let next = lines.current[x + 1..=width].iter_mut();
    // What would be above and to the right of the sample after the last one is not read.
    let right = lines.above[x + 3..].iter().chain(std::iter::once(&0));
    let mut done = 0;
    for (current, right) in next.zip(right) {
        let above_right = state.region(s.d - s.b);
        let number = (above_right * 9 + above) * 9 + state.region(s.c - s.a);
        if number == 0 {
            break;
        }
        *current = state.regular(number, s)?;
        above = above_right;
        s = Around {
            a: *current,
            b: s.d,
            c: s.b,
            d: *right,
        };
        done += 1;
    }
    Ok(x + done)
}

/// Decodes a line of components whose samples alternate: a run is one of all components.
fn decode_mixed_line(state: &mut State<'_>, parts: &mut [Lines]) -> Result<(), Flaw> {
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
        regions: coding.regions(),
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
