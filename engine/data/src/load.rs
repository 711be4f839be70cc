//! How a folder's layout is recognised, and who reads it.
//!
//! A layout is added as one file beside [`super::mimic_cxr`], one row in [`recognise`], one arm in [`load`]
//! and in [`super::write_phantoms`].

use std::path::Path;

use super::error::DataError;
use super::files::ends_in;
use super::kind::Kind;
use super::layout::{Layout, Loaded, ReadOptions, SUPPORTED};
use super::{chexpert, cov_ctr, covid, figures, mimic_cxr, nih14, openi, r2gen, vqa_rad};

/// Tells a data set's layout by its files.
///
/// # Errors
/// [`DataError::UnknownLayout`] where no layout fits, [`DataError::Io`] where there is no such folder.
pub fn recognise(root: &Path) -> Result<Layout, DataError> {
    std::fs::read_dir(root).map_err(DataError::io("read", root))?;
    // The more particular files first: many sets have a train.csv or a metadata.csv.
    type IsHere = fn(&Path) -> bool;
    let known: [(Layout, IsHere); 9] = [
        (Layout::MimicCxr, mimic_cxr::is_here),
        (Layout::CheXpert, chexpert::is_here),
        (Layout::Nih14, nih14::is_here),
        (Layout::Covid, covid::is_here),
        (Layout::CovCtr, cov_ctr::is_here),
        (Layout::VqaRad, vqa_rad::is_here),
        (Layout::R2Gen, r2gen::is_here),
        (Layout::OpenI, openi::is_here),
        (Layout::Figures, figures::is_here),
    ];
    let found = known.into_iter().find(|(_, is_here)| is_here(root));
    found
        .map(|(layout, _)| layout)
        .ok_or_else(|| replaced(root).unwrap_or_else(|| DataError::UnknownLayout(root.to_owned())))
}

/// A table of `root` in whose place something else was saved, the first by name: then nothing tells the
/// layout.
fn replaced(root: &Path) -> Option<DataError> {
    let table = |path: &Path| ["csv", "json", "jsonl"].iter().any(|e| ends_in(path, e));
    let files = std::fs::read_dir(root).ok()?.flatten().map(|e| e.path());
    let path = files
        .filter(|path| {
            table(path)
                && matches!(
                    Kind::of(path),
                    Some(Kind::LfsPointer | Kind::AnnexPointer | Kind::WebPage)
                )
        })
        .min()?;
    Some(DataError::other(&path, Kind::of(&path)?, "a table"))
}

/// Reads a data set; its layout is recognised by its files when it is not named.
///
/// # Errors
/// When a table is missing or damaged, or when nothing is left of what was chosen. Single missing files are
/// counted instead.
pub fn load(root: &Path, layout: Option<Layout>, options: &ReadOptions) -> Result<Loaded, DataError> {
    let layout = layout.map_or_else(|| recognise(root), Ok)?;
    match layout {
        Layout::MimicCxr => mimic_cxr::load(root, options),
        Layout::OpenI => openi::load(root, options),
        Layout::R2Gen => r2gen::load(root, options),
        Layout::VqaRad => vqa_rad::load(root, options),
        Layout::Nih14 => nih14::load(root, options),
        Layout::CheXpert => chexpert::load(root, options),
        Layout::Covid => covid::load(root, options),
        Layout::CovCtr => cov_ctr::load(root, options),
        Layout::Figures => figures::load(root, options),
        Layout::Rsna | Layout::Siim => Err(DataError::NotSupported {
            layout,
            verb: "read",
            instead: SUPPORTED,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("metadata.csv");
        std::fs::write(
            &table,
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        )
        .unwrap();
        let message = recognise(folder.path()).unwrap_err().to_string();
        assert!(message.contains("metadata.csv is a Git LFS pointer"), "{message}");
        std::fs::remove_file(&table).unwrap();
        assert!(matches!(
            recognise(folder.path()),
            Err(DataError::UnknownLayout(_))
        ));
        assert!(matches!(
            recognise(&folder.path().join("none")),
            Err(DataError::Io { .. })
        ));
    }
}
