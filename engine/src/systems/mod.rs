//! The systems, one room a paper: config, model and forward, objectives. What they share with each other is in `nn`; what the
//! rest of the engine knows of them is [`System`] and [`Generator`] for inference, [`Trainable`] for training.
//!
//! This file is the one list of systems: a variant of [`Model`], an arm of `with_system!`, a row of [`SYSTEMS`].

pub mod baselines;
pub mod clinical_bert;
mod config;
pub mod findings;
mod mask_loop;
pub mod medvill;
#[cfg(test)]
pub mod pixels;
mod system;
pub mod train;
pub mod xvl;

use burn::module::Module;
use burn::tensor::Device;
use serde_json::Value;
use thiserror::Error;

pub use config::{ConfigError, DataFacts, SystemConfig, TextSpec, first_obstacle};
pub use hilum_task::Task;
pub use system::{Answerer, Generator, GeneratorState, Input, Spec, System, TraceInputError};
pub use train::Trainable;

use crate::nn::Arrays;
use crate::text::{LabelSet, Specials};
use clinical_bert::ClinicalBert;
use findings::Classifier;
use medvill::MedVill;
#[cfg(test)]
use pixels::Pixels;
use xvl::Xvl;

/// A model of any system.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model is held once")]
pub enum Model {
    /// MedViLL.
    MedVill(MedVill),
    /// Clinical-BERT.
    ClinicalBert(ClinicalBert),
    /// Medical X-VL.
    Xvl(Xvl),
    /// The classifier of findings.
    Findings(Classifier),
    /// The system of the tests.
    #[cfg(test)]
    Pixels(Pixels),
}

impl From<MedVill> for Model {
    fn from(model: MedVill) -> Self {
        Self::MedVill(model)
    }
}

impl From<ClinicalBert> for Model {
    fn from(model: ClinicalBert) -> Self {
        Self::ClinicalBert(model)
    }
}

impl From<Xvl> for Model {
    fn from(model: Xvl) -> Self {
        Self::Xvl(model)
    }
}

impl From<Classifier> for Model {
    fn from(model: Classifier) -> Self {
        Self::Findings(model)
    }
}

#[cfg(test)]
impl From<Pixels> for Model {
    fn from(model: Pixels) -> Self {
        Self::Pixels(model)
    }
}

/// Evaluates `$body` with `$S` as the type of the system of that name, else `$unknown`.
macro_rules! with_system {
    ($name:expr, $S:ident => $body:expr, $unknown:expr) => {{
        use $crate::systems::{SystemConfig, Trainable};
        let name: &str = $name;
        if name == <$crate::systems::medvill::MedVill as Trainable>::Config::NAME {
            type $S = $crate::systems::medvill::MedVill;
            return $body;
        }
        if name == <$crate::systems::clinical_bert::ClinicalBert as Trainable>::Config::NAME {
            type $S = $crate::systems::clinical_bert::ClinicalBert;
            return $body;
        }
        if name == <$crate::systems::xvl::Xvl as Trainable>::Config::NAME {
            type $S = $crate::systems::xvl::Xvl;
            return $body;
        }
        if name == <$crate::systems::findings::Classifier as Trainable>::Config::NAME {
            type $S = $crate::systems::findings::Classifier;
            return $body;
        }
        #[cfg(test)]
        if name == <$crate::systems::pixels::Pixels as Trainable>::Config::NAME {
            type $S = $crate::systems::pixels::Pixels;
            return $body;
        }
        $unknown
    }};
}
#[cfg(not(target_family = "wasm"))]
pub(crate) use with_system;

/// A system, for the shell's table.
pub struct SystemInfo {
    /// The name on the command line.
    pub name: &'static str,
    /// The paper.
    pub paper: &'static str,
    /// What the engine does with it today.
    pub tasks: &'static [Task],
    /// Named sizes.
    pub presets: &'static [&'static str],
}

