//! Augmentation: how an image is shown once, and where what is in it comes to lie.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::config::Augment;

/// How an image is shown once: a square of it, shifted, turned, flipped, stretched in contrast, lifted.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Upper left corner of the square in pixels, and its side.
    square: [f32; 3],
    /// Radians by which the square is turned about its middle.
    angle: f32,
    flip: bool,
    gain: f32,
    lift: f32,
}

impl View {
    /// The image as it is.
    pub const fn identity(size: usize) -> Self {
        Self {
            square: [0.0, 0.0, size as f32],
            angle: 0.0,
            flip: false,
            gain: 1.0,
            lift: 0.0,
        }
    }

    /// Draws a view of an image of `size` pixels a side.
    pub fn draw(rng: &mut ChaCha8Rng, size: usize, augment: Option<Augment>) -> Self {
        let Some(augment) = augment else {
            return Self::identity(size);
        };
        let side = size as f32;
        let within = |rng: &mut ChaCha8Rng, reach: f32| {
            if reach > 0.0 {
                rng.random_range(-reach..=reach)
            } else {
                0.0
            }
        };
        // Whole pixels, so that nothing is blurred.
        let reach = (augment.shift * side + 1e-3).floor() as i32;
        let shift = |rng: &mut ChaCha8Rng| rng.random_range(-reach..=reach) as f32;
        let (dx, dy) = (shift(rng), shift(rng));
        let (gain, lift) = (within(rng, augment.contrast), within(rng, augment.brightness));
        let [least, most] = augment.crop;
        let area = if least < most {
            rng.random_range(least..=most)
        } else {
            most
        };
        let square = side * area.max(0.0).sqrt();
        let free = side - square;
        let (x, y) = if free > 0.0 {
            (rng.random_range(0.0..=free), rng.random_range(0.0..=free))
        } else {
            (free / 2.0, free / 2.0)
        };
        let angle = within(rng, augment.rotation).to_radians();
        Self {
            square: [x + dx, y + dy, square],
            angle,
            flip: augment.flip && rng.random(),
            gain: 1.0 + gain,
            lift,
        }
    }

    /// The image so shown: `size * size` values in [0, 1]; what lies outside of it is black.
    pub fn apply(&self, pixels: &[u8], size: usize) -> Vec<f32> {
        let [left, top, square] = self.square;
        let scale = square / size as f32;
        let at = |x: isize, y: isize| {
            let inside = (0..size as isize).contains(&x) && (0..size as isize).contains(&y);
            if inside {
                f32::from(pixels[y as usize * size + x as usize]) / 255.0
            } else {
                0.0
            }
        };
        let whole = scale == 1.0 && left.fract() == 0.0 && top.fract() == 0.0 && self.angle == 0.0;
        let (sin, cos) = self.angle.sin_cos();
        let half = square / 2.0;
        let value = |x: usize, y: usize| {
            let x = if self.flip { size - 1 - x } else { x };
            if whole {
                return at(x as isize + left as isize, y as isize + top as isize);
            }
            // Pixel centres at halves, bilinear.
            let (dx, dy) = ((x as f32 + 0.5) * scale - half, (y as f32 + 0.5) * scale - half);
            let fx = left + half + cos * dx - sin * dy - 0.5;
            let fy = top + half + sin * dx + cos * dy - 0.5;
            let (x0, y0) = (fx.floor(), fy.floor());
            let (wx, wy) = (fx - x0, fy - y0);
            let (x0, y0) = (x0 as isize, y0 as isize);
            let row = |y| at(x0, y) * (1.0 - wx) + at(x0 + 1, y) * wx;
            row(y0) * (1.0 - wy) + row(y0 + 1) * wy
        };
        let mut values = Vec::with_capacity(pixels.len());
        for y in 0..size {
            for x in 0..size {
                values.push(((value(x, y) - 0.5) * self.gain + 0.5 + self.lift).clamp(0.0, 1.0));
            }
        }
        values
    }
}

