//! The layers of one picture while it is drawn, and how findings are laid over them.

use super::anatomy::Anatomy;
use super::canvas::{Frame, Layer, Patch};
use super::describe::Observation;
use super::masks::Mask;
use super::noise::Dice;
use super::shapes::{Point, smooth};
use hilum_text::Zone;

/// The layers of one picture while it is drawn.
pub(super) struct Scene<'a> {
    pub(super) frame: Frame,
    pub(super) anatomy: &'a Anatomy,
    pub(super) seed: u64,
    /// Soft tissue without the lungs, as attenuation.
    pub(super) soft: Layer,
    /// Lung, in cm along the beam.
    pub(super) lung: Layer,
    /// How far a pixel lies in the lung's outline above the diaphragm.
    pub(super) over: Layer,
    /// The share of the lung that fluid or cells have replaced.
    pub(super) fill: Layer,
    /// The share of the lung that free air has replaced.
    pub(super) air: Layer,
    pub(super) vessel: Layer,
    pub(super) bone: Layer,
    pub(super) metal: Layer,
    /// Masks by observation and lung.
    pub(super) marks: Vec<(usize, usize, Mask)>,
}

impl Scene<'_> {
    /// A stream of chance of one observation, whatever others there are.
    pub(super) fn dice(&self, observation: &Observation, lung: usize) -> Dice {
        let zone = match observation.zone {
            None => 0,
            Some(Zone::Upper) => 1,
            Some(Zone::Mid) => 2,
            Some(Zone::Lower) => 3,
        };
        Dice::new(
            self.seed,
            64 + (observation.kind as u64 * 4 + zone) * 2 + lung as u64,
        )
    }

    /// Records where an observation is seen: the pixels above a threshold.
    pub(super) fn mark(&mut self, index: usize, lung: usize, patch: &Patch, threshold: f32) {
        let size = self.frame.size;
        let slot = match self.marks.iter().position(|(i, l, _)| (*i, *l) == (index, lung)) {
            Some(slot) => slot,
            None => {
                self.marks.push((index, lung, Mask::empty(size)));
                self.marks.len() - 1
            }
        };
        let mask = &mut self.marks[slot].2;
        for row in 0..patch.height {
            for column in 0..patch.width {
                if patch.values[row * patch.width + column] > threshold {
                    mask.bits[(patch.top + row) * size + patch.left + column] = 1;
                }
            }
        }
    }

    /// Replaces a share of the lung, and marks what shows.
    pub(super) fn fill_with(&mut self, index: usize, lung: usize, patch: Patch, threshold: f32) {
        self.fill.join(&patch);
        let seen = patch.times(|x, y| smooth(self.lung.data[y * self.frame.size + x], 0.3, 0.9));
        self.mark(index, lung, &seen, threshold);
    }

    /// [`Scene::fill_with`] for a function around a place in a lung's coordinates.
    pub(super) fn fill_region(
        &mut self,
        index: usize,
        lung: usize,
        centre: Point,
        reach: f32,
        threshold: f32,
        f: impl Fn(Point) -> f32,
    ) {
        let (low, high) = corners(self.anatomy.place(lung, centre), reach);
        if let Some(patch) = Patch::region(&self.frame, low, high, f) {
            self.fill_with(index, lung, patch, threshold);
        }
    }

    /// Adds attenuation where there is lung above the diaphragm.
    pub(super) fn soft_in_lung(&mut self, patch: &Patch, factor: f32) {
        let gated = patch
            .clone()
            .times(|x, y| self.over.data[y * self.frame.size + x]);
        self.soft.add(&gated, factor);
    }

    /// [`Scene::soft_in_lung`], and marks it.
    pub(super) fn add_in_lung(&mut self, index: usize, lung: usize, patch: Patch, threshold: f32) {
        let gated = patch.times(|x, y| self.over.data[y * self.frame.size + x]);
        self.soft.add(&gated, 1.0);
        self.mark(index, lung, &gated, threshold);
    }
}

/// The corners of a square around a place.
pub(super) fn corners(centre: Point, reach: f32) -> (Point, Point) {
    (
        [centre[0] - reach, centre[1] - reach],
        [centre[0] + reach, centre[1] + reach],
    )
}
