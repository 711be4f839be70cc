//! Errors put into reports and looked for (Park et al. 2022, "Clinical application for human error detection"): by how little report and
//! picture match, as in the paper, and by words that are predicted otherwise; sides by these alone, *ours*.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use burn::tensor::Tensor;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::findings::label_set;
use super::{Cases, EvaluateError, EvaluateOptions, Scores, encode_all};
use crate::data::Study;
use crate::metrics::{Counts, auroc, micro};
use crate::nn::stream;
use crate::systems::Task;
use crate::tasks::{
    Checked, Doubt, LoadedGallery, Session, check, match_probabilities, side_doubts, suggest,
};
use crate::text::{
    Certainty, Finding, Labeler, Mistake, Mistaken, Target, make_mistake, swap_one_side, swap_sides,
};

/// Shares of the reports that get an error in the paper's measure, and in one with enough errors to be measured by.
const RATES: [(f64, &str); 2] = [(0.01, "1"), (0.2, "20")];

/// An error that a report is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// It is another patient's.
    Wrong,
    /// One side of one finding is the other.
    OneSide,
    /// Any other.
    Made(Mistake),
}

impl Kind {
    fn all() -> impl Iterator<Item = Self> {
        let made = Mistake::ALL.into_iter().map(Self::Made);
        [Self::Wrong, Self::OneSide].into_iter().chain(made)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Wrong => "wrong_report",
            Self::OneSide => "one_side",
            Self::Made(mistake) => mistake.name(),
        }
    }
}

/// How many of a report's words were predicted, and how.
#[derive(Clone, Copy, Debug, Default)]
struct Corrections {
    /// Sides that are wrong.
    wrong: usize,
    /// Those that are predicted right.
    corrected: usize,
    /// Words that are right as they are.
    right: usize,
    /// Those that another word is likelier for.
    changed: usize,
    /// Marks that the limits leave; `None` without limits.
    marks: Option<usize>,
    /// Those of sides.
    of_sides: usize,
    /// Sides that are wrong, and marked.
    marked: usize,
}

/// One report as it is, and with errors.
struct Case {
    id: String,
    /// The probability that the report as it is matches.
    own: f64,
    /// The same with an error, where the report offers room for it.
    with: BTreeMap<Kind, f64>,
    /// Doubts of the words that tell a side, of the report as it is and with sides exchanged: their sum, and the strongest.
    sides: BTreeMap<Option<Kind>, [f64; 2]>,
    /// In which of [`RATES`] this report gets its error.
    drawn: [bool; 2],
    /// Of the report with its sides exchanged, by hiding one word after another.
    exchanged: Option<Corrections>,
    /// Of the report as it is.
    unchanged: Option<Corrections>,
    /// What the gallery has instead of another patient's.
    instead: Option<Instead>,
}

/// Another patient's report that does not match, and the gallery's that matches better; with each, which findings it has of those of the
/// patient's own.
struct Instead {
    wrong: Counts,
    suggested: Option<Counts>,
}

/// All reports.
pub struct CheckCases {
    cases: Vec<Case>,
    /// Whether a gallery was asked for better ones.
    gallery: bool,
}

