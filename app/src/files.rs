//! Files come in: dropped, pasted, chosen, or a sample.

use hilum_image::is_report;
use hilum_protocol::Task;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ClipboardEvent, DataTransfer, DragEvent, Event, File, HtmlInputElement, Response};

use super::workspace::{Picture, Workspace};

/// The samples that come with the page: file, name.
const SAMPLES: [(&str, &str); 4] = [
    ("normal.png", "Normal"),
    ("effusion.png", "Effusion"),
    ("pneumothorax.png", "Pneumothorax"),
    ("devices.png", "Devices"),
];
/// No radiograph is larger; the engine says so too, but only once the browser has copied it.
const LARGEST: f64 = 512.0 * 1024.0 * 1024.0;

/// Takes a file to the workspace.
fn take(workspace: Workspace, file: File) {
    let name = file.name();
    if file.size() > LARGEST {
        return workspace.unreadable(
            name,
            "the file is larger than 512 MiB, too large for a radiograph".to_owned(),
        );
    }
    spawn_local(async move {
        match JsFuture::from(file.array_buffer()).await {
            Ok(buffer) => sort(workspace, name, js_sys::Uint8Array::new(&buffer).to_vec()),
            Err(_) => workspace.unreadable(
                name,
                "the browser could not read the file; was it moved or removed?".to_owned(),
            ),
        }
    });
}

/// A structured report goes where reports are checked, if that is offered; all else is a radiograph.
fn sort(workspace: Workspace, name: String, bytes: Vec<u8>) {
    let bundles = workspace.bundles;
    let checks =
        || bundles.open_now().tasks().contains(&Task::Check) || untrack(|| bundles.checker()).is_some();
    if is_report(&bytes) && checks() {
        workspace.notice.set(Some(format!(
            "{name} is a report, not a radiograph: it was passed on to “Check a report”."
        )));
        return workspace.questions.check.open(workspace, name, bytes);
    }
    workspace.open(name, bytes);
}

fn take_first(workspace: Workspace, data: Option<DataTransfer>) -> bool {
    let files = data.and_then(|data| data.files());
    let Some(file) = files.as_ref().and_then(|files| files.get(0)) else {
        return false;
    };
    let more = files.map_or(0, |files| files.length()).saturating_sub(1);
    if more > 0 {
        workspace.notice.set(Some(format!(
            "One radiograph at a time: {} was opened, {more} more ignored.",
            file.name()
        )));
    }
    take(workspace, file);
    true
}

/// Takes what is dropped or pasted anywhere on the page.
pub fn listen(workspace: Workspace) {
    let over = window_event_listener(leptos::ev::dragover, |event: DragEvent| event.prevent_default());
    let drop = window_event_listener(leptos::ev::drop, move |event: DragEvent| {
        event.prevent_default();
        if !take_first(workspace, event.data_transfer()) {
            workspace.notice.set(Some(
                "That is not a file; drop a DICOM, PNG or JPEG file.".to_owned(),
            ));
        }
    });
    let paste = window_event_listener(leptos::ev::paste, move |event: ClipboardEvent| {
        let data = event.clipboard_data();
        // Text is pasted into the editor as ever.
        if take_first(workspace, data) {
            event.prevent_default();
        }
    });
    // They live as long as the page.
    std::mem::forget((over, drop, paste));
}

fn sample(workspace: Workspace, file: &'static str) {
    workspace.picture.set(Picture::Reading(file.to_owned()));
    spawn_local(async move {
        let fetched = async {
            let response = JsFuture::from(window().fetch_with_str(&format!("samples/{file}")))
                .await
                .ok()?;
            let response = response.dyn_into::<Response>().ok().filter(Response::ok)?;
            let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
            Some(js_sys::Uint8Array::new(&buffer).to_vec())
        };
        match fetched.await {
            Some(bytes) => workspace.open(file.to_owned(), bytes),
            None => workspace.unreadable(
                file.to_owned(),
                "the sample could not be loaded; check the connection to the server".to_owned(),
            ),
        }
    });
}

/// The button that opens a file.
#[component]
pub fn Chooser(workspace: Workspace) -> impl IntoView {
    let choose = move |event: Event| {
        let Some(input) = event.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()) else {
            return;
        };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            take(workspace, file);
        }
        // The same file may be chosen again.
        input.set_value("");
    };
    view! {
        <label class="button primary" for="file">"Open a radiograph"</label>
        <input id="file" class="unseen" type="file" accept=".dcm,.dicom,.png,.jpg,.jpeg,application/dicom,image/png,image/jpeg,*/*" on:change=choose/>
    }
}

/// The samples, one click away.
#[component]
pub fn Samples(workspace: Workspace) -> impl IntoView {
    let buttons = SAMPLES.map(|(file, name)| {
        view! {
            <button class="sample" data-sample=file on:click=move |_| sample(workspace, file)>
                <img src=format!("samples/{file}") alt="" width="64" height="64" loading="lazy"/>
                <span>{name}</span>
            </button>
        }
    });
    view! {
        <section class="samples" aria-label="Sample phantoms: synthetic radiographs" title="Synthetic radiographs, drawn by a program">
            <span class="hint">"Phantoms:"</span>
            {buttons.into_iter().collect_view()}
        </section>
    }
}
