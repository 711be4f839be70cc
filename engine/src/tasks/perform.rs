//! One way from a request to its result, whatever the task: what a worker or a shell runs.

use std::ops::ControlFlow;

use hilum_task::{Answer, Case, Drafted, Found, Looked, Partial, Piece, Reading, TaskRequest, TaskResult};

use super::answer::{AnswerOptions, ask};
use super::attention::{Look, attention};
use super::check::{check, checkable, looks_of_words};
use super::draft::{Draft, DraftOptions, Drafter};
use super::error::TaskError;
use super::findings::{finding_logits, readings};
use super::retrieve::{LoadedGallery, Query, suggest};
use super::session::{Encoded, Session};
use crate::image::Prepared;
use crate::systems::Task;
use crate::text::{Presenter, Tokenizer, present};

/// Answers to a question.
const ANSWERS: usize = 3;
/// Cases of a search.
const CASES: usize = 5;

/// What a request is about.
#[derive(Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The radiograph, where one is open.
    pub image: Option<&'a Encoded>,
    /// The bundle's gallery, where it has one.
    pub gallery: Option<&'a LoadedGallery>,
}

/// Runs a request. `each` is told what there is before the result is whole, and cancels the request by breaking: a draft
/// ends with what is written, anything else without a result. `now` tells milliseconds.
///
/// # Errors
/// A task that the bundle does not offer, a request that lacks its radiograph or gallery, and whatever the task meets.
pub async fn perform(
    session: &Session,
    request: &TaskRequest,
    subject: Subject<'_>,
    now: &dyn Fn() -> f64,
    mut each: impl AsyncFnMut(Partial) -> ControlFlow<()>,
) -> Result<TaskResult, TaskError> {
    session.offers(request.task())?;
    let image = subject.image.ok_or(TaskError::NoImage);
    match request {
        TaskRequest::Draft => draft(session, image?, now, each).await,
        TaskRequest::Looks { tokens } => looks(session, image?, tokens).await,
        TaskRequest::Findings => {
            let logits = finding_logits(session, image?.tokens.clone(), None).await?;
            let mut read = logits
                .first()
                .map_or_else(Vec::new, |logits| readings(&session.manifest.labels, logits));
            read.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            let told = read.into_iter().map(|r| Reading {
                present: r.present(),
                probability: r.probability,
                operating_point: r.operating_point,
                side: r.side.map(|side| side.name().to_owned()),
                area: r.area,
                name: r.name,
            });
            Ok(TaskResult::Findings(told.collect()))
        }
        TaskRequest::Vqa { question } => {
            let options = AnswerOptions {
                most: ANSWERS,
                ..AnswerOptions::default()
            };
            let found = ask(session, image?.tokens.clone(), &[question], options).await?;
            let answers = found.into_iter().flatten();
            let told = answers.map(|(text, probability)| Answer { text, probability });
            Ok(TaskResult::Vqa(told.collect()))
        }
        TaskRequest::Retrieve { text } => {
            let gallery = subject.gallery.ok_or(TaskError::NoGallery)?;
            let query = match text {
                Some(text) => Query::Text(text),
                None => Query::Image(&image?.tokens),
            };
            let told =
                async |done: usize, total: usize| each(Partial::Comparing(done as u64, total as u64)).await;
            match gallery.search(session, query, told).await? {
                Some(found) => Ok(TaskResult::Retrieve(best_cases(gallery, &found, CASES))),
                None => Ok(TaskResult::Cancelled),
            }
        }
        TaskRequest::Check { text } => {
            let told =
                async |done: usize, total: usize| each(Partial::Weighing(done as u64, total as u64)).await;
            checkable(text)?;
            let image = image?;
            let Some(mut checked) = check(session, &image.tokens, text, told).await? else {
                return Ok(TaskResult::Cancelled);
            };
            let looks = looks_of_words(session, &image.tokens, text).await?;
            checked.looked = looks.map(|looks| over_radiograph(session, image, &looks));
            // Where the report does not belong, one that does may be at hand.
            if let Some(gallery) = subject.gallery.filter(|_| checked.belongs() == Some(false)) {
                let told = async |done: usize, total: usize| {
                    each(Partial::Comparing(done as u64, total as u64)).await
                };
                checked.suggestion = suggest(session, gallery, &image.tokens, checked.matching, told).await?;
            }
            Ok(TaskResult::Check(Box::new(checked)))
        }
    }
}

