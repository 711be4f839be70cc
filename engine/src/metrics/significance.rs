//! How sure a number is: the bootstrap (Efron 1979) and the t-test of two independent samples, as MedViLL's
//! section 4.4 reports (30 resamples, mean and standard deviation, significance 0.05).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// A measure over resamples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The mean of the values.
    pub mean: f64,
    /// Their standard deviation (n - 1).
    pub sd: f64,
    /// The measure of each resample in which it is defined.
    pub values: Vec<f64>,
    /// In how many resamples it was not (one kind of label missing, say).
    pub undefined: usize,
}

/// Computes a measure on `resamples` (30 in the papers) draws of `n_items` items with replacement; `metric`
/// gets their indices and answers `None` where it is not defined. The same seed draws the same, whatever the
/// measure, so that two models are compared on the same resamples. `None` when there is no item, or fewer
/// than two values are defined.
pub fn bootstrap(
    n_items: usize,
    resamples: usize,
    seed: u64,
    mut metric: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Bootstrap> {
    if n_items == 0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut indices = vec![0; n_items];
    let (mut values, mut undefined) = (Vec::new(), 0);
    for _ in 0..resamples {
        indices.fill_with(|| below(&mut rng, n_items));
        match metric(&indices).filter(|v| v.is_finite()) {
            Some(value) => values.push(value),
            None => undefined += 1,
        }
    }
    let (mean, variance) = moments(&values)?;
    Some(Bootstrap {
        mean,
        sd: variance.sqrt(),
        values,
        undefined,
    })
}

/// A number below `n`, all equally likely.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    let n = n as u64;
    // Draws beyond the last whole multiple of n would favour small numbers.
    let limit = u64::MAX - u64::MAX % n;
    loop {
        let drawn = rng.next_u64();
        if drawn < limit {
            return (drawn % n) as usize;
        }
    }
}

/// Mean and variance (n - 1) of at least two numbers.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    Some((mean, squares / (values.len() - 1) as f64))
}

/// A t-test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TTest {
    /// The statistic; positive when the first sample's mean is greater.
    pub t: f64,
    /// The degrees of freedom.
    pub df: f64,
    /// The two-sided p-value.
    pub p: f64,
}

/// Student's t-test of two independent samples of equal variance, two-sided. `None` when a sample has fewer
/// than two values or one that is not finite, or when nothing varies and the means are equal.
pub fn t_test(a: &[f64], b: &[f64]) -> Option<TTest> {
    let ((mean_a, var_a), (mean_b, var_b)) = (moments(a)?, moments(b)?);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let df = n + m - 2.0;
    let pooled = ((n - 1.0) * var_a + (m - 1.0) * var_b) / df;
    finish(mean_a - mean_b, (pooled * (1.0 / n + 1.0 / m)).sqrt(), df)
}

fn finish(difference: f64, error: f64, df: f64) -> Option<TTest> {
    if error == 0.0 {
        return (difference != 0.0).then(|| TTest {
            t: difference.signum() * f64::INFINITY,
            df,
            p: 0.0,
        });
    }
    let t = difference / error;
    let square = t * t;
    Some(TTest {
        t,
        df,
        p: beta_share(df / 2.0, 0.5, df / (df + square), square / (df + square)),
    })
}

/// The regularised incomplete beta function I_x(a, b) for a, b > 0 and 0 <= x <= 1.
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    beta_share(a, b, x, 1.0 - x)
}

/// I_x(a, b) with y = 1 - x given apart, so that it is exact where x is close to 1.
fn beta_share(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    let front = (libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * y.ln()).exp();
    // The fraction converges fast on this side of the mean, and the other side is its mirror.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, y) / b
    }
}

/// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by Lentz's method.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resamples_are_of_the_seed_and_of_all_items() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let mean =
            |indices: &[usize]| Some(indices.iter().map(|i| values[*i]).sum::<f64>() / indices.len() as f64);
        let first = bootstrap(50, 200, 7, mean).unwrap();
        assert_eq!(first, bootstrap(50, 200, 7, mean).unwrap());
        assert_ne!(first.values, bootstrap(50, 200, 8, mean).unwrap().values);
        // The mean's standard error is 14.43 / sqrt(50) = 2.04.
        assert!(
            (first.mean - 24.5).abs() < 0.6 && (first.sd - 2.04).abs() < 0.4,
            "{} {}",
            first.mean,
            first.sd
        );
        let mut seen = [false; 50];
        bootstrap(50, 30, 1, |indices| {
            indices.iter().for_each(|i| seen[*i] = true);
            None
        });
        assert!(seen.iter().all(|s| *s));
        assert_eq!(bootstrap(0, 30, 1, mean), None);
        assert_eq!(bootstrap(50, 30, 1, |_| None), None);
    }

    #[test]
    fn samples_that_do_not_vary() {
        assert_eq!(t_test(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(t_test(&[1.0], &[1.0, 2.0]), None);
        let apart = t_test(&[2.0, 2.0], &[1.0, 1.0]).unwrap();
        assert_eq!((apart.t, apart.p), (f64::INFINITY, 0.0));
        let same = t_test(&[1.0, 2.0, 3.0], &[3.0, 1.0, 2.0]).unwrap();
        assert_eq!((same.t, same.p), (0.0, 1.0));
    }
}
