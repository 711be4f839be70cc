//! The patient's build: outlines and levels of the abdomen in the patient's plane, drawn from the seed alone, so that
//! taking a finding away leaves the same patient.
//!
//! The plane's unit is a picture's width, 43 cm; `y` is 0 at the third lumbar vertebra, x grows to the patient's left.

use super::SALT;
use super::describe::{Description, Position};
use crate::phantom::canvas::Frame;
use crate::phantom::noise::Dice;
use crate::phantom::shapes::{Outline, Point, Table, quarter, smooth};
use hilum_text::Side;

/// Centimetres a unit of the plane.
pub(super) const UNIT_CM: f32 = 43.0;

/// -1 for the patient's right, which lies at negative x, 1 for the left.
pub(super) const SIDES: [f32; 2] = [-1.0, 1.0];

/// Which of [`SIDES`] a side means.
pub(super) fn sides_of(side: Option<Side>) -> &'static [usize] {
    match side {
        Some(Side::Right) => &[0],
        Some(Side::Left) => &[1],
        Some(Side::Bilateral) | None => &[0, 1],
    }
}

/// A kidney: centre, half its length and breadth, and how far its axis leans outwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kidney {
    pub(super) centre: Point,
    long: f32,
    broad: f32,
    lean: f32,
    sign: f32,
}

impl Kidney {
    /// A place in it: outwards and downwards, each -1 to 1 from edge to edge.
    pub(super) fn place(&self, out: f32, down: f32) -> Point {
        let (u, v) = (out * self.broad, down * self.long);
        [
            self.centre[0] + self.sign * (u + self.lean * v),
            self.centre[1] + v - self.lean * u,
        ]
    }

    /// Below 1 inside; a bean, hollow towards the spine.
    pub(super) fn at(&self, p: Point) -> f32 {
        let (dx, dy) = (self.sign * (p[0] - self.centre[0]), p[1] - self.centre[1]);
        let (u, v) = (
            (dx - self.lean * dy) / self.broad,
            (dy + self.lean * dx) / self.long,
        );
        let hilum = 0.5 * (1.0 - smooth(v.abs(), 0.0, 0.42)) * smooth(-u, 0.2, 1.0);
        (u * u + v * v).sqrt() + hilum
    }
}

/// The whole build of one patient on one radiograph.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    /// Distance between neighbouring lumbar vertebrae.
    pub(super) spacing: f32,
    /// How far the spine bends to one side.
    pub(super) bow: f32,
    /// The trunk's outer half-width by level.
    trunk: Table,
    /// Thickness of the fat under the skin of the flanks.
    pub(super) fat: f32,
    /// The greatest thickness of the trunk, in cm.
    pub(super) depth: f32,
    /// The tops of the diaphragm's domes, right and left.
    domes: [f32; 2],
    /// The inner half-width of the lower chest.
    pub(super) chest: f32,
    /// How clearly fat draws the edges of psoas, kidneys and liver, 0 to 1.
    pub(super) edges: f32,
    /// Weight of bone, lower in the old.
    pub(super) bone: f32,
    pub(super) kidneys: [Kidney; 2],
    /// The psoas muscles' half-breadth at their lower end.
    pub(super) psoas: f32,
    /// Where the liver's edge meets the right flank, and how steeply it rises.
    pub(super) liver: [f32; 2],
    pub(super) spleen: Outline,
    /// The gallbladder's bed.
    pub(super) gallbladder: Point,
    /// Colon from the caecum to the sigmoid, as points of a curve.
    pub(super) colon: Vec<Point>,
    /// The bladder's centre and half-axes.
    pub(super) bladder: [Point; 2],
    /// The pelvis's size against a usual one.
    pub(super) hips: f32,
    pub(super) texture: u32,
    frame: ([f32; 3], f32),
}

impl Anatomy {
    pub(super) fn new(description: &Description) -> Self {
        let mut dice = Dice::new(description.seed ^ SALT, 1);
        let upright = description.position == Position::Upright;
        let spacing = dice.bell(0.077, 0.090);
        let (waist, hip) = (dice.bell(0.39, 0.49), dice.bell(0.0, 0.05));
        let chest_out = dice.bell(-0.03, 0.02);
        let trunk = Table::sample(-0.7, 0.8, 256, |y| {
            waist + hip * smooth(y, 0.05, 0.4) + chest_out * smooth(-y, 0.05, 0.4)
        });
        let lift = if upright { 0.0 } else { -0.045 };
        let top = dice.bell(-0.465, -0.385) + lift;
        let domes = [top, top + dice.bell(-0.005, 0.045)];
        let kidneys = [0, 1].map(|side| {
            let sign = SIDES[side];
            let level = if side == 0 { -0.115 } else { -0.15 };
            let fall = if upright { 0.025 } else { 0.0 };
            Kidney {
                centre: [
                    sign * dice.bell(0.145, 0.175),
                    level + fall + dice.bell(-0.03, 0.03),
                ],
                long: dice.bell(0.105, 0.13),
                broad: dice.bell(0.050, 0.062),
                lean: dice.bell(0.12, 0.32),
                sign,
            }
        });
        let spleen_centre = [dice.bell(0.245, 0.275), domes[1] + dice.bell(0.13, 0.17)];
        let spleen = Outline::from_rays(spleen_centre, |dx, dy| {
            let (u, v) = (0.75 * dx + 0.66 * dy, 0.75 * dy - 0.66 * dx);
            1.0 / (u * u / 0.006_4 + v * v / 0.0132).sqrt()
        });
        let liver = [dice.bell(-0.06, 0.07), dice.bell(0.40, 0.62)];
        let colon = colon(&mut dice, upright);
        let gallbladder = [dice.bell(-0.17, -0.11), dice.bell(-0.105, -0.045)];
        let bladder = [
            [dice.bell(-0.015, 0.015), dice.bell(0.40, 0.44)],
            [dice.bell(0.06, 0.11), dice.bell(0.035, 0.065)],
        ];
        let turn = dice.bell(-0.045, 0.045);
        let zoom = dice.range(1.06, 1.24);
        let low = if upright {
            dice.bell(0.55, 0.63)
        } else {
            dice.bell(0.385, 0.46)
        };
        Self {
            spacing,
            bow: dice.bell(-0.03, 0.03),
            fat: dice.range(0.018, 0.065) + 0.25 * (waist - 0.42).max(0.0),
            depth: dice.bell(17.0, 27.0),
            domes,
            chest: 0.335 + 0.3 * (waist - 0.42),
            trunk,
            edges: dice.range(0.2, 1.0),
            bone: dice.range(0.75, 1.2),
            kidneys,
            psoas: dice.bell(0.105, 0.145),
            liver,
            spleen,
            gallbladder,
            colon,
            bladder,
            hips: dice.bell(0.95, 1.06),
            texture: dice.noise_seed(),
            frame: ([0.5 + dice.bell(-0.03, 0.03), low, zoom], turn),
        }
    }

