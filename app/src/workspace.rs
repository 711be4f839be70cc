//! What lies on the reader's workspace: the engine's state, the image, the report. All of the page's state is here.

use std::sync::Arc;

use hilum_image::Radiograph;
use hilum_protocol::{
    DeviceChoice, Drafted, FromEngine, Opened, Partial, Phase, Shown, Task, TaskRequest, TaskResult,
    ToEngine, Unlikeness,
};
use leptos::leptos_dom::helpers::{set_timeout, window};
use leptos::prelude::*;
use std::time::Duration;

use super::address::{parameter, same_origin};
use super::connection;
use super::questions::Questions;
use super::structured::{Made, Structured};

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

/// The image on the workspace.
#[derive(Clone, Debug)]
pub enum Picture {
    /// None yet.
    None,
    /// Being decoded: the file's name.
    Reading(String),
    /// Decoded: its name, the image for the screen, its size in the file.
    Read(String, Arc<Radiograph>, (usize, usize)),
    /// Not readable: the file's name, why.
    Unreadable(String, String),
}

/// Whether the model was trained on such pictures as the one on the workspace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judgement {
    /// Not known yet.
    None,
    /// The bundle cannot tell.
    Unknown,
    /// How unlike them it is.
    Told(Unlikeness),
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

/// The workspace. It is a handful of signals, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Workspace {
    /// The engine.
    pub status: RwSignal<Status>,
    /// The image.
    pub picture: RwSignal<Picture>,
    /// Whether the model was trained on such pictures.
    pub judgement: RwSignal<Judgement>,
    /// The draft.
    pub draft: RwSignal<Draft>,
    /// The report's text, as drafted and edited.
    pub text: RwSignal<String>,
    /// What was asked about the image besides a draft.
    pub questions: Questions,
    /// Where the text came from.
    pub made: RwSignal<Made>,
    /// The form that writes it from findings.
    pub structured: Structured,
    /// The text that a new draft, form or image replaced, and where it came from.
    pub replaced: RwSignal<Option<(String, Made)>>,
    /// What the reader should know: a device rebuilt, storage refused.
    pub notice: RwSignal<Option<String>>,
    /// Where to compute.
    pub device: RwSignal<DeviceChoice>,
    /// The file's bytes, for an engine that is restarted.
    bytes: StoredValue<Arc<Vec<u8>>>,
    /// The numbers of the newest requests for an image and for a draft: whatever else answers comes too late.
    image_request: StoredValue<u32>,
    draft_request: StoredValue<u32>,
    rebuilt: StoredValue<Option<f64>>,
    /// Whether the adapter is being tried, and why it is not to be tried again.
    trying: StoredValue<bool>,
    failed: StoredValue<Option<String>>,
    greeted: StoredValue<bool>,
    heard: StoredValue<u32>,
}

impl Workspace {
    /// An empty workspace, with what the page's address asks for.
    pub fn new() -> Self {
        let device = parameter("device")
            .and_then(|text| DeviceChoice::parse(&text))
            .unwrap_or_default();
        Self {
            status: RwSignal::new(Status::Loading(Phase::Program, 0, 0)),
            picture: RwSignal::new(Picture::None),
            judgement: RwSignal::new(Judgement::None),
            draft: RwSignal::new(Draft::None),
            text: RwSignal::new(String::new()),
            made: RwSignal::default(),
            structured: Structured::new(),
            replaced: RwSignal::new(None),
            notice: RwSignal::new(None),
            device: RwSignal::new(device),
            bytes: StoredValue::new(Arc::default()),
            questions: Questions::new(),
            image_request: StoredValue::new(0),
            draft_request: StoredValue::new(0),
            rebuilt: StoredValue::new(None),
            trying: StoredValue::new(false),
            failed: StoredValue::new(None),
            greeted: StoredValue::new(false),
            heard: StoredValue::new(0),
        }
    }

    /// Starts the engine, or restarts it.
    pub fn start(self) {
        self.status.set(Status::Loading(Phase::Program, 0, 0));
        self.greeted.set_value(false);
        self.trying.set_value(false);
        if let Err(why) = connection::start(move |message| self.hear(message), move |why| self.broken(&why)) {
            self.status.set(Status::Failed(why));
        }
    }

