//! From attenuation to a picture: scatter, quantum noise, the logarithm, the equalisation and look-up table
//! of a digital system, the collimator's edge and the side marker.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::canvas::{Frame, Layer, Patch, Profile, nodes};
use super::describe::View;
use super::noise::{Dice, grain};
use super::shapes::smooth;

/// Which hospital it is: the second has other patients, exposures, look-up tables, markers and habits of
/// dictation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Institution {
    /// The one that models are trained on.
    #[default]
    First,
    /// Another, to test what carries over.
    Second,
}

impl fmt::Display for Institution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
        })
    }
}

impl FromStr for Institution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "first" | "1" => Ok(Self::First),
            "second" | "2" => Ok(Self::Second),
            _ => Err(format!(
                "there is no institution {text:?}; choose first or second"
            )),
        }
    }
}

/// Bins a side of the coarse picture that scatter and equalisation are computed on.
const COARSE: usize = 64;
/// The log exposures that the 12-bit picture spans.
const SPAN: (f32, f32) = (0.0, 5.5);

/// A smooth picture of a layer: block means, blurred three times by a box of `reach` bins to each side.
fn coarse(layer: &[f32], size: usize, reach: usize) -> Vec<f32> {
    let mut sum = vec![0.0f32; COARSE * COARSE];
    let mut count = vec![0u32; COARSE * COARSE];
    let bin: Vec<usize> = (0..size).map(|i| (i * 2 + 1) * COARSE / (2 * size)).collect();
    for (row, line) in layer.chunks_exact(size).enumerate() {
        let base = bin[row] * COARSE;
        for (column, value) in line.iter().enumerate() {
            sum[base + bin[column]] += value;
            count[base + bin[column]] += 1;
        }
    }
    let mut map: Vec<f32> = sum
        .iter()
        .zip(&count)
        .map(|(s, n)| s / (*n).max(1) as f32)
        .collect();
    let mut other = map.clone();
    for _ in 0..3 {
        blur(&map, &mut other, reach, 1, COARSE);
        blur(&other, &mut map, reach, COARSE, 1);
    }
    map
}

fn blur(from: &[f32], to: &mut [f32], reach: usize, step: usize, lane: usize) {
    for l in 0..COARSE {
        for i in 0..COARSE {
            let mut sum = 0.0;
            for k in 0..=2 * reach {
                let j = (i + k).saturating_sub(reach).min(COARSE - 1);
                sum += from[l * lane + j * step];
            }
            to[l * lane + i * step] = sum / (2 * reach + 1) as f32;
        }
    }
}

/// Reads a coarse map at every pixel of a row.
fn row_of(map: &[f32], row: usize, size: usize, out: &mut [f32]) {
    let place = |i: usize| {
        let t = ((i as f32 + 0.5) * COARSE as f32 / size as f32 - 0.5).clamp(0.0, (COARSE - 1) as f32);
        let k = (t as usize).min(COARSE - 2);
        (k, t - k as f32)
    };
    let (y, ty) = place(row);
    let (a, b) = (
        &map[y * COARSE..(y + 1) * COARSE],
        &map[(y + 1) * COARSE..(y + 2) * COARSE],
    );
    let blended: [f32; COARSE] = std::array::from_fn(|i| a[i] + (b[i] - a[i]) * ty);
    for (column, value) in out.iter_mut().enumerate() {
        let (x, tx) = place(column);
        *value = blended[x] + (blended[x + 1] - blended[x]) * tx;
    }
}

