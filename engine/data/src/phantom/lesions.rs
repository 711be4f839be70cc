//! What disease puts into the lung itself: consolidation, pneumonia, haze, atelectasis, oedema, nodules and
//! masses.

use super::anatomy::{Anatomy, lungs_of, sign};
use super::canvas::{Patch, Profile, nodes};
use super::describe::{Kind, Observation, Severity};
use super::noise::{Dice, grainy, rough, value};
use super::scene::{Scene, corners};
use super::shapes::{Outline, Point, bell, smooth, spline};
use hilum_text::Zone;

/// Picks by severity.
pub(super) fn graded<T: Copy>(severity: Severity, small: T, moderate: T, large: T) -> T {
    match severity {
        Severity::Small => small,
        Severity::Moderate => moderate,
        Severity::Large => large,
    }
}

/// The share of the lung's height, apex to dome, in which a third's findings are centred.
fn band(zone: Option<Zone>) -> (f32, f32) {
    match zone {
        Some(Zone::Upper) => (0.14, 0.33),
        Some(Zone::Mid) | None => (0.43, 0.60),
        Some(Zone::Lower) => (0.70, 0.88),
    }
}

/// A place, in a lung's coordinates, where a round thing of this radius lies clear of wall, heart and
/// diaphragm as far as it can.
fn spot(anatomy: &Anatomy, lung: usize, zone: Option<Zone>, radius: f32, dice: &mut Dice) -> Point {
    let side = &anatomy.lungs[lung];
    let (low, high) = band(zone);
    let mut best = ([0.5 * side.half, side.hilum()], f32::NEG_INFINITY);
    for _ in 0..60 {
        let t = dice.range(low, high);
        let y = side.apex + t * (side.dome - side.apex);
        let x = dice.range(side.border.at(y), side.wall.at(y));
        let clear = (side.pleura.depth([x, y]) - radius)
            .min(side.wall.at(y) - x - radius)
            .min(x - side.border.at(y) - 0.01 - radius)
            .min(side.diaphragm(x) - y - 0.7 * radius)
            .min(-anatomy.heart.depth(anatomy.place(lung, [x, y])) - 0.8 * radius);
        if clear > best.1 {
            best = ([x, y], clear);
        }
        if clear > 0.004 {
            break;
        }
    }
    best.0
}

/// Draws one finding of the lung; other kinds are none of this module's business.
pub(super) fn draw(scene: &mut Scene, index: usize, observation: &Observation) {
    for lung in lungs_of(observation.side) {
        let mut dice = scene.dice(observation, *lung);
        match observation.kind {
            Kind::Consolidation => consolidation(scene, index, observation, *lung, &mut dice),
            Kind::Pneumonia => pneumonia(scene, index, observation, *lung, &mut dice),
            Kind::Opacity => haze(scene, index, observation, *lung, &mut dice),
            Kind::Atelectasis => plates(scene, index, observation, *lung, &mut dice),
            Kind::Edema => edema(scene, index, observation, *lung, &mut dice),
            Kind::Nodule | Kind::Mass => lesion(scene, index, observation, *lung, &mut dice),
            _ => {}
        }
    }
}

/// Homogeneous, and cut straight by a fissure.
fn consolidation(scene: &mut Scene, index: usize, observation: &Observation, lung: usize, dice: &mut Dice) {
    let radius = graded(observation.severity, 0.066, 0.086, 0.106) * dice.range(0.95, 1.08);
    let c = spot(scene.anatomy, lung, observation.zone, radius, dice);
    // The fissure's normal points out of the dense lobe: down for an upper lobe, up for the middle and lower
    // ones.
    let slope = dice.range(-0.22, 0.22);
    let down = if observation.zone == Some(Zone::Upper) {
        1.0
    } else {
        -1.0
    };
    let norm = (1.0 + slope * slope).sqrt();
    let normal = [slope / norm, down / norm];
    let cut = radius * dice.range(0.15, 0.4);
    let seed = dice.noise_seed();
    let stretch = dice.range(1.05, 1.35);
    scene.fill_region(index, lung, c, 1.7 * radius, 0.25, |p| {
        let (x, y) = (p[0] * sign(lung) - c[0], p[1] - c[1]);
        let over = x * normal[0] + y * normal[1] - cut;
        let r = (x * x / (stretch * stretch) + y * y).sqrt() / radius
            + 0.26 * rough(p[0] * 17.0, p[1] * 17.0, seed);
        0.46 * (1.0 - smooth(r, 0.72, 1.15)) * (1.0 - smooth(over, -0.003, 0.003))
    });
}

