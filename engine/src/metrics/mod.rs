//! Measures: of classification, retrieval, answers and pictures, of drafted reports and generated text; and
//! how sure they are.

mod answer;
mod bleu;
mod calibration;
mod cider;
mod classification;
mod generation;
mod lengths;
mod meteor;
#[cfg(test)]
mod parity;
mod picture;
mod ranking;
mod report;
mod rouge;
mod significance;
mod texts;

pub use answer::{normalized_answer, perplexity};
pub use bleu::{Bleu, bleu};
pub use calibration::{
    Calibration, Criterion, OperatingPoint, binary_loss, calibration_error, fit_temperature, operating_point,
    sigmoid,
};
pub use cider::cider;
pub use classification::{Counts, auroc, average_precision, macro_auroc, macro_f1, micro, micro_auroc};
pub use generation::{ClinicalScores, GenerationError, GenerationScores, clinical_scores, generation_scores};
pub use lengths::{Lengths, length_distance};
pub use meteor::{MeteorError, MeteorScores, meteor};
pub use picture::{dice, mse, psnr, ssim};
pub use ranking::{Ranking, hit_by_chance, rank};
pub use report::{DraftScores, FindingScore, Pair, draft_scores};
pub use rouge::rouge_l;
pub use significance::{Bootstrap, TTest, bootstrap, incomplete_beta, t_test};
pub use texts::Texts;
