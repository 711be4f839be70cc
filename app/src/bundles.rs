//! The bundles: published with the page, open, kept in the browser's storage; and what opens and closes them.
//!
//! The table of those that are published is part of the program, so that the first one opens without asking the server for a
//! list, and with the network off. A document that says otherwise, `<meta name="hilum-models" content="[…]">` in the same form, goes
//! before it: whoever adds a bundle to a built page names it there.
//!
//! Bundles are opened one after the other. Those that were open when an engine is restarted come back before it counts as ready.

use hilum_protocol::{Bundle, Candidate, FOLDER, Listed, Opened, Task, ToEngine, Unlikeness, route};
use js_sys::{JSON, Map};
use leptos::prelude::*;

use super::address::{parameter, same_origin};
use super::connection;

/// The bundle that the page opens where its address names none.
pub const BUNDLE: &str = "models/demo";
/// The published bundles, by the build.
const PUBLISHED: &str = env!("HILUM_MODELS");

/// A bundle that is to be opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Where its files are.
    pub at: String,
    /// The hash of its manifest, where it is known.
    pub sha256: Option<String>,
    /// What to call it meanwhile.
    pub name: String,
}

impl Wanted {
    fn of(listed: &Listed) -> Self {
        Self {
            at: listed.at.clone(),
            sha256: Some(listed.bundle.sha256.clone()),
            name: listed.bundle.name.clone(),
        }
    }
}

/// What the page knows of bundles. It is a handful of signals, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Bundles {
    /// What is published with the page, with absolute addresses.
    pub published: StoredValue<Vec<Listed>>,
    /// What is open, in the order of opening.
    pub open: RwSignal<Vec<Opened>>,
    /// What the browser keeps.
    pub kept: RwSignal<Vec<Listed>>,
    /// What is being opened beside what is open, how far, of how much.
    pub adding: RwSignal<Option<(Wanted, u64, u64)>>,
    /// What there is to say in the panel.
    pub said: RwSignal<Option<String>>,
    /// How unlike the training pictures of each bundle the picture is; nothing where it cannot tell.
    pub judged: RwSignal<Vec<(String, Option<Unlikeness>)>>,
    /// Which bundle did what there is of each task's results.
    done: RwSignal<Vec<(Task, Bundle)>>,
    /// All that was open in this visit.
    known: StoredValue<Vec<Bundle>>,
    waiting: StoredValue<Vec<Wanted>>,
    /// Addresses that were opened in this visit or tried to.
    tried: StoredValue<Vec<String>>,
    /// Whether what is kept of folders was opened again.
    resumed: StoredValue<bool>,
}

/// The table in the document or, without one, in the program. What cannot be read is no table.
fn published() -> Vec<Listed> {
    let own = document()
        .query_selector("meta[name=hilum-models]")
        .ok()
        .flatten();
    let own = own.and_then(|meta| meta.get_attribute("content"));
    let table = JSON::parse(own.as_deref().unwrap_or(PUBLISHED)).ok();
    let all: Vec<Listed> = table
        .and_then(|table| serde_wasm_bindgen::from_value(table).ok())
        .unwrap_or_default();
    let absolute = |listed: Listed| {
        let at = same_origin(&listed.at)?;
        Some(Listed { at, ..listed })
    };
    all.into_iter().filter_map(absolute).collect()
}

impl Bundles {
    /// None open.
    pub fn new() -> Self {
        Self {
            published: StoredValue::new(published()),
            open: RwSignal::default(),
            kept: RwSignal::default(),
            adding: RwSignal::new(None),
            said: RwSignal::new(None),
            judged: RwSignal::default(),
            done: RwSignal::default(),
            known: StoredValue::default(),
            waiting: StoredValue::default(),
            tried: StoredValue::default(),
            resumed: StoredValue::new(false),
        }
    }

    /// What is opened first: of a page that begins, what its address says; of an engine that is restarted, what was open.
    ///
    /// # Errors
    /// A sentence where that is on another server.
    pub fn first(self) -> Result<Wanted, String> {
        let mut again: Vec<Wanted> = self.open.with_untracked(|open| {
            let wanted = |opened: &Opened| Wanted {
                at: opened.at.clone(),
                sha256: Some(opened.bundle.sha256.clone()),
                name: opened.bundle.name.clone(),
            };
            open.iter().map(wanted).collect()
        });
        // A folder may be gone: that is no reason to open nothing.
        again.sort_by_key(|wanted| wanted.at.starts_with(FOLDER));
        // What was on its way begins anew.
        if let Some(wanted) = self.end_adding()
            && !again.contains(&wanted)
        {
            again.push(wanted);
        }
        if !again.is_empty() {
            let first = again.remove(0);
            self.waiting.update_value(|waiting| {
                let more: Vec<_> = waiting.drain(..).filter(|w| !again.contains(w)).collect();
                again.extend(more);
                *waiting = again;
            });
            return Ok(first);
        }
        let named = parameter("bundle").unwrap_or_else(|| BUNDLE.to_owned());
        let at = same_origin(&named).ok_or_else(|| {
            format!("the bundle {named:?} is not on this page's own server; copy it there, since nothing is loaded from elsewhere")
        })?;
        self.tried.update_value(|tried| tried.push(at.clone()));
        // What the address names may be another one than it was when the page was built.
        let listed = match named == BUNDLE {
            true => self
                .published
                .with_value(|all| all.iter().find(|l| l.at == at).map(Wanted::of)),
            false => None,
        };
        Ok(listed.unwrap_or(Wanted {
            at,
            sha256: None,
            name: named,
        }))
    }

