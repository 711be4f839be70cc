//! A bundle's gate: what its training pictures look like to its own image encoder, so that it can say of a picture that it is
//! unlike them.
//!
//! The features are those of [`features`]; what is kept of them is a Gaussian whose covariance is full along the axes of most
//! variance and the same in all others (probabilistic principal components: Tipping & Bishop 1999, eq. 7). A picture's distance
//! is Mahalanobis's (Lee et al. 2018), mostly what lies outside those axes (the residual of Wang et al. 2022, section 4.1).
//! Beside it there may be directions in which pictures lie that are known to be foreign, as an encoder that has learned from
//! drawings is at home with them (outlier exposure: Hendrycks et al. 2019). `gate.safetensors` holds it; `tasks/gate.rs` fits and
//! asks it.

use super::{Array, Arrays, BundleError, Manifest, ShardDecoder};
#[cfg(not(target_family = "wasm"))]
use super::{Dtype, FileEntry, shard};

/// The gate's file.
pub const FILE: &str = "gate.safetensors";

/// Thirds of a picture's height, and of its width, over which a map is averaged.
const THIRDS: usize = 3;

/// What is kept of the training pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The features' mean, `(D)`.
    pub mean: Array,
    /// Orthonormal axes of most variance, `(A, D)`.
    pub axes: Array,
    /// The variance along each of them, `(A)`.
    pub variances: Array,
    /// The variance along every other axis, `(1)`.
    pub rest: Array,
    /// The distance that 99 in 100 pictures of the validation set stay within, `(1)`.
    pub limit: Array,
    /// What is known to be foreign, kind by kind.
    pub known: Option<Known>,
}

/// Kinds of pictures that are known to be foreign.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// For each the direction of length 1 that tells it from the training pictures, `(M, D)`.
    pub directions: Array,
    /// How far along it, from the mean, a picture is foreign, `(M)`.
    pub limits: Array,
}

/// The arrays in their file.
const NAMES: [&str; 5] = ["mean", "axes", "variances", "rest", "limit"];
const DIRECTIONS: &str = "known";
const LIMITS: &str = "known_limits";

fn unusable(why: impl Into<String>) -> BundleError {
    BundleError::Manifest { why: why.into() }
}

/// The features of a picture: its image tokens, averaged over three by three overlapping fields where they lie on a grid, else
/// over all.
///
/// # Shapes
/// - tokens of one picture, `(K, F)` -> `9 F` numbers where `K` is the grid's rows times its columns, else `F`
pub fn features(tokens: &[f32], features: usize, grid: [usize; 2]) -> Vec<f32> {
    let count = tokens.len() / features.max(1);
    let [rows, columns] = grid;
    let on_grid = rows * columns == count && rows.min(columns) >= THIRDS;
    let (fields, rows, columns) = if on_grid {
        (THIRDS, rows, columns)
    } else {
        (1, 1, count)
    };
    // The field of a third begins at its floor and ends at its ceiling.
    let span = |field: usize, of: usize| field * of / fields..((field + 1) * of).div_ceil(fields);
    let mut pooled = Vec::with_capacity(fields * fields * features);
    for row in 0..fields {
        for column in 0..fields {
            let mut sum = vec![0f64; features];
            let (high, wide) = (span(row, rows), span(column, columns));
            let cells = (high.len() * wide.len()).max(1) as f64;
            for cell in high.flat_map(|y| wide.clone().map(move |x| y * columns + x)) {
                let token = &tokens[cell * features..][..features];
                sum.iter_mut()
                    .zip(token)
                    .for_each(|(sum, v)| *sum += f64::from(*v));
            }
            pooled.extend(sum.into_iter().map(|sum| (sum / cells) as f32));
        }
    }
    pooled
}

impl Gate {
    /// Whether a bundle has one.
    pub fn is_in(manifest: &Manifest) -> bool {
        manifest.files.iter().any(|file| file.path == FILE)
    }

    /// Reads the file's bytes, checked against its entry.
    ///
    /// # Errors
    /// A file that is not what was exported, and arrays that do not belong together.
    pub fn read(manifest: &Manifest, bytes: &[u8]) -> Result<Self, BundleError> {
        let mut decoder = ShardDecoder::new();
        let arrays = decoder.push(manifest.file(FILE)?, bytes)?;
        decoder.finish()?;
        Self::of(arrays)
    }

    fn of(mut arrays: Arrays) -> Result<Self, BundleError> {
        let mut take = |name: &str| {
            let array = arrays.remove(name);
            array.ok_or_else(|| unusable(format!("{FILE} lacks {name}")))
        };
        let [mean, axes, variances, rest, limit] = NAMES.map(&mut take);
        let known = match (arrays.remove(DIRECTIONS), arrays.remove(LIMITS)) {
            (None, None) => None,
            (Some(directions), Some(limits)) => Some(Known { directions, limits }),
            _ => {
                return Err(unusable(format!(
                    "{FILE} has one of {DIRECTIONS} and {LIMITS} without the other"
                )));
            }
        };
        let gate = Self {
            mean: mean?,
            axes: axes?,
            variances: variances?,
            rest: rest?,
            limit: limit?,
            known,
        };
        gate.check()?;
        Ok(gate)
    }

