//! The loop with a system that is none of the five: what a system must bring is all that it brings.

use burn::module::Module;
use burn::nn::{Initializer, Linear};
use burn::tensor::activation::sigmoid;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::*;
use crate::data::phantom::Institution;
use crate::data::{Format, Layout, ReadOptions, WriteOptions, load, write_phantoms};
use crate::systems::learn::{Batch, Settled, SizesError, Target, binary_cross_entropy};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PixelSizes {
    size: usize,
    vocabulary: usize,
}

impl Sizes for PixelSizes {
    const SYSTEM: &'static str = "pixels";
    const PRESETS: &'static [&'static str] = &["tiny"];

    fn preset(name: &str) -> Option<Self> {
        (name == "tiny").then_some(Self {
            size: 24,
            vocabulary: 80,
        })
    }

    fn check(&self) -> Result<(), SizesError> {
        if self.size == 0 {
            Err(SizesError {
                key: "size",
                must: "be greater than 0",
            })
        } else {
            Ok(())
        }
    }

    fn lacks(&self, _: &dyn Fn(&str) -> bool) -> Option<&'static str> {
        None
    }

    fn settled(self, by: &Settled<'_, Self>) -> Result<Self, SizesError> {
        Ok(Self {
            vocabulary: by.vocabulary,
            ..self
        })
    }

    fn picture(&self) -> usize {
        self.size
    }

    fn words(&self) -> usize {
        8
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn answers(&self) -> usize {
        0
    }
}

/// Logistic regression on pixels.
#[derive(Module, Debug)]
struct Pixels {
    head: Linear,
    #[module(skip)]
    sizes: PixelSizes,
}

impl Pixels {
    fn logits(&self, batch: &Batch<'_>) -> Tensor<2> {
        let seen = match &batch.pictures {
            Pictures::Pixels(pixels) => self.features(pixels.clone()),
            Pictures::Features(features) => features.clone(),
        };
        let [count, _, width] = seen.dims();
        self.head.forward(seen.reshape([count, width]))
    }

    fn targets(batch: &Batch<'_>) -> Vec<Target> {
        batch
            .examples
            .iter()
            .flat_map(|example| example.findings[0])
            .collect()
    }
}

impl Learner for Pixels {
    type Config = PixelSizes;

    const OBJECTIVES: &'static [&'static str] = &["findings"];

    fn random(sizes: &PixelSizes, device: &Device) -> Result<Self, SizesError> {
        sizes.check()?;
        // From nothing, since other tests draw from the same device's stream.
        let zeros = |shape| Initializer::Zeros.init(shape, device);
        let bias = Some(Initializer::Zeros.init([14], device));
        Ok(Self {
            head: Linear {
                weight: zeros([sizes.size * sizes.size, 14]),
                bias,
            },
            sizes: sizes.clone(),
        })
    }

    fn losses(&self, batch: &Batch<'_>, _: &BTreeMap<String, f64>, _: &Words, _: &mut ChaCha8Rng) -> Losses {
        vec![(
            "findings",
            binary_cross_entropy(self.logits(batch), &Self::targets(batch)),
        )]
    }

    fn measures(
        &self,
        batch: &Batch<'_>,
        _: &BTreeMap<String, f64>,
        _: &Words,
    ) -> Vec<(&'static str, f64, f64)> {
        let said: Vec<f32> = sigmoid(self.logits(batch)).into_data().iter::<f32>().collect();
        let targets = Self::targets(batch);
        let right = said
            .iter()
            .zip(&targets)
            .filter(|(p, target)| Some(**p > 0.5) == **target)
            .count();
        vec![("accuracy", right as f64, targets.len() as f64)]
    }

    fn features(&self, pixels: Tensor<3>) -> Tensor<3> {
        let [count, rows, columns] = pixels.dims();
        pixels.reshape([count, 1, rows * columns])
    }

    fn sizes(&self) -> &PixelSizes {
        &self.sizes
    }

    fn depth(&self) -> usize {
        0
    }

    fn place(_: &str) -> Place {
        Place::Head
    }

    fn freeze_backbone(self) -> Self {
        self
    }
}

