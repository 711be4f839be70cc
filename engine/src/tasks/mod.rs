//! What a user asks for.

mod draft;
mod evaluate;
mod trace;

pub use draft::{Draft, DraftError, DraftOptions, Drafter, Word};
pub use evaluate::{DraftLine, EvaluateError, Evaluated, evaluate_drafts};
pub use trace::{TraceError, TraceInput, trace};
