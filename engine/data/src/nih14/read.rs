//! Reads NIH ChestX-ray14, as published or in the small form.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{
    BOXES, CLASSES, JUDGED, NONE, SMALL, TEST_LIST, TRAIN_LIST, VALIDATE_LIST, entries, to_chexpert,
};
use crate::collect::{ImageIndex, Projection, StudyCollector, by_patient, is_file_name, settle};
use crate::error::DataError;
use crate::files::{any_case, fold};
use crate::layout::{Layout, Loaded, ReadOptions};
use crate::study::{FindingBox, Split, Study};
use crate::table::{Table, find, read_text};

/// The longer of the published lists has 1.5 MB.
const MOST_LIST: u64 = 64 << 20;

struct Image {
    name: String,
    subject: String,
    projection: Projection,
    classes: Vec<String>,
    split: Option<Split>,
    path: PathBuf,
    line: u64,
}

/// Reads the data set below `root`; each picture is a study of its own.
///
/// # Errors
/// When a table is missing or damaged, a picture is in no list, no file at all is there, or the choice leaves
/// nothing.
pub fn load(root: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut collector = StudyCollector::new(root, Layout::Nih14, options)?;
    collector.classes = CLASSES.map(str::to_owned).to_vec();
    let (images, official) = match entries(root) {
        Some(path) => (read_entries(path)?, read_lists(root)?),
        None => {
            let missing = || DataError::NoTable {
                root: root.to_owned(),
                name: super::ENTRIES,
                layout: Layout::Nih14,
            };
            (read_small(find(root, SMALL).ok_or_else(missing)?)?, None)
        }
    };
    let mut rows = Vec::with_capacity(images.len());
    for image in &images {
        rows.push((
            image.subject.as_str(),
            split_of(image, official.as_ref(), &mut collector.notes)?,
        ));
    }
    let (splits, moved) = settle(rows.into_iter());
    if moved > 0 {
        collector.notes.push(format!(
            "{moved} patients of several splits are held out with all their pictures"
        ));
    }
    collector.notes.dedup();
    let folders: Vec<String> = std::iter::once("images".to_owned())
        .chain((1..=12).map(|i| format!("images_{i:03}/images")))
        .chain((1..=12).map(|i| format!("images_{i:03}")))
        .collect();
    let pictures = ImageIndex::of(root, &folders)?;
    let mut boxes = find(root, BOXES).map(read_boxes).transpose()?.unwrap_or_default();
    for image in images {
        let split = splits.get(&image.subject).copied().unwrap_or(Split::Train);
        if !collector.wants(split, image.projection, &image.name) {
            continue;
        }
        let path = match pictures.find(&image.name) {
            Ok(path) => path,
            Err(missing) => {
                collector.counts.miss(missing);
                continue;
            }
        };
        let normal = image.classes.is_empty();
        let id = image.name.clone();
        collector.add(
            &image.name,
            Study {
                labels: Some(to_chexpert(&image.classes, normal)),
                judged: &JUDGED,
                classes: image.classes,
                boxes: boxes.remove(&fold(&image.name)).unwrap_or_default(),
                ..Study::new(id, image.subject, path, image.projection.view(), split)
            },
        );
    }
    collector.finish()
}

/// The split of a picture: of its own row, of the official lists, else drawn.
fn split_of(
    image: &Image,
    official: Option<&HashMap<String, Split>>,
    notes: &mut Vec<String>,
) -> Result<Split, DataError> {
    let mut say = |note: &str| {
        if notes.is_empty() {
            notes.push(note.to_owned());
        }
    };
    if let Some(split) = image.split {
        return Ok(split);
    }
    let lists_validation =
        official.is_some_and(|lists| lists.values().any(|split| *split == Split::Validate));
    match official.map(|lists| lists.get(&fold(&image.name))) {
        Some(Some(split @ (Split::Test | Split::Validate))) => Ok(*split),
        Some(Some(Split::Train)) if lists_validation => Ok(Split::Train),
        Some(Some(Split::Train)) => {
            say(
                "the official lists give training and test; a tenth of the training patients, drawn by number, validates",
            );
            Ok(by_patient(&image.subject, 10, 0))
        }
        Some(None) => Err(DataError::Value {
            path: image.path.clone(),
            line: image.line,
            value: image.name.clone(),
            expected: "image of train_val_list.txt or test_list.txt",
        }),
        None => {
            say(
                "the official lists are not there; a tenth each of the patients, drawn by number, validates and tests",
            );
            Ok(by_patient(&image.subject, 10, 10))
        }
    }
}

