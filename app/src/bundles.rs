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
    /// What it is asked for, where that is not all that it offers.
    pub tasks: Option<Vec<Task>>,
}

impl Wanted {
    /// A bundle of a list.
    pub fn of(listed: &Listed) -> Self {
        Self {
            at: listed.at.clone(),
            sha256: Some(listed.bundle.sha256.clone()),
            name: listed.bundle.name.clone(),
            tasks: Some(listed.bundle.tasks.clone()),
        }
    }
}

/// Whether a bundle does more than to check reports: that is for when a reader has one to check.
fn is_of_pictures(bundle: &Bundle) -> bool {
    bundle.tasks.iter().any(|task| *task != Task::Check)
}

/// What is open, and what that says of the picture.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// In the order of opening.
    pub all: Vec<Opened>,
    /// How unlike the training pictures of each bundle the picture is; nothing where it cannot tell.
    judged: Vec<(String, Option<Unlikeness>)>,
    /// Which bundle did what there is of each task's results.
    done: Vec<(Task, Bundle)>,
}

/// What else there is, and what is to be opened.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// What is published with the page, with absolute addresses.
    pub published: Vec<Listed>,
    /// What the browser keeps.
    pub kept: Vec<Listed>,
    /// What is being opened beside what is open.
    pub adding: Option<Wanted>,
    /// What there is to say in the panel.
    pub said: String,
    /// The first bundle of an engine that is not ready before all that were open are.
    pub first: Option<Opened>,
    waiting: Vec<Wanted>,
    /// All that was open in this visit.
    known: Vec<Bundle>,
    /// Addresses that were opened in this visit or tried to.
    tried: Vec<String>,
    /// Whether what is kept of folders was opened again.
    resumed: bool,
}

/// What the page knows of bundles. It is three signals, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Bundles {
    open: RwSignal<Open>,
    rest: RwSignal<Rest>,
    /// How far what is being opened is, of how much.
    pub progress: RwSignal<(u64, u64)>,
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

impl Open {
    /// Whether a bundle is open.
    pub fn contains(&self, sha256: &str) -> bool {
        self.all.iter().any(|opened| opened.bundle.sha256 == sha256)
    }

    /// What can be asked for.
    pub fn tasks(&self) -> Vec<Task> {
        let offered = |task: &Task| self.all.iter().any(|opened| opened.bundle.tasks.contains(task));
        Task::ALL.into_iter().filter(offered).collect()
    }

    /// Whether cases can be searched for by words.
    pub fn searches_text(&self) -> bool {
        let both =
            |opened: &Opened| opened.bundle.reads_text && opened.bundle.tasks.contains(&Task::Retrieve);
        self.all.iter().any(both)
    }

    /// What a bundle says of the picture: nothing before it has judged it, then how unlike it is, where it can tell.
    pub fn judgement(&self, sha256: &str) -> Option<Option<Unlikeness>> {
        let own = self.judged.iter().find(|(own, _)| own == sha256);
        own.map(|(_, told)| *told)
    }

    /// Whether a bundle says that the picture is unlike its training pictures.
    pub fn is_foreign(&self, bundle: &Bundle) -> bool {
        self.judgement(&bundle.sha256)
            .flatten()
            .is_some_and(Unlikeness::is_foreign)
    }

    /// Whether a bundle says that the picture is like its training pictures.
    pub fn is_home(&self, bundle: &Bundle) -> bool {
        let told = self.judgement(&bundle.sha256).flatten();
        told.is_some_and(|unlikeness| !unlikeness.is_foreign())
    }

    /// The bundle that serves a task, as far as is known. Where some have judged the picture, those that have not are left out.
    pub fn serving(&self, task: Task) -> Option<&Bundle> {
        let judged = |opened: &&Opened| self.judgement(&opened.bundle.sha256).is_some();
        let mut told: Vec<&Opened> = self.all.iter().filter(judged).collect();
        if told.is_empty() {
            told = self.all.iter().collect();
        }
        let candidates: Vec<_> = told
            .iter()
            .map(|opened| Candidate {
                tasks: &opened.bundle.tasks,
                reads_text: opened.bundle.reads_text,
                unlikeness: self.judgement(&opened.bundle.sha256).flatten(),
            })
            .collect();
        route(task, true, &candidates).map(|at| &told[at].bundle)
    }

    /// The bundle whose results there are of a task or, without any, the one that would serve it.
    pub fn answering(&self, task: Task) -> Option<&Bundle> {
        let done = self.done.iter().find(|(own, _)| *own == task);
        done.map(|(_, bundle)| bundle).or_else(|| self.serving(task))
    }
}

