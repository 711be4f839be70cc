//! Phantoms in the layout, its several forms, and what may go wrong.

use std::fs;

use super::*;
use crate::nih14::classes_of;
use crate::phantom;
use crate::tar::tests::archive;
use crate::testing::{edit, goes_round, misses, read, refusal, write};
use crate::{Format, Layout, Loaded, ReadOptions, Views, load};
use hilum_text::{Certainty, Finding};

#[test]
fn phantoms_go_round() {
    goes_round(Layout::OpenI, |_, loaded| {
        for study in &loaded.studies {
            let description = study.description.as_ref().unwrap();
            assert_eq!(study.report, phantom::report(description));
            assert_eq!(study.mesh, phantom::mesh(description));
            assert_eq!(study.headings(), study.mesh);
            let shown: Vec<&str> = study
                .classes
                .iter()
                .map(String::as_str)
                .filter(|c| *c != NORMAL)
                .collect();
            assert!(study.labelled());
            assert_eq!(shown, classes_of(description));
            let normal = study.labels.unwrap()[Finding::NoFinding as usize] == Some(Certainty::Positive);
            assert_eq!(normal, study.classes.contains(&NORMAL.to_owned()));
        }
        assert_eq!(loaded.classes.len(), 15);
    });
    misses(Layout::OpenI);
}

fn told(loaded: &Loaded) -> Vec<(String, String, String, crate::Split)> {
    let of = |s: &crate::Study| {
        (
            s.id.clone(),
            s.report.findings.clone(),
            s.report.impression.clone(),
            s.split,
        )
    };
    loaded.studies.iter().map(of).collect()
}

#[test]
fn every_form_gives_the_same_studies() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, Layout::OpenI, 12, Format::Png);
    let whole = read(root);
    let names: Vec<_> = fs::read_dir(root.join(XML_FOLDER))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    // The archive in the folder's place.
    let files: Vec<(String, Vec<u8>)> = names
        .iter()
        .map(|p| {
            (
                format!("ecgen-radiology/{}", p.file_name().unwrap().to_string_lossy()),
                fs::read(p).unwrap(),
            )
        })
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    fs::rename(root.join(XML_FOLDER), root.join("elsewhere")).unwrap();
    archive(&root.join(ARCHIVES[1]), &files);
    let packed = read(root);
    assert_eq!((told(&packed), &packed.counts), (told(&whole), &whole.counts));
    // The tables alone: pictures from the projections.
    fs::remove_file(root.join(ARCHIVES[1])).unwrap();
    let tabled = read(root);
    assert_eq!((told(&tabled), &tabled.counts), (told(&whole), &whole.counts));
    // Those headings that a program gave are not in the table.
    for (table, whole) in tabled.studies.iter().zip(&whole.studies) {
        let shown = whole.mesh.len() - phantom::ANATOMY.len();
        assert_eq!(table.mesh, whole.mesh[..shown]);
    }
    // The XML alone, right in the root, without pictures.
    let bare = tempfile::tempdir().unwrap();
    for path in fs::read_dir(root.join("elsewhere"))
        .unwrap()
        .map(|e| e.unwrap().path())
    {
        fs::copy(&path, bare.path().join(path.file_name().unwrap())).unwrap();
    }
    let text = read(bare.path());
    assert_eq!(told(&text), told(&whole));
    assert!(
        text.studies
            .iter()
            .all(|s| !s.has_image() && !s.labelled() && s.labels.is_none())
    );
    assert!(
        text.notes.iter().any(|n| n.contains("none of the 12 pictures")),
        "{:?}",
        text.notes
    );
    let pa = load(
        bare.path(),
        None,
        &ReadOptions {
            views: Views::Pa,
            ..Default::default()
        },
    );
    assert!(pa.is_err(), "a text has no view");
}

#[test]
fn lateral_pictures_are_of_another_view() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Layout::OpenI, 5, Format::Png);
    edit(&folder.path().join(PROJECTIONS), |t| {
        t.replacen("Frontal", "Lateral", 2)
    });
    let loaded = read(folder.path());
    assert_eq!((loaded.studies.len(), loaded.counts.other_views), (3, 2));
    let all = ReadOptions {
        views: Views::All,
        ..Default::default()
    };
    let all = load(folder.path(), None, &all).unwrap();
    assert_eq!((all.studies.len(), all.counts.other_views), (5, 0));
}

const LINE: &str = r#"{"uid": "CXR3", "findings": "Heart  large.", "impression": "", "mesh_major": ["Cardiomegaly/mild", "Aorta, Thoracic"],
 "mesh_auto": ["cardiomegaly", "Cardiomegaly/mild"], "images": [
 {"id": "CXR3_a", "projection": "Lateral", "view": "L"}, {"id": "CXR3_b", "projection": "Frontal", "view": "PA"}],
 "labels14": {"Atelectasis": 0, "Cardiomegaly": 1, "Effusion": 0, "Infiltration": 0, "Mass": 0, "Nodule": 0, "Pneumonia": 0,
 "Pneumothorax": 0, "Consolidation": 0, "Edema": 0, "Emphysema": 0, "Fibrosis": 0, "Pleural_Thickening": 0, "Hernia": 0, "normal": 0}}"#;

