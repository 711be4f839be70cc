//! Layers of pixels, and the strokes and regions that are laid on them.

use super::shapes::Point;

/// Where the patient's plane lies on the picture: a turn, a zoom and a shift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) size: usize,
    pub(crate) zoom: f32,
    pub(crate) cos: f32,
    pub(crate) sin: f32,
    /// The picture's coordinates, in `[0, 1]`, of the plane's origin.
    pub(crate) origin: Point,
}

impl Frame {
    /// Pixel coordinates (column, row) of a point; pixel centres are whole numbers.
    pub(crate) fn pixel(&self, p: Point) -> Point {
        let n = self.size as f32;
        [
            (self.origin[0] + self.zoom * (self.cos * p[0] - self.sin * p[1])) * n - 0.5,
            (self.origin[1] + self.zoom * (self.sin * p[0] + self.cos * p[1])) * n - 0.5,
        ]
    }

    /// The point under a pixel's centre.
    pub(crate) fn point(&self, column: usize, row: usize) -> Point {
        let n = self.size as f32;
        let u = ((column as f32 + 0.5) / n - self.origin[0]) / self.zoom;
        let v = ((row as f32 + 0.5) / n - self.origin[1]) / self.zoom;
        [self.cos * u + self.sin * v, self.cos * v - self.sin * u]
    }

    /// Pixels a unit of the plane.
    pub(crate) fn scale(&self) -> f32 {
        self.zoom * self.size as f32
    }
}

/// One value a pixel, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) size: usize,
    pub(crate) data: Vec<f32>,
}

impl Layer {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            data: vec![0.0; size * size],
        }
    }

    fn each(&mut self, patch: &Patch, f: impl Fn(&mut f32, f32)) {
        for row in 0..patch.height {
            let start = (patch.top + row) * self.size + patch.left;
            let line = &patch.values[row * patch.width..(row + 1) * patch.width];
            for (to, from) in self.data[start..start + patch.width].iter_mut().zip(line) {
                if *from != 0.0 {
                    f(to, *from);
                }
            }
        }
    }

    /// Adds what overlaps, as thicknesses do in a radiograph.
    pub(crate) fn add(&mut self, patch: &Patch, factor: f32) {
        self.each(patch, |to, from| *to += factor * from);
    }

    /// Joins fractions of the same thing: what one has filled the other cannot fill again.
    pub(crate) fn join(&mut self, patch: &Patch) {
        self.each(patch, |to, from| {
            *to = 1.0 - (1.0 - *to) * (1.0 - from.clamp(0.0, 1.0))
        });
    }

    /// Keeps the larger.
    pub(crate) fn raise(&mut self, patch: &Patch) {
        self.each(patch, |to, from| *to = to.max(from));
    }
}

/// A rectangle of values at a place on a layer.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<f32>,
}

impl Patch {
    fn cover(size: usize, low: Point, high: Point) -> Option<Self> {
        let edge = |v: f32| v.clamp(0.0, size as f32) as usize;
        let (left, top) = (edge(low[0].floor()), edge(low[1].floor()));
        let (right, bottom) = (edge(high[0].ceil() + 1.0), edge(high[1].ceil() + 1.0));
        if right <= left || bottom <= top {
            return None;
        }
        let (width, height) = (right - left, bottom - top);
        Some(Self {
            left,
            top,
            width,
            height,
            values: vec![0.0; width * height],
        })
    }

    /// A function of the plane over a rectangle of it; `None` where that lies off the picture.
    pub(crate) fn region(frame: &Frame, low: Point, high: Point, f: impl Fn(Point) -> f32) -> Option<Self> {
        let corners = [low, [high[0], low[1]], high, [low[0], high[1]]].map(|p| frame.pixel(p));
        let least = |j: usize| corners.iter().map(|c| c[j]).fold(f32::INFINITY, f32::min);
        let most = |j: usize| corners.iter().map(|c| c[j]).fold(f32::NEG_INFINITY, f32::max);
        let mut patch = Self::cover(frame.size, [least(0), least(1)], [most(0), most(1)])?;
        for row in 0..patch.height {
            for column in 0..patch.width {
                let p = frame.point(patch.left + column, patch.top + row);
                if p[0] >= low[0] && p[0] <= high[0] && p[1] >= low[1] && p[1] <= high[1] {
                    patch.values[row * patch.width + column] = f(p);
                }
            }
        }
        Some(patch)
    }

