//! Drafts of a data set, scored against what is known to be there.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use thiserror::Error;

use super::draft::{DraftError, Drafter};
use crate::data::Study;
use crate::image::{ImageError, WindowChoice, decode_file, prepare};
use crate::metrics::{DraftScores, Pair, draft_scores};
use crate::systems::medvill::MedVill;
use crate::text::{Finding, Labeler, Tokenizer, present};

/// Why an evaluation ended early.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// A picture could not be read.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: ImageError,
    },
    /// A draft failed.
    #[error(transparent)]
    Draft(#[from] DraftError),
}

/// One draft beside its reference.
#[derive(Clone, Debug, Serialize)]
pub struct DraftLine {
    /// The study.
    pub id: String,
    /// What the model wrote.
    pub draft: String,
    /// What the data set says.
    pub reference: String,
    /// Categories that the draft states.
    pub stated: Vec<&'static str>,
    /// Categories that are there.
    pub truth: Vec<&'static str>,
}

/// Scores with the drafts behind them.
pub struct Evaluated {
    /// The scores.
    pub scores: DraftScores,
    /// The drafts.
    pub lines: Vec<DraftLine>,
}

/// Drafts and scores `studies`, 16 at a time; `progress` is told how many are done.
///
/// Truth is the phantom's description where there is one, else the data set's labels, else the reference's as read by the
/// labeler; sides are known for phantoms alone.
///
/// # Errors
/// The first picture that cannot be read, or a device that fails.
pub async fn evaluate_drafts(
    model: &MedVill,
    tokenizer: &Tokenizer,
    studies: &[Study],
    device: &Device,
    mut progress: impl FnMut(usize),
) -> Result<Evaluated, EvaluateError> {
    let drafter = Drafter::new(model, tokenizer);
    let labeler = Labeler::new();
    let size = model.config().size;
    let (mut cases, mut lines) = (Vec::new(), Vec::new());
    for batch in studies.chunks(16) {
        let mut pixels = Vec::with_capacity(batch.len() * size * size);
        for study in batch {
            let fail = |source| EvaluateError::Image { path: study.image.clone(), source };
            let gray = decode_file(&study.image).and_then(|r| r.display(&WindowChoice::Default)).map_err(fail)?;
            pixels.extend(prepare(&gray, size).pixels);
        }
        let pixels = Tensor::<3>::from_data(TensorData::new(pixels, [batch.len(), size, size]), device);
        let features = model.encode_image(model.picture(pixels), |_, _| ());
        for (study, draft) in batch.iter().zip(drafter.draft_batch(features, model.config().words).await?) {
            let ids: Vec<u32> = draft.words.iter().map(|w| w.id).collect();
            let text = present(&tokenizer.decode(&ids));
            let reading = labeler.read(&text);
            let (truth, sides) = match &study.description {
                Some(description) => (description.labels(), description.sides()),
                None => (study.labels.unwrap_or_else(|| labeler.labels(&study.report)), [None; 14]),
            };
            let positive = |labels: &crate::text::Labels| {
                let is = |f: &Finding| labels[*f as usize] == Some(crate::text::Certainty::Positive);
                Finding::ALL.into_iter().filter(is).map(Finding::name).collect()
            };
            lines.push(DraftLine {
                id: study.id.clone(),
                stated: positive(&reading.labels),
                truth: positive(&truth),
                draft: text,
                reference: study.report.longer().to_owned(),
            });
            cases.push(Pair { drafted: reading, labels: truth, sides });
        }
        progress(lines.len());
    }
    Ok(Evaluated { scores: draft_scores(&cases), lines })
}
