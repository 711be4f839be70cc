//! One radiograph with its report, wherever it was published, and how many there are.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::phantom::{self, Description, View};
use hilum_text::{Labels, Report};

/// Which part of a data set a study is in; no patient is in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For choosing what to keep.
    Validate,
    /// For the tables.
    Test,
}

impl Split {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validate, Self::Test];

    /// As MIMIC-CXR-JPG spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validate => "validate",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = String;

    /// Takes `valid`, `val` and `validation` for `validate`, as published tables differ.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "train" | "training" => Ok(Self::Train),
            "validate" | "valid" | "val" | "validation" => Ok(Self::Validate),
            "test" => Ok(Self::Test),
            _ => Err(format!(
                "there is no split {text:?}; choose train, validate or test"
            )),
        }
    }
}

/// A question about one radiograph and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// As its publisher names it.
    pub id: String,
    /// The question.
    pub text: String,
    /// The answer, as published.
    pub answer: String,
    /// Whether it is to be answered by yes or no or by one of the choices that it names.
    pub closed: bool,
    /// `HEAD`, `CHEST` or `ABD`; empty where it is not published.
    pub organ: String,
    /// What it asks for, as published: `PRES`, `POS`, `ABN`, `SIZE`, `MODALITY` and the like, several joined
    /// by a comma and a space.
    pub kind: String,
}

/// Where a finding is seen, in pixels of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingBox {
    /// The class, as the data set spells it.
    pub class: String,
    /// Left, top, width and height.
    pub area: [f32; 4],
}

/// One radiograph with its report, or one report whose radiograph is not there.
#[derive(Clone, Debug)]
pub struct Study {
    /// The study, as its publisher names it.
    pub id: String,
    /// The patient.
    pub subject: String,
    /// The picture's file; empty for a study of text alone, see [`Study::has_image`].
    pub image: PathBuf,
    /// How it was taken; `None` where that is not published, or neither way.
    pub view: Option<View>,
    /// What was written of it; empty where nothing is published.
    pub report: Report,
    /// The published labels in CheXpert's categories, or those of the data set's own that mean the same.
    pub labels: Option<Labels>,
    /// The data set's own classes that were looked for: one that is not among `classes` is absent. Empty where nobody
    /// looked.
    pub judged: &'static [&'static str],
    /// Those of the data set's own classes that this image has; empty where its labels are CheXpert's.
    pub classes: Vec<String>,
    /// Where published findings are seen.
    pub boxes: Vec<FindingBox>,
    /// Its Medical Subject Headings as published ("Pleural Effusion/left/small"), each once; empty where there are
    /// none. Open-i says "normal" and "No Indexing" in their place.
    pub mesh: Vec<String>,
    /// Questions about it.
    pub questions: Vec<Question>,
    /// The part of the data set.
    pub split: Split,
    /// What it shows in truth: for phantoms only.
    pub description: Option<Description>,
}

impl Study {
    /// A study of which nothing is known but who and where it is.
    pub(crate) fn new(id: String, subject: String, image: PathBuf, view: Option<View>, split: Split) -> Self {
        Self {
            id,
            subject,
            image,
            view,
            report: Report::default(),
            labels: None,
            judged: &[],
            classes: Vec::new(),
            boxes: Vec::new(),
            mesh: Vec::new(),
            questions: Vec::new(),
            split,
            description: None,
        }
    }

    /// Whether the data set's own classes are known.
    pub fn labelled(&self) -> bool {
        !self.judged.is_empty()
    }

    /// Its Medical Subject Headings: the published ones, else those of what a phantom shows, else none.
    pub fn headings(&self) -> Vec<String> {
        match (&self.description, self.mesh.is_empty()) {
            (Some(description), true) => phantom::mesh(description),
            _ => self.mesh.clone(),
        }
    }

    /// Whether there is a picture. Collections of reports are read without theirs; what needs pictures leaves
    /// such studies out.
    pub fn has_image(&self) -> bool {
        !self.image.as_os_str().is_empty()
    }
}

/// How much was written or read, and what was missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Studies written or read.
    pub studies: usize,
    /// Their patients.
    pub subjects: usize,
    /// Studies for training.
    pub train: usize,
    /// Studies for choosing what to keep.
    pub validate: usize,
    /// Studies for the tables.
    pub test: usize,
    /// Studies that show each category for certain, by [`hilum_text::Finding`] as index.
    pub positive: [usize; 14],
    /// Images of other views than were asked for.
    pub other_views: usize,
    /// Further images of a study of which one was taken already.
    pub further_images: usize,
    /// Studies left out because a file is not there.
    pub missing: usize,
    /// The first of those files, at most [`Counts::MOST_LISTED`].
    pub missing_files: Vec<PathBuf>,
}

impl Counts {
    /// How many missing files are listed by name.
    pub const MOST_LISTED: usize = 100;

    /// Notes a study left out for want of a file.
    pub(crate) fn miss(&mut self, path: PathBuf) {
        self.missing += 1;
        if self.missing_files.len() < Self::MOST_LISTED {
            self.missing_files.push(path);
        }
    }

    /// Counts a study in.
    pub(crate) fn add(&mut self, split: Split, labels: Option<&Labels>) {
        self.studies += 1;
        match split {
            Split::Train => self.train += 1,
            Split::Validate => self.validate += 1,
            Split::Test => self.test += 1,
        }
        for (count, label) in self.positive.iter_mut().zip(labels.into_iter().flatten()) {
            *count += usize::from(*label == Some(hilum_text::Certainty::Positive));
        }
    }
}