/// The systems that the engine runs.
pub const SYSTEMS: &[SystemInfo] = &[
    SystemInfo {
        name: <MedVill as Trainable>::Config::NAME,
        paper: "MedViLL: Multi-modal understanding and generation for medical images and text (Moon et al. 2021)",
        tasks: &[Task::Draft, Task::Findings, Task::Retrieve, Task::Vqa],
        presets: <MedVill as Trainable>::Config::PRESETS,
    },
    SystemInfo {
        name: <ClinicalBert as Trainable>::Config::NAME,
        paper: "Clinical-BERT: Vision-language pre-training for radiograph diagnosis and reports generation (Yan and Pei 2022)",
        tasks: &[Task::Draft, Task::Findings],
        presets: <ClinicalBert as Trainable>::Config::PRESETS,
    },
    SystemInfo {
        name: <Xvl as Trainable>::Config::NAME,
        paper: "Medical X-VL: Vision-language pretraining enables radiographs and reports to be learned without curation (Park et al. 2022)",
        tasks: &[Task::Draft, Task::Findings, Task::Retrieve, Task::Check],
        presets: <Xvl as Trainable>::Config::PRESETS,
    },
    SystemInfo {
        name: <Classifier as Trainable>::Config::NAME,
        paper: "no paper's own: a classifier as CheXNet (Rajpurkar et al. 2017) and TorchXRayVision (Cohen et al. 2022) have it",
        tasks: &[Task::Findings],
        presets: <Classifier as Trainable>::Config::PRESETS,
    },
];

/// The names of all systems, joined by commas.
pub fn names() -> String {
    SYSTEMS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
}

/// Why there is no model.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A system that this engine does not run.
    #[error("this engine has no system {name:?}, it runs {known}; use a newer engine or another bundle", known = names())]
    System {
        /// What was asked for.
        name: String,
    },
    /// A preset that the system does not have.
    #[error("the system {system} has no preset {preset:?}; choose one of: {known}")]
    Preset {
        /// The system.
        system: String,
        /// What was asked for.
        preset: String,
        /// What there is.
        known: String,
    },
    /// A config of another form.
    #[error("its config is not one of {system}'s ({reason}); export or import it anew")]
    Form {
        /// The system.
        system: String,
        /// What was wrong.
        reason: String,
    },
    /// A config that cannot run.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn init<S: Trainable>(config: &Value, specials: Specials, device: &Device) -> Result<Model, ModelError> {
    let form = |e: serde_json::Error| ModelError::Form {
        system: S::Config::NAME.to_owned(),
        reason: e.to_string(),
    };
    let config: S::Config = serde_json::from_value(config.clone()).map_err(form)?;
    Ok(<S as Trainable>::init(&config, specials, device)?.into())
}

fn preset<C: SystemConfig>(preset: &str) -> Result<C, ModelError> {
    C::preset(preset).ok_or_else(|| ModelError::Preset {
        system: C::NAME.to_owned(),
        preset: preset.to_owned(),
        known: C::PRESETS.join(", "),
    })
}

fn adapted<C: SystemConfig>(
    name: &str,
    checkpoint: &Arrays,
    labels: Option<&[String]>,
) -> Result<Value, ModelError> {
    let mut config = preset::<C>(name)?.adapt(checkpoint);
    if let Some(labels) = labels {
        config = config.with_labels(labels);
    }
    serde_json::to_value(config).map_err(|e| ModelError::Form {
        system: C::NAME.to_owned(),
        reason: e.to_string(),
    })
}

impl Model {
    /// A model with random weights of the system of that name, from its own config.
    ///
    /// # Errors
    /// See [`ModelError`].
    pub fn new(
        system: &str,
        config: &Value,
        specials: Specials,
        device: &Device,
    ) -> Result<Self, ModelError> {
        with_system!(
            system,
            S => init::<S>(config, specials, device),
            Err(ModelError::System { name: system.to_owned() })
        )
    }