#[test]
fn lines_labels_and_silent_reports() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let line = LINE.replace('\n', "");
    let others = "{\"uid\": 4, \"findings\": \"\", \"impression\": \"\"}\n{\"uid\": \"5\", \"impression\": \"Clear.\", \"labels14\": null}";
    fs::write(root.join(LINES), format!("{line}\n{others}\n")).unwrap();
    let labels =
        "{\"id\": \"5\", \"positive\": [\"No Finding\"]}\n{\"id\": \"3\", \"positive\": [\"Edema\"]}\n";
    fs::write(root.join(CHEXPERT), labels).unwrap();
    fs::write(root.join("CXR3_a.png"), "x").unwrap();
    fs::write(root.join("CXR3_b.png"), "x").unwrap();
    let loaded = read(root);
    assert_eq!(
        loaded.studies.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
        ["CXR3", "CXR5"]
    );
    let (three, five) = (&loaded.studies[0], &loaded.studies[1]);
    assert!(three.image.ends_with("CXR3_b.png") && three.view == Some(phantom::View::Pa));
    assert_eq!(
        (three.report.findings.as_str(), &three.classes),
        ("Heart large.", &vec!["Cardiomegaly".to_owned()])
    );
    assert_eq!(
        three.mesh,
        ["Cardiomegaly/mild", "Aorta, Thoracic", "cardiomegaly"]
    );
    assert_eq!(
        (three.headings(), five.headings()),
        (three.mesh.clone(), Vec::new())
    );
    let labels = three.labels.unwrap();
    assert_eq!(labels[Finding::Cardiomegaly as usize], Some(Certainty::Positive));
    assert_eq!(
        labels[Finding::Edema as usize],
        Some(Certainty::Negative),
        "labels by hand come first"
    );
    assert!(!five.has_image() && !five.labelled());
    assert_eq!(five.labels.unwrap()[0], Some(Certainty::Positive));
    assert!(
        loaded
            .notes
            .iter()
            .any(|n| n.starts_with("1 reports with neither")),
        "{:?}",
        loaded.notes
    );
    for (from, to, part) in [
        ("\"uid\": \"CXR3\"", "\"id\": \"CXR3\"", "\"uid\""),
        ("\"CXR3_a\"", "\"../a\"", "../a"),
        ("\"Mass\": 0", "\"Mass\": 2", "Mass"),
        ("[\"cardiomegaly\"", "[3", "mesh_auto"),
        ("\"images\": [", "\"images\": [3, ", "images"),
        ("{\"Atelectasis\"", "{{\"Atelectasis\"", "line 1"),
        ("\"CXR3\"", "\"5\"", "CXR5"),
    ] {
        fs::write(
            root.join(LINES),
            format!("{}\n{others}\n", line.replacen(from, to, 1)),
        )
        .unwrap();
        let message = refusal(root, Layout::OpenI);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn damaged_files_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, Layout::OpenI, 3, Format::Png);
    edit(&root.join(GOLD), |t| t.replacen(",0", ",maybe", 1));
    assert!(refusal(root, Layout::OpenI).contains("maybe"));
    edit(&root.join(GOLD), |t| t.replacen("Hernia", "Hernias", 1));
    assert!(refusal(root, Layout::OpenI).contains("\"Hernia\""));
    fs::remove_file(root.join(GOLD)).unwrap();
    let first = read(root).studies[0].id.replace("CXR", "");
    let file = root.join(XML_FOLDER).join(format!("{first}.xml"));
    edit(&file, |t| t.replace("</Abstract>", ""));
    let message = refusal(root, Layout::OpenI);
    assert!(message.contains(&format!("{first}.xml, line ")), "{message}");
    fs::remove_dir_all(root.join(XML_FOLDER)).unwrap();
    edit(&root.join(REPORTS), |t| t.replace("impression", "opinion"));
    assert!(refusal(root, Layout::OpenI).contains("\"impression\""));
    fs::write(root.join(ARCHIVES[0]), "no archive").unwrap();
    assert!(refusal(root, Layout::OpenI).contains("ecgen-radiology.tgz, entry 1"));
}

#[test]
fn headings_of_the_table_are_parted_by_semicolons() {
    let folder = tempfile::tempdir().unwrap();
    let table = "uid,MeSH,Problems,findings,impression\n\
                 5,\"Osteophyte/small;Aorta,  Thoracic; ;Osteophyte/small\",Osteophyte,Old.,\n6,normal,normal,Clear.,\n";
    fs::write(folder.path().join(REPORTS), table).unwrap();
    let loaded = read(folder.path());
    assert_eq!(loaded.studies[0].mesh, ["Osteophyte/small", "Aorta, Thoracic"]);
    assert_eq!(loaded.studies[1].mesh, ["normal"]);
    // Older copies of the table have no such column.
    edit(&folder.path().join(REPORTS), |t| t.replace("MeSH", "Mesh terms"));
    assert!(read(folder.path()).studies.iter().all(|s| s.mesh.is_empty()));
}
