//! How an image becomes the square input of a model: margin, aspect, filter and normalisation, as configuration.
//!
//! MedViLL's (Moon et al. 2022, III-A) is the default: the margin is cut, the aspect kept, and the image resized
//! into a square; ours: the rest of the square is black.

use serde::{Deserialize, Serialize};

use super::radiograph::Gray8;
use super::resize::{Filter, Rect, resize};

/// A side of the margin is cut to no less than this share of the picture's side.
const SMALLEST_SHARE: f64 = 0.25;
/// Black margins: no value above this, and none further from another than the next.
const BLACK: u8 = 24;
const BLACK_SPREAD: u8 = 12;
/// White margins are narrower: bright soft tissue at the edge of a picture is seldom quite white and never
/// even.
const WHITE: u8 = 250;

/// A picture ready for a model, and the way back to where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Side of the square.
    pub size: usize,
    /// `size * size` values in 0..=1, row-major.
    pub pixels: Vec<f32>,
    /// What was kept of the source, in its pixels.
    pub crop: Rect,
    /// Where that lies in the square, in its pixels.
    pub placed: Rect,
}

/// How an image of another aspect fills the square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Whole, with black beside it.
    #[default]
    Pad,
    /// Whole, stretched.
    Stretch,
    /// The middle of its longer side.
    CenterCrop,
}

/// How pixel values in [0, 1] are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Minus a mean, divided by a standard deviation, both of [0, 1].
    Fixed {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        sd: f32,
    },
    /// Each image to mean 0 and standard deviation 1 by itself.
    PerImage,
}

/// How an image becomes the input of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Side of the square in pixels.
    pub size: usize,
    /// Cut near-uniform margins.
    #[serde(default = "yes")]
    pub cut_margins: bool,
    /// What becomes of the aspect.
    #[serde(default)]
    pub fit: Fit,
    /// Filter of resizing.
    #[serde(default)]
    pub filter: Filter,
    /// Normalisation, which the model applies.
    pub norm: Norm,
}

const fn yes() -> bool {
    true
}

impl Preprocessing {
    /// MedViLL's, at a size.
    pub const fn padded(size: usize, norm: Norm) -> Self {
        Self {
            size,
            cut_margins: true,
            fit: Fit::Pad,
            filter: Filter::Triangle,
            norm,
        }
    }

    /// What of `gray` goes where in the square.
    pub fn placement(&self, gray: &Gray8) -> Placement {
        let size = self.size;
        let whole = |width, height| Rect {
            x: 0,
            y: 0,
            width,
            height,
        };
        let all = Placement {
            size,
            crop: whole(gray.width, gray.height),
            placed: whole(size, size),
        };
        if size == 0 || is_empty(gray) {
            return all;
        }
        let mut crop = if self.cut_margins {
            find_content(gray)
        } else {
            all.crop
        };
        let placed = match self.fit {
            Fit::Stretch => all.placed,
            Fit::CenterCrop => {
                let side = crop.width.min(crop.height);
                crop = Rect {
                    x: crop.x + (crop.width - side) / 2,
                    y: crop.y + (crop.height - side) / 2,
                    width: side,
                    height: side,
                };
                all.placed
            }
            Fit::Pad => {
                let longest = crop.width.max(crop.height);
                // Rounded to the nearest in whole numbers, so that no machine differs.
                let side = |n: usize| ((2 * n * size + longest) / (2 * longest)).clamp(1, size);
                let (width, height) = (side(crop.width), side(crop.height));
                Rect {
                    x: (size - width) / 2,
                    y: (size - height) / 2,
                    width,
                    height,
                }
            }
        };
        Placement { size, crop, placed }
    }

    /// `gray` as a square of values in [0, 1], not yet normalised.
    ///
    /// An empty image or a size of 0 gives black.
    pub fn apply(&self, gray: &Gray8) -> Prepared {
        let size = self.size;
        let mut pixels = vec![0.0; size * size];
        let Placement { crop, placed, .. } = self.placement(gray);
        if is_empty(gray) || size == 0 {
            return Prepared {
                size,
                pixels,
                crop,
                placed,
            };
        }
        let resized = resize(gray, crop, placed.width, placed.height, self.filter);
        for (y, row) in resized.chunks_exact(placed.width).enumerate() {
            let start = (placed.y + y) * size + placed.x;
            pixels[start..start + placed.width].copy_from_slice(row);
        }
        Prepared {
            size,
            pixels,
            crop,
            placed,
        }
    }
}

fn is_empty(gray: &Gray8) -> bool {
    gray.width == 0 || gray.height == 0 || gray.pixels.len() != gray.width * gray.height
}

/// What of a picture goes where in the square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Side of the square.
    pub size: usize,
    /// What is kept of the picture, in its pixels.
    pub crop: Rect,
    /// Where that lies in the square, in its pixels.
    pub placed: Rect,
}

