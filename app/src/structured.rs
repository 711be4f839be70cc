//! The report from findings: a form by region, filled in from what the model reads, and its sentences in the editor.
//!
//! The form writes as long as the text is its own. What the reader wrote by hand stays, until they ask for the form's text again;
//! and then there is a way back.

use hilum_protocol::structured::{Form, Line, SIDES, State};
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use super::questions::Outcome;
use super::workspace::{Draft, Workspace};

/// Where the text in the editor came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Made {
    /// The reader wrote it.
    #[default]
    Hand,
    /// The model drafted it.
    Draft,
    /// The form wrote it.
    Form,
}

/// The form on the page. It is a handful of signals, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Structured {
    /// The form; without lines until the findings are there.
    form: RwSignal<Form>,
    /// Whether it is shown, or will be once there are findings.
    pub shown: RwSignal<bool>,
    /// What it wrote last.
    written: RwSignal<String>,
    /// Tells that the lines are others.
    filled: Trigger,
}

impl Structured {
    /// None.
    pub fn new() -> Self {
        Self {
            form: RwSignal::default(),
            shown: RwSignal::new(false),
            written: RwSignal::default(),
            filled: Trigger::new(),
        }
    }

    /// Forgets it: there is another image.
    pub fn clear(self) {
        self.shown.set(false);
        self.form.set(Form::default());
        self.written.set(String::new());
        self.filled.notify();
    }

    fn empty(self) -> bool {
        self.form.with(|form| form.lines.is_empty())
    }
}

/// Whether every line is left open whatever the findings say: where the picture is foreign to the model, or it cannot be told
/// whether it is, as the workspace says of it.
fn open_all(_workspace: Workspace) -> bool {
    false
}

/// Whether the text is as the form wrote it.
fn in_step(workspace: Workspace) -> bool {
    workspace.made.get() == Made::Form && workspace.text.get() == workspace.structured.written.get()
}

/// Puts the form's text into the editor.
fn write(workspace: Workspace) {
    let text = workspace.structured.form.with_untracked(Form::text);
    workspace.structured.written.set(text.clone());
    workspace.text.set(text);
    workspace.made.set(Made::Form);
}

/// The same in the place of a text that was not the form's.
fn write_over(workspace: Workspace) {
    workspace.lay_aside();
    workspace.draft.set(Draft::None);
    write(workspace);
}

/// Changes the form, and its text with it.
fn change(workspace: Workspace, change: impl FnOnce(&mut Form)) {
    let follows = untrack(|| in_step(workspace));
    workspace.structured.form.update(change);
    if follows {
        write(workspace);
    }
}

/// Shows the form or puts it away. It is filled as soon as there are findings.
pub fn toggle(workspace: Workspace) {
    let Structured { shown, .. } = workspace.structured;
    shown.update(|shown| *shown = !*shown);
    if !shown.get_untracked() {
        return;
    }
    if !untrack(|| workspace.structured.empty()) {
        if workspace.made.get_untracked() != Made::Form {
            write_over(workspace);
        }
    } else if matches!(
        workspace.questions.findings.get_untracked(),
        Outcome::None | Outcome::Failed(_)
    ) {
        workspace.questions.ask_findings();
    }
}

/// Fills the form when the findings come, and again when others do.
fn fill(workspace: Workspace) {
    let Structured {
        form, shown, filled, ..
    } = workspace.structured;
    let all_open = open_all(workspace);
    let shown = shown.get();
    let Outcome::Done(readings) = workspace.questions.findings.get() else {
        return;
    };
    if !untrack(|| workspace.structured.empty()) {
        change(workspace, |form| form.refill(&readings, all_open));
    } else if shown {
        form.set(Form::filled(&readings, all_open));
        write_over(workspace);
    }
    filled.notify();
}

/// What there is to say of the form; nothing where it is not shown.
pub fn outcome(workspace: Workspace) -> Option<String> {
    if !workspace.structured.shown.get() {
        return None;
    }
    Some(match workspace.questions.findings.get() {
        Outcome::Running => "Reading the radiograph …".to_owned(),
        Outcome::Failed(why) => format!("No findings: {why}."),
        Outcome::None | Outcome::Done(_) => workspace.structured.form.with(|form| {
            let [present, absent, open] = State::ALL.map(|state| form.count(state));
            format!("{present} present, {absent} absent, {open} left open.")
        }),
    })
}

/// A state's sign, and its word for those who do not see it.
fn sign(state: State) -> (&'static str, &'static str) {
    match state {
        State::Present => ("+", "Present"),
        State::Absent => ("−", "Absent"),
        State::Open => ("○", "Left open"),
    }
}

/// A side's letter and its word.
fn letter(side: &str) -> (&'static str, &'static str) {
    match side {
        "left" => ("L", "Left"),
        "right" => ("R", "Right"),
        _ => ("B", "Both sides"),
    }
}

fn id(at: usize, state: State) -> String {
    format!("line-{at}-{}", state.name())
}

/// Moves the keyboard to a line, to the state that it has.
fn focus(workspace: Workspace, at: usize) {
    let state = workspace
        .structured
        .form
        .with_untracked(|form| form.lines.get(at).map(|line| line.state));
    let button = state.and_then(|state| document().get_element_by_id(&id(at, state)));
    if let Some(button) = button.and_then(|button| button.dyn_into::<HtmlElement>().ok()) {
        // Where it cannot have the keyboard, the pointer is left.
        let _ = button.focus();
    }
}

