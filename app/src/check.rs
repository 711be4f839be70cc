//! A report that a reader has, checked against the radiograph: its text, typed, or from a text file or a structured report; what the engine
//! finds of it, and the reader's answers.
//!
//! The bundle that checks is loaded when the reader first checks a report. A bundle's findings and marks are of one text; once that is
//! changed by hand, they stand back until it is checked again.

use hilum_image::{ReportText, looks_like_dicom};
use hilum_protocol::{Checked, Listed, Partial, Review, Task, TaskRequest, ToEngine};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::sync::Arc;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ClipboardEvent, DataTransfer, DragEvent, Event, File, HtmlInputElement};

use super::bundles::Wanted;
use super::connection;
use super::heat::Heat;
use super::marks::Marked;
use super::models::megabytes;
use super::panels::{By, read};
use super::questions::Outcome;
use super::report::DISCLAIMER;
use super::workspace::{Picture, Status, Workspace};

/// No report is longer, in bytes.
const LARGEST: f64 = 1_000_000.0;

/// A structured report that the engine reads.
#[derive(Clone)]
struct Brought {
    request: u32,
    name: String,
    bytes: Arc<Vec<u8>>,
}

/// The report that is checked. It is a handful of signals, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Check {
    /// The report as the reader has it now.
    pub text: RwSignal<String>,
    /// What came of the check, with what the reader answered since.
    pub outcome: RwSignal<Outcome<Review>>,
    /// What it was before each answer.
    pub past: RwSignal<Vec<Review>>,
    /// The text that another one was put in the place of.
    replaced: RwSignal<Option<String>>,
    /// What there is to say of the file that was brought last.
    note: RwSignal<String>,
    /// That file, until the engine has read it.
    brought: StoredValue<Option<Brought>>,
    /// How far the check is.
    progress: RwSignal<Option<Partial>>,
    /// The address of the bundle that is loaded for it.
    waits: RwSignal<Option<String>>,
    /// The text that is being checked.
    asked: StoredValue<String>,
    request: StoredValue<u32>,
}

impl Check {
    /// None.
    pub fn new() -> Self {
        Self {
            text: RwSignal::default(),
            outcome: RwSignal::new(Outcome::None),
            past: RwSignal::default(),
            replaced: RwSignal::new(None),
            note: RwSignal::default(),
            brought: StoredValue::new(None),
            progress: RwSignal::new(None),
            waits: RwSignal::new(None),
            asked: StoredValue::default(),
            request: StoredValue::new(0),
        }
    }

    fn end(self, outcome: Outcome<Review>) {
        self.request.set_value(0);
        self.waits.set(None);
        self.progress.set(None);
        self.past.set(Vec::new());
        self.outcome.set(outcome);
    }

    /// Forgets what was found: there is another image. The report may be the next one's, so it stays.
    pub fn clear(self) {
        self.end(Outcome::None);
    }

    /// Whether a request is this one, and not given up.
    pub fn is_of(self, request: u32) -> bool {
        request != 0 && self.request.get_value() == request
    }

    /// A check goes on.
    pub fn take_partial(self, partial: Partial) {
        self.progress.set(Some(partial));
    }

    /// The engine has answered.
    pub fn take(self, outcome: Outcome<Checked>) {
        let text = self.asked.get_value();
        self.end(match outcome {
            Outcome::Done(checked) => Outcome::Done(Review::new(text, checked)),
            Outcome::Failed(why) => Outcome::Failed(why),
            Outcome::None | Outcome::Running => Outcome::None,
        });
    }

    /// Asks a restarted engine for what the one before it owed, under the request's next number.
    pub fn again(self, request: u32) {
        if self.request.get_value() != 0 {
            self.send(request);
        }
    }

    /// What is owed will not come.
    pub fn give_up(self, why: &str) {
        if self.outcome.get_untracked() == Outcome::Running {
            self.end(Outcome::Failed(why.to_owned()));
        }
    }

    /// Whether the text is no longer the one whose marks there are.
    pub fn is_stale(self) -> bool {
        match self.outcome.get() {
            Outcome::Done(review) => review.text != self.text.get(),
            _ => false,
        }
    }

    /// Has what runs now run again when the text is another one, or what was found of it.
    pub fn track(self) {
        self.outcome.track();
        self.text.track();
    }

