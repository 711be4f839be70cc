//! What is marked of a checked report: in its text, and as a list that the reader answers, by pointer or keyboard.
//!
//! Text and list are plain elements, put together anew with each answer. Of the report they hold text and nothing else.

use hilum_protocol::{Doubt, Mark, Review, Task};
use leptos::ev::KeyboardEvent;
use leptos::html::{Ol, P};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlTextAreaElement};

use super::check::{Check, left};
use super::heat;
use super::models::put;
use super::questions::Outcome;
use super::workspace::Workspace;

/// From these strengths on, in log odds, a doubt is shown as a stronger one.
const STRONGER: [f32; 2] = [2.0, 4.0];

/// A kind of doubt, in the document and for the reader.
fn kind(doubt: Doubt) -> (&'static str, &'static str) {
    match doubt {
        Doubt::Side => ("side", "Side"),
        Doubt::Finding => ("finding", "Finding"),
        Doubt::Sentence => ("sentence", "Sentence"),
        Doubt::Word => ("word", "Word"),
    }
}

/// Why something is marked, in a sentence.
fn why(review: &Review, mark: &Mark) -> String {
    match mark.doubt {
        Doubt::Side => "The radiograph speaks for the other side.".to_owned(),
        Doubt::Sentence => "The report matches better without this sentence.".to_owned(),
        Doubt::Word => "Another word is likelier here.".to_owned(),
        Doubt::Finding => {
            let name = mark.finding.as_deref().unwrap_or_default();
            let mut all = review.checked.contradictions.iter();
            let said = all.find(|said| said.finding == name && said.doubt == mark.strength);
            let name = name.replace('_', " ");
            said.map_or_else(
                || format!("The radiograph is read otherwise: {name}."),
                |said| {
                    let states = if said.stated { "states" } else { "denies" };
                    format!(
                        "The report {states} {name}; its probability in the radiograph is {:.2}.",
                        said.probability
                    )
                },
            )
        }
    }
}

/// What is proposed, in words.
fn proposed(mark: &Mark) -> String {
    match mark.proposal.as_deref() {
        Some("") => "leave it out".to_owned(),
        Some(proposal) => format!("“{proposal}”"),
        None => "read it again".to_owned(),
    }
}

/// Tells an element of which mark it is.
fn describe(element: &Element, mark: &Mark, at: usize) -> Option<()> {
    let level = STRONGER.iter().filter(|least| mark.strength >= **least).count();
    for (name, value) in [
        ("data-at", at.to_string()),
        ("data-doubt", kind(mark.doubt).0.to_owned()),
        ("data-strength", mark.strength.to_string()),
        ("data-level", level.to_string()),
        ("data-start", mark.start.to_string()),
        ("data-end", mark.end.to_string()),
    ] {
        element.set_attribute(name, &value).ok()?;
    }
    if let Some(proposal) = &mark.proposal {
        element.set_attribute("data-proposal", proposal).ok()?;
    }
    Some(())
}

/// The text with its marks.
fn fill_text(text: &Element, review: &Review) -> Option<()> {
    text.set_text_content(None);
    for (piece, at) in review.pieces() {
        let Some((at, mark)) = at.and_then(|at| Some((at, review.marks.get(at)?))) else {
            text.append_with_str_1(piece).ok()?;
            continue;
        };
        let element = put(text, "mark", "", piece)?;
        describe(&element, mark, at)?;
        let title = format!("{} Proposed: {}.", why(review, mark), proposed(mark));
        element.set_attribute("title", &title).ok()?;
    }
    Some(())
}

