//! Air outside the bowel, and the loops of small bowel: a few specks of gas in the healthy, stacked tubes with
//! valvulae in who lies with an obstruction, fluid levels in who stands.

use super::SALT;
use super::anatomy::{SIDES, UNIT_CM, sides_of};
use super::describe::{Description, Kind, Position};
use super::scene::{Scene, across, beside, hollow, lengths, rounded};
use crate::phantom::Severity;
use crate::phantom::canvas::Patch;
use crate::phantom::noise::Dice;
use crate::phantom::shapes::{Point, smooth, spline};

/// Half the thickness of the diaphragm, which stands alone between lung and free air.
const DIAPHRAGM: f32 = 0.0052;

/// How thick the free air below a dome is, in the plane's units: side 0 is the patient's right.
pub(super) fn thickness(description: &Description, side: usize) -> f32 {
    let Some(observation) = description.get(Kind::FreeAir) else {
        return 0.0;
    };
    if !sides_of(observation.side).contains(&side) {
        return 0.0;
    }
    let mut dice = Dice::new(description.seed ^ SALT, 40 + side as u64);
    match observation.severity {
        Severity::Small => dice.range(0.010, 0.015),
        Severity::Moderate => dice.range(0.021, 0.030),
        Severity::Large => dice.range(0.042, 0.058),
    }
}

/// Crescents of free air below the domes.
pub(super) fn free(scene: &mut Scene) {
    let Some(observation) = scene.description.get(Kind::FreeAir) else {
        return;
    };
    let mut dice = scene.dice(observation);
    for side in sides_of(observation.side) {
        let thick = thickness(scene.description, *side);
        let centre = SIDES[*side] * dice.range(0.16, 0.19);
        let reach = dice.range(0.085, 0.105) + 0.9 * thick;
        let depth = dice.range(5.0, 8.0);
        let anatomy = scene.anatomy;
        let top = anatomy.diaphragm(centre);
        let crescent = Patch::region(
            &scene.frame,
            [centre - 1.2 * reach, top - 0.02],
            [centre + 1.2 * reach, top + 0.22],
            |p| {
                let level = anatomy.diaphragm(p[0]);
                let t = (p[0] - centre) / reach;
                let here = thick * (1.0 - t * t);
                let below = p[1] - level - DIAPHRAGM;
                if here <= 0.0 || anatomy.body(p) <= 0.0 {
                    return 0.0;
                }
                let inside =
                    smooth(below, -0.001, 0.0015) * (1.0 - smooth(below, here - 0.0015, here + 0.001));
                depth * inside * smooth(here, 0.0, 0.006) * smooth(p[0].abs(), 0.045, 0.085)
            },
        );
        if let Some(crescent) = crescent {
            scene.gas.raise(&crescent);
        }
    }
}

/// The small bowel's gas.
pub(super) fn small_bowel(scene: &mut Scene) {
    specks(scene);
    let Some(observation) = scene.description.get(Kind::SmallBowel) else {
        return;
    };
    let mut dice = scene.dice(observation);
    let (half, count) = match observation.severity {
        Severity::Small => (dice.range(0.026, 0.030), 3),
        Severity::Moderate => (dice.range(0.031, 0.036), 5),
        Severity::Large => (dice.range(0.037, 0.044), 7),
    };
    match scene.description.position {
        Position::Supine => stacked(scene, &mut dice, half, count),
        Position::Upright => arches(scene, &mut dice, half, count),
    }
}

/// A few short pieces of gas, as anybody has.
fn specks(scene: &mut Scene) {
    let mut dice = scene.usual(30);
    let few = dice.pick(&[0.15, 0.2, 0.2, 0.2, 0.15, 0.1]);
    // Some have swallowed much air: many loops, none of them wide.
    let gassy = dice.chance(0.28);
    let count = if gassy { 7 + 2 * few } else { few };
    for _ in 0..count {
        let at = [dice.bell(-0.2, 0.24), dice.bell(-0.06, 0.34)];
        let (angle, bend) = (dice.range(0.0, core::f32::consts::TAU), dice.range(-0.9, 0.9));
        let (long, half) = (dice.range(0.03, 0.10), dice.range(0.009, 0.017));
        let long = if gassy { 1.5 * long } else { long };
        let step = |t: f32| {
            let turn = angle + bend * t;
            [
                at[0] + long * t * libm::cosf(turn),
                at[1] + long * t * libm::sinf(turn),
            ]
        };
        let line = spline(&[step(-0.5), step(-0.15), step(0.2), step(0.5)], 6, false);
        let along = lengths(&line);
        let total = along.last().copied().unwrap_or(0.0);
        let tube = hollow(&line, |k| {
            half * (0.4 + 0.6 * rounded(along[k], 0.0, total, half))
        });
        scene.tube(&tube, |_| 0.9);
    }
}

/// Folds that cross the whole bowel, close together; where it bends they keep to the outer side, so that they do
/// not meet.
fn valvulae(scene: &mut Scene, line: &[Point], half: f32, dice: &mut Dice) {
    let along = lengths(line);
    let pitch = dice.range(0.0125, 0.0165);
    let mut next = pitch;
    for k in 2..line.len().saturating_sub(2) {
        if along[k] < next {
            continue;
        }
        next = along[k] + pitch * dice.range(0.8, 1.2);
        let way = across(line, k);
        let (before, after) = (across(line, k - 2), across(line, k + 2));
        // How much the line turns here, and to which side.
        let turn = before[0] * after[1] - before[1] * after[0];
        let bend = half * turn / (along[k + 2] - along[k - 2]).max(1e-4);
        let reach = |towards: f32| 1.0 - 1.1 * (bend * towards).clamp(0.0, 0.85);
        let lean = dice.range(-0.06, 0.06) * half;
        let end = beside(line[k], way, reach(1.0) * half);
        let far = beside(line[k], way, -reach(-1.0) * half);
        let end = beside(end, [way[1], -way[0]], lean);
        scene.fold(end, far, 0.0036, 0.028 * half * 2.0 * UNIT_CM);
    }
}

