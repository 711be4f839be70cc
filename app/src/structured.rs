//! The report from findings: a form by region, filled in from what the model reads, and its sentences in the editor.
//!
//! The form writes as long as the text is its own. What the reader wrote by hand stays, until they ask for the form's text again;
//! and then there is a way back.

use hilum_protocol::Task;
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
    /// What it wrote last; while it waits for the findings, the text that it was asked to replace.
    written: RwSignal<String>,
    /// Counts how often the lines became others.
    filled: RwSignal<u32>,
}

impl Structured {
    /// None.
    pub fn new() -> Self {
        Self {
            form: RwSignal::default(),
            shown: RwSignal::new(false),
            written: RwSignal::default(),
            filled: RwSignal::new(0),
        }
    }

    /// Forgets it: there is another image.
    pub fn clear(self) {
        self.shown.set(false);
        self.form.set(Form::default());
        self.written.set(String::new());
        self.filled.update(|count| *count += 1);
    }

    fn empty(self) -> bool {
        self.form.with(|form| form.lines.is_empty())
    }
}

/// Whether every line is left open whatever the findings say: where the picture is unlike what the model that reads them was
/// trained on.
fn open_all(workspace: Workspace) -> bool {
    let open = workspace.bundles.open();
    open.answering(Task::Findings)
        .is_some_and(|findings| open.is_foreign(findings))
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
    workspace.sign(workspace.bundles.open_now().answering(Task::Findings));
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
    let Structured { shown, written, .. } = workspace.structured;
    shown.update(|shown| *shown = !*shown);
    if !shown.get_untracked() {
        return;
    }
    if !untrack(|| workspace.structured.empty()) {
        if workspace.made.get_untracked() != Made::Form {
            write_over(workspace);
        }
        return;
    }
    // Only this text may be replaced when the findings come, not what is written meanwhile.
    written.set(workspace.text.get_untracked());
    if matches!(
        workspace.questions.findings.get_untracked(),
        Outcome::None | Outcome::Failed(_)
    ) {
        workspace.questions.ask_findings();
    }
}

/// Fills the form when the findings come, and again when others do.
fn fill(workspace: Workspace, all_open: bool) {
    let Structured {
        form,
        shown,
        written,
        filled,
    } = workspace.structured;
    let shown = shown.get();
    let Outcome::Done(readings) = workspace.questions.findings.get() else {
        return;
    };
    if !untrack(|| workspace.structured.empty()) {
        change(workspace, |form| form.refill(&readings, all_open));
    } else if shown {
        form.set(Form::filled(&readings, all_open));
        if workspace.text.get_untracked() == written.get_untracked() {
            write_over(workspace);
        }
    }
    filled.update(|count| *count += 1);
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

/// What a button of a line says.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    State(State),
    Side(&'static str),
}

impl Says {
    /// Its sign, and its word for those who do not see it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::State(State::Present) => ("+", "Present"),
            Self::State(State::Absent) => ("−", "Absent"),
            Self::State(State::Open) => ("○", "Left open"),
            Self::Side("left") => ("L", "Left"),
            Self::Side("right") => ("R", "Right"),
            Self::Side(_) => ("B", "Both sides"),
        }
    }

    /// Whether the line says it.
    fn is(self, line: &Line) -> bool {
        match self {
            Self::State(state) => line.state == state,
            Self::Side(side) => line.side == Some(side),
        }
    }

    /// Has the line say it; a side that it said, no longer.
    fn press(self, workspace: Workspace, at: usize) {
        change(workspace, |form| match self {
            Self::State(state) => form.set(at, state),
            Self::Side(side) => {
                let said = form.lines.get(at).is_some_and(|line| self.is(line));
                form.set_side(at, (!said).then_some(side));
            }
        });
    }
}

fn id(at: usize, state: State) -> String {
    ["line-", &at.to_string(), "-", state.name()].concat()
}

fn state(workspace: Workspace, at: usize) -> Option<State> {
    let form = workspace.structured.form;
    form.with_untracked(|form| form.lines.get(at).map(|line| line.state))
}

/// Moves the keyboard to a line, to the state that it has.
fn focus(workspace: Workspace, at: usize) {
    let button = state(workspace, at).and_then(|state| document().get_element_by_id(&id(at, state)));
    if let Some(button) = button.and_then(|button| button.dyn_into::<HtmlElement>().ok()) {
        // Where it cannot have the keyboard, the pointer is left.
        let _ = button.focus();
    }
}

