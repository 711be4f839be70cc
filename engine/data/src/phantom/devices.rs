//! Tubes, lines, pacemakers and drains.

use super::anatomy::{LEFT, RIGHT, lungs_of, sign};
use super::canvas::{Patch, Profile, nodes};
use super::describe::{Kind, Observation};
use super::noise::Dice;
use super::scene::Scene;
use super::shapes::{Point, smooth, spline};
use hilum_text::Side;

/// Draws one device; other kinds are none of this module's business.
pub(super) fn draw(scene: &mut Scene, index: usize, observation: &Observation) {
    let lung = if observation.side == Some(Side::Left) {
        LEFT
    } else {
        lungs_of(observation.side)[0]
    };
    let mut dice = scene.dice(observation, lung);
    match observation.kind {
        Kind::EtTube => tube(scene, index, &mut dice),
        Kind::CentralLine => line(scene, index, lung, &mut dice),
        Kind::Pacemaker => pacemaker(scene, index, lung, &mut dice),
        Kind::ChestDrain => drain(scene, index, lung, &mut dice),
        _ => {}
    }
}

fn lay(
    scene: &mut Scene,
    index: usize,
    lung: usize,
    points: &[Point],
    half: f32,
    weight: f32,
    profile: Profile,
) {
    if let Some(patch) = Patch::stroke(&scene.frame, &nodes(points, half, weight), profile) {
        scene.metal.raise(&patch);
        scene.mark(index, lung, &patch, 0.2 * weight);
    }
}

/// Down the trachea, its tip above the carina.
fn tube(scene: &mut Scene, index: usize, dice: &mut Dice) {
    let lean = 0.006 + 0.4 * scene.anatomy.turn;
    let tip = [0.9 * lean, scene.anatomy.carina - dice.range(0.03, 0.075)];
    let path = spline(
        &[
            [dice.range(-0.02, 0.02), -0.75],
            [0.2 * lean, tip[1] - 0.2],
            [0.7 * lean, tip[1] - 0.06],
            tip,
        ],
        8,
        false,
    );
    lay(scene, index, RIGHT, &path, 0.0105, 0.42, Profile::Shell);
    let stripe: Vec<Point> = path.iter().map(|p| [p[0] + 0.0075, p[1]]).collect();
    lay(scene, index, RIGHT, &stripe, 0.0026, 0.75, Profile::Rod);
}

/// From a jugular or a subclavian vein to the superior vena cava.
fn line(scene: &mut Scene, index: usize, lung: usize, dice: &mut Dice) {
    let (apex, carina) = (scene.anatomy.lungs[lung].apex, scene.anatomy.carina);
    let s = sign(lung);
    let cava = -0.034 + 0.5 * scene.anatomy.turn;
    let tip = [cava - 0.004, carina + dice.range(0.03, 0.085)];
    let mut points = if dice.chance(0.55) {
        vec![
            [s * 0.115, -0.75],
            [s * 0.085, apex - 0.03],
            [s * 0.06, apex + 0.05],
        ]
    } else {
        vec![
            [s * 0.36, apex + 0.10],
            [s * 0.24, apex + 0.035],
            [s * 0.13, apex + 0.03],
            [s * 0.065, apex + 0.075],
        ]
    };
    if lung == LEFT {
        points.push([0.022, carina - 0.085]);
    }
    points.push([cava, carina - 0.045]);
    points.push(tip);
    let path = spline(&points, 8, false);
    lay(scene, index, lung, &path, 0.0042, 0.75, Profile::Rod);
}

