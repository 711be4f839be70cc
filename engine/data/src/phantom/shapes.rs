//! Curves and closed outlines in the patient's plane, independent of the number of pixels.

/// A point of the patient's plane: x to the picture's right (the patient's left), y down, both in picture
/// widths, the middle of the thorax near the origin.
pub(crate) type Point = [f32; 2];

/// 0 below `low`, 1 above `high`, smooth between.
pub(crate) fn smooth(value: f32, low: f32, high: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The height of a quarter circle over `t` in `[0, 1]`: how thick a round body is near its edge.
pub(crate) fn quarter(t: f32) -> f32 {
    let u = 1.0 - t.clamp(0.0, 1.0);
    (1.0 - u * u).max(0.0).sqrt()
}

/// A bell of height 1 around `centre`.
pub(crate) fn bell(value: f32, centre: f32, width: f32) -> f32 {
    let t = (value - centre) / width;
    libm::expf(-0.5 * t * t)
}

/// A function of one coordinate held as evenly spaced samples, read by linear interpolation, constant
/// outside.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    low: f32,
    step: f32,
    values: Vec<f32>,
}

impl Table {
    pub(crate) fn sample(low: f32, high: f32, count: usize, f: impl Fn(f32) -> f32) -> Self {
        let step = (high - low) / (count - 1) as f32;
        Self {
            low,
            step,
            values: (0..count).map(|i| f(low + step * i as f32)).collect(),
        }
    }

    pub(crate) fn at(&self, x: f32) -> f32 {
        let last = self.values.len() - 1;
        let t = ((x - self.low) / self.step).clamp(0.0, last as f32);
        let i = (t as usize).min(last - 1);
        let part = t - i as f32;
        self.values[i] + (self.values[i + 1] - self.values[i]) * part
    }
}

/// Points of a Catmull-Rom curve through the given ones, `per` a span.
pub(crate) fn spline(points: &[Point], per: usize, closed: bool) -> Vec<Point> {
    let n = points.len() as isize;
    let at = |i: isize| {
        points[if closed {
            i.rem_euclid(n)
        } else {
            i.clamp(0, n - 1)
        } as usize]
    };
    let spans = if closed { n } else { n - 1 };
    let mut out = Vec::with_capacity(spans as usize * per + 1);
    for i in 0..spans {
        let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        for k in 0..per {
            let t = k as f32 / per as f32;
            let axis = |j: usize| {
                0.5 * (2.0 * b[j]
                    + (c[j] - a[j]) * t
                    + (2.0 * a[j] - 5.0 * b[j] + 4.0 * c[j] - d[j]) * t * t
                    + (3.0 * b[j] - a[j] - 3.0 * c[j] + d[j]) * t * t * t)
            };
            out.push([axis(0), axis(1)]);
        }
    }
    out.push(at(if closed { 0 } else { n - 1 }));
    out
}

const RAYS: usize = 256;

/// Grows with the angle of `(dx, dy)` from 0 to 4, without trigonometry.
fn diamond_angle(dx: f32, dy: f32) -> f32 {
    let sum = dx.abs() + dy.abs();
    if sum == 0.0 {
        return 0.0;
    }
    let p = dx / sum;
    if dy >= 0.0 { 1.0 - p } else { 3.0 + p }
}

/// A closed outline that each ray from its centre crosses once.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    pub(crate) centre: Point,
    radius: Vec<f32>,
}

impl Outline {
    /// From a function of the direction (a unit vector) to the radius.
    pub(crate) fn from_rays(centre: Point, radius: impl Fn(f32, f32) -> f32) -> Self {
        let radius = (0..RAYS)
            .map(|i| {
                let angle = i as f32 * 4.0 / RAYS as f32;
                let (p, up) = if angle < 2.0 {
                    (1.0 - angle, 1.0)
                } else {
                    (angle - 3.0, -1.0)
                };
                let (dx, dy) = (p, up * (1.0 - p.abs()));
                let norm = (dx * dx + dy * dy).sqrt();
                radius(dx / norm, dy / norm)
            })
            .collect();
        Self { centre, radius }
    }

    /// Through points given in order around the centre.
    pub(crate) fn through(centre: Point, points: &[Point]) -> Self {
        let mut found: Vec<(f32, f32)> = spline(points, 24, true)
            .iter()
            .map(|p| {
                let (dx, dy) = (p[0] - centre[0], p[1] - centre[1]);
                (diamond_angle(dx, dy), (dx * dx + dy * dy).sqrt())
            })
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut cursor = 0;
        let radius = (0..RAYS)
            .map(|i| {
                let angle = i as f32 * 4.0 / RAYS as f32;
                while cursor < found.len() && found[cursor].0 < angle {
                    cursor += 1;
                }
                let after = if cursor < found.len() {
                    found[cursor]
                } else {
                    (found[0].0 + 4.0, found[0].1)
                };
                let before = if cursor > 0 {
                    found[cursor - 1]
                } else {
                    let last = found[found.len() - 1];
                    (last.0 - 4.0, last.1)
                };
                let span = after.0 - before.0;
                let part = if span > 1e-6 {
                    (angle - before.0) / span
                } else {
                    0.0
                };
                before.1 + (after.1 - before.1) * part
            })
            .collect();
        Self { centre, radius }
    }

    /// The outline's radius towards a point, and the point's own distance from the centre.
    pub(crate) fn towards(&self, point: Point) -> (f32, f32) {
        let (dx, dy) = (point[0] - self.centre[0], point[1] - self.centre[1]);
        let t = diamond_angle(dx, dy) * RAYS as f32 / 4.0;
        let i = t as usize;
        let part = t - i as f32;
        let (a, b) = (self.radius[i % RAYS], self.radius[(i + 1) % RAYS]);
        (a + (b - a) * part, (dx * dx + dy * dy).sqrt())
    }

    /// How deep inside a point lies along its ray; negative outside.
    pub(crate) fn depth(&self, point: Point) -> f32 {
        let (radius, distance) = self.towards(point);
        radius - distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outline_of_a_circle_is_round() {
        let outline = Outline::from_rays([0.1, -0.2], |_, _| 0.3);
        for i in 0..40 {
            let angle = i as f32 * 0.157;
            let p = [0.1 + 0.25 * libm::cosf(angle), -0.2 + 0.25 * libm::sinf(angle)];
            assert!((outline.depth(p) - 0.05).abs() < 1e-4);
        }
    }

    #[test]
    fn outline_through_points_passes_them() {
        let points = [[0.2, 0.0], [0.0, 0.3], [-0.25, 0.02], [0.03, -0.2]];
        let outline = Outline::through([0.0, 0.0], &points);
        for p in points {
            assert!(outline.depth(p).abs() < 0.01, "{p:?}: {}", outline.depth(p));
        }
    }

    #[test]
    fn table_interpolates_and_holds_its_ends() {
        let table = Table::sample(0.0, 1.0, 11, |x| 2.0 * x);
        assert!((table.at(0.55) - 1.1).abs() < 1e-6);
        assert_eq!(table.at(9.0), 2.0);
    }
}