    /// The config of a preset with what a published checkpoint tells of itself.
    ///
    /// # Errors
    /// An unknown system or preset.
    pub fn config_for(system: &str, preset: &str, checkpoint: &Arrays) -> Result<Value, ModelError> {
        Self::config_with(system, preset, checkpoint, None)
    }

    /// As [`Model::config_for`], with labels in the place of the preset's.
    ///
    /// # Errors
    /// An unknown system or preset.
    pub fn config_with(
        system: &str,
        preset: &str,
        checkpoint: &Arrays,
        labels: Option<&[String]>,
    ) -> Result<Value, ModelError> {
        with_system!(
            system,
            S => adapted::<<S as Trainable>::Config>(preset, checkpoint, labels),
            Err(ModelError::System { name: system.to_owned() })
        )
    }

    /// The names of a preset's labels.
    ///
    /// # Errors
    /// An unknown system or preset.
    pub fn preset_labels(system: &str, name: &str) -> Result<Vec<String>, ModelError> {
        let names = |set: LabelSet| set.labels.into_iter().map(|label| label.name).collect();
        with_system!(
            system,
            S => preset::<<S as Trainable>::Config>(name).map(|config| names(config.labels())),
            Err(ModelError::System { name: system.to_owned() })
        )
    }

    /// As the tasks see it.
    pub fn as_system(&self) -> &dyn System {
        match self {
            Self::MedVill(model) => model,
            Self::ClinicalBert(model) => model,
            Self::Xvl(model) => model,
            Self::Findings(model) => model,
            #[cfg(test)]
            Self::Pixels(model) => model,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }

    /// The product code of a file: what stands before its tests.
    fn product(path: &Path) -> String {
        let text = std::fs::read_to_string(path).unwrap();
        text.split("#[cfg(test)]\nmod ")
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn nothing_but_its_own_rooms_names_a_system() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        for folder in ["engine", "app"] {
            sources(&root.join(folder), &mut files);
        }
        let own = |path: &Path| {
            let path = path.to_string_lossy().replace('\\', "/");
            let rooms = [
                "engine/src/systems/",
                "bundle/import/medvill.rs",
                "train/tables/medvill.rs",
            ];
            let tests = path.ends_with("tests.rs") || path.contains("/tests/");
            tests || rooms.iter().any(|room| path.contains(room))
        };
        let named: Vec<PathBuf> = files
            .into_iter()
            .filter(|path| !own(path) && product(path).contains("MedVill"))
            .collect();
        assert!(named.is_empty(), "{named:?}");
    }

    #[test]
    fn every_system_of_the_list_has_presets_that_make_a_model_of_its_name() {
        for system in SYSTEMS {
            for preset in system.presets {
                assert!(Model::config_for(system.name, preset, &Arrays::new()).is_ok());
            }
            let config = Model::config_for(system.name, "tiny", &Arrays::new()).unwrap();
            let model = Model::new(system.name, &config, Specials::BERT, &Device::flex()).unwrap();
            assert!(
                model
                    .as_system()
                    .tasks()
                    .iter()
                    .all(|task| system.tasks.contains(task))
            );
        }
        let error = Model::config_for("oracle", "tiny", &Arrays::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("oracle") && error.contains("medvill"), "{error}");
    }

    #[test]
    fn adding_a_system_touches_the_places_that_contributing_lists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
        let section = text
            .split("## Add a system")
            .nth(1)
            .unwrap()
            .split("\n## ")
            .next()
            .unwrap();
        let places: Vec<&str> = section
            .lines()
            .filter(|l| l.starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        assert!((1..=5).contains(&places.len()), "{places:?}");
        // Each place is a file or folder that MedViLL has.
        for place in places {
            let path = place.split('`').nth(1).unwrap().replace("NAME", "medvill");
            assert!(root.join(&path).exists(), "{path}");
        }
    }
}
