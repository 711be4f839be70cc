//! The labeler against real reports, where they are at hand.

use super::{Certainty, Finding, Labeler, Report};

#[path = "../../../../tests/labeler/measure.rs"]
mod measure;

#[test]
fn positives_agree_with_chexpert() {
    for (labeler, floors, each) in [
        (Labeler::like_chexpert(), measure::LIKE_CHEXPERT, true),
        (Labeler::new(), measure::PLAIN, false),
    ] {
        let Some((seen, unseen)) = measure::against_chexpert(&labeler, each) else {
            return;
        };
        assert!(
            seen > floors.0 && unseen > floors.1,
            "{seen} {unseen}, not {floors:?}"
        );
    }
}

#[test]
fn positives_agree_with_hand_labels() {
    let Some(scores) = measure::against_hands(&Labeler::new()) else {
        return;
    };
    for (score, floor) in scores.into_iter().zip(measure::FLOORS) {
        assert!(
            score.0 == floor.0 && score.1 > floor.1,
            "{score:?}, not {floor:?}"
        );
    }
}

#[test]
fn reading_time_grows_with_the_text_and_not_faster() {
    let reports = measure::real_reports();
    if reports.is_empty() {
        return;
    }
    // The same words in a tenth as many texts: only their length differs, so the machine's load cancels out.
    let long: Vec<String> = reports.chunks(10).map(|ten| ten.join("\n\n")).collect();
    for labeler in [Labeler::new(), Labeler::like_chexpert()] {
        let (short, long) = (
            measure::speed(&labeler, &reports),
            10.0 * measure::speed(&labeler, &long),
        );
        eprintln!("{short:.0} reports a second on one core, {long:.0} when ten are read as one");
        assert!(long > short / 3.0, "{short} {long}");
    }
}
