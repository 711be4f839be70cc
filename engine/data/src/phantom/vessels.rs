//! The lungs' branching vessels and the airways.

use super::anatomy::{Anatomy, LEFT, RIGHT};
use super::canvas::{Frame, Layer, Node, Patch, Profile};
use super::describe::{Kind, Observation, Severity};
use super::noise::Dice;
use super::shapes::{Point, smooth};

/// Attenuation of blood over aerated lung for a vessel as wide as the whole picture.
const BLOOD: f32 = 17.0;

struct Twig {
    at: Point,
    angle: f32,
    half: f32,
    steps: usize,
}

/// Draws both vascular trees into a layer that holds them apart from the rest, so that disease can hide them.
pub(super) fn draw(
    vessel: &mut Layer,
    frame: &Frame,
    anatomy: &Anatomy,
    observations: &[Observation],
    seed: u64,
) {
    let congestion = observations
        .iter()
        .find(|o| o.kind == Kind::Edema)
        .map_or(0.0, |o| match o.severity {
            Severity::Small => 0.45,
            Severity::Moderate => 0.7,
            Severity::Large => 1.0,
        });
    for lung in [RIGHT, LEFT] {
        let mut dice = Dice::new(seed, 3 + lung as u64);
        tree(vessel, frame, anatomy, lung, congestion, &mut dice);
    }
}

fn tree(vessel: &mut Layer, frame: &Frame, anatomy: &Anatomy, lung: usize, congestion: f32, dice: &mut Dice) {
    let side = &anatomy.lungs[lung];
    let root = [
        side.border.at(side.hilum()) + 0.008,
        side.hilum() - if lung == LEFT { 0.022 } else { 0.0 },
    ];
    let rich = dice.range(0.72, 1.3);
    // Angles from straight up (-pi/2) over outwards (0) to down and in.
    const TRUNKS: [(f32, f32); 9] = [
        (-1.75, 0.0052),
        (-1.35, 0.0072),
        (-0.95, 0.0075),
        (-0.45, 0.0066),
        (0.05, 0.0072),
        (0.5, 0.0088),
        (0.9, 0.0105),
        (1.25, 0.0125),
        (1.6, 0.0105),
    ];
    for (angle, half) in TRUNKS {
        let upper = smooth(-angle, 0.0, 0.8);
        // Congestion opens the upper vessels, which are narrow in one who stands.
        let half = half * rich * (1.0 + congestion * (0.25 + 0.75 * upper));
        let s = libm::sinf(angle);
        let at = [
            root[0] + dice.range(-0.012, 0.016),
            root[1] + 0.062 * s * s * s + dice.range(-0.014, 0.014),
        ];
        // The arteries at the root itself: short, thick and soft.
        let stub = [at, [at[0] + 0.022 * libm::cosf(angle), at[1] + 0.03 * s]].map(|p| Node {
            at: anatomy.place(lung, p),
            half: 1.5 * half,
            weight: 0.13,
        });
        if let Some(patch) = Patch::stroke(frame, &stub, Profile::Soft) {
            vessel.add(&patch, 1.0);
        }
        let trunk = Twig {
            at,
            angle: angle + dice.range(-0.2, 0.2),
            half,
            steps: 0,
        };
        grow(vessel, frame, anatomy, lung, trunk, dice);
    }
}

/// Lets one trunk branch until its twigs are too thin to be seen or meet the pleura.
fn grow(vessel: &mut Layer, frame: &Frame, anatomy: &Anatomy, lung: usize, trunk: Twig, dice: &mut Dice) {
    let side = &anatomy.lungs[lung];
    let mut open = vec![trunk];
    let mut budget = 150;
    while let Some(mut twig) = open.pop() {
        let mut line = vec![node(anatomy, lung, &twig)];
        while budget > 0 {
            budget -= 1;
            let stride = 0.015 + 0.9 * twig.half;
            let bend = dice.range(-0.24, 0.24);
            twig.angle += bend;
            twig.at = [
                twig.at[0] + stride * libm::cosf(twig.angle),
                twig.at[1] + stride * libm::sinf(twig.angle),
            ];
            twig.half *= 0.925;
            twig.steps += 1;
            let depth = side
                .pleura
                .depth(twig.at)
                .min(side.wall.at(twig.at[1]) - twig.at[0]);
            let too_low = twig.at[1] > side.diaphragm(twig.at[0]) + 0.05;
            if twig.half < 0.00085 || depth < 0.006 || too_low {
                break;
            }
            line.push(node(anatomy, lung, &twig));
            if twig.steps > 0 && dice.chance(0.47) {
                let child = twig.half * dice.range(0.5, 0.78);
                if child > 0.0008 {
                    let angle = twig.angle + dice.sign() * dice.range(0.35, 0.85);
                    open.push(Twig {
                        at: twig.at,
                        angle,
                        half: child,
                        steps: 0,
                    });
                }
            }
        }
        if let Some(patch) = Patch::stroke(frame, &line, Profile::Rod) {
            vessel.add(&patch, 1.0);
        }
    }
}

fn node(anatomy: &Anatomy, lung: usize, twig: &Twig) -> Node {
    Node {
        at: anatomy.place(lung, twig.at),
        half: twig.half,
        weight: BLOOD * (2.0 * twig.half).min(0.016),
    }
}

/// Takes the air of the trachea and the main bronchi out of the mediastinum.
pub(super) fn airways(soft: &mut Layer, frame: &Frame, anatomy: &Anatomy, seed: u64) {
    let mut dice = Dice::new(seed, 5);
    let lean = 0.006 + 0.4 * anatomy.turn;
    let half = dice.range(0.014, 0.019);
    let fork = [lean, anatomy.carina];
    let trachea = [
        Node {
            at: [0.0, -0.7],
            half,
            weight: 0.5,
        },
        Node {
            at: [0.3 * lean, anatomy.carina - 0.15],
            half,
            weight: 0.5,
        },
        Node {
            at: fork,
            half: half * 1.05,
            weight: 0.24,
        },
    ];
    let main = |x: f32, y: f32| {
        [
            Node {
                at: fork,
                half: 0.8 * half,
                weight: 0.2,
            },
            Node {
                at: [x, fork[1] + y],
                half: 0.65 * half,
                weight: 0.14,
            },
        ]
    };
    for line in [&trachea[..], &main(-0.06, 0.055), &main(0.082, 0.06)] {
        if let Some(patch) = Patch::stroke(frame, line, Profile::Rod) {
            soft.add(&patch, -1.0);
        }
    }
}