/// Checks each report as it is and with each error that there is room for; the words of `trials` of them one by one, as they are and
/// with their sides exchanged, and of these, where there is a gallery, what it has in the place of a report that is found to be another's.
///
/// # Errors
/// Too few studies with reports, the first picture that cannot be read, a device that fails.
pub(super) async fn evaluate(
    session: &Session,
    studies: &[Study],
    options: &EvaluateOptions<'_>,
    mut progress: impl FnMut(usize),
) -> Result<CheckCases, EvaluateError> {
    let told = |s: &&Study| s.has_image() && !session.reference(&s.report).trim().is_empty();
    let told: Vec<Study> = studies.iter().filter(told).cloned().collect();
    if told.len() < 2 {
        return Err(EvaluateError::Data(
            "checking reports needs at least two studies with a picture and a report",
        ));
    }
    let images = encode_all(session, &told, &mut |_| ())?;
    let (labeler, set) = (Labeler::new(), label_set(session));
    let labels: Vec<Vec<Target>> = told.iter().map(|s| s.targets(&set, &labeler)).collect();
    let mut weighed: Vec<usize> = (0..told.len()).collect();
    weighed.shuffle(&mut stream(options.seed, 0));
    weighed.truncate(options.trials);
    let mut cases = Vec::with_capacity(told.len());
    for (at, study) in told.iter().enumerate() {
        let mut rng = stream(options.seed, 1 + at as u64);
        let drawn = RATES.map(|(rate, _)| rng.random::<f64>() < rate);
        let report = session.reference(&study.report).into_owned();
        let mut texts = vec![report.clone()];
        let mut kinds = Vec::new();
        for kind in Kind::all() {
            let made = match kind {
                Kind::Wrong => other(&labels, at, &mut rng)
                    .map(|other| session.reference(&told[other].report).into_owned()),
                Kind::OneSide => {
                    swap_one_side(&report, &labeler, &mut |n| rng.random_range(0..n)).map(|made| made.text)
                }
                Kind::Made(mistake) => {
                    make_mistake(mistake, &report, &labeler, &mut |n| rng.random_range(0..n))
                        .map(|made| made.text)
                }
            };
            if let Some(text) = made {
                kinds.push(kind);
                texts.push(text);
            }
        }
        let tokens: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| session.encode_text(Task::Check, text))
            .collect::<Result<_, _>>()?;
        let tokens: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
        let pairs: Vec<(usize, usize)> = (0..tokens.len()).map(|text| (0, text)).collect();
        let image = images.clone().narrow(0, at, 1);
        let mut scores = match_probabilities(session, &image, &tokens, &pairs)
            .await?
            .into_iter()
            .map(f64::from);
        let own = scores.next().unwrap_or(f64::NAN);
        let mut sides = BTreeMap::new();
        let kept = kinds.iter().copied().map(Some);
        for (kind, text) in std::iter::once(None).chain(kept).zip(&texts) {
            let of_sides = [None, Some(Kind::OneSide), Some(Kind::Made(Mistake::SideSwap))];
            if !of_sides.contains(&kind) {
                continue;
            }
            let doubts = side_doubts(session, &image, text).await?;
            let strongest = doubts.iter().copied().reduce(f32::max);
            if let Some(strongest) = strongest {
                sides.insert(kind, [doubts.iter().sum::<f32>(), strongest].map(f64::from));
            }
        }
        let (mut exchanged, mut unchanged, mut instead) = (None, None, None);
        let scores: BTreeMap<Kind, f64> = kinds.iter().copied().zip(scores).collect();
        if weighed.contains(&at) {
            unchanged = check(session, &image, &report, go_on)
                .await?
                .map(|checked| corrections(&checked, None));
            if let Some(swapped) = swap_sides(&report) {
                let checked = check(session, &image, &swapped.text, go_on).await?;
                exchanged = checked.map(|checked| corrections(&checked, Some(&swapped)));
            }
            let wrong = kinds
                .iter()
                .position(|kind| *kind == Kind::Wrong)
                .map(|at| &texts[1 + at]);
            if let (Some(gallery), Some(wrong)) = (options.gallery, wrong) {
                let matching = scores[&Kind::Wrong];
                instead =
                    in_its_place(session, gallery, &image, [&report, wrong], matching, &labeler).await?;
            }
        }
        cases.push(Case {
            id: study.id.clone(),
            own,
            with: scores,
            sides,
            drawn,
            exchanged,
            unchanged,
            instead,
        });
        progress(at + 1);
    }
    Ok(CheckCases {
        cases,
        gallery: options.gallery.is_some(),
    })
}

/// What the gallery has in the place of a report that is found not to match; `None` where it is not.
async fn in_its_place(
    session: &Session,
    gallery: &LoadedGallery,
    image: &Tensor<3>,
    [own, wrong]: [&str; 2],
    matching: f64,
    labeler: &Labeler,
) -> Result<Option<Instead>, EvaluateError> {
    let limits = session.manifest.check;
    if limits.is_none_or(|limits| matching >= f64::from(limits.matching)) {
        return Ok(None);
    }
    let right = findings(own, labeler);
    let shared = |text: &str| Counts::of(findings(text, labeler).into_iter().zip(right.iter().copied()));
    let better = suggest(session, gallery, image, matching as f32, go_on).await?;
    Ok(Some(Instead {
        wrong: shared(wrong),
        suggested: better.map(|better| shared(&better.report)),
    }))
}

/// Checks each report as it is against its own image.
///
/// # Errors
/// The first picture that cannot be read, a device that fails.
pub async fn check_as_written(session: &Session, studies: &[Study]) -> Result<Vec<Checked>, EvaluateError> {
    if studies.is_empty() {
        return Ok(Vec::new());
    }
    let images = encode_all(session, studies, &mut |_| ())?;
    let mut all = Vec::with_capacity(studies.len());
    for (at, study) in studies.iter().enumerate() {
        let report = session.reference(&study.report);
        let image = images.clone().narrow(0, at, 1);
        all.extend(check(session, &image, &report, go_on).await?);
    }
    Ok(all)
}

