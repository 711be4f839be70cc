//! The layers of one picture while it is drawn.

use super::SALT;
use super::anatomy::{Anatomy, UNIT_CM};
use super::describe::{Description, Observation};
use crate::phantom::canvas::{Frame, Layer, Node, Patch, Profile};
use crate::phantom::noise::Dice;
use crate::phantom::shapes::{Point, smooth};

/// The layers of one picture while it is drawn.
pub(super) struct Scene<'a> {
    pub(super) frame: Frame,
    pub(super) anatomy: &'a Anatomy,
    pub(super) description: &'a Description,
    /// Soft tissue, as attenuation.
    pub(super) soft: Layer,
    /// Gas in the place of tissue, in cm along the beam.
    pub(super) gas: Layer,
    /// What stands out against gas alone: folds of the bowel's wall, as attenuation.
    pub(super) folds: Layer,
    /// Faeces, in cm along the beam.
    pub(super) stool: Layer,
    pub(super) bone: Layer,
    /// Stones and devices, as attenuation.
    pub(super) dense: Layer,
}

impl Scene<'_> {
    /// A stream of chance of one observation, whatever others there are.
    pub(super) fn dice(&self, observation: &Observation) -> Dice {
        Dice::new(self.description.seed ^ SALT, 64 + observation.kind as u64)
    }

    /// A stream of chance of what every patient has.
    pub(super) fn usual(&self, stream: u64) -> Dice {
        Dice::new(self.description.seed ^ SALT, stream)
    }

    /// How far a point lies above a horizontal of the picture through another, in the plane's units: fluid levels
    /// are horizontal whichever way the patient leans.
    pub(super) fn above(&self, p: Point, level: Point) -> f32 {
        (self.frame.pixel(level)[1] - self.frame.pixel(p)[1]) / self.frame.scale()
    }

    /// A tube full of gas, as far as `keep` says (0 to 1).
    pub(super) fn tube(&mut self, line: &[Node], keep: impl Fn(Point) -> f32) {
        if let Some(patch) = Patch::stroke(&self.frame, line, Profile::Rod) {
            let frame = self.frame;
            self.gas.raise(&patch.times(|x, y| keep(frame.point(x, y))));
        }
    }

    /// A short line across gas.
    pub(super) fn fold(&mut self, from: Point, to: Point, half: f32, weight: f32) {
        let line = [from, to].map(|at| Node { at, half, weight });
        if let Some(patch) = Patch::stroke(&self.frame, &line, Profile::Soft) {
            self.folds.raise(&patch);
        }
    }

    /// A line of metal or chalk.
    pub(super) fn wire(&mut self, points: &[Point], half: f32, weight: f32, profile: Profile) {
        let line = crate::phantom::canvas::nodes(points, half, weight);
        if let Some(patch) = Patch::stroke(&self.frame, &line, profile) {
            self.dense.raise(&patch);
        }
    }

    /// A function of the plane around a place, added to the dense layer where it is larger.
    pub(super) fn spot(&mut self, centre: Point, reach: f32, f: impl Fn(Point) -> f32) {
        let low = [centre[0] - reach, centre[1] - reach];
        let high = [centre[0] + reach, centre[1] + reach];
        let f = |p: Point| f([p[0] - centre[0], p[1] - centre[1]]);
        if let Some(patch) = Patch::region(&self.frame, low, high, f) {
            self.dense.raise(&patch);
        }
    }
}

/// Nodes of a gas-filled tube: weights are centimetres of gas.
pub(super) fn hollow(points: &[Point], half: impl Fn(usize) -> f32) -> Vec<Node> {
    points
        .iter()
        .enumerate()
        .map(|(k, at)| {
            let half = half(k);
            Node {
                at: *at,
                half,
                weight: 2.0 * half * UNIT_CM,
            }
        })
        .collect()
}

/// The unit vector across a line at one of its points.
pub(super) fn across(points: &[Point], k: usize) -> Point {
    let (a, b) = (points[k.saturating_sub(1)], points[(k + 1).min(points.len() - 1)]);
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let norm = (dx * dx + dy * dy).sqrt().max(1e-6);
    [-dy / norm, dx / norm]
}

/// A point beside another: so far along a direction.
pub(super) fn beside(p: Point, way: Point, by: f32) -> Point {
    [p[0] + way[0] * by, p[1] + way[1] * by]
}

/// How far along a line each of its points lies.
pub(super) fn lengths(points: &[Point]) -> Vec<f32> {
    let mut sum = 0.0;
    let mut all = vec![0.0];
    for pair in points.windows(2) {
        let (dx, dy) = (pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]);
        sum += (dx * dx + dy * dy).sqrt();
        all.push(sum);
    }
    all
}

/// 1 in the middle of `[from, to]`, falling round to 0 at its ends, as a pocket of gas does.
pub(super) fn rounded(at: f32, from: f32, to: f32, reach: f32) -> f32 {
    let near = (at - from).min(to - at) / reach;
    if near <= 0.0 {
        0.0
    } else {
        smooth(near, -0.35, 1.0).sqrt()
    }
}
