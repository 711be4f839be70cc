//! `bundle.json`: what a bundle is, where it came from, and which files it consists of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use hilum_task::CheckLimits;

use super::{BundleError, Label, Trial};
use crate::metrics::Calibration;
use crate::systems::Task;

/// The format version that this engine writes and the only one that it reads.
pub const VERSION: u32 = 1;

/// The manifest's file name.
pub const MANIFEST: &str = "bundle.json";
/// The tokenizer's file name, as written by the exporter.
pub const TOKENIZER: &str = "tokenizer.json";

/// A manifest is read whole before anything in it is believed, hence small.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// No file of a bundle is larger, and neither page nor command allocates more for one.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// At 16 MiB a shard, 64 GiB.
const MAX_FILES: usize = 4096;

/// How the weights of a bundle are stored. What has one axis (norms, biases, BatchNorm statistics) is always
/// f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers in blocks of 32 with an f16 scale each; tensors below 1024 elements as f16.
    Q8,
}

impl Dtype {
    /// As in `--weights` and in `bundle.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
        }
    }
}

impl std::str::FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::F32, Self::F16, Self::Q8]
            .into_iter()
            .find(|dtype| dtype.name() == text)
            .ok_or_else(|| format!("{text:?} is no weight type; use f32, f16 or q8"))
    }
}

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path inside the bundle, with `/` between folders.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl FileEntry {
    /// The entry of a file with these bytes.
    pub fn of(path: &str, bytes: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            sha256: sha256_hex(bytes),
        }
    }
}

/// Where a bundle came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The data, in a sentence or more: sets, splits, licences.
    pub data: String,
    /// The training, in a sentence or more: objective, steps, or the imported checkpoint.
    pub training: String,
    /// The command that made it.
    pub command: String,
    /// What its labels' areas were computed on, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tested: String,
    /// The seeds of its runs.
    pub seeds: Vec<u64>,
    /// The version of the engine that wrote it; the writer fills it in where it is empty.
    pub engine_version: String,
}

/// The content of `bundle.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version, see [`VERSION`].
    pub version: u32,
    /// The bundle's name, for people.
    pub name: String,
    /// The system's name, as in `hilum systems`.
    pub system: String,
    /// The preset that its sizes came from.
    pub preset: String,
    /// The system's own configuration; only that system reads it.
    pub config: serde_json::Value,
    /// The tasks that it was trained for, as in `hilum evaluate --task`.
    pub tasks: Vec<Task>,
    /// Labels in the order of the model's outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Answers to questions in the order of the model's outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// From where on a checked report's doubts are marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckLimits>,
    /// The tokenizer's file, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// How the weights are stored.
    pub weights: Dtype,
    /// What it says of the trial picture; without it, a device's words are compared with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Where it came from.
    #[serde(default)]
    pub provenance: Provenance,
    /// All files but `bundle.json` itself; shards in the order in which they are read.
    #[serde(default)]
    pub files: Vec<FileEntry>,
}

/// Only the version, so that a future manifest of quite another form still gives the right sentence.
#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

impl Manifest {
    /// A manifest without files, tasks or provenance, to be completed by the exporter.
    pub fn new(name: &str, system: &str, preset: &str, config: serde_json::Value) -> Self {
        Self {
            version: VERSION,
            name: name.to_owned(),
            system: system.to_owned(),
            preset: preset.to_owned(),
            config,
            tasks: Vec::new(),
            labels: Vec::new(),
            answers: Vec::new(),
            check: None,
            tokenizer: None,
            weights: Dtype::F32,
            trial: None,
            provenance: Provenance::default(),
            files: Vec::new(),
        }
    }

