//! Images decoded once: kept in memory for the run, or in a folder for the next run too.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::error::{TrainError, io};
use crate::image::{Filter, Fit, Preprocessing, WindowChoice, decode_file};

/// More than this in memory is refused; a cache folder has no such limit.
const MOST_IN_MEMORY: u64 = 12 << 30;

/// Changes whenever decoding or preparation changes what a file becomes.
const VERSION: &str = "1";

/// Preprocessed images, 8-bit, row-major, decoded when they are first asked for.
pub struct ImageCache {
    paths: Vec<PathBuf>,
    preprocessing: Preprocessing,
    folder: Option<PathBuf>,
    memory: Vec<OnceLock<Vec<u8>>>,
}

impl ImageCache {
    /// A cache of the files `paths`, preprocessed; an empty path stands for no image.
    ///
    /// # Errors
    /// More pictures than memory should hold, and a cache folder that cannot be made.
    pub fn new(
        paths: Vec<PathBuf>,
        preprocessing: Preprocessing,
        cache: Option<&Path>,
    ) -> Result<Self, TrainError> {
        let size = preprocessing.size;
        let bytes = paths.len() as u64 * (size * size) as u64;
        if cache.is_none() && bytes > MOST_IN_MEMORY {
            let gigabytes = bytes as f64 / 1e9;
            let reason = format!(
                "{} images take {gigabytes:.0} GB of memory; name a folder as data.cache",
                paths.len()
            );
            return Err(TrainError::Empty { reason });
        }
        // What is made of a file hangs on the preprocessing, whose normalisation is the model's.
        let Preprocessing {
            cut_margins,
            fit,
            filter,
            ..
        } = preprocessing;
        let kind = match (cut_margins, fit, filter) {
            (true, Fit::Pad, Filter::Triangle) => String::new(),
            other => format!("-{}", hex(&Sha256::digest(format!("{other:?}")))),
        };
        let folder = cache.map(|root| root.join(format!("{size}px-{VERSION}{kind}")));
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).map_err(io("creating", folder))?;
        }
        let memory = if folder.is_some() {
            Vec::new()
        } else {
            paths.iter().map(|_| OnceLock::new()).collect()
        };
        Ok(Self {
            paths,
            preprocessing,
            folder,
            memory,
        })
    }

    /// Hands the image `index` to `use_it`, `size * size` values.
    ///
    /// # Errors
    /// A file that is no image, with its path, and a cache that cannot be written.
    pub fn read<T>(&self, index: usize, use_it: impl FnOnce(&[u8]) -> T) -> Result<T, TrainError> {
        if let Some(folder) = &self.folder {
            return Ok(use_it(&self.cached(folder, &self.paths[index])?));
        }
        let slot = &self.memory[index];
        let pixels = match slot.get() {
            Some(pixels) => pixels,
            None => {
                let pixels = self.decode(&self.paths[index])?;
                slot.get_or_init(|| pixels)
            }
        };
        Ok(use_it(pixels))
    }

    fn decode(&self, path: &Path) -> Result<Vec<u8>, TrainError> {
        let fail = |source| TrainError::Image {
            path: path.to_owned(),
            source,
        };
        let gray = decode_file(path)
            .and_then(|r| r.display(&WindowChoice::Default))
            .map_err(fail)?;
        Ok(self
            .preprocessing
            .apply(&gray)
            .pixels
            .iter()
            .map(|p| (p * 255.0).round() as u8)
            .collect())
    }

    /// Where pictures are kept for the next run.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// What tells all pictures, in their order, from any others.
    ///
    /// # Errors
    /// A file that cannot be looked at.
    pub fn digest(&self) -> Result<Sha256, TrainError> {
        let mut digest = Sha256::new();
        for path in self.paths.iter().filter(|path| !path.as_os_str().is_empty()) {
            digest.update(identity(path)?);
        }
        Ok(digest)
    }

    /// The cached file's name holds what would make it another.
    fn cached(&self, folder: &Path, path: &Path) -> Result<Vec<u8>, TrainError> {
        let name = hex(&Sha256::digest(identity(path)?));
        let file = folder.join(&name[..2]).join(&name[2..]);
        if let Ok(pixels) = std::fs::read(&file)
            && pixels.len() == self.preprocessing.size.pow(2)
        {
            return Ok(pixels);
        }
        let pixels = self.decode(path)?;
        keep(&file, &pixels)?;
        Ok(pixels)
    }
}

/// What makes a file another: path, length and time of change.
fn identity(path: &Path) -> Result<String, TrainError> {
    let about = std::fs::metadata(path).map_err(io("reading", path))?;
    let changed = about
        .modified()
        .ok()
        .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let whole = std::fs::canonicalize(path).map_err(io("reading", path))?;
    Ok(format!("{}\n{}\n{:?}", whole.display(), about.len(), changed))
}

/// The first half of a SHA-256 digest, as a file name.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// Writes a file of the cache, under a name of its own first: what is read is whole.
///
/// # Errors
/// What the file system refuses.
pub fn keep(file: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(io("creating", parent))?;
    }
    let unfinished = file.with_extension(std::process::id().to_string());
    std::fs::write(&unfinished, bytes).map_err(io("writing", &unfinished))?;
    std::fs::rename(&unfinished, file).map_err(io("renaming", &unfinished))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Norm;
    use crate::image::encode::write_png;

    fn small() -> Preprocessing {
        Preprocessing::padded(32, Norm::PerImage)
    }

    #[test]
    fn a_cached_picture_is_the_decoded_one_and_a_changed_file_is_decoded_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let draw = |first: u8| {
            let values: Vec<u8> = (0..64 * 64).map(|i| first.wrapping_add((i % 97) as u8)).collect();
            write_png(&path, &values, 64, 64).unwrap();
        };
        draw(3);
        let cache = dir.path().join("cache");
        let read = |cache: Option<&Path>| {
            let store = ImageCache::new(vec![path.clone()], small(), cache).unwrap();
            store.read(0, <[u8]>::to_vec).unwrap()
        };
        let plain = read(None);
        assert_eq!(plain, read(Some(&cache)));
        assert_eq!(plain, read(Some(&cache)));
        // Another length of file: another name in the cache.
        draw(200);
        assert_eq!(read(None), read(Some(&cache)));
        std::fs::write(&path, b"no picture").unwrap();
        let store = ImageCache::new(vec![path.clone()], small(), Some(&cache)).unwrap();
        assert!(store.read(0, |_| ()).unwrap_err().to_string().contains("a.png"));
    }
}