    /// Opens a bundle as soon as no other one is being opened.
    pub fn add(self, wanted: Wanted) {
        self.said.set(None);
        self.tried.update_value(|tried| tried.push(wanted.at.clone()));
        self.waiting.update_value(|waiting| {
            if !waiting.contains(&wanted) {
                waiting.push(wanted);
            }
        });
    }

    /// Opens a listed bundle.
    pub fn add_listed(self, listed: &Listed) {
        self.add(Wanted::of(listed));
    }

    /// Opens the folder of the reader's whose files these are, by their paths in it.
    pub fn add_folder(self, name: String, files: &Map) {
        if !files.has(&"bundle.json".into()) {
            return self.said.set(Some(format!(
                "{name} has no bundle.json, so it is no bundle. Choose the folder that “hilum export” or “hilum import” wrote."
            )));
        }
        // Folders of the same name are not taken for each other.
        let taken = |at: &String| {
            self.tried.with_value(|tried| tried.contains(at))
                || self
                    .kept
                    .with_untracked(|kept| kept.iter().any(|listed| listed.at == *at))
        };
        let at = (1..)
            .map(|count| match count {
                1 => format!("{FOLDER}{name}"),
                _ => format!("{FOLDER}{name} ({count})"),
            })
            .find(|at| !taken(at))
            .unwrap_or_default();
        connection::send_folder(&at, files);
        self.add(Wanted {
            at,
            sha256: None,
            name,
        });
    }

    /// Sends the next one that waits, where none is on its way. Returns whether there is one on its way.
    pub fn advance(self) -> bool {
        if self.adding.with_untracked(Option::is_some) {
            return true;
        }
        let mut next = None;
        self.waiting.update_value(|waiting| {
            next = (!waiting.is_empty()).then(|| waiting.remove(0));
        });
        let Some(wanted) = next else { return false };
        connection::send(&ToEngine::Add {
            bundle: wanted.at.clone(),
            sha256: wanted.sha256.clone(),
        });
        self.adding.set(Some((wanted, 0, 0)));
        true
    }

    /// A bundle is open.
    pub fn take(self, opened: Opened) {
        self.end_adding();
        self.known.update_value(|known| {
            known.retain(|bundle| bundle.sha256 != opened.bundle.sha256);
            known.push(opened.bundle.clone());
        });
        self.open.update(|open| {
            match open
                .iter()
                .position(|own| own.bundle.sha256 == opened.bundle.sha256)
            {
                Some(at) => open[at] = opened,
                None => open.push(opened),
            }
        });
        connection::send(&ToEngine::Stored);
    }

    fn end_adding(self) -> Option<Wanted> {
        let wanted = self.adding.get_untracked().map(|(wanted, ..)| wanted);
        self.adding.set(None);
        wanted
    }

    /// What was being opened was not: why.
    pub fn refuse(self, why: &str) {
        let Some(wanted) = self.end_adding() else { return };
        // Where it was open before a restart, it is no more.
        self.open
            .update(|open| open.retain(|opened| opened.at != wanted.at));
        let end = if why.ends_with('.') { "" } else { "." };
        self.said
            .set(Some(format!("{} was not opened: {why}{end}", wanted.name)));
    }

    /// What the browser keeps; what it keeps of folders is opened once in a visit.
    pub fn take_kept(self, kept: Vec<Listed>) {
        if !self.resumed.get_value() {
            self.resumed.set_value(true);
            for listed in kept.iter().filter(|listed| listed.at.starts_with(FOLDER)) {
                if !self.is_open(&listed.bundle.sha256) {
                    self.add_listed(listed);
                }
            }
        }
        self.kept.set(kept);
    }

    /// Closes a bundle, where it is not the only one.
    pub fn close(self, sha256: String) {
        if self.open.with_untracked(Vec::len) > 1 {
            self.open
                .update(|open| open.retain(|opened| opened.bundle.sha256 != sha256));
            connection::send(&ToEngine::Close { sha256 });
        }
    }