    /// Reads and checks the bytes of a `bundle.json`.
    ///
    /// # Errors
    /// What is no manifest, one of another format version, and one whose file names could lead out of the
    /// bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(unusable(format!(
                "it has {} bytes and may have {MAX_MANIFEST_BYTES}",
                bytes.len()
            )));
        }
        let version: VersionOnly = serde_json::from_slice(bytes)
            .map_err(|e| unusable(format!("no version can be read from it ({e})")))?;
        if version.version != u64::from(VERSION) {
            return Err(BundleError::Version {
                found: version.version,
                known: VERSION,
            });
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| unusable(format!("it has a wrong entry ({e})")))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes of `bundle.json`: JSON that a person can read, with a line break at its end.
    ///
    /// # Errors
    /// A manifest that [`Manifest::parse`] would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|e| unusable(format!("it cannot be written ({e})")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The entry of a file.
    ///
    /// # Errors
    /// [`BundleError::UnlistedFile`] where the bundle has no such file.
    pub fn file(&self, path: &str) -> Result<&FileEntry, BundleError> {
        let unlisted = || BundleError::UnlistedFile {
            name: path.to_owned(),
        };
        self.files
            .iter()
            .find(|file| file.path == path)
            .ok_or_else(unlisted)
    }

    /// The shards, in the order in which [`super::ShardDecoder`] takes them.
    pub fn shards(&self) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(|file| is_shard(&file.path))
    }

    /// Bytes of all shards together, for progress.
    pub fn shard_bytes(&self) -> u64 {
        self.shards().map(|file| file.bytes).sum()
    }

    /// How each label's logit becomes a probability and a decision, in the order of the model's outputs.
    pub fn calibrations(&self) -> Vec<Calibration> {
        self.labels.iter().map(Label::calibration).collect()
    }

    fn check(&self) -> Result<(), BundleError> {
        if self.files.len() > MAX_FILES {
            return Err(unusable(format!(
                "it lists {} files and may list {MAX_FILES}",
                self.files.len()
            )));
        }
        let mut seen = BTreeSet::new();
        for file in &self.files {
            // Some file systems do not tell upper from lower case, hence the comparison in lower case.
            let key = file.path.to_ascii_lowercase();
            if !is_plain_path(&file.path) || key == MANIFEST {
                return Err(BundleError::FileName {
                    name: file.path.clone(),
                });
            }
            if !seen.insert(key) {
                return Err(unusable(format!("it lists the file {} twice", file.path)));
            }
            if file.bytes > MAX_FILE_BYTES {
                let why = format!(
                    "its file {} is said to have {} bytes, more than {MAX_FILE_BYTES}",
                    file.path, file.bytes
                );
                return Err(unusable(why));
            }
            if file.sha256.len() != 64
                || !file
                    .sha256
                    .bytes()
                    .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
            {
                return Err(unusable(format!(
                    "the SHA-256 of its file {} is not 64 lower-case hexadecimal digits",
                    file.path
                )));
            }
        }
        for label in &self.labels {
            if label.temperature.is_some_and(|t| !(t > 0.0 && t.is_finite())) {
                return Err(unusable(format!(
                    "the temperature of its label {:?} is not greater than 0",
                    label.name
                )));
            }
        }
        match &self.tokenizer {
            Some(name) if !self.files.is_empty() => self.file(name).map(|_| ()),
            _ => Ok(()),
        }
    }
}

/// Whether a file of the bundle is a shard of weights.
fn is_shard(path: &str) -> bool {
    path.strip_prefix("weights-")
        .and_then(|rest| rest.strip_suffix(".safetensors"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
}

/// Whether `path` is relative, stays where it is, and means the same on every file system and in a URL.
fn is_plain_path(path: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    path.len() <= 200
        && path
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain))
}