impl Placement {
    /// An area of the picture, left, top, right and bottom in its pixels, in the square, 0 to 1; beyond where it was cut off.
    pub fn place(&self, area: [f32; 4]) -> [f32; 4] {
        let Self { size, crop, placed } = self;
        let along = |at: f32, from: [usize; 2], to: [usize; 2]| {
            let share = (at - from[0] as f32) / from[1].max(1) as f32;
            (to[0] as f32 + share * to[1] as f32) / (*size).max(1) as f32
        };
        let x = |at| along(at, [crop.x, crop.width], [placed.x, placed.width]);
        let y = |at| along(at, [crop.y, crop.height], [placed.y, placed.height]);
        let [left, top, right, bottom] = area;
        [x(left), y(top), x(right), y(bottom)]
    }
}

/// [`Preprocessing::padded`] at `size`: the margin cut, the aspect kept, the rest black.
pub fn prepare(gray: &Gray8, size: usize) -> Prepared {
    let norm = Norm::Fixed { mean: 0.0, sd: 1.0 };
    Preprocessing::padded(size, norm).apply(gray)
}

/// Whether a line whose values lie from `low` to `high` is margin.
fn is_margin(low: u8, high: u8) -> bool {
    (high <= BLACK && high - low <= BLACK_SPREAD) || low >= WHITE
}

