//! The rate over a run: a linear rise, then a fall.

use serde::{Deserialize, Serialize};

/// The form of the fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fall {
    /// Half a cosine (Loshchilov and Hutter 2017).
    #[default]
    Cosine,
    /// A straight line.
    Linear,
    /// A power of the share that is left.
    Poly,
    /// None.
    Constant,
}

/// A rise over the first steps to 1, then a fall to `floor` at the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The form of the fall.
    pub fall: Fall,
    /// Steps of the rise, the first of which has `1 / rise`.
    pub rise: f64,
    /// Steps in all.
    pub steps: usize,
    /// What is left at the end.
    pub floor: f64,
    /// Exponent of [`Fall::Poly`].
    pub power: f64,
}

impl Schedule {
    /// The share of the peak rate at `step`, the first being 0.
    pub fn at(&self, step: usize) -> f64 {
        let at = step as f64;
        if at < self.rise {
            return (at + 1.0) / self.rise;
        }
        let share = ((at - self.rise) / (self.steps as f64 - self.rise).max(1.0)).min(1.0);
        let left = match self.fall {
            Fall::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
            Fall::Linear => 1.0 - share,
            Fall::Poly => (1.0 - share).powf(self.power),
            Fall::Constant => 1.0,
        };
        self.floor + (1.0 - self.floor) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those begin their rise at a rate of 0, which is a step lost; ours is one step ahead of them while it
    /// rises.
    #[test]
    fn parity_with_the_schedules_of_transformers() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/optim.json")).unwrap();
        for (name, fall) in [
            ("cosine", Fall::Cosine),
            ("linear", Fall::Linear),
            ("polynomial", Fall::Poly),
        ] {
            let factors = &golden["schedules"]["factors"][name];
            let schedule = Schedule {
                fall,
                rise: 4.0,
                steps: 20,
                floor: 0.0,
                power: 0.9,
            };
            for step in 0..20 {
                let expected = factors[if step < 4 { step + 1 } else { step }].as_f64().unwrap();
                assert!(
                    (schedule.at(step) - expected).abs() < 1e-6,
                    "{name} at {step}: {expected}"
                );
            }
        }
    }

    #[test]
    fn rates_rise_then_fall() {
        for fall in [Fall::Cosine, Fall::Linear, Fall::Poly] {
            let schedule = Schedule {
                fall,
                rise: 10.0,
                steps: 100,
                floor: 0.01,
                power: 0.9,
            };
            let rates: Vec<f64> = (0..100).map(|s| schedule.at(s)).collect();
            assert!(rates[0] == 0.1 && rates[9] == 1.0 && rates[99] < 0.04, "{fall:?}");
            assert!(
                rates[..10].is_sorted() && rates[10..].is_sorted_by(|a, b| a >= b),
                "{fall:?}"
            );
        }
    }
}
