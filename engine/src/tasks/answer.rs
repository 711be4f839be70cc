//! A question of a radiograph becomes an answer (MedViLL, section 4.1, visual question answering).

use burn::tensor::{Tensor, activation::softmax};

use super::error::{TaskError, numbers};
use crate::systems::medvill::MedVill;
use crate::text::Specials;

/// An answer with its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered {
    /// Index among the answers that the model knows.
    pub answer: usize,
    /// Its probability: among all answers, or, for a model that decides each by itself, its own.
    pub probability: f32,
}

/// The likeliest answers to each question, at most `most`, likeliest first.
///
/// # Shapes
/// - features `(batch, K, features)`, questions one a sample, closing SEP included
///
/// # Errors
/// A model without a head for answers, and a device that fails.
pub async fn answers(
    model: &MedVill,
    features: Tensor<3>,
    questions: &[&[u32]],
    specials: Specials,
    most: usize,
) -> Result<Vec<Vec<Answered>>, TaskError> {
    let joint = model.judge(features, questions, specials).1;
    let logits = model.answer_logits(joint).ok_or(TaskError::NoHead("head for answers"))?;
    let classes = logits.dims()[1];
    let softly = model.config().answer_softmax;
    let values = numbers(if softly { softmax(logits, 1) } else { burn::tensor::activation::sigmoid(logits) }).await?;
    let best = |row: &[f32]| {
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order.truncate(most);
        order.into_iter().map(|answer| Answered { answer, probability: row[answer] }).collect()
    };
    Ok(values.chunks(classes).map(best).collect())
}