/// The marks one after the other, each with its answers. The tabulator key finds the first, arrow keys go on from it.
fn fill_list(list: &Element, review: &Review) -> Option<()> {
    list.set_text_content(None);
    for (at, mark) in review.marks.iter().enumerate() {
        let item = put(list, "li", "doubt", "")?;
        describe(&item, mark, at)?;
        item.set_attribute("tabindex", if at == 0 { "0" } else { "-1" })
            .ok()?;
        let words = put(&item, "div", "", "")?;
        let head = put(&words, "p", "", "")?;
        put(&head, "span", "kind", kind(mark.doubt).1)?;
        put(&head, "q", "", review.written(mark))?;
        put(&head, "span", "hint", " → ")?;
        put(&head, "strong", "", &proposed(mark))?;
        put(&words, "p", "hint", &why(review, mark))?;
        let toolbar = put(&item, "div", "toolbar", "")?;
        match mark.proposal {
            Some(_) => put(&toolbar, "button", "accept", "Accept")?,
            None => put(&toolbar, "button", "correct", "Correct")?,
        };
        put(&toolbar, "button", "keep", "Keep")?;
    }
    Some(())
}

fn find(css: &str) -> Option<HtmlElement> {
    heat::find(css)?.dyn_into().ok()
}

/// Moves the keyboard to a mark in the list, or to the last; without any, to where the report is checked again.
fn focus(at: usize) {
    let item = find(&format!("#check-marks [data-at='{at}']"));
    let element = item
        .or_else(|| find("#check-marks li:last-child"))
        .or_else(|| find("#check"));
    if let Some(element) = element {
        // What cannot have the keyboard leaves it where it is.
        let _ = element.focus();
    }
}

/// A reader's answer to a mark.
#[derive(Clone, Copy)]
enum Answer {
    Accept,
    Keep,
}

/// The mark that an element belongs to.
fn place(element: &Element) -> Option<usize> {
    heat::place(&element.closest("[data-at]").ok()??)
}

/// Changes what is left to answer, and the text with it.
fn change(check: Check, change: &mut dyn FnMut(&mut Review)) {
    let Outcome::Done(mut review) = check.outcome.get_untracked() else {
        return;
    };
    if untrack(|| check.is_stale()) {
        return;
    }
    check.past.update(|past| past.push(review.clone()));
    change(&mut review);
    check.text.set(review.text.clone());
    check.outcome.set(Outcome::Done(review));
}

fn answer(check: Check, at: usize, answer: Answer) {
    let Outcome::Done(review) = check.outcome.get_untracked() else {
        return;
    };
    match (answer, review.marks.get(at)) {
        (Answer::Accept, Some(mark)) if mark.proposal.is_none() => correct(&review.text, mark),
        (Answer::Accept, _) => change(check, &mut |review| review.accept(at)),
        (Answer::Keep, _) => change(check, &mut |review| review.keep(at)),
    }
}

/// Selects what is marked where it can be corrected. A browser counts in UTF-16.
fn correct(text: &str, mark: &Mark) {
    let units = |end: usize| text.get(..end).unwrap_or_default().encode_utf16().count() as u32;
    let area = find("#check-text").and_then(|area| area.dyn_into::<HtmlTextAreaElement>().ok());
    if let Some(area) = area {
        // Where it cannot be selected, the reader finds it by its mark.
        let _ = area.focus();
        let _ = area.set_selection_range(units(mark.start), units(mark.end));
    }
}

fn undo(check: Check) {
    let mut past = check.past.get_untracked();
    if let Some(review) = past.pop() {
        check.past.set(past);
        check.text.set(review.text.clone());
        check.outcome.set(Outcome::Done(review));
    }
}

/// A button of the list, or a mark in the text, is pressed.
fn press(check: Check, event: &Event) -> Option<()> {
    let element: Element = event.target()?.dyn_into().ok()?;
    let at = place(&element)?;
    match element.class_name().as_str() {
        "accept" | "correct" => answer(check, at, Answer::Accept),
        "keep" => answer(check, at, Answer::Keep),
        _ => focus(at),
    }
    Some(())
}

