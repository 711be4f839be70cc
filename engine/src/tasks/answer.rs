//! A question about a radiograph becomes an answer (MedViLL, section 4.1, visual question answering).

use burn::tensor::Tensor;

use super::error::{TaskError, read_back};
use super::session::Session;
use crate::systems::Task;
use crate::text::AllowedAnswers;

/// How to answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerOptions {
    /// Answers at most, most probable first.
    pub most: usize,
    /// Only answers that the form of the question allows: yes or no to an auxiliary verb, one of those named to "or".
    pub by_form: bool,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            most: 1,
            by_form: true,
        }
    }
}

/// The most probable answers to each question with their probabilities.
///
/// A probability is among all answers, or, for a model that decides each answer by itself, that answer's own.
///
/// # Shapes
/// - image `(B, K, F)`, `B` questions
///
/// # Errors
/// A model without a head for answers, answers without names, text that cannot be encoded, and a device that fails.
pub async fn ask(
    session: &Session,
    image: Tensor<3>,
    questions: &[&str],
    options: AnswerOptions,
) -> Result<Vec<Vec<(String, f32)>>, TaskError> {
    let encoded = questions.iter().map(|q| session.encode_text(Task::Vqa, q));
    let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
    let tokens: Vec<&[u32]> = encoded.iter().map(Vec::as_slice).collect();
    let answers = session.system().answer(image, &tokens);
    let answers = answers.ok_or(TaskError::NoHead("head for answers"))?;
    let (classes, known) = (answers.dims()[1], &session.manifest.answers);
    if known.len() != classes {
        return Err(TaskError::Unnamed {
            what: "answers",
            outputs: classes,
            named: known.len(),
        });
    }
    let probabilities = read_back(answers.exp()).await?;
    let pick = |(question, row): (&&str, &[f32])| {
        let form = AllowedAnswers::of(question, known);
        let mut order: Vec<usize> = (0..classes)
            .filter(|&a| !options.by_form || form.allows(a))
            .collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order.truncate(options.most);
        order
            .into_iter()
            .map(|answer| (known[answer].clone(), row[answer]))
            .collect()
    };
    let rows = probabilities.chunks(classes.max(1));
    Ok(questions.iter().zip(rows).map(pick).collect())
}
