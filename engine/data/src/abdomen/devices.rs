//! Stones, calcified veins, tubes, drains, stents and clips.

use super::anatomy::{SIDES, sides_of};
use super::describe::{Kind, Observation};
use super::scene::Scene;
use crate::phantom::Severity;
use crate::phantom::canvas::Profile;
use crate::phantom::noise::{Dice, value};
use crate::phantom::shapes::{Point, bell, smooth, spline};
use hilum_text::Side;

/// Draws what is dense of one observation.
pub(super) fn draw(scene: &mut Scene, observation: &Observation) {
    let mut dice = scene.dice(observation);
    match observation.kind {
        Kind::KidneyStone => kidney_stones(scene, observation, &mut dice),
        Kind::Gallstone => gallstones(scene, observation, &mut dice),
        Kind::Phleboliths => phleboliths(scene, observation, &mut dice),
        Kind::GastricTube => gastric_tube(scene, &mut dice),
        Kind::Drain => drain(scene, observation, &mut dice),
        Kind::Stent => stent(scene, observation, &mut dice),
        Kind::Clips => clips(scene, observation, &mut dice),
        Kind::FreeAir | Kind::SmallBowel | Kind::Colon | Kind::FaecalLoading => {}
    }
}

/// A chalky lump with an uneven edge.
fn lump(scene: &mut Scene, at: Point, half: Point, lean: f32, weight: f32, dice: &mut Dice) {
    let texture = dice.noise_seed();
    let reach = 1.6 * half[0].max(half[1]);
    scene.spot(at, reach, |d| {
        let (u, v) = ((d[0] + lean * d[1]) / half[0], (d[1] - lean * d[0]) / half[1]);
        let r = (u * u + v * v).sqrt() * (1.0 + 0.14 * value(u * 1.7, v * 1.7, texture));
        weight * (1.0 - smooth(r, 0.72, 1.08)) * (0.85 + 0.15 * value(u * 3.0, v * 3.0, texture))
    });
}

/// One small stone, a larger one, or a cast of the renal pelvis; at times further ones beside.
fn kidney_stones(scene: &mut Scene, observation: &Observation, dice: &mut Dice) {
    for side in sides_of(observation.side) {
        let kidney = scene.anatomy.kidneys[*side];
        let lean = dice.range(-0.4, 0.4);
        match observation.severity {
            Severity::Large => staghorn(scene, *side, dice),
            severity => {
                let size = if severity == Severity::Small {
                    dice.range(0.0065, 0.009)
                } else {
                    dice.range(0.013, 0.018)
                };
                let down = [-0.45, 0.05, 0.5][dice.pick(&[0.25, 0.3, 0.45])];
                let at = kidney.place(dice.range(-0.25, 0.15), down + dice.range(-0.1, 0.1));
                lump(scene, at, [size, 0.72 * size], lean, 0.95, dice);
            }
        }
    }
}

/// A cast of the renal pelvis and its calyces.
fn staghorn(scene: &mut Scene, side: usize, dice: &mut Dice) {
    let kidney = scene.anatomy.kidneys[side];
    let hub = kidney.place(-0.35, 0.08);
    for (out, down) in [(0.12, -0.58), (0.35, -0.16), (0.35, 0.24), (0.10, 0.62)] {
        let end = kidney.place(out + dice.range(-0.08, 0.08), down + dice.range(-0.06, 0.06));
        let middle = [0.55 * hub[0] + 0.45 * end[0], 0.45 * hub[1] + 0.55 * end[1]];
        let branch = spline(&[hub, middle, end], 6, false);
        scene.wire(&branch, dice.range(0.0072, 0.0095), 0.95, Profile::Rod);
        let knob = dice.range(0.011, 0.014);
        lump(scene, end, [knob, 0.85 * knob], 0.0, 1.0, dice);
    }
    lump(scene, hub, [0.018, 0.015], 0.2, 1.05, dice);
}

