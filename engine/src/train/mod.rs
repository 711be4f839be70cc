//! Training: one loop for all systems. A system brings its losses; the loop brings order, schedule, optimiser
//! and memory.

mod augment;
mod config;
mod corpus;
mod curves;
mod entry;
mod error;
mod export;
mod feature_cache;
mod folder;
mod image_cache;
mod init;
mod optimizer;
mod run;
mod schedule;
#[cfg(feature = "cli")]
mod tables;
mod validate;

pub use config::{Augment, AugmentChoice, Best, DataConfig, Method, Mix, OptimConfig, RunConfig, ViewChoice};
pub use corpus::{Corpus, CorpusOptions, answers};
pub use entry::train;
pub use error::TrainError;
pub use export::{ExportOptions, export};
pub use folder::{BestSoFar, Run, Which};
pub use optimizer::{GradientAccumulator, Optimizer, ParamOptions};
pub use run::Progress;
pub use schedule::{Decay, Schedule};
#[cfg(feature = "cli")]
pub use tables::{PAPERS, PaperTables, Part, TableError, TableOptions, Tables, markdown, svg, tables};
