//! A question of a radiograph becomes an answer (MedViLL, section 4.1, visual question answering).

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softmax};

use super::error::{TaskError, numbers};
use crate::systems::medvill::MedVill;
use crate::text::{AllowedAnswers, Tokenizer};

/// The likeliest answers in words to each question with their probabilities, at most `most`, likeliest first;
/// where the model's config says so, only those that the question's form allows. `known` are the answers that
/// the model knows.
///
/// A probability is among all answers, or, for a model that decides each answer by itself, that answer's own.
///
/// # Shapes
/// - features `(batch, K, features)`, questions one a sample
///
/// # Errors
/// A model without a head for answers, answers without names, words that cannot be encoded, and a device that
/// fails.
pub async fn ask(
    model: &MedVill,
    tokenizer: &Tokenizer,
    known: &[String],
    features: Tensor<3>,
    questions: &[&str],
    most: usize,
) -> Result<Vec<Vec<(String, f32)>>, TaskError> {
    let config = model.config();
    let words = questions
        .iter()
        .map(|q| tokenizer.encode_closed(q, config.words))
        .collect::<Result<Vec<_>, _>>()?;
    let words: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
    let logits = model
        .answer(features, &words, tokenizer.specials())
        .ok_or(TaskError::NoHead("head for answers"))?;
    let classes = logits.dims()[1];
    if known.len() != classes {
        return Err(TaskError::Unnamed {
            classes,
            named: known.len(),
        });
    }
    let probabilities = numbers(if config.answer_softmax {
        softmax(logits, 1)
    } else {
        sigmoid(logits)
    })
    .await?;
    let pick = |(question, row): (&&str, &[f32])| {
        let form = AllowedAnswers::of(question, known);
        let mut order: Vec<usize> = (0..classes)
            .filter(|&a| !config.answer_form || form.allows(a))
            .collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order
            .into_iter()
            .take(most)
            .map(|answer| (known[answer].clone(), row[answer]))
            .collect()
    };
    Ok(questions
        .iter()
        .zip(probabilities.chunks(classes))
        .map(pick)
        .collect())
}