/// Rings of chalk in the gallbladder's bed, facing each other where there are several.
fn gallstones(scene: &mut Scene, observation: &Observation, dice: &mut Dice) {
    let bed = scene.anatomy.gallbladder;
    let (count, size) = match observation.severity {
        Severity::Small => (1, dice.range(0.011, 0.015)),
        Severity::Moderate => (3, dice.range(0.010, 0.013)),
        Severity::Large => (7, dice.range(0.010, 0.0125)),
    };
    // Places of a cluster that do not overlap, in stones.
    const CLUSTER: [Point; 7] = [
        [0.0, 0.0],
        [1.9, 0.5],
        [0.5, 1.9],
        [-1.4, 1.3],
        [2.3, 2.4],
        [0.6, 3.8],
        [-1.2, 3.2],
    ];
    for place in CLUSTER.iter().take(count) {
        let half = size * dice.range(0.85, 1.15);
        let at = [
            bed[0] + size * (place[0] + dice.range(-0.15, 0.15)),
            bed[1] + size * (place[1] + dice.range(-0.15, 0.15)),
        ];
        let (flat, lean) = (dice.range(0.8, 1.0), dice.range(-0.4, 0.4));
        let facets = dice.range(0.05, 0.12);
        scene.spot(at, 1.5 * half, |d| {
            let (u, v) = ((d[0] + lean * d[1]) / half, (d[1] - lean * d[0]) / (half * flat));
            let r = (u * u + v * v).sqrt();
            let angled = r * (1.0 + facets * (2.0 * u * u * v * v / (r * r * r * r + 0.05)));
            0.62 * bell(angled, 0.82, 0.13)
                + 0.16 * (1.0 - smooth(angled, 0.7, 0.9))
                + 0.25 * bell(angled, 0.3, 0.14)
        });
    }
}

/// Small round beads with a clear middle, low in the pelvis.
fn phleboliths(scene: &mut Scene, observation: &Observation, dice: &mut Dice) {
    let count = match observation.severity {
        Severity::Small => 1,
        Severity::Moderate => 2,
        Severity::Large => 3,
    };
    for side in sides_of(observation.side) {
        for k in 0..count {
            let at = [
                SIDES[*side] * dice.range(0.075, 0.118),
                0.345 + 0.026 * k as f32 + dice.range(-0.008, 0.008),
            ];
            let half = dice.range(0.0048, 0.0068);
            scene.spot(at, 1.6 * half, |d| {
                let r = (d[0] * d[0] + d[1] * d[1]).sqrt() / half;
                0.62 * (1.0 - smooth(r, 0.75, 1.1)) - 0.3 * (1.0 - smooth(r, 0.1, 0.45))
            });
        }
    }
}

/// Down the gullet, through the hiatus and along the stomach: a thin tube with a bright stripe that ends in side holes.
fn gastric_tube(scene: &mut Scene, dice: &mut Dice) {
    let dome = scene.anatomy.diaphragm(0.12);
    let hiatus = dome + 0.085;
    let far = dice.unit();
    let mut course = vec![
        [0.008, -0.85],
        [0.012 + dice.range(-0.006, 0.006), dome - 0.06],
        [0.028, hiatus],
        [0.075, hiatus + 0.035],
        [0.118 + dice.range(-0.01, 0.01), hiatus + 0.085],
        [0.120 + dice.range(-0.01, 0.01), hiatus + 0.135],
    ];
    if far > 0.4 {
        course.extend([[0.095, hiatus + 0.18], [0.05, hiatus + 0.205]]);
    }
    if far > 0.75 {
        course.push([0.0, hiatus + 0.205]);
    }
    let line = spline(&course, 12, false);
    scene.wire(&line, 0.0062, 0.20, Profile::Shell);
    let end = line.len();
    let breaks = [end - 4, end - 8, end - 12];
    let mut from = 0;
    for at in breaks.iter().rev().chain([&end]) {
        scene.wire(&line[from..*at], 0.0022, 0.75, Profile::Rod);
        from = (at + 1).min(end - 1);
    }
}

