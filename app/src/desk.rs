//! What lies on the reader's desk: the engine's state, the picture, the report. All of the page's state is
//! here.

use std::sync::Arc;

use hilum_image::Radiograph;
use hilum_protocol::{Drafted, FromEngine, Opened, Phase, ToEngine, Wish};
use leptos::leptos_dom::helpers::{set_timeout, window};
use leptos::prelude::*;
use std::time::Duration;

use super::link;
use super::questions::Questions;

/// The bundle that the page is published with.
const BUNDLE: &str = "models/demo";
/// How long a worker may be silent after a sleep.
const PATIENCE: Duration = Duration::from_secs(15);
/// A device that is lost again so soon after it was rebuilt, in milliseconds, is given up.
const AGAIN: f64 = 60_000.0;

/// How the engine is.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// On its way: with what, how far, of how much.
    Loading(Phase, u64, u64),
    /// Ready.
    Ready(Opened),
    /// It cannot go on: why, and what to do.
    Failed(String),
}

/// The picture on the desk.
#[derive(Clone, Debug)]
pub enum Picture {
    /// None yet.
    None,
    /// Being decoded: the file's name.
    Reading(String),
    /// Decoded: its name, the picture for the screen, its size in the file.
    Read(String, Arc<Radiograph>, (usize, usize)),
    /// Not readable: the file's name, why.
    Unreadable(String, String),
}

/// The draft.
#[derive(Clone, Debug, PartialEq)]
pub enum Draft {
    /// None asked for.
    None,
    /// Words are coming.
    Running,
    /// Ended.
    Done(Drafted),
    /// Failed: why.
    Failed(String),
}

/// The desk. It is a handful of signals, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Desk {
    /// The engine.
    pub status: RwSignal<Status>,
    /// The picture.
    pub picture: RwSignal<Picture>,
    /// The draft.
    pub draft: RwSignal<Draft>,
    /// The report's text, as drafted and edited.
    pub text: RwSignal<String>,
    /// What was asked of the picture besides a draft.
    pub questions: Questions,
    /// The text that a new draft or picture replaced.
    pub replaced: RwSignal<Option<String>>,
    /// What the reader should know: a device rebuilt, storage refused.
    pub notice: RwSignal<Option<String>>,
    /// Where to compute.
    pub wish: RwSignal<Wish>,
    /// The file's bytes, for an engine that is started anew.
    bytes: StoredValue<Arc<Vec<u8>>>,
    /// The numbers of the newest picture's and draft's requests: whatever else answers comes too late.
    picture_request: StoredValue<u32>,
    draft_request: StoredValue<u32>,
    rebuilt: StoredValue<Option<f64>>,
    greeted: StoredValue<bool>,
    heard: StoredValue<u32>,
}

impl Desk {
    /// An empty desk, with the wishes of the page's address.
    pub fn new() -> Self {
        let wish = parameter("device")
            .and_then(|text| Wish::parse(&text))
            .unwrap_or_default();
        Self {
            status: RwSignal::new(Status::Loading(Phase::Program, 0, 0)),
            picture: RwSignal::new(Picture::None),
            draft: RwSignal::new(Draft::None),
            text: RwSignal::new(String::new()),
            replaced: RwSignal::new(None),
            notice: RwSignal::new(None),
            wish: RwSignal::new(wish),
            bytes: StoredValue::new(Arc::default()),
            questions: Questions::new(),
            picture_request: StoredValue::new(0),
            draft_request: StoredValue::new(0),
            rebuilt: StoredValue::new(None),
            greeted: StoredValue::new(false),
            heard: StoredValue::new(0),
        }
    }

    /// Starts the engine, or starts it anew.
    pub fn start(self) {
        self.status.set(Status::Loading(Phase::Program, 0, 0));
        self.greeted.set_value(false);
        if let Err(why) = link::start(move |message| self.hear(message), move |why| self.broken(&why)) {
            self.status.set(Status::Failed(why));
        }
    }

