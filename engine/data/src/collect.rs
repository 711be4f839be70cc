//! What the loaders share: the choice of split and view, splits by patient, folders of pictures, and names
//! that may not lead elsewhere.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::DataError;
use super::files::{PICTURES, fold, is_picture};
use super::layout::{Layout, Loaded, ReadOptions, Views};
use super::phantom::{self, Description, View};
use super::study::{Counts, Split, Study};
use super::truth::read_truths;

/// How a picture was taken, as far as its publisher says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    /// Frontal, which way is known.
    Frontal(View),
    /// Not said, or frontal either way.
    Unknown,
    /// Lateral or anything else that is not frontal.
    Other,
    /// No projection at all: a slice of a CT.
    Slice,
}

impl Projection {
    /// Reads "AP", "PA", "AP Supine", "Lateral" and the like; an empty text is unknown.
    pub(crate) fn read(text: &str) -> Self {
        let upper = text.trim().to_ascii_uppercase();
        match upper
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default()
        {
            "" if upper.is_empty() => Self::Unknown,
            "FRONTAL" => Self::Unknown,
            "AP" => Self::Frontal(View::Ap),
            "PA" => Self::Frontal(View::Pa),
            "AXIAL" | "CORONAL" | "SAGITTAL" => Self::Slice,
            _ => Self::Other,
        }
    }

    /// The view, where it is known.
    pub(crate) fn view(self) -> Option<View> {
        match self {
            Self::Frontal(view) => Some(view),
            _ => None,
        }
    }

    fn is_among(self, views: Views) -> bool {
        match (self, views) {
            (Self::Slice, _) => false,
            (_, Views::All) => true,
            (Self::Other, _) | (Self::Unknown, Views::Ap | Views::Pa) => false,
            (_, Views::Frontal) => true,
            (Self::Frontal(view), Views::Ap) => view == View::Ap,
            (Self::Frontal(view), Views::Pa) => view == View::Pa,
        }
    }
}

/// Studies as they are gathered from a data set.
pub(crate) struct StudyCollector<'a> {
    root: &'a Path,
    layout: Layout,
    options: &'a ReadOptions,
    truths: HashMap<String, Description>,
    studies: Vec<Study>,
    pub(crate) counts: Counts,
    pub(crate) classes: Vec<String>,
    pub(crate) notes: Vec<String>,
    taken: HashSet<String>,
    subjects: HashSet<String>,
    chosen: usize,
}

impl<'a> StudyCollector<'a> {
    /// Begins a data set; reads what its phantoms show where it has any.
    pub(crate) fn new(root: &'a Path, layout: Layout, options: &'a ReadOptions) -> Result<Self, DataError> {
        Ok(Self {
            root,
            layout,
            options,
            truths: read_truths(root)?,
            studies: Vec::new(),
            counts: Counts::default(),
            classes: Vec::new(),
            notes: Vec::new(),
            taken: HashSet::new(),
            subjects: HashSet::new(),
            chosen: 0,
        })
    }

    /// Whether a picture is wanted: by its split, by its view, and as the first of its study unless all are.
    /// Those of other views and further ones are counted.
    pub(crate) fn wants(&mut self, split: Split, projection: Projection, study: &str) -> bool {
        if !self.wants_split(split) {
            return false;
        }
        if !projection.is_among(self.options.views) {
            self.counts.other_views += 1;
            return false;
        }
        if !self.taken.insert(study.to_owned()) && !self.options.every_image {
            self.counts.further_images += 1;
            return false;
        }
        self.chosen += 1;
        true
    }

    /// Whether a split is wanted.
    pub(crate) fn wants_split(&self, split: Split) -> bool {
        self.options.split.is_none_or(|wanted| wanted == split)
    }

    /// Whether reports without a picture are: not when one view was asked for, which they do not have.
    pub(crate) fn wants_text(&self) -> bool {
        matches!(self.options.views, Views::Frontal | Views::All)
    }

    /// Takes a study whose picture goes by `image` in the publisher's tables. A phantom gets its description,
    /// and questions where the layout has none.
    pub(crate) fn add(&mut self, image: &str, mut study: Study) {
        study.description = self.truths.get(image).cloned();
        if let Some(description) = &study.description
            && study.questions.is_empty()
        {
            study.questions = phantom::questions(description, &study.id);
        }
        self.counts.add(study.split, study.labels.as_ref());
        self.subjects.insert(study.subject.clone());
        self.chosen += usize::from(!study.has_image());
        self.studies.push(study);
    }

