//! Where the words of a draft looked: the draft as it was written as a line of words and, for the word under the pointer or the
//! keyboard's focus, a map over the radiograph. The engine is asked once a draft, when the reader first wants to see it.

use hilum_protocol::{Looked, Task, TaskRequest, ToEngine, Word, words};
use leptos::html::P;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, KeyboardEvent};

use super::connection;
use super::questions::Outcome;
use super::workspace::{Draft, Picture, Workspace};

/// Pixels of a map's longer side, how much of the radiograph it covers where it is strongest, and its colour.
const SIDE: f64 = 256.0;
const DENSEST: f32 = 0.75;
const COLOUR: [u8; 3] = [255, 122, 0];
/// Up to this share of a radiograph's width is left, from as far from its end on right.
const OUTER: f64 = 0.4;
/// What a reader points with.
const EVENTS: [&str; 5] = ["pointerover", "pointerout", "focusin", "focusout", "keydown"];

/// The words of a draft, and where they looked.
#[derive(Clone, Default)]
pub struct State {
    words: Vec<Word>,
    /// Whether they are shown.
    pub on: bool,
    /// What the engine says; nothing of a model that cannot tell.
    outcome: Outcome<Option<Looked>>,
    /// Where the word that is pointed at looked.
    pub heat: Option<Heat>,
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