    /// The worker listens: what it must know comes first, and then the picture that lies here.
    fn greet(self) {
        let own = BUNDLE.to_owned();
        let bundle = parameter("bundle").unwrap_or_else(|| own.clone());
        let sha256 = option_env!("HILUM_BUNDLE_SHA256").filter(|hash| bundle == own && !hash.is_empty());
        let Some(url) = same_origin(&bundle) else {
            link::end();
            return self.status.set(Status::Failed(format!(
                "the bundle {bundle:?} is not on this page's own server, and nothing is fetched from elsewhere"
            )));
        };
        let wish = self.wish.get_untracked();
        link::send(&ToEngine::Open {
            wish,
            bundle: url,
            sha256: sha256.map(str::to_owned),
        });
        if matches!(
            self.picture.get_untracked(),
            Picture::Reading(_) | Picture::Read(..)
        ) {
            self.send_picture();
        }
    }

    /// Lets the engine compute elsewhere.
    pub fn compute_on(self, wish: Wish) {
        self.wish.set(wish);
        self.rebuilt.set_value(None);
        self.start();
    }

    /// Puts a file on the desk.
    pub fn open(self, name: String, bytes: Vec<u8>) {
        self.lay_aside();
        self.draft.set(Draft::None);
        self.draft_request.set_value(0);
        self.questions.clear();
        self.picture.set(Picture::Reading(name));
        self.bytes.set_value(Arc::new(bytes));
        // A worker that does not listen yet gets it when it does.
        if self.greeted.get_value() {
            self.send_picture();
        }
    }

    /// A file that could not even be fetched or read.
    pub fn unreadable(self, name: String, why: String) {
        self.questions.clear();
        self.picture.set(Picture::Unreadable(name, why));
    }

    /// Asks for a draft of the picture.
    pub fn ask_draft(self) {
        self.lay_aside();
        self.draft.set(Draft::Running);
        self.send_draft();
    }

    fn send_draft(self) {
        let request = self.questions.number();
        self.draft_request.set_value(request);
        link::send(&ToEngine::Draft { request });
    }

    /// Ends the draft after the present word.
    pub fn stop(self) {
        link::send(&ToEngine::Stop);
    }

    /// Brings the replaced text back.
    pub fn restore(self) {
        if let Some(text) = self.replaced.get_untracked() {
            let present = self.text.get_untracked();
            self.text.set(text);
            self.replaced.set((!present.trim().is_empty()).then_some(present));
        }
    }

    /// Asks a worker that may have slept whether it is alive, and starts it anew where it is not.
    pub fn wake(self) {
        if !matches!(self.status.get_untracked(), Status::Ready(_)) {
            return;
        }
        let heard = self.heard.get_value();
        link::send(&ToEngine::Ping);
        set_timeout(
            move || {
                if self.heard.get_value() == heard {
                    self.rebuild("The engine did not wake up with the page");
                }
            },
            PATIENCE,
        );
    }

    /// Loses the WebGPU device, for tests.
    pub fn lose_device(self) {
        link::send(&ToEngine::LoseDevice);
    }

    /// A text of the reader's is never thrown away without a way back.
    fn lay_aside(self) {
        let text = self.text.get_untracked();
        if !text.trim().is_empty() {
            self.replaced.set(Some(text));
        }
        self.text.set(String::new());
    }

    fn send_picture(self) {
        let request = self.questions.number();
        self.picture_request.set_value(request);
        link::send(&ToEngine::Picture {
            request,
            bytes: self.bytes.get_value().to_vec(),
        });
    }

