//! Fits a bundle's gate: mean and axes on its training pictures, the limit on its validation pictures, and directions on pictures
//! that are known to be foreign.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use rand::RngExt;
use thiserror::Error;

use super::evaluate::{AT_ONCE, EvaluateError, encode_files};
use super::session::Session;
use crate::bundle::{Array, BundleError, Gate, Known, gate};
use crate::data::par_map;
use crate::nn::stream;

/// Axes of most variance at most.
const AXES: usize = 256;
/// Numbers of all axes at most, 0.6 MB in half precision: of an ensemble's many features fewer axes are kept.
const NUMBERS: usize = 300_000;
/// Pictures of a split at most: what more of them would change is less than what tells pictures apart.
const MOST: usize = 3000;
/// Pictures of each split at least.
const LEAST: usize = 50;
/// Rounds of subspace iteration. The axes at the border between what is kept and the rest need not be exact.
const ROUNDS: usize = 20;
/// Of the validation pictures, those that stay within the limit.
const WITHIN: f64 = 0.99;

/// Why no gate was fitted.
#[derive(Debug, Error)]
pub enum GateError {
    /// Too few pictures that are known to be foreign.
    #[error("a kind of pictures that is known to be foreign takes {LEAST} of them, and there are {0}")]
    TooFewKnown(usize),
    /// Too few pictures to know a kind by.
    #[error(
        "a gate takes {LEAST} pictures of each split and the data have {train} to train on and {validate} to validate with"
    )]
    TooFew {
        /// Of the training split.
        train: usize,
        /// Of the validation split.
        validate: usize,
    },
    /// Pictures that the encoder does not tell apart.
    #[error("the encoder tells none of the training pictures from another; there is nothing to fit")]
    Flat,
    /// A picture that cannot be read, a device that fails.
    #[error(transparent)]
    Encode(#[from] EvaluateError),
    /// A gate that cannot be stored.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// The gate of a session's model; `known` are kinds of pictures that are known to be foreign. `progress` is told how many
/// pictures have been read.
///
/// # Errors
/// Too few pictures, one that cannot be read, and a device that fails.
pub fn fit_gate(
    session: &Session,
    train: &[PathBuf],
    validate: &[PathBuf],
    known: &[Vec<PathBuf>],
    progress: &mut dyn FnMut(usize),
) -> Result<Gate, GateError> {
    let few = GateError::TooFew {
        train: train.len(),
        validate: validate.len(),
    };
    if train.len().min(validate.len()) < LEAST {
        return Err(few);
    }
    if let Some(few) = known.iter().find(|kind| kind.len() < LEAST) {
        return Err(GateError::TooFewKnown(few.len()));
    }
    let mut read = 0;
    let mut features_of = |files: &[PathBuf]| -> Result<Vec<Vec<f32>>, GateError> {
        let spec = session.spec();
        let step = files.len().div_ceil(MOST);
        let files: Vec<&Path> = files.iter().step_by(step).map(PathBuf::as_path).collect();
        let mut all = Vec::with_capacity(files.len());
        for part in files.chunks(AT_ONCE) {
            let tokens: Vec<f32> = encode_files(session, part, None)?
                .into_data()
                .iter::<f32>()
                .collect();
            let each = tokens.chunks(tokens.len() / part.len());
            let cells = |tokens: &'_ [f32]| {
                gate::features(&tokens[spec.lead * spec.features..], spec.features, spec.grid)
            };
            all.extend(each.map(cells));
            read += part.len();
            progress(read);
        }
        Ok(all)
    };
    let (train, validate) = (features_of(train)?, features_of(validate)?);
    let kinds = known.iter().map(|kind| features_of(kind));
    let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
    let axes = AXES
        .min((train.len() - 1) / 2)
        .min(NUMBERS / train[0].len().max(1));
    let mut fitted = gaussian(&train, axes).ok_or(GateError::Flat)?.as_stored()?;
    let distances = validate.iter().map(|features| fitted.distance(features));
    fitted.limit.data[0] = quantile(distances.collect(), WITHIN) as f32;
    fitted.known = directions(&train, &validate, &kinds, axes);
    Ok(fitted.as_stored()?)
}

/// The value that a share of some, at least one, do not exceed.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(share * (values.len() - 1) as f64).round() as usize]
}