    /// Where in the picture a mark's words were looked for.
    pub fn heat_of(self, at: usize, picture: Picture) -> Option<Heat> {
        let Picture::Read(_, _, full) = picture else {
            return None;
        };
        self.outcome.with_untracked(|outcome| {
            let Outcome::Done(review) = outcome else {
                return None;
            };
            let same = self.text.with_untracked(|text| *text == review.text);
            let mark = review.marks.get(at).filter(|_| same)?;
            let looked = review.checked.looked.as_ref()?;
            Heat::new(
                Task::Check,
                review.written(mark),
                looked,
                review.looked(at)?,
                full,
            )
        })
    }

    /// Whether the report says of a finding what the model that checked it doubts, and other than that it is `present`.
    pub fn says_otherwise(self, finding: &str, present: bool) -> bool {
        let Outcome::Done(review) = self.outcome.get() else {
            return false;
        };
        let same = |name: &str| {
            name.replace('_', " ")
                .eq_ignore_ascii_case(&finding.replace('_', " "))
        };
        let marked = review
            .marks
            .iter()
            .any(|mark| mark.finding.as_deref().is_some_and(same));
        let mut contradictions = review.checked.contradictions.iter();
        marked && contradictions.any(|said| same(&said.finding) && said.stated != present)
    }

    /// Puts another text in the place of the reader's.
    fn replace(self, text: String) {
        let before = self.text.get_untracked();
        if !before.trim().is_empty() && before != text {
            self.replaced.set(Some(before));
        }
        self.text.set(text);
    }

    fn restore(self) {
        if let Some(text) = self.replaced.get_untracked() {
            self.replaced.set(None);
            self.replace(text);
        }
    }

    /// Checks the text; where no open bundle does, one is loaded first.
    fn ask(self, workspace: Workspace) {
        self.end(Outcome::Running);
        self.asked.set_value(self.text.get_untracked());
        match untrack(|| workspace.bundles.checker()) {
            Some(listed) => {
                let wanted = Wanted::of(&listed);
                self.waits.set(Some(listed.at));
                workspace.bundles.add(&wanted);
                workspace.go_on();
            }
            None => self.send(workspace.questions.number()),
        }
    }

    fn send(self, request: u32) {
        self.request.set_value(request);
        connection::send(&ToEngine::Run {
            request,
            task: TaskRequest::Check {
                text: self.asked.get_value(),
            },
            bundle: None,
        });
    }

    fn stop(self) {
        connection::send(&ToEngine::Cancel {
            request: self.request.get_value(),
        });
        self.end(Outcome::None);
    }

    /// The bundle that it waits for is open, or was not opened.
    fn go_on(self, workspace: Workspace) {
        let Some(at) = self.waits.get() else {
            return;
        };
        let bundles = workspace.bundles;
        if !matches!(workspace.status.get(), Status::Ready(_)) {
            return;
        }
        if bundles.open().tasks().contains(&Task::Check) {
            self.waits.set(None);
            self.send(workspace.questions.number());
        } else if !bundles.is_coming(&at) {
            let said = bundles.rest().said;
            self.end(Outcome::Failed(said.trim_end_matches('.').to_owned()));
        }
    }

    /// Takes the text of a file.
    fn read(self, workspace: Workspace, file: File) {
        let name = file.name();
        if file.size() > LARGEST {
            return self.refuse(&name, "it is larger than 1 MB, too large for a report");
        }
        spawn_local(async move {
            match JsFuture::from(file.array_buffer()).await {
                Ok(buffer) => self.open(workspace, name, js_sys::Uint8Array::new(&buffer).to_vec()),
                Err(_) => self.refuse(
                    &name,
                    "the browser could not read the file; was it moved or removed?",
                ),
            }
        });
    }

    /// Takes the text of a file's content: plain text, or a structured report, which the engine reads. What is no report leaves all as
    /// it is.
    pub fn open(self, workspace: Workspace, name: String, bytes: Vec<u8>) {
        self.note.set(String::new());
        self.brought.set_value(None);
        if looks_like_dicom(&bytes) {
            let request = workspace.questions.number();
            let bytes = Arc::new(bytes);
            self.brought.set_value(Some(Brought { request, name, bytes }));
            return self.bring();
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => self.put(text.trim_start_matches('\u{feff}')),
            _ => self.refuse(
                &name,
                "it is neither text in UTF-8 nor a DICOM structured report; save the report as plain text",
            ),
        }
    }

