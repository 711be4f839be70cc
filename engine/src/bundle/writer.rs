//! Writing a bundle: into a folder beside the target, renamed when it is complete, so that no half bundle is
//! ever seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::manifest::{MANIFEST, TOKENIZER};
use super::shard::{self, SHARD_BYTES};
use super::{Arrays, BundleError, Dtype, FileEntry, Manifest};

/// Writes a bundle of `arrays` to `dir` and returns its manifest with files, hashes and engine version filled
/// in.
///
/// `manifest` says what the bundle is; its version, files, weights and tokenizer are set here. A bundle that is already
/// in `dir` is replaced; a folder with anything else in it is left alone.
///
/// # Errors
/// A tensor that cannot be stored, a folder that holds something else, and what the operating system refuses.
pub fn write(
    dir: &Path,
    mut manifest: Manifest,
    arrays: &Arrays,
    tokenizer_json: Option<&[u8]>,
    dtype: Dtype,
) -> Result<Manifest, BundleError> {
    check_target(dir)?;
    let partial = Partial::create(dir)?;
    manifest.version = super::manifest::VERSION;
    manifest.weights = dtype;
    manifest.tokenizer = tokenizer_json.map(|_| TOKENIZER.to_owned());
    manifest.files = Vec::new();
    if manifest.provenance.engine_version.is_empty() {
        manifest.provenance.engine_version = env!("CARGO_PKG_VERSION").to_owned();
    }
    if let Some(bytes) = tokenizer_json {
        partial.put(TOKENIZER, bytes)?;
        manifest.files.push(FileEntry::of(TOKENIZER, bytes));
    }
    let files = &mut manifest.files;
    let mut shards = 0;
    shard::encode(arrays, dtype, SHARD_BYTES, |bytes| {
        let name = format!("weights-{shards:03}.safetensors");
        shards += 1;
        partial.put(&name, &bytes)?;
        files.push(FileEntry::of(&name, &bytes));
        Ok(())
    })?;
    partial.put(MANIFEST, &manifest.to_bytes()?)?;
    partial.finish()?;
    Ok(manifest)
}

/// Writes a bundle's manifest anew, with its files as they are.
///
/// # Errors
/// A manifest that would not be read again, and what the operating system refuses.
pub fn put_manifest(dir: &Path, manifest: &Manifest) -> Result<(), BundleError> {
    let target = dir.join(MANIFEST);
    let partial = beside(&target, "partial");
    fs::write(&partial, manifest.to_bytes()?).map_err(BundleError::io("write", &partial))?;
    fs::rename(&partial, &target).map_err(BundleError::io("replace", &target))
}

/// Puts files into a bundle's folder, in the place of those of the same path; all else stays byte for byte.
///
/// # Errors
/// A bundle that cannot be read, a path that is not a plain one inside it, and what the operating system refuses.
pub fn put_files(dir: &Path, files: &[(&str, &[u8])]) -> Result<Manifest, BundleError> {
    let files: Vec<_> = files.iter().map(|(path, bytes)| (*path, Some(*bytes))).collect();
    change(dir, &files, |_| ())
}

/// The same, where a path without bytes takes the file away and the manifest may be changed on the way.
pub(super) fn change(
    dir: &Path,
    files: &[(&str, Option<&[u8]>)],
    change: impl FnOnce(&mut Manifest),
) -> Result<Manifest, BundleError> {
    let bundle = super::Bundle::open(dir)?;
    check_target(dir)?;
    let mut manifest = bundle.manifest().clone();
    change(&mut manifest);
    for (path, bytes) in files {
        let at = manifest.files.iter().position(|file| file.path == *path);
        match (at, bytes.map(|bytes| FileEntry::of(path, bytes))) {
            (Some(at), Some(new)) => manifest.files[at] = new,
            (Some(at), None) => _ = manifest.files.remove(at),
            (None, new) => manifest.files.extend(new),
        }
    }
    // All names are checked before the first of them becomes a path.
    let written = manifest.to_bytes()?;
    let partial = Partial::create(dir)?;
    for file in &bundle.manifest().files {
        if files.iter().all(|(path, _)| *path != file.path) {
            partial.put(&file.path, &bundle.file(&file.path)?)?;
        }
    }
    for (path, bytes) in files {
        if let Some(bytes) = bytes {
            partial.put(path, bytes)?;
        }
    }
    partial.put(MANIFEST, &written)?;
    partial.finish()?;
    Ok(manifest)
}

