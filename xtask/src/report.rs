//! What became of each part, and the summary that closes a run.

use std::fmt::Write;
use std::time::{Duration, Instant};

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and nothing was wrong; with what the reader may want to know.
    Passed(String),
    /// It ran, or had to run, and something was wrong.
    Failed(String),
    /// It could not run on this machine, with the reason and the remedy.
    Skipped(String),
}

/// The parts of a run in the order in which they ran.
#[derive(Default)]
pub struct Report {
    parts: Vec<(&'static str, Outcome, Duration)>,
}

impl Report {
    /// Runs a part under its headline and notes what became of it.
    pub fn part(&mut self, name: &'static str, work: impl FnOnce() -> Outcome) {
        println!("\n=== {name} ===");
        let begun = Instant::now();
        let outcome = work();
        match &outcome {
            Outcome::Passed(_) => {}
            Outcome::Failed(reason) => println!("{name} FAILED: {reason}"),
            Outcome::Skipped(reason) => println!("{name} was SKIPPED: {reason}"),
        }
        self.parts.push((name, outcome, begun.elapsed()));
    }

    /// Whether no part failed.
    pub fn good(&self) -> bool {
        !self
            .parts
            .iter()
            .any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)))
    }

    /// A line for each part, then the counts: `N passed, N failed, N skipped`.
    pub fn summary(&self) -> String {
        let mut text = String::from("\n=== summary ===\n");
        let mut counts = [0; 3];
        for (name, outcome, time) in &self.parts {
            let (kind, word, note) = match outcome {
                Outcome::Passed(note) => (0, "passed", note),
                Outcome::Failed(note) => (1, "FAILED", note),
                Outcome::Skipped(note) => (2, "SKIPPED", note),
            };
            counts[kind] += 1;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{word:<8} {name:<8} {:>7.1} s  {note}", time.as_secs_f64());
        }
        let _ = write!(
            text,
            "{} passed, {} failed, {} skipped",
            counts[0], counts[1], counts[2]
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_closes_with_the_counts_and_a_skip_is_no_failure() {
        let mut report = Report::default();
        report.part("one", || Outcome::Passed("3 tests".into()));
        report.part("two", || Outcome::Skipped("no driver".into()));
        assert!(report.good());
        report.part("three", || Outcome::Failed("broken".into()));
        assert!(!report.good());
        let summary = report.summary();
        assert_eq!(summary.lines().last(), Some("1 passed, 1 failed, 1 skipped"));
        assert!(summary.contains("SKIPPED  two") && summary.contains("no driver"));
    }
}