/// The finished picture: 12-bit and 8-bit values, bone bright.
pub(crate) fn expose(
    attenuation: &Layer,
    view: View,
    seed: u64,
    institution: Institution,
) -> (Vec<u16>, Vec<u8>) {
    let size = attenuation.size;
    let mut dice = Dice::new(seed, 9);
    let second = institution == Institution::Second;
    let ap = view == View::Ap;
    let scatter = if ap {
        dice.range(0.10, 0.30)
    } else {
        dice.range(0.04, 0.16)
    };
    let mottle = dice.range(0.012, 0.030) * if ap { 1.3 } else { 1.0 } * if second { 1.5 } else { 1.0 };
    let equalise = dice.range(0.35, 0.65) + if second { 0.15 } else { 0.0 };
    let centre = dice.range(1.9, 2.5);
    let width = dice.range(2.4, 3.6) * (1.0 - 0.45 * equalise);
    let gamma = dice.range(0.75, 1.3) * if second { 0.8 } else { 1.0 };
    let tilt = [dice.range(-0.35, 0.35), dice.range(-0.35, 0.35)];
    let noise_seed = dice.noise_seed();
    // Larger pixels gather more quanta.
    let fine = libm::powf((size as f32 / 1024.0).min(2.0), 0.75);

    let primary: Vec<f32> = attenuation.data.iter().map(|a| libm::expf(-a)).collect();
    let veil = coarse(&primary, size, 5);
    let mut log: Vec<f32> = vec![0.0; size * size];
    let mut line = vec![0.0f32; size];
    for row in 0..size {
        row_of(&veil, row, size, &mut line);
        let v = (row as f32 + 0.5) / size as f32 - 0.5;
        for (column, scattered) in line.iter().enumerate() {
            let i = row * size + column;
            let beam = primary[i] + scatter * scattered;
            let noise = mottle * fine * grain(column as i32, row as i32, noise_seed) / (beam * 6.0).sqrt();
            let u = (column as f32 + 0.5) / size as f32 - 0.5;
            // The heel effect and a detector that is not quite square to the beam.
            log[i] = -libm::logf(beam * (1.0 + noise.clamp(-0.6, 1.5)) + 1e-4) + tilt[0] * u + tilt[1] * v;
        }
    }
    let smoothed = coarse(&log, size, 4);
    let border = Border::new(&mut dice, second);
    let mut deep = vec![0u16; size * size];
    let mut shallow = vec![0u8; size * size];
    let table: Vec<f32> = (0..=1024).map(|i| look_up(i as f32 / 1024.0, gamma)).collect();
    for row in 0..size {
        row_of(&smoothed, row, size, &mut line);
        for (column, around) in line.iter().enumerate() {
            let i = row * size + column;
            let flat = log[i] - equalise * (around.clamp(0.2, 5.0) - centre);
            let (inside, leak) = border.at(column, row, size);
            // A toe and a shoulder, so that neither air nor bone is cut off at once.
            let z = 1.7 * (flat - centre) / width;
            let t = (0.5 + 0.56 * z / (1.0 + z * z).sqrt()).clamp(0.0, 1.0) * 1024.0;
            let k = (t as usize).min(1023);
            let shown = table[k] + (table[k + 1] - table[k]) * (t - k as f32);
            let shown = leak + (shown - leak) * inside;
            shallow[i] = (255.0 * shown + 0.5).clamp(0.0, 255.0) as u8;
            let raw = SPAN.0 + (flat - SPAN.0) * inside;
            deep[i] = (4095.0 * (raw - SPAN.0) / (SPAN.1 - SPAN.0) + 0.5).clamp(0.0, 4095.0) as u16;
        }
    }
    mark(&mut shallow, &mut deep, size, &mut dice, second);
    (deep, shallow)
}

/// A film-like S-shaped look-up table.
fn look_up(t: f32, gamma: f32) -> f32 {
    let s = t * t * (3.0 - 2.0 * t);
    libm::powf(0.15 * s + 0.85 * t, gamma)
}

/// The collimated field: four edges, a slight turn, and how bright the shutter is.
struct Border {
    low: [f32; 2],
    high: [f32; 2],
    turn: f32,
    grey: f32,
    soft: f32,
}