/// P, N and O say what a line says, L, R and B on which side; arrows go to the next line and to the next state.
fn key(workspace: Workspace, at: usize, event: &KeyboardEvent) {
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let step = |by: usize| {
        let now = State::ALL
            .iter()
            .position(|own| Some(*own) == state(workspace, at));
        Says::State(State::ALL[(now.unwrap_or_default() + by) % State::ALL.len()])
    };
    let (says, next) = match event.key().as_str() {
        "p" | "P" | "+" => (Some(Says::State(State::Present)), at),
        "n" | "N" | "-" => (Some(Says::State(State::Absent)), at),
        "o" | "O" => (Some(Says::State(State::Open)), at),
        "l" | "L" => (Some(Says::Side(SIDES[0])), at),
        "r" | "R" => (Some(Says::Side(SIDES[1])), at),
        "b" | "B" => (Some(Says::Side(SIDES[2])), at),
        "ArrowRight" => (Some(step(1)), at),
        "ArrowLeft" => (Some(step(2)), at),
        "ArrowDown" => (None, at + 1),
        "ArrowUp" => (None, at.saturating_sub(1)),
        _ => return,
    };
    if let Some(says) = says {
        says.press(workspace, at);
    }
    event.prevent_default();
    focus(workspace, next);
}

fn button(workspace: Workspace, at: usize, says: Says) -> impl IntoView {
    let (sign, word) = says.words();
    let name = match says {
        Says::State(state) => Some(id(at, state)),
        Says::Side(_) => None,
    };
    let form = workspace.structured.form;
    let pressed = move || form.with(|form| form.lines.get(at).is_some_and(|line| says.is(line)));
    view! {
        <button id=name title=word aria-label=word aria-pressed=move || pressed().to_string() on:click=move |_| says.press(workspace, at)>{sign}</button>
    }
}

/// A line: its name, its side, what the model says of it, its state.
fn entry(workspace: Workspace, at: usize, line: &Line) -> impl IntoView + use<> {
    let form = workspace.structured.form;
    let class = move || {
        form.with(|form| match form.lines.get(at) {
            Some(line) if line.touched => ["entry touched ", line.state.name()].concat(),
            Some(line) => ["entry ", line.state.name()].concat(),
            None => String::new(),
        })
    };
    let (number, mark) = line.reading.as_ref().map_or_else(Default::default, |reading| {
        (
            format!("{:.2}", reading.probability),
            format!(
                "{:.3}, threshold {:.3}",
                reading.probability, reading.operating_point
            ),
        )
    });
    let buttons = |all: [Says; 3]| all.map(|says| button(workspace, at, says)).collect_view();
    let sides = match line.has_side() {
        true => buttons(SIDES.map(Says::Side)),
        false => Vec::new(),
    };
    view! {
        <div class=class data-line=line.name.clone() data-label=line.reading.as_ref().map(|reading| reading.name.clone()) on:keydown=move |event| key(workspace, at, &event)>
            <span class="name">{line.name.clone()}</span>
            <div class="choice sides" role="group" aria-label="Side">{sides}</div>
            <span class="number" title=mark>{number}</span>
            <div class="choice" role="group" aria-label=line.name.clone()>{buttons(State::ALL.map(Says::State))}</div>
        </div>
    }
}

/// The form.
#[component]
pub fn Lines(workspace: Workspace) -> impl IntoView {
    let structured = workspace.structured;
    let all_open = Memo::new(move |_| open_all(workspace));
    Effect::new(move |_| fill(workspace, all_open.get()));
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
            <p class="hint">"+ present, − absent, ○ left open and out of the text. Keys: P, N, O; L, R, B for the side; arrows."</p>
        </div>
    }
}

/// What there is to say where the text is no longer the form's.
#[component]
pub fn Edited(workspace: Workspace) -> impl IntoView {
    let structured = workspace.structured;
    let own = move || !structured.shown.get() || structured.empty() || in_step(workspace);
    view! {
        <p class="edited" role="status" hidden=own>
            <span>"You edited the text, so the form no longer changes it."</span>
            <button id="rewrite" on:click=move |_| write_over(workspace)>"Rewrite from the form"</button>
        </p>
    }
}
