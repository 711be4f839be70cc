//! Words: the tokenizer, report sections, the labeler and the vocabulary of findings.

mod error;
mod finding;
mod label;
mod labels;
mod question;
mod sections;
mod tokenizer;

pub use error::TextError;
pub use finding::{Certainty, Finding, Labels, Side, Zone};
pub use label::foreign_language;
pub use label::{LEXICON, Labeler, Labelled, Mention, Reading};
pub use labels::{Blank, LabelName, LabelSet, NIH14, Target, Uncertain, plain_name, same_class};
pub use question::AllowedAnswers;
pub use sections::Report;
pub use tokenizer::{Decoder, Presenter, Specials, Tokenizer, present};