/// Patches that run together, with open bronchi through them.
fn pneumonia(scene: &mut Scene, index: usize, observation: &Observation, lung: usize, dice: &mut Dice) {
    let radius = graded(observation.severity, 0.065, 0.085, 0.105) * dice.range(0.95, 1.08);
    let c = spot(scene.anatomy, lung, observation.zone, 0.9 * radius, dice);
    let seed = dice.noise_seed();
    let hilum = [
        scene.anatomy.lungs[lung].border.at(c[1]),
        scene.anatomy.lungs[lung].hilum(),
    ];
    let bronchi = bronchi(scene, lung, hilum, c, radius, dice);
    let (low, high) = corners(scene.anatomy.place(lung, c), 1.5 * radius);
    let patch = Patch::region(&scene.frame, low, high, |p| {
        let (x, y) = (p[0] * sign(lung) - c[0], p[1] - c[1]);
        let r = (x * x + y * y).sqrt() / radius;
        let clumps = smooth(
            rough(p[0] * 36.0, p[1] * 36.0, seed) + 0.2 * (1.0 - r),
            -0.40,
            0.55,
        );
        0.42 * clumps * (1.0 - smooth(r, 0.55, 1.25))
    });
    if let Some(patch) = patch {
        let seen = patch.times(|x, y| 1.0 - 0.72 * bronchi[y * scene.frame.size + x].min(1.0));
        scene.fill_with(index, lung, seen, 0.2);
    }
}

/// A picture of the bronchi that fan out from the hilum through a place.
fn bronchi(scene: &Scene, lung: usize, hilum: Point, c: Point, radius: f32, dice: &mut Dice) -> Vec<f32> {
    let mut layer = super::canvas::Layer::new(scene.frame.size);
    let (dx, dy) = (c[0] - hilum[0], c[1] - hilum[1]);
    let norm = (dx * dx + dy * dy).sqrt().max(0.02);
    let along = [dx / norm, dy / norm];
    let start = [c[0] - 0.95 * radius * along[0], c[1] - 0.95 * radius * along[1]];
    for k in 0..4 {
        let spread = (k as f32 - 1.5) * 0.4 + dice.range(-0.15, 0.15);
        let way = [along[0] - spread * along[1], along[1] + spread * along[0]];
        let bend = dice.range(-0.3, 0.3) * radius;
        let mid = [
            start[0] + 0.8 * radius * way[0] + bend * along[1],
            start[1] + 0.8 * radius * way[1] - bend * along[0],
        ];
        let end = [
            start[0] + 1.75 * radius * way[0],
            start[1] + 1.75 * radius * way[1],
        ];
        let line: Vec<Point> = spline(&[start, mid, end], 5, false)
            .iter()
            .map(|p| scene.anatomy.place(lung, *p))
            .collect();
        if let Some(patch) = Patch::stroke(&scene.frame, &nodes(&line, 0.0040, 1.1), Profile::Rod) {
            layer.raise(&patch);
        }
    }
    layer.data
}

/// Ground glass: faint, without an edge, vessels still seen through it.
fn haze(scene: &mut Scene, index: usize, observation: &Observation, lung: usize, dice: &mut Dice) {
    let radius = graded(observation.severity, 0.060, 0.075, 0.092) * dice.range(0.95, 1.08);
    let c = spot(scene.anatomy, lung, observation.zone, 0.9 * radius, dice);
    let seed = dice.noise_seed();
    let (low, high) = corners(scene.anatomy.place(lung, c), 1.6 * radius);
    let patch = Patch::region(&scene.frame, low, high, |p| {
        let (x, y) = (p[0] * sign(lung) - c[0], p[1] - c[1]);
        let r = (x * x + y * y).sqrt() / radius + 0.2 * value(p[0] * 18.0, p[1] * 18.0, seed ^ 9);
        let glass = 1.0 + 0.9 * grainy(p[0] * 95.0, p[1] * 95.0, seed);
        0.26 * glass * (1.0 - smooth(r, 0.4, 1.3))
    });
    if let Some(patch) = patch {
        scene.fill_with(index, lung, patch, 0.08);
    }
}

/// Plates of airless lung, long and thin.
fn plates(scene: &mut Scene, index: usize, observation: &Observation, lung: usize, dice: &mut Dice) {
    let count = graded(observation.severity, 2, 3, 4);
    let length = graded(observation.severity, 0.115, 0.135, 0.16);
    let c = spot(scene.anatomy, lung, observation.zone, 0.045, dice);
    let slope = dice.range(-0.35, 0.35);
    for k in 0..count {
        let y = c[1] + (k as f32 - 0.5 * (count - 1) as f32) * dice.range(0.022, 0.032);
        let x = c[0] + dice.range(-0.02, 0.02);
        let tilt = slope + dice.range(-0.12, 0.12);
        let reach = 0.5 * length * dice.range(0.85, 1.15);
        let sag = dice.range(-0.012, 0.012);
        let at = |t: f32| {
            scene
                .anatomy
                .place(lung, [x + t * reach, y + t * reach * tilt + sag * (1.0 - t * t)])
        };
        let line = spline(&[at(-1.0), at(-0.4), at(0.2), at(1.0)], 6, false);
        let half = dice.range(0.0058, 0.0085);
        if let Some(patch) = Patch::stroke(&scene.frame, &nodes(&line, half, 0.52), Profile::Rod) {
            scene.add_in_lung(index, lung, patch, 0.1);
        }
    }
}

