//! Findings against what is there: AUROC and F1 of the fourteen categories (MedViLL, section 4.1), and sides.

use serde_json::{Map, Value, json};

use super::{AT_ONCE, Cases, EvaluateError, Scores, encode};
use crate::bundle::Label;
use crate::data::Study;
use crate::metrics::{Counts, auroc, calibration_error, macro_auroc, macro_f1, micro, micro_auroc};
use crate::systems::Task;
use crate::tasks::boxes::{boxes, hits, point};
use crate::tasks::findings::{side, sides_of};
use crate::tasks::{Session, finding_logits};
use crate::text::{Finding, LabelName, LabelSet, Labeler, Side, Target, Uncertain};

/// Each radiograph's logits beside what is there.
pub struct FindingCases {
    /// The labels, with what makes a logit a decision.
    pub labels: Vec<Label>,
    /// What was read, a logit a label.
    pub logits: Vec<Vec<f32>>,
    /// What is known of each label.
    pub truth: Vec<Vec<Target>>,
    /// Of each radiograph the label of each of its boxes, and whether the map's peak and the same place for all are inside.
    pub boxes: Vec<Vec<(usize, [bool; 2])>>,
}

/// The label set that a bundle's labels are.
fn set_of(labels: &[Label]) -> LabelSet {
    let names = |set: &LabelSet| set.labels.iter().map(|l| l.name.clone()).collect::<Vec<_>>();
    let anywhere = labels.iter().filter(|l| l.side.is_none());
    let anywhere: Vec<String> = anywhere.map(|l| l.name.clone()).collect();
    let name = LabelSet::NAMES
        .iter()
        .filter_map(|name| LabelSet::named(name).ok())
        .find(|set| anywhere == names(set))
        .map_or("chexpert14", |set| set.name);
    let label = |label: &Label| LabelName {
        name: label.name.clone(),
        side: label.side,
    };
    LabelSet {
        name,
        labels: labels.iter().map(label).collect(),
        uncertain: Uncertain::Ignore,
    }
}

/// What a bundle's cases are labelled with: what it reads anywhere in a radiograph, or CheXpert's categories.
pub fn label_set(session: &Session) -> LabelSet {
    let own = session
        .manifest
        .labels
        .iter()
        .filter(|label| label.side.is_none());
    let own: Vec<Label> = own.cloned().collect();
    match own.is_empty() {
        true => LabelSet::chexpert14(),
        false => set_of(&own),
    }
}

/// Reads all studies, from image and report or from the image alone; with a part of each picture painted over where one is given.
///
/// # Errors
/// The first image that cannot be read, a model without such a head, a device that fails.
pub async fn evaluate_findings(
    session: &Session,
    studies: &[Study],
    with_report: bool,
    blank: Option<[f32; 4]>,
    mut progress: impl FnMut(usize),
) -> Result<FindingCases, EvaluateError> {
    let labeler = Labeler::new();
    let labels = if session.manifest.labels.is_empty() {
        LabelSet::chexpert14().labels.iter().map(Label::new).collect()
    } else {
        session.manifest.labels.clone()
    };
    let set = set_of(&labels);
    let mut cases = FindingCases {
        labels,
        logits: Vec::new(),
        truth: Vec::new(),
        boxes: Vec::new(),
    };
    let spec = session.spec();
    // How many boxes each radiograph has, and where the model points for all of them.
    let (mut counts, mut pointed) = (Vec::new(), Vec::new());
    for part in studies.chunks(AT_ONCE) {
        let tokens = if with_report {
            let tokens = part
                .iter()
                .map(|s| session.encode_text(Task::Findings, &session.reference(&s.report)));
            tokens.collect::<Result<Vec<_>, _>>()?
        } else {
            Vec::new()
        };
        let tokens: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
        let reports = with_report.then_some(tokens.as_slice());
        let images = encode(session, part, blank)?;
        for (row, study) in part.iter().enumerate() {
            let fail = |source| EvaluateError::Image {
                path: study.image.clone(),
                source,
            };
            let seen = boxes(study, &set, &spec.preprocessing).map_err(fail)?;
            let found = match seen.is_empty() {
                true => None,
                false => point(session, images.clone().narrow(0, row, 1), &seen).await?,
            };
            let found = found.unwrap_or_default();
            counts.push(found.len());
            pointed.extend(found);
        }
        cases
            .logits
            .extend(finding_logits(session, images, reports).await?);
        cases
            .truth
            .extend(part.iter().map(|study| study.targets(&set, &labeler)));
        progress(cases.logits.len());
    }
    let hits = hits(&pointed, spec.grid);
    let mut hits = pointed.iter().map(|seen| seen.label).zip(hits);
    cases.boxes = counts
        .into_iter()
        .map(|count| hits.by_ref().take(count).collect())
        .collect();
    Ok(cases)
}

