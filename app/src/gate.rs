//! What stands above report and panels where a picture is unlike what the model that a task goes to was trained on, or where nobody
//! can tell.

use hilum_protocol::{Bundle, Task, Unlikeness};
use leptos::prelude::*;

use super::models::{does, list_of};
use super::workspace::Workspace;

/// A bundle, what it serves here, and what it says of the picture.
#[derive(Clone, PartialEq)]
struct Serving {
    bundle: Bundle,
    tasks: Vec<Task>,
    unlikeness: Option<Unlikeness>,
}

impl Serving {
    fn is_foreign(&self) -> bool {
        self.unlikeness.is_some_and(Unlikeness::is_foreign)
    }

    /// What it does here, in words.
    fn does(&self) -> String {
        let words: Vec<&str> = self.tasks.iter().map(|task| does(*task)).collect();
        list_of(&words, "and")
    }
}

/// The bundles that tasks go to and that have judged the picture.
fn serving(workspace: Workspace) -> Vec<Serving> {
    let open = workspace.bundles.open();
    let mut all: Vec<Serving> = Vec::new();
    for task in Task::ALL {
        let Some(bundle) = open.serving(task) else {
            continue;
        };
        let Some(unlikeness) = open.judgement(&bundle.sha256) else {
            continue;
        };
        match all.iter_mut().find(|own| own.bundle.sha256 == bundle.sha256) {
            Some(own) => own.tasks.push(task),
            None => all.push(Serving {
                bundle: bundle.clone(),
                tasks: vec![task],
                unlikeness,
            }),
        }
    }
    all
}

/// For those who wait for it: whether the picture is like the training pictures of those who are asked about it.
pub fn judged(workspace: Workspace) -> &'static str {
    let all = serving(workspace);
    let foreign = all.iter().filter(|serving| serving.is_foreign()).count();
    let unknown = all.iter().filter(|serving| serving.unlikeness.is_none()).count();
    match (all.len(), foreign, unknown) {
        (0, ..) => "none",
        (of, foreign, _) if foreign == of => "foreign",
        (_, 1.., _) => "partly",
        (of, _, unknown) if unknown == of => "unknown",
        _ => "alike",
    }
}

/// The banner.
#[component]
pub fn Gate(workspace: Workspace) -> impl IntoView {
    let all = Memo::new(move |_| serving(workspace));
    move || {
        let all = all.get();
        let foreign: Vec<&Serving> = all.iter().filter(|serving| serving.is_foreign()).collect();
        let least = foreign
            .iter()
            .filter_map(|serving| serving.unlikeness)
            .map(|unlikeness| unlikeness.0)
            .min_by(f64::total_cmp);
        if let Some(least) = least {
            let whole = foreign.len() == all.len();
            let sentences = match whole {
                true => vec!["This picture is unlike what the model was trained on.".to_owned()],
                false => foreign
                    .iter()
                    .map(|serving| {
                        let (name, does) = (&serving.bundle.name, serving.does());
                        format!("This picture is unlike what {name} was trained on, which here {does}.")
                    })
                    .collect(),
            };
            let what = match whole {
                true => "What the model drafts, finds or answers here may be fluent and wrong.",
                false => "What it says here may be fluent and wrong.",
            };
            return Some(
                view! {
                    <section class="gate" id="gate" role="alert" data-unlikeness=least.to_string()>
                        <p><strong>{sentences.join(" ")}</strong></p>
                        <p>{format!("It lies {least:.1} times as far from those pictures as 99 in 100 of their kind. {what}")}</p>
                    </section>
                }
                .into_any(),
            );
        }
        let unknown: Vec<&Serving> = all
            .iter()
            .filter(|serving| serving.unlikeness.is_none())
            .collect();
        if unknown.is_empty() {
            return None;
        }
        let sentences: Vec<String> = match unknown.len() == all.len() {
            true => vec![
                "This bundle cannot tell whether the picture is unlike what its model was trained on.".to_owned(),
            ],
            false => unknown
                .iter()
                .map(|serving| {
                    let (name, does) = (&serving.bundle.name, serving.does());
                    format!("{name}, which here {does}, cannot tell whether the picture is unlike what it was trained on.")
                })
                .collect(),
        };
        Some(
            view! {
                <section class="gate unknown" id="gate" role="status">
                    <p>{sentences.join(" ")}</p>
                </section>
            }
            .into_any(),
        )
    }
}
