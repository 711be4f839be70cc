//! What is true of a study, label by label: the one place that reads it, for training, for scores and for galleries.

use hilum_text::{Blank, Certainty, Finding, LabelName, LabelSet, Labeler, Labels, Side, Target, same_class};

use crate::Study;

/// What is stated of CheXpert's categories, on which sides, and what a blank means.
struct Stated {
    labels: Labels,
    sides: [Option<Side>; 14],
    blank: Blank,
}

fn stated(study: &Study, labeler: &Labeler) -> Stated {
    if let Some(description) = &study.description {
        return Stated {
            labels: description.labels(),
            sides: description.sides(),
            blank: Blank::Absent,
        };
    }
    let text = format!("{} {}", study.report.findings, study.report.impression);
    let written = !text.trim().is_empty();
    let reading = labeler.read(&text);
    let sides = if written { reading.sides() } else { [None; 14] };
    match study.labels {
        Some(labels) => Stated {
            labels: with_no_finding(labels, study.labelled()),
            sides,
            // Classes of the set's own stand for some of CheXpert's categories; of the others nothing is known.
            blank: if study.labelled() {
                Blank::Unknown
            } else {
                Blank::Absent
            },
        },
        None => Stated {
            labels: if written {
                labeler.labels(&study.report)
            } else {
                [None; 14]
            },
            sides,
            // Who wrote nothing and labelled nothing said nothing, not that nothing is there.
            blank: if written { Blank::Absent } else { Blank::Unknown },
        },
    }
}

/// No Finding is not there where another category is, though such tables leave it blank.
fn with_no_finding(mut labels: Labels, labelled: bool) -> Labels {
    let others = &labels[1..Finding::SupportDevices as usize];
    if labelled && labels[0].is_none() && others.contains(&Some(Certainty::Positive)) {
        labels[0] = Some(Certainty::Negative);
    }
    labels
}

/// CheXpert's category of that name; NIH says Effusion.
fn finding_of(name: &str) -> Option<Finding> {
    Finding::from_name(if name == "Effusion" {
        "Pleural Effusion"
    } else {
        name
    })
}

impl Study {
    /// What is true of it for each label of a set: from the phantom's description, else from the published labels, else
    /// from the report as the labeler reads it. `None` where it is not known: uncertain, blank in a set that labels
    /// some categories alone, a side that is not told.
    pub fn targets(&self, set: &LabelSet, labeler: &Labeler) -> Vec<Target> {
        let Stated { labels, sides, blank } = stated(self, labeler);
        let one = |label: &LabelName| {
            let Some(finding) = finding_of(&label.name) else {
                // A class that CheXpert does not have is known from the data set's own alone.
                return self.class(&label.name).filter(|_| label.side.is_none());
            };
            let Some(present) = set.target(labels[finding as usize], blank) else {
                return self.class(&label.name).filter(|_| label.side.is_none());
            };
            match (label.side, present, sides[finding as usize]) {
                (None, present, _) => Some(present),
                (Some(_), false, _) => Some(false),
                (Some(own), true, Some(side)) => Some(side == own || side == Side::Bilateral),
                (Some(_), true, None) => None,
            }
        };
        set.labels.iter().map(one).collect()
    }

    /// Whether the data set's own classes name it; `None` where nobody looked for it.
    fn class(&self, name: &str) -> Target {
        let judged = self.judged.iter().any(|class| same_class(class, name));
        let has = self.classes.iter().any(|class| same_class(class, name));
        // A picture without any class may be so for want of a name.
        let normal = self.classes.is_empty() && same_class(name, Finding::NoFinding.name());
        judged.then_some(has || normal)
    }

    /// What is true of CheXpert's 14 categories, as a labeler would state it; `None` where it is not known.
    pub fn truth(&self, labeler: &Labeler) -> (Labels, [Option<Side>; 14], Blank) {
        let Stated { labels, sides, blank } = stated(self, labeler);
        (labels, sides, blank)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::Split;

    fn study() -> Study {
        Study::new("s".into(), "p".into(), PathBuf::from("x.png"), None, Split::Test)
    }

    #[test]
    fn what_nobody_labelled_is_unknown_and_not_absent() {
        let (set, labeler) = (LabelSet::chexpert14(), Labeler::new());
        assert!(study().targets(&set, &labeler).iter().all(Option::is_none));
        let mut nih = study();
        nih.judged = &crate::nih14::JUDGED;
        nih.classes = vec!["Effusion".to_owned()];
        nih.labels = Some(crate::nih14::to_chexpert(&nih.classes, false));
        let targets = nih.targets(&set, &labeler);
        assert_eq!(targets[Finding::PleuralEffusion as usize], Some(true));
        assert_eq!(targets[Finding::Pneumothorax as usize], Some(false));
        assert_eq!(targets[Finding::NoFinding as usize], Some(false));
        for unknown in [Finding::Fracture, Finding::SupportDevices, Finding::LungOpacity] {
            assert_eq!(targets[unknown as usize], None, "{unknown:?}");
        }
        let own = nih.targets(&LabelSet::named("nih14").unwrap(), &labeler);
        assert_eq!(own.iter().filter(|t| **t == Some(true)).count(), 1);
        assert!(own.iter().all(Option::is_some));
        // A picture with a class that CheXpert does not have is not normal; one without any is.
        let normal = |classes: &[&str]| {
            let mut study = nih.clone();
            study.classes = classes.iter().map(|&class| class.to_owned()).collect();
            study.labels = Some(crate::nih14::to_chexpert(&study.classes, classes.is_empty()));
            study.targets(&set, &labeler)[Finding::NoFinding as usize]
        };
        assert_eq!([normal(&["Hernia"]), normal(&[])], [Some(false), Some(true)]);
        // What the set does not label is unknown, whatever it is called.
        let covid = nih.targets(&LabelSet::named("covid").unwrap(), &labeler);
        assert!(covid.iter().all(Option::is_none), "{covid:?}");
    }

    #[test]
    fn a_report_that_does_not_mention_a_finding_says_that_it_is_absent() {
        let mut told = study();
        told.report.findings = "Small left pleural effusion.".to_owned();
        let targets = told.targets(&LabelSet::chexpert14().with_sides(), &Labeler::new());
        let effusion = Finding::PleuralEffusion as usize;
        assert_eq!(
            [targets[effusion], targets[14 + effusion], targets[28 + effusion]],
            [Some(true), Some(true), Some(false)]
        );
        assert_eq!(targets[Finding::Fracture as usize], Some(false));
    }
}
