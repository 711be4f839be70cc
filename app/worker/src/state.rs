//! The worker's state: the open bundles, the image at hand, the requests that may go on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hilum::device::Chosen;
use hilum::image::{Radiograph, WindowChoice};
use hilum::tasks::{Encoded, LoadedGallery, Session};
use hilum_protocol::{Bundle, Candidate, FromEngine, Task, TaskRequest, Unlikeness, route};
use js_sys::Map;

use super::error::WorkerError;
use super::scope::{post, yield_now};
use super::source::Place;

/// A bundle at work on a device.
pub struct Engine {
    /// What there is to say of it.
    pub bundle: Bundle,
    /// Its model, tokenizer and manifest.
    pub session: Session,
    /// The device.
    pub chosen: Chosen,
    /// Where its files are.
    pub place: Place,
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

/// How far a bundle is with judging a picture.
#[derive(Clone, Copy)]
enum Judging {
    Not,
    Busy,
    Done(Option<Unlikeness>),
}

/// What a bundle's image encoder made of a radiograph, once anything was asked.
struct Look {
    sha256: String,
    encoded: RefCell<Option<Rc<Encoded>>>,
    judging: Cell<Judging>,
}

/// A radiograph with what each bundle made of it.
pub struct Image {
    radiograph: Radiograph,
    looks: RefCell<Vec<Rc<Look>>>,
    /// The page's number of it.
    request: u32,
}

impl Image {
    /// A radiograph that nothing was asked about yet.
    pub fn new(radiograph: Radiograph, request: u32) -> Self {
        Self {
            radiograph,
            looks: RefCell::default(),
            request,
        }
    }

    fn look(&self, engine: &Engine) -> Rc<Look> {
        let mut looks = self.looks.borrow_mut();
        let own = looks.iter().find(|look| look.sha256 == engine.bundle.sha256);
        if let Some(look) = own {
            return look.clone();
        }
        let look = Rc::new(Look {
            sha256: engine.bundle.sha256.clone(),
            encoded: RefCell::default(),
            judging: Cell::new(Judging::Not),
        });
        looks.push(look.clone());
        look
    }

    /// How unlike what the bundle's model was trained on the radiograph is; nothing where it cannot tell. The page is told once,
    /// before anything is said of it. What fails here is said when something is asked.
    pub async fn judge(&self, engine: &Engine) -> Option<Unlikeness> {
        let look = self.look(engine);
        loop {
            match look.judging.get() {
                Judging::Done(unlikeness) => return unlikeness,
                // Another message has begun it.
                Judging::Busy => yield_now().await,
                Judging::Not => break,
            }
        }
        look.judging.set(Judging::Busy);
        let judged = async {
            let encoded = self.encoded(engine)?;
            Ok::<_, WorkerError>(engine.session.unlikeness(&encoded).await?)
        };
        let judged = judged.await;
        let unlikeness = *judged.as_ref().unwrap_or(&None);
        look.judging.set(Judging::Done(unlikeness));
        if judged.is_ok() {
            post(&FromEngine::Judged {
                request: self.request,
                bundle: look.sha256.clone(),
                unlikeness,
            });
        }
        unlikeness
    }

    /// As the model reads it: computed once.
    ///
    /// # Errors
    /// A radiograph that cannot be shown.
    pub fn encoded(&self, engine: &Engine) -> Result<Rc<Encoded>, WorkerError> {
        let look = self.look(engine);
        if let Some(encoded) = look.encoded.borrow().as_ref() {
            return Ok(encoded.clone());
        }
        // The model sees the window that the file asks for, whatever the reader looks at: so all can be reproduced.
        let encoded = engine.session.encode(&self.radiograph, &WindowChoice::Default)?;
        let encoded = Rc::new(encoded);
        *look.encoded.borrow_mut() = Some(encoded.clone());
        Ok(encoded)
    }
}

/// The worker's state. Messages are handled one after the other, except that a draft lets others in between its
/// tokens and a search between its cases.
#[derive(Default)]
pub struct State {
    /// What is open, in the order of opening.
    engines: RefCell<Vec<Rc<Engine>>>,
    /// The folders that the page sent, by the names under which their bundles are opened.
    folders: RefCell<Vec<(String, Map)>>,
    /// The image at hand.
    pub image: RefCell<Option<Rc<Image>>>,
    /// The request of each task that may go on.
    live: RefCell<BTreeMap<Task, u32>>,
}

impl State {
    /// What is open, in the order of opening.
    pub fn engines(&self) -> Vec<Rc<Engine>> {
        self.engines.borrow().clone()
    }

    /// What was opened first of what is open.
    ///
    /// # Errors
    /// Before anything was.
    pub fn first(&self) -> Result<Rc<Engine>, WorkerError> {
        self.engines
            .borrow()
            .first()
            .cloned()
            .ok_or(WorkerError::NotReady)
    }

    /// The open bundle of that hash.
    pub fn find(&self, sha256: &str) -> Option<Rc<Engine>> {
        let engines = self.engines.borrow();
        engines
            .iter()
            .find(|engine| engine.bundle.sha256 == sha256)
            .cloned()
    }

    /// A bundle was opened.
    pub fn open(&self, engine: Engine) {
        self.engines.borrow_mut().push(Rc::new(engine));
    }

    /// Closes a bundle; what is under way with it comes to its end.
    pub fn close(&self, sha256: &str) {
        self.engines
            .borrow_mut()
            .retain(|engine| engine.bundle.sha256 != sha256);
        if let Some(image) = self.image.borrow().as_ref() {
            image.looks.borrow_mut().retain(|look| look.sha256 != sha256);
        }
    }

    /// Takes a folder's files.
    pub fn take_folder(&self, at: String, files: Map) {
        self.folders.borrow_mut().push((at, files));
    }

    /// Where the files of a bundle are.
    pub fn place(&self, at: String) -> Place {
        let folders = self.folders.borrow();
        let files = folders
            .iter()
            .find(|(own, _)| *own == at)
            .map(|(_, files)| files.clone());
        Place { at, files }
    }

    /// The bundle that serves a task: all that are open have judged the image by then.
    ///
    /// # Errors
    /// Before anything was opened.
    pub async fn serving(&self, task: &TaskRequest) -> Result<Rc<Engine>, WorkerError> {
        let first = self.first()?;
        let image = self.image.borrow().clone();
        let of_picture = !matches!(task, TaskRequest::Retrieve { text: Some(_) }) && image.is_some();
        let engines = self.engines();
        let mut judged = Vec::new();
        for engine in &engines {
            judged.push(match &image {
                Some(image) if of_picture => image.judge(engine).await,
                _ => None,
            });
        }
        let all: Vec<Candidate> = engines
            .iter()
            .zip(judged)
            .map(|(engine, unlikeness)| Candidate {
                tasks: &engine.bundle.tasks,
                reads_text: engine.bundle.reads_text,
                unlikeness,
            })
            .collect();
        // Where none offers the task, the first one says so.
        let at = route(task.task(), of_picture, &all);
        Ok(at.and_then(|at| engines.get(at).cloned()).unwrap_or(first))
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
