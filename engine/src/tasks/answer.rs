//! A question of a radiograph becomes an answer (MedViLL, section 4.1, visual question answering).

use burn::tensor::{Tensor, activation::softmax};

use super::error::{TaskError, numbers};
use crate::systems::medvill::MedVill;
use crate::text::{AllowedAnswers, Specials, Tokenizer};

/// An answer with its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered {
    /// Index among the answers that the model knows.
    pub answer: usize,
    /// Its probability: among all answers, or, for a model that decides each by itself, its own.
    pub probability: f32,
}

/// The likeliest answers in words to each question, at most `most`, likeliest first; where the model's config says so, only
/// those that the question's form allows. `known` are the answers that the model knows.
///
/// # Shapes
/// - features `(batch, K, features)`, questions one a sample
///
/// # Errors
/// A model without a head for answers, words that cannot be encoded, and a device that fails.
pub async fn ask(
    model: &MedVill,
    tokenizer: &Tokenizer,
    known: &[String],
    features: Tensor<3>,
    questions: &[&str],
    most: usize,
) -> Result<Vec<Vec<(String, f32)>>, TaskError> {
    let words = questions.iter().map(|q| tokenizer.encode_closed(q, model.config().words));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let words: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
    let found = answers(model, features, &words, tokenizer.specials(), usize::MAX).await?;
    let pick = |(question, found): (&&str, Vec<Answered>)| {
        let form = AllowedAnswers::of(question, known);
        let allowed = |a: &Answered| !model.config().answer_form || form.allows(a.answer);
        let text = |a: Answered| Some((known.get(a.answer)?.clone(), a.probability));
        found.into_iter().filter(allowed).filter_map(text).take(most).collect()
    };
    Ok(questions.iter().zip(found).map(pick).collect())
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
    let logits = model.answer(features, questions, specials).ok_or(TaskError::NoHead("head for answers"))?;
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
