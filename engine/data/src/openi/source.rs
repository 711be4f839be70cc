//! The forms in which the collection's reports are passed on, each to the same entries.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::entry::{Entry, headings};
use super::{ARCHIVES, GOLD, LINES, NORMAL, PROJECTIONS, REPORTS, XML_FOLDER, xml};
use crate::collect::is_file_name;
use crate::error::DataError;
use crate::files::{any_case, ends_in, fold};
use crate::json::{Row, rows};
use crate::layout::Layout;
use crate::nih14::CLASSES;
use crate::table::{Table, find, read_text};

/// A report has a few kilobytes.
const MOST_REPORT: u64 = 1 << 20;

/// All reports as JSON have a few megabytes.
const MOST_LINES: u64 = 256 << 20;

/// Whether there are XML files right in a folder.
pub(super) fn has_xml(root: &Path) -> bool {
    let mut entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.any(|e| ends_in(&e.path(), "xml"))
}

/// All entries of the richest form that is there, by number, each once.
pub(super) fn entries(root: &Path) -> Result<Vec<Entry>, DataError> {
    let archive = ARCHIVES.iter().find_map(|n| any_case(&root.join(n)));
    let mut entries = if let Some(lines) = any_case(&root.join(LINES)) {
        rows(&lines, MOST_LINES)?
            .iter()
            .map(of_line)
            .collect::<Result<_, _>>()?
    } else if root.join(XML_FOLDER).is_dir() {
        of_folder(&root.join(XML_FOLDER))?
    } else if has_xml(root) {
        of_folder(root)?
    } else if let Some(archive) = archive {
        of_archive(&archive)?
    } else if let Some(table) = find(root, REPORTS) {
        of_table(table)?
    } else {
        return Err(DataError::NoTable {
            root: root.to_owned(),
            name: REPORTS,
            layout: Layout::OpenI,
        });
    };
    entries.sort_by_key(|e| (number(&e.uid), e.uid.clone()));
    if let Some(twice) = entries.windows(2).find(|w| w[0].uid == w[1].uid) {
        let what = "two reports have this identifier".to_owned();
        return Err(DataError::Row {
            path: root.to_owned(),
            at: twice[0].uid.clone(),
            what,
        });
    }
    if let Some(table) = find(root, PROJECTIONS) {
        add_projections(table, &mut entries)?;
    }
    if let Some(table) = find(root, GOLD) {
        add_gold(table, &mut entries)?;
    }
    Ok(entries)
}

fn number(uid: &str) -> u64 {
    uid.trim_start_matches("CXR").parse().unwrap_or(u64::MAX)
}

/// The tables count reports, the XML puts "CXR" before the number.
fn full_uid(uid: &str) -> String {
    if uid.bytes().all(|b| b.is_ascii_digit()) {
        format!("CXR{uid}")
    } else {
        uid.to_owned()
    }
}

fn of_folder(folder: &Path) -> Result<Vec<Entry>, DataError> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(folder).map_err(DataError::io("read", folder))? {
        let path = file.map_err(DataError::io("read", folder))?.path();
        if ends_in(&path, "xml") {
            entries.push(xml::read(&path, "", &read_text(&path, MOST_REPORT)?)?);
        }
    }
    Ok(entries)
}

#[cfg(target_family = "wasm")]
fn of_archive(archive: &Path) -> Result<Vec<Entry>, DataError> {
    let what = "archives are not read in a browser; unpack it".to_owned();
    let path = archive.to_owned();
    Err(DataError::Row {
        path,
        at: "entry 1".to_owned(),
        what,
    })
}

#[cfg(not(target_family = "wasm"))]
fn of_archive(archive: &Path) -> Result<Vec<Entry>, DataError> {
    let mut entries = Vec::new();
    crate::tar::for_each(archive, MOST_REPORT, |name, bytes| {
        // macOS adds files of its own, beginning with "._".
        let own = name.rsplit('/').next().is_some_and(|n| n.starts_with("._"));
        if ends_in(Path::new(name), "xml") && !own {
            entries.push(xml::read(archive, name, &String::from_utf8_lossy(&bytes))?);
        }
        Ok(())
    })?;
    Ok(entries)
}