    /// The worker listens: what it must know comes first, and then the image that lies here.
    fn greet(self) {
        let own = BUNDLE.to_owned();
        let bundle = parameter("bundle").unwrap_or_else(|| own.clone());
        let sha256 = option_env!("HILUM_BUNDLE_SHA256").filter(|hash| bundle == own && !hash.is_empty());
        let Some(url) = same_origin(&bundle) else {
            connection::end();
            return self.status.set(Status::Failed(format!(
                "the bundle {bundle:?} is not on this page's own server; copy it there, since nothing is loaded from elsewhere"
            )));
        };
        connection::send(&ToEngine::Open {
            device: self.device.get_untracked(),
            bundle: url,
            sha256: sha256.map(str::to_owned),
            failed: self.failed.get_value(),
        });
        if matches!(
            self.picture.get_untracked(),
            Picture::Reading(_) | Picture::Read(..)
        ) {
            self.send_image();
        }
    }

    /// Lets the engine compute elsewhere.
    pub fn compute_on(self, device: DeviceChoice) {
        self.device.set(device);
        self.failed.set_value(None);
        self.rebuilt.set_value(None);
        self.start();
    }

    /// Puts a file on the workspace.
    pub fn open(self, name: String, bytes: Vec<u8>) {
        self.lay_aside();
        self.draft.set(Draft::None);
        self.draft_request.set_value(0);
        self.judgement.set(Judgement::None);
        self.questions.clear();
        self.structured.clear();
        self.picture.set(Picture::Reading(name));
        self.bytes.set_value(Arc::new(bytes));
        // A worker that does not listen yet gets it when it does.
        if self.greeted.get_value() {
            self.send_image();
        }
    }

    /// A file that could not even be fetched or read.
    pub fn unreadable(self, name: String, why: String) {
        self.judgement.set(Judgement::None);
        self.questions.clear();
        self.structured.clear();
        self.picture.set(Picture::Unreadable(name, why));
    }

    /// Asks for a draft of the image.
    pub fn ask_draft(self) {
        self.lay_aside();
        self.structured.shown.set(false);
        self.made.set(Made::Draft);
        self.draft.set(Draft::Running);
        self.send_draft();
    }

    fn send_draft(self) {
        let request = self.questions.number();
        self.draft_request.set_value(request);
        connection::send(&ToEngine::Run {
            request,
            task: TaskRequest::Draft,
        });
    }

    /// Ends the draft after the present token.
    pub fn stop(self) {
        connection::send(&ToEngine::Cancel {
            request: self.draft_request.get_value(),
        });
    }

    /// Brings the replaced text back.
    pub fn restore(self) {
        if let Some((text, made)) = self.replaced.get_untracked() {
            let present = (self.text.get_untracked(), self.made.get_untracked());
            self.text.set(text);
            self.made.set(made);
            self.replaced
                .set((!present.0.trim().is_empty()).then_some(present));
        }
    }

    /// Asks a worker that may have slept whether it is alive, and restarts it where it is not.
    pub fn wake(self) {
        if !matches!(self.status.get_untracked(), Status::Ready(_)) {
            return;
        }
        let heard = self.heard.get_value();
        connection::send(&ToEngine::Ping);
        set_timeout(
            move || {
                if self.heard.get_value() == heard {
                    self.rebuild("The engine stopped responding while the page was in the background");
                }
            },
            PATIENCE,
        );
    }

    /// Loses the WebGPU device, for tests.
    pub fn lose_device(self) {
        connection::send(&ToEngine::LoseDevice);
    }

    /// A text of the reader's is never thrown away without a way back.
    pub fn lay_aside(self) {
        let text = self.text.get_untracked();
        if !text.trim().is_empty() {
            self.replaced.set(Some((text, self.made.get_untracked())));
        }
        self.text.set(String::new());
        self.made.set(Made::Hand);
    }

    fn send_image(self) {
        let request = self.questions.number();
        self.image_request.set_value(request);
        connection::send(&ToEngine::Image {
            request,
            bytes: self.bytes.get_value().to_vec(),
        });
    }