/// Loops of who lies: one long tube to and fro across the middle.
fn stacked(scene: &mut Scene, dice: &mut Dice, half: f32, rows: usize) {
    let pitch = 2.08 * half;
    let tilt = dice.range(0.05, 0.45);
    let centre = [dice.bell(-0.09, 0.13), dice.bell(-0.02, 0.18)];
    let turn = |p: Point| {
        let (s, c) = (libm::sinf(tilt), libm::cosf(tilt));
        [centre[0] + c * p[0] - s * p[1], centre[1] + s * p[0] + c * p[1]]
    };
    let mut points = Vec::new();
    let top = -0.5 * pitch * (rows - 1) as f32;
    for row in 0..rows {
        let y = top + pitch * row as f32;
        let far = dice.range(0.085, 0.15) * (1.0 - 0.25 * (y / 0.2).abs().min(1.0));
        let near = dice.range(0.085, 0.15) * (1.0 - 0.25 * (y / 0.2).abs().min(1.0));
        let bow = dice.range(-0.010, 0.010);
        let mut here = [[-near, y], [-0.4 * near, y + bow], [0.4 * far, y - bow], [far, y]];
        if row % 2 == 1 {
            here.reverse();
        }
        points.extend(here.map(turn));
    }
    let line = spline(&points, 14, false);
    let along = lengths(&line);
    let total = along.last().copied().unwrap_or(0.0);
    // Some of it holds fluid and is not seen.
    let gaps: Vec<f32> = (0..rows / 2).map(|_| dice.range(0.1, 0.9) * total).collect();
    let seen = |at: f32| gaps.iter().all(|gap| (at - gap).abs() > 0.022);
    let mut from = 0;
    while from < line.len() {
        let mut to = from;
        while to < line.len() && seen(along[to]) {
            to += 1;
        }
        if to > from + 4 {
            let piece = &line[from..to];
            let (start, end) = (along[from], along[to - 1]);
            let tube = hollow(piece, |i| {
                half * (0.5 + 0.5 * rounded(along[from + i], start - 0.003, end + 0.003, half))
            });
            scene.tube(&tube, |_| 1.0);
            valvulae(scene, piece, half, dice);
        }
        from = to + 1;
    }
}

/// Loops of who stands: arches of gas over fluid, at different heights in their two limbs.
fn arches(scene: &mut Scene, dice: &mut Dice, half: f32, count: usize) {
    // A grid of places, the middle ones first.
    const PLACES: [Point; 9] = [
        [0.02, 0.08],
        [0.11, -0.02],
        [-0.09, 0.15],
        [0.12, 0.17],
        [-0.08, 0.01],
        [0.02, 0.24],
        [0.02, -0.06],
        [0.17, 0.08],
        [-0.15, 0.09],
    ];
    let all = [dice.range(-0.05, 0.05), dice.range(-0.05, 0.04)];
    for place in PLACES.iter().take(count) {
        let at = [
            place[0] + all[0] + dice.range(-0.025, 0.025),
            place[1] + all[1] + dice.range(-0.025, 0.025),
        ];
        let apart = dice.range(1.05, 1.9) * half;
        let rise = dice.range(1.0, 2.2) * half;
        let drops = [dice.range(-0.4, 0.8) * half, dice.range(-0.4, 0.8) * half];
        let wide = dice.range(0.9, 1.9) * half;
        let pool = dice.chance(0.4);
        let lower = |i: usize| if pool { 0.15 * half } else { drops[i] };
        let levels = [0, 1].map(|i| [at[0] + SIDES[i] * apart, at[1] + lower(i)]);
        let course = if pool {
            // Gas spread wide over one level.
            vec![
                [at[0] - wide, at[1]],
                [at[0], at[1] - 0.12 * half],
                [at[0] + wide, at[1]],
            ]
        } else {
            vec![
                [at[0] - 1.05 * apart, at[1] + 2.2 * half],
                [at[0] - 1.05 * apart, at[1]],
                [at[0] - 0.72 * apart, at[1] - 0.75 * rise],
                [at[0], at[1] - rise],
                [at[0] + 0.72 * apart, at[1] - 0.75 * rise],
                [at[0] + 1.05 * apart, at[1]],
                [at[0] + 1.05 * apart, at[1] + 2.2 * half],
            ]
        };
        let line = spline(&course, if pool { 16 } else { 10 }, false);
        let tube = hollow(&line, |_| half);
        let patch = Patch::stroke(&scene.frame, &tube, crate::phantom::canvas::Profile::Rod);
        if let Some(patch) = patch {
            let frame = scene.frame;
            let kept = patch.times(|x, y| {
                let p = frame.point(x, y);
                let level = levels[usize::from(p[0] > at[0])];
                smooth(scene.above(p, level), -0.0013, 0.0013)
            });
            scene.gas.raise(&kept);
        }
        valvulae(scene, &line, half, dice);
    }
}
