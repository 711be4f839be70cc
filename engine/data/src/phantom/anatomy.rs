//! The patient's build: outlines and levels of the chest in the patient's plane, drawn from the seed and bent
//! by the findings that change a shape (an enlarged heart, a wide mediastinum, a raised diaphragm).

use super::describe::{Description, Kind, Severity, View};
use super::expose::Institution;
use super::noise::Dice;
use super::shapes::{Outline, Point, Table, bell, quarter, smooth};
use hilum_text::Side;

/// The two lungs' places in arrays: the patient's right (the picture's left) and left.
pub(super) const RIGHT: usize = 0;
/// See [`RIGHT`].
pub(super) const LEFT: usize = 1;

/// Which lungs a side means.
pub(super) fn lungs_of(side: Option<Side>) -> &'static [usize] {
    match side {
        Some(Side::Right) => &[RIGHT],
        Some(Side::Left) => &[LEFT],
        Some(Side::Bilateral) | None => &[RIGHT, LEFT],
    }
}

/// -1 for the right lung, which lies at negative x, 1 for the left.
pub(super) fn sign(lung: usize) -> f32 {
    if lung == RIGHT { -1.0 } else { 1.0 }
}

/// One lung, in coordinates `X` (distance from the midline, positive outwards) and `y`.
#[derive(Clone, Debug)]
pub(super) struct Lung {
    /// The level of the apex.
    pub(super) apex: f32,
    /// The top of the diaphragm's dome.
    pub(super) dome: f32,
    /// The bottom of the costophrenic angle.
    pub(super) angle: f32,
    /// The inner chest wall's greatest half-width.
    pub(super) half: f32,
    /// The inner chest wall: `X` by `y`.
    pub(super) wall: Table,
    /// The mediastinal border: `X` by `y`.
    pub(super) border: Table,
    /// The parietal pleura around the lung, in `(X, y)`, open below.
    pub(super) pleura: Outline,
}

impl Lung {
    /// The level of the diaphragm at a distance from the midline.
    pub(super) fn diaphragm(&self, x: f32) -> f32 {
        let top = 0.46 * self.half;
        if x > top {
            let t = (x - top) / (self.half - top);
            self.dome + (self.angle - self.dome) * t * t * (0.35 + 0.65 * t)
        } else {
            let t = (top - x) / top;
            self.dome + 0.045 * t * t
        }
    }

    /// The level of the hilum.
    pub(super) fn hilum(&self) -> f32 {
        self.apex + 0.5 * (self.dome - self.apex)
    }
}

/// The whole build of one patient on one radiograph.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    pub(super) view: View,
    pub(super) lungs: [Lung; 2],
    /// In picture coordinates of the plane: x grows to the picture's right.
    pub(super) heart: Outline,
    pub(super) heart_depth: f32,
    /// Shift of spine and mediastinum against each other, from a turned patient.
    pub(super) turn: f32,
    /// The greatest thickness of the trunk, in cm.
    pub(super) depth: f32,
    /// The trunk's outer half-width by level.
    pub(super) trunk: Table,
    /// The level of the shoulder's skin by distance from the midline.
    pub(super) shoulder: Table,
    /// Distance between neighbouring vertebrae.
    pub(super) spacing: f32,
    /// The level of the first vertebra that carries a rib.
    pub(super) first_rib: f32,
    /// Weight of bone, lower in the old.
    pub(super) bone: f32,
    /// Size of breasts, 0 for none.
    pub(super) breast: f32,
    pub(super) breast_level: f32,
    /// The level at which the trachea divides.
    pub(super) carina: f32,
    pub(super) texture: u32,
}