/// Which findings a report says are there.
fn findings(report: &str, labeler: &Labeler) -> Vec<bool> {
    let labels = labeler.read(report).labels;
    let of = |finding: &Finding| labels[*finding as usize] == Some(Certainty::Positive);
    let findings = Finding::ALL
        .iter()
        .filter(|finding| **finding != Finding::NoFinding);
    findings.map(of).collect()
}

/// Nothing is cancelled.
async fn go_on(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Another study whose report does not match: one with other positive labels, where one of a few that are drawn has such.
fn other(labels: &[Vec<Target>], at: usize, rng: &mut ChaCha8Rng) -> Option<usize> {
    let positive = |study: usize| labels[study].iter().map(|t| *t == Some(true)).collect::<Vec<_>>();
    let own = positive(at);
    (0..64)
        .map(|_| rng.random_range(0..labels.len()))
        .find(|&other| other != at && positive(other) != own)
}

/// What the words of a report say, one hidden after another; `swapped` tells which are wrong.
fn corrections(checked: &Checked, swapped: Option<&Mistaken>) -> Corrections {
    let marks = checked.marks();
    let sides: Vec<_> = marks.iter().filter(|mark| mark.doubt == Doubt::Side).collect();
    let mut counts = Corrections {
        marks: checked.limits.map(|_| marks.len()),
        of_sides: sides.len(),
        ..Corrections::default()
    };
    for word in &checked.words {
        let overlaps = |span: &std::ops::Range<usize>| span.start < word.end && word.start < span.end;
        let changed = word.doubt() > 0.0;
        if swapped.is_some_and(|swapped| swapped.spans.iter().any(overlaps)) {
            counts.wrong += 1;
            // Of two sides the other one is right.
            counts.corrected += usize::from(word.side_doubt().is_some_and(|doubt| doubt > 0.0));
            counts.marked += usize::from(sides.iter().any(|mark| mark.start == word.start));
        } else {
            counts.right += 1;
            counts.changed += usize::from(changed);
        }
    }
    counts
}

impl CheckCases {
    /// The area for an error: reports with it against those as they are, by a doubt of each; a report that has none is left out.
    fn area(
        &self,
        indices: &[usize],
        kind: Kind,
        rate: Option<usize>,
        doubt: impl Fn(&Case, Option<Kind>) -> Option<f64>,
    ) -> Option<f64> {
        let (mut scores, mut wrong) = (Vec::new(), Vec::new());
        for case in indices.iter().map(|&i| &self.cases[i]) {
            let drawn = |rate: usize| case.drawn[rate] && case.with.contains_key(&kind);
            let own = doubt(case, None).filter(|_| rate.is_none_or(|rate| !drawn(rate)));
            let with = doubt(case, Some(kind)).filter(|_| rate.is_none_or(drawn));
            for (score, is_wrong) in [(own, false), (with, true)] {
                scores.extend(score);
                wrong.extend(score.map(|_| is_wrong));
            }
        }
        auroc(&scores, &wrong)
    }
}

impl Case {
    /// By how little report and picture match.
    fn mismatch(&self, kind: Option<Kind>) -> Option<f64> {
        match kind {
            None => Some(-self.own),
            Some(kind) => self.with.get(&kind).map(|matching| -matching),
        }
    }
}

impl Cases for CheckCases {
    fn len(&self) -> usize {
        self.cases.len()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let mut scores = Scores::new();
        let mut areas = |kind: Kind, name: &str, doubt: &dyn Fn(&Case, Option<Kind>) -> Option<f64>| {
            let rates = RATES.iter().enumerate();
            let rates = rates.map(|(rate, (_, percent))| (Some(rate), format!("_at_{percent}_percent")));
            for (rate, end) in [(None, String::new())].into_iter().chain(rates) {
                let area = self.area(indices, kind, rate, doubt);
                scores.extend(area.map(|area| (format!("auroc_{name}{end}"), area)));
            }
        };
        let swap = Kind::Made(Mistake::SideSwap);
        for kind in Kind::all() {
            // By the sides of all words together where all may be wrong, by the strongest where one may.
            let at = match kind {
                Kind::OneSide => Some(1),
                kind if kind == swap => Some(0),
                _ => None,
            };
            match at {
                None => areas(kind, kind.name(), &Case::mismatch),
                Some(at) => {
                    areas(kind, kind.name(), &|case, kind| Some(case.sides.get(&kind)?[at]));
                    areas(kind, &format!("{}_by_match", kind.name()), &Case::mismatch);
                }
            }
        }
        let sum = |of: &dyn Fn(&Case) -> Option<(usize, usize)>| {
            let pairs = indices.iter().filter_map(|&i| of(&self.cases[i]));
            let (part, whole) = pairs.fold((0, 0), |(p, w), (part, whole)| (p + part, w + whole));
            (whole > 0).then(|| part as f64 / whole as f64)
        };
        let f1 = |of: &dyn Fn(&Instead) -> Option<Counts>| {
            let counts = indices
                .iter()
                .filter_map(|&i| of(self.cases[i].instead.as_ref()?));
            let counts: Vec<Counts> = counts.collect();
            (!counts.is_empty()).then(|| micro(&counts).f1())
        };
        let corrected = |c: &Corrections| (c.corrected, c.wrong);
        let changed = |c: &Corrections| (c.changed, c.right);
        let limited = |of: Option<Corrections>| of.filter(|counts| counts.marks.is_some());
        let detected = |case: &Case| limited(case.exchanged).filter(|counts| counts.of_sides > 0);
        let any = |counts: Corrections| (usize::from(counts.of_sides > 0), 1);
        let shares = [
            ("side_swaps_marked", sum(&|case| limited(case.exchanged).map(any))),
            // Of the sides that are wrong in those.
            (
                "sides_corrected_of_marked",
                sum(&|case| detected(case).map(|counts| (counts.marked, counts.wrong))),
            ),
            (
                "right_reports_with_a_side_marked",
                sum(&|case| limited(case.unchanged).map(any)),
            ),
            (
                "false_marks_per_report",
                sum(&|case| Some((case.unchanged?.marks?, 1))),
            ),
            (
                "sides_corrected",
                sum(&|case| case.exchanged.as_ref().map(corrected)),
            ),
            (
                "right_words_changed",
                sum(&|case| case.unchanged.as_ref().map(changed)),
            ),
            (
                "right_words_changed_beside_wrong_sides",
                sum(&|case| case.exchanged.as_ref().map(changed)),
            ),
            (
                "right_sides_preferred",
                sum(&|case| {
                    let swapped = case.with.get(&Kind::Made(Mistake::SideSwap))?;
                    Some((usize::from(case.own > *swapped), 1))
                }),
            ),
            (
                "wrong_reports_with_a_better_one",
                sum(&|case| {
                    let instead = case.instead.as_ref()?;
                    Some((usize::from(instead.suggested.is_some()), 1))
                }),
            ),
            ("suggested_micro_f1", f1(&|instead| instead.suggested)),
            // Of the reports in whose place those are.
            (
                "replaced_micro_f1",
                f1(&|instead| instead.suggested.map(|_| instead.wrong)),
            ),
        ];
        scores.extend(
            shares
                .into_iter()
                .filter_map(|(name, share)| Some((name.to_owned(), share?))),
        );
        scores
    }

    fn lines(&self) -> Vec<Value> {
        let line = |case: &Case| {
            let with: Map<String, Value> = case
                .with
                .iter()
                .map(|(kind, p)| (kind.name().to_owned(), json!(p)))
                .collect();
            json!({ "study": case.id, "matching": case.own, "with": with })
        };
        self.cases.iter().map(line).collect()
    }

    fn more(&self) -> Result<Map<String, Value>, EvaluateError> {
        let mut more = Map::new();
        let count = |kind: Kind| {
            self.cases
                .iter()
                .filter(|case| case.with.contains_key(&kind))
                .count()
        };
        // Of the error that fewest reports have room for, among the paper's two.
        more.insert(
            "n_positive".to_owned(),
            json!(count(Kind::Made(Mistake::SideSwap)).min(count(Kind::Wrong))),
        );
        if self.gallery {
            let below = self.cases.iter().filter(|case| case.instead.is_some());
            more.insert("n_wrong_report_below_limit".to_owned(), json!(below.count()));
        }
        for kind in Kind::all() {
            more.insert(format!("n_{}", kind.name()), json!(count(kind)));
            for (rate, (_, percent)) in RATES.iter().enumerate() {
                let drawn = |case: &&Case| case.drawn[rate] && case.with.contains_key(&kind);
                let drawn = self.cases.iter().filter(drawn).count();
                more.insert(format!("n_{}_at_{percent}_percent", kind.name()), json!(drawn));
            }
        }
        Ok(more)
    }
}