    fn check(&self) -> Result<(), BundleError> {
        let dimensions = self.mean.data.len();
        let axes = self.variances.data.len();
        let shapes = self.axes.shape == [axes, dimensions]
            && self.mean.shape == [dimensions]
            && self.variances.shape == [axes]
            && self.rest.shape == [1]
            && self.limit.shape == [1]
            && self.known.as_ref().is_none_or(|known| {
                let kinds = known.limits.data.len();
                known.limits.shape == [kinds] && known.directions.shape == [kinds, dimensions]
            });
        let spread = self
            .variances
            .data
            .iter()
            .chain(&self.rest.data)
            .chain(&self.limit.data)
            .chain(self.known.iter().flat_map(|known| &known.limits.data));
        let finite = self
            .mean
            .data
            .iter()
            .chain(&self.axes.data)
            .chain(self.known.iter().flat_map(|known| &known.directions.data))
            .all(|v| v.is_finite());
        if !shapes || dimensions == 0 {
            return Err(unusable(format!("the arrays of {FILE} do not belong together")));
        }
        if !finite || !spread.clone().all(|v| v.is_finite() && *v > 0.0) {
            return Err(unusable(format!("{FILE} holds what is no number or no spread")));
        }
        Ok(())
    }

    /// Numbers that it takes of a picture.
    pub fn dimensions(&self) -> usize {
        self.mean.data.len()
    }

    /// Mahalanobis's distance of a picture's features from the training pictures.
    pub fn distance(&self, features: &[f32]) -> f64 {
        let mut left: Vec<f64> = features
            .iter()
            .zip(&self.mean.data)
            .map(|(v, mean)| f64::from(*v) - f64::from(*mean))
            .collect();
        let centred = left.clone();
        let mut squared = 0.0;
        let axes = self.axes.data.chunks(self.dimensions());
        for (axis, variance) in axes.zip(&self.variances.data) {
            let along: f64 = axis.iter().zip(&centred).map(|(a, v)| f64::from(*a) * v).sum();
            squared += along * along / f64::from(*variance);
            // Taken away one by one: axes in half precision would make a difference of squares worthless.
            left.iter_mut()
                .zip(axis)
                .for_each(|(left, a)| *left -= along * f64::from(*a));
        }
        let outside: f64 = left.iter().map(|v| v * v).sum();
        (squared + outside / f64::from(self.rest.data[0])).sqrt()
    }

    /// A vector divided by the covariance.
    #[cfg(not(target_family = "wasm"))]
    pub fn whitened(&self, vector: &[f64]) -> Vec<f64> {
        let rest = f64::from(self.rest.data[0]);
        let mut whitened: Vec<f64> = vector.iter().map(|v| v / rest).collect();
        let axes = self.axes.data.chunks(self.dimensions());
        for (axis, variance) in axes.zip(&self.variances.data) {
            let along: f64 = axis.iter().zip(vector).map(|(a, v)| f64::from(*a) * v).sum();
            let less = along * (1.0 / f64::from(*variance) - 1.0 / rest);
            whitened
                .iter_mut()
                .zip(axis)
                .for_each(|(w, a)| *w += less * f64::from(*a));
        }
        whitened
    }

    /// How far a picture lies along each direction of what is known to be foreign, as a multiple of its limit.
    fn along_known(&self, features: &[f32]) -> impl Iterator<Item = f64> {
        let directions = self.known.iter().flat_map(|known| {
            let each = known.directions.data.chunks(self.dimensions());
            each.zip(&known.limits.data)
        });
        directions.map(move |(direction, limit)| {
            let from_mean = features.iter().zip(&self.mean.data);
            let from_mean = from_mean.map(|(v, mean)| f64::from(*v) - f64::from(*mean));
            let along: f64 = from_mean.zip(direction).map(|(v, d)| v * f64::from(*d)).sum();
            along / f64::from(*limit)
        })
    }

    /// A picture's distance, or how far it lies towards what is known to be foreign: the larger multiple of its limit.
    pub fn unlikeness(&self, features: &[f32]) -> f64 {
        let distance = self.distance(features) / f64::from(self.limit.data[0]);
        self.along_known(features).fold(distance, f64::max)
    }

    /// The file's bytes; the axes are stored in half precision.
    ///
    /// # Errors
    /// A gate that [`Gate::read`] would refuse.
    #[cfg(not(target_family = "wasm"))]
    pub fn bytes(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        let arrays = [&self.mean, &self.axes, &self.variances, &self.rest, &self.limit];
        let known = self
            .known
            .iter()
            .flat_map(|known| [(DIRECTIONS, &known.directions), (LIMITS, &known.limits)]);
        let arrays: Arrays = NAMES
            .into_iter()
            .zip(arrays)
            .chain(known)
            .map(|(name, array)| (name.to_owned(), array.clone()))
            .collect();
        let mut files = Vec::new();
        shard::encode(&arrays, Dtype::F16, usize::MAX, |bytes| {
            files.push(bytes);
            Ok(())
        })?;
        files
            .pop()
            .filter(|_| files.is_empty())
            .ok_or_else(|| unusable("its gate does not fit one file"))
    }

