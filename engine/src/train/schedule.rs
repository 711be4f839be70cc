//! The learning rate over a run: a linear warm-up, then a decay.

use serde::{Deserialize, Serialize};

/// The form of the decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
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

/// A warm-up to 1 over the first steps, then a decay to `min_lr` at the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The form of the decay.
    pub decay: Decay,
    /// Steps of the warm-up, the first of which has `1 / warmup_steps`.
    pub warmup_steps: f64,
    /// Steps in all.
    pub steps: usize,
    /// What is left at the end.
    pub min_lr: f64,
    /// Exponent of [`Decay::Poly`].
    pub power: f64,
}

impl Schedule {
    /// The share of the peak rate at `step`, the first being 0.
    pub fn at(&self, step: usize) -> f64 {
        let at = step as f64;
        if at < self.warmup_steps {
            return (at + 1.0) / self.warmup_steps;
        }
        let share = ((at - self.warmup_steps) / (self.steps as f64 - self.warmup_steps).max(1.0)).min(1.0);
        let left = match self.decay {
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
            Decay::Linear => 1.0 - share,
            Decay::Poly => (1.0 - share).powf(self.power),
            Decay::Constant => 1.0,
        };
        self.min_lr + (1.0 - self.min_lr) * left
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
        for (name, decay) in [
            ("cosine", Decay::Cosine),
            ("linear", Decay::Linear),
            ("polynomial", Decay::Poly),
        ] {
            let factors = &golden["schedules"]["factors"][name];
            let schedule = Schedule {
                decay,
                warmup_steps: 4.0,
                steps: 20,
                min_lr: 0.0,
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
        for decay in [Decay::Cosine, Decay::Linear, Decay::Poly] {
            let schedule = Schedule {
                decay,
                warmup_steps: 10.0,
                steps: 100,
                min_lr: 0.01,
                power: 0.9,
            };
            let rates: Vec<f64> = (0..100).map(|s| schedule.at(s)).collect();
            assert!(
                rates[0] == 0.1 && rates[9] == 1.0 && rates[99] < 0.04,
                "{decay:?}"
            );
            assert!(
                rates[..10].is_sorted() && rates[10..].is_sorted_by(|a, b| a >= b),
                "{decay:?}"
            );
        }
    }
}
