//! The report: drafted word by word or written from a form into an editor, stopped, edited, copied, downloaded.

use hilum_protocol::Task;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::looks::{self, Words};
use super::panels::By;
use super::structured::{Edited, Lines, Made, outcome as outcome_of_form, toggle};
use super::workspace::{Draft, Picture, Status, Workspace};

/// What every text that leaves the page ends with, and every panel where the whole of it is out of sight.
pub const DISCLAIMER: &str = "Research software, not for clinical use.";

/// The text with where it came from.
fn signed(text: &str, made: Made, by: &str) -> String {
    let how = match made {
        Made::Hand => None,
        Made::Draft => Some("Drafted by Hilum with"),
        Made::Form => Some("Prefilled by Hilum from findings of"),
    };
    let model = how.map_or(String::new(), |how| format!("{how} {by}.\n"));
    format!("{}\n\n{model}{DISCLAIMER}\n", text.trim_end())
}

/// The report as it leaves the page.
fn report(workspace: Workspace) -> String {
    let (text, made) = (workspace.text.get_untracked(), workspace.made.get_untracked());
    signed(&text, made, &workspace.by.get_untracked())
}

/// Offers a text as a file; it is made in the page and goes through no server.
fn download(name: &str, text: &str) -> Result<(), JsValue> {
    let parts = js_sys::Array::of1(&text.into());
    let kind = BlobPropertyBag::new();
    kind.set_type("text/plain;charset=utf-8");
    let url = Url::create_object_url_with_blob(&Blob::new_with_str_sequence_and_options(&parts, &kind)?)?;
    let link: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&url)
}

/// The editor and its buttons.
#[component]
pub fn Report(workspace: Workspace) -> impl IntoView {
    let (bundles, looks) = (workspace.bundles, workspace.questions.looks);
    let running = move || workspace.draft.get() == Draft::Running;
    // A bundle that drafts nothing leaves the editor to the reader; while one is loading, it may.
    let drafts = move || match workspace.status.get() {
        Status::Ready(_) => bundles.open().tasks().contains(&Task::Draft),
        _ => true,
    };
    let finds = move || match workspace.status.get() {
        Status::Ready(_) => bundles.open().tasks().contains(&Task::Findings),
        _ => false,
    };
    // Where a form is filled in by a model that knows such pictures, a draft by one that does not is the lesser way.
    let form_first = move || {
        let open = bundles.open();
        let foreign = open.serving(Task::Draft).is_some_and(|by| open.is_foreign(by));
        let home = open.serving(Task::Findings).is_some_and(|by| open.is_home(by));
        !drafts() || (foreign && home)
    };
    let placeholder = move || match (drafts(), finds()) {
        (true, _) => "The draft appears here for you to correct.",
        (_, true) => {
            "This bundle does not draft reports; write one here, or have one filled in from its findings."
        }
        _ => "This bundle does not draft reports; write one here.",
    };
    let shown = workspace.structured.shown;
    let empty = move || workspace.text.get().trim().is_empty();
    let can_draft = move || {
        matches!(workspace.status.get(), Status::Ready(_))
            && matches!(workspace.picture.get(), Picture::Read(..))
            && !running()
    };
    let copied = RwSignal::new("");
    let copy = move |_| {
        let text = report(workspace);
        spawn_local(async move {
            let done = JsFuture::from(window().navigator().clipboard().write_text(&text)).await;
            copied.set(if done.is_ok() {
                "Copied."
            } else {
                "The browser did not allow copying; select the text and copy it yourself."
            });
        });
    };
    let save = move |_| {
        let text = report(workspace);
        if download("report-draft.txt", &text).is_err() {
            workspace.notice.set(Some(
                "The browser did not allow the download; copy the text instead.".to_owned(),
            ));
        }
    };
    let of_draft = move || match workspace.draft.get() {
        Draft::None => String::new(),
        Draft::Running => "Drafting …".to_owned(),
        Draft::Failed(why) => format!("No draft: {why}."),
        Draft::Done(d) => {
            let end = match (d.stopped, d.finished) {
                (true, _) => "Stopped",
                (_, true) => "Done",
                _ => "Reached the maximum length",
            };
            let digits = usize::from(d.pieces_per_s < 10.0);
            format!(
                "{end}: first word after {:.0} ms, {:.digits$} tokens per second.",
                d.first_ms, d.pieces_per_s
            )
        }
    };
    let outcome = move || outcome_of_form(workspace).unwrap_or_else(of_draft);
    let state = move || match workspace.draft.get() {
        Draft::None => "none",
        Draft::Running => "running",
        Draft::Done(_) => "done",
        Draft::Failed(_) => "failed",
    };
    // For those who compare with the command: the word pieces themselves.
    let pieces = move || match workspace.draft.get() {
        Draft::Done(d) => d
            .pieces
            .iter()
            .map(|p| p.text.clone())
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    };
    view! {
        <section class="report" aria-label="Report" data-draft=state data-pieces=pieces>
            <div class="toolbar" role="toolbar" aria-label="Report">
                <button id="draft" class:primary=move || !form_first() hidden=move || running() || !drafts() disabled=move || !can_draft() on:click=move |_| workspace.ask_draft()>"Draft"</button>
                <button id="stop" class="primary" hidden=move || !running() on:click=move |_| workspace.stop()>"Stop"</button>
                <button id="structured" class:primary=form_first hidden=move || !finds() disabled=move || !can_draft() aria-pressed=move || shown.get().to_string() title="A form by region, filled in from the findings" on:click=move |_| toggle(workspace)>"Structured"</button>
                <button id="looked" hidden=move || !looks::has_words(workspace) aria-pressed=move || looks.state().on.to_string() aria-controls="looks" on:click=move |_| looks::toggle(workspace)>"Where it looked"</button>
                <button id="copy" disabled=empty on:click=copy>"Copy"</button>
                <button id="download" disabled=empty on:click=save>"Download"</button>
                <button id="restore" hidden=move || workspace.replaced.get().is_none() disabled=running on:click=move |_| workspace.restore()>"Restore previous text"</button>
                <By workspace task=Task::Draft/>
            </div>
            <Lines workspace/>
            <div class="written">
                <Words workspace/>
                <Edited workspace/>
                <label class="unseen" for="text">"Report: a draft to be corrected"</label>
                <textarea
                    id="text"
                    spellcheck="true"
                    placeholder=placeholder
                    readonly=running
                    prop:value=move || workspace.text.get()
                    on:input=move |event| { copied.set(""); workspace.text.set(event_target_value(&event)) }
                ></textarea>
                <p class="outcome" id="outcome" aria-live="polite">{outcome}" "{move || copied.get()}</p>
                <p class="brief">{DISCLAIMER}</p>
            </div>
        </section>
    }
}