    /// Where the patient's plane lies on a picture of this size.
    pub(super) fn frame(&self, size: usize) -> Frame {
        let ([x, y, zoom], turn) = self.frame;
        Frame {
            size,
            zoom,
            cos: libm::cosf(turn),
            sin: libm::sinf(turn),
            origin: [x, y],
        }
    }

    /// Where the spine runs at a level.
    pub(super) fn spine(&self, y: f32) -> f32 {
        self.bow * (libm::cosf(3.2 * (y + 0.1)) - 0.6)
    }

    /// The trunk's outer half-width at a level.
    pub(super) fn outer(&self, y: f32) -> f32 {
        self.trunk.at(y)
    }

    /// Thickness of the trunk along the beam, in cm; 0 in the open air.
    pub(super) fn body(&self, p: Point) -> f32 {
        let outer = self.outer(p[1]);
        let x = p[0].abs();
        if x >= outer {
            return 0.0;
        }
        let side = x / outer;
        let round = (1.0 - side * side * side * side).max(0.0).sqrt();
        let level = 0.86 + 0.14 * (1.0 - smooth(p[1].abs(), 0.05, 0.45));
        self.depth * level * (0.12 + 0.88 * round) * quarter((outer - x) / 0.06)
    }

    /// The level of the diaphragm at `x`.
    pub(super) fn diaphragm(&self, x: f32) -> f32 {
        let side = usize::from(x > 0.03);
        let out = x.abs() / self.chest;
        let top = self.domes[side];
        if out > 0.5 {
            let t = (out - 0.5) / 0.5;
            top + 0.115 * t * t * (0.5 + 0.5 * t)
        } else {
            let t = (0.5 - out) / 0.5;
            top + 0.05 * t * t
        }
    }

    /// Whether a lung, not the heart or the wall of the chest, lies at a point above the diaphragm, 0 to 1.
    pub(super) fn lung(&self, p: Point) -> f32 {
        let up = (self.diaphragm(p[0]) - p[1]).max(0.0);
        let x = p[0];
        // The heart lies on the middle, more to the left, and narrows upwards.
        let beside = if x > 0.03 {
            smooth(x - 0.135 + 0.30 * up, 0.0, 0.022)
        } else {
            smooth(-x - 0.050 - 0.10 * up * (1.0 - 4.0 * up), 0.0, 0.018)
        };
        let wall = self.chest - 0.05 * up - x.abs();
        beside * smooth(wall, 0.0, 0.02)
    }

    /// The level of the liver's lower edge at `x`.
    pub(super) fn liver_edge(&self, x: f32) -> f32 {
        let [low, steep] = self.liver;
        let t = x + 0.31;
        low - steep * t - 0.55 * (t - 0.25).max(0.0)
    }
}

/// The colon's course from the caecum to the sigmoid.
fn colon(dice: &mut Dice, upright: bool) -> Vec<Point> {
    let sag = dice.bell(-0.06, 0.10) + if upright { 0.05 } else { 0.0 };
    let flank = dice.bell(0.255, 0.30);
    let mut at = |x: f32, y: f32| [x + dice.bell(-0.032, 0.032), y + dice.bell(-0.03, 0.03)];
    let ascending = [
        at(-0.215, 0.275),
        at(-0.245, 0.19),
        at(-flank + 0.01, 0.08),
        at(-flank, -0.03),
        at(-flank + 0.03, -0.10),
    ];
    let transverse = [
        at(-0.17, -0.085 + 0.5 * sag),
        at(-0.06, -0.07 + sag),
        at(0.06, -0.085 + sag),
        at(0.17, -0.14 + 0.5 * sag),
        at(0.25, -0.235),
    ];
    let descending = [
        at(flank + 0.012, -0.20),
        at(flank + 0.015, -0.09),
        at(flank, 0.03),
        at(flank - 0.015, 0.14),
        at(flank - 0.05, 0.23),
    ];
    let sigmoid = [
        at(0.15, 0.285),
        at(0.07, 0.25),
        at(0.0, 0.285),
        at(0.02, 0.345),
        at(0.005, 0.385),
    ];
    [ascending, transverse, descending, sigmoid].concat()
}
