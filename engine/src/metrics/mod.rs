//! Measures: of classification, of drafted reports, and of generated text.

mod bleu;
mod classification;
mod report;

pub use bleu::{Bleu, bleu};
pub use classification::{Counts, auroc, macro_auroc, macro_f1, micro};
pub use report::{DraftScores, FindingScore, Pair, draft_scores};
