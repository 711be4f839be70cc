//! Bundles scored on data sets: each task gives cases, and cases give scores, of all of them or of a
//! resample.

mod answers;
mod draft;
mod findings;
mod retrieval;

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

pub use answers::{AnswerCases, evaluate_answers};
pub use draft::{DraftCases, DraftLine, evaluate_drafts};
pub use findings::{FindingCases, evaluate_findings, truth_of};
pub use retrieval::{RetrievalCases, evaluate_retrieval};

use super::{DraftError, TaskError};
use crate::data::Study;
use crate::image::{ImageError, WindowChoice, decode_file, prepare};
use crate::metrics::{TTest, bootstrap, t_test};
use crate::systems::learn::Learner;
use crate::systems::medvill::MedVill;
use crate::text::TextError;

/// Radiographs that are encoded at once.
const AT_ONCE: usize = 16;

/// Why an evaluation ended early.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// A picture could not be read.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: ImageError,
    },
    /// A draft failed.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A task failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Words.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Generated text.
    #[error(transparent)]
    Generation(#[from] crate::metrics::GenerationError),
    /// The data do not serve the task.
    #[error("{0}")]
    Data(&'static str),
}

/// Scores by name.
pub type Scores = BTreeMap<String, f64>;

/// What a task made of a data set, one case a study, query or question.
pub trait Cases {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The scores of the cases at `indices`; what they do not define is left out.
    fn scores(&self, indices: &[usize]) -> Scores;

    /// The scores of all of them.
    fn all(&self) -> Scores {
        self.scores(&(0..self.len()).collect::<Vec<_>>())
    }
}

/// A score over resamples.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// The score of each resample.
    #[serde(skip)]
    pub values: Vec<f64>,
}

impl Spread {
    /// Of some values.
    pub fn of(values: Vec<f64>) -> Self {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let sd = (squares / values.len().saturating_sub(1).max(1) as f64).sqrt();
        Self { mean, sd, values }
    }
}

/// Mean and deviation of every score over `resamples` draws of the cases with replacement (30 in MedViLL,
/// section 4.2).
pub fn spreads(cases: &dyn Cases, resamples: usize, seed: u64) -> BTreeMap<String, Spread> {
    let mut drawn: Vec<Scores> = Vec::new();
    bootstrap(cases.len(), resamples, seed, |indices| {
        drawn.push(cases.scores(indices));
        None
    });
    let names = cases.all().into_keys();
    let spread = |name: String| {
        let values: Vec<f64> = drawn
            .iter()
            .filter_map(|scores| scores.get(&name).copied())
            .collect();
        (values.len() > 1).then(|| (name, Spread::of(values)))
    };
    names.filter_map(spread).collect()
}

/// An independent t-test of each score that both have (MedViLL, section 4.2: significance at 0.05).
pub fn compare(
    ours: &BTreeMap<String, Spread>,
    theirs: &BTreeMap<String, Spread>,
) -> BTreeMap<String, TTest> {
    let pairs = ours
        .iter()
        .filter_map(|(name, own)| Some((name, own, theirs.get(name)?)));
    pairs
        .filter_map(|(name, own, other)| Some((name.clone(), t_test(&own.values, &other.values)?)))
        .collect()
}

/// The last maps of some studies' pictures, `(studies, K, features)`.
fn encode(model: &MedVill, studies: &[Study], device: &Device) -> Result<Tensor<3>, EvaluateError> {
    let size = model.config().size;
    let read = |study: &Study| -> Result<Vec<f32>, EvaluateError> {
        let fail = |source| EvaluateError::Image {
            path: study.image.clone(),
            source,
        };
        let gray = decode_file(&study.image)
            .and_then(|r| r.display(&WindowChoice::Default))
            .map_err(fail)?;
        Ok(prepare(&gray, size).pixels)
    };
    #[cfg(feature = "cli")]
    let pictures: Result<Vec<Vec<f32>>, EvaluateError> = {
        use rayon::prelude::*;
        studies.par_iter().map(read).collect()
    };
    #[cfg(not(feature = "cli"))]
    let pictures: Result<Vec<Vec<f32>>, EvaluateError> = studies.iter().map(read).collect();
    let pixels = TensorData::new(pictures?.concat(), [studies.len(), size, size]);
    Ok(model.features(Tensor::from_data(pixels, device)))
}

/// [`encode`] of any number of studies, some at a time.
fn encode_all(
    model: &MedVill,
    studies: &[Study],
    device: &Device,
    progress: &mut dyn FnMut(usize),
) -> Result<Tensor<3>, EvaluateError> {
    let mut parts = Vec::new();
    for (number, part) in studies.chunks(AT_ONCE).enumerate() {
        parts.push(encode(model, part, device)?);
        progress(number * AT_ONCE + part.len());
    }
    Ok(Tensor::cat(parts, 0))
}
