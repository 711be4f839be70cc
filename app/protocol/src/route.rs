//! Which of several open bundles serves a task. Page and worker ask the same function, so that they agree.

use std::cmp::Ordering;

use hilum_task::{Task, Unlikeness};

/// An open bundle, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What it can be asked for.
    pub tasks: &'a [Task],
    /// Whether it reads text.
    pub reads_text: bool,
    /// How unlike its training pictures the picture at hand is; nothing where it cannot tell.
    pub unlikeness: Option<Unlikeness>,
}

impl Candidate<'_> {
    /// Smaller is better: at home, cannot tell, foreign; within these by unlikeness.
    fn rank(&self) -> (u8, f64) {
        match self.unlikeness {
            Some(unlikeness) if !unlikeness.is_foreign() => (0, unlikeness.0),
            None => (1, 0.0),
            Some(unlikeness) => (2, unlikeness.0),
        }
    }
}

/// The place, among the bundles in the order of their opening, of the one that serves `task`; nothing where none offers it.
///
/// Where a picture is asked about (`of_picture`), the one whose training pictures are most like it goes first; of bundles
/// that are equal in that the one that was opened first. Where only words are searched for, the first of those that read them.
pub fn route(task: Task, of_picture: bool, open: &[Candidate]) -> Option<usize> {
    let mut offering = open
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.tasks.contains(&task) && (of_picture || candidate.reads_text));
    let first = offering.next()?;
    if !of_picture {
        return Some(first.0);
    }
    let best = offering.fold(first, |best, next| {
        let (ours, theirs) = (best.1.rank(), next.1.rank());
        let order = theirs.0.cmp(&ours.0).then(theirs.1.total_cmp(&ours.1));
        if order == Ordering::Less { next } else { best }
    });
    Some(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Task; 2] = [Task::Findings, Task::Retrieve];

    fn bundle(tasks: &[Task], unlikeness: Option<f64>) -> Candidate<'_> {
        Candidate {
            tasks,
            reads_text: true,
            unlikeness: unlikeness.map(Unlikeness),
        }
    }

    fn of_picture(all: &[Option<f64>]) -> Option<usize> {
        let all: Vec<_> = all.iter().map(|u| bundle(&BOTH, *u)).collect();
        route(Task::Findings, true, &all)
    }

    #[test]
    fn at_home_goes_before_who_cannot_tell_and_that_before_foreign() {
        assert_eq!(of_picture(&[Some(3.0), None, Some(0.9)]), Some(2));
        assert_eq!(of_picture(&[Some(3.0), None, Some(1.1)]), Some(1));
        assert_eq!(of_picture(&[Some(3.0), Some(1.5), Some(2.0)]), Some(1));
        // The limit itself is still at home.
        assert_eq!(of_picture(&[None, Some(1.0)]), Some(1));
    }

    #[test]
    fn the_least_unlike_goes_first_and_of_equals_the_one_opened_first() {
        assert_eq!(of_picture(&[Some(0.8), Some(0.3), Some(0.5)]), Some(1));
        assert_eq!(of_picture(&[Some(0.4), Some(0.4)]), Some(0));
        assert_eq!(of_picture(&[None, None]), Some(0));
        assert_eq!(of_picture(&[Some(2.0), Some(2.0)]), Some(0));
    }

    #[test]
    fn only_who_offers_the_task_is_asked() {
        let open = [
            bundle(&[Task::Draft], Some(0.1)),
            bundle(&BOTH, Some(5.0)),
            bundle(&BOTH, Some(0.2)),
        ];
        assert_eq!(route(Task::Draft, true, &open), Some(0));
        assert_eq!(route(Task::Findings, true, &open), Some(2));
        assert_eq!(route(Task::Vqa, true, &open), None);
        assert_eq!(route(Task::Vqa, false, &[]), None);
    }

    #[test]
    fn words_alone_go_to_the_first_that_searches() {
        let open = [
            bundle(&[Task::Draft], None),
            bundle(&BOTH, Some(5.0)),
            bundle(&BOTH, Some(0.2)),
        ];
        assert_eq!(route(Task::Retrieve, false, &open), Some(1));
        assert_eq!(route(Task::Retrieve, true, &open), Some(2));

        // One that compares pictures alone takes no words.
        let mut open = open;
        open[1].reads_text = false;
        assert_eq!(route(Task::Retrieve, false, &open), Some(2));
        open[2].reads_text = false;
        assert_eq!(route(Task::Retrieve, false, &open), None);
        assert_eq!(route(Task::Retrieve, true, &open), Some(2));
    }
}
