//! Phantoms in the layout of the Indiana University collection: its XML, its tables, its pictures.

use std::fmt::Write as _;

use super::{GOLD, NORMAL, PROJECTIONS, REPORTS, XML_FOLDER};
use crate::collect::{by_patient, stem};
use crate::error::DataError;
use crate::nih14::{CLASSES, classes_of, to_chexpert};
use crate::phantom::{self, Phantom};
use crate::plan::Planned;
use crate::study::Counts;
use crate::truth::{Names, Truth, truth, write_truths};
use crate::write::{WriteOptions, counted, draw_all, make_folder, plan, write_picture, write_table};
use hilum_text::{Certainty, Finding, Report};

/// Characters that XML reserves.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn uid(p: &Planned) -> String {
    format!("CXR{}", p.study)
}

/// Nothing but devices is there.
fn is_normal(p: &Planned) -> bool {
    p.description.labels()[Finding::NoFinding as usize] == Some(Certainty::Positive)
}

/// What is shown, not merely named: a person gives such headings, a program the others.
fn is_major(heading: &str) -> bool {
    !phantom::ANATOMY.contains(&heading)
}

/// The report's XML: the elements that readers of the collection use.
fn xml(p: &Planned, report: &Report) -> String {
    let (uid, above) = (uid(p), phantom::preamble(&p.description));
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<eCitation>\n  <meta type=\"rr\"/>\n  <uId id=\"{uid}\"/>\n  \
         <docSource>CXR</docSource>\n  <title>Phantom</title>\n  <MedlineCitation>\n    <Article>\n      <Abstract>\n"
    );
    for (label, body) in [
        ("COMPARISON", above.comparison),
        ("INDICATION", above.indication),
        ("FINDINGS", report.findings.as_str()),
        ("IMPRESSION", report.impression.as_str()),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "        <AbstractText Label=\"{label}\">{}</AbstractText>",
            escape(body)
        );
    }
    let image = stem(&p.image);
    text.push_str("      </Abstract>\n    </Article>\n  </MedlineCitation>\n  <MeSH>\n");
    for heading in phantom::mesh(&p.description) {
        let tag = if is_major(&heading) { "major" } else { "automatic" };
        let _ = writeln!(text, "    <{tag}>{}</{tag}>", escape(&heading));
    }
    let _ = write!(
        text,
        "  </MeSH>\n  <parentImage id=\"{image}\">\n    <caption>{}</caption>\n  \
         </parentImage>\n</eCitation>\n",
        escape(above.technique)
    );
    text
}

/// Writes the data set into an empty folder that is there. The layout has no split: each report's is the one
/// that the reader draws, and each report is a patient of its own.
pub(crate) fn write(options: &WriteOptions, progress: &mut dyn FnMut(usize)) -> Result<Counts, DataError> {
    let mut planned = plan(options, true, |subject, _| {
        by_patient(&format!("CXR{subject}"), 10, 10)
    });
    for p in &mut planned {
        // The subject's number is the report's, so that no patient can stand on both sides of a split.
        p.study = p.subject;
        p.image = format!("CXR{}_1_IM-0001-1001.{}", p.study, options.format.extension());
    }
    let (reports, images) = (options.root.join(XML_FOLDER), options.root.join("images"));
    make_folder(&reports)?;
    make_folder(&images)?;
    let each = |p: &Planned, drawn: &Phantom| -> Result<Truth, DataError> {
        write_picture(&images.join(&p.image), drawn, p, options.format)?;
        let path = reports.join(format!("{}.xml", p.study));
        let report = phantom::report_at(&p.description, options.institution);
        std::fs::write(&path, xml(p, &report)).map_err(DataError::io("write", &path))?;
        let names = Names {
            study: uid(p),
            subject: uid(p),
            image: stem(&p.image).to_owned(),
        };
        Ok(truth(p, names, drawn, options.institution))
    };
    let truths = draw_all(&planned, options, each, progress)?;
    let rows = planned.iter().map(|p| {
        let report = phantom::report_at(&p.description, options.institution);
        let above = phantom::preamble(&p.description);
        let mesh: Vec<String> = phantom::mesh(&p.description)
            .into_iter()
            .filter(|h| is_major(h))
            .collect();
        let problems = mesh.iter().map(|h| h.split('/').next().unwrap_or_default());
        let (mesh, problems) = (mesh.join(";"), problems.collect::<Vec<_>>().join(";"));
        let cells = [
            &mesh,
            &problems,
            above.technique,
            above.indication,
            above.comparison,
            &report.findings,
            &report.impression,
        ];
        std::iter::once(p.study.to_string())
            .chain(cells.map(str::to_owned))
            .collect()
    });
    let columns = [
        "uid",
        "MeSH",
        "Problems",
        "image",
        "indication",
        "comparison",
        "findings",
        "impression",
    ];
    write_table(&options.root.join(REPORTS), &columns, rows)?;
    let rows = planned
        .iter()
        .map(|p| vec![p.study.to_string(), p.image.clone(), "Frontal".to_owned()]);
    write_table(
        &options.root.join(PROJECTIONS),
        &["uid", "filename", "projection"],
        rows,
    )?;
    let mut columns = vec!["filename"];
    columns.extend(CLASSES);
    columns.push(NORMAL);
    let rows = planned.iter().map(|p| {
        let shown = classes_of(&p.description);
        let normal = is_normal(p);
        let labels = CLASSES.iter().map(|c| shown.contains(c)).chain([normal]);
        std::iter::once(uid(p))
            .chain(labels.map(|l| u8::from(l).to_string()))
            .collect()
    });
    write_table(&options.root.join(GOLD), &columns, rows)?;
    write_truths(&options.root, &truths)?;
    Ok(counted(&planned, |p| {
        let shown: Vec<String> = classes_of(&p.description)
            .into_iter()
            .map(str::to_owned)
            .collect();
        Some(to_chexpert(&shown, is_normal(p)))
    }))
}
