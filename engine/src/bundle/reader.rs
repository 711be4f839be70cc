//! Opening a bundle's folder. Every file is checked for its length and SHA-256 before anything of it is used.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::manifest::{MANIFEST, MAX_MANIFEST_BYTES, sha256_hex, verify};
use super::{Arrays, BundleError, FileEntry, Manifest, ShardDecoder};

/// A bundle whose manifest was read and whose files are all there; their contents are verified as they are
/// read.
#[derive(Clone, Debug)]
pub struct Bundle {
    dir: PathBuf,
    manifest: Manifest,
    sha256: String,
}

impl Bundle {
    /// Opens the bundle in `dir`.
    ///
    /// # Errors
    /// A folder that is no bundle, an unusable or unknown manifest, and a file that is missing or of another
    /// length.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let path = dir.join(MANIFEST);
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(BundleError::NotABundle { path: dir.to_owned() });
            }
            other => other.map_err(BundleError::io("open", &path))?,
        };
        let mut bytes = Vec::new();
        // One byte past the limit is enough for `parse` to refuse it.
        file.take(MAX_MANIFEST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(BundleError::io("read", &path))?;
        let manifest = Manifest::parse(&bytes)?;
        let bundle = Self {
            dir: dir.to_owned(),
            manifest,
            sha256: sha256_hex(&bytes),
        };
        for entry in &bundle.manifest.files {
            bundle.check_length(entry)?;
        }
        Ok(bundle)
    }

    /// The content of `bundle.json`.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bundle's hash: SHA-256 of `bundle.json` in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// A file of the bundle, verified.
    ///
    /// # Errors
    /// A file that is not listed, missing, or not what was exported.
    pub fn file(&self, path: &str) -> Result<Vec<u8>, BundleError> {
        self.read(self.manifest.file(path)?)
    }

    /// The tokenizer's file, verified, where the bundle has one.
    ///
    /// # Errors
    /// Those of [`Bundle::file`].
    pub fn tokenizer(&self) -> Result<Option<Vec<u8>>, BundleError> {
        self.manifest
            .tokenizer
            .as_deref()
            .map(|name| self.file(name))
            .transpose()
    }

    /// All weights in f32, by their canonical names.
    ///
    /// # Errors
    /// A shard that is missing, not what was exported, or not of the format.
    pub fn arrays(&self) -> Result<Arrays, BundleError> {
        self.arrays_with(|_, _| ())
    }

    /// As [`Bundle::arrays`], calling `progress` with the bytes read so far and in all after each shard.
    ///
    /// # Errors
    /// Those of [`Bundle::arrays`].
    pub fn arrays_with(&self, mut progress: impl FnMut(u64, u64)) -> Result<Arrays, BundleError> {
        let total = self.manifest.shard_bytes();
        let mut decoder = ShardDecoder::new();
        let mut arrays = Arrays::new();
        let mut done = 0;
        for entry in self.manifest.shards() {
            let bytes = self.read_unverified(entry)?;
            arrays.extend(decoder.push(entry, &bytes)?);
            done += entry.bytes;
            progress(done, total);
        }
        decoder.finish()?;
        Ok(arrays)
    }

    fn read(&self, entry: &FileEntry) -> Result<Vec<u8>, BundleError> {
        let bytes = self.read_unverified(entry)?;
        verify(entry, &bytes)?;
        Ok(bytes)
    }

    /// Reads no more than the entry says, having checked the length first.
    fn read_unverified(&self, entry: &FileEntry) -> Result<Vec<u8>, BundleError> {
        self.check_length(entry)?;
        let path = self.dir.join(&entry.path);
        let file = File::open(&path).map_err(BundleError::io("open", &path))?;
        let mut bytes = Vec::with_capacity(usize::try_from(entry.bytes).unwrap_or(0));
        file.take(entry.bytes)
            .read_to_end(&mut bytes)
            .map_err(BundleError::io("read", &path))?;
        Ok(bytes)
    }

    fn check_length(&self, entry: &FileEntry) -> Result<(), BundleError> {
        let path = self.dir.join(&entry.path);
        let name = entry.path.clone();
        let found = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(BundleError::io("look at", &path)(e)),
            _ => {
                return Err(BundleError::MissingFile {
                    name,
                    path: self.dir.clone(),
                });
            }
        };
        match found == entry.bytes {
            true => Ok(()),
            false => Err(BundleError::Length {
                name,
                expected: entry.bytes,
                found,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Array, Dtype, writer};

    const SHARD: &str = "weights-000.safetensors";

    fn bundle(dir: &Path) {
        let array = Array {
            shape: vec![2, 3],
            data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        };
        let arrays = Arrays::from([("a".to_owned(), array)]);
        let manifest = Manifest::new("demo", "medvill", "tiny", serde_json::Value::Null);
        writer::write(dir, manifest, &arrays, Some(b"{\"version\":\"1.0\"}"), Dtype::F32).unwrap();
    }

    #[test]
    fn every_damage_is_told_in_its_own_sentence() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("b");
        bundle(&dir);
        let shard = dir.join(SHARD);
        let bytes = fs::read(&shard).unwrap();

        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&shard, &flipped).unwrap();
        let error = Bundle::open(&dir).unwrap().arrays().unwrap_err();
        assert!(
            matches!(&error, BundleError::Hash { name, .. } if name == SHARD),
            "{error}"
        );

        fs::write(&shard, &bytes[..bytes.len() - 1]).unwrap();
        let error = Bundle::open(&dir).unwrap_err();
        assert!(
            matches!(&error, BundleError::Length { name, .. } if name == SHARD),
            "{error}"
        );

        fs::remove_file(&shard).unwrap();
        let error = Bundle::open(&dir).unwrap_err();
        assert!(
            matches!(&error, BundleError::MissingFile { name, .. } if name == SHARD),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_tokenizer_is_never_handed_out() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("b");
        bundle(&dir);
        fs::write(dir.join("tokenizer.json"), b"{\"version\":\"6.6\"}").unwrap();
        let opened = Bundle::open(&dir).unwrap();
        assert!(matches!(opened.tokenizer(), Err(BundleError::Hash { .. })));
        assert!(opened.arrays().is_ok());
        assert!(matches!(
            opened.file("bundle.json"),
            Err(BundleError::UnlistedFile { .. })
        ));
    }

    #[test]
    fn a_folder_without_a_manifest_and_a_manifest_too_long_are_refused() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(
            Bundle::open(root.path()),
            Err(BundleError::NotABundle { .. })
        ));
        fs::write(
            root.path().join(MANIFEST),
            vec![b' '; MAX_MANIFEST_BYTES as usize + 9],
        )
        .unwrap();
        assert!(matches!(
            Bundle::open(root.path()),
            Err(BundleError::Manifest { .. })
        ));
    }
}
