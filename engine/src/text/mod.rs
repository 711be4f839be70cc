//! Words: the tokenizer, report sections, the labeler and the vocabulary of findings.

mod error;
mod finding;
mod sections;

pub use error::TextError;
pub use finding::{Certainty, Finding, Labels, Side, Zone};
pub use sections::Report;