/// Fisher's discriminant (1936) of each kind against the training pictures; the covariance, that of the Gaussian, is one for all. A
/// picture is foreign from halfway to the kind's median on, and never before 99 in 100 of the validation pictures.
fn directions(
    train: &[Vec<f32>],
    validate: &[Vec<f32>],
    kinds: &[Vec<Vec<f32>>],
    axes: usize,
) -> Option<Known> {
    if kinds.is_empty() {
        return None;
    }
    let center = mean(train);
    let centers: Vec<Vec<f64>> = kinds.iter().map(|kind| mean(kind)).collect();
    let from = |row: &[f32], center: &[f64]| -> Vec<f32> {
        let each = row.iter().zip(center);
        each.map(|(v, m)| (f64::from(*v) - m) as f32).collect()
    };
    let own = train.iter().map(|row| from(row, &center));
    let others = kinds.iter().zip(&centers);
    let others = others.flat_map(|(kind, center)| kind.iter().map(move |row| from(row, center)));
    let within: Vec<Vec<f32>> = own.chain(others).collect();
    let covariance = gaussian(&within, axes)?;
    let (mut kept, mut limits) = (Vec::new(), Vec::new());
    for (kind, own) in kinds.iter().zip(&centers) {
        let towards: Vec<f64> = own.iter().zip(&center).map(|(own, m)| own - m).collect();
        let mut direction = covariance.whitened(&towards);
        let length = dot(&direction, &direction).sqrt();
        direction.iter_mut().for_each(|d| *d /= length);
        let along = |rows: &[Vec<f32>]| -> Vec<f64> {
            let each = rows.iter().map(|row| from(row, &center));
            let each = each.map(|row| row.iter().zip(&direction).map(|(v, d)| f64::from(*v) * d).sum());
            each.collect()
        };
        let limit = quantile(along(validate), WITHIN).max(quantile(along(kind), 0.5) / 2.0);
        // What lies where the training pictures lie has no direction of its own.
        if limit.is_finite() && limit > 0.0 && direction.iter().all(|d| d.is_finite()) {
            kept.extend(direction.iter().map(|d| *d as f32));
            limits.push(limit as f32);
        }
    }
    let count = limits.len();
    (count > 0).then(|| Known {
        directions: Array {
            shape: vec![count, center.len()],
            data: kept,
        },
        limits: Array {
            shape: vec![count],
            data: limits,
        },
    })
}

/// The mean of rows, of which there is one at least.
fn mean(rows: &[Vec<f32>]) -> Vec<f64> {
    let count = rows.len() as f64;
    let mut mean = vec![0f64; rows[0].len()];
    for row in rows {
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, v)| *m += f64::from(*v) / count);
    }
    mean
}

/// Mean, axes of most variance and what is left, of rows of features; the limit is 1. `None` where there is no variance.
fn gaussian(rows: &[Vec<f32>], axes: usize) -> Option<Gate> {
    let (count, dimensions) = (rows.len() as f64, rows.first()?.len());
    let axes = axes.min(dimensions.saturating_sub(1));
    let mean = mean(rows);
    let centred: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m).collect())
        .collect();
    let total = centred.iter().map(|row| dot(row, row)).sum::<f64>() / count;
    let basis = principal_axes(&centred, axes);
    let variances: Vec<f64> = basis
        .iter()
        .map(|axis| centred.iter().map(|row| dot(row, axis).powi(2)).sum::<f64>() / count)
        .collect();
    let rest = (total - variances.iter().sum::<f64>()) / (dimensions - axes) as f64;
    // An axis along which nothing varies has the rest's variance: nothing is infinitely far.
    let least = rest.max(total * 1e-9 / dimensions as f64);
    let array = |shape: &[usize], data: Vec<f64>| Array {
        shape: shape.to_vec(),
        data: data.into_iter().map(|v| v as f32).collect(),
    };
    (total > 0.0 && total.is_finite()).then(|| Gate {
        mean: array(&[dimensions], mean),
        axes: array(&[axes, dimensions], basis.concat()),
        variances: array(&[axes], variances.into_iter().map(|v| v.max(least)).collect()),
        rest: array(&[1], vec![least]),
        limit: array(&[1], vec![1.0]),
        known: None,
    })
}

