//! The skeleton: ribs (with their fractures), spine, clavicles, scapulae, humeri.

use super::anatomy::{Anatomy, LEFT, RIGHT, sign};
use super::canvas::{Frame, Layer, Node, Patch, Profile, nodes};
use super::describe::{Kind, Observation, Severity, View};
use super::noise::Dice;
use super::shapes::{Outline, Point, bell, smooth, spline};
use hilum_text::Zone;

/// Attenuation of one well-mineralised rib's cortex, seen along the beam (no unit: the exponent of Beer's
/// law).
const CORTEX: f32 = 0.34;
/// Nodes of the posterior and of the anterior part of a rib.
const POSTERIOR: usize = 26;
const ANTERIOR: usize = 18;
/// The last rib that is drawn, counted from 0.
const RIBS: usize = 9;

/// A rib's course in a lung's coordinates, from the spine round the side to the costal cartilage.
fn rib(anatomy: &Anatomy, lung: usize, number: usize) -> Vec<Point> {
    let side = &anatomy.lungs[lung];
    let n = number as f32;
    let head = anatomy.first_rib + anatomy.spacing * n;
    let drop = anatomy.spacing * (0.75 + 0.16 * n).min(2.0);
    let onward = anatomy.spacing * (0.55 + 0.13 * n).min(1.7);
    let lateral = head + drop;
    let wall = side.wall.at(lateral) + 0.006;
    let start = 0.04;
    let end = (0.10 + 0.010 * n).min(0.2);
    let mut points = Vec::with_capacity(POSTERIOR + ANTERIOR + 1);
    for k in 0..=POSTERIOR {
        let angle = core::f32::consts::FRAC_PI_2 * k as f32 / POSTERIOR as f32;
        let (s, c) = (libm::sinf(angle), libm::cosf(angle));
        let lift = 0.30 * anatomy.spacing * libm::sinf(2.0 * angle) * (1.0 - k as f32 / POSTERIOR as f32);
        points.push([start + (wall - start) * s, head + drop * (1.0 - c) - lift]);
    }
    for k in 1..=ANTERIOR {
        let angle = core::f32::consts::FRAC_PI_2 * k as f32 / ANTERIOR as f32;
        let (s, c) = (libm::sinf(angle), libm::cosf(angle));
        points.push([
            end + (wall - end) * (0.25 * (1.0 - s) + 0.75 * c),
            lateral + onward * s,
        ]);
    }
    points
}

fn rib_nodes(anatomy: &Anatomy, lung: usize, points: &[Point], from: usize) -> Vec<Node> {
    let last = (POSTERIOR + ANTERIOR) as f32;
    points
        .iter()
        .enumerate()
        .map(|(k, p)| {
            let t = (from + k) as f32 / last;
            // The front of a rib is thinner and fades where cartilage begins.
            let weight = CORTEX
                * anatomy.bone
                * (1.0 - 0.45 * smooth(t, 0.5, 0.68))
                * (1.0 - 0.85 * smooth(t, 0.9, 1.0));
            let half = 0.19
                * anatomy.spacing
                * (1.0 + 0.2 * smooth(t, 0.6, 1.0))
                * (0.85 + 0.15 * smooth(t, 0.0, 0.15));
            Node {
                at: anatomy.place(lung, *p),
                half,
                weight,
            }
        })
        .collect()
}

/// Where one fracture lies.
struct Break {
    lung: usize,
    number: usize,
    node: usize,
}

