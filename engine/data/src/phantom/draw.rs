//! The radiograph of a description: layers of thickness laid over each other, summed as the beam sums them,
//! and exposed.

use super::anatomy::{Anatomy, LEFT, RIGHT};
use super::canvas::{Frame, Layer, Patch};
use super::describe::{Description, Kind, Observation, View};
use super::expose::{Institution, expose};
use super::masks::{Mask, PixelBox};
use super::noise::{Dice, rough, value};
use super::shapes::{Point, quarter, smooth};
use super::{Phantom, PhantomError, bones, devices, lesions, pleura, vessels};
use hilum_text::Zone;

/// Linear attenuation of soft tissue at a chest radiograph's effective energy, per cm.
const SOFT: f32 = 0.175;
/// Of aerated lung.
const AERATED: f32 = 0.045;

/// The layers of one picture while it is drawn.
pub(super) struct Scene<'a> {
    pub(super) frame: Frame,
    pub(super) anatomy: &'a Anatomy,
    seed: u64,
    /// Soft tissue without the lungs, as attenuation.
    soft: Layer,
    /// Lung, in cm along the beam.
    lung: Layer,
    /// How far a pixel lies in the lung's outline above the diaphragm.
    over: Layer,
    /// The share of the lung that fluid or cells have replaced.
    pub(super) fill: Layer,
    /// The share of the lung that free air has replaced.
    pub(super) air: Layer,
    vessel: Layer,
    bone: Layer,
    pub(super) metal: Layer,
    /// Masks by observation and lung.
    marks: Vec<(usize, usize, Mask)>,
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
        let (low, high) = lesions::corners(self.anatomy.place(lung, centre), reach);
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

fn frame(seed: u64, view: View, size: usize) -> Frame {
    let mut dice = Dice::new(seed, 6);
    let turn = dice.bell(-0.09, 0.09) * if view == View::Ap { 1.3 } else { 1.0 };
    Frame {
        size,
        zoom: dice.range(1.08, 1.27),
        cos: libm::cosf(turn),
        sin: libm::sinf(turn),
        origin: [0.5 + dice.bell(-0.055, 0.055), 0.5 + dice.bell(-0.045, 0.055)],
    }
}

/// Draws a description at a size in pixels a side.
pub(super) fn draw(
    description: &Description,
    size: usize,
    institution: Institution,
) -> Result<Phantom, PhantomError> {
    if !(64..=4096).contains(&size) {
        return Err(PhantomError::Size(size));
    }
    let seed = description.seed;
    let anatomy = Anatomy::new(description, institution);
    let mut scene = Scene {
        frame: frame(seed, description.view, size),
        anatomy: &anatomy,
        seed,
        soft: Layer::new(size),
        lung: Layer::new(size),
        over: Layer::new(size),
        fill: Layer::new(size),
        air: Layer::new(size),
        vessel: Layer::new(size),
        bone: Layer::new(size),
        metal: Layer::new(size),
        marks: Vec::new(),
    };
    let heart = tissues(&mut scene);
    vessels::airways(&mut scene.soft, &scene.frame, &anatomy, seed);
    vessels::draw(
        &mut scene.vessel,
        &scene.frame,
        &anatomy,
        &description.observations,
        seed,
    );
    for (index, lung, patch) in bones::draw(
        &mut scene.bone,
        &scene.frame,
        &anatomy,
        &description.observations,
        seed,
    ) {
        scene.mark(index, lung, &patch, 0.5);
    }
    for (index, observation) in description.observations.iter().enumerate() {
        lesions::draw(&mut scene, index, observation);
        pleura::draw(&mut scene, index, observation);
        devices::draw(&mut scene, index, observation);
        match observation.kind {
            Kind::Cardiomegaly => scene.marks.push((index, RIGHT, heart.clone())),
            Kind::WideMediastinum => mediastinum(&mut scene, index),
            _ => {}
        }
    }
    let total = sum(&scene);
    let (pixels_12bit, pixels) = expose(&total, description.view, seed, institution);
    let mut lungs = Mask::empty(size);
    for (bit, over) in lungs.bits.iter_mut().zip(&scene.over.data) {
        *bit = u8::from(*over > 0.5);
    }
    let mut findings: Vec<(usize, Mask, PixelBox)> = scene
        .marks
        .into_iter()
        .filter_map(|(index, _, mask)| mask.bounds().map(|bounds| (index, mask, bounds)))
        .collect();
    findings.sort_by_key(|(index, _, bounds)| (*index, bounds.left));
    Ok(Phantom {
        description: description.clone(),
        size,
        pixels,
        pixels_12bit,
        lungs,
        heart,
        findings,
    })
}

