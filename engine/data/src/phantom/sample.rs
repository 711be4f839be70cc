//! Who is described: which findings a seed has, together as they come in a hospital, and each where it can be
//! seen.

use super::describe::{Description, Kind, Observation, Severity, View};
use super::noise::Dice;
use hilum_text::{Finding, Side, Zone};

const ZONES: [Zone; 3] = [Zone::Upper, Zone::Mid, Zone::Lower];

/// The patient of a seed. The same seed is the same patient on every machine.
pub fn describe(seed: u64) -> Description {
    let mut dice = Dice::new(seed, 0);
    let view = if dice.chance(0.45) { View::Ap } else { View::Pa };
    let mut builder = Builder {
        dice,
        view,
        observations: Vec::new(),
        taken: [[false; 3]; 2],
    };
    if !builder.dice.chance(0.33) {
        builder.disease();
    }
    builder.devices();
    builder.suggestions();
    Description {
        seed,
        view,
        observations: builder.observations,
    }
}

/// 0 for the right lung, 1 for the left.
fn index(side: Side) -> usize {
    usize::from(side == Side::Left)
}

struct Builder {
    dice: Dice,
    view: View,
    observations: Vec<Observation>,
    /// Lung thirds, `[side][zone]`, in which something lies that would hide another.
    taken: [[bool; 3]; 2],
}

impl Builder {
    fn disease(&mut self) {
        use Kind::*;
        // Primary findings and their weights; companions come with them below.
        const PRIMARY: [(Kind, f32); 13] = [
            (Effusion, 0.6),
            (Pneumothorax, 1.0),
            (Consolidation, 1.0),
            (Pneumonia, 1.0),
            (Opacity, 1.1),
            (Atelectasis, 0.75),
            (Edema, 1.05),
            (Cardiomegaly, 0.75),
            (WideMediastinum, 1.0),
            (Nodule, 0.65),
            (Mass, 0.5),
            (PleuralThickening, 1.05),
            (RibFracture, 1.0),
        ];
        let count = 1 + self.dice.pick(&[0.52, 0.33, 0.15]);
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
    }

    fn companions(&mut self, kind: Kind) {
        let side = self
            .observations
            .last()
            .and_then(|o| o.side)
            .filter(|s| *s != Side::Bilateral);
        match kind {
            Kind::Edema => {
                if self.dice.chance(0.5) {
                    self.add(Kind::Cardiomegaly, None);
                }
                if self.dice.chance(0.45) {
                    let both = if self.dice.chance(0.6) {
                        Some(Side::Bilateral)
                    } else {
                        None
                    };
                    self.add(Kind::Effusion, both);
                }
            }
            Kind::Effusion if self.dice.chance(0.3) => {
                self.add(Kind::Atelectasis, side);
            }
            Kind::Pneumonia if self.dice.chance(0.15) => {
                self.add(Kind::Effusion, side);
            }
            Kind::Mass if self.dice.chance(0.15) => {
                self.add(Kind::Effusion, side);
            }
            Kind::RibFracture if self.dice.chance(0.2) => {
                self.add(Kind::Pneumothorax, side);
            }
            Kind::Cardiomegaly if self.dice.chance(0.12) => {
                self.add(Kind::Effusion, None);
            }
            _ => {}
        }
    }

    fn has(&self, kind: Kind) -> bool {
        self.observations.iter().any(|o| o.kind == kind)
    }

    fn has_on(&self, kind: Kind, side: Side) -> bool {
        self.observations
            .iter()
            .any(|o| o.kind == kind && (o.side == Some(side) || o.side == Some(Side::Bilateral)))
    }

    fn severity(&mut self) -> Severity {
        [Severity::Small, Severity::Moderate, Severity::Large][self.dice.pick(&[0.36, 0.38, 0.26])]
    }

    fn one_side(&mut self) -> Side {
        if self.dice.chance(0.5) {
            Side::Right
        } else {
            Side::Left
        }
    }

    fn push(&mut self, kind: Kind, side: Option<Side>, zone: Option<Zone>, severity: Severity) -> bool {
        self.observations.push(Observation {
            kind,
            side,
            zone,
            severity,
            suggests: Vec::new(),
        });
        true
    }

    /// A free third of a lung among those that are allowed, now taken.
    fn take(&mut self, side: Option<Side>, weights: [f32; 3]) -> Option<(Side, Zone)> {
        let side = match side {
            Some(side) => side,
            None => self.one_side(),
        };
        let lung = index(side);
        // A large heart lies over the left lung's lower third.
        let behind_heart = side == Side::Left && self.has(Kind::Cardiomegaly);
        let open: [f32; 3] = std::array::from_fn(|z| {
            if self.taken[lung][z] || (z == 2 && behind_heart) {
                0.0
            } else {
                weights[z]
            }
        });
        if open.iter().sum::<f32>() <= 0.0 {
            return None;
        }
        let zone = self.dice.pick(&open);
        self.taken[lung][zone] = true;
        Some((side, ZONES[zone]))
    }