/// A can below the clavicle and two leads into the heart.
fn pacemaker(scene: &mut Scene, index: usize, lung: usize, dice: &mut Dice) {
    let side = &scene.anatomy.lungs[lung];
    let s = sign(lung);
    let apex = side.apex;
    let centre = [
        s * side.half * dice.range(0.66, 0.82),
        apex + dice.range(0.075, 0.13),
    ];
    let (w, h) = (dice.range(0.040, 0.050), dice.range(0.034, 0.042));
    let lean = dice.range(-0.35, 0.35);
    let can = Patch::region(
        &scene.frame,
        [centre[0] - 0.09, centre[1] - 0.09],
        [centre[0] + 0.09, centre[1] + 0.09],
        |p| {
            let (dx, dy) = (p[0] - centre[0], p[1] - centre[1]);
            let (u, v) = ((dx + lean * dy) / w, (dy - lean * dx) / h);
            let (u2, v2) = (u * u, v * v);
            let r = u2 * u2 + v2 * v2;
            let header = if v < -0.55 { 0.45 } else { 1.0 };
            (1.0 - smooth(r, 0.9, 1.05)) * header * (2.2 + 0.8 * (1.0 - smooth(r, 0.25, 0.35)))
        },
    );
    if let Some(can) = can {
        scene.metal.raise(&can);
        scene.mark(index, lung, &can, 0.3);
    }
    let cava = -0.034 + 0.5 * scene.anatomy.turn;
    let carina = scene.anatomy.carina;
    let heart = scene.anatomy.heart.centre;
    let (right_edge, _) = scene.anatomy.heart.towards([heart[0] - 1.0, heart[1]]);
    let (left_edge, _) = scene.anatomy.heart.towards([heart[0] + 0.8, heart[1] + 0.45]);
    let atrium = [heart[0] - 0.62 * right_edge, heart[1] + 0.01];
    let ventricle = [heart[0] + 0.52 * left_edge, heart[1] + 0.40 * left_edge];
    for (shift, end) in [(0.0, atrium), (0.008, ventricle)] {
        let mut points = vec![
            [centre[0] - s * 0.3 * w, centre[1] - 0.8 * h],
            [centre[0] - s * (0.9 * w + shift), centre[1] - h - 0.03 - shift],
            [s * 0.115, apex + 0.035 + shift],
            [s * 0.055, apex + 0.085 + shift],
        ];
        if lung == LEFT {
            points.push([0.018, carina - 0.075]);
        }
        points.push([cava, carina - 0.02]);
        points.push([cava - 0.012 - shift, heart[1] - 0.05]);
        if shift > 0.0 {
            points.push([heart[0] - 0.25 * right_edge, heart[1] + 0.085]);
        } else {
            points.push([cava, heart[1] + 0.045]);
        }
        points.push(end);
        let path = spline(&points, 8, false);
        lay(scene, index, lung, &path, 0.0036, 1.0, Profile::Rod);
        lay(
            scene,
            index,
            lung,
            &path[path.len() - 3..],
            0.0060,
            1.4,
            Profile::Rod,
        );
    }
}

/// Through the side wall and up to the apex, with a marker stripe broken at the side hole.
fn drain(scene: &mut Scene, index: usize, lung: usize, dice: &mut Dice) {
    let side = scene.anatomy.lungs[lung].clone();
    let at = |x: f32, y: f32| scene.anatomy.place(lung, [x, y]);
    let entry = side.hilum() + dice.range(0.04, 0.13);
    let wall = side.wall.at(entry);
    let tip = [
        side.half * dice.range(0.38, 0.56),
        side.apex + dice.range(0.07, 0.12),
    ];
    let path = spline(
        &[
            at(wall + 0.16, entry + 0.1),
            at(wall + 0.03, entry + 0.02),
            at(wall - 0.045, entry - 0.05),
            at(0.5 * (wall + tip[0]) + 0.01, 0.5 * (entry + tip[1])),
            at(tip[0], tip[1]),
        ],
        10,
        false,
    );
    lay(scene, index, lung, &path, 0.0105, 0.42, Profile::Shell);
    let hole = path.len() - 9;
    lay(scene, index, lung, &path[..hole], 0.0026, 0.75, Profile::Rod);
    lay(scene, index, lung, &path[hole + 1..], 0.0026, 0.75, Profile::Rod);
}
