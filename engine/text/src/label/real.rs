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
fn real_reports_are_english() {
    let foreign: Vec<String> = measure::real_reports()
        .into_iter()
        .filter(|text| super::foreign_language(text).is_some())
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
#[allow(clippy::disallowed_methods)] // a test measures time
fn a_sentence_of_a_million_words_takes_as_long_as_a_million_words() {
    let seconds = |text: &str, labeler: &Labeler| {
        let began = std::time::Instant::now();
        labeler.read(text);
        began.elapsed().as_secs_f64()
    };
    for labeler in [Labeler::new(), Labeler::like_chexpert()] {
        for unit in [
            "no effusion or mass ",
            "no effusion, ",
            "heart\n",
            "left-sided: no - ",
            "effusion (",
            "word ",
        ] {
            let tenth = unit.repeat(100_000 / unit.split_whitespace().count());
            let (short, long) = (
                (0..3).map(|_| seconds(&tenth, &labeler)).fold(f64::MAX, f64::min),
                seconds(&tenth.repeat(10), &labeler),
            );
            eprintln!("a million words of {unit:?}: {long:.2} s");
            assert!(long < 40.0 * short, "{unit:?}: {short} s, {long} s");
        }
    }
}

/// A text with lines of so many characters at most.
fn wrapped(text: &str, columns: usize) -> String {
    let (mut out, mut line) = (String::new(), 0);
    for word in text.split_whitespace() {
        let parts = line > 0 && line + 1 + word.len() > columns;
        if line > 0 {
            out.push(if parts { '\n' } else { ' ' });
        }
        line = if parts || line == 0 {
            word.len()
        } else {
            line + 1 + word.len()
        };
        out.push_str(word);
    }
    out
}

/// Asserts that of the real reports at most one in `one_in` is read otherwise when `changed`.
fn few_differ(what: &str, one_in: usize, changed: impl Fn(&str) -> String) {
    let (labeler, reports) = (Labeler::new(), measure::real_reports());
    let differs = |text: &&String| labeler.read(text).labels != labeler.read_report(&changed(text)).labels;
    let wrong = reports.iter().filter(differs).count();
    eprintln!("{wrong} of {} reports read otherwise {what}", reports.len());
    assert!(wrong * one_in <= reports.len(), "{what}");
}

#[test]
fn a_wrapped_report_is_read_as_one_that_is_not() {
    for columns in [40, 60, 72, 80, 100] {
        few_differ(&format!("when wrapped to {columns}"), 50, |text| {
            wrapped(text, columns)
        });
    }
}

#[test]
fn a_report_is_read_as_its_sentences_on_lines_without_stops() {
    let listed = |text: &str| text.replace(". ", "\n").trim_end_matches('.').to_string();
    few_differ("as a list", 40, listed);
    few_differ("as a list, lower case", 40, |text| listed(&text.to_lowercase()));
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