fn of_line(row: &Row) -> Result<Entry, DataError> {
    let uid = full_uid(&row.text(&["uid"])?);
    if !is_file_name(&uid) {
        return Err(row.error(format!("{uid:?} is no identifier")));
    }
    let mut images = Vec::new();
    for image in row.objects("images")? {
        let id = image.text(&["id"])?;
        if !is_file_name(&id) {
            return Err(row.error(format!("{id:?} is no name of a picture")));
        }
        // A frontal picture's view tells which way; a view of "L" stands beside either projection and tells
        // less than it.
        let (projection, view) = (
            image.text_or_empty(&["projection"])?,
            image.text_or_empty(&["view"])?,
        );
        let told = match (projection.as_str(), view.as_str()) {
            ("Frontal", "AP" | "PA") => view,
            ("", _) => view,
            _ => projection,
        };
        images.push((id, told));
    }
    let classes = match row.get(&["labels14"]) {
        None => None,
        Some(serde_json::Value::Object(labels)) => {
            let mut classes = Vec::new();
            for name in CLASSES.into_iter().chain([NORMAL]) {
                match labels.get(name).and_then(serde_json::Value::as_f64) {
                    Some(1.0) => classes.push(name.to_owned()),
                    Some(0.0) => {}
                    _ => return Err(row.error(format!("labels14 has no {name:?} of 0 or 1"))),
                }
            }
            Some(classes)
        }
        Some(_) => return Err(row.error("its field \"labels14\" is no object")),
    };
    let mesh = row
        .texts("mesh_major")?
        .into_iter()
        .chain(row.texts("mesh_auto")?);
    let section = |name| Ok::<_, DataError>(xml::join(&row.text_or_empty(&[name])?));
    Ok(Entry {
        findings: section("findings")?,
        impression: section("impression")?,
        images,
        mesh: headings(mesh),
        classes,
        uid,
    })
}

fn of_table(path: PathBuf) -> Result<Vec<Entry>, DataError> {
    let table = Table::open(path.clone())?;
    let (uid, findings, impression) = (
        table.column("uid")?,
        table.column("findings")?,
        table.column("impression")?,
    );
    let mesh = table.column("MeSH").ok();
    let mut entries = Vec::new();
    table.for_each(|line, row| {
        if !is_file_name(&row[uid]) {
            let (path, value) = (path.clone(), row[uid].to_owned());
            return Err(DataError::Value {
                path,
                line,
                value,
                expected: "uid of a report",
            });
        }
        entries.push(Entry {
            uid: full_uid(&row[uid]),
            findings: xml::join(&row[findings]),
            impression: xml::join(&row[impression]),
            images: Vec::new(),
            mesh: headings(
                mesh.into_iter()
                    .flat_map(|m| row[m].split(';'))
                    .map(str::to_owned),
            ),
            classes: None,
        });
        Ok(())
    })?;
    Ok(entries)
}

/// Frontal or lateral, by the pictures' names; entries without pictures get those of the table.
fn add_projections(path: PathBuf, entries: &mut [Entry]) -> Result<(), DataError> {
    let table = Table::open(path.clone())?;
    let (uid, name, projection) = (
        table.column("uid")?,
        table.column("filename")?,
        table.column("projection")?,
    );
    let places: HashMap<String, usize> = entries
        .iter()
        .enumerate()
        .map(|(i, e)| (e.uid.clone(), i))
        .collect();
    // The table's names lack the XML's "CXR" and end in ".dcm.png".
    let plain = |name: &str| {
        fold(name)
            .trim_start_matches("CXR")
            .split(".dcm")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    table.for_each(|line, row| {
        if !is_file_name(&row[name]) {
            let (path, value) = (path.clone(), row[name].to_owned());
            return Err(DataError::Value {
                path,
                line,
                value,
                expected: "file name",
            });
        }
        let Some(entry) = places.get(&full_uid(&row[uid])).and_then(|i| entries.get_mut(*i)) else {
            return Ok(());
        };
        let wanted = plain(crate::collect::stem(&row[name]));
        match entry.images.iter_mut().find(|(n, _)| plain(n) == wanted) {
            Some((_, told)) if told.is_empty() => row[projection].clone_into(told),
            Some(_) => {}
            None => entry
                .images
                .push((row[name].to_owned(), row[projection].to_owned())),
        }
        Ok(())
    })
}

fn add_gold(path: PathBuf, entries: &mut [Entry]) -> Result<(), DataError> {
    let table = Table::open(path.clone())?;
    let file = table.column("filename")?;
    let columns: Vec<(&str, usize)> = CLASSES
        .into_iter()
        .chain([NORMAL])
        .map(|name| Ok((name, table.column(name)?)))
        .collect::<Result<_, DataError>>()?;
    let places: HashMap<String, usize> = entries
        .iter()
        .enumerate()
        .map(|(i, e)| (e.uid.clone(), i))
        .collect();
    table.for_each(|line, row| {
        let Some(entry) = places
            .get(&full_uid(&row[file]))
            .and_then(|i| entries.get_mut(*i))
        else {
            return Ok(());
        };
        let mut classes = Vec::new();
        for (name, column) in &columns {
            match &row[*column] {
                "1" | "1.0" => classes.push((*name).to_owned()),
                "0" | "0.0" => {}
                value => {
                    let (path, value) = (path.clone(), value.to_owned());
                    return Err(DataError::Value {
                        path,
                        line,
                        value,
                        expected: "label (1 or 0)",
                    });
                }
            }
        }
        entry.classes = Some(classes);
        Ok(())
    })
}