/// The best of what a search found.
pub fn best_cases(gallery: &LoadedGallery, found: &[(usize, f32)], most: usize) -> Found {
    let case = |&(at, value): &(usize, f32)| {
        let case = gallery.index.cases[at].clone();
        Case {
            id: case.id,
            closeness: gallery.closeness(value),
            labels: case.labels,
            report: case.report,
            thumbnail: gallery.thumbnail(at),
        }
    };
    Found {
        source: gallery.index.source.clone(),
        searched: gallery.index.cases.len(),
        side: gallery.index.thumbnail,
        cases: found.iter().take(most).map(case).collect(),
    }
}

/// The text of a draft.
pub fn draft_text(tokenizer: &Tokenizer, draft: &Draft) -> String {
    present(&tokenizer.decode(&draft.ids()))
}

async fn draft(
    session: &Session,
    image: &Encoded,
    now: &dyn Fn() -> f64,
    mut each: impl AsyncFnMut(Partial) -> ControlFlow<()>,
) -> Result<TaskResult, TaskError> {
    let tokenizer = session.tokenizer(Task::Draft)?;
    let drafter = Drafter::new(session)?;
    let began = now();
    let mut drafting = drafter.begin(image.tokens.clone(), DraftOptions::default());
    let mut presenter = Presenter::new(tokenizer);
    let (mut first_ms, mut stopped) = (0.0, false);
    while let Some(token) = drafting.next().await? {
        if first_ms == 0.0 {
            first_ms = now() - began;
        }
        if each(Partial::Text(presenter.push(token.id))).await.is_break() {
            stopped = true;
            break;
        }
    }
    let seconds = (now() - began).max(0.1) / 1e3;
    let rest = presenter.finish();
    if !rest.is_empty() && each(Partial::Text(rest)).await.is_break() {
        stopped = true;
    }
    let draft = drafting.draft();
    let piece = |token: &super::draft::Token| Piece {
        id: token.id,
        text: tokenizer.piece(token.id),
        probability: token.probability,
        margin: token.margin,
    };
    Ok(TaskResult::Draft(Drafted {
        text: draft_text(tokenizer, draft),
        pieces: draft.tokens.iter().map(piece).collect(),
        finished: draft.finished,
        stopped,
        encode_ms: 0.0,
        first_ms,
        pieces_per_s: draft.tokens.len() as f64 / seconds,
    }))
}

/// Where the tokens of a draft looked, over the part of the radiograph that the model read.
async fn looks(session: &Session, image: &Encoded, tokens: &[u32]) -> Result<TaskResult, TaskError> {
    let looks = match attention(session, image.tokens.clone(), tokens).await {
        Err(TaskError::NoHead(_)) => return Ok(TaskResult::Looks(None)),
        looks => looks?,
    };
    Ok(TaskResult::Looks(Some(over_radiograph(session, image, &looks))))
}

/// Maps over the part of the radiograph that the model read.
fn over_radiograph(session: &Session, image: &Encoded, looks: &[Look]) -> Looked {
    let Prepared {
        size, crop, placed, ..
    } = image.prepared;
    // The edges of the model's square, in pixels of the radiograph: a pixel of the square stands for several of them.
    let edges = |from: usize, length: usize, placed: usize, over: usize| {
        let each = length as f64 / over.max(1) as f64;
        let left = from as f64 - placed as f64 * each;
        (left, left + size as f64 * each)
    };
    let [rows, columns] = session.spec().grid;
    let values = looks.iter().flat_map(|look| &look.cells);
    Looked {
        grid: (rows, columns),
        across: edges(crop.x, crop.width, placed.x, placed.width),
        down: edges(crop.y, crop.height, placed.y, placed.height),
        cells: values.flat_map(|value| value.to_le_bytes()).collect(),
    }
}
