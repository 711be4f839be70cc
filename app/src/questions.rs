//! What is asked about the image besides a draft, and what came of it. All of it belongs to the image on the workspace.

use hilum_protocol::{Answer, Found, Partial, Reading, Task, TaskRequest, TaskResult, ToEngine};
use leptos::prelude::*;

use super::check::Check;
use super::connection;
use super::heat::Overlay;
use super::looks::Looks;

/// What came of a question so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Outcome<T> {
    /// It was not asked.
    #[default]
    None,
    /// The engine is at it.
    Running,
    /// An answer.
    Done(T),
    /// None: why.
    Failed(String),
}

impl<T> Outcome<T> {
    /// For those who wait for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
        }
    }
}

/// A question in words with its answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The request's number.
    pub request: u32,
    /// The question.
    pub question: String,
    /// Its most probable answers.
    pub answers: Outcome<Vec<Answer>>,
}

/// All questions. It is a handful of signals, so it is copied, not shared.
#[derive(Clone, Copy)]
pub struct Questions {
    /// The findings.
    pub findings: RwSignal<Outcome<Vec<Reading>>>,
    /// What the search found.
    pub found: RwSignal<Outcome<Found>>,
    /// How far a search is.
    pub progress: RwSignal<Option<Partial>>,
    /// The questions in words, newest first.
    pub asked: RwSignal<Vec<Asked>>,
    /// Where the words of the draft looked.
    pub looks: Looks,
    /// The report that is checked.
    pub check: Check,
    /// The map over the radiograph.
    pub overlay: Overlay,
    /// The text that is searched for; none for the image.
    text: StoredValue<Option<String>>,
    findings_request: StoredValue<u32>,
    search_request: StoredValue<u32>,
    newest: StoredValue<u32>,
}

impl Questions {
    /// None asked.
    pub fn new() -> Self {
        Self {
            findings: RwSignal::new(Outcome::None),
            found: RwSignal::new(Outcome::None),
            progress: RwSignal::new(None),
            asked: RwSignal::new(Vec::new()),
            looks: Looks::new(),
            check: Check::new(),
            overlay: Overlay::new(),
            text: StoredValue::new(None),
            findings_request: StoredValue::new(0),
            search_request: StoredValue::new(0),
            newest: StoredValue::new(0),
        }
    }

    /// A number that no request had before.
    pub fn number(self) -> u32 {
        self.newest.update_value(|number| *number += 1);
        self.newest.get_value()
    }

    /// Forgets all: there is another image.
    pub fn clear(self) {
        self.findings_request.set_value(0);
        self.search_request.set_value(0);
        self.findings.set(Outcome::None);
        self.found.set(Outcome::None);
        self.progress.set(None);
        self.asked.set(Vec::new());
        self.looks.clear();
        self.check.clear();
    }

    /// Asks for the findings.
    pub fn ask_findings(self) {
        self.findings.set(Outcome::Running);
        let request = self.number();
        self.findings_request.set_value(request);
        run(request, TaskRequest::Findings);
    }

    /// Asks a question.
    pub fn ask(self, question: String) {
        let request = self.number();
        run(
            request,
            TaskRequest::Vqa {
                question: question.clone(),
            },
        );
        self.asked.update(|all| {
            all.insert(
                0,
                Asked {
                    request,
                    question,
                    answers: Outcome::Running,
                },
            )
        });
    }

    /// Searches for cases like a text or, without one, like the image; a search that is under way is given
    /// up.
    pub fn search(self, text: Option<String>) {
        self.found.set(Outcome::Running);
        self.progress.set(None);
        let request = self.number();
        self.search_request.set_value(request);
        self.text.set_value(text.clone());
        run(request, TaskRequest::Retrieve { text });
    }

    /// Ends the search.
    pub fn stop_search(self) {
        connection::send(&ToEngine::Cancel {
            request: self.search_request.get_value(),
        });
        self.search_request.set_value(0);
        self.progress.set(None);
        self.found.set(Outcome::None);
    }

