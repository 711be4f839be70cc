//! NIH ChestX-ray14 (Wang et al. 2017, extended to 14 classes), as published and in a small form of one
//! table.
//!
//! ```text
//! Data_Entry_2017.csv               or Data_Entry_2017_v2020.csv: Image Index, Finding Labels, Patient ID, View Position
//! train_val_list.txt, test_list.txt the official split, by patient
//! val_list.txt                      where somebody has split the training list further
//! BBox_List_2017.csv                where some findings are seen, in pixels: Image Index, Finding Label, Bbox [x, y, w, h]
//! images/00000001_000.png           or images_001/images/ to images_012/images/
//!
//! labels.csv                        the small form: filename, labels, split, patient, view
//! images/
//! ```
//!
//! The publisher gives training and test; a tenth of the training patients validate, drawn by their number, where no list
//! says which.
//! Without the lists a tenth each of the patients validates and tests. A patient whom a table puts into two
//! splits is held out with all pictures.

mod read;
mod write;

pub use read::load;
pub(crate) use write::{classes_of, write};

use std::path::{Path, PathBuf};

use super::table;
use hilum_text::{Certainty, Finding, Labels};

const ENTRIES: &str = "Data_Entry_2017.csv";
const ENTRIES_2020: &str = "Data_Entry_2017_v2020.csv";
const SMALL: &str = "labels.csv";
const TRAIN_LIST: &str = "train_val_list.txt";
const TEST_LIST: &str = "test_list.txt";
const VALIDATE_LIST: &str = "val_list.txt";
const BOXES: &str = "BBox_List_2017.csv";

/// How a picture without any of the classes is labelled.
pub(crate) const NONE: &str = "No Finding";

/// Its classes, as its table spells them.
pub use hilum_text::NIH14 as CLASSES;

/// Its classes and No Finding, which is where none of them is.
pub(crate) const JUDGED: [&str; 15] = {
    let mut all = [NONE; 15];
    let mut at = 0;
    while at < CLASSES.len() {
        all[at] = CLASSES[at];
        at += 1;
    }
    all
};

/// Those that mean what one of CheXpert's categories means.
const SAME: [(&str, Finding); 7] = [
    ("Atelectasis", Finding::Atelectasis),
    ("Cardiomegaly", Finding::Cardiomegaly),
    ("Effusion", Finding::PleuralEffusion),
    ("Pneumonia", Finding::Pneumonia),
    ("Pneumothorax", Finding::Pneumothorax),
    ("Consolidation", Finding::Consolidation),
    ("Edema", Finding::Edema),
];

/// CheXpert's categories of a picture with these classes. Mass and nodule are its Lung Lesion. Infiltration
/// is a kind of Lung Opacity and pleural thickening of Pleural Other: they tell that it is there, their
/// absence tells nothing. `normal` is No Finding.
pub(crate) fn to_chexpert(classes: &[String], normal: bool) -> Labels {
    let has = |name: &str| classes.iter().any(|c| c == name);
    let known = |there: bool| {
        Some(if there {
            Certainty::Positive
        } else {
            Certainty::Negative
        })
    };
    let mut labels: Labels = [None; 14];
    for (name, finding) in SAME {
        labels[finding as usize] = known(has(name));
    }
    labels[Finding::LungLesion as usize] = known(has("Mass") || has("Nodule"));
    for (name, finding) in [
        ("Infiltration", Finding::LungOpacity),
        ("Pleural_Thickening", Finding::PleuralOther),
    ] {
        if has(name) {
            labels[finding as usize] = Some(Certainty::Positive);
        }
    }
    if normal {
        labels[Finding::NoFinding as usize] = Some(Certainty::Positive);
    }
    labels
}

fn entries(root: &Path) -> Option<PathBuf> {
    table::find(root, ENTRIES).or_else(|| table::find(root, ENTRIES_2020))
}

/// Whether a folder looks like this layout.
pub(crate) fn is_here(root: &Path) -> bool {
    entries(root).is_some() || table::has_columns(root, SMALL, &["filename", "labels", "split", "patient"])
}

#[cfg(test)]
mod tests;
