//! Phantoms in the layout of NIH ChestX-ray14.

use super::{BOXES, CLASSES, ENTRIES, NONE, TEST_LIST, TRAIN_LIST};
use crate::collect::by_patient;
use crate::error::DataError;
use crate::phantom::{Description, Kind, Phantom, View};
use crate::plan::Planned;
use crate::study::{Counts, Split};
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture, write_table};

/// The columns as published; the size is three columns of one heading each in the file itself.
const COLUMNS: [&str; 11] = [
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
    "OriginalImage[Width",
    "Height]",
    "OriginalImagePixelSpacing[x",
    "y]",
];

/// Those of its boxes, the last heading of which is four.
const BOX_COLUMNS: [&str; 6] = ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"];

/// NIH's name of what is seen; none for what the set does not label.
fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Effusion => Some("Effusion"),
        Kind::Pneumothorax => Some("Pneumothorax"),
        Kind::Consolidation => Some("Consolidation"),
        Kind::Pneumonia => Some("Pneumonia"),
        Kind::Opacity => Some("Infiltration"),
        Kind::Atelectasis => Some("Atelectasis"),
        Kind::Edema => Some("Edema"),
        Kind::Cardiomegaly => Some("Cardiomegaly"),
        Kind::Nodule => Some("Nodule"),
        Kind::Mass => Some("Mass"),
        Kind::PleuralThickening => Some("Pleural_Thickening"),
        Kind::WideMediastinum
        | Kind::RibFracture
        | Kind::EtTube
        | Kind::CentralLine
        | Kind::Pacemaker
        | Kind::ChestDrain => None,
    }
}

/// The classes that a description shows, in the published order.
pub(crate) fn classes_of(description: &Description) -> Vec<&'static str> {
    let shown: Vec<&str> = description
        .observations
        .iter()
        .filter_map(|o| class(o.kind))
        .collect();
    CLASSES.into_iter().filter(|c| shown.contains(c)).collect()
}

/// Writes the data set into an empty folder that is there.
///
/// The official lists know training and test alone: what is planned for validation trains, and the reader
/// draws its own.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, false, |subject, split| match split {
        Split::Test => Split::Test,
        _ => by_patient(&subject.to_string(), 10, 0),
    });
    let mut follow_up = 0;
    let mut names: Vec<(String, usize)> = Vec::with_capacity(planned.len());
    for i in 0..planned.len() {
        follow_up = if i > 0 && planned[i - 1].subject == planned[i].subject {
            follow_up + 1
        } else {
            0
        };
        names.push((
            format!(
                "{:08}_{follow_up:03}.{}",
                planned[i].subject,
                options.format.extension()
            ),
            follow_up,
        ));
    }
    for (p, (name, _)) in planned.iter_mut().zip(&names) {
        p.image.clone_from(name);
    }
    make_folder(&options.root.join("images"))?;
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        write_picture(
            &options.root.join("images").join(&p.image),
            drawn,
            p,
            options.format,
        )?;
        let names = Names {
            study: p.image.clone(),
            subject: p.subject.to_string(),
            image: p.image.clone(),
        };
        Ok(truth(p, names, drawn, options.institution))
    };
    let truths = draw_all(&planned, options, each, progress)?;
    let rows = planned.iter().zip(&names).map(|(p, (name, follow_up))| {
        let shown = classes_of(&p.description);
        let labels = if shown.is_empty() {
            NONE.to_owned()
        } else {
            shown.join("|")
        };
        let (age, gender) = (20 + p.subject % 70, if p.subject % 2 == 0 { "F" } else { "M" });
        let view = if p.description.view == View::Ap {
            "AP"
        } else {
            "PA"
        };
        let spacing = format!("{:.3}", 430.0 / options.size as f32);
        vec![
            name.clone(),
            labels,
            follow_up.to_string(),
            p.subject.to_string(),
            age.to_string(),
            gender.to_owned(),
            view.to_owned(),
            options.size.to_string(),
            options.size.to_string(),
            spacing.clone(),
            spacing,
        ]
    });
    write_table(&options.root.join(ENTRIES), &COLUMNS, rows)?;
    for (list, test) in [(TRAIN_LIST, false), (TEST_LIST, true)] {
        let path = options.root.join(list);
        let wanted = planned.iter().filter(|p| (p.split == Split::Test) == test);
        let text: String = wanted.map(|p| p.image.clone() + "\n").collect();
        std::fs::write(&path, text).map_err(DataError::io("write", &path))?;
    }
    let boxes = truths.iter().flat_map(|truth| {
        truth.boxes.iter().filter_map(|place| {
            let area = [
                place.left,
                place.top,
                place.right - place.left,
                place.bottom - place.top,
            ];
            let head = [truth.dicom_id.clone(), class(place.kind)?.to_owned()];
            Some(
                head.into_iter()
                    .chain(area.map(|side| side.to_string()))
                    .collect(),
            )
        })
    });
    write_table(&options.root.join(BOXES), &BOX_COLUMNS, boxes)?;
    write_truths(&options.root, &truths)?;
    let labels = |p: &Planned| {
        let shown: Vec<String> = classes_of(&p.description)
            .into_iter()
            .map(str::to_owned)
            .collect();
        Some(super::to_chexpert(&shown, shown.is_empty()))
    };
    Ok(counted(&planned, labels))
}
