//! Phantoms in the layout of COV-CTR.
//!
//! A phantom has no germ: what stands for COVID-19 is what does so in the COVID-19 Image Data Collection's layout.

use super::{COVID, SHARES, TABLE, to_chexpert};
use crate::collect::by_patient;
use crate::covid;
use crate::error::DataError;
use crate::phantom::{self, Description, Phantom};
use crate::plan::Planned;
use crate::study::Counts;
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, plan, write_picture, write_table};

const COLUMNS: [&str; 6] = [
    "image_id",
    "findings",
    "terminologies",
    "COVID",
    "impression",
    "reports_En",
];

/// Whether a phantom counts as COVID-19.
pub(super) fn has_covid(description: &Description) -> bool {
    covid::finding(description).ends_with(COVID)
}

/// Writes the data set into an empty folder that is there: the pictures beside the table, those of a patient as panels
/// of one figure. The layout has no split: each figure's is the one that the reader draws.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, false, |subject, _| {
        by_patient(&subject.to_string(), SHARES.0, SHARES.1)
    });
    let mut panel = 0;
    let mut before = None;
    for p in &mut planned {
        panel = if before == Some(p.subject) { panel + 1 } else { 0 };
        before = Some(p.subject);
        p.image = format!("{}%{panel}.{}", p.subject, options.format.extension());
    }
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        write_picture(&options.root.join(&p.image), drawn, p, options.format)?;
        let names = Names {
            study: p.image.clone(),
            subject: p.subject.to_string(),
            image: p.image.clone(),
        };
        Ok(truth(p, names, drawn, options.institution))
    };
    let truths = draw_all(&planned, options, each, progress)?;
    let rows = planned.iter().map(|p| {
        let report = phantom::chinese_report(&p.description);
        let terms = match phantom::chinese_terms(&p.description) {
            terms if terms.is_empty() => "未见异常".to_owned(),
            terms => terms.join("，"),
        };
        vec![
            p.image.clone(),
            report.findings,
            terms,
            u8::from(has_covid(&p.description)).to_string(),
            report.impression,
            phantom::report_at(&p.description, options.institution).findings,
        ]
    });
    write_table(&options.root.join(TABLE), &COLUMNS, rows)?;
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |p| {
        Some(to_chexpert(has_covid(&p.description)))
    }))
}
