//! Training: one loop for all systems. A system brings its losses; the loop brings order, schedule, optimiser and memory.

mod config;
mod corpus;
mod curves;
mod maps;
mod objectives;
mod optimizer;
mod run;

pub use config::{DataConfig, ObjectiveWeights, OptimConfig, RunConfig, TrainError};
pub use corpus::{Corpus, Example};
pub use run::{Progress, Run, train};