fn config(out: &Path, steps: usize) -> RunConfig {
    let text = format!(
        "system = \"pixels\"\npreset = \"tiny\"\nout = {out:?}\nseed = 3\ncheckpoint_every = 10\n[data]\nroots = []\naugment = true\n\
         [objectives]\nfindings = 1.0\n[optim]\nrate = 3e-3\nbatch = 16\nsteps = {steps}\nschedule = \"constant\"\nwarmup = 0.0\n"
    );
    toml::from_str(&text).unwrap()
}

#[test]
fn another_system_trains_resumes_and_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let options = WriteOptions {
        root: data.clone(),
        layout: Layout::MimicCxr,
        count: 64,
        size: 64,
        format: Format::Png,
        seed: 4,
        split_all: None,
        institution: Institution::First,
    };
    write_phantoms(&options, &mut |_| ()).unwrap();
    let studies = load(&data, None, &ReadOptions::default()).unwrap().studies;
    let device = Device::flex();
    let train = |config: &RunConfig, resume: bool| {
        train_as::<Pixels>(config, &studies, &[], &device, resume, &|| false, &|_| ()).unwrap();
        Run::open(&config.out, Which::Newest).unwrap()
    };
    let whole = train(&config(&dir.path().join("whole"), 60), false);
    let broken = dir.path().join("broken");
    train(&config(&broken, 20), false);
    let resumed = train(&config(&broken, 60), true);
    assert_eq!(whole.step, 60);
    assert!(
        whole.weights["head.weight"].data == resumed.weights["head.weight"].data,
        "the resumed run ends elsewhere"
    );

    let lines = std::fs::read_to_string(whole.dir.join("metrics.jsonl")).unwrap();
    let losses: Vec<f32> = lines
        .lines()
        .map(|line| serde_json::from_str::<Line>(line).unwrap().values["findings"])
        .collect();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    assert!(mean(&losses[50..]) < 0.8 * mean(&losses[..5]), "{losses:?}");

    // The command knows the systems of the papers only, and a run's sizes are those of its own system.
    let known = train_error(&config(&dir.path().join("other"), 1));
    assert!(known.contains("pixels") && known.contains("medvill"), "{known}");
    let wrong = whole.sizes::<MedVillConfig>().unwrap_err().to_string();
    assert!(wrong.contains("medvill"), "{wrong}");
}

#[test]
fn the_recurrent_writer_learns_four_phantoms_by_heart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let options = WriteOptions {
        root: data.clone(),
        layout: Layout::MimicCxr,
        count: 4,
        size: 96,
        format: Format::Png,
        seed: 9,
        split_all: Some(Split::Train),
        institution: Institution::First,
    };
    write_phantoms(&options, &mut |_| ()).unwrap();
    let studies = load(&data, None, &ReadOptions::default()).unwrap().studies;
    let text = format!(
        "system = \"medvill\"\npreset = \"tiny\"\nout = {:?}\nseed = 1\n[model]\nrecurrent = true\n[data]\nroots = []\n\
         [objectives]\nreport = 1.0\n[optim]\nrate = 1e-2\nimage_rate = 0.0\nbatch = 4\nsteps = 150\n",
        dir.path().join("run")
    );
    let config: RunConfig = toml::from_str(&text).unwrap();
    let losses = std::cell::RefCell::new(Vec::new());
    let keep = |progress: Progress<'_>| {
        if let Progress::Step(_, _, values) = progress {
            losses.borrow_mut().push(values["report"]);
        }
    };
    train(&config, &studies, &[], &Device::flex(), false, &|| false, &keep).unwrap();
    let losses = losses.into_inner();
    assert!(
        losses[0] > 3.0 && losses[149] < 0.3,
        "{} .. {}",
        losses[0],
        losses[149]
    );
}

fn train_error(config: &RunConfig) -> String {
    train(config, &[], &[], &Device::flex(), false, &|| false, &|_| ())
        .unwrap_err()
        .to_string()
}
