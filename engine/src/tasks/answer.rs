//! A question about a radiograph becomes an answer (MedViLL, section 4.1, visual question answering).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::error::{TaskError, read_back};
use super::session::Session;
use crate::systems::Task;
use crate::text::AllowedAnswers;

/// Tokens of a written answer at most.
const LONGEST: usize = 24;

/// How to answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerOptions {
    /// Answers at most, most probable first.
    pub most: usize,
    /// Only answers that the form of the question allows: yes or no to an auxiliary verb, one of those named to "or".
    pub by_form: bool,
    /// The model writes its one answer instead of choosing among those it knows.
    pub written: bool,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            most: 1,
            by_form: true,
            written: false,
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
    if options.written {
        let written = write(session, image, &tokens).await?;
        return Ok(written.into_iter().map(|answer| vec![answer]).collect());
    }
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

/// Greedily written answers with their probabilities.
async fn write(
    session: &Session,
    image: Tensor<3>,
    questions: &[&[u32]],
) -> Result<Vec<(String, f32)>, TaskError> {
    let answerer = session
        .system()
        .answerer()
        .ok_or(TaskError::NoHead("decoder that writes answers"))?;
    let tokenizer = session.tokenizer(Task::Vqa)?;
    let (sep, device) = (tokenizer.specials().sep, image.device());
    let mut state = answerer.start(image, questions, LONGEST);
    let mut written: Vec<(Vec<u32>, f32, bool)> = vec![(Vec::new(), 0.0, false); questions.len()];
    let mut last: Option<Tensor<2, Int>> = None;
    for _ in 0..LONGEST {
        let logits = answerer.step(&mut state, last.take());
        let vocabulary = logits.dims()[1].max(1);
        let logs = read_back(log_softmax(logits, 1)).await?;
        let mut next = Vec::with_capacity(questions.len());
        for (answer, logs) in written.iter_mut().zip(logs.chunks(vocabulary)) {
            let best = (0..logs.len()).max_by(|&a, &b| logs[a].total_cmp(&logs[b]));
            let best = best.unwrap_or_default();
            if !answer.2 {
                answer.1 += logs[best];
                answer.2 = best as u32 == sep;
                if !answer.2 {
                    answer.0.push(best as u32);
                }
            }
            next.push(best as i32);
        }
        if written.iter().all(|(_, _, done)| *done) {
            break;
        }
        let count = next.len();
        last = Some(Tensor::from_data(TensorData::new(next, [count, 1]), &device));
    }
    let told = |(tokens, log, _): (Vec<u32>, f32, bool)| (tokenizer.decode(&tokens), log.exp());
    Ok(written.into_iter().map(told).collect())
}