    /// Ends the data set.
    ///
    /// # Errors
    /// When nothing was chosen, or nothing of what was chosen is there.
    pub(crate) fn finish(mut self) -> Result<Loaded, DataError> {
        self.counts.subjects = self.subjects.len();
        let root = self.root.to_owned();
        match (self.chosen, self.studies.is_empty()) {
            (0, _) => Err(DataError::NothingChosen { root }),
            (expected, true) => {
                let first = self.counts.missing_files.first().cloned().unwrap_or_default();
                Err(DataError::NothingThere {
                    root,
                    expected,
                    first,
                })
            }
            _ => Ok(Loaded {
                layout: self.layout,
                studies: self.studies,
                counts: self.counts,
                classes: self.classes,
                notes: self.notes,
            }),
        }
    }
}

/// A split drawn from the patient's name, for collections whose publisher gives none: so many percent to
/// validate and to test, the rest to train. The draw (SHA-256 of the name behind a fixed prefix) is the same
/// for all time and on every machine.
pub(crate) fn by_patient(subject: &str, validate: u64, test: u64) -> Split {
    let hash = Sha256::digest(format!("hilum split 1:{subject}").as_bytes());
    let number = hash
        .iter()
        .take(8)
        .fold(0_u64, |n, byte| (n << 8) | u64::from(*byte))
        % 100;
    match number {
        n if n < test => Split::Test,
        n if n < test + validate => Split::Validate,
        _ => Split::Train,
    }
}

/// Settles patients whom a published table puts into several splits: all their pictures go to the part that
/// is held out furthest (test, then validate). Gives each patient's split, and how many were moved.
pub(crate) fn settle<'s>(rows: impl Iterator<Item = (&'s str, Split)>) -> (HashMap<String, Split>, usize) {
    let mut splits: HashMap<String, Split> = HashMap::new();
    let mut moved = HashSet::new();
    for (subject, split) in rows {
        match splits.get_mut(subject) {
            None => {
                splits.insert(subject.to_owned(), split);
            }
            Some(known) if *known != split => {
                *known = split.max(*known);
                moved.insert(subject);
            }
            Some(_) => {}
        }
    }
    (splits, moved.len())
}

/// The pictures of some folders, by file name.
pub(crate) struct ImageIndex {
    files: HashMap<String, PathBuf>,
    /// Where a picture that is missing ought to be.
    home: PathBuf,
}