    fn hear(self, message: FromEngine) {
        self.heard.update_value(|count| *count = count.wrapping_add(1));
        let drafts = |request: u32| request == self.draft_request.get_value();
        match message {
            FromEngine::Pong => {
                if !self.greeted.get_value() {
                    self.greeted.set_value(true);
                    self.greet();
                }
            }
            FromEngine::Progress { phase, done, total } => {
                self.status.set(Status::Loading(phase, done, total))
            }
            FromEngine::NotOpened(why) => self.status.set(Status::Failed(why)),
            FromEngine::Lost(why) => self.rebuild(&format!("The graphics device was lost ({why})")),
            FromEngine::Opened(opened) => {
                if let Some(why) = &opened.not_kept {
                    self.notice.set(Some(why.clone()));
                }
                self.status.set(Status::Ready(opened));
                // A draft that was under way when the engine was started anew begins again.
                if self.draft.get_untracked() == Draft::Running {
                    self.text.set(String::new());
                    self.send_draft();
                }
                self.questions.again();
            }
            FromEngine::Picture { request, result } => {
                self.take_picture(request == self.picture_request.get_value(), result);
            }
            FromEngine::Words { request, text } if drafts(request) => {
                self.text.update(|whole| *whole += &text)
            }
            FromEngine::Words { .. } => {}
            FromEngine::Drafted { request, result } if drafts(request) => match result {
                Ok(drafted) => {
                    // The words came one by one; this is the same text, whole.
                    self.text.set(drafted.text.clone());
                    self.draft.set(Draft::Done(drafted));
                }
                Err(why) => self.draft.set(Draft::Failed(why)),
            },
            FromEngine::Drafted { .. } => {}
            FromEngine::Findings { request, result } => self.questions.take_findings(request, result),
            FromEngine::Answers { request, result } => self.questions.take_answers(request, &result),
            FromEngine::Searching {
                request,
                phase,
                done,
                total,
            } => {
                self.questions.take_progress(request, phase, done, total);
            }
            FromEngine::Found { request, result } => self.questions.take_found(request, result),
        }
    }

    fn take_picture(self, current: bool, result: Result<Box<hilum_protocol::Shown>, String>) {
        let Picture::Reading(name) = self.picture.get_untracked() else {
            return;
        };
        if !current {
            return;
        }
        self.picture.set(match result {
            Ok(shown) => {
                let full = shown.full;
                Picture::Read(name, Arc::new(shown.unpack()), full)
            }
            Err(why) => Picture::Unreadable(name, why),
        });
    }

    fn broken(self, why: &str) {
        // A decoder that crashes takes the engine with it, and would again: the picture is put aside, the
        // engine comes back.
        if let Picture::Reading(name) = self.picture.get_untracked()
            && self.greeted.get_value()
        {
            let why =
                "the engine stopped while it read the file, which is probably damaged; it was started anew";
            self.picture.set(Picture::Unreadable(name, why.to_owned()));
            return self.start();
        }
        self.rebuild(&format!("The engine stopped ({why})"));
    }

    /// Once: a new worker, a new device, the picture again and the draft that was under way. Twice in a
    /// minute: words.
    fn rebuild(self, what: &str) {
        let now = window().performance().map_or(0.0, |clock| clock.now());
        let before = self.rebuilt.get_value();
        if before.is_some_and(|then| now - then < AGAIN) {
            link::end();
            if self.draft.get_untracked() == Draft::Running {
                self.draft.set(Draft::Failed(
                    "the engine was lost before the draft came to its end".to_owned(),
                ));
            }
            self.questions
                .give_up("the engine was lost before it came to an end");
            self.notice.set(None);
            let way = "It was started anew once already; try again, or let the CPU compute.";
            return self.status.set(Status::Failed(format!("{what}. {way}")));
        }
        self.rebuilt.set_value(Some(now));
        self.notice.set(Some(format!(
            "{what}. It was started anew; nothing of yours is lost."
        )));
        self.start();
    }
}

/// A parameter of the page's address.
fn parameter(name: &str) -> Option<String> {
    let search = window().location().search().ok()?;
    web_sys::UrlSearchParams::new_with_str(&search).ok()?.get(name)
}

/// The absolute address of a folder, where it is on the page's own server.
fn same_origin(path: &str) -> Option<String> {
    let location = window().location();
    let url = web_sys::Url::new_with_base(path.trim_end_matches('/'), &location.href().ok()?).ok()?;
    (url.origin() == location.origin().ok()?).then(|| format!("{}{}", url.origin(), url.pathname()))
}
