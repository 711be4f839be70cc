//! Phantoms in the layout of MIMIC-CXR-JPG.

use super::{CHEXPERT, COLUMNS, METADATA, NEGBIO, SPLIT, report_file, study_folder};
use crate::error::DataError;
use crate::phantom::{self, Institution, Phantom, View};
use crate::plan::Planned;
use crate::study::Counts;
use crate::table::LABEL_VALUES;
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture, write_table};
use hilum_text::Labels;

/// The columns of the metadata table, as published.
const METADATA_COLUMNS: [&str; 12] = [
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
];

/// Writes the data set into an empty folder that is there.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let planned = plan(options, false, |_, split| split);
    let each = |p: &Planned, drawn: &Phantom| write_study(options, p, drawn);
    let truths = draw_all(&planned, options, each, progress)?;
    write_tables(options, &planned)?;
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |p| Some(p.description.labels())))
}

fn write_study(options: &WriteOptions, planned: &Planned, drawn: &Phantom) -> Result<Truth, DataError> {
    let (subject, study) = (planned.subject.to_string(), planned.study.to_string());
    let folder = options.root.join(study_folder(&subject, &study));
    make_folder(&folder)?;
    let picture = folder.join(format!("{}.{}", planned.image, options.format.extension()));
    write_picture(&picture, drawn, planned, options.format)?;
    let report = options.root.join(report_file(&subject, &study));
    std::fs::write(&report, report_text(planned, options.institution))
        .map_err(DataError::io("write", &report))?;
    let names = Names {
        study,
        subject,
        image: planned.image.clone(),
    };
    Ok(truth(planned, names, drawn, options.institution))
}

/// The report's file: headed sections, lines of at most 80 characters.
fn report_text(planned: &Planned, institution: Institution) -> String {
    let report = phantom::report_at(&planned.description, institution);
    let above = phantom::preamble(&planned.description);
    let mut text = String::from("                                 FINAL REPORT\n");
    for (heading, body) in [
        ("EXAMINATION", above.examination),
        ("INDICATION", above.indication),
        ("TECHNIQUE", above.technique),
        ("COMPARISON", above.comparison),
        ("FINDINGS", report.findings.as_str()),
        ("IMPRESSION", report.impression.as_str()),
    ] {
        let mut line = format!(" {heading}: ");
        for word in body.split_whitespace() {
            if line.len() + 1 + word.len() > 80 {
                text.push_str(line.trim_end());
                text.push('\n');
                line = String::from(" ");
            }
            if !line.ends_with(' ') {
                line.push(' ');
            }
            line.push_str(word);
        }
        text.push_str(line.trim_end());
        text.push_str("\n \n");
    }
    text
}

fn write_tables(options: &WriteOptions, planned: &[Planned]) -> Result<(), DataError> {
    let root = &options.root;
    let split = planned.iter().map(|p| {
        vec![
            p.image.clone(),
            p.study.to_string(),
            p.subject.to_string(),
            p.split.name().to_owned(),
        ]
    });
    write_table(
        &root.join(SPLIT),
        &["dicom_id", "study_id", "subject_id", "split"],
        split,
    )?;
    let metadata = planned.iter().map(|p| metadata_row(p, options.size));
    write_table(&root.join(METADATA), &METADATA_COLUMNS, metadata)?;
    let mut columns = vec!["subject_id", "study_id"];
    columns.extend(COLUMNS.map(hilum_text::Finding::name));
    // Of phantoms both labelers' tables hold the description's labels: nothing is read back from the words.
    for name in [CHEXPERT, NEGBIO] {
        let labels = planned.iter().map(|p| label_row(p, &p.description.labels()));
        write_table(&root.join(name), &columns, labels)?;
    }
    Ok(())
}

fn metadata_row(p: &Planned, size: usize) -> Vec<String> {
    let (view, spoken, posture) = match p.description.view {
        View::Ap => ("AP", "antero-posterior", "Recumbent"),
        View::Pa => ("PA", "postero-anterior", "Erect"),
    };
    // Dates are shifted into the future as MIMIC's are; they tell nothing and follow from the study's number.
    let (year, month, day) = (
        2110 + p.study % 90,
        1 + p.study / 90 % 12,
        1 + p.study / 1080 % 28,
    );
    let (hour, minute, second) = (p.study / 7 % 24, p.study / 11 % 60, p.study / 13 % 60);
    let examination = phantom::preamble(&p.description).examination;
    vec![
        p.image.clone(),
        p.subject.to_string(),
        p.study.to_string(),
        examination.to_owned(),
        view.to_owned(),
        size.to_string(),
        size.to_string(),
        format!("{year}{month:02}{day:02}"),
        format!("{hour:02}{minute:02}{second:02}.000"),
        examination.to_owned(),
        spoken.to_owned(),
        posture.to_owned(),
    ]
}

fn label_row(p: &Planned, labels: &Labels) -> Vec<String> {
    let mut row = vec![p.subject.to_string(), p.study.to_string()];
    row.extend(
        COLUMNS.map(|finding| LABEL_VALUES[labels[finding as usize].map_or(3, |c| c as usize)].to_owned()),
    );
    row
}
