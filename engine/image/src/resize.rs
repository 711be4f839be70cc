//! Resizing with two filters, antialiased where the image shrinks, as Pillow does it.

use serde::{Deserialize, Serialize};

use super::radiograph::Gray8;

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The filter of resizing, as wide as the scale where the image shrinks (antialiased, as PIL does).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Linear interpolation: PIL's `BILINEAR`.
    #[default]
    Triangle,
    /// Cubic convolution with a = -0.5 (Keys 1981): PIL's `BICUBIC`.
    Bicubic,
}

impl Filter {
    /// Samples of the source on each side, where it is not shrunk.
    const fn support(self) -> f64 {
        match self {
            Self::Triangle => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Triangle => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// The weights of the source's samples for each sample of the target: a filter as wide as the scale, or as
/// its own support when the image grows.
struct Weights {
    /// First source sample and the range into `values`, for each target sample.
    spans: Vec<(usize, std::ops::Range<usize>)>,
    values: Vec<f32>,
}

impl Weights {
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let radius = filter.support() * stretch;
        let mut spans = Vec::with_capacity(to);
        let mut values = Vec::new();
        for i in 0..to {
            let center = (i as f64 + 0.5) * scale;
            let first = (center - radius).floor().max(0.0) as usize;
            let last = ((center + radius).ceil() as usize).min(from);
            let weight = |j: usize| filter.weight((j as f64 + 0.5 - center) / stretch);
            let sum: f64 = (first..last).map(weight).sum();
            let start = values.len();
            values.extend((first..last).map(|j| (weight(j) / sum) as f32));
            spans.push((first, start..values.len()));
        }
        Self { spans, values }
    }
}

/// The crop of `gray` at `width` x `height`, 0..=1, antialiased.
pub(crate) fn resize(gray: &Gray8, crop: Rect, width: usize, height: usize, filter: Filter) -> Vec<f32> {
    let across = Weights::new(crop.width, width, filter);
    let down = Weights::new(crop.height, height, filter);
    let mut out = vec![0.0_f32; width * height];
    // Source rows are resized once, as they are met, and kept while a target row still needs them.
    let mut rows: std::collections::VecDeque<Vec<f32>> = std::collections::VecDeque::new();
    let mut spare: Vec<Vec<f32>> = Vec::new();
    let mut first_kept = 0;
    for (y, (first, range)) in down.spans.iter().enumerate() {
        while first_kept < *first {
            if let Some(row) = rows.pop_front() {
                spare.push(row);
            }
            first_kept += 1;
        }
        while first_kept + rows.len() < first + range.len() {
            let source = (crop.y + first_kept + rows.len()) * gray.width + crop.x;
            let source = &gray.pixels[source..source + crop.width];
            let mut row = spare.pop().unwrap_or_else(|| vec![0.0; width]);
            for (value, (start, range)) in row.iter_mut().zip(&across.spans) {
                let weights = &across.values[range.clone()];
                *value = weights
                    .iter()
                    .zip(&source[*start..])
                    .map(|(w, v)| w * f32::from(*v))
                    .sum();
            }
            rows.push_back(row);
        }
        let target = &mut out[y * width..(y + 1) * width];
        for (weight, row) in down.values[range.clone()].iter().zip(&rows) {
            target.iter_mut().zip(row).for_each(|(t, v)| *t += weight * v);
        }
        target
            .iter_mut()
            .for_each(|t| *t = (*t * (1.0 / 255.0)).clamp(0.0, 1.0));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_of_both_filters_with_pillow() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/resize.json")).unwrap();
        let number = |v: &serde_json::Value| v.as_u64().unwrap() as usize;
        let pixels = golden["pixels"].as_array().unwrap();
        let source = Gray8 {
            width: number(&golden["width"]),
            height: number(&golden["height"]),
            pixels: pixels.iter().map(|p| number(p) as u8).collect(),
        };
        let whole = Rect {
            x: 0,
            y: 0,
            width: source.width,
            height: source.height,
        };
        for case in golden["cases"].as_array().unwrap() {
            let filter = match case["filter"].as_str().unwrap() {
                "triangle" => Filter::Triangle,
                _ => Filter::Bicubic,
            };
            let found = resize(
                &source,
                whole,
                number(&case["width"]),
                number(&case["height"]),
                filter,
            );
            let expected = case["values"].as_array().unwrap();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                // Cubic convolution overshoots; pixels do not.
                let expected = (expected.as_f64().unwrap() / 255.0).clamp(0.0, 1.0);
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-5,
                    "{case}: {found}, Pillow says {expected}"
                );
            }
        }
    }
}
