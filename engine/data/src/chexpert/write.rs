//! Phantoms in the layout of CheXpert.

use super::{TRAIN, VALID};
use crate::collect::by_patient;
use crate::error::DataError;
use crate::phantom::{Phantom, View};
use crate::plan::Planned;
use crate::study::{Counts, Split};
use crate::table::LABEL_VALUES;
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture, write_table};
use hilum_text::Finding;

/// Where the small release's paths begin.
const TOP: &str = "CheXpert-v1.0-small";

fn part(p: &Planned) -> &'static str {
    if p.split == Split::Test { "valid" } else { "train" }
}

/// Writes the data set into an empty folder that is there.
///
/// The two tables know training and what tests alone: what is planned for validation trains, and the reader
/// draws its own.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, false, |subject, split| match split {
        Split::Test => Split::Test,
        _ => by_patient(&format!("patient{subject:05}"), 5, 0),
    });
    let mut studies = Vec::with_capacity(planned.len());
    let mut number = 1;
    for i in 0..planned.len() {
        number = if i > 0 && planned[i - 1].subject == planned[i].subject {
            number + 1
        } else {
            1
        };
        studies.push(format!("patient{:05}/study{number}", planned[i].subject));
    }
    for (p, study) in planned.iter_mut().zip(&studies) {
        p.image = format!("{study}/view1_frontal");
    }
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        let (study, _) = p.image.rsplit_once('/').unwrap_or_default();
        let (patient, _) = study.split_once('/').unwrap_or_default();
        let folder = options.root.join(part(p)).join(study);
        make_folder(&folder)?;
        let picture = folder.join(format!("view1_frontal.{}", options.format.extension()));
        write_picture(&picture, drawn, p, options.format)?;
        let names = Names {
            study: study.to_owned(),
            subject: patient.to_owned(),
            image: p.image.clone(),
        };
        Ok(truth(p, names, drawn, options.institution))
    };
    let truths = draw_all(&planned, options, each, progress)?;
    let mut columns = vec!["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"];
    columns.extend(Finding::ALL.map(Finding::name));
    for (table, of) in [(TRAIN, "train"), (VALID, "valid")] {
        let rows = planned.iter().filter(|p| part(p) == of).map(|p| {
            let path = format!("{TOP}/{of}/{}.{}", p.image, options.format.extension());
            let (sex, age) = (
                if p.subject % 2 == 0 { "Female" } else { "Male" },
                20 + p.subject % 70,
            );
            let view = if p.description.view == View::Ap {
                "AP"
            } else {
                "PA"
            };
            let mut row = vec![
                path,
                sex.to_owned(),
                age.to_string(),
                "Frontal".to_owned(),
                view.to_owned(),
            ];
            row.extend(
                p.description
                    .labels()
                    .iter()
                    .map(|l| LABEL_VALUES[l.map_or(3, |c| c as usize)].to_owned()),
            );
            row
        });
        write_table(&options.root.join(table), &columns, rows)?;
    }
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |p| Some(p.description.labels())))
}
