//! The abdominal radiograph of a description: layers of thickness laid over each other, summed as the beam sums them,
//! and exposed.

use super::anatomy::Anatomy;
use super::describe::Description;
use super::scene::Scene;
use super::{Abdomen, SALT, air, bones, bowel, devices};
use crate::phantom::canvas::Layer;
use crate::phantom::expose::{Institution, expose};
use crate::phantom::noise::{Dice, grainy, rough, value};
use crate::phantom::shapes::{bell, smooth};
use crate::phantom::{PhantomError, View};

/// Linear attenuation of soft tissue at an abdominal radiograph's effective energy, per cm.
const SOFT: f32 = 0.165;
/// Of aerated lung.
const AERATED: f32 = 0.045;
/// The exponent of Beer's law that the exposure is set for.
const AIM: f32 = 2.25;

/// Draws a description at a size in pixels a side.
pub(super) fn draw(description: &Description, size: usize) -> Result<Abdomen, PhantomError> {
    if !(64..=4096).contains(&size) {
        return Err(PhantomError::Size(size));
    }
    let anatomy = Anatomy::new(description);
    let mut scene = Scene {
        frame: anatomy.frame(size),
        anatomy: &anatomy,
        description,
        soft: Layer::new(size),
        gas: Layer::new(size),
        folds: Layer::new(size),
        stool: Layer::new(size),
        bone: Layer::new(size),
        dense: Layer::new(size),
    };
    tissues(&mut scene);
    bones::draw(&mut scene.bone, &scene.frame, &anatomy, description.seed);
    bowel::draw(&mut scene);
    air::small_bowel(&mut scene);
    air::free(&mut scene);
    for observation in &description.observations {
        devices::draw(&mut scene, observation);
    }
    let total = sum(&scene);
    let (pixels_12bit, pixels) = expose(&total, View::Ap, description.seed ^ SALT, Institution::First);
    Ok(Abdomen {
        description: description.clone(),
        size,
        pixels,
        pixels_12bit,
    })
}

/// Lays trunk, lungs, the solid organs and the fat that draws their edges.
fn tissues(scene: &mut Scene) {
    let anatomy = scene.anatomy;
    let size = scene.frame.size;
    let mut dice = scene.usual(3);
    let clumps = dice.range(0.015, 0.04);
    let full = dice.range(0.3, 1.0);
    let loopy = dice.range(0.05, 0.13);
    let texture = anatomy.texture;
    let clear = anatomy.edges;
    for row in 0..size {
        for column in 0..size {
            let p = scene.frame.point(column, row);
            let body = anatomy.body(p);
            if body <= 0.0 {
                continue;
            }
            let outer = anatomy.outer(p[1]);
            let x = p[0].abs();
            // Fat and muscle are not even; fat under the skin lets more through.
            let uneven = 1.0 + clumps * rough(p[0] * 7.0, p[1] * 7.0, texture);
            let skin = outer - x;
            let muscle = 0.80 + 0.20 * smooth(skin, anatomy.fat - 0.004, anatomy.fat + 0.006);
            let mut sum = SOFT * body * uneven * muscle;
            // The stripe of fat before the peritoneum of the flanks.
            let stripe = skin - anatomy.fat - 0.045 - 0.01 * value(p[1] * 5.0, 0.0, texture);
            let flank = smooth(p[1], -0.2, -0.05) * (1.0 - smooth(p[1], 0.10, 0.2));
            sum -= 0.17 * clear * flank * bell(stripe, 0.0, 0.0055);
            let dome = anatomy.diaphragm(p[0]);
            let beside = anatomy.lung(p);
            let lung = beside * (1.0 - smooth(p[1] - dome, -0.0025, 0.0025));
            let behind = 0.10 * beside * (1.0 - smooth(p[1] - dome, 0.0, 0.12));
            let branches = 0.05 * rough(p[0] * 26.0, p[1] * 26.0, texture ^ 0x11);
            let airy = (0.66 + branches) * lung + behind * (1.0 - lung);
            sum -= (SOFT - AERATED) * body * airy;
            sum += organs(anatomy, p, clear, texture, full) * (1.0 - lung);
            // Bowel with fluid and the fat between its loops.
            let deep = smooth(skin - anatomy.fat - 0.06, 0.0, 0.05) * (1.0 - lung);
            let loops = 0.6 * rough(p[0] * 13.0, p[1] * 13.0, texture ^ 0x2f)
                + 0.4 * value(p[0] * 31.0, p[1] * 31.0, texture ^ 0x4d);
            sum += loopy * deep * loops;
            scene.soft.data[row * size + column] = sum.max(0.0);
        }
    }
}

