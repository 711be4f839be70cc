//! Phantoms in the layout of VQA-RAD: questions and answers from each description.

use serde_json::json;

use super::{FOLDERS, TEST, TRAIN};
use crate::error::DataError;
use crate::phantom::{self, Phantom};
use crate::plan::Planned;
use crate::study::{Counts, Split};
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture};

/// Writes the data set into an empty folder that is there. Rows name their split, so that it is the planned
/// one, by patient.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, true, |_, split| split);
    for p in &mut planned {
        // Which patient a picture is of is not published.
        p.subject = p.study;
        p.image = format!("synpic{}.{}", p.study, options.format.extension());
    }
    let folder = options.root.join(FOLDERS[0]);
    make_folder(&folder)?;
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        write_picture(&folder.join(&p.image), drawn, p, options.format)?;
        let id = format!("synpic{}", p.study);
        let names = Names {
            study: id.clone(),
            subject: id,
            image: p.image.clone(),
        };
        Ok(truth(p, names, drawn, options.institution))
    };
    let truths = draw_all(&planned, options, each, progress)?;
    let mut lines = [String::new(), String::new()];
    let mut number = 0;
    for p in &planned {
        let file = &mut lines[usize::from(p.split == Split::Test)];
        for question in phantom::questions(&p.description, &format!("synpic{}", p.study)) {
            let row = json!({
                "qid": number.to_string(),
                "image": p.image,
                "question": question.text,
                "answer": question.answer,
                "answer_type": if question.closed { "CLOSED" } else { "OPEN" },
                "question_type": question.kind,
                "image_organ": question.organ,
                "phrase_type": "freeform",
                "split": p.split.name(),
            });
            *file += &format!("{row}\n");
            number += 1;
        }
    }
    for (name, text) in [TRAIN[0], TEST[0]].into_iter().zip(lines) {
        if !text.is_empty() {
            let path = options.root.join(name);
            std::fs::write(&path, text).map_err(DataError::io("write", &path))?;
        }
    }
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |_| None))
}
