//! What a user asks for. Only this room waits for a device: models are synchronous, tensor in and tensor out.

mod answer;
mod attention;
#[cfg(not(target_family = "wasm"))]
mod boxes;
mod check;
mod draft;
mod error;
#[cfg(not(target_family = "wasm"))]
mod evaluate;
mod findings;
#[cfg(not(target_family = "wasm"))]
mod gate;
mod perform;
mod retrieve;
mod session;
mod trial;

pub use answer::{AnswerOptions, ask};
pub use attention::{Look, attention, dense_attention};
#[cfg(not(target_family = "wasm"))]
pub use boxes::{LabelBox, boxes};
pub use check::{check, checkable, fit_limits, side_doubts, word_looks};
pub use draft::{Draft, DraftOptions, Drafter, Drafting, Token};
pub use error::TaskError;
#[cfg(not(target_family = "wasm"))]
pub use evaluate::{
    AnswerCases, Cases, CheckCases, DraftCases, DraftLine, EvaluateError, EvaluateOptions, FindingCases,
    RetrievalCases, Scores, Spread, auroc_name, check_as_written, compare, evaluate, evaluate_findings,
    label_set, spreads,
};
pub use findings::{FindingReading, calibrate, finding_logits, readings};
#[cfg(not(target_family = "wasm"))]
pub use gate::{GateError, fit_gate};
pub use hilum_task::structured;
pub use hilum_task::{
    Answer, Area, Case, CheckLimits, Checked, CheckedSentence, CheckedWord, Closeness, Contradiction, Doubt,
    Drafted, Found, Mark, Partial, Piece, Reading, Suggestion, TaskRequest, TaskResult, Unlikeness, odds,
};
pub use perform::{Subject, best_cases, draft_text, perform};
pub use retrieve::{Features, LoadedGallery, Query, match_probabilities, rank_pairs, suggest};
pub use session::{Encoded, Session};
#[cfg(not(target_family = "wasm"))]
pub use trial::put_trial;
pub use trial::{Said, TRIAL_PICTURE, TRIAL_TOKENS, record_trial, recorded, trial, trial_picture};