/// Orthonormal axes of most variance of centred rows, by subspace iteration (Golub & Van Loan 2013, section 8.2.4).
fn principal_axes(rows: &[Vec<f64>], axes: usize) -> Vec<Vec<f64>> {
    let dimensions = rows[0].len();
    let mut random = stream(0, 0);
    let mut basis: Vec<Vec<f64>> = (0..axes)
        .map(|_| (0..dimensions).map(|_| random.random_range(-1.0..1.0)).collect())
        .collect();
    for _ in 0..ROUNDS {
        orthonormalise(&mut basis);
        // The covariance times the basis, without the covariance.
        let Ok(next) = par_map(&basis, |axis| -> Result<Vec<f64>, Infallible> {
            let mut next = vec![0.0; dimensions];
            for row in rows {
                let along = dot(row, axis);
                next.iter_mut().zip(row).for_each(|(n, v)| *n += along * v);
            }
            Ok(next)
        });
        basis = next;
    }
    orthonormalise(&mut basis);
    basis
}

/// Gram-Schmidt, twice, as rounding asks for.
fn orthonormalise(basis: &mut [Vec<f64>]) {
    for at in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(at);
        let axis = &mut rest[0];
        for _ in 0..2 {
            for other in before.iter() {
                let along = dot(axis, other);
                axis.iter_mut().zip(other).for_each(|(a, o)| *a -= along * o);
            }
        }
        let length = dot(axis, axis).sqrt().max(f64::MIN_POSITIVE);
        axis.iter_mut().for_each(|a| *a /= length);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of six numbers: two axes of much variance, the others of little.
    fn rows(count: usize) -> Vec<Vec<f32>> {
        let mut random = stream(5, 0);
        let row = |_| {
            let [a, b]: [f32; 2] = [random.random_range(-3.0..3.0), random.random_range(-1.5..1.5)];
            let mut row = vec![a + 1.0, a - 2.0, b, -b, 0.0, 4.0];
            row.iter_mut()
                .for_each(|v| *v += random.random_range(-0.1f32..0.1));
            row
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn axes_are_those_of_most_variance() {
        let gate = gaussian(&rows(4000), 2).unwrap();
        let near = |a: f32, b: f32, by: f32| assert!((a - b).abs() < by, "{a} is not {b}");
        for (mean, of) in gate.mean.data.iter().zip([1.0, -2.0, 0.0, 0.0, 0.0, 4.0]) {
            near(*mean, of, 0.1);
        }
        // A uniform number in -w..w has the variance w w / 3; two columns carry it.
        near(gate.variances.data[0], 6.0, 0.3);
        near(gate.variances.data[1], 1.5, 0.1);
        near(gate.rest.data[0], 0.01 / 3.0, 5e-4);
        let half = 0.5f32.sqrt();
        for (axis, of) in gate
            .axes
            .data
            .chunks(6)
            .zip([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
        {
            let along: f32 = axis.iter().zip(of).map(|(a, o)| a * o * half).sum();
            near(along.abs(), 1.0, 1e-3);
        }
        assert_eq!(gaussian(&[vec![2.0; 3], vec![2.0; 3]], 1), None);
    }

    #[test]
    fn a_known_kind_is_told_by_what_moves_little_among_the_training_pictures() {
        let (train, validate) = (rows(2000), rows(500));
        // It lies within the spread of the first axis, and a little beside it.
        let foreign = |count| {
            let shifted = |mut row: Vec<f32>| {
                row[0] += 1.0;
                row[1] += 1.0;
                row[4] += 0.3;
                row
            };
            rows(count).into_iter().map(shifted).collect::<Vec<_>>()
        };
        let gate = Gate {
            known: directions(&train, &validate, &[foreign(300), train[..300].to_vec()], 2),
            limit: Array {
                shape: vec![1],
                data: vec![1e6],
            },
            ..gaussian(&train, 2).unwrap()
        };
        let flagged = |rows: Vec<Vec<f32>>| {
            let flagged = rows.iter().filter(|row| gate.unlikeness(row) > 1.0).count();
            flagged as f64 / rows.len() as f64
        };
        let (own, known) = (flagged(rows(500)), flagged(foreign(500)));
        assert!(own <= 0.03, "{own}");
        assert!(known > 0.95, "{known}");
        assert_eq!(directions(&train, &validate, &[], 2), None);
    }

    #[test]
    fn what_breaks_the_pictures_form_is_far_and_what_is_strong_in_it_is_not() {
        let gate = gaussian(&rows(4000), 2).unwrap();
        let mut distances: Vec<f64> = rows(1000).iter().map(|row| gate.distance(row)).collect();
        distances.sort_by(f64::total_cmp);
        assert!(gate.distance(&[4.0, 1.0, 1.5, -1.5, 0.0, 4.0]) < distances[990]);
        // As large, but the first two numbers part.
        assert!(gate.distance(&[4.0, -2.0, 0.0, 0.0, 0.0, 4.0]) > 3.0 * distances[999]);
    }
}
