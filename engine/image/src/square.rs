//! Pixels that are not square, as on some plates and captured screens, made square: a heart must not look wider
//! than it is.

use super::limits::MAX_SAMPLES;
use super::radiograph::Radiograph;

/// Up to this difference of height and width pixels are taken for square, for nobody sees it.
const TOLERANCE: f64 = 0.03;
/// Beyond this ratio the header is not believed.
const MOST: f64 = 10.0;

/// Resamples `radiograph` so that its pixels, `aspect` times as high as wide, become square, and says so in its
/// notes. The longer side of the pixels is divided, so that nothing is lost.
pub(crate) fn square(radiograph: &mut Radiograph, aspect: f64) {
    let ratio = aspect.max(1.0 / aspect);
    if !ratio.is_finite() || ratio <= 1.0 + TOLERANCE {
        return;
    }
    let high = aspect > 1.0;
    let shape = format!(
        "the pixels are not square, {} times as {}",
        (ratio * 100.0).round() / 100.0,
        if high { "high as wide" } else { "wide as high" }
    );
    let (width, height) = (radiograph.width, radiograph.height);
    let stretched = |n: usize| ((n as f64 * ratio).round() as usize).max(1);
    let (new_width, new_height) = match high {
        true => (width, stretched(height)),
        false => (stretched(width), height),
    };
    if ratio > MOST || new_width.saturating_mul(new_height) > MAX_SAMPLES {
        radiograph.notes.push(format!(
            "{shape}: the picture is shown as stored, and is distorted"
        ));
        return;
    }
    let (values, padding) = stretch(radiograph, new_width, new_height);
    radiograph.values = values;
    radiograph.padding = padding;
    (radiograph.width, radiograph.height) = (new_width, new_height);
    radiograph.spacing_mm = radiograph.spacing_mm.map(|(rows, columns)| {
        let side = rows.min(columns);
        (side, side)
    });
    radiograph
        .notes
        .push(format!("{shape}: the picture is resampled to square pixels"));
}

/// Values and padding at another size, linear between two neighbours of which none is padding.
fn stretch(from: &Radiograph, width: usize, height: usize) -> (Vec<f32>, Option<Vec<bool>>) {
    let rows = taps(from.height, height);
    let columns = taps(from.width, width);
    let padded = |i: usize| from.padding.as_ref().is_some_and(|p| p[i]);
    let mut values = Vec::with_capacity(width * height);
    let mut padding = from.padding.as_ref().map(|_| Vec::with_capacity(width * height));
    for &(top, bottom, down) in &rows {
        for &(left, right, across) in &columns {
            // One of the two directions is as it was, and its weight 0.
            let (a, b) = (top * from.width + left, bottom * from.width + right);
            let weight = down + across;
            let nearest = if weight < 0.5 { a } else { b };
            let value = match padded(a) || padded(b) {
                true => from.values[nearest],
                false => from.values[a] * (1.0 - weight) + from.values[b] * weight,
            };
            values.push(value);
            if let Some(padding) = &mut padding {
                padding.push(padded(nearest));
            }
        }
    }
    (values, padding)
}

/// For each of `new` places the two of `old` that it lies between, and the second one's weight.
fn taps(old: usize, new: usize) -> Vec<(usize, usize, f32)> {
    let last = old.saturating_sub(1);
    (0..new)
        .map(|i| {
            let at = ((i as f64 + 0.5) * old as f64 / new as f64 - 0.5).clamp(0.0, last as f64);
            let first = at.floor() as usize;
            let weight = (at - first as f64) as f32;
            // A place that is one of the old ones stays.
            let second = if weight > 0.0 {
                (first + 1).min(last)
            } else {
                first
            };
            (first, second, weight)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radiograph::{Identity, Polarity};
    use crate::voi::WindowFunction;

    fn radiograph(width: usize, values: Vec<f32>) -> Radiograph {
        Radiograph {
            width,
            height: values.len() / width,
            values,
            photometric: Polarity::Monochrome2,
            windows: Vec::new(),
            voi_luts: Vec::new(),
            voi_function: WindowFunction::Linear,
            display_range: None,
            padding: None,
            spacing_mm: Some((0.4, 0.2)),
            notes: Vec::new(),
            format: String::new(),
            identity: Identity::default(),
        }
    }

    #[test]
    fn high_pixels_become_more_rows_and_wide_ones_more_columns() {
        let mut r = radiograph(2, vec![0.0, 10.0, 20.0, 30.0]);
        square(&mut r, 2.0);
        assert_eq!((r.width, r.height, r.spacing_mm), (2, 4, Some((0.2, 0.2))));
        assert_eq!(r.values, [0.0, 10.0, 5.0, 15.0, 15.0, 25.0, 20.0, 30.0]);
        assert!(r.notes[0].contains("2 times as high as wide"), "{:?}", r.notes);
        let mut r = radiograph(2, vec![0.0, 10.0, 20.0, 30.0]);
        square(&mut r, 0.5);
        assert_eq!((r.width, r.height), (4, 2));
        assert_eq!(r.values, [0.0, 2.5, 7.5, 10.0, 20.0, 22.5, 27.5, 30.0]);
    }

    #[test]
    fn padding_does_not_run_into_the_picture() {
        let mut r = radiograph(1, vec![-2000.0, 100.0]);
        r.padding = Some(vec![true, false]);
        square(&mut r, 2.0);
        assert_eq!(r.values, [-2000.0, -2000.0, 100.0, 100.0]);
        assert_eq!(r.padding, Some(vec![true, true, false, false]));
    }

    #[test]
    fn nearly_square_pixels_stay_and_nonsense_is_said() {
        for aspect in [1.0, 1.02, 0.98, f64::NAN, f64::INFINITY, 0.0] {
            let mut r = radiograph(2, vec![0.0; 4]);
            square(&mut r, aspect);
            assert!(r.height == 2 && r.notes.is_empty(), "{aspect}");
        }
        let mut r = radiograph(2, vec![0.0; 4]);
        square(&mut r, 1e9);
        assert!(r.height == 2 && r.notes[0].contains("distorted"));
    }
}
