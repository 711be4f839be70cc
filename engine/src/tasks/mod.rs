//! What a user asks for.

mod answer;
mod attention;
mod draft;
mod error;
#[cfg(not(target_family = "wasm"))]
mod evaluate;
mod findings;
mod retrieve;
mod trace;

pub use answer::ask;
pub use attention::{Look, looks};
pub use draft::{Draft, DraftError, DraftOptions, Drafter, Drafting, Word};
pub use error::TaskError;
#[cfg(not(target_family = "wasm"))]
pub use evaluate::{
    AnswerCases, Cases, DraftCases, DraftLine, EvaluateError, FindingCases, RetrievalCases, Scores, Spread,
    compare, evaluate_answers, evaluate_drafts, evaluate_findings, evaluate_retrieval, spreads, truth_of,
};
pub use findings::{Calibration, FindingLogits, FindingReading, calibrate, finding_logits};
pub use retrieve::match_probabilities;
pub use trace::{TraceError, TraceInput, trace};