impl View {
    /// Where an area of the image comes to lie: the box around it, cut at the edges; `None` where nothing of it is shown.
    ///
    /// Left, top, right and bottom, 0 to 1 of the image's `size` pixels and of what is shown.
    pub fn place(&self, area: [f32; 4], size: usize) -> Option<[f32; 4]> {
        let [left, top, square] = self.square.map(|value| value / size as f32);
        let (sin, cos) = self.angle.sin_cos();
        let half = square / 2.0;
        let [x0, y0, x1, y1] = area;
        let mut placed = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        for (x, y) in [(x0, y0), (x1, y0), (x0, y1), (x1, y1)] {
            let (dx, dy) = (x - left - half, y - top - half);
            // Turned back, about the middle.
            let u = (cos * dx + sin * dy + half) / square;
            let v = (cos * dy - sin * dx + half) / square;
            let u = if self.flip { 1.0 - u } else { u };
            placed = [
                placed[0].min(u),
                placed[1].min(v),
                placed[2].max(u),
                placed[3].max(v),
            ];
        }
        let cut = placed.map(|value| value.clamp(0.0, 1.0));
        (cut[0] < cut[2] && cut[1] < cut[3]).then_some(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::stream;

    #[test]
    fn nothing_moves_without_augmentation_and_a_flip_swaps_sides() {
        let pixels: Vec<u8> = (0..16).map(|i| i * 16).collect();
        let plain = View::identity(4).apply(&pixels, 4);
        assert!(
            plain
                .iter()
                .zip(&pixels)
                .all(|(v, p)| (v - f32::from(*p) / 255.0).abs() < 1e-6)
        );
        let flipped = View {
            flip: true,
            ..View::identity(4)
        };
        assert_eq!(flipped.apply(&pixels, 4)[0], plain[3]);
        let half = View {
            square: [1.0, 1.0, 2.0],
            ..View::identity(4)
        };
        // The corner of the inner square, between its first pixel and what is around it.
        let corner = half.apply(&pixels, 4)[0];
        assert!(
            (corner - (0.75 * 0.75 * 80.0 + 0.1875 * (64.0 + 16.0)) / 255.0).abs() < 1e-6,
            "{corner}"
        );
    }

    #[test]
    fn an_area_lies_where_its_pixels_are_shown() {
        let size = 64;
        let mut rng = stream(3, 3);
        let augment = Augment {
            rotation: 15.0,
            crop: [0.8, 1.2],
            flip: true,
            contrast: 0.0,
            brightness: 0.0,
            ..Augment::default()
        };
        let mut pixels = vec![0; size * size];
        for y in 20..30 {
            pixels[y * size + 36..y * size + 44].fill(255);
        }
        let area = [36.0, 20.0, 44.0, 30.0].map(|value| value / size as f32);
        for _ in 0..50 {
            let view = View::draw(&mut rng, size, Some(augment));
            let [left, top, right, bottom] = view.place(area, size).unwrap().map(|value| value * size as f32);
            let shown = view.apply(&pixels, size);
            let lit = |along: fn(usize, usize) -> usize| {
                let lit = (0..size * size)
                    .filter(|i| shown[*i] > 0.5)
                    .map(|i| along(i, size));
                (lit.clone().min().unwrap() as f32, lit.max().unwrap() as f32 + 1.0)
            };
            let ((x0, x1), (y0, y1)) = (lit(|i, size| i % size), lit(|i, size| i / size));
            // The box around a turned box is larger than what is lit, by its corners.
            for (found, wanted, slack) in [
                (x0, left, 1.0),
                (y0, top, 1.0),
                (right, x1, 1.0),
                (bottom, y1, 1.0),
            ] {
                assert!(
                    found - wanted > -slack && found - wanted < 4.0,
                    "{view:?}: {found} and {wanted}"
                );
            }
        }
        assert_eq!(
            View::identity(64).place([0.0, 0.25, 0.5, 1.5], 64),
            Some([0.0, 0.25, 0.5, 1.0])
        );
        assert_eq!(View::identity(64).place([1.0, 0.0, 1.5, 1.0], 64), None);
    }

    #[test]
    fn what_is_drawn_stays_within_its_reach() {
        let mut rng = stream(1, 1);
        for _ in 0..200 {
            let view = View::draw(&mut rng, 56, Some(Augment::default()));
            assert!(view.square[0].abs() <= 2.0 && view.square[1].abs() <= 2.0 && view.square[2] == 56.0);
            assert!((view.gain - 1.0).abs() <= 0.15 && view.lift.abs() <= 0.08 && !view.flip);
            let crop = Augment {
                crop: [0.2, 1.0],
                shift: 0.0,
                ..Augment::default()
            };
            let [x, y, side] = View::draw(&mut rng, 56, Some(crop)).square;
            assert!(x >= 0.0 && y >= 0.0 && x + side <= 56.01 && y + side <= 56.01 && side >= 25.0);
        }
    }
}