impl Anatomy {
    pub(super) fn new(description: &Description, institution: Institution) -> Self {
        let mut dice = Dice::new(description.seed, 1);
        let ap = description.view == View::Ap;
        let severity = |kind: Kind| {
            description
                .observations
                .iter()
                .find(|o| o.kind == kind)
                .map(|o| o.severity)
        };

        // The second institution's patients are heavier and shorter of breath: broader, deeper, with smaller
        // lungs.
        let (broader, deeper, shorter) = match institution {
            Institution::First => (0.0, 1.0, 1.0),
            Institution::Second => (0.025, 1.1, 0.94),
        };
        let half = dice.bell(0.31, 0.395);
        let height = shorter
            * if ap {
                dice.bell(0.46, 0.60)
            } else {
                dice.bell(0.54, 0.69)
            };
        let apex = -0.5 * height + dice.range(-0.085, -0.035);
        let dome = apex + height;
        let turn = dice.bell(-0.035, 0.035);
        let right_higher = dice.bell(0.0, 0.05);
        let mut lungs_dome = [dome - 0.5 * right_higher, dome + 0.5 * right_higher];
        // Every draw is made whether or not it is used: taking a finding away must leave the same patient.
        let wide_draw = dice.unit();
        let wide = severity(Kind::WideMediastinum).map_or(0.0, |s| match s {
            Severity::Small => 0.036 + 0.006 * wide_draw,
            Severity::Moderate => 0.048 + 0.010 * wide_draw,
            Severity::Large => 0.064 + 0.016 * wide_draw,
        });
        let lopsided = dice.range(0.75, 1.25);
        for observation in description
            .observations
            .iter()
            .filter(|o| o.kind == Kind::Atelectasis)
        {
            let rise = match observation.severity {
                Severity::Small => 0.012,
                Severity::Moderate => 0.028,
                Severity::Large => 0.045,
            };
            for lung in lungs_of(observation.side) {
                lungs_dome[*lung] -= rise;
            }
        }
        let drop = dice.range(0.085, 0.125);
        let apex_x = dice.range(0.40, 0.46);
        let lungs = [RIGHT, LEFT].map(|lung| {
            let own_half = half * dice.range(0.97, 1.03) + sign(lung) * -0.35 * turn;
            let own_apex = apex + dice.range(-0.006, 0.006);
            let dome = lungs_dome[lung];
            let hilum = own_apex + 0.5 * (dome - own_apex);
            let medial = dice.range(0.044, 0.054) + sign(lung) * turn * 0.5;
            let bulges: [(f32, f32, f32); 3] = if lung == LEFT {
                // Aortic knob, pulmonary trunk, and the descending aorta's edge.
                [
                    (dice.range(0.018, 0.034), hilum - 0.115, 0.030),
                    (0.016, hilum - 0.02, 0.03),
                    (0.008, hilum + 0.1, 0.1),
                ]
            } else {
                // Superior vena cava, azygos arch, right atrium's shoulder.
                [
                    (dice.range(0.004, 0.014), hilum - 0.14, 0.07),
                    (0.006, hilum - 0.07, 0.016),
                    (0.008, hilum + 0.06, 0.06),
                ]
            };
            let widening = wide * if lung == RIGHT { lopsided } else { 2.0 - lopsided };
            let border = Table::sample(-0.55, 0.55, 256, |y| {
                let bulged: f32 = bulges
                    .iter()
                    .map(|(size, at, width)| size * bell(y, *at, *width))
                    .sum();
                medial + bulged + widening * (1.0 - smooth((y - hilum + 0.125).abs(), 0.04, 0.15))
            });
            let x0 = apex_x * own_half;
            let wall_at = move |y: f32| {
                let t = ((y - own_apex) / (0.55 * height)).clamp(0.0, 1.0);
                // A superellipse quarter: steep at the apex, upright at the side.
                let u = 1.0 - t;
                let rise = libm::powf((1.0 - libm::powf(u, 2.1)).max(0.0), 0.62);
                let below = ((y - own_apex) / height - 0.75).max(0.0);
                x0 + (own_half - x0) * rise - 0.06 * below * own_half
            };
            let wall = Table::sample(-0.55, 0.55, 512, wall_at);
            let inner = move |y: f32| {
                let t = ((y - own_apex) / (0.12 * height)).clamp(0.0, 1.0);
                x0 - (x0 - medial) * quarter(t)
            };
            let centre = [0.52 * own_half, own_apex + 0.45 * height];
            let pleura = Outline::from_rays(centre, |dx, dy| {
                let mut r = 0.0;
                while r < 0.9 {
                    let (x, y) = (centre[0] + r * dx, centre[1] + r * dy);
                    if y < own_apex
                        || x > wall_at(y)
                        || x < inner(y).min(0.03) - 0.2
                        || (y < own_apex + 0.12 * height && x < inner(y))
                    {
                        break;
                    }
                    r += 0.002;
                }
                r
            });
            Lung {
                apex: own_apex,
                dome,
                angle: dome + drop,
                half: own_half,
                wall,
                border,
                pleura,
            }
        });

        // Cardiothoracic ratio: a clear gap between the normal (below 0.50, or 0.54 front to back) and the
        // enlarged.
        let ctr_draw = dice.bell(0.0, 1.0);
        let portable = if ap { 0.03 } else { 0.0 };
        let ctr = match severity(Kind::Cardiomegaly) {
            None => 0.38 + 0.105 * ctr_draw + 1.3 * portable,
            Some(Severity::Small) => 0.575 + 0.03 * ctr_draw + portable,
            Some(Severity::Moderate) => 0.61 + 0.05 * ctr_draw + portable,
            Some(Severity::Large) => 0.67 + 0.06 * ctr_draw + portable,
        };
        let floor = 0.5 * (lungs_dome[RIGHT].max(dome - 0.02) + lungs_dome[LEFT].max(dome));
        let heart = heart(&mut dice, &lungs, ctr, turn, floor);

        let wall = dice.range(0.05, 0.12) + broader;
        let depth = deeper * dice.bell(17.0, 31.0) + 40.0 * (wall - 0.08);
        let arms = dice.range(0.05, 0.2);
        let outer = half + wall;
        let trunk = Table::sample(-0.7, 0.7, 256, |y| {
            outer + arms * smooth(-y, -0.05, 0.18) + 0.4 * smooth(-y, 0.1, 0.27) + 0.03 * smooth(y, 0.1, 0.5)
        });
        let neck = dice.range(0.085, 0.12);
        let slope = dice.range(0.22, 0.42);
        let shoulder_top = apex - dice.range(0.085, 0.125);
        let shoulder = Table::sample(0.0, 0.9, 256, |x| {
            let beyond = (x - neck).max(0.0);
            let skin = shoulder_top + slope * beyond + 0.5 * (beyond - 0.3).max(0.0);
            // The neck rises steeply out of the shoulders.
            skin - 0.55 * (1.0 - smooth(x, neck - 0.03, neck + 0.02))
                - 0.10 * (1.0 - smooth(x, neck, neck + 0.12))
        });
        let spacing = height * dice.range(0.104, 0.114);
        let (female, breast) = (dice.chance(0.5), dice.range(0.25, 1.0));
        Self {
            view: description.view,
            heart,
            heart_depth: dice.range(8.5, 12.0),
            turn,
            depth,
            trunk,
            shoulder,
            spacing,
            first_rib: apex + dice.range(0.015, 0.035),
            bone: dice.range(0.75, 1.2),
            breast: if female { breast } else { 0.0 },
            breast_level: dome - dice.range(-0.05, 0.1),
            carina: lungs[RIGHT].hilum() - dice.range(0.075, 0.095),
            texture: dice.noise_seed(),
            lungs,
        }
    }

