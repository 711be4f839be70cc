//! The labeler against real reports, where they are at hand, and its speed.

use super::{Certainty, Finding, Labeler, Report};

#[path = "../../../../tests/labeler/measure.rs"]
mod measure;

#[test]
fn positives_agree_with_chexpert() {
    for (labeler, floors, each) in
        [(Labeler::like_chexpert(), measure::LIKE_CHEXPERT, true), (Labeler::new(), measure::PLAIN, false)]
    {
        let Some((seen, unseen)) = measure::against_chexpert(&labeler, each) else { return };
        assert!(seen > floors.0 && unseen > floors.1, "{seen} {unseen}, not {floors:?}");
    }
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
    for labeler in [Labeler::new(), Labeler::like_chexpert()] {
        let speed = measure::speed(&labeler, &reports);
        eprintln!("{speed:.0} reports a second on one core");
        // An unoptimized build is some fifteen times slower.
        let floor = if cfg!(debug_assertions) { 200.0 } else { 5000.0 };
        assert!(speed > floor, "{speed}");
    }
}
