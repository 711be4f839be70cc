//! Stomach, colon and rectum: gas with its haustra, faeces, dilatation.

use super::anatomy::UNIT_CM;
use super::describe::{Kind, Position};
use super::scene::{Scene, across, beside, hollow, lengths, rounded};
use crate::phantom::Severity;
use crate::phantom::canvas::{Node, Patch, Profile};
use crate::phantom::noise::{Dice, value};
use crate::phantom::shapes::{Point, smooth, spline};

/// Points a span of the colon's curve.
const PER: usize = 10;

/// Where the colon's parts end, as shares of its points.
const ASCENDING: f32 = 0.21;
const TRANSVERSE: f32 = 0.5;
const DESCENDING: f32 = 0.78;

/// Draws stomach, colon and rectum.
pub(super) fn draw(scene: &mut Scene) {
    stomach(scene);
    colon(scene);
    rectum(scene);
}

/// Gas in the stomach: a bubble over fluid under the left dome of who stands, gas before the spine of who lies.
fn stomach(scene: &mut Scene) {
    let mut dice = scene.usual(20);
    let there = dice.chance(0.85);
    let half = [dice.range(0.045, 0.085), dice.range(0.05, 0.075)];
    let x = dice.range(0.115, 0.165);
    let fluid = dice.range(-0.2, 0.55);
    let gap = dice.range(0.010, 0.018);
    let depth = dice.range(3.5, 6.0);
    let broad = dice.range(0.026, 0.044);
    let reach = dice.range(0.45, 1.0);
    let far = dice.bell(-0.03, 0.03);
    if !there {
        return;
    }
    if scene.description.position == Position::Supine {
        let course = [
            [0.185, -0.315 + far],
            [0.165, -0.245 + far],
            [0.115, -0.190],
            [0.045, -0.155 - far],
            [-0.035, -0.150],
            [-0.075, -0.165],
        ];
        let line = spline(&course, 10, false);
        let last = (line.len() as f32 * reach) as usize;
        let (first, last) = (if reach > 0.7 { 12 } else { 0 }, last.max(20));
        let line = &line[first..last.min(line.len())];
        let along = lengths(line);
        let total = along.last().copied().unwrap_or(0.0);
        let tube = hollow(line, |k| {
            broad * (1.1 - 0.35 * along[k] / total) * (0.3 + 0.7 * rounded(along[k], 0.0, total, 0.05))
        });
        scene.tube(&tube, |_| 1.0);
        return;
    }
    // Free air lifts the diaphragm off the stomach.
    let free = super::air::thickness(scene.description, 1);
    let dome = scene.anatomy.diaphragm(x);
    let centre = [x, dome + gap + free + half[1]];
    let level = [x, centre[1] + fluid * half[1]];
    let frame = scene.frame;
    let anatomy = scene.anatomy;
    let corner = |s: f32| [centre[0] + 1.1 * s * half[0], centre[1] + 1.1 * s * half[1]];
    let bubble = Patch::region(&frame, corner(-1.0), corner(1.0), |p| {
        let (dx, dy) = ((p[0] - centre[0]) / half[0], (p[1] - centre[1]) / half[1]);
        let r = dx * dx + dy * dy * dy.abs().max(0.5);
        let dome = anatomy.diaphragm(p[0]);
        let over = smooth(scene.above(p, level), -0.0015, 0.0015);
        let under = smooth(p[1] - dome - free - 0.8 * gap, 0.0, 0.004);
        depth * (1.0 - r).max(0.0).sqrt() * over * under
    });
    if let Some(bubble) = bubble {
        scene.gas.raise(&bubble);
    }
}

/// What fills the colon along its course.
struct Filling {
    half: f32,
    gas: f32,
    stool: f32,
}

