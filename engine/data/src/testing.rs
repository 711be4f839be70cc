//! What the loaders' tests share: phantoms in a layout, edits of their tables, and what must hold of every
//! layout.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::phantom::Institution;
use super::{
    Counts, Format, Layout, Loaded, ReadOptions, Split, Study, Views, WriteOptions, load, recognise,
    write_phantoms,
};

pub(crate) fn options(root: &Path, layout: Layout, count: usize, format: Format) -> WriteOptions {
    let (root, institution) = (root.to_owned(), Institution::First);
    WriteOptions {
        root,
        layout,
        count,
        size: 64,
        format,
        seed: 11,
        split_all: None,
        institution,
    }
}

pub(crate) fn write(root: &Path, layout: Layout, count: usize, format: Format) -> Counts {
    let mut last = 0;
    let counts = write_phantoms(&options(root, layout, count, format), &mut |done| last = done).unwrap();
    assert_eq!(last, count);
    counts
}

pub(crate) fn edit(path: &Path, change: impl Fn(&str) -> String) {
    fs::write(path, change(&fs::read_to_string(path).unwrap())).unwrap();
}

pub(crate) fn read(root: &Path) -> Loaded {
    load(root, None, &ReadOptions::default()).unwrap()
}

/// The message of a data set that cannot be read.
pub(crate) fn refusal(root: &Path, layout: Layout) -> String {
    load(root, Some(layout), &ReadOptions::default())
        .unwrap_err()
        .to_string()
}

/// What holds of phantoms in every layout: they are recognised, counted as written, drawn as described, and
/// split by patient.
pub(crate) fn goes_round(layout: Layout, check: impl Fn(&Path, &Loaded)) {
    for format in [Format::Jpg, Format::Png, Format::Dicom] {
        let folder = tempfile::tempdir().unwrap();
        // Of CheXpert's training patients only a twentieth validates.
        let count = match (format, layout) {
            (Format::Jpg, Layout::CheXpert) => 110,
            (Format::Jpg, _) => 60,
            _ => 6,
        };
        let written = write(folder.path(), layout, count, format);
        assert_eq!(recognise(folder.path()).unwrap(), layout);
        let loaded = read(folder.path());
        assert_eq!(loaded.counts, written, "{layout}");
        assert_eq!(loaded.studies.len(), count);
        for study in &loaded.studies {
            assert!(study.has_image() && study.image.is_file());
            assert_eq!(study.image.extension().unwrap(), format.extension());
            assert!((6..=10).contains(&study.questions.len()));
            let description = study.description.as_ref().unwrap();
            assert!(study.view.is_none_or(|v| v == description.view));
        }
        split_by_patient(&loaded.studies);
        if format == Format::Jpg {
            assert!(
                Split::ALL
                    .iter()
                    .all(|s| loaded.studies.iter().any(|t| t.split == *s)),
                "{layout}"
            );
            choices(folder.path(), &loaded);
        }
        check(folder.path(), &loaded);
    }
    // All in one split, whatever the layout's own way of splitting.
    for split in Split::ALL {
        let folder = tempfile::tempdir().unwrap();
        let all = WriteOptions {
            split_all: Some(split),
            ..options(folder.path(), layout, 3, Format::Jpg)
        };
        write_phantoms(&all, &mut |_| ()).unwrap();
        assert!(
            read(folder.path()).studies.iter().all(|s| s.split == split),
            "{layout} {split}"
        );
    }
    in_capitals(layout);
}

/// All endings of all files in capitals, as some archives and disks have them: nothing is missing.
fn in_capitals(layout: Layout) {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), layout, 4, Format::Png);
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let ending = path.extension().unwrap().to_string_lossy().to_uppercase();
            fs::rename(&path, path.with_extension(ending)).unwrap();
        }
    }
    assert_eq!(recognise(folder.path()).unwrap(), layout);
    let loaded = read(folder.path());
    assert_eq!(loaded.counts, written, "{layout}");
    assert!(
        loaded
            .studies
            .iter()
            .all(|s| s.description.is_some() && s.image.extension().unwrap() == "PNG")
    );
}

/// The parts make the whole, and nothing of another part or view is among them.
fn choices(root: &Path, whole: &Loaded) {
    let ids = |studies: &[Study]| studies.iter().map(|s| s.id.clone()).collect::<HashSet<_>>();
    let mut parts = HashSet::new();
    for split in Split::ALL {
        let part = load(
            root,
            None,
            &ReadOptions {
                split: Some(split),
                ..Default::default()
            },
        )
        .unwrap();
        assert!(part.studies.iter().all(|s| s.split == split));
        assert_eq!(part.classes, whole.classes);
        parts.extend(ids(&part.studies));
    }
    assert_eq!(parts, ids(&whole.studies));
    if whole.studies.iter().all(|s| s.view.is_some()) {
        for (views, wanted) in [
            (Views::Ap, super::phantom::View::Ap),
            (Views::Pa, super::phantom::View::Pa),
        ] {
            let part = load(
                root,
                None,
                &ReadOptions {
                    views,
                    ..Default::default()
                },
            )
            .unwrap();
            assert!(part.studies.iter().all(|s| s.view == Some(wanted)));
            assert_eq!(part.studies.len() + part.counts.other_views, whole.studies.len());
        }
    }
}

pub(crate) fn split_by_patient(studies: &[Study]) {
    let mut splits: HashMap<&str, Split> = HashMap::new();
    for study in studies {
        assert_eq!(
            *splits.entry(&study.subject).or_insert(study.split),
            study.split,
            "{}",
            study.subject
        );
    }
}

/// A missing picture is counted and listed; with all of them missing there is an error.
pub(crate) fn misses(layout: Layout) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), layout, 5, Format::Png);
    let whole = read(folder.path());
    fs::remove_file(&whole.studies[1].image).unwrap();
    let rest = read(folder.path());
    assert_eq!(
        (
            rest.studies.len(),
            rest.counts.missing,
            rest.counts.missing_files.len()
        ),
        (4, 1, 1)
    );
    let name = whole.studies[1]
        .image
        .file_stem()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert!(
        rest.counts.missing_files[0].to_string_lossy().contains(&name),
        "{:?}",
        rest.counts.missing_files
    );
    for study in &rest.studies {
        fs::remove_file(&study.image).unwrap();
    }
    if layout == Layout::OpenI {
        assert!(read(folder.path()).studies.iter().all(|s| !s.has_image()));
    } else {
        assert!(refusal(folder.path(), layout).contains("none of the 5"));
    }
}
