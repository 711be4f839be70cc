//! A bundle's gallery: cases with their reports and labels, what the image encoder made of their pictures, and, where those may
//! be passed on, a contact sheet of them.
//!
//! `gallery/cases.json` names the cases in order, `gallery/features.safetensors` holds one map a case, or one code for a model
//! that compares codes, `gallery/sheet.jpg` the pictures, `columns` a row, `thumbnail` pixels a side. All of them are files of
//! the manifest, with length and hash.

#[cfg(not(target_family = "wasm"))]
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Array, Arrays, BundleError, Dtype, Manifest, ShardDecoder, shard};
#[cfg(not(target_family = "wasm"))]
use crate::systems::Task;

/// The cases' file.
pub const CASES: &str = "gallery/cases.json";
/// The maps' file.
pub const FEATURES: &str = "gallery/features.safetensors";
/// The pictures' file.
pub const SHEET: &str = "gallery/sheet.jpg";

/// Name of the maps in their file.
const NAME: &str = "features";

/// More cases than this are no gallery that a page should load.
const MOST: usize = 100_000;

/// One case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GalleryCase {
    /// Its name in the collection that it comes from.
    pub id: String,
    /// Its report: the longer of findings and impression; empty where a model compares pictures alone and none is published.
    pub report: String,
    /// The categories that it shows.
    pub labels: Vec<String>,
}

/// What `gallery/cases.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GalleryIndex {
    /// Where the cases come from, in a sentence.
    pub source: String,
    /// Pixels a side of a picture on the sheet; 0 where there is no sheet.
    pub thumbnail: usize,
    /// Pictures a row of the sheet; 0 where there is no sheet.
    pub columns: usize,
    /// The cases.
    pub cases: Vec<GalleryCase>,
}

/// A gallery, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Gallery {
    /// The cases and the form of the sheet.
    pub index: GalleryIndex,
    /// The maps, `(cases, K, features)`; codes are maps of one cell.
    pub features: Array,
}

fn unusable(why: String) -> BundleError {
    BundleError::Manifest { why }
}

impl Gallery {
    /// Whether a bundle has one.
    pub fn is_in(manifest: &Manifest) -> bool {
        manifest.files.iter().any(|file| file.path == CASES)
    }

    /// Reads the bytes of the two files, each checked against its entry.
    ///
    /// # Errors
    /// A file that is not what was exported, and files that do not belong together.
    pub fn read(manifest: &Manifest, cases: &[u8], features: &[u8]) -> Result<Self, BundleError> {
        super::verify(manifest.file(CASES)?, cases)?;
        let index: GalleryIndex = serde_json::from_slice(cases)
            .map_err(|e| unusable(format!("{CASES} has a wrong entry ({e})")))?;
        let mut decoder = ShardDecoder::new();
        let mut arrays = decoder.push(manifest.file(FEATURES)?, features)?;
        decoder.finish()?;
        let features = arrays
            .remove(NAME)
            .ok_or_else(|| unusable(format!("{FEATURES} lacks {NAME}")))?;
        let gallery = Self { index, features };
        gallery.check()?;
        Ok(gallery)
    }

    fn check(&self) -> Result<(), BundleError> {
        let count = self.index.cases.len();
        if count == 0 || count > MOST {
            return Err(unusable(format!(
                "its gallery has {count} cases and may have 1 to {MOST}"
            )));
        }
        if (self.index.columns == 0) != (self.index.thumbnail == 0) {
            return Err(unusable(
                "its gallery's sheet has no columns or no pixels".to_owned(),
            ));
        }
        match self.features.shape[..] {
            [cases, ..] if cases == count && self.features.shape.len() == 3 => Ok(()),
            _ => Err(unusable(format!(
                "its gallery has {count} cases and maps of shape {:?}",
                self.features.shape
            ))),
        }
    }