fn breaks(observation: &Observation, seed: u64) -> Vec<Break> {
    let mut dice = Dice::new(seed, 700);
    let lung = if observation.side == Some(hilum_text::Side::Left) {
        LEFT
    } else {
        RIGHT
    };
    let count = match observation.severity {
        Severity::Small => 1,
        Severity::Moderate => 2,
        Severity::Large => 3,
    };
    let centre = match observation.zone {
        Some(Zone::Upper) => 2.0,
        Some(Zone::Lower) => 6.5,
        _ => 4.3,
    };
    let first = (centre - 0.5 * (count - 1) as f32 + dice.range(-0.4, 0.4)).max(1.0) as usize;
    let node = 11 + dice.pick(&[1.0; 6]);
    (0..count)
        .map(|k| Break {
            lung,
            number: first + k,
            node: (node + dice.pick(&[1.0; 3])).min(18),
        })
        .map(|b| Break {
            number: b.number.min(RIBS),
            ..b
        })
        .collect()
}

/// Draws the skeleton; returns the patches of the fractures, with the index of their observation and their
/// lung.
pub(super) fn draw(
    bone: &mut Layer,
    frame: &Frame,
    anatomy: &Anatomy,
    observations: &[Observation],
    seed: u64,
) -> Vec<(usize, usize, Patch)> {
    let mut dice = Dice::new(seed, 2);
    let broken: Vec<(usize, Break)> = observations
        .iter()
        .enumerate()
        .filter(|(_, o)| o.kind == Kind::RibFracture)
        .flat_map(|(i, o)| breaks(o, seed).into_iter().map(move |b| (i, b)))
        .collect();
    let mut found = Vec::new();
    for lung in [RIGHT, LEFT] {
        for number in 0..=RIBS {
            let points = rib(anatomy, lung, number);
            match broken.iter().find(|(_, b)| b.lung == lung && b.number == number) {
                None => lay(bone, frame, &rib_nodes(anatomy, lung, &points, 0), Profile::Shell),
                Some((index, fracture)) => {
                    if let Some(patch) = fracture_of(bone, frame, anatomy, fracture, &points, seed) {
                        found.push((*index, lung, patch));
                    }
                }
            }
        }
    }
    spine(bone, frame, anatomy, &mut dice);
    girdle(bone, frame, anatomy, &mut dice);
    found
}

fn lay(layer: &mut Layer, frame: &Frame, nodes: &[Node], profile: Profile) {
    if let Some(patch) = Patch::stroke(frame, nodes, profile) {
        layer.add(&patch, 1.0);
    }
}

/// A rib in two pieces: a step and an overlap at the break, and callus around it.
fn fracture_of(
    bone: &mut Layer,
    frame: &Frame,
    anatomy: &Anatomy,
    fracture: &Break,
    points: &[Point],
    seed: u64,
) -> Option<Patch> {
    let mut dice = Dice::new(seed, 710 + fracture.number as u64);
    let k = fracture.node;
    let along = [
        points[k + 1][0] - points[k - 1][0],
        points[k + 1][1] - points[k - 1][1],
    ];
    let norm = (along[0] * along[0] + along[1] * along[1]).sqrt().max(1e-6);
    let unit = [along[0] / norm, along[1] / norm];
    let across = [-unit[1], unit[0]];
    let step = 0.5 * dice.range(0.34, 0.48) * anatomy.spacing * dice.sign();
    // Each piece bends away from the rib's line over its last few nodes.
    let bend = |p: &Point, nodes_away: usize, way: f32| {
        let t = 1.0 - (nodes_away as f32 / 5.0).min(1.0);
        [
            p[0] + way * step * across[0] * t,
            p[1] + way * step * across[1] * t,
        ]
    };
    let mut inner: Vec<Point> = points[..=k]
        .iter()
        .enumerate()
        .map(|(i, p)| bend(p, k - i, 1.0))
        .collect();
    let mut outer: Vec<Point> = points[k..]
        .iter()
        .enumerate()
        .map(|(i, p)| bend(p, i, -1.0))
        .collect();
    let gap = 0.004;
    if let Some(end) = inner.last_mut() {
        *end = [end[0] - gap * unit[0], end[1] - gap * unit[1]];
    }
    if let Some(start) = outer.first_mut() {
        *start = [start[0] + gap * unit[0], start[1] + gap * unit[1]];
    }
    let mut inner = rib_nodes(anatomy, fracture.lung, &inner, 0);
    let mut outer = rib_nodes(anatomy, fracture.lung, &outer, k);
    // The broken ends are dense where the cortex is crushed.
    for node in inner.iter_mut().rev().take(2).chain(outer.iter_mut().take(2)) {
        node.weight *= 1.7;
    }
    lay(bone, frame, &inner, Profile::Shell);
    lay(bone, frame, &outer, Profile::Shell);
    let centre = anatomy.place(fracture.lung, points[k]);
    let radius = 0.40 * anatomy.spacing;
    let low = [centre[0] - 2.0 * radius, centre[1] - 2.0 * radius];
    let high = [centre[0] + 2.0 * radius, centre[1] + 2.0 * radius];
    let texture = dice.noise_seed();
    let callus = Patch::region(frame, low, high, |p| {
        let (dx, dy) = (p[0] - centre[0], p[1] - centre[1]);
        let r = (dx * dx + dy * dy).sqrt() / radius;
        let knobs = 1.0 + 0.6 * super::noise::value(p[0] / radius * 1.6, p[1] / radius * 1.6, texture);
        // Thickest around the ends, with a darker line left at the break itself.
        let line = (dx * sign(fracture.lung) * unit[0] + dy * unit[1]).abs();
        let cleft = 1.0 - 0.9 * bell(line, 0.0, 0.0032);
        (1.0 - smooth(r, 0.55, 1.25)) * knobs * cleft
    })?;
    bone.add(&callus, 0.33 * anatomy.bone.max(0.9));
    let mut seen = callus;
    for value in &mut seen.values {
        *value = if *value > 0.15 { 1.0 } else { 0.0 };
    }
    Some(seen)
}