    /// Adds one observation, if it can be seen beside what is already there.
    fn add(&mut self, kind: Kind, side: Option<Side>) -> bool {
        match kind {
            Kind::Cardiomegaly | Kind::WideMediastinum => {
                let lower_left = |o: &Observation| {
                    o.kind != Kind::Effusion && o.side == Some(Side::Left) && o.zone == Some(Zone::Lower)
                };
                if kind == Kind::Cardiomegaly && self.observations.iter().any(lower_left) {
                    return false;
                }
                let severity = self.severity();
                !self.has(kind) && self.push(kind, None, None, severity)
            }
            Kind::Edema => {
                let hidden = [Kind::Opacity, Kind::Pneumonia, Kind::Pneumothorax];
                if self.has(kind) || hidden.iter().any(|other| self.has(*other)) {
                    return false;
                }
                let severity = self.severity();
                self.push(kind, Some(Side::Bilateral), None, severity)
            }
            Kind::Effusion => self.effusion(side),
            Kind::Pneumothorax => self.pneumothorax(side),
            Kind::PleuralThickening => {
                let side = side.unwrap_or_else(|| self.one_side());
                if self.has(kind) || self.has_on(Kind::Pneumothorax, side) {
                    return false;
                }
                let Some((side, zone)) = self.take(Some(side), [0.5, 0.5, 0.0]) else {
                    return false;
                };
                let severity = self.severity();
                self.push(kind, Some(side), Some(zone), severity)
            }
            Kind::RibFracture => {
                let Some((side, zone)) = self.take(side, [0.3, 0.4, 0.3]) else {
                    return false;
                };
                let severity = self.severity();
                !self.has(kind) && self.push(kind, Some(side), Some(zone), severity)
            }
            Kind::Atelectasis => {
                if self.has(kind) {
                    return false;
                }
                let Some((side, zone)) = self.take(side, [0.0, 0.25, 0.75]) else {
                    return false;
                };
                let severity = self.severity();
                self.push(kind, Some(side), Some(zone), severity)
            }
            Kind::Consolidation | Kind::Pneumonia | Kind::Opacity | Kind::Nodule | Kind::Mass => {
                let hidden = matches!(kind, Kind::Opacity | Kind::Pneumonia) && self.has(Kind::Edema);
                if hidden || self.has(kind) {
                    return false;
                }
                let Some((side, zone)) = self.take(side, [0.32, 0.34, 0.34]) else {
                    return false;
                };
                let severity = self.severity();
                self.push(kind, Some(side), Some(zone), severity);
                let spreads = matches!(kind, Kind::Consolidation | Kind::Pneumonia | Kind::Opacity);
                if spreads && self.dice.chance(0.15) {
                    let other = if side == Side::Left {
                        Side::Right
                    } else {
                        Side::Left
                    };
                    if let Some((side, zone)) = self.take(Some(other), [0.3, 0.35, 0.35]) {
                        let severity = self.severity();
                        self.push(kind, Some(side), Some(zone), severity);
                    }
                }
                true
            }
            Kind::EtTube | Kind::CentralLine | Kind::Pacemaker | Kind::ChestDrain => {
                !self.has(kind) && self.push(kind, side, None, Severity::Moderate)
            }
        }
    }

    fn effusion(&mut self, side: Option<Side>) -> bool {
        if self.has(Kind::Effusion) {
            return false;
        }
        let side =
            side.unwrap_or([Side::Right, Side::Left, Side::Bilateral][self.dice.pick(&[0.36, 0.36, 0.28])]);
        let sides: &[Side] = match side {
            Side::Bilateral => &[Side::Right, Side::Left],
            Side::Right => &[Side::Right],
            Side::Left => &[Side::Left],
        };
        if sides.iter().any(|s| self.taken[index(*s)][2]) {
            return false;
        }
        for s in sides {
            self.taken[index(*s)][2] = true;
        }
        let severity = match self.severity() {
            Severity::Large if side == Side::Bilateral => Severity::Moderate,
            severity => severity,
        };
        self.push(Kind::Effusion, Some(side), Some(Zone::Lower), severity)
    }

    fn pneumothorax(&mut self, side: Option<Side>) -> bool {
        let side = side.unwrap_or_else(|| self.one_side());
        let lung = index(side);
        // A fracture may lie over it; what lies in the lung would be lost with the lung's shape.
        let crowded = self.observations.iter().any(|o| {
            o.kind != Kind::RibFracture
                && o.side == Some(side)
                && matches!(o.zone, Some(Zone::Upper | Zone::Mid))
        });
        if self.has(Kind::Pneumothorax) || self.has(Kind::Edema) || crowded {
            return false;
        }
        let severity = self.severity();
        self.taken[lung] = [true, true, self.taken[lung][2] || severity == Severity::Large];
        self.push(Kind::Pneumothorax, Some(side), None, severity);
        if self.dice.chance(0.35) {
            self.add(Kind::ChestDrain, Some(side));
        }
        true
    }