    fn hear(self, message: FromEngine) {
        self.heard.update_value(|count| *count = count.wrapping_add(1));
        match message {
            FromEngine::Pong => {
                if !self.greeted.get_value() {
                    self.greeted.set_value(true);
                    self.greet();
                }
            }
            FromEngine::Progress { phase, done, total } => {
                match phase {
                    Phase::TryingAdapter => self.trying.set_value(true),
                    Phase::TryingCpu => self.trying.set_value(false),
                    _ => {}
                }
                self.status.set(Status::Loading(phase, done, total))
            }
            FromEngine::NotOpened(why) => self.status.set(Status::Failed(why)),
            FromEngine::Lost(why) => {
                if !self.leave_adapter(&format!("it was lost: {why}")) {
                    self.rebuild(&format!("The graphics device was lost ({why})"));
                }
            }
            FromEngine::Opened(opened) => {
                self.trying.set_value(false);
                let told = [opened.note.clone(), opened.not_kept.clone()];
                let told = told.into_iter().flatten().collect::<Vec<_>>();
                if !told.is_empty() {
                    self.notice.set(Some(told.join(" ")));
                }
                let drafts = opened.tasks.contains(&Task::Draft);
                self.status.set(Status::Ready(opened));
                // A draft that was under way when the engine was restarted begins again.
                if drafts && self.draft.get_untracked() == Draft::Running {
                    self.text.set(String::new());
                    self.send_draft();
                }
                self.questions.again();
            }
            FromEngine::Image { request, result } => {
                self.take_image(request == self.image_request.get_value(), result);
            }
            FromEngine::Judged { request, unlikeness } if request == self.image_request.get_value() => {
                let told = unlikeness.map_or(Judgement::Unknown, Judgement::Told);
                self.judgement.set(told);
            }
            FromEngine::Judged { .. } => {}
            FromEngine::Partial { request, partial } => match partial {
                Partial::Text(text) if request == self.draft_request.get_value() => {
                    self.text.update(|whole| *whole += &text);
                }
                partial => self.questions.take_partial(request, partial),
            },
            FromEngine::Done { request, result } if request == self.draft_request.get_value() => {
                self.take_draft(result);
            }
            FromEngine::Done { request, result } => self.questions.take(request, result),
        }
    }

    fn take_draft(self, result: Result<TaskResult, String>) {
        self.draft.set(match result {
            Ok(TaskResult::Draft(drafted)) => {
                // The words came one by one; this is the same text, whole.
                self.text.set(drafted.text.clone());
                Draft::Done(drafted)
            }
            Ok(_) => Draft::None,
            Err(why) => Draft::Failed(why),
        });
    }

    fn take_image(self, current: bool, result: Result<Box<Shown>, String>) {
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
        // A decoder that crashes takes the engine with it, and would again: the image is put aside, the
        // engine comes back.
        if let Picture::Reading(name) = self.picture.get_untracked()
            && self.greeted.get_value()
        {
            let why = "the engine stopped while reading the file, which is probably damaged; the engine was restarted";
            self.picture.set(Picture::Unreadable(name, why.to_owned()));
            return self.start();
        }
        if !self.leave_adapter(why) {
            self.rebuild(&format!("The engine stopped ({why})"));
        }
    }

    /// Restarts an engine that came to its end while it tried the adapter of its own accord: on the CPU.
    fn leave_adapter(self, why: &str) -> bool {
        let left = self.trying.get_value() && self.device.get_untracked() == DeviceChoice::Auto;
        if left {
            self.failed.set_value(Some(why.to_owned()));
            self.start();
        }
        left
    }

    /// Once: a new worker, a new device, the image again and the draft that was under way. Twice in a
    /// minute: words.
    fn rebuild(self, what: &str) {
        let now = window().performance().map_or(0.0, |clock| clock.now());
        let before = self.rebuilt.get_value();
        if before.is_some_and(|then| now - then < AGAIN) {
            connection::end();
            if self.draft.get_untracked() == Draft::Running {
                self.draft.set(Draft::Failed(
                    "the engine stopped before the draft was complete".to_owned(),
                ));
            }
            self.questions
                .give_up("the engine stopped before it had an answer");
            self.notice.set(None);
            let way = "It was already restarted once; try again, or use the CPU.";
            return self.status.set(Status::Failed(format!("{what}. {way}")));
        }
        self.rebuilt.set_value(Some(now));
        self.notice
            .set(Some(format!("{what}. Restarted; your work is kept.")));
        self.start();
    }
}