/// P, N and O say what a line says, L, R and B on which side; arrows go to the next state and to the next line.
fn key(workspace: Workspace, at: usize, event: &KeyboardEvent) {
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let key = event.key().to_lowercase();
    let step = |by: usize| {
        let line = workspace
            .structured
            .form
            .with_untracked(|form| form.lines.get(at).map(|line| line.state));
        let now = State::ALL.iter().position(|state| Some(*state) == line);
        State::ALL[(now.unwrap_or_default() + by) % State::ALL.len()]
    };
    let state = match key.as_str() {
        "p" | "+" => Some(State::Present),
        "n" | "-" => Some(State::Absent),
        "o" => Some(State::Open),
        "arrowright" => Some(step(1)),
        "arrowleft" => Some(step(State::ALL.len() - 1)),
        _ => None,
    };
    let side = SIDES.into_iter().find(|side| side.starts_with(&key));
    let mut next = at;
    if let Some(state) = state {
        change(workspace, |form| form.set(at, state));
    } else if let Some(side) = side {
        change(workspace, |form| form.set_side(at, Some(side)));
    } else {
        match key.as_str() {
            "arrowdown" => next = at + 1,
            "arrowup" => next = at.saturating_sub(1),
            _ => return,
        }
    }
    event.prevent_default();
    focus(workspace, next);
}

/// A line: its name, what the model says of it, its side, its state.
fn entry(workspace: Workspace, at: usize, line: &Line) -> impl IntoView + use<> {
    let form = workspace.structured.form;
    let is = move |state| form.with(|form| form.lines.get(at).is_some_and(|line| line.state == state));
    let on = move |side| form.with(|form| form.lines.get(at).is_some_and(|line| line.side == Some(side)));
    let state = move || form.with(|form| form.lines.get(at).map(|line| line.state.name()));
    let touched = move || form.with(|form| form.lines.get(at).is_some_and(|line| line.touched));
    let probability = line.reading.as_ref().map(|reading| reading.probability);
    let mark = line.reading.as_ref().map(|reading| {
        format!(
            "{:.3}, threshold {:.3}",
            reading.probability, reading.operating_point
        )
    });
    let sides = line.has_side().then(|| {
        let button = move |side: &'static str| {
            let (letter, word) = letter(side);
            let choose = move |_| {
                let chosen = (!untrack(|| on(side))).then_some(side);
                change(workspace, |form| form.set_side(at, chosen));
            };
            view! { <button data-side=side title=word aria-label=word aria-pressed=move || on(side).to_string() on:click=choose>{letter}</button> }
        };
        view! {
            <div class="choice sides" role="group" aria-label=format!("Side: {}", line.name) hidden=move || !is(State::Present)>
                {SIDES.map(button).collect_view()}
            </div>
        }
    });
    let states = State::ALL.map(|state| {
        let (sign, word) = sign(state);
        let choose = move |_| change(workspace, |form| form.set(at, state));
        view! {
            <button id=id(at, state) role="radio" title=word aria-label=word aria-checked=move || is(state).to_string() tabindex=move || if is(state) { "0" } else { "-1" } on:click=choose>{sign}</button>
        }
    });
    view! {
        <div class="entry" class:touched=touched data-line=line.name.clone() data-state=state data-probability=probability.map(|p| p.to_string()) on:keydown=move |event| key(workspace, at, &event)>
            <span class="name">{line.name.clone()}</span>
            <span class="number" title=mark>{probability.map(|p| format!("{p:.2}"))}</span>
            {sides}
            <div class="choice" role="radiogroup" aria-label=line.name.clone()>{states.collect_view()}</div>
        </div>
    }
}

/// The form.
#[component]
pub fn Lines(workspace: Workspace) -> impl IntoView {
    let structured = workspace.structured;
    Effect::new(move |_| fill(workspace));
    let shown = move || structured.shown.get() && !structured.empty();
    let regions = move || {
        structured.filled.track();
        let mut at = 0..;
        let region = |lines: &[Line]| {
            let region = lines[0].region();
            let lines = lines
                .iter()
                .zip(at.by_ref())
                .map(|(line, at)| entry(workspace, at, line));
            view! {
                <div class="region" role="group" aria-label=region>
                    <h3>{region}</h3>
                    {lines.collect_view()}
                </div>
            }
        };
        structured.form.with_untracked(|form| {
            let chunks = form.lines.chunk_by(|a, b| a.region() == b.region());
            chunks.map(region).collect_view()
        })
    };
    view! {
        <div class="form" id="form" aria-describedby="disclaimer" hidden=move || !shown()>
            {regions}
            <p class="hint">"Filled in from the findings. + present, − absent, ○ left open and left out of the text; keys P, N and O, arrows for the next line."</p>
            <p class="edited" role="status" hidden=move || in_step(workspace)>
                "You edited the text, so the form no longer changes it. "
                <button id="rewrite" on:click=move |_| write_over(workspace)>"Rewrite from the form"</button>
            </p>
        </div>
    }
}
