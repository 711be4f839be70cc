//! Why a run did not start or did not go on.

use std::path::PathBuf;

use thiserror::Error;

/// Why a run did not start or did not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The config is not what it must be; `reason` has line and key.
    #[error("the config {path} cannot be used: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and key where known.
        reason: String,
    },
    /// A run's folder is not what it must be.
    #[error("the run {path} cannot be used: {reason}")]
    Run {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {path} failed: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data do not serve.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// An image could not be read.
    #[error("{path}: {source}; mend or remove it and go on with --resume")]
    Image {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: crate::image::ImageError,
    },
    /// Words.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
    /// Weights.
    #[error(transparent)]
    Weights(#[from] crate::nn::ParameterError),
    /// Files of weights.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// The model's config.
    #[error(transparent)]
    Model(#[from] crate::systems::ConfigError),
    /// A model that cannot be made.
    #[error(transparent)]
    Init(#[from] crate::systems::ModelError),
    /// Validation.
    #[error(transparent)]
    Evaluate(#[from] crate::tasks::EvaluateError),
    /// A bundle that cannot be opened.
    #[error(transparent)]
    Task(#[from] crate::tasks::TaskError),
    /// The loss is no number any more.
    #[error("the loss became {loss} at step {step}; lower optim.rate or set optim.clip")]
    Diverged {
        /// The step.
        step: usize,
        /// The loss.
        loss: f32,
    },
    /// Nothing to learn from.
    #[error("no example is left to train on: {reason}")]
    Empty {
        /// Why.
        reason: String,
    },
}

/// Wraps what the system said about a file.
pub(super) fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Io { doing, path, source }
}
