//! What a data set holds, in numbers: the table that is printed before anything is trained on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::layout::Loaded;
use super::phantom::View;
use super::study::{Split, Study};
use hilum_text::{Certainty, Finding};

/// What one part of the data set holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Studies.
    pub studies: usize,
    /// Their patients.
    pub subjects: usize,
    /// Studies with a picture.
    pub images: usize,
    /// Studies with a report.
    pub reports: usize,
    /// Questions about them.
    pub questions: usize,
}

/// How often one of CheXpert's categories is labelled in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // each is the CSV's own value
pub struct Label {
    pub positive: usize,
    pub negative: usize,
    pub uncertain: usize,
    pub blank: usize,
}

/// A data set in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The layout's name.
    pub layout: &'static str,
    /// Studies in all.
    pub n: usize,
    /// Their patients.
    pub subjects: usize,
    /// The whole, then by split.
    pub all: Part,
    /// By split: train, validate, test.
    pub splits: BTreeMap<&'static str, Part>,
    /// Patients that are in more than one split; only where the publisher's own test shares them (VQA-RAD).
    pub shared_subjects: usize,
    /// Pictures by view: AP, PA, and those that are neither or of which it is not published.
    pub views: BTreeMap<&'static str, usize>,
    /// CheXpert's categories over the studies that are labelled in them, in that paper's order; empty where
    /// none is.
    #[serde(serialize_with = "as_map")]
    pub labels: Vec<(&'static str, Label)>,
    /// The data set's own classes in its order, with the number of studies of each.
    #[serde(serialize_with = "as_map")]
    pub classes: Vec<(String, usize)>,
    /// Studies whose own classes are known.
    pub labelled: usize,
    /// Questions to be answered by yes, no or a named choice, and the others.
    pub closed: usize,
    /// See `closed`.
    pub open: usize,
    /// Questions by kind.
    pub question_kinds: BTreeMap<String, usize>,
    /// Questions by organ.
    pub question_organs: BTreeMap<String, usize>,
    /// Pictures of other views than were asked for.
    pub other_views: usize,
    /// Further pictures of a study of which one was taken already.
    pub further_images: usize,
    /// Studies left out because a file is not there.
    pub missing: usize,
    /// The first of those files.
    pub missing_files: Vec<PathBuf>,
    /// What a reader ought to know.
    pub notes: Vec<String>,
}

impl Summary {
    /// Counts what was loaded.
    pub fn of(loaded: &Loaded) -> Self {
        let studies = &loaded.studies;
        let splits = Split::ALL.map(|s| (s.name(), part(studies.iter().filter(|t| t.split == s))));
        let all = part(studies.iter());
        let mut views = BTreeMap::new();
        for study in studies.iter().filter(|s| s.has_image()) {
            let view = match study.view {
                Some(View::Ap) => "AP",
                Some(View::Pa) => "PA",
                None => "unknown",
            };
            *views.entry(view).or_default() += 1;
        }
        let mut labels = [Label::default(); 14];
        let labelled = studies.iter().filter_map(|s| s.labels).collect::<Vec<_>>();
        for (count, finding) in labels.iter_mut().zip(Finding::ALL) {
            for of_study in &labelled {
                *match of_study[finding as usize] {
                    Some(Certainty::Positive) => &mut count.positive,
                    Some(Certainty::Negative) => &mut count.negative,
                    Some(Certainty::Uncertain) => &mut count.uncertain,
                    None => &mut count.blank,
                } += 1;
            }
        }
        let of_findings = || Finding::ALL.map(Finding::name).into_iter().zip(labels).collect();
        let has = |class: &String| studies.iter().filter(|s| s.classes.contains(class)).count();
        let questions = || studies.iter().flat_map(|s| &s.questions);
        let mut question_kinds = BTreeMap::new();
        let mut question_organs = BTreeMap::new();
        for question in questions() {
            *question_kinds.entry(question.kind.clone()).or_default() += 1;
            *question_organs.entry(question.organ.clone()).or_default() += 1;
        }
        let closed = questions().filter(|q| q.closed).count();
        let by_split: usize = splits.iter().map(|(_, p)| p.subjects).sum();
        let counts = &loaded.counts;
        Self {
            layout: loaded.layout.name(),
            n: studies.len(),
            subjects: all.subjects,
            all,
            splits: splits.into_iter().collect(),
            shared_subjects: by_split - all.subjects,
            views,
            labels: if labelled.is_empty() {
                Vec::new()
            } else {
                of_findings()
            },
            classes: loaded.classes.iter().map(|c| (c.clone(), has(c))).collect(),
            labelled: studies.iter().filter(|s| s.labelled()).count(),
            closed,
            open: all.questions - closed,
            question_kinds,
            question_organs,
            other_views: counts.other_views,
            further_images: counts.further_images,
            missing: counts.missing,
            missing_files: counts.missing_files.clone(),
            notes: loaded.notes.clone(),
        }
    }
}

/// An object whose keys keep their order.
fn as_map<K: Serialize, V: Serialize, S: Serializer>(
    pairs: &[(K, V)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

fn part<'s>(studies: impl Iterator<Item = &'s Study>) -> Part {
    let mut part = Part::default();
    let mut subjects = BTreeSet::new();
    for study in studies {
        part.studies += 1;
        part.images += usize::from(study.has_image());
        part.reports += usize::from(!study.report.longer().is_empty());
        part.questions += study.questions.len();
        subjects.insert(&study.subject);
    }
    part.subjects = subjects.len();
    part
}