/// The colon's course with how wide it is, how much gas and how much stool it holds, node by node.
fn fillings(scene: &Scene, points: usize) -> Vec<Filling> {
    let mut dice = scene.usual(21);
    let base = dice.range(0.021, 0.040);
    let gassy = dice.range(-0.55, 0.5);
    let usual_stool = dice.range(-0.1, 0.75);
    let texture = dice.noise_seed();
    let dilated = scene.description.get(Kind::Colon);
    let loaded = scene.description.get(Kind::FaecalLoading);
    let blocked = scene
        .description
        .get(Kind::SmallBowel)
        .is_some_and(|o| o.severity > Severity::Small)
        && dilated.is_none();
    let mut own = dilated.or(loaded).map(|o| scene.dice(o));
    let more = own.as_mut().map_or(0.0, Dice::unit);
    let (low_end, high_end) = own.as_mut().map_or((0.0, 1.0), |d| (d.unit(), d.unit()));
    (0..points)
        .map(|k| {
            let u = k as f32 / (points - 1) as f32;
            let part = if u < ASCENDING {
                1.3 - 1.2 * u
            } else if u < TRANSVERSE {
                1.1
            } else if u < DESCENDING {
                0.78
            } else {
                0.88
            };
            let wave = value(u * 11.0, 0.5, texture);
            let other = value(u * 13.0, 7.5, texture);
            let mut half = base * part * (1.0 + 0.30 * wave + 0.10 * other);
            let threshold = if blocked { 0.75 } else { -gassy };
            let mut gas = smooth(wave, threshold, threshold + 0.25);
            let early = 1.0 - smooth(u, 0.2, 0.34);
            let mut stool = usual_stool * early * smooth(other, -0.3, 0.3);
            if let Some(observation) = dilated {
                let wide = match observation.severity {
                    Severity::Small => 0.048 + 0.005 * more,
                    Severity::Moderate => 0.058 + 0.006 * more,
                    Severity::Large => 0.069 + 0.009 * more,
                };
                half = wide * part.max(0.82) * (1.0 + 0.09 * wave);
                let end = 0.70 + 0.25 * high_end;
                let start = 0.12 * low_end;
                gas = smooth(u, start, start + 0.02) * (1.0 - smooth(u, end, end + 0.03));
                stool *= 0.3;
            }
            if let Some(observation) = loaded {
                let (wide, share) = match observation.severity {
                    Severity::Small => (0.029, 0.62),
                    Severity::Moderate => (0.034, 0.85),
                    Severity::Large => (0.041, 1.0),
                };
                half = (wide + 0.004 * more) * part.max(0.9) * (1.0 + 0.10 * other);
                let reach = smooth(other, 0.95 - 1.9 * share, 1.15 - 1.9 * share);
                stool = reach.max(early * 0.9);
                gas *= 1.0 - stool;
            }
            Filling { half, gas, stool }
        })
        .collect()
}

/// Stretches of a line where `some` is above one half.
fn stretches(count: usize, some: impl Fn(usize) -> f32) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut open = None;
    for k in 0..=count {
        let there = k < count && some(k) > 0.5;
        match (there, open) {
            (true, None) => open = Some(k),
            (false, Some(from)) => {
                if k - from >= 3 {
                    all.push((from, k));
                }
                open = None;
            }
            _ => {}
        }
    }
    all
}

