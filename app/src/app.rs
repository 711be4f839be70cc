//! The page whole: the state of the engine above, the radiograph and the report side by side.

use hilum_protocol::{DeviceChoice, FOLDER, Opened, Phase, Trial};
use leptos::prelude::*;

use super::files::{self, Chooser, Samples};
use super::gate::{Gate, judged};
use super::heat;
use super::models::{Models, list_of, megabytes};
use super::panels::Panels;
use super::report::{DISCLAIMER, Report};
use super::viewer::Viewer;
use super::workspace::{Picture, Status, Workspace};

/// Puts the page in the place of what the document says while it loads.
pub fn mount() {
    if let Some(waiting) = document().get_element_by_id("waiting") {
        waiting.remove();
    }
    leptos::mount::mount_to_body(App);
}

/// What the model was trained on, as its bundle says, and what that means for all else; of several, where that is said.
fn provenance(open: &[Opened]) -> String {
    let (told, whose) = match open {
        [one] => match one.bundle.data.trim().trim_end_matches('.') {
            "" => return " The bundle does not say what this model was trained on.".to_owned(),
            data => (format!(" This model was trained on: {data}."), "its"),
        },
        several => {
            let names: Vec<&str> = several.iter().map(|opened| opened.bundle.name.as_str()).collect();
            let names = list_of(&names, "and");
            (
                format!(" What {names} were trained on is told under Models."),
                "their",
            )
        }
    };
    format!(
        "{told} On other radiographs {whose} text may be fluent and wrong, and {whose} probabilities may not hold."
    )
}

/// What is open, and what is on its way.
fn what_is_open(workspace: Workspace) -> impl IntoView {
    let bundles = workspace.bundles;
    let open = bundles.open().all;
    let words = match open.as_slice() {
        [
            Opened {
                at,
                bundle,
                downloaded,
                bytes,
                ..
            },
        ] => {
            let from = match (downloaded, at.starts_with(FOLDER)) {
                (0, _) => "from this browser's storage",
                (_, true) => "from a folder",
                (_, false) => "downloaded",
            };
            format!(
                "{} · {} · {} {from}",
                bundle.name,
                bundle.system,
                megabytes(*bytes)
            )
        }
        several => {
            let names: Vec<&str> = several.iter().map(|opened| opened.bundle.name.as_str()).collect();
            list_of(&names, "and")
        }
    };
    let title = |opened: &Opened| {
        let bundle = &opened.bundle;
        format!(
            "{}: SHA-256 {}. Trained on: {}",
            bundle.name, bundle.sha256, bundle.data
        )
    };
    let title = open.iter().map(title).collect::<Vec<_>>().join("\n");
    let adding = bundles.rest().adding;
    let loading = adding
        .map(|wanted| view! { <span class="hint" id="adding">{format!("Loading {} …", wanted.name)}</span> });
    view! { <span class="hint" title=title>{words}</span>{loading} }
}

/// The engine's state in words, and how far it is.
fn progress(phase: Phase, done: u64, total: u64) -> (String, Option<f64>) {
    let share = (total > 0).then(|| done as f64 / total as f64);
    match phase {
        Phase::Program => ("Loading the engine …".to_owned(), None),
        Phase::Device => ("Looking for a GPU …".to_owned(), None),
        Phase::Weights => (
            format!("Loading the model: {} of {}", megabytes(done), megabytes(total)),
            share,
        ),
        Phase::TryingCpu => ("Trying the CPU …".to_owned(), share),
        Phase::TryingAdapter => (
            "Trying the graphics adapter; its kernels are compiled the first time …".to_owned(),
            share,
        ),
    }
}

/// What trials on both devices took, in words; nothing where there were none.
fn measured(trial: Trial) -> Option<String> {
    let when = if trial.kept {
        "an earlier start"
    } else {
        "this start"
    };
    let cpu = trial.cpu_ms?;
    let most = Trial::MOST * cpu;
    let adapter = match trial.adapter_ms {
        None => "failed".to_owned(),
        // It was not waited for.
        Some(ms) if ms > most => format!("more than {most:.0} ms"),
        Some(ms) => format!("{ms:.0} ms"),
    };
    Some(format!(
        "A trial at {when}: CPU {cpu:.0} ms, graphics adapter {adapter}"
    ))
}

