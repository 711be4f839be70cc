//! The skeleton in view: lower ribs, lumbar spine with its discs, sacrum, iliac bones, pubis and hips.

use super::SALT;
use super::anatomy::{Anatomy, SIDES};
use crate::phantom::canvas::{Frame, Layer, Node, Patch, Profile, nodes};
use crate::phantom::noise::{Dice, rough, value};
use crate::phantom::shapes::{Outline, Point, bell, smooth, spline};

/// Draws the skeleton as attenuation.
pub(super) fn draw(bone: &mut Layer, frame: &Frame, anatomy: &Anatomy, seed: u64) {
    let mut dice = Dice::new(seed ^ SALT, 2);
    ribs(bone, frame, anatomy, &mut dice);
    spine(bone, frame, anatomy, &mut dice);
    pelvis(bone, frame, anatomy, &mut dice);
}

fn lay(bone: &mut Layer, frame: &Frame, nodes: &[Node], profile: Profile, factor: f32) {
    if let Some(patch) = Patch::stroke(frame, nodes, profile) {
        bone.add(&patch, factor);
    }
}

/// A long bone: a cylinder less its marrow.
fn shell(bone: &mut Layer, frame: &Frame, nodes: &[Node]) {
    let marrow: Vec<Node> = nodes
        .iter()
        .map(|node| Node {
            half: 0.76 * node.half,
            ..*node
        })
        .collect();
    lay(bone, frame, nodes, Profile::Rod, 1.2);
    lay(bone, frame, &marrow, Profile::Rod, -0.62);
}

/// The last five ribs from the spine outwards; the lowest two end free.
fn ribs(bone: &mut Layer, frame: &Frame, anatomy: &Anatomy, dice: &mut Dice) {
    let twelfth = -3.0 * anatomy.spacing;
    let step = 0.80 * anatomy.spacing;
    let short = dice.range(0.6, 1.1);
    for sign in SIDES {
        let wall = anatomy.chest + 0.004;
        for up in 0..5 {
            let head = twelfth - step * up as f32 + dice.range(-0.004, 0.004);
            let course: Vec<Point> = match up {
                0 => vec![
                    [0.045, 0.0],
                    [0.045 + 0.06 * short, 0.022],
                    [0.045 + 0.13 * short, 0.085 * short],
                ],
                1 => vec![[0.045, 0.0], [0.13, 0.018], [0.215, 0.085], [0.25, 0.15]],
                _ => {
                    let drop = 0.15 + 0.025 * up as f32;
                    vec![
                        [0.045, 0.0],
                        [0.14, -0.004],
                        [0.245, 0.06],
                        [wall - 0.012, drop],
                        [wall - 0.006, drop + 0.05],
                        [wall - 0.06, drop + 0.11],
                    ]
                }
            };
            let points: Vec<Point> = course.iter().map(|p| [sign * p[0], head + p[1]]).collect();
            let line = spline(&points, 8, false);
            let last = line.len() as f32;
            let rib: Vec<Node> = line
                .iter()
                .enumerate()
                .map(|(k, at)| {
                    let t = k as f32 / last;
                    Node {
                        at: *at,
                        half: 0.0115 - if up == 0 { 0.003 * t } else { 0.0 },
                        weight: 0.27 * anatomy.bone * (1.0 - 0.8 * smooth(t, 0.72, 1.0)),
                    }
                })
                .collect();
            shell(bone, frame, &rib);
        }
    }
}