fn colon(scene: &mut Scene) {
    let line = spline(&scene.anatomy.colon.clone(), PER, false);
    let filling = fillings(scene, line.len());
    let along = lengths(&line);
    let mut dice = scene.usual(22);
    let (period, phase) = (dice.range(0.058, 0.075), dice.unit());
    let upright = scene.description.position == Position::Upright;
    // Sacs between the folds, each as long as the bowel is wide at least.
    let turns: Vec<f32> = {
        let mut sum = phase;
        let mut all = vec![sum];
        for k in 1..line.len() {
            let long = period.max(1.05 * filling[k].half);
            sum += (along[k] - along[k - 1]) / long;
            all.push(sum);
        }
        all
    };
    for (from, to) in stretches(line.len(), |k| filling[k].gas) {
        let (start, end) = (along[from], along[to - 1]);
        let tube: Vec<Node> = hollow(&line[from..to], |i| {
            let k = from + i;
            let cycle = turns[k] - turns[k].floor();
            let sac = 0.76 + 0.24 * libm::sinf(core::f32::consts::PI * cycle).max(0.0).sqrt();
            let ends = rounded(along[k], start - 0.004, end + 0.004, filling[k].half.min(0.03));
            filling[k].half * sac * (0.35 + 0.65 * ends)
        });
        let level = levels(&line[from..to], upright && filling[from].half > 0.045, &mut dice);
        let above: Vec<Point> = level.into_iter().collect();
        let keep = |p: Point| match above.first() {
            Some(level) => smooth(scene.above(p, *level), -0.0015, 0.0015),
            None => 1.0,
        };
        let mut patch = Patch::stroke(&scene.frame, &tube, Profile::Rod);
        if let Some(patch) = patch.take() {
            let frame = scene.frame;
            let kept = patch.times(|x, y| keep(frame.point(x, y)));
            scene.gas.raise(&kept);
        }
        for k in from + 2..to.saturating_sub(2) {
            if turns[k].floor() > turns[k - 1].floor() {
                // A fold reaches in from one side, its neighbour from the other; few meet.
                let way = across(&line, k);
                let odd = (turns[k].floor() as i64).rem_euclid(2) == 0;
                let half = filling[k].half;
                for side in [-1.0, 1.0] {
                    let deep = if (side > 0.0) == odd { 0.35 } else { 0.68 };
                    let (a, b) = (
                        beside(line[k], way, side * half),
                        beside(line[k], way, side * half * deep),
                    );
                    scene.fold(a, b, 0.0055, 0.019 * half * 2.0 * UNIT_CM);
                }
            }
        }
    }
    for (from, to) in stretches(line.len(), |k| filling[k].stool) {
        let (start, end) = (along[from], along[to - 1]);
        let tube = hollow(&line[from..to], |i| {
            let k = from + i;
            filling[k].half * (0.5 + 0.5 * rounded(along[k], start - 0.01, end + 0.01, 0.03))
        });
        if let Some(patch) = Patch::stroke(&scene.frame, &tube, Profile::Rod) {
            scene.stool.raise(&patch);
        }
    }
}

/// A dilated colon of who stands holds fluid: the level below which it does, if any.
fn levels(line: &[Point], wanted: bool, dice: &mut Dice) -> Option<Point> {
    let share = dice.range(0.5, 0.8);
    if !wanted {
        return None;
    }
    let low = line.iter().map(|p| p[1]).fold(f32::NEG_INFINITY, f32::max);
    let high = line.iter().map(|p| p[1]).fold(f32::INFINITY, f32::min);
    Some([0.0, high + share * (low - high)])
}

/// Gas or faeces in the rectum, behind the bladder.
fn rectum(scene: &mut Scene) {
    let mut dice = scene.usual(23);
    let there = dice.chance(0.6);
    let centre = [dice.bell(-0.02, 0.02), dice.bell(0.405, 0.44)];
    let half = dice.range(0.014, 0.026);
    let dilated = scene.description.get(Kind::Colon).map(|o| o.severity);
    let loaded = scene.description.get(Kind::FaecalLoading).map(|o| o.severity);
    let blocked = dilated == Some(Severity::Large)
        || (dilated.is_none()
            && scene
                .description
                .get(Kind::SmallBowel)
                .is_some_and(|o| o.severity > Severity::Small));
    let line = [
        [centre[0] - 0.008, centre[1] - 0.045],
        [centre[0] + 0.006, centre[1] - 0.01],
        [centre[0], centre[1] + 0.035],
    ];
    let line = spline(&line, 8, false);
    let total = line.len() as f32 - 1.0;
    let shape = move |k: usize, half: f32| {
        let t = 2.0 * k as f32 / total - 1.0;
        half * (1.0 - 0.75 * t * t)
    };
    match loaded {
        Some(Severity::Small) | None => {
            if there && !blocked {
                let tube = hollow(&line, |k| shape(k, half));
                scene.tube(&tube, |_| 1.0);
            }
        }
        Some(severity) => {
            let wide = if severity == Severity::Large { 0.062 } else { 0.048 };
            let tube = hollow(&line, |k| shape(k, wide));
            if let Some(patch) = Patch::stroke(&scene.frame, &tube, Profile::Rod) {
                scene.stool.raise(&patch);
            }
        }
    }
}
