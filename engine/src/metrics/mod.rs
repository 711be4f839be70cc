//! Measures: of classification, of drafted reports, and of generated text.

mod bleu;
mod cider;
mod classification;
mod generation;
mod meteor;
#[cfg(test)]
mod parity;
mod report;
mod rouge;

pub use bleu::{Bleu, bleu};
pub use cider::cider;
pub use classification::{Counts, auroc, macro_auroc, macro_f1, micro};
pub use generation::{ClinicalScores, GenerationError, GenerationScores, Texts, clinical_scores, generation_scores};
pub use meteor::{MeteorError, MeteorScores, meteor};
pub use report::{DraftScores, FindingScore, Pair, draft_scores};
pub use rouge::rouge_l;