impl ImageIndex {
    /// Lists the folders of `root` that are there; of two files of one name the earlier folder's counts.
    pub(crate) fn of<S: AsRef<str>>(root: &Path, folders: &[S]) -> Result<Self, DataError> {
        let mut files = HashMap::new();
        for folder in folders
            .iter()
            .map(|f| root.join(f.as_ref()))
            .filter(|f| f.is_dir())
        {
            let mut here = Vec::new();
            for entry in std::fs::read_dir(&folder).map_err(DataError::io("read", &folder))? {
                let entry = entry.map_err(DataError::io("read", &folder))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_picture(&name) {
                    here.push((name, entry.path()));
                }
            }
            // A name as it is goes before one that differs from it in the case of its ending.
            here.sort();
            for (name, path) in &here {
                files.entry(name.clone()).or_insert_with(|| path.clone());
            }
            for (name, path) in here {
                files.entry(fold(&name)).or_insert(path);
            }
        }
        let home = folders
            .first()
            .map_or_else(|| root.to_owned(), |f| root.join(f.as_ref()));
        Ok(Self { files, home })
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file of a picture: as named, with an ending added, or with another ending, each in any case.
    ///
    /// # Errors
    /// Where it ought to be, when it is not there.
    pub(crate) fn find(&self, name: &str) -> Result<PathBuf, PathBuf> {
        if let Some(path) = self.files.get(name) {
            return Ok(path.clone());
        }
        let name_folded = fold(name);
        let stem = stem(&name_folded);
        let found = PICTURES
            .iter()
            .flat_map(|e| [format!("{name_folded}.{e}"), format!("{stem}.{e}")])
            .find_map(|candidate| self.files.get(&candidate));
        let found = self.files.get(&name_folded).or(found);
        found.cloned().ok_or_else(|| self.home.join(name))
    }
}

pub(crate) use super::files::stem;

/// Whether a text may be the name of a file: one component of a path, and no special one.
pub(crate) fn is_file_name(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !"/\\:".contains(c);
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_are_read() {
        assert_eq!(Projection::read("AP Supine"), Projection::Frontal(View::Ap));
        assert_eq!(Projection::read(" pa "), Projection::Frontal(View::Pa));
        assert_eq!(Projection::read("Frontal"), Projection::Unknown);
        assert_eq!(Projection::read(""), Projection::Unknown);
        for other in ["L", "LL", "Lateral", "APPARENT", "-"] {
            assert_eq!(Projection::read(other), Projection::Other, "{other}");
        }
        assert_eq!(Projection::read("Axial"), Projection::Slice);
        for (projection, frontal, all) in [
            (Projection::Other, false, true),
            (Projection::Unknown, true, true),
            (Projection::Slice, false, false),
        ] {
            assert_eq!(projection.is_among(Views::Frontal), frontal);
            assert_eq!(projection.is_among(Views::All), all);
        }
        assert!(Projection::Unknown.is_among(Views::Frontal) && !Projection::Unknown.is_among(Views::Ap));
    }

    #[test]
    fn splits_by_patient_have_their_shares_and_never_change() {
        let drawn: Vec<Split> = (0..5000).map(|i| by_patient(&format!("p{i}"), 10, 20)).collect();
        let share = |s: Split| drawn.iter().filter(|d| **d == s).count() as f64 / 5000.0;
        assert!((share(Split::Validate) - 0.1).abs() < 0.02 && (share(Split::Test) - 0.2).abs() < 0.02);
        // A change of the draw would mix what was trained on with what is tested.
        let letters: String = (0..24)
            .map(|i| &by_patient(&i.to_string(), 25, 25).name()[..2])
            .collect();
        assert_eq!(letters, LETTERS);
    }

    /// By Python's hashlib.
    const LETTERS: &str = "vatrvatetetrvatrtetrtrvatetrvatrtrtrtetrtetrvatr";

    #[test]
    fn a_patient_of_two_splits_is_held_out() {
        use Split::{Test, Train, Validate};
        let rows = [
            ("a", Train),
            ("b", Validate),
            ("a", Validate),
            ("c", Train),
            ("b", Test),
            ("a", Train),
        ];
        let (splits, moved) = settle(rows.into_iter());
        assert_eq!(
            (splits["a"], splits["b"], splits["c"], moved),
            (Validate, Test, Train, 2)
        );
    }

    #[test]
    fn pictures_are_found_by_name_with_any_ending() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("images")).unwrap();
        for name in [
            "a.png",
            "b.dcm.png",
            "c.v2.jpg",
            "d.JPG",
            "e.DCM.PNG",
            "notes.txt",
        ] {
            std::fs::write(folder.path().join("images").join(name), "x").unwrap();
        }
        let pictures = ImageIndex::of(folder.path(), &["images", "more"]).unwrap();
        for (name, file) in [
            ("a", "a.png"),
            ("a.jpg", "a.png"),
            ("b.dcm", "b.dcm.png"),
            ("c.v2", "c.v2.jpg"),
            ("d", "d.JPG"),
            ("d.jpg", "d.JPG"),
            ("d.PNG", "d.JPG"),
            ("e.dcm.png", "e.DCM.PNG"),
            ("a.PNG", "a.png"),
        ] {
            assert_eq!(pictures.find(name).unwrap().file_name().unwrap(), file, "{name}");
        }
        assert_eq!(
            pictures.find("notes.txt").unwrap_err(),
            folder.path().join("images/notes.txt")
        );
        assert!(ImageIndex::of(folder.path(), &["more"]).unwrap().is_empty());
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in ["", "..", ".hidden", "a/b", "a\\b", "C:x", "a\nb"] {
            assert!(!is_file_name(name), "{name:?}");
        }
        assert!(is_file_name("00000001_000.png") && is_file_name("COVID-19 (1).jpeg"));
    }
}