    /// The two files, for [`super::put_files`]; maps are stored in half precision.
    ///
    /// # Errors
    /// A gallery that [`Gallery::read`] would refuse.
    pub fn files(&self) -> Result<[(&'static str, Vec<u8>); 2], BundleError> {
        self.check()?;
        let cases = serde_json::to_vec_pretty(&self.index).map_err(|e| unusable(e.to_string()))?;
        let arrays: Arrays = [(NAME.to_owned(), self.features.clone())].into();
        let mut files = Vec::new();
        shard::encode(&arrays, Dtype::F16, usize::MAX, |bytes| {
            files.push(bytes);
            Ok(())
        })?;
        match <[Vec<u8>; 1]>::try_from(files) {
            Ok([features]) => Ok([(CASES, cases), (FEATURES, features)]),
            Err(_) => Err(unusable("its gallery's maps do not fit one file".to_owned())),
        }
    }
}

/// The gallery of a bundle's folder; `None` where it has none.
///
/// # Errors
/// See [`Gallery::read`].
#[cfg(not(target_family = "wasm"))]
pub fn open(bundle: &super::Bundle) -> Result<Option<Gallery>, BundleError> {
    if !Gallery::is_in(bundle.manifest()) {
        return Ok(None);
    }
    Gallery::read(bundle.manifest(), &bundle.file(CASES)?, &bundle.file(FEATURES)?).map(Some)
}

/// Puts a gallery, with the bytes of its sheet where it has one, into a bundle's folder, in the place of the one that is
/// there. The bundle offers to search it from then on.
///
/// # Errors
/// A bundle that cannot be read, and what the operating system refuses.
#[cfg(not(target_family = "wasm"))]
pub fn put(dir: &Path, gallery: &Gallery, sheet: Option<&[u8]>) -> Result<Manifest, BundleError> {
    let [cases, features] = gallery.files()?;
    let files = [
        (cases.0, Some(cases.1.as_slice())),
        (features.0, Some(features.1.as_slice())),
        (SHEET, sheet),
    ];
    super::writer::change(dir, &files, |manifest| {
        if !manifest.tasks.contains(&Task::Retrieve) {
            manifest.tasks.push(Task::Retrieve);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery() -> Gallery {
        let case = |n: usize| GalleryCase {
            id: format!("c{n}"),
            report: "clear".to_owned(),
            labels: Vec::new(),
        };
        let index = GalleryIndex {
            source: "tests".to_owned(),
            thumbnail: 8,
            columns: 2,
            cases: (0..3).map(case).collect(),
        };
        Gallery {
            index,
            features: Array {
                shape: vec![3, 4, 5],
                data: (0..60).map(|v| v as f32 * 0.25).collect(),
            },
        }
    }

    #[test]
    fn a_gallery_survives_a_bundle_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("bundle");
        let arrays: Arrays = [(
            "w".to_owned(),
            Array {
                shape: vec![2],
                data: vec![0.5, 1.0],
            },
        )]
        .into();
        let manifest = Manifest::new("b", "medvill", "tiny", serde_json::json!({}));
        super::super::writer::write(&root, manifest, &arrays, None, Dtype::F32).unwrap();
        for _ in 0..2 {
            put(&root, &gallery(), Some(b"sheet")).unwrap();
            let bundle = super::super::Bundle::open(&root).unwrap();
            assert_eq!(open(&bundle).unwrap().unwrap(), gallery());
            assert_eq!(bundle.arrays().unwrap(), arrays);
            assert_eq!(bundle.file(SHEET).unwrap(), b"sheet");
            assert_eq!(bundle.manifest().tasks, [Task::Retrieve]);
        }
        let bundle = super::super::Bundle::open(&root).unwrap();
        let (cases, mut features) = (bundle.file(CASES).unwrap(), bundle.file(FEATURES).unwrap());
        let last = features.len() - 1;
        features[last] ^= 1;
        assert!(Gallery::read(bundle.manifest(), &cases, &features).is_err());
        let wrong = Gallery {
            features: Array {
                shape: vec![2, 4, 5],
                data: vec![0.0; 40],
            },
            ..gallery()
        };
        assert!(wrong.files().unwrap_err().to_string().contains("3 cases"));

        // A new one without pictures leaves none of the old one's.
        let mut bare = gallery();
        (bare.index.thumbnail, bare.index.columns) = (0, 0);
        put(&root, &bare, None).unwrap();
        let bundle = super::super::Bundle::open(&root).unwrap();
        assert_eq!(open(&bundle).unwrap().unwrap(), bare);
        assert!(bundle.file(SHEET).is_err() && !root.join(SHEET).exists());
    }
}
