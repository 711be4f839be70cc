//! Phantoms in the layout of the COVID-19 Image Data Collection.
//!
//! A phantom has no germ. So that the classes can be learned, hazy opacities stand for the collection's
//! COVID-19, patchy pneumonia for its Streptococcus, and what shows neither is labelled only when it is
//! normal.

use super::classes::classes;
use super::{IMAGES, METADATA};
use crate::collect::by_patient;
use crate::error::DataError;
use crate::phantom::{self, Description, Kind, Phantom, View};
use crate::plan::Planned;
use crate::study::Counts;
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture, write_table};
use hilum_text::{Certainty, Finding};

const COLUMNS: [&str; 14] = [
    "patientid",
    "offset",
    "sex",
    "age",
    "finding",
    "survival",
    "view",
    "modality",
    "date",
    "location",
    "folder",
    "filename",
    "license",
    "clinical_notes",
];

/// The finding's path.
pub(crate) fn finding(description: &Description) -> &'static str {
    let has = |kind| description.observations.iter().any(|o| o.kind == kind);
    if has(Kind::Pneumonia) {
        "Pneumonia/Bacterial/Streptococcus"
    } else if has(Kind::Opacity) {
        "Pneumonia/Viral/COVID-19"
    } else if description.labels()[Finding::NoFinding as usize] == Some(Certainty::Positive) {
        "No Finding"
    } else {
        "todo"
    }
}

/// Writes the data set into an empty folder that is there. The layout has no split: each patient's is the one
/// that the reader draws.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, false, |subject, _| {
        by_patient(&subject.to_string(), 10, 20)
    });
    for p in &mut planned {
        p.image = format!("{}.{}", p.image, options.format.extension());
    }
    make_folder(&options.root.join(IMAGES))?;
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        write_picture(
            &options.root.join(IMAGES).join(&p.image),
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
    let rows = planned.iter().map(|p| {
        let report = phantom::report_at(&p.description, options.institution);
        let notes = if p.study % 2 == 0 {
            report.findings
        } else {
            String::new()
        };
        let view = if p.description.view == View::Ap {
            "AP Supine"
        } else {
            "PA"
        };
        let sex = if p.subject % 2 == 0 { "F" } else { "M" };
        [
            &p.subject.to_string(),
            "0",
            sex,
            &(20 + p.subject % 70).to_string(),
            finding(&p.description),
            "",
            view,
            "X-ray",
            "2020",
            "",
            IMAGES,
            &p.image,
            "",
            &notes,
        ]
        .map(str::to_owned)
        .to_vec()
    });
    write_table(&options.root.join(METADATA), &COLUMNS, rows)?;
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |p| {
        classes(finding(&p.description)).map(|c| super::read::to_chexpert(&c))
    }))
}