fn spine(bone: &mut Layer, frame: &Frame, anatomy: &Anatomy, dice: &mut Dice) {
    let bow = dice.range(-0.008, 0.008);
    let half = dice.range(0.029, 0.035);
    let (spacing, first) = (anatomy.spacing, anatomy.first_rib);
    let twist = -0.35 * anatomy.turn;
    let patch = Patch::region(frame, [-0.085, -0.75], [0.085, 0.75], |p| {
        let x = p[0] - bow * libm::cosf(3.0 * p[1]);
        let t = (p[1] - first) / spacing + 40.5;
        let phase = t - t.floor() - 0.5;
        let waist = half * (0.90 + 0.4 * phase * phase);
        let edge = 1.0 - smooth(x.abs(), waist - 0.006, waist + 0.002);
        let disc = 0.75 * smooth(phase.abs(), 0.35, 0.45);
        let plate = bell(phase.abs(), 0.355, 0.025);
        let rim = bell(x.abs(), waist - 0.004, 0.004) * (1.0 - disc);
        let mut value = edge * (0.55 * (1.0 - 0.75 * disc) + 0.22 * plate) + 0.2 * rim;
        // Pedicles and the spinous process, thrown to one side in a turned patient.
        let (px, py) = ((x - twist).abs() - 0.5 * half, (phase + 0.08) * spacing);
        let pedicle = (px * px + 0.6 * py * py).sqrt();
        value += 0.28 * bell(pedicle, 0.0075, 0.0028);
        let (sx, sy) = (x - 2.0 * twist, (phase - 0.18) * spacing);
        value += 0.3 * (1.0 - smooth((sx * sx * 6.0 + sy * sy).sqrt(), 0.012, 0.019));
        // Transverse processes.
        value += 0.2
            * bell(phase, -0.05, 0.09)
            * (1.0 - smooth(x.abs(), 0.05, 0.072))
            * smooth(x.abs(), waist - 0.006, waist);
        value
    });
    if let Some(patch) = patch {
        bone.add(&patch, anatomy.bone * 0.38);
    }
}

