//! What a user asks for.

mod draft;
#[cfg(not(target_family = "wasm"))]
mod evaluate;
mod trace;

pub use draft::{Draft, DraftError, DraftOptions, Drafter, Drafting, Word};
#[cfg(not(target_family = "wasm"))]
pub use evaluate::{DraftLine, EvaluateError, Evaluated, evaluate_drafts};
pub use trace::{TraceError, TraceInput, trace};
