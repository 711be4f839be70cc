//! Resizing with three filters, antialiased where the image shrinks: two as Pillow does it, one as scikit-image.

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
    /// Linear interpolation of the image, blurred by a Gaussian where it shrinks, between mid-grey margins: scikit-image's `resize`
    /// of pixels around zero, as TorchXRayVision's `XRayResizer` calls it.
    Gaussian,
}

impl Filter {
    /// Samples of the source on each side, where it is not shrunk.
    const fn support(self) -> f64 {
        match self {
            Self::Triangle | Self::Gaussian => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Triangle | Self::Gaussian => (1.0 - x).max(0.0),
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
        if filter == Filter::Gaussian {
            return Self::blurred(from, to, scale);
        }
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

    /// Those of [`Filter::Gaussian`]: what two neighbours of the blurred image weigh, and what the blur takes for each. What lies
    /// beyond the edge has a weight too, and is not in the span.
    fn blurred(from: usize, to: usize, scale: f64) -> Self {
        let deviation = ((scale - 1.0) / 2.0).max(0.0);
        // SciPy cuts the bell at four deviations.
        let radius = (4.0 * deviation + 0.5) as isize;
        let bell = |d: isize| match radius {
            0 => 1.0,
            _ => (-0.5 * (d as f64 / deviation).powi(2)).exp(),
        };
        let whole: f64 = (-radius..=radius).map(bell).sum();
        let mut spans = Vec::with_capacity(to);
        let mut values = Vec::new();
        for i in 0..to {
            let center = (i as f64 + 0.5) * scale - 0.5;
            let (left, share) = (center.floor() as isize, center - center.floor());
            let inside = |at: isize| (0..from as isize).contains(&at);
            let weight = |j: isize| {
                let of = |neighbour: isize, share: f64| match inside(neighbour)
                    && (j - neighbour).abs() <= radius
                {
                    true => share * bell(j - neighbour) / whole,
                    false => 0.0,
                };
                of(left, 1.0 - share) + of(left + 1, share)
            };
            let first = (left - radius).max(0);
            let last = (left + 2 + radius).min(from as isize);
            let start = values.len();
            values.extend((first..last).map(|j| weight(j) as f32));
            spans.push((first as usize, start..values.len()));
        }
        Self { spans, values }
    }
}

/// The crop of `gray` at `width` x `height`, 0..=1, antialiased.
pub(crate) fn resize(gray: &Gray8, crop: Rect, width: usize, height: usize, filter: Filter) -> Vec<f32> {
    let across = Weights::new(crop.width, width, filter);
    let down = Weights::new(crop.height, height, filter);
    // What lies beyond the edge is mid-grey, hence nothing where that is zero.
    let middle = match filter {
        Filter::Gaussian => 127.5,
        _ => 0.0,
    };
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
                    .map(|(w, v)| w * (f32::from(*v) - middle))
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
            .for_each(|t| *t = ((*t + middle) * (1.0 / 255.0)).clamp(0.0, 1.0));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_of_the_filters_with_pillow_and_scikit_image() {
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
                "bicubic" => Filter::Bicubic,
                _ => Filter::Gaussian,
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
                    "{case}: {found}, expected {expected}"
                );
            }
        }
    }
}