/// Enter and A accept, K keeps, arrows go from mark to mark.
fn key(check: Check, event: &KeyboardEvent) -> Option<()> {
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return None;
    }
    let element: Element = event.target()?.dyn_into().ok()?;
    let at = place(&element)?;
    match event.key().as_str() {
        // A button is pressed by it.
        "Enter" if element.tag_name() == "BUTTON" => return None,
        "Enter" | "a" | "A" => answer(check, at, Answer::Accept),
        "k" | "K" => answer(check, at, Answer::Keep),
        "ArrowDown" => focus(at + 1),
        "ArrowUp" => focus(at.saturating_sub(1)),
        _ => return None,
    }
    event.prevent_default();
    Some(())
}

/// Where the keyboard goes when the list is put together anew: to the mark that took the place of the one that was answered; after a
/// check to the first, unless the reader is at something else.
fn next(review: &Review) -> Option<usize> {
    let active = document().active_element()?;
    let within = |css: &str| active.closest(css).ok().flatten().is_some();
    if within("#checked") {
        return place(&active).or(Some(0));
    }
    let waits = active.tag_name() == "BODY" || within("#checking button");
    (waits && !review.marks.is_empty()).then_some(0)
}

/// Text and list.
#[component]
pub fn Marked(workspace: Workspace) -> impl IntoView {
    let check = workspace.questions.check;
    let (text, list) = (NodeRef::<P>::new(), NodeRef::<Ol>::new());
    Effect::new(move |_| {
        let (Some(text), Some(list)) = (text.get(), list.get()) else {
            return;
        };
        let Outcome::Done(review) = check.outcome.get() else {
            return;
        };
        let next = next(&review);
        // They fail only where a document takes no elements.
        let _ = fill_text(&text, &review);
        let _ = fill_list(&list, &review);
        if let Some(next) = next {
            focus(next);
        }
    });
    let review = move || match check.outcome.get() {
        Outcome::Done(review) => Some(review),
        _ => None,
    };
    let said = move || {
        let answered = !check.past.get().is_empty();
        review().map(|review| left(&review, answered))
    };
    let sides = move || review().map_or(0, |review| review.sides());
    let suggestion = move || {
        let suggestion = review()?.checked.suggestion?;
        Some(format!(
            "The report of case {} matches better ({:.2}): {}",
            suggestion.id, suggestion.matching, suggestion.report
        ))
    };
    // Without a pointer or the keyboard on a mark, how to get its map, where the model has maps.
    let told = move || match workspace.questions.overlay.of(Task::Check) {
        Some(heat) => heat.told(),
        None => match review().is_some_and(|review| review.checked.looked.is_some()) {
            true => "Point at a mark to see where in the picture the model looked for it.".to_owned(),
            false => String::new(),
        },
    };
    let any = move || review().is_some_and(|review| !review.marks.is_empty());
    view! {
        <div class="checked" id="checked" hidden=move || review().is_none() inert=move || check.is_stale()>
            <p class="quoted" id="check-marked" node_ref=text on:click=move |event| _ = press(check, &event)></p>
            <div class="toolbar tools" id="check-tools">
                <span id="check-left">{said}</span>
                <button id="check-exchange" hidden=move || { sides() < 2 } on:click=move |_| change(check, &mut Review::exchange)>"Exchange all sides"</button>
                <button id="check-undo" hidden=move || check.past.get().is_empty() on:click=move |_| undo(check)>"Undo"</button>
            </div>
            <p class="told" id="check-looked" hidden=move || !any()>{told}</p>
            <ol class="doubts" id="check-marks" aria-labelledby="check-left" aria-describedby="disclaimer" node_ref=list on:click=move |event| _ = press(check, &event) on:keydown=move |event| _ = key(check, &event)></ol>
            <p class="quoted" id="check-suggestion" hidden=move || suggestion().is_none()>{suggestion}</p>
            <p class="hint" hidden=move || !any()>"Keys: A or Enter accepts, K keeps, arrows go from mark to mark."</p>
        </div>
    }
}
