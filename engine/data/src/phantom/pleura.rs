//! What lies between lung and chest wall: fluid, air, thickening.

use super::anatomy::{lungs_of, sign};
use super::canvas::Patch;
use super::describe::{Kind, Observation, Severity, View};
use super::lesions::graded;
use super::noise::{Dice, rough, value};
use super::scene::Scene;
use super::shapes::{Point, bell, smooth};
use hilum_text::Zone;

/// Draws one finding of the pleura; other kinds are none of this module's business.
pub(super) fn draw(scene: &mut Scene, index: usize, observation: &Observation) {
    for lung in lungs_of(observation.side) {
        let mut dice = scene.dice(observation, *lung);
        match observation.kind {
            Kind::Effusion => effusion(scene, index, observation.severity, *lung, &mut dice),
            Kind::Pneumothorax => pneumothorax(scene, index, observation.severity, *lung, &mut dice),
            Kind::PleuralThickening => thickening(scene, index, observation, *lung, &mut dice),
            _ => {}
        }
    }
}

/// The rectangle of the plane that holds a lung.
fn hemithorax(scene: &Scene, lung: usize) -> (Point, Point) {
    let side = &scene.anatomy.lungs[lung];
    let (a, b) = (sign(lung) * 0.01, sign(lung) * (side.half + 0.02));
    ([a.min(b), side.apex - 0.02], [a.max(b), side.angle + 0.02])
}

/// Fluid with a concave upper edge that climbs the wall; in one who lies, a veil over the rest as well.
fn effusion(scene: &mut Scene, index: usize, severity: Severity, lung: usize, dice: &mut Dice) {
    let side = scene.anatomy.lungs[lung].clone();
    let (low, high) = hemithorax(scene, lung);
    let at_wall = side.angle - graded(severity, 0.112, 0.165, 0.225) * dice.range(0.94, 1.08);
    let at_middle = graded(severity, side.angle + 0.01, side.dome + 0.02, side.dome - 0.03);
    let bow = graded(severity, 2.2, 2.6, 3.0);
    let patch = Patch::region(&scene.frame, low, high, |p| {
        let (x, y) = (p[0] * sign(lung), p[1]);
        let t = (x / side.wall.at(y).max(0.05)).clamp(0.0, 1.0);
        let level = at_middle + (at_wall - at_middle) * libm::powf(t, bow);
        // A film of fluid climbs the wall above the level.
        let film = (1.0 - smooth(side.wall.at(y) - x, 0.003, 0.011)) * smooth(y, at_wall - 0.06, at_wall);
        (0.97 * smooth(y - level, -0.004, 0.006)).max(0.9 * film)
    });
    if let Some(patch) = patch {
        scene.fill_with(index, lung, patch, 0.3);
    }
    if scene.anatomy.view == View::Ap {
        let strength = graded(severity, 0.04, 0.08, 0.12);
        let veil = Patch::region(&scene.frame, low, high, |p| {
            strength * smooth(p[1], side.hilum() - 0.05, side.dome)
        });
        if let Some(veil) = veil {
            scene.fill.join(&veil);
        }
    }
}

/// A collapsed lung: its edge is a thin line, and beyond it there is air without a vessel.
fn pneumothorax(scene: &mut Scene, index: usize, severity: Severity, lung: usize, dice: &mut Dice) {
    let side = scene.anatomy.lungs[lung].clone();
    let shrink = graded(severity, 0.17, 0.25, 0.36) * dice.range(0.93, 1.07);
    let root = [side.border.at(side.hilum()), side.hilum() + 0.05];
    let seed = dice.noise_seed();
    // Below the hilum the lung clings to the diaphragm unless much air is there.
    let cling = graded(severity, 0.55, 0.4, 0.2);
    let (low, high) = hemithorax(scene, lung);
    let beyond = |p: Point| {
        let (x, y) = (p[0] * sign(lung), p[1]);
        let down = smooth(y, side.hilum(), side.dome + 0.03);
        let s = shrink * (1.0 - cling * down) * (1.0 + 0.10 * value(x * 7.0, y * 7.0, seed));
        let q = [
            root[0] + (x - root[0]) / (1.0 - s),
            root[1] + (y - root[1]) / (1.0 - s * (1.0 - 0.6 * down)),
        ];
        let depth = side.pleura.depth(q).min(side.wall.at(q[1]) - q[0]);
        -depth * (1.0 - s)
    };
    let inside = |p: Point| smooth(p[0] * sign(lung) - side.border.at(p[1]), 0.0, 0.008);
    let air = Patch::region(&scene.frame, low, high, |p| {
        smooth(beyond(p), -0.0005, 0.0025) * inside(p)
    });
    let line = Patch::region(&scene.frame, low, high, |p| {
        let d = beyond(p);
        if d.abs() < 0.012 {
            bell(d, 0.0, 0.0021) * inside(p)
        } else {
            0.0
        }
    });
    if let Some(line) = line {
        scene.soft_in_lung(&line, 0.34);
    }
    if let Some(air) = air {
        scene.air.join(&air);
        scene.mark(index, lung, &air, 0.5);
    }
}

/// Lumpy pleura along the wall or over the apex, partly calcified.
fn thickening(scene: &mut Scene, index: usize, observation: &Observation, lung: usize, dice: &mut Dice) {
    let side = scene.anatomy.lungs[lung].clone();
    let thick = graded(observation.severity, 0.030, 0.036, 0.043)
        * dice.range(0.95, 1.08)
        * if observation.zone == Some(Zone::Upper) {
            1.45
        } else {
            1.0
        };
    let (low, high) = hemithorax(scene, lung);
    let seed = dice.noise_seed();
    let height = side.dome - side.apex;
    let apical = observation.zone == Some(Zone::Upper);
    let (from, to) = if apical {
        (side.apex - 0.05, side.apex + 0.25 * height)
    } else {
        (side.apex + 0.36 * height, side.apex + 0.76 * height)
    };
    let patch = Patch::region(&scene.frame, low, high, |p| {
        let (x, y) = (p[0] * sign(lung), p[1]);
        let depth = side.pleura.depth([x, y]).min(side.wall.at(y) - x);
        if depth <= 0.0 || depth > 0.1 {
            return 0.0;
        }
        let extent = smooth(y, from - 0.02, from + 0.02) * (1.0 - smooth(y, to - 0.02, to + 0.02));
        let edge = thick * extent * (1.0 + 0.55 * rough(p[0] * 26.0, p[1] * 26.0, seed));
        let plaque = 0.85
            * bell(depth, 0.45 * edge, 0.0035)
            * smooth(value(p[0] * 48.0, p[1] * 48.0, seed ^ 3), -0.1, 0.25);
        extent * (0.52 * (1.0 - smooth(depth - edge, -0.003, 0.002)) + 0.85 * plaque)
    });
    if let Some(patch) = patch {
        scene.add_in_lung(index, lung, patch, 0.12);
    }
}