/// Checks a file's bytes against its entry. Nothing of a file may be used before this.
///
/// # Errors
/// [`BundleError::Length`] and [`BundleError::Hash`].
pub fn verify(entry: &FileEntry, bytes: &[u8]) -> Result<(), BundleError> {
    let name = entry.path.clone();
    let found = bytes.len() as u64;
    if found != entry.bytes {
        return Err(BundleError::Length {
            name,
            expected: entry.bytes,
            found,
        });
    }
    let found = sha256_hex(bytes);
    if found != entry.sha256 {
        return Err(BundleError::Hash {
            name,
            expected: entry.sha256.clone(),
            found,
        });
    }
    Ok(())
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn unusable(why: String) -> BundleError {
    BundleError::Manifest { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new("demo", "medvill", "tiny", serde_json::json!({"hidden": 64}));
        manifest.tasks = vec![Task::Draft];
        manifest.labels = vec![Label {
            name: "Edema".to_owned(),
            side: None,
            operating_point: Some(0.4),
            temperature: Some(1.2),
            area: None,
        }];
        manifest.files = vec![FileEntry {
            path: "weights-000.safetensors".to_owned(),
            bytes: 3,
            sha256: sha256_hex(b"abc"),
        }];
        manifest
    }

    #[test]
    fn a_manifest_survives_the_round_trip() {
        let manifest = manifest();
        let bytes = manifest.to_bytes().unwrap();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
        assert_eq!(manifest.shards().count(), 1);
        assert_eq!(manifest.shard_bytes(), 3);
    }

    #[test]
    fn sha256_is_that_of_fips_180() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_unknown_version_is_said_even_if_all_else_differs() {
        let error = Manifest::parse(br#"{"version": 9, "files": "other"}"#).unwrap_err();
        assert!(
            matches!(
                error,
                BundleError::Version {
                    found: 9,
                    known: VERSION
                }
            ),
            "{error}"
        );
        assert!(
            Manifest::parse(b"{}")
                .unwrap_err()
                .to_string()
                .contains("version")
        );
        assert!(Manifest::parse(b"not json").is_err());
    }

    #[test]
    fn a_label_without_calibration_has_the_default() {
        let mut manifest = manifest();
        manifest.labels.push(Label {
            name: "Fracture".to_owned(),
            side: Some(crate::text::Side::Left),
            operating_point: None,
            temperature: None,
            area: None,
        });
        let read = Manifest::parse(&manifest.to_bytes().unwrap()).unwrap();
        assert_eq!(read.labels[1].side, Some(crate::text::Side::Left));
        let edema = Calibration {
            temperature: 1.2,
            operating_point: 0.4,
        };
        assert_eq!(read.calibrations(), [edema, Calibration::default()]);
    }

    #[test]
    fn a_task_that_the_engine_does_not_know_is_named_with_those_it_knows() {
        let mut value = serde_json::to_value(manifest()).unwrap();
        value["tasks"] = serde_json::json!(["draft", "telepathy"]);
        let error = Manifest::parse(value.to_string().as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("telepathy") && error.contains("retrieve"),
            "{error}"
        );
    }

    #[test]
    fn names_that_lead_out_of_the_bundle_are_refused() {
        for name in [
            "../x",
            "/etc/passwd",
            "a/../b",
            "a//b",
            "",
            ".",
            "a\\b",
            "C:x",
            "bundle.json",
            "Bundle.json",
            ".x/y",
        ] {
            let mut manifest = manifest();
            manifest.files[0].path = name.to_owned();
            let bytes = serde_json::to_vec(&manifest).unwrap();
            assert!(
                matches!(Manifest::parse(&bytes), Err(BundleError::FileName { .. })),
                "{name}"
            );
        }
        assert!(is_plain_path("gallery/codes.safetensors"));
    }

    #[test]
    fn duplicates_sizes_and_hashes_are_checked() {
        let refused = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            Manifest::parse(&serde_json::to_vec(&manifest).unwrap())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&|m| m.files.push(m.files[0].clone())).contains("twice"));
        assert!(refused(&|m| m.files[0].bytes = u64::MAX).contains("more than"));
        assert!(refused(&|m| m.files[0].sha256.truncate(10)).contains("64"));
        assert!(refused(&|m| m.labels[0].temperature = Some(0.0)).contains("temperature"));
        assert!(refused(&|m| m.tokenizer = Some("tokenizer.json".to_owned())).contains("tokenizer.json"));
    }

    #[test]
    fn a_damaged_or_short_file_is_told_apart() {
        let entry = manifest().files.remove(0);
        assert!(verify(&entry, b"abc").is_ok());
        assert!(matches!(
            verify(&entry, b"ab"),
            Err(BundleError::Length {
                expected: 3,
                found: 2,
                ..
            })
        ));
        assert!(matches!(verify(&entry, b"abd"), Err(BundleError::Hash { .. })));
    }
}