/// Through the flank into the pelvis, or up below the liver or the spleen; the last part has holes.
fn drain(scene: &mut Scene, observation: &Observation, dice: &mut Dice) {
    let side = usize::from(observation.side == Some(Side::Left));
    let s = SIDES[side];
    let entry = dice.range(0.06, 0.16);
    let skin = scene.anatomy.outer(entry);
    let down = dice.chance(0.65);
    let mut course = vec![
        [s * (skin + 0.05), entry + dice.range(-0.03, 0.03)],
        [s * (skin - 0.05), entry + 0.01],
        [s * 0.23, entry + if down { 0.05 } else { 0.015 }],
    ];
    if down {
        course.extend([
            [s * dice.range(0.15, 0.18), 0.30],
            [s * dice.range(0.05, 0.09), 0.365],
            [-s * dice.range(0.02, 0.06), 0.37 + dice.range(-0.02, 0.02)],
        ]);
    } else {
        course.extend([
            [s * dice.range(0.19, 0.22), 0.01],
            [s * dice.range(0.17, 0.20), -0.09],
            [s * dice.range(0.09, 0.13), -0.155 + dice.range(-0.02, 0.02)],
        ]);
    }
    let line = spline(&course, 16, false);
    scene.wire(&line, 0.0098, 0.30, Profile::Shell);
    let holes = line.len() - 24;
    scene.wire(&line[..holes], 0.0026, 0.80, Profile::Rod);
    for k in (holes..line.len() - 2).step_by(4) {
        scene.wire(&line[k..k + 3], 0.0026, 0.80, Profile::Rod);
    }
}

/// From a coil in the renal pelvis along the transverse processes to a coil in the bladder.
fn stent(scene: &mut Scene, observation: &Observation, dice: &mut Dice) {
    let side = usize::from(observation.side == Some(Side::Left));
    let s = SIDES[side];
    let kidney = scene.anatomy.kidneys[side];
    let pelvis = kidney.place(-0.35, -0.05 + dice.range(-0.1, 0.1));
    let bladder = [
        scene.anatomy.bladder[0][0] + s * dice.range(0.005, 0.03),
        scene.anatomy.bladder[0][1] + dice.range(-0.01, 0.01),
    ];
    let radius = dice.range(0.021, 0.027);
    // A coil as a curl that tightens, from its free end to where the ureter leaves it.
    let coil = |centre: Point, turns: f32, to: f32, way: f32| -> Vec<Point> {
        (0..=20)
            .map(|k| {
                let t = k as f32 / 20.0;
                let angle = to - way * turns * core::f32::consts::TAU * (1.0 - t);
                let r = radius * (0.72 + 0.28 * t);
                [
                    centre[0] + r * libm::cosf(angle),
                    centre[1] + r * libm::sinf(angle),
                ]
            })
            .collect()
    };
    let turns = dice.range(1.0, 1.3);
    // The upper curl ends at its side towards the spine, going down.
    let (inner, way) = if side == 0 {
        (0.0, 1.0)
    } else {
        (core::f32::consts::PI, -1.0)
    };
    let mut line = coil(pelvis, turns, inner, way);
    let spread = dice.range(0.078, 0.095);
    line.extend([
        [s * spread, 0.03],
        [s * (spread - 0.004), 0.12],
        [s * (spread + 0.012), 0.22],
        [s * (spread + 0.03), 0.31],
        [s * (spread + 0.012), bladder[1] - 0.045],
    ]);
    let mut low = coil(bladder, turns, -core::f32::consts::FRAC_PI_2 + 0.5 * s, -way);
    low.reverse();
    line.extend(low);
    let line = spline(&line, 5, false);
    scene.wire(&line, 0.0040, 0.72, Profile::Rod);
}

/// A few short bright rods in the gallbladder's bed.
fn clips(scene: &mut Scene, observation: &Observation, dice: &mut Dice) {
    let bed = scene.anatomy.gallbladder;
    let count = match observation.severity {
        Severity::Small => 3,
        Severity::Moderate => 4,
        Severity::Large => 6,
    };
    let common = dice.range(0.3, 1.2);
    for k in 0..count {
        let at = [
            bed[0] + 0.03 + dice.range(-0.012, 0.012) + 0.008 * k as f32,
            bed[1] - 0.01 + dice.range(-0.022, 0.022),
        ];
        let angle = common + dice.range(-0.6, 0.6);
        let half = dice.range(0.0075, 0.0105);
        let (c, s) = (libm::cosf(angle) * half, libm::sinf(angle) * half);
        scene.wire(
            &[[at[0] - c, at[1] - s], [at[0] + c, at[1] + s]],
            0.0023,
            1.9,
            Profile::Rod,
        );
    }
}
