//! Phantoms as figures: what their reports conclude is the caption.

use serde_json::json;

use super::{CAPTIONS, FOLDERS};
use crate::error::DataError;
use crate::phantom::{self, Description, Institution, Phantom};
use crate::plan::Planned;
use crate::study::Counts;
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture};

/// The caption of a phantom: its impression, or its findings where nothing is concluded.
pub(super) fn caption(description: &Description, institution: Institution) -> String {
    let report = phantom::report_at(description, institution);
    if report.impression.is_empty() {
        report.findings
    } else {
        report.impression
    }
}

/// Writes the data set into an empty folder that is there, one figure a patient.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, true, |_, split| split);
    for p in &mut planned {
        p.subject = p.study;
        p.image = format!("figure_{}.{}", p.study, options.format.extension());
    }
    let folder = options.root.join(FOLDERS[0]);
    make_folder(&folder)?;
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        write_picture(&folder.join(&p.image), drawn, p, options.format)?;
        let id = format!("figure_{}", p.study);
        let names = Names {
            study: id.clone(),
            subject: id,
            image: p.image.clone(),
        };
        Ok(truth(p, names, drawn, options.institution))
    };
    let truths = draw_all(&planned, options, each, progress)?;
    let line = |p: &Planned| {
        let text = caption(&p.description, options.institution);
        format!(
            "{}\n",
            json!({ "image": p.image, "text": text, "split": p.split.name() })
        )
    };
    let path = options.root.join(CAPTIONS);
    let lines: String = planned.iter().map(line).collect();
    std::fs::write(&path, lines).map_err(DataError::io("write", &path))?;
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |_| None))
}