fn girdle(bone: &mut Layer, frame: &Frame, anatomy: &Anatomy, dice: &mut Dice) {
    let ap = anatomy.view == View::Ap;
    let level = if ap {
        dice.range(0.03, 0.075)
    } else {
        dice.range(0.06, 0.125)
    };
    let rise = dice.range(0.035, 0.095);
    let blade_in = if ap {
        dice.range(0.70, 0.88)
    } else {
        dice.range(0.97, 1.12)
    };
    let tilt = dice.range(0.02, 0.10);
    for lung in [RIGHT, LEFT] {
        let side = &anatomy.lungs[lung];
        let apex = side.apex;
        let at = |x: f32, y: f32| anatomy.place(lung, [x, apex + y]);
        let sway = level + dice.range(-0.01, 0.01);
        let medial = 0.038 + 0.7 * sign(lung) * anatomy.turn;
        let line = spline(
            &[
                at(medial, sway + 0.015),
                at(medial + 0.09, sway - 0.004),
                at(0.235, sway - 0.5 * rise - 0.006),
                at(0.33, sway - rise),
                at(0.42, sway - rise + 0.012),
            ],
            8,
            false,
        );
        let count = line.len() as f32;
        let clavicle: Vec<Node> = line
            .iter()
            .enumerate()
            .map(|(k, p)| {
                let t = k as f32 / count;
                let half = 0.0125 + 0.007 * (1.0 - smooth(t, 0.0, 0.2)) + 0.004 * smooth(t, 0.7, 1.0);
                Node {
                    at: *p,
                    half,
                    weight: 0.5 * anatomy.bone,
                }
            })
            .collect();
        lay(bone, frame, &clavicle, Profile::Shell);

        let inner = blade_in * side.half;
        let outline = Outline::through(
            at(inner + 0.085, 0.14),
            &[
                at(inner + 0.01, 0.05),
                at(inner + 0.10, 0.03),
                at(inner + 0.17, 0.05),
                at(inner + 0.12, 0.15),
                at(inner + tilt + 0.05, 0.30),
                at(inner + tilt + 0.015, 0.285),
                at(inner + 0.012, 0.15),
            ],
        );
        let corner = [outline.centre[0] - 0.22, outline.centre[1] - 0.22];
        let far = [outline.centre[0] + 0.22, outline.centre[1] + 0.26];
        let blade = Patch::region(frame, corner, far, |p| {
            let depth = outline.depth(p);
            0.09 * smooth(depth, 0.0, 0.012) + 0.15 * bell(depth, 0.005, 0.0045)
        });
        if let Some(blade) = blade {
            bone.add(&blade, anatomy.bone);
        }
        let ridge = spline(
            &[
                at(inner + 0.02, 0.10),
                at(inner + 0.10, 0.05),
                at(0.43, sway - rise + 0.02),
            ],
            6,
            false,
        );
        lay(
            bone,
            frame,
            &nodes(&ridge, 0.010, 0.22 * anatomy.bone),
            Profile::Soft,
        );
        let head = at(side.half + dice.range(0.115, 0.14), 0.075);
        let round = Patch::region(
            frame,
            [head[0] - 0.07, head[1] - 0.07],
            [head[0] + 0.07, head[1] + 0.07],
            |p| {
                let r = ((p[0] - head[0]) * (p[0] - head[0]) + (p[1] - head[1]) * (p[1] - head[1])).sqrt();
                0.55 * (1.0 - smooth(r, 0.043, 0.050)) + 0.2 * bell(r, 0.045, 0.004)
            },
        );
        if let Some(round) = round {
            bone.add(&round, anatomy.bone);
        }
        let shaft = [
            head,
            [head[0] + sign(lung) * 0.05, head[1] + 0.2],
            [head[0] + sign(lung) * 0.09, head[1] + 0.5],
        ];
        lay(
            bone,
            frame,
            &nodes(&shaft, 0.030, 0.7 * anatomy.bone),
            Profile::Shell,
        );
    }
}
