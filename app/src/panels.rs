//! The panels below the report: reports that are checked, findings, similar cases, questions; each where a bundle offers it.

use hilum_protocol::{Answer, Area, Case, Closeness, Found, Partial, Reading, Task};
use leptos::ev::SubmitEvent;
use leptos::html::Canvas;
use leptos::prelude::*;

use super::check::Checking;
use super::models::list_of;
use super::questions::{Asked, Outcome};
use super::report::DISCLAIMER;
use super::viewer::put;
use super::workspace::{Picture, Status, Workspace};

/// Whether the engine can be asked.
fn ready(workspace: Workspace) -> bool {
    matches!(workspace.status.get(), Status::Ready(_))
}

/// Whether it can be asked, and there is a picture to ask it of.
pub fn read(workspace: Workspace) -> bool {
    ready(workspace) && matches!(workspace.picture.get(), Picture::Read(..))
}

/// A sentence about what the open bundles cannot be asked for, where there is such a thing.
fn not_offered(tasks: &[Task], bundles: usize) -> Option<String> {
    let lacks: Vec<&str> = Task::ALL
        .into_iter()
        .filter(|task| !tasks.contains(task))
        .map(|task| match task {
            Task::Draft => "draft reports",
            Task::Findings => "read findings",
            Task::Retrieve => "search for similar cases",
            Task::Vqa => "answer questions",
            Task::Check => "check reports",
        })
        .collect();
    let these = if bundles > 1 {
        "These bundles do"
    } else {
        "This bundle does"
    };
    (!lacks.is_empty()).then(|| {
        let list = list_of(&lacks, "or");
        format!("{these} not {list}; open one that does to get that here.")
    })
}

/// A share of the whole as a length of the bar.
fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share.clamp(0.0, 1.0))
}

/// What a panel says while it has nothing to show.
fn words<T>(outcome: &Outcome<T>, running: &str, what: &str) -> String {
    match outcome {
        Outcome::Running => running.to_owned(),
        Outcome::Failed(why) => format!("No {what}: {why}."),
        Outcome::None | Outcome::Done(_) => String::new(),
    }
}

/// Which bundle answers in a panel, where there are several.
#[component]
pub fn By(workspace: Workspace, task: Task) -> impl IntoView {
    let name = move || {
        let open = workspace.bundles.open();
        let by = open.answering(task).filter(|_| open.all.len() > 1);
        by.map(|by| by.name.clone())
    };
    view! { <span class="by hint" data-by=name hidden=move || name().is_none()>{move || name().map(|name| format!("Model: {name}"))}</span> }
}

/// The panels.
#[component]
pub fn Panels(workspace: Workspace) -> impl IntoView {
    // While an engine is restarted, the panels stay with what they show.
    let tasks = Memo::new(
        move |before: Option<&Option<Vec<Task>>>| match workspace.status.get() {
            Status::Ready(_) => {
                let mut tasks = workspace.bundles.open().tasks();
                // What checks reports is loaded when it is first asked.
                tasks.extend(workspace.bundles.checker().map(|_| Task::Check));
                Some(tasks)
            }
            _ => before.cloned().flatten(),
        },
    );
    let offers = move |task: Task| Memo::new(move |_| tasks.get().is_some_and(|tasks| tasks.contains(&task)));
    let (findings, retrieve, vqa) = (offers(Task::Findings), offers(Task::Retrieve), offers(Task::Vqa));
    let check = offers(Task::Check);
    let lacks = move || {
        tasks
            .get()
            .and_then(|tasks| not_offered(&tasks, workspace.bundles.open().all.len()))
    };
    view! {
        {move || check.get().then(|| view! { <Checking workspace/> })}
        {move || findings.get().then(|| view! { <Findings workspace/> })}
        {move || retrieve.get().then(|| view! { <Similar workspace/> })}
        {move || vqa.get().then(|| view! { <Ask workspace/> })}
        {move || lacks().map(|lacks| view! { <p class="hint" id="not-offered">{lacks}</p> })}
    }
}

fn bar(reading: Reading, otherwise: bool) -> impl IntoView {
    let Reading {
        name,
        probability,
        operating_point,
        present,
        side,
        area,
    } = reading;
    let place = side.map(|side| format!(", {side}"));
    let category = name.clone();
    let mark = format!("{probability:.3}, threshold {operating_point:.3}");
    let area = area.map(|area| {
        let Area {
            low, high, positives, ..
        } = area;
        let title = format!("On test data with {positives} positives; 95% interval {low:.2} to {high:.2}");
        view! { <span class="area" title=title>{area.to_string()}</span> }
    });
    let said = otherwise.then(|| view! { <span class="said">"the report says otherwise"</span> });
    view! {
        <tr class:present=present class:otherwise=otherwise data-name=category data-probability=probability.to_string() data-present=present.to_string()>
            <th scope="row">{name.replace('_', " ")}{place}{area}{said}</th>
            <td class="bar" title=mark>
                <div class="rail" aria-hidden="true">
                    <div class="fill" style:width=percent(probability)></div>
                    <div class="mark" style:left=percent(operating_point)></div>
                </div>
                <span class="unseen">{if present { "present" } else { "not present" }}{format!(", threshold {operating_point:.2}")}</span>
            </td>
            <td class="number">{format!("{probability:.2}")}</td>
        </tr>
    }
}