    /// What was searched for, in words.
    pub fn sought(self) -> String {
        self.text
            .get_value()
            .map_or("this radiograph".to_owned(), |text| format!("“{text}”"))
    }

    /// Asks a restarted engine for what the one before it owed.
    pub fn again(self) {
        if self.findings.get_untracked() == Outcome::Running {
            self.ask_findings();
        }
        if self.found.get_untracked() == Outcome::Running {
            self.search(self.text.get_value());
        }
        let owed = self
            .asked
            .get_untracked()
            .into_iter()
            .filter(|asked| asked.answers == Outcome::Running);
        for asked in owed {
            let question = asked.question;
            run(asked.request, TaskRequest::Vqa { question });
        }
        self.looks.again();
        self.check.again(self.number());
    }

    /// Nothing that is owed will come.
    pub fn give_up(self, why: &str) {
        if self.findings.get_untracked() == Outcome::Running {
            self.findings.set(Outcome::Failed(why.to_owned()));
        }
        if self.found.get_untracked() == Outcome::Running {
            self.found.set(Outcome::Failed(why.to_owned()));
        }
        self.asked.update(|all| {
            for asked in all.iter_mut().filter(|asked| asked.answers == Outcome::Running) {
                asked.answers = Outcome::Failed(why.to_owned());
            }
        });
        self.looks.give_up(why);
        self.check.give_up(why);
    }

    /// A search or a check goes on.
    pub fn take_partial(self, request: u32, partial: Partial) {
        if request == self.search_request.get_value() {
            self.progress.set(Some(partial));
        } else if self.check.is_of(request) {
            self.check.take_partial(partial);
        }
    }

    /// The task of a request that is not given up.
    pub fn task(self, request: u32) -> Option<Task> {
        if request == self.findings_request.get_value() {
            Some(Task::Findings)
        } else if request == self.search_request.get_value() {
            Some(Task::Retrieve)
        } else if self.check.is_of(request) {
            Some(Task::Check)
        } else {
            let asked = self
                .asked
                .with_untracked(|all| all.iter().any(|asked| asked.request == request));
            asked.then_some(Task::Vqa)
        }
    }

    /// A request has ended: one of these, or one that was given up.
    pub fn take(self, request: u32, result: Result<TaskResult, String>) {
        if request == self.findings_request.get_value() {
            self.findings.set(outcome(result, |result| match result {
                TaskResult::Findings(readings) => Some(readings),
                _ => None,
            }));
        } else if request == self.search_request.get_value() {
            self.progress.set(None);
            self.found.set(outcome(result, |result| match result {
                TaskResult::Retrieve(found) => Some(found),
                _ => None,
            }));
        } else if self.looks.is_of(request) {
            self.looks.take(outcome(result, |result| match result {
                TaskResult::Looks(looked) => Some(looked),
                _ => None,
            }));
        } else if self.check.is_of(request) {
            self.check.take(outcome(result, |result| match result {
                TaskResult::Check(checked) => Some(*checked),
                _ => None,
            }));
        } else {
            let answers = outcome(result, |result| match result {
                TaskResult::Vqa(answers) => Some(answers),
                _ => None,
            });
            self.asked.update(|all| {
                if let Some(asked) = all.iter_mut().find(|asked| asked.request == request) {
                    asked.answers = answers;
                }
            });
        }
    }
}

fn run(request: u32, task: TaskRequest) {
    connection::send(&ToEngine::Run {
        request,
        task,
        bundle: None,
    });
}

/// What came of a request: its own form of result, or none where it was cancelled.
fn outcome<T>(result: Result<TaskResult, String>, own: impl FnOnce(TaskResult) -> Option<T>) -> Outcome<T> {
    match result {
        Ok(result) => own(result).map_or(Outcome::None, Outcome::Done),
        Err(why) => Outcome::Failed(why),
    }
}
