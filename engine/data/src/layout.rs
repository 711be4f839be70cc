//! The published layouts by name: which there are, how a folder is recognised, and who reads and writes each.
//!
//! A layout is added as one file beside [`super::mimic_cxr`], one row in [`recognise`], one arm in [`load`]
//! and in [`super::write_phantoms`].

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::error::DataError;
use super::files::ends_in;
use super::kind::Kind;
use super::study::{Counts, Split, Study};
use super::{chexpert, covid, mimic_cxr, nih14, openi, vqa_rad};

/// The layouts that this version reads and writes, for messages.
pub(crate) const SUPPORTED: &str = "mimic-cxr, openi, vqa-rad, nih14, chexpert or covid";

/// A layout in which a data set is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// MIMIC-CXR-JPG 2.0.0, with the report files of MIMIC-CXR.
    MimicCxr,
    /// Indiana University's collection (Open-i).
    OpenI,
    /// VQA-RAD.
    VqaRad,
    /// NIH ChestX-ray14.
    Nih14,
    /// CheXpert.
    CheXpert,
    /// RSNA Pneumonia Detection Challenge.
    Rsna,
    /// SIIM-ACR Pneumothorax Segmentation.
    Siim,
    /// COVID-19 Image Data Collection.
    Covid,
    /// COV-CTR.
    CovCtr,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 9] = [
        Self::MimicCxr,
        Self::OpenI,
        Self::VqaRad,
        Self::Nih14,
        Self::CheXpert,
        Self::Rsna,
        Self::Siim,
        Self::Covid,
        Self::CovCtr,
    ];

    /// As the command names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MimicCxr => "mimic-cxr",
            Self::OpenI => "openi",
            Self::VqaRad => "vqa-rad",
            Self::Nih14 => "nih14",
            Self::CheXpert => "chexpert",
            Self::Rsna => "rsna",
            Self::Siim => "siim",
            Self::Covid => "covid",
            Self::CovCtr => "cov-ctr",
        }
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let wanted = text.trim().to_ascii_lowercase().replace('_', "-");
        Self::ALL
            .into_iter()
            .find(|l| l.name() == wanted)
            .ok_or_else(|| DataError::NoSuchLayout(text.to_owned(), Self::names()))
    }
}

/// Which pictures are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Views {
    /// AP and PA.
    #[default]
    Frontal,
    /// AP only, as MedViLL does.
    Ap,
    /// PA only.
    Pa,
}

/// What to read of a data set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// One part; `None` for all.
    pub split: Option<Split>,
    /// Which projections.
    pub views: Views,
    /// Every image of a study that has several, not only its first.
    pub every_image: bool,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its layout.
    pub layout: Layout,
    /// The studies, in the order of the publisher's table.
    pub studies: Vec<Study>,
    /// How many, and what was missing.
    pub counts: Counts,
    /// The data set's own label set in the published order; empty where the labels are CheXpert's.
    pub classes: Vec<String>,
    /// What a reader ought to know: whence the split, what was left out.
    pub notes: Vec<String>,
}

/// Tells a data set's layout by its files.
///
/// # Errors
/// [`DataError::UnknownLayout`] where no layout fits, [`DataError::Io`] where there is no such folder.
pub fn recognise(root: &Path) -> Result<Layout, DataError> {
    std::fs::read_dir(root).map_err(DataError::io("read", root))?;
    // The more particular files first: many sets have a train.csv or a metadata.csv.
    type IsHere = fn(&Path) -> bool;
    let known: [(Layout, IsHere); 6] = [
        (Layout::MimicCxr, mimic_cxr::is_here),
        (Layout::CheXpert, chexpert::is_here),
        (Layout::Nih14, nih14::is_here),
        (Layout::Covid, covid::is_here),
        (Layout::VqaRad, vqa_rad::is_here),
        (Layout::OpenI, openi::is_here),
    ];
    let found = known.into_iter().find(|(_, is_here)| is_here(root));
    found
        .map(|(layout, _)| layout)
        .ok_or_else(|| replaced(root).unwrap_or_else(|| DataError::UnknownLayout(root.to_owned())))
}

/// A table of `root` in whose place something else was saved, the first by name: then nothing tells the
/// layout.
fn replaced(root: &Path) -> Option<DataError> {
    let table = |path: &Path| ["csv", "json", "jsonl"].iter().any(|e| ends_in(path, e));
    let files = std::fs::read_dir(root).ok()?.flatten().map(|e| e.path());
    let path = files
        .filter(|path| {
            table(path)
                && matches!(
                    Kind::of(path),
                    Some(Kind::LfsPointer | Kind::AnnexPointer | Kind::WebPage)
                )
        })
        .min()?;
    Some(DataError::other(&path, Kind::of(&path)?, "a table"))
}

/// Reads a data set; its layout is recognised by its files when it is not named.
///
/// # Errors
/// When a table is missing or damaged, or when nothing is left of what was chosen. Single missing files are
/// counted instead.
pub fn load(root: &Path, layout: Option<Layout>, options: &ReadOptions) -> Result<Loaded, DataError> {
    let layout = layout.map_or_else(|| recognise(root), Ok)?;
    match layout {
        Layout::MimicCxr => mimic_cxr::load(root, options),
        Layout::OpenI => openi::load(root, options),
        Layout::VqaRad => vqa_rad::load(root, options),
        Layout::Nih14 => nih14::load(root, options),
        Layout::CheXpert => chexpert::load(root, options),
        Layout::Covid => covid::load(root, options),
        Layout::Rsna | Layout::Siim | Layout::CovCtr => Err(DataError::NotSupported {
            layout,
            verb: "read",
            instead: SUPPORTED,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_round() {
        for layout in Layout::ALL {
            assert_eq!(layout.name().parse::<Layout>().unwrap(), layout);
        }
        assert_eq!("MIMIC_CXR".parse::<Layout>().unwrap(), Layout::MimicCxr);
        let message = "padchest".parse::<Layout>().unwrap_err().to_string();
        assert!(
            message.contains("padchest") && message.contains("nih14"),
            "{message}"
        );
    }

    #[test]
    fn an_unknown_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("metadata.csv");
        std::fs::write(
            &table,
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        )
        .unwrap();
        let message = recognise(folder.path()).unwrap_err().to_string();
        assert!(message.contains("metadata.csv is a Git LFS pointer"), "{message}");
        std::fs::remove_file(&table).unwrap();
        assert!(matches!(
            recognise(folder.path()),
            Err(DataError::UnknownLayout(_))
        ));
        assert!(matches!(
            recognise(&folder.path().join("none")),
            Err(DataError::Io { .. })
        ));
    }
}