/// What is left when the near-uniform black or white lines at the four edges are cut away.
///
/// A line is cut only when all of it is margin, so that a marker or a strip of skin ends the cut. Where less
/// than a quarter of a side would be left, nothing is cut: the picture is nearly empty, and what is in it is
/// unknown.
pub fn find_content(gray: &Gray8) -> Rect {
    let whole = Rect {
        x: 0,
        y: 0,
        width: gray.width,
        height: gray.height,
    };
    let (mut x0, mut x1, mut y0, mut y1) = (0, gray.width, 0, gray.height);
    // A margin of one colour may hide one of another inside it: at most one within each side.
    for _ in 0..3 {
        let before = (x0, x1, y0, y1);
        let row_margin = |y: usize| {
            let row = &gray.pixels[y * gray.width + x0..y * gray.width + x1];
            let (low, high) = row.iter().fold((u8::MAX, 0), |(l, h), v| (l.min(*v), h.max(*v)));
            is_margin(low, high)
        };
        while y0 < y1 && row_margin(y0) {
            y0 += 1;
        }
        while y1 > y0 && row_margin(y1 - 1) {
            y1 -= 1;
        }
        if y0 == y1 {
            return whole;
        }
        let (mut low, mut high) = (vec![u8::MAX; x1 - x0], vec![0_u8; x1 - x0]);
        for y in y0..y1 {
            let row = &gray.pixels[y * gray.width + x0..y * gray.width + x1];
            low.iter_mut().zip(row).for_each(|(l, v)| *l = (*l).min(*v));
            high.iter_mut().zip(row).for_each(|(h, v)| *h = (*h).max(*v));
        }
        let margin = |i: &usize| is_margin(low[*i], high[*i]);
        let columns = x1 - x0;
        let left = (0..columns).take_while(margin).count();
        let right = (left..columns).rev().take_while(margin).count();
        (x0, x1) = (x0 + left, x1 - right);
        if x0 == x1 {
            return whole;
        }
        if (x0, x1, y0, y1) == before {
            break;
        }
    }
    let (width, height) = (x1 - x0, y1 - y0);
    let enough = |kept: usize, all: usize| kept as f64 >= SMALLEST_SHARE * all as f64;
    if enough(width, gray.width) && enough(height, gray.height) {
        Rect {
            x: x0,
            y: y0,
            width,
            height,
        }
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize, f: impl Fn(usize, usize) -> u8) -> Gray8 {
        let pixels = (0..width * height).map(|i| f(i % width, i / width)).collect();
        Gray8 {
            width,
            height,
            pixels,
        }
    }

    #[test]
    fn an_area_goes_where_its_pixels_go() {
        // A bright square in a dark picture with black margins.
        let (width, height) = (120, 80);
        let mut gray = Gray8 {
            width,
            height,
            pixels: vec![0; width * height],
        };
        for y in 10..70 {
            gray.pixels[y * width + 20..y * width + 100].fill(90);
        }
        for y in 30..50 {
            gray.pixels[y * width + 40..y * width + 80].fill(230);
        }
        for fit in [Fit::Pad, Fit::Stretch, Fit::CenterCrop] {
            let norm = Norm::Fixed { mean: 0.0, sd: 1.0 };
            let preprocessing = Preprocessing {
                fit,
                ..Preprocessing::padded(160, norm)
            };
            let area = preprocessing.placement(&gray).place([40.0, 30.0, 80.0, 50.0]);
            let [left, top, right, bottom] = area.map(|side| (side * 160.0).round() as usize);
            let pixels = preprocessing.apply(&gray).pixels;
            let bright = |x: usize, y: usize| pixels[y * 160 + x] > 0.6;
            assert!(
                bright(left + 2, top + 2) && bright(right - 3, bottom - 3),
                "{fit:?}: {area:?}"
            );
            assert!(
                !bright(left - 3, top + 2) && !bright(right + 2, bottom - 3),
                "{fit:?}: {area:?}"
            );
            assert!(
                !bright(left + 2, top - 3) && !bright(right - 3, bottom + 2),
                "{fit:?}: {area:?}"
            );
        }
    }

    #[test]
    fn the_margin_is_cut_and_what_is_left_is_centred() {
        // A white frame of 10 around a black one of 5 around 100 x 50 pixels of content.
        let picture = gray(130, 80, |x, y| {
            let inside = |m: usize| (m..130 - m).contains(&x) && (m..80 - m).contains(&y);
            if inside(15) {
                60 + ((x * 7 + y * 13) % 120) as u8
            } else if inside(10) {
                (x % 4) as u8
            } else {
                255
            }
        });
        let p = prepare(&picture, 64);
        assert_eq!(
            p.crop,
            Rect {
                x: 15,
                y: 15,
                width: 100,
                height: 50
            }
        );
        assert_eq!(
            p.placed,
            Rect {
                x: 0,
                y: 16,
                width: 64,
                height: 32
            }
        );
        assert!(p.pixels[..16 * 64].iter().all(|v| *v == 0.0));
        assert!(p.pixels[16 * 64..48 * 64].iter().all(|v| *v > 0.2));
    }

    #[test]
    fn a_mark_at_the_edge_stops_the_cut() {
        let picture = gray(100, 100, |x, y| {
            if (30..70).contains(&x) && (30..70).contains(&y) || (x, y) == (3, 5) {
                90
            } else {
                0
            }
        });
        assert_eq!(
            find_content(&picture),
            Rect {
                x: 3,
                y: 5,
                width: 67,
                height: 65
            }
        );
    }

    #[test]
    fn nearly_empty_pictures_are_left_whole() {
        let whole = Rect {
            x: 0,
            y: 0,
            width: 100,
            height: 100,
        };
        assert_eq!(find_content(&gray(100, 100, |_, _| 0)), whole);
        assert_eq!(find_content(&gray(100, 100, |_, _| 255)), whole);
        assert_eq!(
            find_content(&gray(100, 100, |x, _| if x == 50 { 200 } else { 0 })),
            whole
        );
    }

    #[test]
    fn bright_tissue_at_the_edge_is_kept() {
        let picture = gray(
            60,
            60,
            |x, y| if y < 20 { 235 + ((x + y) % 12) as u8 } else { 120 },
        );
        assert_eq!(find_content(&picture).y, 0);
    }

    #[test]
    fn resizing_keeps_the_mean_and_does_not_alias() {
        // Stripes of one pixel must become even grey.
        let stripes = gray(512, 512, |x, _| if x % 2 == 0 { 100 } else { 200 });
        let p = prepare(&stripes, 64);
        // At the two edges half of the triangle is missing.
        let inner = p.pixels.chunks_exact(64).flat_map(|row| &row[1..63]);
        assert!(inner.into_iter().all(|v| (v - 150.0 / 255.0).abs() < 2e-3));
        let ramp = gray(300, 200, |x, _| 30 + (x / 2) as u8);
        let p = prepare(&ramp, 150);
        let mean: f32 = p.pixels[25 * 150..125 * 150].iter().sum::<f32>() / 15_000.0;
        let truth: f32 = ramp.pixels.iter().map(|v| f32::from(*v)).sum::<f32>() / (60_000.0 * 255.0);
        assert!((mean - truth).abs() < 1e-4, "{mean} {truth}");
    }

    #[test]
    fn a_picture_of_the_right_size_is_only_scaled() {
        let picture = gray(32, 32, |x, y| (x * 4 + y * 3) as u8 + 30);
        let p = prepare(&picture, 32);
        for (a, b) in p.pixels.iter().zip(&picture.pixels) {
            assert!((a - f32::from(*b) / 255.0).abs() < 1e-6);
        }
    }

    #[test]
    fn odd_sizes_do_not_panic() {
        for (w, h, size) in [
            (1, 1, 1),
            (1, 500, 7),
            (500, 1, 7),
            (3, 2, 100),
            (0, 0, 4),
            (5, 5, 0),
        ] {
            let p = prepare(&gray(w, h, |x, y| (x * 31 + y * 17 + 40) as u8), size);
            assert_eq!(p.pixels.len(), size * size);
        }
    }
}
