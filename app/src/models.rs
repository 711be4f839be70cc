//! The panel of bundles: what is published, open and kept; open one, close one, free the space that one takes.

use hilum_protocol::{Bundle, FOLDER, Listed, Task, ToEngine};
use js_sys::{Map, Reflect};
use leptos::html::{Dialog, Ul};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlInputElement};

use super::bundles::{Open, Rest, Wanted};
use super::connection;
use super::workspace::{Status, Workspace};

/// What a bundle does for a task, in the reader's words.
pub fn does(task: Task) -> &'static str {
    match task {
        Task::Draft => "drafts reports",
        Task::Findings => "reads findings",
        Task::Retrieve => "finds similar cases",
        Task::Vqa => "answers questions",
        Task::Check => "checks reports",
    }
}

/// Words as a list in a sentence.
pub fn list_of(words: &[&str], and: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} {and} {last}", rest.join(", ")),
    }
}

/// Bytes as a reader counts them.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// An element with words in it, at the end of another. The rows are plain elements and are put together anew where something
/// changes: there are few, and as views they would weigh more than all else here.
pub fn put(parent: &Element, tag: &str, class: &str, words: &str) -> Option<Element> {
    let element = document().create_element(tag).ok()?;
    element.set_class_name(class);
    element.set_text_content(Some(words));
    parent.append_child(&element).ok()?;
    Some(element)
}

fn find<'a>(of: &'a [Listed], bundle: &Bundle) -> Option<&'a Listed> {
    of.iter().find(|listed| listed.bundle.sha256 == bundle.sha256)
}

/// A bundle with all that there is of it, and its buttons.
fn row(list: &Element, bundle: &Bundle, open: &Open, rest: &Rest, busy: bool) -> Option<()> {
    let is_open = open.contains(&bundle.sha256);
    let (kept, published) = (find(&rest.kept, bundle), find(&rest.published, bundle));
    let states = [
        (is_open, "open"),
        (kept.is_some(), "kept in this browser"),
        (published.is_some(), "on the server"),
    ];
    let states: Vec<&str> = states
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, state)| state)
        .collect();
    let states = states.join(", ");
    let tasks: Vec<&str> = bundle.tasks.iter().map(|task| does(*task)).collect();
    let data = match bundle.data.trim() {
        "" => "It does not say what it was trained on.".to_owned(),
        data => format!("Trained on: {data}"),
    };
    let from = kept.and_then(|listed| listed.at.strip_prefix(FOLDER));
    let from = from.map_or(String::new(), |folder| format!(" · from the folder {folder}"));

    let item = put(list, "li", "model", "")?;
    for (name, value) in [
        ("data-sha256", &bundle.sha256),
        ("data-name", &bundle.name),
        ("data-state", &states),
    ] {
        item.set_attribute(name, value).ok()?;
    }
    let words = put(&item, "div", "", "")?;
    let head = put(&words, "p", "", "")?;
    put(&head, "strong", "", &bundle.name)?;
    put(
        &head,
        "span",
        if is_open { "state open" } else { "state" },
        &states,
    )?;
    put(&words, "p", "", &list_of(&tasks, "and"))?;
    put(&words, "p", "hint", &data)?;
    let facts = format!("{} · {} · ", bundle.system, megabytes(bundle.bytes));
    let facts = put(&words, "p", "hint", &facts)?;
    let short = format!("SHA-256 {}", bundle.sha256.get(..12).unwrap_or(&bundle.sha256));
    put(&facts, "span", "", &short)?
        .set_attribute("title", &bundle.sha256)
        .ok()?;
    put(&facts, "span", "", &from)?;

    let toolbar = put(&item, "div", "toolbar", "")?;
    let free = kept.map(|kept| format!("Free {:.0} MB", (kept.bundle.bytes as f64 / 1e6).max(1.0)));
    for (class, words, there) in [
        ("open", "Open", !is_open),
        ("close", "Close", is_open && open.all.len() > 1),
        ("free", free.as_deref().unwrap_or_default(), free.is_some()),
    ] {
        if there {
            let button = put(&toolbar, "button", class, words)?;
            button.toggle_attribute_with_force("disabled", busy).ok()?;
        }
    }
    Some(())
}

