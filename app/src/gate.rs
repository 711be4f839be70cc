//! What stands above report and panels where a picture is unlike what the model was trained on, or where nobody can tell.

use leptos::prelude::*;

use super::workspace::{Judgement, Workspace};

/// The banner.
#[component]
pub fn Gate(workspace: Workspace) -> impl IntoView {
    move || {
        match workspace.judgement.get() {
        Judgement::Told(unlikeness) if unlikeness.is_foreign() => Some(
            view! {
                <section class="gate" id="gate" role="alert" data-unlikeness=unlikeness.0.to_string()>
                    <p><strong>"This picture is unlike what the model was trained on."</strong></p>
                    <p>
                        {format!(
                            "It lies {:.1} times as far from those pictures as 99 in 100 of their kind. What the model drafts, finds or \
                             answers here may be fluent and wrong.",
                            unlikeness.0
                        )}
                    </p>
                </section>
            }
            .into_any(),
        ),
        Judgement::Unknown => Some(
            view! {
                <section class="gate unknown" id="gate" role="status">
                    <p>"This bundle cannot tell whether the picture is unlike what its model was trained on."</p>
                </section>
            }
            .into_any(),
        ),
        Judgement::None | Judgement::Told(_) => None,
    }
    }
}