impl Bundles {
    /// None open.
    pub fn new() -> Self {
        Self {
            open: RwSignal::default(),
            rest: RwSignal::new(Rest {
                published: published(),
                ..Rest::default()
            }),
            progress: RwSignal::new((0, 0)),
        }
    }

    /// What is open.
    pub fn open(self) -> Open {
        self.open.get()
    }

    /// What is open, for those who do not follow it.
    pub fn open_now(self) -> Open {
        self.open.get_untracked()
    }

    /// What else there is.
    pub fn rest(self) -> Rest {
        self.rest.get()
    }

    /// The same for those who do not follow it.
    pub fn rest_now(self) -> Rest {
        self.rest.get_untracked()
    }

    // Not generic: what changes is small, and so is the program then.
    fn change_open(self, change: &mut dyn FnMut(&mut Open)) {
        self.open.update(change);
    }

    /// Changes what is not open.
    pub fn change(self, change: &mut dyn FnMut(&mut Rest)) {
        self.rest.update(change);
    }

    /// What is opened first: of a page that begins, what its address says; of an engine that is restarted, what was open.
    ///
    /// # Errors
    /// A sentence where that is on another server.
    pub fn first(self) -> Result<Wanted, String> {
        let all = self.open_now().all;
        let mut rest = self.rest_now();
        let again = all.iter().map(|opened| Wanted {
            at: opened.at.clone(),
            sha256: Some(opened.bundle.sha256.clone()),
            name: opened.bundle.name.clone(),
            tasks: Some(opened.bundle.tasks.clone()),
        });
        // A folder may be gone: that is no reason to open nothing, so it comes last. What was on its way begins anew.
        let (folders, mut again): (Vec<_>, Vec<_>) = again.partition(|wanted| wanted.at.starts_with(FOLDER));
        let adding = rest.adding.take();
        for wanted in folders.into_iter().chain(adding).chain(rest.waiting.drain(..)) {
            if !again.contains(&wanted) {
                again.push(wanted);
            }
        }
        let first = if all.is_empty() {
            let named = parameter("bundle").unwrap_or_else(|| BUNDLE.to_owned());
            let at = same_origin(&named).ok_or_else(|| {
                format!("the bundle {named:?} is not on this page's own server; copy it there, since nothing is loaded from elsewhere")
            })?;
            rest.tried.push(at.clone());
            // What the address names may be another one than it was when the page was built.
            let listed = rest
                .published
                .iter()
                .find(|listed| named == BUNDLE && listed.at == at);
            listed.map(Wanted::of).unwrap_or(Wanted {
                at,
                sha256: None,
                name: named,
                tasks: None,
            })
        } else {
            again.remove(0)
        };
        rest.waiting = again;
        self.rest.set(rest);
        Ok(first)
    }

    /// Opens a bundle as soon as no other one is being opened.
    pub fn add(self, wanted: &Wanted) {
        self.change(&mut |rest| {
            rest.said.clear();
            rest.tried.push(wanted.at.clone());
            if !rest.waiting.contains(wanted) {
                rest.waiting.push(wanted.clone());
            }
        });
    }

    /// Opens the folder of the reader's whose files these are, by their paths in it.
    pub fn add_folder(self, name: String, files: &Map) {
        if !files.has(&"bundle.json".into()) {
            let said = format!(
                "{name} has no bundle.json, so it is no bundle. Choose the folder that “hilum export” or “hilum import” wrote."
            );
            return self.change(&mut |rest| rest.said.clone_from(&said));
        }
        // Folders of the same name are not taken for each other.
        let rest = self.rest_now();
        let taken = |at: &String| rest.tried.contains(at) || rest.kept.iter().any(|listed| listed.at == *at);
        let (mut at, mut count) = ([FOLDER, &name].concat(), 1);
        while taken(&at) {
            count += 1;
            at = format!("{FOLDER}{name} ({count})");
        }
        connection::send_folder(&at, files);
        self.add(&Wanted {
            at,
            sha256: None,
            name,
            tasks: None,
        });
    }

    /// Sends the next one that waits, where none is on its way. Returns whether there is one on its way.
    pub fn advance(self) -> bool {
        let rest = self.rest_now();
        if rest.adding.is_some() {
            return true;
        }
        let Some(wanted) = rest.waiting.first() else {
            return false;
        };
        connection::send(&ToEngine::Add {
            bundle: wanted.at.clone(),
            sha256: wanted.sha256.clone(),
            tasks: wanted.tasks.clone(),
        });
        self.progress.set((0, 0));
        self.change(&mut |rest| rest.adding = Some(rest.waiting.remove(0)));
        true
    }