/// A row for each bundle: what is open first, then what is published, then what else is kept.
fn rows(list: &Element, open: &Open, rest: &Rest, ready: bool) {
    // Who goes by the keyboard stays where they were.
    let at = document().active_element().and_then(|button| {
        let sha256 = button
            .closest("#models-panel li")
            .ok()??
            .get_attribute("data-sha256")?;
        Some(format!("[data-sha256='{sha256}'] button"))
    });
    list.set_text_content(None);
    let mut all: Vec<&Bundle> = Vec::new();
    let listed = rest
        .published
        .iter()
        .chain(&rest.kept)
        .map(|listed| &listed.bundle);
    for bundle in open.all.iter().map(|opened| &opened.bundle).chain(listed) {
        if !all.iter().any(|own| own.sha256 == bundle.sha256) {
            all.push(bundle);
        }
    }
    // While one is opened, what it has in common with others is not taken from it.
    let busy = !ready || rest.adding.is_some();
    for bundle in all {
        // It fails only where a document takes no elements.
        let _ = row(list, bundle, open, rest, busy);
    }
    let button = at.and_then(|at| list.query_selector(&at).ok().flatten());
    if let Some(button) = button.and_then(|button| button.dyn_into::<HtmlElement>().ok()) {
        // A button that is disabled does not take it.
        let _ = button.focus();
    }
}

/// Does what a row's button says.
fn press(workspace: Workspace, event: &Event) -> Option<()> {
    let button: Element = event.target()?.dyn_into().ok()?;
    let sha256 = button.closest("li").ok()??.get_attribute("data-sha256")?;
    let bundles = workspace.bundles;
    match button.class_name().as_str() {
        "open" => {
            let rest = bundles.rest_now();
            let mut all = rest.published.iter().chain(&rest.kept);
            bundles.add(&Wanted::of(all.find(|listed| listed.bundle.sha256 == sha256)?));
            workspace.go_on();
        }
        "close" => bundles.close(sha256),
        "free" => connection::send(&ToEngine::Free { sha256 }),
        _ => {}
    }
    Some(())
}

/// Takes the folder that was chosen.
fn take(workspace: Workspace, event: &Event) {
    let bundles = workspace.bundles;
    let Some(input) = event.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()) else {
        return;
    };
    let (files, mut name) = (Map::new(), String::new());
    for at in 0..input.files().map_or(0, |files| files.length()) {
        let Some(file) = input.files().and_then(|files| files.get(at)) else {
            continue;
        };
        let path = Reflect::get(&file, &"webkitRelativePath".into());
        let path = path.ok().and_then(|path| path.as_string()).unwrap_or_default();
        if let Some((folder, path)) = path.split_once('/') {
            folder.clone_into(&mut name);
            files.set(&path.into(), &file);
        }
    }
    // The same folder may be chosen again.
    input.set_value("");
    if name.is_empty() {
        bundles.change(&mut |rest| "That folder is empty.".clone_into(&mut rest.said));
    } else {
        bundles.add_folder(name, &files);
        workspace.go_on();
    }
}

/// The button in the header, and the panel that it opens.
#[component]
pub fn Models(workspace: Workspace) -> impl IntoView {
    let bundles = workspace.bundles;
    let dialog = NodeRef::<Dialog>::new();
    let show = move |_| {
        connection::send(&ToEngine::Stored);
        if let Some(dialog) = dialog.get_untracked() {
            // It fails only where it is shown already.
            let _ = dialog.show_modal();
        }
    };
    let hide = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let said = move || {
        let rest = bundles.rest();
        match (rest.adding, bundles.progress.get()) {
            (Some(wanted), (_, 0)) => format!("Loading {} …", wanted.name),
            (Some(wanted), (done, total)) => {
                format!(
                    "Loading {}: {} of {}",
                    wanted.name,
                    megabytes(done),
                    megabytes(total)
                )
            }
            (None, _) => rest.said,
        }
    };
    let ready = move || matches!(workspace.status.get(), Status::Ready(_));
    let list = NodeRef::<Ul>::new();
    Effect::new(move |_| {
        if let Some(list) = list.get() {
            rows(&list, &bundles.open(), &bundles.rest(), ready());
        }
    });
    view! {
        <button id="models" aria-haspopup="dialog" on:click=show>"Models"</button>
        <dialog id="models-panel" node_ref=dialog aria-labelledby="models-title">
            <div class="toolbar">
                <h2 id="models-title">"Models"</h2>
                <button id="models-close" aria-label="Close this panel" on:click=hide>"×"</button>
            </div>
            <ul class="models" node_ref=list on:click=move |event| _ = press(workspace, &event)></ul>
            <p class="told" id="models-said" role="status">{said}</p>
            <div class="toolbar">
                <label class="button" for="folder">"Open a bundle from a folder …"</label>
                <input id="folder" class="unseen" type="file" prop:webkitdirectory=true disabled=move || !ready() on:change=move |event| take(workspace, &event)/>
            </div>
            <p class="hint">"A folder that “hilum export” or “hilum import” wrote. It is read in this browser and kept in its storage; nothing is uploaded."</p>
        </dialog>
    }
}
