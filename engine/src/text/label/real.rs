//! The labeler against real reports, where they are at hand, and its speed.

use super::{Certainty, Finding, Labeler, Report};

#[path = "../../../../tests/labeler/measure.rs"]
mod measure;

#[test]
fn positives_agree_with_chexpert() {
    let Some((seen, unseen)) = measure::against_chexpert(&Labeler::new()) else { return };
    assert!(seen > 0.92 && unseen > 0.90, "{seen} {unseen}");
}

#[test]
fn positives_agree_with_hand_labels() {
    let Some(scores) = measure::against_hands(&Labeler::new()) else { return };
    for (score, floor) in scores.into_iter().zip(measure::FLOORS) {
        assert!(score.0 == floor.0 && score.1 > floor.1, "{score:?}, not {floor:?}");
    }
}

#[test]
fn thousands_of_reports_are_read_in_a_second() {
    let mut reports = measure::real_reports();
    for seed in 0..1000 {
        let report = crate::data::phantom::report(&crate::data::phantom::describe(seed));
        reports.push(format!("{}\n\n{}", report.findings, report.impression));
    }
    let speed = measure::speed(&Labeler::new(), &reports);
    eprintln!("{speed:.0} reports a second on one core");
    // An unoptimized build is some fifteen times slower.
    let floor = if cfg!(debug_assertions) { 200.0 } else { 5000.0 };
    assert!(speed > floor, "{speed}");
}
