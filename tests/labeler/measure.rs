//! How well and how fast the labeler reads: against CheXpert's labeler, against hand labels, and in reports a
//! second.
//!
//! Used by the labeler's unit tests and by the tests of the command; the module above brings the types in.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::{Certainty, Finding, Labeler, Report};

/// A file of the real reports, where `HILUM_DATA_DIR` names their folder.
fn real(name: &str) -> Option<String> {
    let Some(dir) = std::env::var_os("HILUM_DATA_DIR") else {
        eprintln!("SKIPPED: HILUM_DATA_DIR is not set");
        return None;
    };
    let path = PathBuf::from(dir).join("openi").join(name);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: {} is not there", path.display());
    }
    text
}

/// Counts of one category, or of several together.
#[derive(Clone, Copy, Default)]
struct Count {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Count {
    fn add(&mut self, read: bool, there: bool) {
        self.right += usize::from(read && there);
        self.wrong += usize::from(read && !there);
        self.missed += usize::from(!read && there);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            missed: self.missed + other.missed,
        }
    }

    fn precision(self) -> f64 {
        self.right as f64 / (self.right + self.wrong).max(1) as f64
    }

    fn recall(self) -> f64 {
        self.right as f64 / (self.right + self.missed).max(1) as f64
    }

    fn f1(self) -> f64 {
        2.0 * self.right as f64 / (2 * self.right + self.wrong + self.missed).max(1) as f64
    }

    fn print(self, name: &str) {
        let n = self.right + self.missed;
        eprintln!(
            "{name:28} P {:.3}  R {:.3}  F1 {:.3}  n {n}",
            self.precision(),
            self.recall(),
            self.f1()
        );
    }
}

fn positive(labels: &[Option<Certainty>; 14], finding: Finding) -> bool {
    labels[finding as usize] == Some(Certainty::Positive)
}

/// What the micro-F1 against CheXpert's labeler must exceed, (train and valid, test): a little less than was
/// measured.
pub const LIKE_CHEXPERT: (f64, f64) = (0.97, 0.935);
/// The same for plain sense, which differs where CheXpert's parser slips.
pub const PLAIN: (f64, f64) = (0.86, 0.83);

/// Micro-F1 over the positives of the 14 categories of CheXpert's labeler, by its own split: (train and
/// valid, whose reports were looked at; test, whose were not). `each` prints every category too.
pub fn against_chexpert(labeler: &Labeler, each: bool) -> Option<(f64, f64)> {
    let text = real("chexpert_labels.jsonl")?;
    let mut counts = [[Count::default(); 14]; 2];
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let truth: Vec<&str> = row["positive"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|v| v.as_str())
            .collect();
        let labels = labeler.read(row["text"].as_str().unwrap()).labels;
        for finding in Finding::ALL {
            let (read, there) = (positive(&labels, finding), truth.contains(&finding.name()));
            counts[usize::from(row["split"] == "test")][finding as usize].add(read, there);
        }
    }
    let mut scores = [0.0; 2];
    for ((half, counts), score) in ["reports that were looked at", "reports that were not"]
        .iter()
        .zip(&counts)
        .zip(&mut scores)
    {
        eprintln!("against the positives of CheXpert's labeler, {half}:");
        if each {
            Finding::ALL
                .iter()
                .zip(counts)
                .for_each(|(finding, count)| count.print(finding.name()));
        }
        let all = counts
            .iter()
            .fold(Count::default(), |sum, count| sum.plus(*count));
        all.print("all 14");
        *score = all.f1();
    }
    Some((scores[0], scores[1]))
}

/// What the F1 against hand labels must exceed, by column: a little less than was measured. Plain sense is
/// measured; what is only suspected is no positive here, and often one in the hand labels (atelectasis).
pub const FLOORS: [(&str, f64); 8] = [
    ("Atelectasis", 0.77),
    ("Cardiomegaly", 0.92),
    ("Consolidation", 0.90),
    ("Edema", 0.79),
    ("Effusion", 0.89),
    ("Pneumonia", 0.72),
    ("Pneumothorax", 0.76),
    ("normal", 0.84),
];

/// F1 against hand labels of the same reports, by column.
pub fn against_hands(labeler: &Labeler) -> Option<Vec<(&'static str, f64)>> {
    const COLUMNS: [(&str, Finding); 8] = [
        ("Atelectasis", Finding::Atelectasis),
        ("Cardiomegaly", Finding::Cardiomegaly),
        ("Consolidation", Finding::Consolidation),
        ("Edema", Finding::Edema),
        ("Effusion", Finding::PleuralEffusion),
        ("Pneumonia", Finding::Pneumonia),
        ("Pneumothorax", Finding::Pneumothorax),
        ("normal", Finding::NoFinding),
    ];
    let (gold, reports) = (real("gold14.csv")?, real("reports.jsonl")?);
    let mut labels = std::collections::HashMap::new();
    for line in reports.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let part = |name: &str| row[name].as_str().unwrap_or_default().to_string();
        let report = Report {
            findings: part("findings"),
            impression: part("impression"),
        };
        labels.insert(part("uid"), labeler.labels(&report));
    }
    let mut rows = csv::Reader::from_reader(gold.as_bytes());
    let header = rows.headers().unwrap().clone();
    let mut counts = [Count::default(); 8];
    for row in rows.records().map(Result::unwrap) {
        let Some(labels) = labels.get(&row[0]) else {
            continue;
        };
        for ((name, finding), count) in COLUMNS.iter().zip(&mut counts) {
            let column = header.iter().position(|h| h == *name).unwrap();
            count.add(positive(labels, *finding), &row[column] == "1");
        }
    }
    eprintln!("against hand labels:");
    COLUMNS
        .iter()
        .zip(&counts)
        .for_each(|((name, _), count)| count.print(name));
    Some(
        COLUMNS
            .iter()
            .zip(&counts)
            .map(|((name, _), count)| (*name, count.f1()))
            .collect(),
    )
}

/// The texts of the real reports; none where they are not at hand.
pub fn real_reports() -> Vec<String> {
    let rows = real("chexpert_labels.jsonl").unwrap_or_default();
    let text = |line: &str| {
        Some(
            serde_json::from_str::<serde_json::Value>(line).ok()?["text"]
                .as_str()?
                .to_string(),
        )
    };
    rows.lines().filter_map(text).collect()
}

/// Reports a second on one core, the best of five rounds.
#[allow(clippy::disallowed_methods)] // a test measures time
pub fn speed(labeler: &Labeler, reports: &[String]) -> f64 {
    let round = || {
        let began = Instant::now();
        let words: usize = reports
            .iter()
            .map(|r| labeler.read(std::hint::black_box(r)).mentions.len())
            .sum();
        assert!(words > 0);
        reports.len() as f64 / began.elapsed().as_secs_f64()
    };
    (0..5).map(|_| round()).fold(0.0, f64::max)
}