fn spine(bone: &mut Layer, frame: &Frame, anatomy: &Anatomy, dice: &mut Dice) {
    let spacing = anatomy.spacing;
    let half = dice.range(0.048, 0.056);
    let twist = dice.bell(-0.012, 0.012);
    let spurs = dice.range(0.0, 0.5);
    let texture = dice.noise_seed();
    let patch = Patch::region(frame, [-0.17, -0.7], [0.17, 2.52 * spacing], |p| {
        let x = p[0] - anatomy.spine(p[1]);
        let t = p[1] / spacing;
        let number = (t + 0.5).floor();
        let phase = t - number;
        let broad = half * (1.0 + 0.045 * number.clamp(-5.0, 2.0));
        let spur = spurs * 0.006 * bell(phase.abs(), 0.34, 0.05);
        let waist = broad * (0.90 + 0.55 * phase * phase) + spur;
        let edge = 1.0 - smooth(x.abs(), waist - 0.005, waist + 0.002);
        let disc = smooth(phase.abs(), 0.365, 0.405);
        let plate = bell(phase.abs(), 0.36, 0.022);
        let rim = bell(x.abs(), waist - 0.0035, 0.0035) * (1.0 - disc);
        let spongy = 1.0 + 0.10 * value(p[0] * 160.0, p[1] * 160.0, texture);
        let mut sum = edge * spongy * (0.46 * (1.0 - 0.80 * disc) + 0.16 * plate) + 0.17 * rim;
        // Pedicles as rings, the spinous process as a drop, transverse processes and facets.
        let (px, py) = (
            ((x - twist).abs() - 0.62 * broad) / 0.0095,
            (phase + 0.10) * spacing / 0.0135,
        );
        let ring = (px * px + py * py).sqrt();
        sum += 0.24 * bell(ring, 0.85, 0.22) + 0.06 * (1.0 - smooth(ring, 0.5, 0.8));
        let (sx, sy) = (x - 1.8 * twist, (phase - 0.20) * spacing);
        let drop = ((sx / 0.0065) * (sx / 0.0065) + (sy / 0.024) * (sy / 0.024)).sqrt();
        sum += 0.30 * (1.0 - smooth(drop, 0.75, 1.05));
        let reach = broad + 0.045 - 0.006 * (number - 0.0).abs();
        sum += 0.20
            * bell(phase, -0.07 - 0.6 * (x.abs() - broad).max(0.0), 0.075)
            * (1.0 - smooth(x.abs(), reach - 0.01, reach))
            * smooth(x.abs(), waist - 0.006, waist + 0.002);
        let (fx, fy) = (
            (x.abs() - 0.52 * broad) / 0.012,
            (phase.abs() - 0.48) * spacing / 0.014,
        );
        sum += 0.22 * (1.0 - smooth((fx * fx + fy * fy).sqrt(), 0.6, 1.1));
        sum
    });
    if let Some(patch) = patch {
        bone.add(&patch, 0.72 * anatomy.bone);
    }
}

/// A closed plate of bone: a thin sheet with a bright rim.
fn plate(
    bone: &mut Layer,
    frame: &Frame,
    outline: &Outline,
    sheet: f32,
    rim: f32,
    extra: impl Fn(Point) -> f32,
) {
    let reach = 0.26;
    let low = [outline.centre[0] - reach, outline.centre[1] - reach];
    let high = [outline.centre[0] + reach, outline.centre[1] + reach];
    let patch = Patch::region(frame, low, high, |p| {
        let depth = outline.depth(p);
        let inside = smooth(depth, -0.001, 0.004);
        inside * (sheet + extra(p)) + rim * bell(depth, 0.004, 0.0034)
    });
    if let Some(patch) = patch {
        bone.add(&patch, 1.0);
    }
}