impl Border {
    fn new(dice: &mut Dice, second: bool) -> Self {
        let mut edge = |probability: f32| {
            if dice.chance(probability) {
                dice.range(0.004, 0.055)
            } else {
                -0.1
            }
        };
        let probability = if second { 0.6 } else { 0.38 };
        let low = [edge(probability), edge(probability)];
        let high = [1.0 - edge(probability), 1.0 - edge(probability)];
        let turn = if dice.chance(0.3) {
            dice.range(-0.03, 0.03)
        } else {
            0.0
        };
        let grey = if dice.chance(0.12) {
            dice.range(0.9, 1.0)
        } else {
            dice.range(0.0, 0.06)
        };
        Self {
            low,
            high,
            turn,
            grey,
            soft: dice.range(0.001, 0.006),
        }
    }

    /// 1 within the field and 0 beyond it, and the grey beyond.
    fn at(&self, column: usize, row: usize, size: usize) -> (f32, f32) {
        let n = size as f32;
        let (u, v) = ((column as f32 + 0.5) / n, (row as f32 + 0.5) / n);
        let (u, v) = (u + self.turn * (v - 0.5), v - self.turn * (u - 0.5));
        let least = (u - self.low[0])
            .min(self.high[0] - u)
            .min(v - self.low[1])
            .min(self.high[1] - v);
        (smooth(least, -self.soft, self.soft), self.grey)
    }
}

/// Burns the side marker in: an L at the patient's left, which is the picture's right, or an R opposite.
fn mark(shallow: &mut [u8], deep: &mut [u16], size: usize, dice: &mut Dice, second: bool) {
    let left = dice.chance(0.6);
    let x = if left {
        dice.range(0.885, 0.94)
    } else {
        dice.range(0.06, 0.115)
    };
    let y = if dice.chance(0.8) {
        dice.range(0.06, 0.2)
    } else {
        dice.range(0.75, 0.92)
    };
    let tall = dice.range(0.018, 0.028);
    let wide = 0.62 * tall;
    let boxed = dice.chance(if second { 0.8 } else { 0.3 });
    let bright = dice.range(0.86, 1.0);
    let frame = Frame {
        size,
        zoom: 1.0,
        cos: 1.0,
        sin: 0.0,
        origin: [0.0, 0.0],
    };
    let at = |u: f32, v: f32| [x + u * wide, y + v * tall];
    let strokes: Vec<Vec<[f32; 2]>> = if left {
        vec![vec![at(-1.0, -1.0), at(-1.0, 1.0), at(1.0, 1.0)]]
    } else {
        let bowl = vec![
            at(-1.0, -1.0),
            at(0.4, -1.0),
            at(0.95, -0.75),
            at(0.95, -0.3),
            at(0.4, 0.0),
            at(-1.0, 0.0),
        ];
        vec![
            vec![at(-1.0, 1.0), at(-1.0, -1.0)],
            bowl,
            vec![at(0.1, 0.0), at(1.0, 1.0)],
        ]
    };
    let mut put = |patch: &Patch, value: f32| {
        for row in 0..patch.height {
            for column in 0..patch.width {
                let weight = patch.values[row * patch.width + column].clamp(0.0, 1.0);
                let i = (patch.top + row) * size + patch.left + column;
                let blend = |old: f32, top: f32| old + (value * top - old) * weight;
                shallow[i] = (blend(f32::from(shallow[i]), 255.0) + 0.5) as u8;
                deep[i] = (blend(f32::from(deep[i]), 4095.0) + 0.5) as u16;
            }
        }
    };
    if boxed {
        let (w, h) = (1.7 * wide, 1.45 * tall);
        if let Some(plate) = Patch::region(&frame, [x - w, y - h], [x + w, y + h], |_| 1.0) {
            put(&plate, 0.62 * bright);
        }
    }
    for stroke in strokes {
        if let Some(patch) = Patch::stroke(&frame, &nodes(&stroke, 0.24 * tall, 1.6), Profile::Rod) {
            put(&patch, bright);
        }
    }
}
