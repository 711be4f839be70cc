//! A map over the radiograph: where a word of the draft looked, or where a word of a checked report was looked for. It is that of the word
//! under the pointer or with the keyboard's focus, and goes when that does.

use hilum_protocol::{Looked, Task};
use leptos::prelude::*;
use web_sys::Element;

use super::workspace::Workspace;

/// Pixels of a map's longer side, how much of the radiograph it covers where it is strongest, and its colour.
const SIDE: f64 = 256.0;
const DENSEST: f32 = 0.75;
const COLOUR: [u8; 3] = [255, 122, 0];
/// Up to this share of a radiograph's width is left, from as far from its end on right.
const OUTER: f64 = 0.4;
/// What a reader points with.
const EVENTS: [&str; 4] = ["pointerover", "pointerout", "focusin", "focusout"];
/// What is pointed at, by pointer and by keyboard: a word of the draft, a mark in a report or in the list of its marks. The keyboard goes to
/// the first mark of its own accord: that alone shows nothing to who uses a pointer.
const HOVERED: &str = "#looks button:hover, #checked [data-at]:hover";
const FOCUSED: &str = "#looks button:focus, #checked :focus-visible";

/// A map of a word.
#[derive(Clone, PartialEq)]
pub struct Heat {
    /// Of a draft's, or of a checked report's.
    of: Task,
    word: String,
    cells: Vec<f32>,
    grid: (usize, usize),
    across: (f64, f64),
    down: (f64, f64),
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
    /// The map of a word without the punctuation around it: the share of each cell, over a radiograph of `full` columns and rows. Nothing
    /// where no cell has any.
    pub fn new(of: Task, word: &str, looked: &Looked, cells: Vec<f32>, full: (usize, usize)) -> Option<Self> {
        let marks = |c: char| c.is_ascii_punctuation();
        let any = cells.iter().any(|share| *share > 0.0);
        any.then(|| Self {
            of,
            word: word.trim_matches(marks).to_owned(),
            cells,
            grid: looked.grid,
            across: looked.across,
            down: looked.down,
            full,
        })
    }

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
        let Self {
            grid, across, down, ..
        } = *self;
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
    pub fn told(&self) -> String {
        let (word, place) = (&self.word, self.place());
        // What a draft's word lacks went to words.
        match 100.0 * self.cells.iter().sum::<f32>() {
            all if all >= 99.5 || self.of == Task::Check => {
                format!("“{word}”: strongest at the {place} of the picture.")
            }
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
        let Self {
            grid, across, down, ..
        } = *self;
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

/// The map that lies over the radiograph. It is a signal, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Overlay(RwSignal<Option<Heat>>);

impl Overlay {
    /// None.
    pub fn new() -> Self {
        Self(RwSignal::new(None))
    }

    /// What is shown.
    pub fn get(self) -> Option<Heat> {
        self.0.get()
    }

    /// What is shown of a draft's words, or of a checked report's.
    pub fn of(self, task: Task) -> Option<Heat> {
        self.get().filter(|heat| heat.of == task)
    }
}

/// The first element that `css` finds.
pub fn find(css: &str) -> Option<Element> {
    document().query_selector(css).ok().flatten()
}

/// The place of a word or mark among all.
pub fn place(element: &Element) -> Option<usize> {
    element.get_attribute("data-at")?.parse().ok()
}

/// Shows the map of what is pointed at, by the first of these ways in which something is.
fn point(workspace: Workspace, by: [&str; 2]) {
    let questions = workspace.questions;
    let word = by.into_iter().find_map(find);
    let word = word.and_then(|word| word.closest("[data-at]").ok()?);
    let at = word.as_ref().and_then(place);
    let of_check = word.as_ref().and_then(|word| word.closest("#checked").ok()?);
    match (at, of_check) {
        (Some(at), Some(_)) => {
            // Whether it is pointed at there or in the list.
            let mark = find(&format!("#check-marked [data-at=\"{at}\"]"));
            let picture = workspace.picture.get_untracked();
            show(questions.overlay, mark, questions.check.heat_of(at, picture));
        }
        (Some(at), None) => show(questions.overlay, word, questions.looks.heat_of(at)),
        (None, _) => show(questions.overlay, None, None),
    }
}

/// Shows a map, or none, and marks its word.
fn show(overlay: Overlay, word: Option<Element>, heat: Option<Heat>) {
    if overlay.0.with_untracked(|shown| *shown == heat) {
        return;
    }
    // It fails only for a class that is no word.
    if let Some(before) = find(".seen") {
        let _ = before.class_list().remove_1("seen");
    }
    if let Some(word) = word.filter(|_| heat.is_some()) {
        let _ = word.class_list().add_1("seen");
    }
    overlay.0.set(heat);
}

/// Heeds where a reader points from now on, and what becomes of what is pointed at.
pub fn listen(workspace: Workspace) {
    for event in EVENTS {
        let by = match event.starts_with("focus") {
            true => [FOCUSED, HOVERED],
            false => [HOVERED, FOCUSED],
        };
        // They live as long as the page.
        std::mem::forget(window_event_listener_untyped(event, move |_| {
            point(workspace, by)
        }));
    }
    Effect::new(move |_| {
        workspace.questions.looks.track();
        workspace.questions.check.track();
        point(workspace, [HOVERED, FOCUSED]);
    });
}