    /// Sends a worker what is to be read.
    pub fn bring(self) {
        if let Some(Brought { request, bytes, .. }) = self.brought.get_value() {
            connection::send(&ToEngine::Report {
                request,
                bytes: bytes.to_vec(),
            });
        }
    }

    /// The engine has read a report, or stopped over it.
    pub fn take_report(self, request: Option<u32>, result: Result<ReportText, String>) {
        let brought = self.brought.get_value();
        let Some(brought) = brought.filter(|own| request.is_none_or(|request| own.request == request)) else {
            return;
        };
        self.brought.set_value(None);
        match result {
            Ok(ReportText { text, notes }) => {
                self.put(&text);
                if !notes.is_empty() {
                    self.note.set(format!("{}: {}.", brought.name, notes.join("; ")));
                }
            }
            Err(why) => self.refuse(&brought.name, &why),
        }
    }

    /// Puts a text where the reader's was, as a text area would have it: so what is marked there is what was checked.
    fn put(self, text: &str) {
        self.replace(text.replace("\r\n", "\n").replace('\r', "\n"));
    }

    fn refuse(self, name: &str, why: &str) {
        self.note.set(format!("{name} was not opened: {why}."));
    }
}

/// Takes a text file that is dropped on the report or pasted into it. Text is left to the browser, all else to the page, which tells a
/// structured report from a radiograph.
fn bring(workspace: Workspace, event: &Event, data: Option<DataTransfer>) {
    let Some(data) = data else {
        return;
    };
    // A program for texts may paste a picture of the text beside it.
    let is_text = data.get_data("text/plain").is_ok_and(|text| !text.is_empty());
    let file = data.files().and_then(|files| files.get(0));
    let of_text = |file: &File| {
        let name = file.name().to_lowercase();
        file.type_().starts_with("text/") || [".txt", ".text"].iter().any(|end| name.ends_with(end))
    };
    match file {
        Some(file) if of_text(&file) => {
            event.stop_propagation();
            event.prevent_default();
            workspace.questions.check.read(workspace, file);
        }
        _ if is_text => event.stop_propagation(),
        _ => {}
    }
}

/// What the model says of the match, in words.
fn verdict(review: &Review) -> String {
    let checked = &review.checked;
    let matching = checked.matching;
    let mut said = match (checked.limits, checked.belongs()) {
        (Some(limits), Some(belongs)) => {
            let fits = if belongs { "fits" } else { "may not belong to" };
            let limit = limits.matching;
            format!("Match {matching:.2}: the report {fits} this radiograph (operating point {limit:.2}).")
        }
        _ => format!(
            "Match {matching:.2}. This bundle does not say from where on a report fits, and marks nothing."
        ),
    };
    if let Some(exchanged) = checked.exchanged {
        said += &format!(" With left and right exchanged: {exchanged:.2}.");
    }
    if let Some(not_checked) = checked.not_checked() {
        said += " ";
        said += &not_checked;
    }
    if checked.unread > 0 {
        let words = if checked.unread == 1 {
            "word was"
        } else {
            "words were"
        };
        said += &format!(
            " The last {} {words} not read: the report is too long for this model.",
            checked.unread
        );
    }
    said
}

/// How many marks are left, in words.
pub fn left(review: &Review, answered: bool) -> &'static str {
    match (review.checked.limits, review.marks.len()) {
        (None, _) => "",
        (_, 0) if answered => "All marks are answered.",
        (_, 0) => "Nothing is marked.",
        _ => "Doubts, the strongest of each kind first:",
    }
}

/// What there is to say of a check.
fn told(workspace: Workspace) -> String {
    let check = workspace.questions.check;
    match check.outcome.get() {
        Outcome::None => String::new(),
        Outcome::Failed(why) => format!("No check: {why}."),
        Outcome::Done(review) => verdict(&review),
        Outcome::Running if check.waits.get().is_some() => match workspace.bundles.progress.get() {
            (_, 0) => "Loading the model …".to_owned(),
            (done, total) => format!("Loading the model: {} of {}", megabytes(done), megabytes(total)),
        },
        Outcome::Running => match check.progress.get() {
            Some(Partial::Weighing(done, total)) => {
                format!("Weighing word {} of {total} …", (done + 1).min(total))
            }
            Some(Partial::Loading(done, total)) => {
                format!("Loading the gallery: {} of {}", megabytes(done), megabytes(total))
            }
            Some(Partial::Comparing(done, total)) => {
                format!("Comparing with {done} of {total} cases …")
            }
            _ => "Reading the radiograph …".to_owned(),
        },
    }
}