#[component]
fn Findings(workspace: Workspace) -> impl IntoView {
    let findings = workspace.questions.findings;
    let running = move || findings.get() == Outcome::Running;
    let told = move || match findings.get() {
        Outcome::Done(readings) => {
            let present = readings.iter().filter(|reading| reading.present).count();
            format!("{present} of {} findings above their threshold.", readings.len())
        }
        other => words(&other, "Reading the radiograph …", "findings"),
    };
    let table = move || match findings.get() {
        Outcome::Done(readings) => {
            let measured = readings.iter().any(|reading| reading.area.is_some());
            let measured = measured.then_some(
                " AUC, with its 95% interval, is how well the model told the finding in test pictures: 1 is without error, 0.5 is chance.",
            );
            let check = workspace.questions.check;
            let row = |reading: Reading| {
                let otherwise = check.says_otherwise(&reading.name, reading.present);
                bar(reading, otherwise)
            };
            Some(view! {
                <table class="findings" aria-describedby="disclaimer">
                    <caption class="unseen">"Findings, most probable first"</caption>
                    <thead class="unseen"><tr><th scope="col">"Finding"</th><th scope="col">"Present"</th><th scope="col">"Probability"</th></tr></thead>
                    <tbody>{readings.into_iter().map(row).collect_view()}</tbody>
                </table>
                <p class="hint">"The bar is the calibrated probability; the mark is the threshold from which a finding counts as present."{measured}</p>
            })
        }
        _ => None,
    };
    view! {
        <section class="panel" id="findings" aria-labelledby="findings-title" data-state=move || findings.get().name()>
            <div class="toolbar">
                <h2 id="findings-title">"Findings"</h2>
                <By workspace task=Task::Findings/>
                <button id="find" disabled=move || running() || !read(workspace) on:click=move |_| workspace.questions.ask_findings()>"Read findings"</button>
            </div>
            <p class="told" role="status">{told}</p>
            {table}
            <p class="brief">{DISCLAIMER}</p>
        </section>
    }
}

#[component]
fn Thumbnail(gray: Vec<u8>, side: usize, name: String) -> impl IntoView {
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            // Where it cannot be drawn, the report beside it still can be read.
            let rgba: Vec<u8> = gray.iter().flat_map(|&v| [v, v, v, 255]).collect();
            let _ = put(&canvas, &rgba, (side, side));
        }
    });
    view! { <canvas node_ref=canvas role="img" aria-label=name></canvas> }
}

fn case(case: Case, side: usize) -> impl IntoView {
    let Case {
        id,
        closeness,
        labels,
        report,
        thumbnail,
    } = case;
    let name = id.clone();
    let labels = if labels.is_empty() {
        "no finding labelled".to_owned()
    } else {
        labels.join(", ")
    };
    // A gallery of patients' films has neither pictures nor reports.
    let picture = (!thumbnail.is_empty())
        .then(|| view! { <Thumbnail gray=thumbnail side name=format!("Radiograph of case {id}")/> });
    let report = (!report.is_empty()).then(|| view! { <p class="quoted">{report}</p> });
    let (how, value, probability, similarity) = match closeness {
        Closeness::Probability(value) => ("Match ", value, Some(value.to_string()), None),
        Closeness::Similarity(value) => ("Similarity ", value, None, Some(value.to_string())),
    };
    view! {
        <li class="case" data-id=name data-probability=probability data-similarity=similarity>
            {picture}
            <div>
                <p class="labels">{labels}</p>
                {report}
                <p class="hint">{how}<span class="number">{format!("{value:.2}")}</span>" · case "{id.clone()}</p>
            </div>
        </li>
    }
}