fn pelvis(bone: &mut Layer, frame: &Frame, anatomy: &Anatomy, dice: &mut Dice) {
    let s = anatomy.hips;
    let weight = anatomy.bone;
    let middle = anatomy.spine(0.2);
    let base = 2.46 * anatomy.spacing - 0.2;
    let texture = dice.noise_seed();
    let sacrum = Outline::through(
        [middle, 0.275 + base],
        &[
            [middle, 0.198 + base],
            [middle + 0.075 * s, 0.195 + base],
            [middle + 0.100 * s, 0.225 + base],
            [middle + 0.078 * s, 0.30 + base],
            [middle + 0.035 * s, 0.365 + base],
            [middle, 0.40 + base],
            [middle - 0.035 * s, 0.365 + base],
            [middle - 0.078 * s, 0.30 + base],
            [middle - 0.100 * s, 0.225 + base],
            [middle - 0.075 * s, 0.195 + base],
        ],
    );
    plate(bone, frame, &sacrum, 0.22 * weight, 0.05 * weight, |p| {
        // Foramina in two columns, with bright arcs over them, and the median crest.
        let x = (p[0] - middle).abs();
        let t = (p[1] - 0.238 - base) / 0.036;
        let phase = t - (t + 0.5).floor();
        let column = 0.042 - 0.08 * (p[1] - 0.238 - base);
        let ring = (((x - column) / 0.011).powi(2) + (phase * 0.036 / 0.009).powi(2)).sqrt();
        let window = 1.0 - smooth(p[1] - base, 0.335, 0.36);
        weight
            * (window
                * (0.07 * bell(phase, -0.30, 0.12) * bell(x, column, 0.016)
                    - 0.09 * (1.0 - smooth(ring, 0.5, 1.3)))
                + 0.12 * bell(x, 0.0, 0.006)
                + 0.05 * value(p[0] * 120.0, p[1] * 120.0, texture))
    });
    let neck_down = dice.range(0.0, 0.02);
    for sign in SIDES {
        let at = |x: f32, y: f32| [sign * s * x + middle * (1.0 - y), 0.2 + base + s * (y - 0.2)];
        let ilium = Outline::through(
            at(0.195, 0.225),
            &[
                at(0.078, 0.175),
                at(0.100, 0.135),
                at(0.150, 0.100),
                at(0.215, 0.090),
                at(0.285, 0.118),
                at(0.330, 0.178),
                at(0.326, 0.232),
                at(0.292, 0.282),
                at(0.268, 0.322),
                at(0.276, 0.362),
                at(0.270, 0.398),
                at(0.218, 0.374),
                at(0.172, 0.405),
                at(0.150, 0.370),
                at(0.132, 0.325),
                at(0.100, 0.285),
                at(0.086, 0.235),
            ],
        );
        let joint = at(0.098, 0.24);
        plate(bone, frame, &ilium, 0.11 * weight, 0.17 * weight, |p| {
            let out = (p[0] - joint[0]) * sign;
            let thick = 0.24 * (1.0 - smooth(out, 0.0, 0.075))
                + 0.26 * smooth(p[1], 0.27 + base, 0.38 + base)
                + 0.10 * (1.0 - smooth(p[1], 0.10 + base, 0.17 + base));
            weight * (thick + 0.03 * rough(p[0] * 110.0, p[1] * 60.0, texture ^ 0x31))
        });
        // The line of the pelvic inlet runs on into the upper branch of the pubis.
        let inlet = spline(
            &[
                at(0.094, 0.27),
                at(0.122, 0.315),
                at(0.142, 0.370),
                at(0.138, 0.405),
            ],
            8,
            false,
        );
        lay(
            bone,
            frame,
            &nodes(&inlet, 0.0045, 0.22 * weight),
            Profile::Soft,
            1.0,
        );
        let head = at(0.222, 0.437);
        let upper = spline(
            &[
                at(0.185, 0.425),
                at(0.125, 0.430),
                at(0.065, 0.458),
                at(0.022, 0.485),
            ],
            8,
            false,
        );
        shell(bone, frame, &nodes(&upper, 0.020, 0.34 * weight));
        let body = [at(0.026, 0.47), at(0.024, 0.535)];
        shell(bone, frame, &nodes(&body, 0.017, 0.34 * weight));
        let lower = spline(
            &[
                at(0.030, 0.535),
                at(0.075, 0.575),
                at(0.120, 0.610),
                at(0.150, 0.605),
            ],
            8,
            false,
        );
        shell(bone, frame, &nodes(&lower, 0.016, 0.30 * weight));
        let ischium = spline(
            &[
                at(0.172, 0.415),
                at(0.158, 0.48),
                at(0.155, 0.545),
                at(0.150, 0.60),
            ],
            8,
            false,
        );
        lay(
            bone,
            frame,
            &nodes(&ischium, 0.028, 0.24 * weight),
            Profile::Rod,
            1.0,
        );
        let round = Patch::region(
            frame,
            [head[0] - 0.08, head[1] - 0.08],
            [head[0] + 0.08, head[1] + 0.08],
            |p| {
                let (dx, dy) = (p[0] - head[0], p[1] - head[1]);
                let r = (dx * dx + dy * dy).sqrt();
                let socket = 0.20 * bell(r, 0.064, 0.004) * (1.0 - smooth(dy, -0.02, 0.03));
                0.34 * (1.0 - smooth(r, 0.050, 0.056)) + 0.12 * bell(r, 0.050, 0.004) + socket
            },
        );
        if let Some(round) = round {
            bone.add(&round, weight);
        }
        let neck = [at(0.235, 0.45), at(0.285, 0.50 + neck_down)];
        lay(
            bone,
            frame,
            &nodes(&neck, 0.030, 0.20 * weight),
            Profile::Rod,
            1.0,
        );
        let shaft = spline(
            &[at(0.319, 0.475 + neck_down), at(0.312, 0.56), at(0.308, 0.75)],
            8,
            false,
        );
        shell(bone, frame, &nodes(&shaft, 0.033, 0.40 * weight));
    }
}