    /// The lung on whose side a point lies, and its coordinates there.
    pub(super) fn lung_at(&self, p: Point) -> (usize, Point) {
        let lung = if p[0] < 0.0 { RIGHT } else { LEFT };
        (lung, [p[0] * sign(lung), p[1]])
    }

    /// A point of a lung's own coordinates in the plane.
    pub(super) fn place(&self, lung: usize, p: Point) -> Point {
        [p[0] * sign(lung), p[1]]
    }

    /// Thickness of the trunk along the beam, in cm; 0 in the open air.
    pub(super) fn body(&self, p: Point) -> f32 {
        let x = p[0].abs();
        let outer = self.trunk.at(p[1]);
        if x >= outer {
            return 0.0;
        }
        let below_skin = p[1] - self.shoulder.at(x);
        if below_skin <= 0.0 {
            return 0.0;
        }
        let side = x / outer;
        let round = (1.0 - side * side).max(0.0).sqrt();
        let top = quarter(below_skin / 0.11);
        let taper = 0.62 + 0.38 * smooth(p[1], -0.42, -0.05);
        self.depth * (0.25 + 0.75 * round) * quarter((outer - x) / 0.05) * top * taper
    }

    /// Thickness of lung along the beam, in cm, and how far (0 to 1) the point lies within the lung's bright
    /// outline above the diaphragm.
    pub(super) fn lung(&self, p: Point, body: f32) -> (f32, f32) {
        let (index, q) = self.lung_at(p);
        let lung = &self.lungs[index];
        if q[1] < lung.apex - 0.01 || q[1] > lung.angle + 0.01 || body <= 0.0 {
            return (0.0, 0.0);
        }
        let depth = lung.pleura.depth(q).min(lung.wall.at(q[1]) - q[0]);
        let inward = q[0] - lung.border.at(q[1]);
        if depth <= 0.0 || inward <= 0.0 {
            return (0.0, 0.0);
        }
        let below = q[1] - lung.diaphragm(q[0]);
        let over = 1.0 - smooth(below, -0.004, 0.004);
        let behind = 0.2 * (1.0 - below / 0.11).clamp(0.0, 1.0);
        let thick = 0.74 * quarter(depth / 0.12) * quarter(inward / 0.045);
        (body * thick * over.max(behind.min(1.0 - over)), over)
    }
}

/// The heart's outline for a cardiothoracic ratio.
fn heart(dice: &mut Dice, lungs: &[Lung; 2], ctr: f32, turn: f32, floor: f32) -> Outline {
    let width = ctr * (lungs[RIGHT].half + lungs[LEFT].half);
    let share = dice.range(0.31, 0.38);
    let shift = turn * 0.8;
    let right = -(share * width) + shift;
    let left = (1.0 - share) * width + shift;
    let base = lungs[LEFT].hilum() - 0.055;
    let bottom = floor + dice.range(0.025, 0.045);
    let tall = bottom - base;
    let level = |t: f32| base + t * tall;
    let apex_level = dice.range(0.74, 0.84);
    let round = dice.range(0.80, 0.88);
    let points = [
        [left * 0.99, level(apex_level)],
        [left * 0.86, level(0.99)],
        [0.25 * left, level(1.08)],
        [right * 0.72, level(1.02)],
        [right * 0.99, level(0.72)],
        [right * 0.95, level(0.46)],
        [right * 0.66, level(0.2)],
        [right * 0.3, level(-0.05)],
        [left * 0.28, level(-0.02)],
        [left * 0.56, level(0.2)],
        [left * round, level(0.5)],
    ];
    Outline::through([0.5 * (left + right), level(0.6)], &points)
}
