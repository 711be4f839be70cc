//! Bundles scored on data sets: each task gives cases, and cases give scores, of all of them or of a
//! resample.

mod answers;
mod check;
mod draft;
mod findings;
mod retrieval;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use serde_json::{Map, Value};
use thiserror::Error;

pub use answers::AnswerCases;
pub use check::{CheckCases, check_as_written};
pub use draft::{DraftCases, DraftLine};
pub use findings::{FindingCases, auroc_name, evaluate_findings, label_set};
pub use retrieval::RetrievalCases;

use super::session::Session;
use super::{AnswerOptions, LoadedGallery, TaskError};
use crate::data::{Study, par_map};
use crate::image::{Gray8, ImageError, WindowChoice, decode_file};
use crate::metrics::{TTest, bootstrap, t_test};
use crate::systems::Task;
use crate::text::TextError;

/// Radiographs that are encoded at once.
pub(super) const AT_ONCE: usize = 16;

/// Why an evaluation ended early.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// An image could not be read.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: ImageError,
    },
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

    /// One line a case, for those who read them beside their references; nothing where a case is a number alone.
    fn lines(&self) -> Vec<Value> {
        Vec::new()
    }

    /// What is not resampled, by name.
    ///
    /// # Errors
    /// What cannot be computed of these cases.
    fn more(&self) -> Result<Map<String, Value>, EvaluateError> {
        Ok(Map::new())
    }

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
    /// Where the middle 95 in 100 begin: with resamples, the lower end of the percentile interval.
    pub low: f64,
    /// Where they end.
    pub high: f64,
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
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * sorted.len().saturating_sub(1) as f64;
            let [below, above] = [place.floor(), place.ceil()].map(|place| sorted.get(place as usize));
            let [below, above] = [below, above].map(|value| value.copied().unwrap_or(f64::NAN));
            below + (above - below) * place.fract()
        };
        let [low, high] = [0.025, 0.975].map(at);
        Self {
            mean,
            sd,
            low,
            high,
            values,
        }
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

/// How to evaluate; each task reads what concerns it.
#[derive(Clone, Copy)]
pub struct EvaluateOptions<'a> {
    /// Findings: read the report beside the image, as MedViLL's diagnosis does.
    pub with_report: bool,
    /// Findings: what is painted over in each picture with its mean, left, top, right and bottom, 0 to 1: what is still read then
    /// was not read there.
    pub blank: Option<[f32; 4]>,
    /// Drafts: hypotheses kept; what the model's paper has where nothing is said.
    pub beam: Option<usize>,
    /// Vqa: only answers that the form of a question allows.
    pub by_form: bool,
    /// Vqa: answers that the model writes, instead of those that it chooses.
    pub written: bool,
    /// Retrieve: candidates of a trial.
    pub candidates: usize,
    /// Retrieve: trials in each direction, at most. Check: reports of which each word is weighed.
    pub trials: usize,
    /// Retrieve: only the query's own report or image counts as found, not another one with its labels.
    pub exact: bool,
    /// Check: where a better report is looked for in the place of another patient's; `None` looks for none.
    pub gallery: Option<&'a LoadedGallery>,
    /// Of all that is drawn.
    pub seed: u64,
}

impl Default for EvaluateOptions<'_> {
    fn default() -> Self {
        Self {
            with_report: false,
            blank: None,
            beam: None,
            by_form: true,
            written: false,
            candidates: 100,
            trials: 100,
            exact: false,
            gallery: None,
            seed: 0,
        }
    }
}

/// Scores a session in a task on some studies; `progress` is told how many cases are done.
///
/// # Errors
/// A model or data that do not serve the task, the first image that cannot be read, a device that fails.
pub async fn evaluate(
    session: &Session,
    task: Task,
    studies: &[Study],
    options: &EvaluateOptions<'_>,
    progress: impl FnMut(usize),
) -> Result<Box<dyn Cases>, EvaluateError> {
    Ok(match task {
        Task::Draft => Box::new(draft::evaluate(session, studies, options, progress).await?),
        Task::Findings => {
            Box::new(evaluate_findings(session, studies, options.with_report, options.blank, progress).await?)
        }
        Task::Vqa => {
            let answers = AnswerOptions {
                most: 1,
                by_form: options.by_form,
                written: options.written,
            };
            Box::new(answers::evaluate(session, studies, answers, progress).await?)
        }
        Task::Retrieve if session.compares_codes() => {
            Box::new(retrieval::evaluate_pictures(session, studies, options, progress).await?)
        }
        Task::Retrieve => Box::new(retrieval::evaluate(session, studies, options, progress).await?),
        Task::Check => Box::new(check::evaluate(session, studies, options, progress).await?),
    })
}

/// Image tokens of some studies, `(studies, K, F)`, with a part of each picture painted over where one is given.
pub(super) fn encode(
    session: &Session,
    studies: &[Study],
    blank: Option<[f32; 4]>,
) -> Result<Tensor<3>, EvaluateError> {
    let files: Vec<&Path> = studies.iter().map(|study| study.image.as_path()).collect();
    encode_files(session, &files, blank)
}

/// [`encode`] of pictures.
pub(super) fn encode_files(
    session: &Session,
    files: &[&Path],
    blank: Option<[f32; 4]>,
) -> Result<Tensor<3>, EvaluateError> {
    let preprocessing = session.spec().preprocessing;
    let read = |file: &&Path| -> Result<Vec<f32>, EvaluateError> {
        let fail = |source| EvaluateError::Image {
            path: file.to_path_buf(),
            source,
        };
        let gray = decode_file(file).and_then(|r| r.display(&WindowChoice::Default));
        let mut gray = gray.map_err(fail)?;
        if let Some(area) = blank {
            paint_over(&mut gray, area);
        }
        Ok(preprocessing.apply(&gray).pixels)
    };
    let pixels: Vec<Vec<f32>> = par_map(files, read)?;
    Ok(session.encode_pixels(pixels.concat(), files.len()))
}

/// Paints a part of a picture over with the picture's mean.
fn paint_over(gray: &mut Gray8, area: [f32; 4]) {
    let sum: u64 = gray.pixels.iter().map(|v| u64::from(*v)).sum();
    let mean = (sum / gray.pixels.len().max(1) as u64) as u8;
    let span = |from: f32, to: f32, length: usize| {
        let at = |share: f32| (share.clamp(0.0, 1.0) * length as f32).round() as usize;
        at(from)..at(to).max(at(from))
    };
    let columns = span(area[0], area[2], gray.width);
    for row in span(area[1], area[3], gray.height) {
        gray.pixels[row * gray.width..][columns.clone()].fill(mean);
    }
}

/// [`encode`] of any number of studies, some at a time.
fn encode_all(
    session: &Session,
    studies: &[Study],
    progress: &mut dyn FnMut(usize),
) -> Result<Tensor<3>, EvaluateError> {
    let mut parts = Vec::new();
    for (number, part) in studies.chunks(AT_ONCE).enumerate() {
        parts.push(encode(session, part, None)?);
        progress(number * AT_ONCE + part.len());
    }
    Ok(Tensor::cat(parts, 0))
}