    fn devices(&mut self) {
        let sick = !self.observations.is_empty();
        let supine = self.view == View::Ap;
        let tube = match (supine, sick) {
            (true, true) => 0.14,
            (true, false) => 0.05,
            (false, _) => 0.0,
        };
        if self.dice.chance(tube) {
            self.add(Kind::EtTube, None);
        }
        let line = if self.has(Kind::EtTube) {
            0.6
        } else if supine {
            0.09
        } else {
            0.03
        };
        if self.dice.chance(line) {
            let side = if self.dice.chance(0.6) {
                Side::Right
            } else {
                Side::Left
            };
            self.add(Kind::CentralLine, Some(side));
        }
        let pacemaker = if self.has(Kind::Cardiomegaly) { 0.14 } else { 0.035 };
        if self.dice.chance(pacemaker) {
            let side = if self.dice.chance(0.35) {
                Side::Right
            } else {
                Side::Left
            };
            self.add(Kind::Pacemaker, Some(side));
        }
    }

    /// Causes that a reader would only suggest, where nothing shows them for certain.
    fn suggestions(&mut self) {
        let shown: Vec<Finding> = self.observations.iter().map(|o| o.kind.finding()).collect();
        let mut suggested: Vec<Finding> = Vec::new();
        for i in 0..self.observations.len() {
            let (options, probability): (&[Finding], f32) = match self.observations[i].kind {
                Kind::Opacity => (&[Finding::Pneumonia, Finding::Atelectasis], 0.6),
                Kind::Consolidation => (&[Finding::Pneumonia], 0.35),
                Kind::Atelectasis => (&[Finding::Pneumonia], 0.12),
                _ => continue,
            };
            if !self.dice.chance(probability) {
                continue;
            }
            let choice = options[self.dice.pick(&vec![1.0; options.len()])];
            if !shown.contains(&choice) && !suggested.contains(&choice) {
                suggested.push(choice);
                self.observations[i].suggests.push(choice);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hilum_text::Certainty;

    #[test]
    fn categories_are_neither_rare_nor_common() {
        let count = 3000;
        let mut positive = [0usize; 14];
        for seed in 0..count {
            for (slot, label) in positive.iter_mut().zip(describe(seed).labels()) {
                *slot += usize::from(label == Some(Certainty::Positive));
            }
        }
        let share = |finding: Finding| positive[finding as usize] as f32 / count as f32;
        for finding in &Finding::ALL {
            println!("{:<28} {:.3}", finding.name(), share(*finding));
        }
        for finding in &Finding::ALL[1..] {
            assert!(
                (0.03..=0.20).contains(&share(*finding)),
                "{}: {}",
                finding.name(),
                share(*finding)
            );
        }
        assert!(
            (0.28..=0.40).contains(&share(Finding::NoFinding)),
            "normal: {}",
            share(Finding::NoFinding)
        );
    }

    #[test]
    fn suggestions_ride_on_what_is_seen_and_repeat_nothing() {
        for seed in 0..2000 {
            let description = describe(seed);
            let shown: Vec<Finding> = description
                .observations
                .iter()
                .map(|o| o.kind.finding())
                .collect();
            for observation in &description.observations {
                for suggested in &observation.suggests {
                    assert!(
                        !shown.contains(suggested),
                        "seed {seed}: {suggested:?} is both shown and suggested"
                    );
                }
            }
        }
    }

    #[test]
    fn findings_come_together_as_in_a_hospital() {
        let all: Vec<Description> = (0..4000).map(describe).collect();
        let has = |d: &Description, kind: Kind| d.observations.iter().any(|o| o.kind == kind);
        let share = |kind: Kind, given: Option<Kind>| {
            let base: Vec<_> = all.iter().filter(|d| given.is_none_or(|g| has(d, g))).collect();
            base.iter().filter(|d| has(d, kind)).count() as f32 / base.len() as f32
        };
        for (kind, given) in [
            (Kind::Cardiomegaly, Kind::Edema),
            (Kind::Effusion, Kind::Edema),
            (Kind::Atelectasis, Kind::Effusion),
            (Kind::ChestDrain, Kind::Pneumothorax),
            (Kind::CentralLine, Kind::EtTube),
        ] {
            assert!(
                share(kind, Some(given)) > 1.5 * share(kind, None),
                "{kind:?} given {given:?}"
            );
        }
    }
}