/// Errors unless `dir` is absent, empty, or a bundle and nothing else.
fn check_target(dir: &Path) -> Result<(), BundleError> {
    let refuse = |why: String| {
        Err(BundleError::Target {
            path: dir.to_owned(),
            why,
        })
    };
    if dir.file_name().is_none() {
        return refuse("it has no name of its own".to_owned());
    }
    if fs::symlink_metadata(dir).is_err() {
        return Ok(());
    }
    if !dir.is_dir() {
        return refuse("it is not a folder".to_owned());
    }
    let mut found = BTreeSet::new();
    collect(dir, "", &mut found)?;
    let mut known = BTreeSet::from([MANIFEST.to_owned()]);
    if let Ok(bytes) = fs::read(dir.join(MANIFEST))
        && let Ok(old) = Manifest::parse(&bytes)
    {
        known.extend(old.files.into_iter().map(|file| file.path));
    }
    match found.difference(&known).next() {
        Some(stranger) => refuse(format!(
            "it already holds {stranger}, which is not part of a bundle there"
        )),
        None => Ok(()),
    }
}

/// All files under `dir`, as paths with `/`.
fn collect(dir: &Path, prefix: &str, found: &mut BTreeSet<String>) -> Result<(), BundleError> {
    for item in fs::read_dir(dir).map_err(BundleError::io("list", dir))? {
        let item = item.map_err(BundleError::io("list", dir))?;
        let name = format!("{prefix}{}", item.file_name().to_string_lossy());
        // `file_type` does not follow links, so a link counts as a file and is never walked.
        match item
            .file_type()
            .map_err(BundleError::io("look at", item.path()))?
            .is_dir()
        {
            true => collect(&item.path(), &format!("{name}/"), found)?,
            false => drop(found.insert(name)),
        }
    }
    Ok(())
}

/// The folder that is being filled; removed on drop unless it was finished.
struct Partial {
    path: PathBuf,
    target: PathBuf,
}

