//! Runs a task: what it needs is loaded or computed once, what there is of its result is posted on the way.

use std::ops::ControlFlow;
use std::rc::Rc;

use hilum::bundle::{Gallery, gallery};
use hilum::tasks::{LoadedGallery, Subject, perform};
use hilum_protocol::{FromEngine, Partial, Task, TaskRequest, TaskResult};

use super::error::WorkerError;
use super::scope::{now, post, yield_now};
use super::source::Source;
use super::state::{Engine, State};

/// The browser gets its turn at least so often, in milliseconds.
const TURN: f64 = 24.0;

/// Runs a request with a bundle to its end, or until it is cancelled.
///
/// # Errors
/// A task that the bundle does not offer, a gallery that cannot be loaded, and what the task meets.
pub async fn run(
    state: &State,
    engine: &Engine,
    request: u32,
    task: &TaskRequest,
) -> Result<TaskResult, WorkerError> {
    let kind = task.task();
    engine.session.offers(kind)?;
    let gallery = match kind {
        // A check proposes a case of it in the place of a report that does not belong.
        Task::Retrieve | Task::Check => load_gallery(engine, request).await?,
        _ => None,
    };
    let began = now();
    let encoded = match task {
        // The gallery is searched by the text alone.
        TaskRequest::Retrieve { text: Some(_) } => None,
        _ => {
            let image = state.image.borrow().clone();
            match image {
                Some(image) => Some(image.encoded(engine)?),
                None => None,
            }
        }
    };
    let encode_ms = now() - began;
    let subject = Subject {
        image: encoded.as_deref(),
        gallery: gallery.as_deref(),
    };
    let mut waiting = String::new();
    let mut turn = now();
    let each = async |partial: Partial| {
        let due = match partial {
            Partial::Text(text) => {
                waiting += &text;
                now() - turn >= TURN
            }
            partial => {
                post(&FromEngine::Partial { request, partial });
                true
            }
        };
        if due {
            post_text(request, &mut waiting);
            yield_now().await;
            turn = now();
        }
        if state.is_live(kind, request) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let mut result = perform(&engine.session, task, subject, &now, each).await?;
    post_text(request, &mut waiting);
    if let TaskResult::Draft(draft) = &mut result {
        draft.encode_ms = encode_ms;
        draft.first_ms += encode_ms;
    }
    Ok(result)
}

fn post_text(request: u32, waiting: &mut String) {
    if !waiting.is_empty() {
        let partial = Partial::Text(std::mem::take(waiting));
        post(&FromEngine::Partial { request, partial });
    }
}

/// The bundle's gallery: loaded when it is first searched. Nothing where the bundle has none.
async fn load_gallery(engine: &Engine, request: u32) -> Result<Option<Rc<LoadedGallery>>, WorkerError> {
    let manifest = &engine.session.manifest;
    if !Gallery::is_in(manifest) {
        return Ok(None);
    }
    let loaded = engine.gallery.borrow().clone();
    if loaded.is_some() {
        return Ok(loaded);
    }
    let tell = move |done, total| {
        let partial = Partial::Loading(done, total);
        post(&FromEngine::Partial { request, partial });
    };
    let mut source = Source::open(engine.place.clone(), tell).await;
    // Of a bundle that is kept no more, nothing is kept.
    source.keeps = source.store.has(&engine.bundle.sha256).await;
    let cases = manifest.file(gallery::CASES)?;
    let features = manifest.file(gallery::FEATURES)?;
    let sheet = manifest.files.iter().find(|file| file.path == gallery::SHEET);
    source.total = cases.bytes + features.bytes + sheet.map_or(0, |sheet| sheet.bytes);
    let cases = source.file(cases).await?;
    let features = source.file(features).await?;
    let sheet = match sheet {
        Some(sheet) => Some(source.file(sheet).await?),
        None => None,
    };
    let read = Gallery::read(manifest, &cases, &features)?;
    let loaded = Rc::new(LoadedGallery::new(&engine.session, read, sheet.as_deref())?);
    *engine.gallery.borrow_mut() = Some(loaded.clone());
    Ok(Some(loaded))
}
