//! Where the words of a draft looked: the draft as it was written as a line of words, each with its map ([`super::heat`]). The engine is
//! asked once a draft, when the reader first wants to see it.

use hilum_protocol::{Looked, Task, TaskRequest, ToEngine, Word, words};
use leptos::html::P;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::connection;
use super::heat::{Heat, find, place};
use super::questions::Outcome;
use super::workspace::{Draft, Picture, Workspace};

/// The words of a draft, and where they looked.
#[derive(Clone, Default)]
pub struct State {
    words: Vec<Word>,
    /// Whether they are shown.
    pub on: bool,
    /// What the engine says; nothing of a model that cannot tell.
    outcome: Outcome<Option<Looked>>,
    /// The request's number, the bundle that drafted, its tokens, and columns and rows of the radiograph.
    request: u32,
    bundle: Option<String>,
    tokens: Vec<u32>,
    full: (usize, usize),
}

impl State {
    fn ask(&self) {
        let tokens = self.tokens.clone();
        connection::send(&ToEngine::Run {
            request: self.request,
            task: TaskRequest::Looks { tokens },
            bundle: self.bundle.clone(),
        });
    }

    /// The map of a word, where it is shown.
    fn heat_of(&self, at: usize) -> Option<Heat> {
        let Outcome::Done(Some(looked)) = &self.outcome else {
            return None;
        };
        let word = self.words.get(at).filter(|_| self.on)?;
        let cells = looked.mean(&word.tokens)?;
        Heat::new(Task::Draft, &word.text, looked, cells, self.full)
    }
}

/// The same on the page. It is a signal, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Looks(RwSignal<State>);

impl Looks {
    /// None.
    pub fn new() -> Self {
        Self(RwSignal::default())
    }

    /// What there is.
    pub fn state(self) -> State {
        self.0.get()
    }

    /// Has what runs now run again when there is another draft, an answer, or nothing shown any more.
    pub fn track(self) {
        self.0.track();
    }

    fn now(self) -> State {
        self.0.get_untracked()
    }

    /// The map of a word, where it is shown.
    pub fn heat_of(self, at: usize) -> Option<Heat> {
        self.0.with_untracked(|state| state.heat_of(at))
    }

    // Not generic: what changes is small, and so is the program then.
    fn change(self, change: &mut dyn FnMut(&mut State)) {
        self.0.update(change);
    }

    /// Forgets all: there is another draft or image.
    pub fn clear(self) {
        self.change(&mut |state| *state = State::default());
    }

    /// Whether a request is this one, and not given up.
    pub fn is_of(self, request: u32) -> bool {
        self.now().request == request
    }

    /// The engine has answered.
    pub fn take(self, outcome: Outcome<Option<Looked>>) {
        self.change(&mut |state| state.outcome = outcome.clone());
    }

    /// Asks a restarted engine for what the one before it owed.
    pub fn again(self) {
        let state = self.now();
        if state.outcome == Outcome::Running {
            state.ask();
        }
    }

    /// What is owed will not come.
    pub fn give_up(self, why: &str) {
        if self.now().outcome == Outcome::Running {
            self.take(Outcome::Failed(why.to_owned()));
        }
    }

    fn hide(self) {
        self.change(&mut |state| state.on = false);
    }

    /// Arrows go from word to word, Escape puts them away.
    fn key(self, event: &KeyboardEvent) {
        let Some(own) = find("#looks :focus, #looked:focus").filter(|_| self.now().on) else {
            return;
        };
        let to = |step: usize| place(&own).map(|at| (at + step).saturating_sub(1));
        let next = match event.key().as_str() {
            "ArrowRight" | "ArrowDown" => to(2),
            "ArrowLeft" | "ArrowUp" => to(0),
            "Escape" => {
                focus("#looked");
                return self.hide();
            }
            _ => return,
        };
        if let Some(next) = next {
            event.prevent_default();
            focus(&format!("#looks [data-at=\"{next}\"]"));
        }
    }
}

