//! The worker's state: the opened bundle, the image at hand, the requests that may go on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::device::Chosen;
use hilum::image::{Radiograph, WindowChoice};
use hilum::tasks::{Encoded, LoadedGallery, Session};
use hilum_protocol::{FromEngine, Task};

use super::error::WorkerError;
use super::scope::{post, yield_now};

/// A bundle at work on a device.
pub struct Engine {
    /// Its model, tokenizer and manifest.
    pub session: Session,
    /// The device.
    pub chosen: Chosen,
    /// The bundle's folder.
    pub url: String,
    /// Its gallery, once it was searched.
    pub gallery: RefCell<Option<Rc<LoadedGallery>>>,
    /// Whether the device was lost since.
    pub lost: Arc<AtomicBool>,
}

impl Engine {
    /// Whether the device is gone. The loss may be reported a little later than what failed by it.
    pub async fn is_lost(&self) -> bool {
        const ROUNDS: usize = 50;
        if self.chosen.adapter.is_none() {
            return false;
        }
        for _ in 0..ROUNDS {
            if self.lost.load(Ordering::Relaxed) {
                return true;
            }
            yield_now().await;
        }
        false
    }
}

/// A radiograph with what the image encoder made of it, once anything was asked.
pub struct Image {
    radiograph: Radiograph,
    encoded: RefCell<Option<Rc<Encoded>>>,
    /// The page's number of it.
    request: u32,
    /// Whether the page was told how unlike the training pictures it is.
    judged: Cell<bool>,
}

impl Image {
    /// A radiograph that nothing was asked about yet.
    pub fn new(radiograph: Radiograph, request: u32) -> Self {
        Self {
            radiograph,
            encoded: RefCell::default(),
            request,
            judged: Cell::new(false),
        }
    }

    /// Tells the page, once, how unlike what the model was trained on the radiograph is: before anything is said of it.
    ///
    /// # Errors
    /// A radiograph that cannot be shown, a gate of another model, and a device that fails.
    pub async fn judge(&self, session: &Session) -> Result<(), WorkerError> {
        if self.judged.replace(true) {
            return Ok(());
        }
        let unlikeness = session.unlikeness(&*self.encoded(session)?).await?;
        post(&FromEngine::Judged {
            request: self.request,
            unlikeness,
        });
        Ok(())
    }

    /// As the model reads it: computed once.
    ///
    /// # Errors
    /// A radiograph that cannot be shown.
    pub fn encoded(&self, session: &Session) -> Result<Rc<Encoded>, WorkerError> {
        if let Some(encoded) = self.encoded.borrow().as_ref() {
            return Ok(encoded.clone());
        }
        // The model sees the window that the file asks for, whatever the reader looks at: so all can be reproduced.
        let encoded = Rc::new(session.encode(&self.radiograph, &WindowChoice::Default)?);
        *self.encoded.borrow_mut() = Some(encoded.clone());
        Ok(encoded)
    }
}

/// The worker's state. Messages are handled one after the other, except that a draft lets others in between its
/// tokens and a search between its cases.
#[derive(Default)]
pub struct State {
    /// What was opened.
    pub engine: RefCell<Option<Rc<Engine>>>,
    /// The image at hand.
    pub image: RefCell<Option<Rc<Image>>>,
    /// The request of each task that may go on.
    live: RefCell<BTreeMap<Task, u32>>,
}

impl State {
    /// What was opened.
    ///
    /// # Errors
    /// Before anything was.
    pub fn engine(&self) -> Result<Rc<Engine>, WorkerError> {
        self.engine.borrow().clone().ok_or(WorkerError::NotReady)
    }

    /// A request begins; it cancels the one of the same task before it.
    pub fn begin(&self, task: Task, request: u32) {
        self.live.borrow_mut().insert(task, request);
    }

    /// Whether a request may go on.
    pub fn is_live(&self, task: Task, request: u32) -> bool {
        self.live.borrow().get(&task) == Some(&request)
    }

    /// Cancels a request.
    pub fn cancel(&self, request: u32) {
        self.live.borrow_mut().retain(|_, live| *live != request);
    }

    /// Cancels all requests.
    pub fn cancel_all(&self) {
        self.live.borrow_mut().clear();
    }
}
