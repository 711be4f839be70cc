//! The panel of bundles: what is published, open and kept; open one, close one, free the space that one takes.

use hilum_protocol::{Bundle, FOLDER, Listed, Task, ToEngine};
use js_sys::{Map, Reflect};
use leptos::html::Dialog;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

use super::bundles::Bundles;
use super::connection;
use super::workspace::{Status, Workspace};

/// What a bundle does for a task, in the reader's words.
pub fn does(task: Task) -> &'static str {
    match task {
        Task::Draft => "drafts reports",
        Task::Findings => "reads findings",
        Task::Retrieve => "finds similar cases",
        Task::Vqa => "answers questions",
    }
}

/// Words as a list in a sentence.
pub fn list(words: &[&str], and: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} {and} {last}", rest.join(", ")),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A bundle with all that there is of it.
#[derive(Clone, PartialEq)]
struct Row {
    bundle: Bundle,
    open: bool,
    published: Option<Listed>,
    kept: Option<Listed>,
}

/// A row for each bundle: what is open first, then what is published, then what else is kept.
fn rows(bundles: Bundles) -> Vec<Row> {
    let (open, kept) = (bundles.open.get(), bundles.kept.get());
    let published = bundles.published.get_value();
    let mut all: Vec<Bundle> = Vec::new();
    let each = open
        .iter()
        .map(|opened| &opened.bundle)
        .chain(published.iter().chain(&kept).map(|listed| &listed.bundle));
    for bundle in each {
        if !all.iter().any(|own| own.sha256 == bundle.sha256) {
            all.push(bundle.clone());
        }
    }
    let find = |of: &[Listed], sha256: &str| of.iter().find(|l| l.bundle.sha256 == sha256).cloned();
    let row = |bundle: Bundle| Row {
        open: open.iter().any(|opened| opened.bundle.sha256 == bundle.sha256),
        published: find(&published, &bundle.sha256),
        kept: find(&kept, &bundle.sha256),
        bundle,
    };
    all.into_iter().map(row).collect()
}

fn entry(workspace: Workspace, row: Row) -> impl IntoView {
    let bundles = workspace.bundles;
    let Row {
        bundle,
        open,
        published,
        kept,
    } = row;
    let mut states = Vec::new();
    if open {
        states.push("open");
    }
    if kept.is_some() {
        states.push("kept in this browser");
    }
    if published.is_some() {
        states.push("on the server");
    }
    let tasks: Vec<&str> = Task::ALL
        .into_iter()
        .filter(|task| bundle.tasks.contains(task))
        .map(does)
        .collect();
    let data = match bundle.data.trim() {
        "" => "It does not say what it was trained on.".to_owned(),
        data => format!("Trained on: {data}"),
    };
    let from = kept
        .iter()
        .chain(&published)
        .find_map(|listed| listed.at.strip_prefix(FOLDER))
        .map(|folder| format!(" · from the folder {folder}"));
    let busy = move || bundles.adding.get().is_some();
    let ready = move || matches!(workspace.status.get(), Status::Ready(_));
    let only = move || bundles.open.with(Vec::len) < 2;
    let openable = published.or_else(|| kept.clone()).filter(|_| !open);
    let opens = openable.map(|listed| {
        view! { <button class="open" disabled=move || !ready() || busy() on:click=move |_| { bundles.add_listed(&listed); workspace.go_on() }>"Open"</button> }
    });
    let sha256 = bundle.sha256.clone();
    let closes = open.then(|| {
        view! { <button class="close" hidden=only disabled=move || !ready() || busy() on:click=move |_| bundles.close(sha256.clone())>"Close"</button> }
    });
    let sha256 = bundle.sha256.clone();
    let frees = kept.map(|kept| {
        let words = format!("Free {:.0} MB", (kept.bundle.bytes as f64 / 1e6).max(1.0));
        // While one is opened, what it has in common with others is not taken from it.
        view! { <button class="free" title="Drops it from this browser's storage; what is open stays open for this visit" disabled=move || !ready() || busy() on:click=move |_| connection::send(&ToEngine::Free { sha256: sha256.clone() })>{words}</button> }
    });
    let short = bundle.sha256.get(..12).unwrap_or(&bundle.sha256).to_owned();
    view! {
        <li class="model" data-sha256=bundle.sha256.clone() data-name=bundle.name.clone() data-state=states.join(", ")>
            <div>
                <p><strong>{bundle.name.clone()}</strong>" "<span class="state" class:open=open>{states.join(", ")}</span></p>
                <p>{list(&tasks, "and")}</p>
                <p class="hint">{data}</p>
                <p class="hint">{format!("{} · {} · ", bundle.system, megabytes(bundle.bytes))}<span title=bundle.sha256.clone()>{format!("SHA-256 {short}")}</span>{from}</p>
            </div>
            <div class="toolbar">{opens}{closes}{frees}</div>
        </li>
    }
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
        bundles.said.set(Some("That folder is empty.".to_owned()));
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
    let loading = move || match bundles.adding.get() {
        Some((wanted, _, 0)) => format!("Loading {} …", wanted.name),
        Some((wanted, done, total)) => {
            format!(
                "Loading {}: {} of {}",
                wanted.name,
                megabytes(done),
                megabytes(total)
            )
        }
        None => bundles.said.get().unwrap_or_default(),
    };
    let failed = move || bundles.adding.get().is_none() && bundles.said.get().is_some();
    let list = move || {
        rows(bundles)
            .into_iter()
            .map(|row| entry(workspace, row))
            .collect_view()
    };
    let ready = move || matches!(workspace.status.get(), Status::Ready(_));
    view! {
        <button id="models" aria-haspopup="dialog" on:click=show>"Models"</button>
        <dialog id="models-panel" node_ref=dialog aria-labelledby="models-title">
            <div class="toolbar">
                <h2 id="models-title">"Models"</h2>
                <button id="models-close" aria-label="Close this panel" on:click=hide>"×"</button>
            </div>
            <ul class="models">{list}</ul>
            <p class="told" id="models-said" role="status" class:failed=failed>{loading}</p>
            <div class="toolbar">
                <label class="button" for="folder">"Open a bundle from a folder …"</label>
                <input id="folder" class="unseen" type="file" prop:webkitdirectory=true disabled=move || !ready() on:change=move |event| take(workspace, &event)/>
            </div>
            <p class="hint">"A folder that “hilum export” or “hilum import” wrote. It is read in this browser and kept in its storage; nothing is uploaded."</p>
        </dialog>
    }
}