    /// A stroke along nodes; `None` where it lies off the picture. What is thinner than a pixel is spread
    /// over one and dimmed, as a detector would.
    pub(crate) fn stroke(frame: &Frame, nodes: &[Node], profile: Profile) -> Option<Self> {
        let scale = frame.scale();
        let placed: Vec<(Point, f32, f32)> = nodes
            .iter()
            .map(|node| {
                let half = (node.half * scale).max(1e-3);
                let wide = half.max(0.75);
                (frame.pixel(node.at), wide, node.weight * (half / wide))
            })
            .collect();
        let least = |j: usize| {
            placed
                .iter()
                .map(|(p, half, _)| p[j] - half)
                .fold(f32::INFINITY, f32::min)
        };
        let most = |j: usize| {
            placed
                .iter()
                .map(|(p, half, _)| p[j] + half)
                .fold(f32::NEG_INFINITY, f32::max)
        };
        if !(least(0).is_finite() && most(0).is_finite()) {
            return None;
        }
        let mut patch = Self::cover(frame.size, [least(0), least(1)], [most(0), most(1)])?;
        for pair in placed.windows(2) {
            patch.segment(pair[0], pair[1], profile);
        }
        Some(patch)
    }

    fn segment(&mut self, a: (Point, f32, f32), b: (Point, f32, f32), profile: Profile) {
        let half = a.1.max(b.1);
        let bound = |j: usize, first: usize, count: usize| {
            let low = (a.0[j].min(b.0[j]) - half).floor() - first as f32;
            let high = (a.0[j].max(b.0[j]) + half).ceil() + 1.0 - first as f32;
            (
                low.clamp(0.0, count as f32) as usize,
                high.clamp(0.0, count as f32) as usize,
            )
        };
        let (x0, x1) = bound(0, self.left, self.width);
        let (y0, y1) = bound(1, self.top, self.height);
        let along = [b.0[0] - a.0[0], b.0[1] - a.0[1]];
        let length2 = (along[0] * along[0] + along[1] * along[1]).max(1e-9);
        for y in y0..y1 {
            let dy = (self.top + y) as f32 - a.0[1];
            for x in x0..x1 {
                let dx = (self.left + x) as f32 - a.0[0];
                let t = ((dx * along[0] + dy * along[1]) / length2).clamp(0.0, 1.0);
                let (ox, oy) = (dx - t * along[0], dy - t * along[1]);
                let half = a.1 + (b.1 - a.1) * t;
                let q2 = (ox * ox + oy * oy) / (half * half);
                if q2 < 1.0 {
                    let value = (a.2 + (b.2 - a.2) * t) * profile.at(q2, half);
                    let to = &mut self.values[y * self.width + x];
                    if value.abs() > to.abs() {
                        *to = value;
                    }
                }
            }
        }
    }

    /// The same rectangle with each value times a function of its pixel.
    pub(crate) fn times(mut self, f: impl Fn(usize, usize) -> f32) -> Self {
        for row in 0..self.height {
            for column in 0..self.width {
                let value = &mut self.values[row * self.width + column];
                if *value != 0.0 {
                    *value *= f(self.left + column, self.top + row);
                }
            }
        }
        self
    }
}

/// A stroke's node: where, half its width and its weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) at: Point,
    pub(crate) half: f32,
    pub(crate) weight: f32,
}

/// Nodes of one width and weight.
pub(crate) fn nodes(points: &[Point], half: f32, weight: f32) -> Vec<Node> {
    points
        .iter()
        .map(|at| Node {
            at: *at,
            half,
            weight,
        })
        .collect()
}

/// How a stroke's value falls from its axis to its edge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Profile {
    /// The chord of a full cylinder.
    Rod,
    /// The chord of a cylinder's wall: bright edges, as the cortex of a rib or the wall of a tube.
    Shell,
    /// A soft swelling.
    Soft,
}

impl Profile {
    fn at(self, q2: f32, half: f32) -> f32 {
        match self {
            Self::Rod => (1.0 - q2).sqrt(),
            Self::Soft => (1.0 - q2) * (1.0 - q2),
            Self::Shell => {
                // Too narrow to resolve its two walls, it is seen as a rod.
                let inner = (1.0 - q2 / 0.55).max(0.0).sqrt();
                let hollow = ((half - 1.2) / 1.5).clamp(0.0, 1.0);
                1.25 * (1.0 - q2).sqrt() - 0.72 * hollow * inner
            }
        }
    }
}