/// Cases of a label from which on its area enters the mean of what is frequent: with fewer it says more of chance than of the model.
const FREQUENT: usize = 30;

impl FindingCases {
    /// How often a label is known to be there, and not to be, in all cases.
    fn known(&self, at: usize) -> [usize; 2] {
        [true, false].map(|is| self.truth.iter().filter(|row| row[at] == Some(is)).count())
    }

    /// The labels of anywhere that the model reads.
    fn read(&self) -> impl Iterator<Item = (usize, &Label)> {
        let outputs = self.logits.first().map_or(usize::MAX, Vec::len);
        let labels = self.labels.iter().enumerate().take(outputs);
        labels.filter(|(_, label)| label.side.is_none())
    }

    /// The share of the boxes of some radiographs and labels that the map's peak falls in, and the share that the same place for
    /// all does. `None` where there is no box.
    fn boxes_hit(
        &self,
        cases: impl Iterator<Item = usize>,
        of: impl Fn(usize) -> bool,
    ) -> Option<(f64, f64)> {
        let (mut count, mut hits) = (0usize, [0usize; 2]);
        for (_, hit) in cases
            .flat_map(|case| &self.boxes[case])
            .filter(|(label, _)| of(*label))
        {
            count += 1;
            hits.iter_mut()
                .zip(hit)
                .for_each(|(sum, hit)| *sum += usize::from(*hit));
        }
        let [peak, place] = hits.map(|hits| hits as f64 / count.max(1) as f64);
        (count > 0).then_some((peak, place))
    }

    /// Whether the side of a present finding is read rightly; `None` where it is not known or not read.
    fn side_is_right(&self, case: usize, at: usize, sides: [usize; 2], says: bool) -> Option<bool> {
        let (truth, logits) = (&self.truth[case], &self.logits[case]);
        let [left, right] = [truth[sides[0]]?, truth[sides[1]]?];
        let is = match (truth[at]?, left, right) {
            (true, true, true) => Side::Bilateral,
            (true, true, false) => Side::Left,
            (true, false, true) => Side::Right,
            _ => return None,
        };
        let read = side(*logits.get(sides[0])?, *logits.get(sides[1])?);
        Some(says && read == is)
    }
}

