//! The radiograph of a description: layers of thickness laid over each other, summed as the beam sums them,
//! and exposed.

use super::anatomy::{Anatomy, LEFT, RIGHT};
use super::canvas::{Frame, Layer, Patch};
use super::describe::{Description, Kind, View};
use super::expose::{Institution, expose};
use super::masks::{Mask, PixelBox};
use super::noise::{Dice, rough, value};
use super::scene::Scene;
use super::shapes::{Point, quarter, smooth};
use super::{Phantom, PhantomError, bones, devices, lesions, pleura, vessels};

/// Linear attenuation of soft tissue at a chest radiograph's effective energy, per cm.
const SOFT: f32 = 0.175;
/// Of aerated lung.
const AERATED: f32 = 0.045;

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