/// Lays trunk, lungs, heart, breasts and belly; returns the heart's mask.
fn tissues(scene: &mut Scene) -> Mask {
    let anatomy = scene.anatomy;
    let size = scene.frame.size;
    let mut dice = Dice::new(scene.seed, 7);
    let mut heart_mask = Mask::empty(size);
    let bubble = if dice.chance(0.8) {
        Some(Bubble::new(anatomy, &mut dice))
    } else {
        None
    };
    let clumps = dice.range(0.02, 0.06);
    let texture = anatomy.texture;
    for row in 0..size {
        for column in 0..size {
            let p = scene.frame.point(column, row);
            let i = row * size + column;
            let body = anatomy.body(p);
            if body <= 0.0 {
                continue;
            }
            let (mut lung, over) = anatomy.lung(p, body);
            // Fat and muscle are not even.
            let uneven = 1.0 + clumps * value(p[0] * 6.0, p[1] * 6.0, texture);
            let mut tissue = (body - lung) * uneven;
            let (edge, r) = anatomy.heart.towards(p);
            if r < edge {
                heart_mask.bits[i] = 1;
                let q = r / edge;
                let thick = anatomy.heart_depth * quarter((1.0 - q) / 0.7);
                let taken = thick.min(0.92 * lung);
                lung -= taken;
                tissue += taken;
            }
            if anatomy.breast > 0.0 {
                tissue += breast(anatomy, p);
            }
            if let Some(bubble) = &bubble {
                tissue -= bubble.at(p);
            }
            if lung > 0.0 {
                // The lung's own fine structure, too small to be seen singly.
                lung *= 1.0 + 0.05 * rough(p[0] * 70.0, p[1] * 70.0, texture ^ 0x77);
            }
            scene.soft.data[i] = SOFT * tissue.max(0.0);
            scene.lung.data[i] = lung;
            scene.over.data[i] = over;
        }
    }
    heart_mask
}

/// Two overlapping folds of soft tissue with a lower edge that shows.
fn breast(anatomy: &Anatomy, p: Point) -> f32 {
    let (_, q) = anatomy.lung_at(p);
    let centre = 0.56 * anatomy.lungs[LEFT].half;
    let (dx, dy) = (
        (q[0] - centre) / (0.15 + 0.06 * anatomy.breast),
        (p[1] - anatomy.breast_level + 0.14) / 0.19,
    );
    let r = dx * dx + dy * dy;
    if r >= 1.0 {
        return 0.0;
    }
    let low = smooth(dy, -0.7, 0.5);
    5.0 * anatomy.breast * low * quarter((1.0 - r) * 0.7)
}

/// Gas in the stomach, under the left dome.
struct Bubble {
    centre: Point,
    half: Point,
    depth: f32,
}

impl Bubble {
    fn new(anatomy: &Anatomy, dice: &mut Dice) -> Self {
        let side = &anatomy.lungs[LEFT];
        let half = [dice.range(0.03, 0.07), dice.range(0.018, 0.042)];
        let x = side.half * dice.range(0.34, 0.55);
        Self {
            centre: [x, side.diaphragm(x) + half[1] + dice.range(0.012, 0.035)],
            half,
            depth: dice.range(3.0, 7.0),
        }
    }

    fn at(&self, p: Point) -> f32 {
        let (dx, dy) = (
            (p[0] - self.centre[0]) / self.half[0],
            (p[1] - self.centre[1]) / self.half[1],
        );
        let r = dx * dx + dy * dy;
        if r < 1.0 {
            self.depth * (1.0 - r).sqrt()
        } else {
            0.0
        }
    }
}

/// Marks the upper mediastinum between the lungs.
fn mediastinum(scene: &mut Scene, index: usize) {
    let anatomy = scene.anatomy;
    let level = anatomy.lungs[RIGHT].hilum() - 0.125;
    let patch = Patch::region(&scene.frame, [-0.3, level - 0.11], [0.3, level + 0.11], |p| {
        let (lung, q) = anatomy.lung_at(p);
        if q[0] < anatomy.lungs[lung].border.at(q[1]) {
            1.0
        } else {
            0.0
        }
    });
    if let Some(patch) = patch {
        scene.mark(index, RIGHT, &patch, 0.5);
    }
}

/// The exponent of Beer's law at each pixel.
fn sum(scene: &Scene) -> Layer {
    let mut total = Layer::new(scene.frame.size);
    for (i, out) in total.data.iter_mut().enumerate() {
        let (lung, fill, air) = (scene.lung.data[i], scene.fill.data[i], scene.air.data[i]);
        let aerated = lung * AERATED * (1.0 - 0.75 * air * (1.0 - fill));
        let filled = lung * (SOFT - AERATED) * fill;
        let seen =
            (1.0 - 1.25 * fill).max(0.0) * (1.0 - air) * (0.25 + 0.75 * lung / 7.0).min(lung / 1.5).min(1.0);
        *out = scene.soft.data[i]
            + aerated
            + filled
            + scene.vessel.data[i] * seen
            + scene.bone.data[i]
            + scene.metal.data[i];
    }
    total
}