impl Partial {
    fn create(target: &Path) -> Result<Self, BundleError> {
        let path = beside(target, "partial");
        remove(&path)?;
        fs::create_dir_all(&path).map_err(BundleError::io("create", &path))?;
        Ok(Self {
            path,
            target: target.to_owned(),
        })
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(BundleError::io("create", parent))?;
        }
        fs::write(&path, bytes).map_err(BundleError::io("write", &path))
    }

    /// Puts the folder in the target's place.
    fn finish(self) -> Result<(), BundleError> {
        if fs::symlink_metadata(&self.target).is_err() {
            return fs::rename(&self.path, &self.target).map_err(BundleError::io("create", &self.target));
        }
        // A folder cannot be renamed over a full one, so the old one steps aside and comes back if the new
        // one fails.
        let old = beside(&self.target, "old");
        remove(&old)?;
        fs::rename(&self.target, &old).map_err(BundleError::io("replace", &self.target))?;
        if let Err(cause) = fs::rename(&self.path, &self.target) {
            let error = BundleError::io("create", &self.target)(cause);
            return fs::rename(&old, &self.target)
                .map_err(BundleError::io("restore", &self.target))
                .and(Err(error));
        }
        remove(&old)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After `finish` there is nothing left to remove; before it, an error is already on its way to the
        // user.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A hidden sibling of `target` that no other process uses, on the same file system so that it can be
/// renamed.
fn beside(target: &Path, what: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{what}-{}", std::process::id()))
}

fn remove(path: &Path) -> Result<(), BundleError> {
    match fs::symlink_metadata(path).is_ok() {
        true => fs::remove_dir_all(path).map_err(BundleError::io("remove", path)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Array, Bundle, sha256_hex};

    fn arrays() -> Arrays {
        let array = |shape: &[usize]| {
            let count = shape.iter().product::<usize>();
            Array {
                shape: shape.to_vec(),
                data: (0..count).map(|i| (i % 255) as f32 - 127.0).collect(),
            }
        };
        // The table is 20 MB, so that it is cut over two shards.
        Arrays::from([
            ("norm.bias".to_owned(), array(&[7])),
            ("table.weight".to_owned(), array(&[10_000, 500])),
        ])
    }

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new("demo", "medvill", "tiny", serde_json::json!({"hidden": 64}));
        manifest.tasks = vec![crate::systems::Task::Draft];
        manifest.provenance.seeds = vec![1, 2];
        manifest
    }

    #[test]
    fn a_bundle_is_written_opened_and_replaced() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("bundle");
        let extra = [("gallery/codes.bin", &b"codes"[..])];
        write(&dir, manifest(), &arrays(), Some(b"{}"), Dtype::F32).unwrap();
        let written = put_files(&dir, &extra).unwrap();
        let bundle = Bundle::open(&dir).unwrap();
        assert_eq!(*bundle.manifest(), written);
        assert_eq!(bundle.arrays().unwrap(), arrays());
        assert_eq!(bundle.tokenizer().unwrap().unwrap(), b"{}");
        assert_eq!(bundle.file("gallery/codes.bin").unwrap(), b"codes");
        assert_eq!(
            bundle.sha256(),
            sha256_hex(&fs::read(dir.join(MANIFEST)).unwrap())
        );
        assert_eq!(written.shards().count(), 2);
        assert_eq!(written.provenance.engine_version, env!("CARGO_PKG_VERSION"));

        // Whole values up to 127 are exact in eight bits (scale 1).
        let second = write(&dir, manifest(), &arrays(), None, Dtype::Q8).unwrap();
        assert_eq!(second.shards().count(), 1);
        assert!(!dir.join("gallery").exists() && !dir.join(TOKENIZER).exists());
        let mut steps = Vec::new();
        let again = Bundle::open(&dir)
            .unwrap()
            .arrays_with(|done, total| steps.push((done, total)))
            .unwrap();
        assert_eq!(steps, [(second.shard_bytes(), second.shard_bytes())]);
        assert_eq!(again["norm.bias"], arrays()["norm.bias"]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_same_weights_make_the_same_bundle() {
        let root = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| {
            let dir = root.path().join(name);
            write(&dir, manifest(), &arrays(), Some(b"{}"), Dtype::F16).unwrap();
            Bundle::open(&dir).unwrap().sha256().to_owned()
        });
        assert_eq!(a, b);
    }

    #[test]
    fn a_failure_leaves_nothing_behind_and_the_old_bundle_in_place() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("bundle");
        write(&dir, manifest(), &arrays(), None, Dtype::Q8).unwrap();
        let mut sick = arrays();
        sick.get_mut("norm.bias").unwrap().data[0] = f32::INFINITY;
        assert!(write(&dir, manifest(), &sick, None, Dtype::Q8).is_err());
        assert!(put_files(&dir, &[("../x", b"")]).is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        assert!(Bundle::open(&dir).unwrap().arrays().is_ok());
    }

    #[test]
    fn a_folder_with_anything_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("thesis");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("chapter.txt"), "years of work").unwrap();
        let error = write(&dir, manifest(), &arrays(), None, Dtype::Q8)
            .unwrap_err()
            .to_string();
        assert!(error.contains("chapter.txt"), "{error}");
        assert!(dir.join("chapter.txt").exists());
        fs::remove_file(dir.join("chapter.txt")).unwrap();
        write(&dir, manifest(), &arrays(), None, Dtype::Q8).unwrap();
        fs::write(dir.join("notes.txt"), "mine").unwrap();
        assert!(write(&dir, manifest(), &arrays(), None, Dtype::Q8).is_err());
        assert!(write(Path::new("/"), manifest(), &arrays(), None, Dtype::Q8).is_err());
    }
}
