//! What lies on the reader's workspace: the engine's state, the image, the report. All of the page's state is here.

use std::sync::Arc;

use hilum_image::Radiograph;
use hilum_protocol::{
    Bundle, DeviceChoice, Drafted, FromEngine, Opened, Partial, Phase, Shown, Task, TaskRequest, TaskResult,
    ToEngine,
};
use leptos::leptos_dom::helpers::{set_timeout, window};
use leptos::prelude::*;
use std::time::Duration;

use super::address::parameter;
use super::bundles::Bundles;
use super::connection;
use super::questions::Questions;
use super::structured::{Made, Structured};

/// How long a worker may be silent after a sleep.
const PATIENCE: Duration = Duration::from_secs(15);
/// A device that is lost again so soon after it was rebuilt, in milliseconds, is given up.
const AGAIN: f64 = 60_000.0;

/// How the engine is.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// On its way: with what, how far, of how much.
    Loading(Phase, u64, u64),
    /// Ready: as it was when the first bundle was opened.
    Ready(Box<Opened>),
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

/// A text of the report: it, where it came from, and from which bundle, in words.
pub type Text = (String, Made, String);

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
    /// The bundles, and whether their models were trained on such pictures.
    pub bundles: Bundles,
    /// The draft.
    pub draft: RwSignal<Draft>,
    /// The report's text, as drafted and edited.
    pub text: RwSignal<String>,
    /// What was asked about the image besides a draft.
    pub questions: Questions,
    /// Where the text came from.
    pub made: RwSignal<Made>,
    /// The bundle that it came from, in words.
    pub by: RwSignal<String>,
    /// The form that writes it from findings.
    pub structured: Structured,
    /// The text that a new draft, form or image replaced, and where it came from.
    pub replaced: RwSignal<Option<Text>>,
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
            bundles: Bundles::new(),
            draft: RwSignal::new(Draft::None),
            text: RwSignal::new(String::new()),
            made: RwSignal::default(),
            by: RwSignal::default(),
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
        self.bundles.change(&mut |rest| rest.first = None);
        if let Err(why) = connection::start(move |message| self.hear(message), move |why| self.broken(&why)) {
            self.status.set(Status::Failed(why));
        }
    }

    /// The worker listens: what it must know comes first, and then the image that lies here.
    fn greet(self) {
        let first = match self.bundles.first() {
            Ok(first) => first,
            Err(why) => {
                connection::end();
                return self.status.set(Status::Failed(why));
            }
        };
        connection::send_folders();
        connection::send(&ToEngine::Open {
            device: self.device.get_untracked(),
            bundle: first.at,
            sha256: first.sha256,
            tasks: first.tasks,
            failed: self.failed.get_value(),
        });
        if matches!(
            self.picture.get_untracked(),
            Picture::Reading(_) | Picture::Read(..)
        ) {
            self.send_image();
        }
        self.questions.check.bring();
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
        self.bundles.clear();
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
        self.bundles.clear();
        self.questions.clear();
        self.structured.clear();
        self.picture.set(Picture::Unreadable(name, why));
    }

    /// Asks for a draft of the image.
    pub fn ask_draft(self) {
        self.lay_aside();
        self.structured.shown.set(false);
        self.made.set(Made::Draft);
        self.sign(self.bundles.open_now().serving(Task::Draft));
        self.draft.set(Draft::Running);
        self.send_draft();
    }

    fn send_draft(self) {
        let request = self.questions.number();
        self.draft_request.set_value(request);
        connection::send(&ToEngine::Run {
            request,
            task: TaskRequest::Draft,
            bundle: None,
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
        if let Some((text, made, by)) = self.replaced.get_untracked() {
            let present = self.present();
            self.text.set(text);
            self.made.set(made);
            self.by.set(by);
            self.replaced
                .set((!present.0.trim().is_empty()).then_some(present));
        }
    }

    /// Remembers which bundle the text comes from.
    pub fn sign(self, bundle: Option<&Bundle>) {
        let words = |by: &Bundle| format!("{} ({}), bundle SHA-256 {}", by.name, by.system, by.sha256);
        self.by.set(bundle.map(words).unwrap_or_default());
    }

    fn present(self) -> Text {
        let (text, made) = (self.text.get_untracked(), self.made.get_untracked());
        (text, made, self.by.get_untracked())
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
        let present = self.present();
        if !present.0.trim().is_empty() {
            self.replaced.set(Some(present));
        }
        self.text.set(String::new());
        self.made.set(Made::Hand);
        self.sign(None);
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
            // Of a further bundle: the engine goes on.
            FromEngine::Progress { phase, done, total } if self.ready() => {
                if phase == Phase::Weights {
                    self.bundles.progress.set((done, total));
                }
            }
            FromEngine::Progress { phase, done, total } => {
                match phase {
                    _ if self.bundles.rest_now().first.is_some() => {}
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
                self.bundles.take(&opened);
                self.go_on();
            }
            FromEngine::NotAdded { why, .. } => {
                self.bundles.refuse(&why);
                self.go_on();
            }
            FromEngine::Stored(kept) => {
                self.bundles.take_kept(&kept);
                self.go_on();
            }
            FromEngine::Image { request, result } => {
                self.take_image(request == self.image_request.get_value(), result);
            }
            FromEngine::Report { request, result } => {
                self.questions.check.take_report(Some(request), result);
            }
            FromEngine::Judged {
                request,
                bundle,
                unlikeness,
            } if request == self.image_request.get_value() => self.bundles.judge(&bundle, unlikeness),
            FromEngine::Judged { .. } => {}
            FromEngine::Partial { request, partial } => match partial {
                Partial::Text(text) if request == self.draft_request.get_value() => {
                    self.text.update(|whole| *whole += &text);
                }
                partial => self.questions.take_partial(request, partial),
            },
            FromEngine::Done {
                request,
                bundle,
                result,
            } => {
                let draft = request == self.draft_request.get_value();
                let task = match draft {
                    true => Some(Task::Draft),
                    false => self.questions.task(request),
                };
                if let Some(task) = task {
                    self.bundles.did(task, &bundle);
                }
                if draft {
                    self.take_draft(result);
                } else {
                    self.questions.take(request, result);
                }
            }
        }
    }

    fn ready(self) -> bool {
        matches!(self.status.get_untracked(), Status::Ready(_))
    }

    /// Opens what else waits to be opened. An engine is ready once all that were open before a restart are open again; what it
    /// owed begins again then.
    pub fn go_on(self) {
        let Some(first) = self.bundles.rest_now().first else {
            return;
        };
        if self.bundles.advance() || self.ready() {
            return;
        }
        self.status.set(Status::Ready(Box::new(first)));
        let drafts = self.bundles.open_now().tasks().contains(&Task::Draft);
        if drafts && self.draft.get_untracked() == Draft::Running {
            self.text.set(String::new());
            self.send_draft();
        }
        self.questions.again();
    }

    /// Opens the published bundles one after the other, until one is at home with the picture.
    pub fn look_further(self) {
        if let Some(wanted) = self.bundles.lacking() {
            self.bundles.add(&wanted);
            self.go_on();
        }
    }

    fn take_draft(self, result: Result<TaskResult, String>) {
        self.draft.set(match result {
            Ok(TaskResult::Draft(drafted)) => {
                // The words came one by one; this is the same text, whole.
                self.text.set(drafted.text.clone());
                self.sign(self.bundles.open_now().answering(Task::Draft));
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
        self.questions.check.take_report(
            None,
            Err("the engine stopped while it was read; try again".to_owned()),
        );
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
        // A bundle that it stopped over would stop it again.
        self.bundles
            .refuse("the engine stopped while it was opened; it may be too large for this device");
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
