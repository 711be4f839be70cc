//! Words: the tokenizer, report sections, the labeler, the vocabulary of findings, Medical Subject Headings, Chinese.

mod chinese;
mod error;
mod finding;
mod label;
mod labels;
mod mesh;
mod mistakes;
mod pattern;
mod question;
mod sections;
mod subject;
mod tokenizer;

pub use chinese::{has_han, segmented};
pub use error::TextError;
pub use finding::{Certainty, Finding, Labels, Side, Zone};
pub use label::foreign_language;
pub use label::{LEXICON, Labeler, Labelled, Mention, Reading};
pub use labels::{Blank, LabelName, LabelSet, NIH14, Target, Uncertain, plain_name, same_class};
pub use mesh::Mesh;
pub use mistakes::{Mistake, Mistaken, make as make_mistake, sentences, swap_one_side, swap_sides};
pub use question::AllowedAnswers;
pub use sections::{Report, Sections, described, undescribed};
pub use subject::{Subject, subject};
pub use tokenizer::{Decoder, Presenter, Specials, Tokenizer, present};