/// What liver, spleen, kidneys, psoas and bladder add to a point's attenuation.
fn organs(anatomy: &Anatomy, p: [f32; 2], clear: f32, texture: u32, full: f32) -> f32 {
    let mut sum = 0.0;
    let edge = 0.006 + 0.014 * (1.0 - clear);
    // The liver, down to an edge that rises to the left.
    let wave = 0.012 * value(p[0] * 6.0, 3.0, texture ^ 0x5);
    let below = p[1] - anatomy.liver_edge(p[0]) - wave;
    let in_flank = smooth(
        anatomy.outer(p[1]) - anatomy.fat - 0.055 - p[0].abs(),
        -edge,
        edge,
    );
    let side = 1.0 - smooth(p[0], 0.02, 0.10);
    sum += 0.16 * side * in_flank * (1.0 - smooth(below, -1.5 * edge, 1.5 * edge));
    sum += 0.10 * smooth(anatomy.spleen.depth(p), -edge, edge);
    for kidney in &anatomy.kidneys {
        let r = kidney.at(p);
        // The fat around a kidney is what shows it.
        sum += 0.11 * clear * (1.0 - smooth(r, 1.0 - 12.0 * edge, 1.0 + 4.0 * edge));
        sum -= 0.05 * clear * bell(r, 1.13, 0.07);
    }
    // The psoas: from the twelfth vertebra down and outwards.
    let x = (p[0] - anatomy.spine(p[1])).abs();
    let t = (p[1] + 2.2 * anatomy.spacing) / (4.6 * anatomy.spacing);
    if t > 0.0 {
        let margin = 0.045 + (anatomy.psoas - 0.045) * t.min(1.15) * (0.75 + 0.25 * t.min(1.15));
        let level = smooth(t, 0.0, 0.15) * (1.0 - smooth(t, 0.95, 1.3));
        sum += 0.17 * clear * level * (1.0 - smooth(x - margin, -1.2 * edge, 1.2 * edge));
        sum -= 0.06 * clear * level * bell(x - margin, 0.012, 0.008);
    }
    let [centre, half] = anatomy.bladder;
    let (u, v) = ((p[0] - centre[0]) / half[0], (p[1] - centre[1]) / half[1]);
    sum + 0.16 * full * (1.0 - smooth((u * u + v * v).sqrt(), 1.0 - 8.0 * edge, 1.0 + 4.0 * edge))
}

/// The exponent of Beer's law at each pixel.
fn sum(scene: &Scene) -> Layer {
    let size = scene.frame.size;
    let anatomy = scene.anatomy;
    let mut dice = Dice::new(scene.description.seed ^ SALT, 8);
    let more = 0.86 * SOFT * anatomy.depth - AIM + dice.bell(-0.35, 0.35);
    // The kilovolts are lower than for a chest, and contrast is higher.
    let hard = dice.range(1.2, 1.5);
    let texture = dice.noise_seed();
    let mut total = Layer::new(size);
    for (i, out) in total.data.iter_mut().enumerate() {
        let (gas, stool) = (scene.gas.data[i], scene.stool.data[i]);
        let mut here = scene.soft.data[i];
        if stool > 0.0 {
            // Faeces are lumps with bubbles of gas between them.
            let p = scene.frame.point(i % size, i / size);
            let coarse = grainy(p[0] * 62.0, p[1] * 62.0, texture);
            let fine = grainy(p[0] * 135.0, p[1] * 135.0, texture ^ 0x71);
            let bubbles = smooth(0.62 * coarse + 0.55 * fine, -0.10, 0.62);
            here += stool * (0.028 - 0.62 * SOFT * bubbles);
        }
        here -= SOFT * gas;
        here += scene.folds.data[i] * smooth(gas, 0.2, 1.6);
        // More is given to a thick patient; what is burnt out stays black.
        let whole = here.max(0.0) + scene.bone.data[i] + scene.dense.data[i] - more;
        *out = (AIM + hard * (whole - AIM)).max(0.0);
    }
    total
}