fn focus(css: &str) {
    if let Some(element) = find(css).and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        // Where it cannot have the keyboard, the one before keeps it.
        let _ = element.focus();
    }
}

/// Whether there is a draft with words, and the radiograph that it is of.
pub fn has_words(workspace: Workspace) -> bool {
    let read = matches!(workspace.picture.get(), Picture::Read(..));
    read && !workspace.questions.looks.state().words.is_empty()
}

/// Shows the words or puts them away. Where they looked is asked for when they are first shown.
pub fn toggle(workspace: Workspace) {
    let looks = workspace.questions.looks;
    let state = looks.now();
    if state.on {
        return looks.hide();
    }
    let (Draft::Done(drafted), Picture::Read(_, _, full)) =
        (workspace.draft.get_untracked(), workspace.picture.get_untracked())
    else {
        return;
    };
    let asks = matches!(state.outcome, Outcome::None | Outcome::Failed(_));
    let request = workspace.questions.number();
    let open = workspace.bundles.open_now();
    let bundle = open.answering(Task::Draft).map(|bundle| bundle.sha256.clone());
    looks.change(&mut |state| {
        state.on = true;
        if asks {
            state.outcome = Outcome::Running;
            state.request = request;
            state.bundle.clone_from(&bundle);
            state.tokens = drafted.pieces.iter().map(|piece| piece.id).collect();
            state.full = full;
        }
    });
    if asks {
        looks.now().ask();
    }
}

/// Fills a line with the words as buttons, of which the tabulator key finds the first; the arrow keys go on from it.
fn fill(line: &Element, words: &[Word]) -> Option<()> {
    line.set_text_content(None);
    for (at, word) in words.iter().enumerate() {
        let button = document().create_element("button").ok()?;
        button.set_text_content(Some(&word.text));
        button.set_attribute("data-at", &at.to_string()).ok()?;
        if at > 0 {
            button.set_attribute("tabindex", "-1").ok()?;
        }
        if word.spaced {
            line.append_with_str_1(" ").ok()?;
        }
        line.append_child(&button).ok()?;
    }
    Some(())
}

/// The words of the draft, each with its map.
#[component]
pub fn Words(workspace: Workspace) -> impl IntoView {
    let looks = workspace.questions.looks;
    let line = NodeRef::<P>::new();
    Effect::new(move |_| {
        // All else belonged to another draft.
        looks.clear();
        let (Some(line), Draft::Done(drafted)) = (line.get(), workspace.draft.get()) else {
            return;
        };
        let words = words(&drafted.text, &drafted.pieces);
        // Where a browser makes no buttons, there is nothing to point at.
        let _ = fill(&line, &words);
        looks.change(&mut |state| state.words.clone_from(&words));
    });
    // It lives as long as the page.
    std::mem::forget(window_event_listener(leptos::ev::keydown, move |event| {
        looks.key(&event)
    }));
    let told = move || {
        let state = looks.state();
        match state.outcome {
            Outcome::None => String::new(),
            Outcome::Running => "Working out where each word looked …".to_owned(),
            Outcome::Failed(why) => format!("No maps: {why}."),
            Outcome::Done(None) => "This model cannot show where its words looked.".to_owned(),
            Outcome::Done(_) => workspace.questions.overlay.of(Task::Draft).map_or_else(
                || "Point at a word to see where the model looked as it wrote it.".to_owned(),
                |heat| heat.told(),
            ),
        }
    };
    let note = move || match workspace.draft.get() {
        Draft::Done(drafted) if drafted.text != workspace.text.get() => {
            "You have changed the text since; these are the words of the draft. "
        }
        _ => "",
    };
    view! {
        <div class="looks" id="looks" role="group" aria-label="Where it looked" aria-describedby="disclaimer" data-state=move || looks.state().outcome.name() hidden=move || !(looks.state().on && has_words(workspace))>
            <p class="words" node_ref=line></p>
            <p class="told" role="status">{told}</p>
            <p class="hint">{note}"A map shows where the model’s numbers came from, not why it chose the word."</p>
        </div>
    }
}
