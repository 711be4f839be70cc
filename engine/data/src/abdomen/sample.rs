//! Who is described: which findings a seed has, together as they come in a hospital.

use super::SALT;
use super::describe::{Description, Kind, Observation, Position};
use crate::phantom::Severity;
use crate::phantom::noise::Dice;
use hilum_text::Side;

/// How many patients in a hundred show nothing but, at most, phleboliths.
const NORMAL: f32 = 0.45;

/// What a patient comes with, by weight.
const PRIMARY: [(Kind, f32); 10] = [
    (Kind::FreeAir, 1.7),
    (Kind::SmallBowel, 1.15),
    (Kind::Colon, 1.0),
    (Kind::KidneyStone, 1.0),
    (Kind::Gallstone, 0.9),
    (Kind::FaecalLoading, 1.1),
    (Kind::GastricTube, 0.45),
    (Kind::Drain, 0.75),
    (Kind::Stent, 0.75),
    (Kind::Clips, 0.9),
];

/// The patient of a seed. The same seed is the same patient on every machine.
pub fn describe(seed: u64) -> Description {
    let mut dice = Dice::new(seed ^ SALT, 0);
    let position = if dice.chance(0.5) {
        Position::Upright
    } else {
        Position::Supine
    };
    let mut builder = Builder {
        dice,
        position,
        observations: Vec::new(),
    };
    if !builder.dice.chance(NORMAL) {
        builder.disease();
    }
    if builder.dice.chance(0.22) {
        builder.add(Kind::Phleboliths, None);
    }
    Description {
        seed,
        position,
        observations: builder.observations,
    }
}

struct Builder {
    dice: Dice,
    position: Position,
    observations: Vec<Observation>,
}

impl Builder {
    fn has(&self, kind: Kind) -> bool {
        self.observations.iter().any(|o| o.kind == kind)
    }

    fn disease(&mut self) {
        let count = 1 + self.dice.pick(&[0.62, 0.28, 0.10]);
        let mut done = 0;
        for _ in 0..12 {
            if done == count {
                break;
            }
            let kind = PRIMARY[self.dice.pick(&PRIMARY.map(|(_, weight)| weight))].0;
            if self.add(kind, None) {
                self.companions(kind);
                done += 1;
            }
        }
        if done == 0 {
            self.add(Kind::KidneyStone, None);
        }
    }

    fn companions(&mut self, kind: Kind) {
        let side = self.observations.last().and_then(|o| o.side);
        let (other, chance, side) = match kind {
            Kind::SmallBowel => (Kind::GastricTube, 0.4, None),
            Kind::FreeAir => (Kind::Drain, 0.25, None),
            Kind::Drain => (Kind::SmallBowel, 0.2, None),
            Kind::KidneyStone => (Kind::Stent, 0.25, side),
            Kind::Colon => (Kind::SmallBowel, 0.3, None),
            _ => return,
        };
        if self.dice.chance(chance) {
            self.add(other, side);
        }
    }

    /// Adds one observation, if it can be seen beside what is already there.
    fn add(&mut self, kind: Kind, side: Option<Side>) -> bool {
        // Every draw is made before the choice is judged.
        let severity =
            [Severity::Small, Severity::Moderate, Severity::Large][self.dice.pick(&[0.36, 0.38, 0.26])];
        let shares = match kind {
            Kind::FreeAir => [0.4, 0.2, 0.4],
            Kind::KidneyStone => [0.44, 0.44, 0.12],
            Kind::Phleboliths => [0.36, 0.36, 0.28],
            _ => [0.5, 0.5, 0.0],
        };
        let drawn = [Side::Right, Side::Left, Side::Bilateral][self.dice.pick(&shares)];
        let hidden: &[Kind] = match kind {
            Kind::FreeAir if self.position == Position::Supine => return false,
            // The lower pelvis is off the picture of who stands.
            Kind::Phleboliths if self.position == Position::Upright => return false,
            Kind::Colon => &[Kind::FaecalLoading],
            Kind::FaecalLoading => &[Kind::Colon],
            Kind::Gallstone => &[Kind::Clips],
            Kind::Clips => &[Kind::Gallstone],
            _ => &[],
        };
        if self.has(kind) || hidden.iter().any(|other| self.has(*other)) {
            return false;
        }
        let side = match kind {
            Kind::FreeAir | Kind::KidneyStone | Kind::Phleboliths => Some(side.unwrap_or(drawn)),
            Kind::Drain | Kind::Stent => Some(side.filter(|s| *s != Side::Bilateral).unwrap_or(drawn)),
            _ => None,
        };
        self.observations.push(Observation { kind, side, severity });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abdomen::AbdominalFinding;

    #[test]
    fn findings_are_neither_rare_nor_common_and_many_are_normal() {
        let all: Vec<Description> = (0..3000).map(describe).collect();
        let share = |accept: &dyn Fn(&Description) -> bool| {
            all.iter().filter(|d| accept(d)).count() as f32 / all.len() as f32
        };
        for finding in AbdominalFinding::ALL {
            let share = share(&|d| d.findings().contains(&finding));
            println!("{:<24} {share:.3}", finding.name());
            assert!((0.04..=0.20).contains(&share), "{finding}: {share}");
        }
        let normal = share(&|d| d.findings().is_empty());
        println!("normal {normal:.3}");
        assert!((0.40..=0.50).contains(&normal), "normal: {normal}");
    }

    #[test]
    fn what_cannot_be_seen_together_is_not_described() {
        for description in (0..3000).map(describe) {
            let has = |kind| description.has(kind);
            assert!(!(has(Kind::FreeAir) && description.position == Position::Supine));
            assert!(!(has(Kind::Colon) && has(Kind::FaecalLoading)));
            assert!(!(has(Kind::Gallstone) && has(Kind::Clips)));
            for kind in Kind::ALL {
                let count = description.observations.iter().filter(|o| o.kind == kind).count();
                assert!(count <= 1, "seed {}: {count} of {kind:?}", description.seed);
            }
        }
    }
}