/// The panel.
#[component]
pub fn Checking(workspace: Workspace) -> impl IntoView {
    let check = workspace.questions.check;
    Effect::new(move |_| check.go_on(workspace));
    let running = move || check.outcome.get() == Outcome::Running;
    let empty = move || check.text.get().trim().is_empty();
    let choose = move |event: Event| {
        let Some(input) = event.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()) else {
            return;
        };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            check.read(workspace, file);
        }
        // The same file may be chosen again.
        input.set_value("");
    };
    let drop = move |event: DragEvent| bring(workspace, &event, event.data_transfer());
    let paste = move |event: ClipboardEvent| bring(workspace, &event, event.clipboard_data());
    let share = move || match (check.waits.get(), check.progress.get()) {
        (Some(_), _) => {
            let (done, total) = workspace.bundles.progress.get();
            done as f64 / total.max(1) as f64
        }
        (
            _,
            Some(
                Partial::Weighing(done, total)
                | Partial::Comparing(done, total)
                | Partial::Loading(done, total),
            ),
        ) => done as f64 / total.max(1) as f64,
        _ => 0.0,
    };
    let coming = move || {
        let listed: Option<Listed> = workspace.bundles.checker();
        listed.map(|listed| {
            let size = megabytes(listed.bundle.bytes);
            format!("The model that checks reports ({size}) is loaded when you first press Check. ")
        })
    };
    // For those who compare with the command.
    let number = move |of: fn(&Checked) -> Option<f32>| match check.outcome.get() {
        Outcome::Done(review) => of(&review.checked).map(|number| number.to_string()),
        _ => None,
    };
    view! {
        <section class="panel" id="checking" aria-labelledby="check-title" data-state=move || check.outcome.get().name() data-match=move || number(|checked| Some(checked.matching)) data-exchanged=move || number(|checked| checked.exchanged)>
            <div class="toolbar">
                <h2 id="check-title">"Check a report"</h2>
                <By workspace task=Task::Check/>
                <button id="check" hidden=running disabled=move || !read(workspace) || empty() on:click=move |_| check.ask(workspace)>"Check"</button>
                <button id="check-stop" hidden=move || !running() on:click=move |_| check.stop()>"Stop"</button>
            </div>
            <div class="toolbar tools">
                <button id="check-own" disabled=move || workspace.text.get().trim().is_empty() on:click=move |_| check.replace(workspace.text.get_untracked())>"Use the report above"</button>
                <label class="button" for="check-file">"Open a report …"</label>
                <input id="check-file" class="unseen" type="file" accept=".txt,.dcm,.dicom,text/plain,application/dicom" on:change=choose/>
                <button id="check-restore" hidden=move || check.replaced.get().is_none() on:click=move |_| check.restore()>"Restore previous text"</button>
            </div>
            <p class="told" id="check-note" role="status" hidden=move || check.note.get().is_empty()>{move || check.note.get()}</p>
            <label class="unseen" for="check-text">"Report to check"</label>
            <textarea
                id="check-text"
                spellcheck="true"
                placeholder="Type or paste a report of this radiograph, or drop a text file or a DICOM structured report here."
                prop:value=move || check.text.get()
                on:input=move |event| check.text.set(event_target_value(&event))
                on:drop=drop
                on:paste=paste
            ></textarea>
            <p class="told" id="check-told" role="status">{move || told(workspace)}</p>
            <progress max="1" hidden=move || !running() aria-label="Progress of the check" prop:value=share></progress>
            <p class="edited" id="check-stale" role="status" hidden=move || !check.is_stale()>"The report was changed since; check again."</p>
            <Marked workspace/>
            <p class="hint">{coming}"A mark is a doubt, not a mistake; and that nothing is marked does not prove a report right."</p>
            <p class="brief">{DISCLAIMER}</p>
        </section>
    }
}
