//! Mistakes in real reports, where they are at hand: in how many each can be made, and what they look like.

use super::{Mistake, make, swap_one_side};
use crate::{Labeler, Report, Sections};

/// The real reports as a model reads them; none where they are not at hand.
pub(crate) fn reports() -> Vec<String> {
    let Some(dir) = std::env::var_os("HILUM_DATA_DIR") else {
        eprintln!("SKIPPED: HILUM_DATA_DIR is not set");
        return Vec::new();
    };
    let path = std::path::PathBuf::from(dir).join("openi").join("reports.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return Vec::new();
    };
    let report = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let part = |name: &str| row[name].as_str().unwrap_or_default().trim().to_owned();
        let report = Report {
            findings: part("findings"),
            impression: part("impression"),
        };
        report.text(Sections::Joined).into_owned()
    };
    text.lines().map(report).collect()
}

/// Small numbers in a fixed order.
pub(super) fn picker(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % n
    }
}

/// In how many of the 2,337 reports each mistake must be made at least, the swap of one side last: a little less than was measured.
const FLOORS: [usize; 6] = [800, 2300, 740, 265, 78, 410];

#[test]
fn mistakes_in_real_reports() {
    let (labeler, reports) = (Labeler::new(), reports());
    let kinds = Mistake::ALL.map(Some).into_iter().chain([None]);
    for (kind, floor) in kinds.zip(FLOORS) {
        let name = kind.map_or("swap_one_side", Mistake::name);
        let mut count = 0;
        for (at, report) in reports.iter().enumerate() {
            let mut pick = picker(at as u64 + 1);
            let made = match kind {
                Some(kind) => make(kind, report, &labeler, &mut pick),
                None => swap_one_side(report, &labeler, &mut pick),
            };
            let Some(made) = made else { continue };
            assert_eq!(made.undone(), *report);
            if kind == Some(Mistake::SideSwap) {
                let twice = make(Mistake::SideSwap, &made.text, &labeler, &mut pick);
                assert_eq!(twice.map(|t| t.text).as_ref(), Some(report));
            }
            // Eight of each, to be read.
            if count % 10 == 0 && count < 80 {
                eprintln!("--- {name}\n{report}\n  =>\n{}", made.text);
                for (span, original) in made.spans.iter().zip(&made.original) {
                    eprintln!("    {original:?} -> {:?}", &made.text[span.clone()]);
                }
            }
            count += 1;
        }
        eprintln!("{name}: in {count} of {} reports", reports.len());
        assert!(count >= floor || reports.is_empty(), "{name}: {count}");
    }
}