fn read_lists(root: &Path) -> Result<Option<HashMap<String, Split>>, DataError> {
    let lacks = |name| DataError::NoTable {
        root: root.to_owned(),
        name,
        layout: Layout::Nih14,
    };
    let lists = [TRAIN_LIST, TEST_LIST].map(|name| any_case(&root.join(name)));
    let [train, test] = match lists {
        [None, None] => return Ok(None),
        [Some(train), Some(test)] => [train, test],
        [None, _] => return Err(lacks(TRAIN_LIST)),
        [_, None] => return Err(lacks(TEST_LIST)),
    };
    let validate = any_case(&root.join(VALIDATE_LIST)).map(|path| (path, Split::Validate));
    let mut splits = HashMap::new();
    // The last word counts: some list what validates among what trains, too.
    let lists = [(train, Split::Train)].into_iter().chain(validate);
    for (path, split) in lists.chain([(test, Split::Test)]) {
        for line in read_text(&path, MOST_LIST)?
            .lines()
            .map(|l| l.trim_start_matches('\u{feff}').trim())
        {
            splits.insert(fold(line), split);
        }
    }
    Ok(Some(splits))
}

fn read_entries(path: PathBuf) -> Result<Vec<Image>, DataError> {
    let table = Table::open(path)?;
    let columns = ["Image Index", "Finding Labels", "Patient ID", "View Position"].map(|c| table.column(c));
    let [name, labels, patient, view] = columns;
    read(table, [name?, labels?, patient?, view?], None)
}

fn read_small(path: PathBuf) -> Result<Vec<Image>, DataError> {
    let table = Table::open(path)?;
    let columns = ["filename", "labels", "patient", "view", "split"].map(|c| table.column(c));
    let [name, labels, patient, view, split] = columns;
    read(table, [name?, labels?, patient?, view?], Some(split?))
}

fn read(
    table: Table,
    [name, labels, patient, view]: [usize; 4],
    split: Option<usize>,
) -> Result<Vec<Image>, DataError> {
    let path = table.path.clone();
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut images = Vec::new();
    table.for_each(|line, row| {
        let wrong = |value: &str, expected| DataError::Value {
            path: path.clone(),
            line,
            value: value.to_owned(),
            expected,
        };
        let (image, subject) = (&row[name], &row[patient]);
        if !is_file_name(image) {
            return Err(wrong(image, "file name"));
        }
        if subject.is_empty() {
            return Err(wrong(subject, "patient"));
        }
        let classes = classes(&row[labels]).ok_or_else(|| wrong(&row[labels], "list of NIH's classes"))?;
        let split = match split {
            Some(column) => Some(
                row[column]
                    .parse()
                    .map_err(|_| wrong(&row[column], "split (train, validate or test)"))?,
            ),
            None => None,
        };
        if lines.insert(image.to_owned(), line).is_some() {
            return Err(wrong(image, "new image: it stands in the table twice"));
        }
        images.push(Image {
            name: image.to_owned(),
            subject: subject.to_owned(),
            projection: Projection::read(&row[view]),
            classes,
            split,
            path: path.clone(),
            line,
        });
        Ok(())
    })?;
    Ok(images)
}

/// Where findings are seen, by picture.
fn read_boxes(path: PathBuf) -> Result<HashMap<String, Vec<FindingBox>>, DataError> {
    let table = Table::open(path)?;
    let path = table.path.clone();
    let (name, label, left) = (
        table.column("Image Index")?,
        table.column("Finding Label")?,
        // One heading, `Bbox [x,y,w,h]`, is four columns.
        table.column("Bbox [x")?,
    );
    let mut boxes: HashMap<String, Vec<FindingBox>> = HashMap::new();
    table.for_each(|line, row| {
        let wrong = |value: &str, expected| DataError::Value {
            path: path.clone(),
            line,
            value: value.to_owned(),
            expected,
        };
        let class = class_of(&row[label]).ok_or_else(|| wrong(&row[label], "one of NIH's classes"))?;
        let mut area = [0.0; 4];
        for (at, value) in area.iter_mut().enumerate() {
            let cell = row.get(left + at).unwrap_or_default();
            let number = cell.parse().ok().filter(|n: &f32| n.is_finite() && *n >= 0.0);
            *value = number.ok_or_else(|| wrong(cell, "left, top, width and height in pixels"))?;
        }
        let class = class.to_owned();
        boxes
            .entry(fold(&row[name]))
            .or_default()
            .push(FindingBox { class, area });
        Ok(())
    })?;
    Ok(boxes)
}

/// NIH's class of that name; its boxes say "Infiltrate" for Infiltration.
fn class_of(name: &str) -> Option<&'static str> {
    let plain = name.trim().replace(' ', "_");
    let plain = if plain.eq_ignore_ascii_case("Infiltrate") {
        "Infiltration"
    } else {
        &plain
    };
    CLASSES
        .into_iter()
        .find(|class| class.eq_ignore_ascii_case(plain))
}

/// The classes of "Effusion|Mass", in the published order; none of "No Finding".
fn classes(text: &str) -> Option<Vec<String>> {
    let mut found = [false; 14];
    let mut parts = text.split('|').map(str::trim).peekable();
    if text.trim() == NONE {
        return Some(Vec::new());
    }
    parts.peek()?;
    for part in parts {
        let class = class_of(part)?;
        found[CLASSES.iter().position(|c| *c == class)?] = true;
    }
    Some(
        CLASSES
            .iter()
            .zip(found)
            .filter(|(_, f)| *f)
            .map(|(c, _)| (*c).to_owned())
            .collect(),
    )
}