/// A bat's wing about the hilum, thickened septa at the side, cuffs around the bronchi.
fn edema(scene: &mut Scene, index: usize, observation: &Observation, lung: usize, dice: &mut Dice) {
    let strength = graded(observation.severity, 0.7, 0.85, 1.0);
    let side = &scene.anatomy.lungs[lung];
    let hilum = [side.border.at(side.hilum()) + 0.04, side.hilum() + 0.015];
    let tall = 0.24 * (side.dome - side.apex) * (0.85 + 0.3 * strength);
    let wide = 0.34 * side.half * (0.7 + 0.45 * strength);
    let seed = dice.noise_seed();
    let centre = scene.anatomy.place(lung, hilum);
    let patch = Patch::region(
        &scene.frame,
        [centre[0] - 2.0 * wide, centre[1] - 2.0 * tall],
        [centre[0] + 2.0 * wide, centre[1] + 2.0 * tall],
        |p| {
            let (x, y) = ((p[0] * sign(lung) - hilum[0]) / wide, (p[1] - hilum[1]) / tall);
            let r = (x * x + y * y).sqrt() + 0.25 * rough(p[0] * 20.0, p[1] * 20.0, seed);
            let fluff = 0.8 + 0.6 * grainy(p[0] * 55.0, p[1] * 55.0, seed ^ 5);
            0.27 * strength * fluff * (1.0 - smooth(r, 0.45, 1.25))
        },
    );
    if let Some(patch) = patch {
        scene.fill_with(index, lung, patch, 0.06);
    }
    let side = &scene.anatomy.lungs[lung];
    let lines = graded(observation.severity, 8, 10, 13);
    for k in 0..lines {
        let y = side.dome + 0.055 - 0.0155 * k as f32 + dice.range(-0.003, 0.003);
        let wall = side.wall.at(y).min(side.half) - 0.008;
        let length = dice.range(0.028, 0.046);
        let line =
            [[wall, y], [wall - length, y + dice.range(-0.004, 0.004)]].map(|p| scene.anatomy.place(lung, p));
        if let Some(patch) = Patch::stroke(&scene.frame, &nodes(&line, 0.0022, 0.24), Profile::Rod) {
            scene.add_in_lung(index, lung, patch, 0.08);
        }
    }
    // Longer lines that fan out towards the hilum from the upper lung.
    for _ in 0..graded(observation.severity, 3, 4, 6) {
        let out = dice.range(0.07, 0.12);
        let angle = dice.range(-1.2, -0.2);
        let (c, s) = (libm::cosf(angle), libm::sinf(angle));
        let turn = dice.range(-0.3, 0.3);
        let a = [hilum[0] + out * c, hilum[1] + out * s];
        let b = [a[0] + 0.065 * (c - turn * s), a[1] + 0.065 * (s + turn * c)];
        let line = [a, b].map(|p| scene.anatomy.place(lung, p));
        if let Some(patch) = Patch::stroke(&scene.frame, &nodes(&line, 0.0018, 0.22), Profile::Rod) {
            scene.add_in_lung(index, lung, patch, 0.08);
        }
    }
    for _ in 0..graded(observation.severity, 3, 4, 5) {
        let at = scene.anatomy.place(
            lung,
            [
                hilum[0] + dice.range(0.0, 0.07),
                hilum[1] + dice.range(-0.07, 0.06),
            ],
        );
        let radius = dice.range(0.008, 0.012);
        let (low, high) = corners(at, 2.0 * radius);
        let ring = Patch::region(&scene.frame, low, high, |p| {
            let r = ((p[0] - at[0]) * (p[0] - at[0]) + (p[1] - at[1]) * (p[1] - at[1])).sqrt();
            0.22 * bell(r, radius, 0.0028)
        });
        if let Some(ring) = ring {
            scene.add_in_lung(index, lung, ring, 0.1);
        }
    }
}

/// A ball, smooth when small and lobed when large.
fn lesion(scene: &mut Scene, index: usize, observation: &Observation, lung: usize, dice: &mut Dice) {
    let mass = observation.kind == Kind::Mass;
    let radius = if mass {
        graded(observation.severity, 0.040, 0.048, 0.058)
    } else {
        graded(observation.severity, 0.0195, 0.0235, 0.028)
    } * dice.range(0.95, 1.05);
    let c = spot(scene.anatomy, lung, observation.zone, radius + 0.008, dice);
    let seed = dice.noise_seed();
    let lobes = if mass { 0.13 } else { 0.05 };
    let centre = scene.anatomy.place(lung, c);
    let outline = Outline::from_rays(centre, |dx, dy| {
        radius * (1.0 + lobes * value(2.2 * dx, 2.2 * dy, seed))
    });
    let dense = if mass { 0.85 } else { 0.78 };
    let (low, high) = corners(centre, 1.3 * radius);
    let patch = Patch::region(&scene.frame, low, high, |p| {
        let (edge, r) = outline.towards(p);
        let q = r / edge.max(1e-4);
        dense * (1.0 - q * q * q * q).max(0.0).sqrt() * (1.0 - 0.35 * q * q)
    });
    if let Some(patch) = patch {
        scene.add_in_lung(index, lung, patch, 0.1);
    }
}