impl Cases for FindingCases {
    fn len(&self) -> usize {
        self.logits.len()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        // Each label of anywhere: probabilities with their truth, decisions.
        let mut classes = Vec::new();
        let mut counts = Vec::new();
        let (mut right, mut sided) = (0usize, 0usize);
        let mut scores = Scores::new();
        let mut frequent = Vec::new();
        for (at, label) in self.read() {
            let calibration = label.calibration();
            let has_side = Finding::from_name(&label.name).is_none_or(Finding::has_side);
            let sides = sides_of(&self.labels, label).filter(|_| has_side);
            let (mut values, mut positive) = (Vec::new(), Vec::new());
            let mut count = Counts::default();
            for &i in indices {
                let Some(is) = self.truth[i][at] else { continue };
                let probability = calibration.probability(self.logits[i][at]);
                let says = probability >= calibration.operating_point;
                count.add(says, is);
                values.push(probability);
                positive.push(is);
                if let Some(is_right) = sides.and_then(|sides| self.side_is_right(i, at, sides, says)) {
                    sided += 1;
                    right += usize::from(is_right);
                }
            }
            // A label of which nothing is known has no score.
            if !positive.is_empty() {
                let name = snake(&label.name);
                if let Some(area) = auroc(&values, &positive) {
                    scores.insert(auroc_name(&label.name), area);
                    if self.known(at)[0] >= FREQUENT && label.name != Finding::NoFinding.name() {
                        frequent.push(area);
                    }
                }
                scores.insert(format!("f1_{name}"), count.f1());
            }
            classes.push((values, positive));
            counts.push((label.name == Finding::NoFinding.name(), count));
        }
        let (all, truths): (Vec<Vec<f64>>, Vec<Vec<bool>>) = classes.iter().cloned().unzip();
        let every: Vec<Counts> = counts.iter().map(|c| c.1).collect();
        // No Finding apart, as for drafts; `micro_f1_14` counts it in, as MedViLL does.
        let findings: Vec<Counts> = counts.iter().filter(|c| !c.0).map(|c| c.1).collect();
        let known = truths.iter().any(|truth| !truth.is_empty());
        let counted = |value: f64| known.then_some(value);
        let named = [
            ("micro_auroc", micro_auroc(&classes)),
            ("macro_auroc", macro_auroc(&classes)),
            (
                "macro_auroc_frequent",
                (!frequent.is_empty()).then(|| frequent.iter().sum::<f64>() / frequent.len() as f64),
            ),
            ("micro_f1", counted(micro(&findings).f1())),
            (
                "micro_f1_14",
                counted(micro(&every).f1()).filter(|_| every.len() == 14),
            ),
            ("macro_f1", macro_f1(&findings)),
            ("precision", counted(micro(&findings).precision())),
            ("recall", counted(micro(&findings).recall())),
            ("accuracy", counted(micro(&findings).accuracy())),
            ("side_accuracy", (sided > 0).then(|| right as f64 / sided as f64)),
            (
                "calibration_error",
                calibration_error(&all.concat(), &truths.concat(), 10),
            ),
        ];
        let (hit, by_place) = self.boxes_hit(indices.iter().copied(), |_| true).unzip();
        let named = named
            .into_iter()
            .chain([("boxes_hit", hit), ("boxes_hit_by_place", by_place)]);
        scores.extend(named.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        scores
    }

    /// How many cases each label has, and which have too few kinds of them for an area.
    fn more(&self) -> Result<Map<String, Value>, EvaluateError> {
        let scores = self.all();
        let (mut labels, mut notes) = (Vec::new(), Vec::new());
        for (at, label) in self.read() {
            let [positives, negatives] = self.known(at);
            let name = &label.name;
            match (positives, negatives) {
                (0, 0) => notes.push(format!("The data say nothing of {name}: it has no scores.")),
                (0, _) => notes.push(format!("No case has {name}: its AUROC is not a number.")),
                (_, 0) => notes.push(format!("Every case has {name}: its AUROC is not a number.")),
                _ => {}
            }
            let area = scores.get(&auroc_name(name));
            let mut told =
                json!({ "name": name, "positives": positives, "negatives": negatives, "auroc": area });
            if let Some((hit, by_place)) = self.boxes_hit(0..self.len(), |label| label == at) {
                told["boxes"] = json!(
                    self.boxes
                        .iter()
                        .flatten()
                        .filter(|(label, _)| *label == at)
                        .count()
                );
                told["boxes_hit"] = json!(hit);
                told["boxes_hit_by_place"] = json!(by_place);
            }
            labels.push(told);
        }
        Ok([
            ("labels".to_owned(), json!(labels)),
            ("notes".to_owned(), json!(notes)),
        ]
        .into_iter()
        .collect())
    }
}

/// The score that is a label's area under the ROC curve.
pub fn auroc_name(label: &str) -> String {
    format!("auroc_{}", snake(label))
}

fn snake(name: &str) -> String {
    name.to_lowercase().replace(' ', "_")
}