    /// The map of a word.
    fn heat_of(&self, at: usize) -> Option<Heat> {
        let Outcome::Done(Some(looked)) = &self.outcome else {
            return None;
        };
        let word = self.words.get(at)?;
        let marks = |c: char| c.is_ascii_punctuation();
        Some(Heat {
            word: word.text.trim_matches(marks).to_owned(),
            cells: looked.mean(&word.tokens)?,
            looked: looked.clone(),
            full: self.full,
        })
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

    fn now(self) -> State {
        self.0.get_untracked()
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
        self.point(["hover", "focus"]);
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
        mark(None);
        self.change(&mut |state| {
            state.on = false;
            state.heat = None;
        });
    }

    /// Shows the map of the word that is pointed at, by the first of these ways in which one is.
    fn point(self, by: [&str; 2]) {
        let state = self.now();
        if !state.on {
            return;
        }
        let word = |by| find(&["#looks button:", by].concat());
        let word = by.into_iter().find_map(word);
        let heat = word.as_ref().and_then(|word| state.heat_of(place(word)?));
        if heat != state.heat {
            mark(word.filter(|_| heat.is_some()));
            self.change(&mut |state| state.heat.clone_from(&heat));
        }
    }

    /// What a reader does anywhere on the page.
    fn heed(self, event: &Event) {
        if let Some(event) = event.dyn_ref::<KeyboardEvent>() {
            self.key(event);
        } else if event.type_().starts_with("focus") {
            self.point(["focus", "hover"]);
        } else {
            self.point(["hover", "focus"]);
        }
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

fn find(css: &str) -> Option<Element> {
    document().query_selector(css).ok().flatten()
}

fn focus(css: &str) {
    if let Some(element) = find(css).and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        // Where it cannot have the keyboard, the one before keeps it.
        let _ = element.focus();
    }
}

/// Marks the word whose map is shown.
fn mark(word: Option<Element>) {
    if let Some(before) = find("#looks .seen") {
        before.set_class_name("");
    }
    if let Some(word) = word {
        word.set_class_name("seen");
    }
}

/// The place of a word's button among the words.
fn place(button: &Element) -> Option<usize> {
    button.get_attribute("data-at")?.parse().ok()
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

/// A map over the radiograph: where a word looked.
#[derive(Clone, PartialEq)]
pub struct Heat {
    word: String,
    cells: Vec<f32>,
    looked: Looked,
    full: (usize, usize),
}

/// For a pixel of a map: the cells between whose middles it lies, and how far it is on the way. Nothing beyond all cells.
type Between = Option<(usize, usize, f32)>;

/// The same for a row or column of `pixels` that shows `full` pixels of the radiograph; the cells lie between `edges`.
fn between(pixels: usize, full: usize, edges: (f64, f64), cells: usize) -> Vec<Between> {
    let each = (edges.1 - edges.0) / cells as f64;
    let place = |pixel: usize| {
        let at = (pixel as f64 + 0.5) / pixels as f64 * full as f64;
        let at = (at - edges.0) / each;
        let inside = at >= 0.0 && at <= cells as f64;
        let at = (at - 0.5).clamp(0.0, (cells - 1) as f64);
        let low = at as usize;
        inside.then_some((low, (low + 1).min(cells - 1), (at - low as f64) as f32))
    };
    (0..pixels).map(place).collect()
}

impl Heat {
    /// The cell that has most, by its place row by row.
    pub fn peak(&self) -> usize {
        let best = |best: usize, at: usize| {
            if self.cells[at] > self.cells[best] {
                at
            } else {
                best
            }
        };
        (0..self.cells.len()).reduce(best).unwrap_or_default()
    }

    /// Where that cell is in the radiograph, in words.
    fn place(&self) -> String {
        let Looked {
            grid, across, down, ..
        } = self.looked;
        let part = |cell: usize, cells: usize, (from, to): (f64, f64), full: usize| {
            let at = (from + (to - from) * (cell as f64 + 0.5) / cells as f64) / full as f64;
            match at {
                at if at < OUTER => 0,
                at if at > 1.0 - OUTER => 2,
                _ => 1,
            }
        };
        let row = part(self.peak() / grid.1, grid.0, down, self.full.1);
        let column = part(self.peak() % grid.1, grid.1, across, self.full.0);
        let middle = row == 1 && column == 1;
        let row = if middle {
            ""
        } else {
            ["upper ", "middle ", "lower "][row]
        };
        [row, ["left", "middle", "right"][column]].concat()
    }

    /// What there is to say of it.
    fn told(&self) -> String {
        let (word, place) = (&self.word, self.place());
        // The rest went to words.
        match 100.0 * self.cells.iter().sum::<f32>() {
            all if all >= 99.5 => format!("“{word}”: strongest at the {place} of the picture."),
            percent => {
                let percent = if percent < 1.0 {
                    "less than 1".to_owned()
                } else {
                    format!("{percent:.0}")
                };
                format!("“{word}”: {percent}% of attention on the picture, strongest at its {place}.")
            }
        }
    }

    /// Its pixels, four bytes each, with their width and height: the shape of the radiograph. A cell's value stands in its
    /// middle; from one to the next it goes evenly.
    pub fn pixels(&self) -> (Vec<u8>, (usize, usize)) {
        let Looked {
            grid, across, down, ..
        } = self.looked;
        let scale = SIDE / self.full.0.max(self.full.1).max(1) as f64;
        let side = |full: usize| (full as f64 * scale).round().max(1.0) as usize;
        let size = (side(self.full.0), side(self.full.1));
        let columns = between(size.0, self.full.0, across, grid.1);
        let rows = between(size.1, self.full.1, down, grid.0);
        let densest = 255.0 * DENSEST / self.cells[self.peak()].max(f32::MIN_POSITIVE);
        let mut pixels = Vec::new();
        for row in &rows {
            for column in &columns {
                let mut dense = 0.0;
                if let (Some((top, bottom, down)), Some((left, right, across))) = (row, column) {
                    let cell = |row: &usize, column: &usize| self.cells[row * grid.1 + column];
                    let line = |row| cell(row, left) * (1.0 - across) + cell(row, right) * across;
                    dense = densest * (line(top) * (1.0 - down) + line(bottom) * down);
                }
                pixels.extend_from_slice(&[COLOUR[0], COLOUR[1], COLOUR[2], dense as u8]);
            }
        }
        (pixels, size)
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
    for event in EVENTS {
        // They live as long as the page.
        std::mem::forget(window_event_listener_untyped(event, move |event| {
            looks.heed(&event)
        }));
    }
    let told = move || {
        let state = looks.state();
        match state.outcome {
            Outcome::None => String::new(),
            Outcome::Running => "Working out where each word looked …".to_owned(),
            Outcome::Failed(why) => format!("No maps: {why}."),
            Outcome::Done(None) => "This model cannot show where its words looked.".to_owned(),
            Outcome::Done(_) => state.heat.map_or_else(
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
