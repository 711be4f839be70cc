//! Training: one loop for all systems. A system brings its losses; the loop brings order, schedule, optimiser
//! and memory.

mod average;
mod config;
mod corpus;
mod curves;
mod error;
mod folder;
mod maps;
mod optimizer;
mod pictures;
mod run;
mod schedule;
mod start;
#[cfg(feature = "cli")]
mod tables;

pub use average::{Average, FeatureQueue};
pub use config::{Best, DataConfig, Method, Mix, OptimConfig, RunConfig, ViewChoice};
pub use corpus::{Corpus, answers, training_text};
pub use error::TrainError;
pub use folder::{BestSoFar, Run, Which};
pub use optimizer::{Optimizer, Pace, Sum};
pub use run::{Progress, train};
pub use schedule::{Fall, Schedule};
#[cfg(feature = "cli")]
pub use tables::{Part, TASKS, TableError, TableOptions, Tables, VARIANTS, markdown, svg, tables};