#[component]
fn Engine(workspace: Workspace) -> impl IntoView {
    let choose = move |event: leptos::ev::Event| {
        workspace.compute_on(DeviceChoice::parse(&event_target_value(&event)).unwrap_or_default());
    };
    let words = move || {
        match workspace.status.get() {
        Status::Loading(phase, done, total) => {
            let (words, share) = progress(phase, done, total);
            view! { <span>{words}</span><progress max="1" value=share.map(|s| s.to_string())></progress> }
                .into_any()
        }
        Status::Ready(opened) => {
            let why = opened.why.map(|why| format!(" ({why})"));
            view! {
                <span class="ready">"Ready"</span>
                <span id="computes" title=measured(opened.trial)>
                    {format!("{}{}", opened.device, why.unwrap_or_default())}
                </span>
                {move || what_is_open(workspace)}
            }
            .into_any()
        }
        Status::Failed(why) => view! {
            <span class="failed" role="alert">{why}</span>
            <button on:click=move |_| workspace.compute_on(workspace.device.get_untracked())>"Try again"</button>
            <button on:click=move |_| workspace.compute_on(DeviceChoice::Cpu)>"Use CPU"</button>
        }
        .into_any(),
    }
    };
    view! {
        <div class="engine" id="engine" aria-live="polite">{words}</div>
        <label class="device">"Compute on "
            <select id="device" prop:value=move || workspace.device.get().name() on:change=choose>
                <option value="auto">"Automatic"</option>
                <option value="webgpu">"WebGPU"</option>
                <option value="cpu">"CPU"</option>
            </select>
        </label>
    }
}

#[component]
fn App() -> impl IntoView {
    let workspace = Workspace::new();
    files::listen(workspace);
    heat::listen(workspace);
    workspace.start();
    let visible = window_event_listener_untyped("visibilitychange", move |_| workspace.wake());
    let shown = window_event_listener_untyped("pageshow", move |_| workspace.wake());
    let lose = window_event_listener_untyped("hilum-lose-device", move |_| workspace.lose_device());
    // They live as long as the page.
    std::mem::forget((visible, shown, lose));

    let engine = move || match workspace.status.get() {
        Status::Loading(..) => "loading",
        Status::Ready(_) => "ready",
        Status::Failed(_) => "failed",
    };
    // For those who measure: what was opened, and how long each part took.
    let facts = move || match workspace.status.get() {
        Status::Ready(o) => {
            let t = o.times;
            format!(
                "device {:.0} ms, files {:.0} ms, upload {:.0} ms, warm {:.0} ms, downloaded {} B of {} B, \
                 memory {} B loaded, {} B warm",
                t.device, t.files, t.upload, t.warm, o.downloaded, o.bytes, o.memory_loaded, o.memory
            )
        }
        _ => String::new(),
    };
    let picture = move || match workspace.picture.get() {
        Picture::None => "none",
        Picture::Reading(_) => "reading",
        Picture::Read(..) => "read",
        Picture::Unreadable(..) => "unreadable",
    };
    Effect::new(move |_| workspace.look_further());
    let place = move || {
        match workspace.picture.get() {
        Picture::None => view! {
            <div class="empty">
                <p class="large">"Drop a chest radiograph here"</p>
                <p class="hint">"or paste one, or open a file: DICOM, PNG or JPEG. It stays on this device; nothing is uploaded."</p>
            </div>
        }
        .into_any(),
        Picture::Reading(name) => view! { <div class="empty"><p class="large">{format!("Reading {name} …")}</p></div> }.into_any(),
        Picture::Unreadable(name, why) => view! {
            <div class="empty" role="alert" id="unreadable">
                <p class="large">{format!("{name} could not be read")}</p>
                <p>{why}</p>
            </div>
        }
        .into_any(),
        Picture::Read(..) => ().into_any(),
    }
    };
    let trained = Memo::new(move |before: Option<&String>| match workspace.status.get() {
        Status::Ready(_) => provenance(&workspace.bundles.open().all),
        _ => before.cloned().unwrap_or_default(),
    });
    view! {
        <header>
            <h1>"Hilum"</h1>
            <Engine workspace/>
            <Models workspace/>
        </header>
        <p class="notice" role="status" hidden=move || workspace.notice.get().is_none()>
            <span id="notice">{move || workspace.notice.get()}</span>
            <button aria-label="Dismiss" on:click=move |_| workspace.notice.set(None)>"×"</button>
        </p>
        <main data-engine=engine data-picture=picture data-judged=move || judged(workspace) data-measured=facts>
            <section class="picture" aria-label="Radiograph">
                <div class="toolbar">
                    <Chooser workspace/>
                    <Samples workspace/>
                </div>
                {place}
                <Viewer workspace/>
            </section>
            <div class="side">
                <div class="papers">
                    <Gate workspace/>
                    <Report workspace/>
                    <Panels workspace/>
                </div>
                <p class="disclaimer" id="disclaimer">{DISCLAIMER}{move || trained.get()}</p>
            </div>
        </main>
    }
}