    /// A bundle is open.
    pub fn take(self, opened: &Opened) {
        self.change(&mut |rest| {
            rest.adding = None;
            rest.first.get_or_insert_with(|| opened.clone());
            rest.known.push(opened.bundle.clone());
        });
        self.change_open(&mut |open| {
            let own = |own: &Opened| own.bundle.sha256 == opened.bundle.sha256;
            match open.all.iter().position(own) {
                Some(at) => open.all[at] = opened.clone(),
                None => open.all.push(opened.clone()),
            }
        });
        connection::send(&ToEngine::Stored);
    }

    /// What was being opened was not: why.
    pub fn refuse(self, why: &str) {
        let Some(wanted) = self.rest_now().adding else {
            return;
        };
        let end = if why.ends_with('.') { "" } else { "." };
        let said = format!("{} was not opened: {why}{end}", wanted.name);
        self.change(&mut |rest| {
            rest.adding = None;
            rest.said.clone_from(&said);
        });
        // Where it was open before a restart, it is no more.
        self.change_open(&mut |open| open.all.retain(|opened| opened.at != wanted.at));
    }

    /// What the browser keeps; what it keeps of folders is opened once in a visit.
    pub fn take_kept(self, kept: &[Listed]) {
        let rest = self.rest_now();
        if rest.resumed && rest.kept == kept {
            return;
        }
        if !rest.resumed {
            let open = self.open_now();
            for listed in kept.iter().filter(|listed| listed.at.starts_with(FOLDER)) {
                if !open.contains(&listed.bundle.sha256) {
                    self.add(&Wanted::of(listed));
                }
            }
        }
        self.change(&mut |rest| {
            rest.resumed = true;
            rest.kept = kept.to_vec();
        });
    }

    /// Closes a bundle, where it is not the only one.
    pub fn close(self, sha256: String) {
        self.change_open(&mut |open| {
            if open.all.len() > 1 {
                open.all.retain(|opened| opened.bundle.sha256 != sha256);
            }
        });
        if !self.open_now().contains(&sha256) {
            connection::send(&ToEngine::Close { sha256 });
        }
    }

    /// A bundle has judged the picture.
    pub fn judge(self, sha256: &str, unlikeness: Option<Unlikeness>) {
        self.change_open(&mut |open| {
            open.judged.retain(|(own, _)| own != sha256);
            open.judged.push((sha256.to_owned(), unlikeness));
        });
    }

    /// There is another picture.
    pub fn clear(self) {
        self.change_open(&mut |open| {
            open.judged.clear();
            open.done.clear();
        });
    }

    /// A bundle did a task.
    pub fn did(self, task: Task, sha256: &str) {
        let known = self.rest_now().known;
        let bundle = known.iter().find(|bundle| bundle.sha256 == sha256);
        self.change_open(&mut |open| {
            open.done.retain(|(own, _)| *own != task);
            open.done.extend(bundle.map(|bundle| (task, bundle.clone())));
        });
    }

    /// The published bundle that is to be opened where a reader wants to check a report and none that is open does.
    pub fn checker(self) -> Option<Listed> {
        let checks = |tasks: &[Task]| tasks.contains(&Task::Check);
        if checks(&self.open().tasks()) {
            return None;
        }
        let published = self.rest().published;
        published.into_iter().find(|listed| checks(&listed.bundle.tasks))
    }

    /// Whether a bundle is being opened or waits to be.
    pub fn is_coming(self, at: &str) -> bool {
        let rest = self.rest();
        rest.adding
            .iter()
            .chain(&rest.waiting)
            .any(|wanted| wanted.at == at)
    }

    /// The published bundle that is tried next: where all that can tell say that the picture is foreign, and the address leaves
    /// the choice to the page.
    pub fn lacking(self) -> Option<Wanted> {
        let (open, rest) = (self.open(), self.rest());
        let of = |wanted: &dyn Fn(&Bundle) -> bool| {
            let all = open.all.iter().map(|opened| &opened.bundle);
            all.filter(|bundle| is_of_pictures(bundle) && wanted(bundle))
                .count()
        };
        let wanting = rest.adding.is_none()
            && of(&|bundle| open.judgement(&bundle.sha256).is_none()) == 0
            && of(&|bundle| open.is_foreign(bundle)) > 0
            && of(&|bundle| open.is_home(bundle)) == 0
            && parameter("bundle").is_none();
        let next = |listed: &&Listed| {
            is_of_pictures(&listed.bundle)
                && !open.contains(&listed.bundle.sha256)
                && !rest.tried.contains(&listed.at)
        };
        let next = rest.published.iter().filter(|_| wanting).find(next);
        next.map(Wanted::of)
    }
}