    /// Whether a bundle is open.
    pub fn is_open(self, sha256: &str) -> bool {
        self.open
            .with(|open| open.iter().any(|opened| opened.bundle.sha256 == sha256))
    }

    /// What can be asked for.
    pub fn tasks(self) -> Vec<Task> {
        let offered = |task: &Task| {
            self.open
                .with(|open| open.iter().any(|o| o.bundle.tasks.contains(task)))
        };
        Task::ALL.into_iter().filter(offered).collect()
    }

    /// Whether cases can be searched for by words.
    pub fn searches_text(self) -> bool {
        let both = |o: &Opened| o.bundle.reads_text && o.bundle.tasks.contains(&Task::Retrieve);
        self.open.with(|open| open.iter().any(both))
    }

    /// The bundle that serves a task, as far as is known. Before a bundle has judged the picture it is not asked about it.
    pub fn serving(self, task: Task) -> Option<Bundle> {
        let (open, judged) = (self.open.get(), self.judged.get());
        let of = |opened: &Opened| judged.iter().find(|(sha256, _)| *sha256 == opened.bundle.sha256);
        let known = |opened: &&Opened| of(opened).is_some();
        let told: Vec<&Opened> = match open.iter().any(|opened| known(&opened)) {
            true => open.iter().filter(known).collect(),
            false => open.iter().collect(),
        };
        let candidates: Vec<_> = told
            .iter()
            .map(|opened| Candidate {
                tasks: &opened.bundle.tasks,
                reads_text: opened.bundle.reads_text,
                unlikeness: of(opened).and_then(|(_, unlikeness)| *unlikeness),
            })
            .collect();
        route(task, true, &candidates).map(|at| told[at].bundle.clone())
    }

    /// What a bundle says of the picture: nothing before it has judged it, then how unlike it is, where it can tell.
    pub fn judgement(self, sha256: &str) -> Option<Option<Unlikeness>> {
        self.judged.with(|judged| {
            judged
                .iter()
                .find(|(own, _)| own == sha256)
                .map(|(_, told)| *told)
        })
    }

    /// Whether a bundle says that the picture is unlike its training pictures.
    pub fn is_foreign(self, sha256: &str) -> bool {
        matches!(self.judgement(sha256), Some(Some(unlikeness)) if unlikeness.is_foreign())
    }

    /// Whether a bundle says that the picture is like its training pictures.
    pub fn is_home(self, sha256: &str) -> bool {
        matches!(self.judgement(sha256), Some(Some(unlikeness)) if !unlikeness.is_foreign())
    }

    /// A bundle has judged the picture.
    pub fn judge(self, sha256: String, unlikeness: Option<Unlikeness>) {
        self.judged.update(|judged| {
            judged.retain(|(own, _)| *own != sha256);
            judged.push((sha256, unlikeness));
        });
    }

    /// There is another picture.
    pub fn clear(self) {
        self.judged.set(Vec::new());
        self.done.set(Vec::new());
    }

    /// A bundle did a task.
    pub fn did(self, task: Task, sha256: &str) {
        let bundle = self
            .known
            .with_value(|known| known.iter().find(|bundle| bundle.sha256 == sha256).cloned());
        self.done.update(|done| {
            done.retain(|(own, _)| *own != task);
            done.extend(bundle.map(|bundle| (task, bundle)));
        });
    }

    /// The bundle whose results there are of a task or, without any, the one that would serve it.
    pub fn answering(self, task: Task) -> Option<Bundle> {
        let done = self.done.with(|done| {
            done.iter()
                .find(|(own, _)| *own == task)
                .map(|(_, bundle)| bundle.clone())
        });
        done.or_else(|| self.serving(task))
    }

    /// The published bundle that is tried next: where all that can tell say that the picture is foreign, and the address leaves
    /// the choice to the page.
    pub fn lacking(self) -> Option<Listed> {
        let open = self.open.get();
        let told = |opened: &Opened| self.judgement(&opened.bundle.sha256);
        let wanting = self.adding.with(Option::is_none)
            && parameter("bundle").is_none()
            && open.iter().all(|opened| told(opened).is_some())
            && open.iter().any(|opened| self.is_foreign(&opened.bundle.sha256))
            && !open.iter().any(|opened| self.is_home(&opened.bundle.sha256));
        let next = |listed: &&Listed| {
            !self.is_open(&listed.bundle.sha256) && self.tried.with_value(|tried| !tried.contains(&listed.at))
        };
        wanting
            .then(|| self.published.with_value(|all| all.iter().find(next).cloned()))
            .flatten()
    }
}