    /// The same as it will be read again.
    ///
    /// # Errors
    /// Those of [`Gate::bytes`].
    #[cfg(not(target_family = "wasm"))]
    pub fn as_stored(&self) -> Result<Self, BundleError> {
        let bytes = self.bytes()?;
        let mut manifest = Manifest::new("", "", "", serde_json::Value::Null);
        manifest.files = vec![FileEntry::of(FILE, &bytes)];
        Self::read(&manifest, &bytes)
    }
}

/// The gate of a bundle's folder; `None` where it has none.
///
/// # Errors
/// See [`Gate::read`].
#[cfg(not(target_family = "wasm"))]
pub fn open(bundle: &super::Bundle) -> Result<Option<Gate>, BundleError> {
    if !Gate::is_in(bundle.manifest()) {
        return Ok(None);
    }
    Gate::read(bundle.manifest(), &bundle.file(FILE)?).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[f32]) -> Array {
        Array {
            shape: shape.to_vec(),
            data: data.to_vec(),
        }
    }

    fn gate() -> Gate {
        Gate {
            mean: array(&[3], &[1.0, 2.0, 3.0]),
            axes: array(&[1, 3], &[0.6, 0.8, 0.0]),
            variances: array(&[1], &[4.0]),
            rest: array(&[1], &[0.25]),
            limit: array(&[1], &[2.0]),
            known: None,
        }
    }

    /// The same, to which pictures along the third axis are known to be foreign from four on.
    fn knowing() -> Gate {
        Gate {
            known: Some(Known {
                directions: array(&[1, 3], &[0.0, 0.0, -1.0]),
                limits: array(&[1], &[0.25]),
            }),
            ..gate()
        }
    }

    #[test]
    fn a_distance_is_mahalanobis_along_the_axes_and_outside_them() {
        let gate = gate();
        assert_eq!(gate.distance(&[1.0, 2.0, 3.0]), 0.0);
        // Two along the axis, whose deviation is two; one outside, where it is a half.
        assert!((gate.distance(&[2.2, 3.6, 3.0]) - 1.0).abs() < 1e-6);
        assert!((gate.distance(&[1.0, 2.0, 4.0]) - 2.0).abs() < 1e-6);
        assert!((gate.unlikeness(&[1.0, 2.0, 4.0]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn what_lies_towards_the_known_is_foreign_though_it_is_near() {
        let gate = knowing();
        // One outside of the axis on either side; the known lies on one of them, four times as far as its limit.
        assert!((gate.unlikeness(&[1.0, 2.0, 4.0]) - 1.0).abs() < 1e-6);
        assert!((gate.unlikeness(&[1.0, 2.0, 2.0]) - 4.0).abs() < 1e-6);
    }

    #[test]
    fn a_map_is_averaged_over_three_by_three_fields() {
        // Seven by seven cells of one number each, the row's.
        let tokens: Vec<f32> = (0..49).map(|at| (at / 7) as f32).collect();
        let pooled = features(&tokens, 1, [7, 7]);
        assert_eq!(pooled, [1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 5.0, 5.0, 5.0]);
        // Three by three cells are the fields; what lies on no such grid is averaged over all.
        let nine: Vec<f32> = (0..9).map(|v| v as f32).collect();
        assert_eq!(features(&nine, 1, [3, 3]), nine);
        assert_eq!(features(&nine, 1, [2, 2]), [4.0]);
        assert_eq!(features(&[1.0, 2.0, 3.0, 4.0], 2, [2, 1]), [2.0, 3.0]);
    }

    #[test]
    fn a_gate_survives_a_bundle_and_what_does_not_fit_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("bundle");
        let arrays: Arrays = [("w".to_owned(), array(&[2], &[0.5, 1.0]))].into();
        let manifest = Manifest::new("b", "medvill", "tiny", serde_json::json!({}));
        super::super::write(&root, manifest, &arrays, None, Dtype::F32).unwrap();
        let bundle = super::super::Bundle::open(&root).unwrap();
        assert_eq!(open(&bundle).unwrap(), None);
        for gate in [gate(), knowing()] {
            let bytes = gate.bytes().unwrap();
            super::super::writer::put_files(&root, &[(FILE, &bytes)]).unwrap();
            let bundle = super::super::Bundle::open(&root).unwrap();
            assert_eq!(open(&bundle).unwrap(), Some(gate.as_stored().unwrap()));
            assert_eq!(bundle.arrays().unwrap(), arrays);
        }
        let mut short = gate();
        short.axes = array(&[1, 2], &[1.0, 0.0]);
        assert!(short.bytes().unwrap_err().to_string().contains("belong together"));
        let mut short = knowing();
        short.known.as_mut().unwrap().limits = array(&[2], &[1.0, 1.0]);
        assert!(short.bytes().unwrap_err().to_string().contains("belong together"));
        let mut flat = gate();
        flat.rest = array(&[1], &[0.0]);
        assert!(flat.bytes().unwrap_err().to_string().contains("no spread"));
    }
}