#[component]
fn Similar(workspace: Workspace) -> impl IntoView {
    let questions = workspace.questions;
    let text = RwSignal::new(String::new());
    let running = move || questions.found.get() == Outcome::Running;
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let wanted = text.get_untracked().trim().to_owned();
        if !wanted.is_empty() && ready(workspace) {
            questions.search(Some(wanted));
        }
    };
    let told = move || match (questions.found.get(), questions.progress.get()) {
        (Outcome::Running, Some(Partial::Loading(done, total))) => {
            format!(
                "Loading the gallery: {:.1} of {:.1} MB",
                done as f64 / 1e6,
                total as f64 / 1e6
            )
        }
        (Outcome::Running, Some(Partial::Comparing(_, total))) => format!("Comparing {total} cases …"),
        (Outcome::Done(Found { searched, cases, .. }), _) => {
            format!("Top {} of {searched} for {}.", cases.len(), questions.sought())
        }
        (other, _) => words(&other, "Searching …", "cases"),
    };
    let share = move || {
        questions.progress.get().and_then(|partial| match partial {
            Partial::Loading(done, total) | Partial::Comparing(done, total) => {
                Some(done as f64 / total.max(1) as f64)
            }
            Partial::Text(_) | Partial::Weighing(..) => None,
        })
    };
    let list = move || match questions.found.get() {
        Outcome::Done(found) => {
            let side = found.side;
            let meaning = match found.cases.first().map(|case| case.closeness) {
                Some(Closeness::Similarity(_)) => {
                    "Similarity: how alike the model sees the two radiographs, from -1 to 1; 0 is no more alike than any two."
                }
                _ => "Match: the probability that report and radiograph belong together.",
            };
            Some(view! {
                <ol class="cases" aria-describedby="disclaimer">{found.cases.into_iter().map(|c| case(c, side)).collect_view()}</ol>
                <p class="hint">{format!("{meaning} Cases: {}", found.source)}</p>
            })
        }
        _ => None,
    };
    view! {
        <section class="panel" id="similar" aria-labelledby="similar-title" data-state=move || questions.found.get().name()>
            <div class="toolbar">
                <h2 id="similar-title">"Similar cases"</h2>
                <By workspace task=Task::Retrieve/>
                <button id="search-picture" hidden=running disabled=move || !read(workspace) on:click=move |_| questions.search(None)>"Find similar"</button>
                <button id="search-stop" hidden=move || !running() on:click=move |_| questions.stop_search()>"Stop"</button>
            </div>
            <form class="line" hidden=move || !workspace.bundles.open().searches_text() on:submit=submit>
                <label class="unseen" for="search-text">"Search by report text"</label>
                <input id="search-text" type="text" maxlength="1000" autocomplete="off" placeholder="or search by report text" prop:value=move || text.get() on:input=move |event| text.set(event_target_value(&event))/>
                <button id="search" type="submit" disabled=move || running() || !ready(workspace) || text.get().trim().is_empty()>"Search"</button>
            </form>
            <p class="told" role="status">{told}</p>
            <progress max="1" hidden=move || !running() aria-label="Search progress" prop:value=move || share().unwrap_or(0.0)></progress>
            {list}
            <p class="brief">{DISCLAIMER}</p>
        </section>
    }
}

fn answer(answer: Answer) -> impl IntoView {
    let Answer { text, probability } = answer;
    let name = text.clone();
    view! {
        <li data-answer=name data-probability=probability.to_string()>
            <span class="number">{format!("{probability:.2}")}</span>" "{text}
        </li>
    }
}

fn asked(asked: Asked) -> impl IntoView {
    let told = words(&asked.answers, "Reading …", "answer");
    let state = asked.answers.name();
    let answers = match asked.answers {
        Outcome::Done(answers) => Some(view! { <ol>{answers.into_iter().map(answer).collect_view()}</ol> }),
        _ => None,
    };
    view! {
        <li class="asked" data-state=state>
            <p class="question">{asked.question}</p>
            {(!told.is_empty()).then(|| view! { <p class="told">{told}</p> })}
            {answers}
        </li>
    }
}

#[component]
fn Ask(workspace: Workspace) -> impl IntoView {
    let question = RwSignal::new(String::new());
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let words = question.get_untracked().trim().to_owned();
        if !words.is_empty() && read(workspace) {
            workspace.questions.ask(words);
            question.set(String::new());
        }
    };
    let state = move || {
        workspace
            .questions
            .asked
            .get()
            .first()
            .map_or("none", |asked| asked.answers.name())
    };
    view! {
        <section class="panel" id="asking" aria-labelledby="ask-title" data-state=state>
            <div class="toolbar">
                <h2 id="ask-title">"Questions"</h2>
                <By workspace task=Task::Vqa/>
            </div>
            <form class="line" on:submit=submit>
                <label class="unseen" for="question">"A question about this radiograph"</label>
                <input id="question" type="text" maxlength="300" autocomplete="off" placeholder="Is there a pleural effusion?" prop:value=move || question.get() on:input=move |event| question.set(event_target_value(&event))/>
                <button id="ask" type="submit" disabled=move || !read(workspace) || question.get().trim().is_empty()>"Ask"</button>
            </form>
            <ol class="questions" aria-live="polite" aria-label="Questions asked of this radiograph, newest first" aria-describedby="disclaimer">
                <For each=move || workspace.questions.asked.get() key=|asked| (asked.request, asked.answers.name()) children=asked/>
            </ol>
            <p class="brief">{DISCLAIMER}</p>
        </section>
    }
}
