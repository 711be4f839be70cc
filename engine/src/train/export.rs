//! A run becomes a bundle: its newest or best checkpoint, its tokenizer, the tasks that it was trained for, its labels
//! calibrated on its validation split, and where it came from.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::config::RunConfig;
use super::error::TrainError;
use super::folder::{Run, Which};
use super::init::frozen_parts;
use crate::bundle::{Arrays, Bundle, Dtype, Label, Manifest, Provenance, gate, load_model, put_files, write};
use crate::data::{DataError, ReadOptions, Split, Study, load};
use crate::nn;
use crate::systems::{SystemConfig, Task, Trainable, names, with_system};
use crate::tasks::{
    CheckLimits, GateError, Session, calibrate, check_as_written, evaluate_findings, fit_gate, fit_limits,
    put_trial,
};
use crate::text::{LabelSet, Specials, Tokenizer};

/// What to export, and what to say of it.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// How weights are stored.
    pub weights: Dtype,
    /// Which checkpoint.
    pub which: Which,
    /// The moving average of the weights (`optim.ema`) instead of the weights.
    pub average: bool,
    /// The bundle's name; that of its folder where it is not given.
    pub name: Option<String>,
    /// What it was trained on, for its provenance.
    pub data: Option<String>,
    /// The command that makes it again.
    pub command: Option<String>,
}

/// Writes the bundle `out` of the run `from`, or of several runs as an ensemble. `note` is told what a reader should know.
///
/// # Errors
/// A run or data that cannot be read, a checkpoint without what is asked for, runs that cannot be one model, a folder that cannot
/// be written.
pub fn export(
    from: &[PathBuf],
    out: &Path,
    options: &ExportOptions,
    device: &Device,
    note: &dyn Fn(&str),
) -> Result<Manifest, TrainError> {
    let runs = from.iter().map(|dir| Run::open(dir, options.which));
    let runs = runs.collect::<Result<Vec<Run>, _>>()?;
    let Some(run) = runs.first() else {
        return Err(TrainError::Run {
            path: PathBuf::new(),
            reason: "no run is named".to_owned(),
        });
    };
    let config = run.config()?;
    with_system!(
        config.system.as_str(),
        S => export_as::<S>(&runs, &config, out, options, device, note),
        Err(TrainError::Run {
            path: run.dir.clone(),
            reason: format!("its system {:?} is not one of: {}", config.system, names()),
        })
    )
}

fn export_as<S: Trainable>(
    runs: &[Run],
    config: &RunConfig,
    out: &Path,
    options: &ExportOptions,
    device: &Device,
    note: &dyn Fn(&str),
) -> Result<Manifest, TrainError> {
    let run = &runs[0];
    let tokenizer = Run::tokenizer(&run.dir)?;
    let specials = tokenizer.as_ref().map_or(Specials::BERT, Tokenizer::specials);
    let folder = out.file_name().and_then(|n| n.to_str()).unwrap_or("bundle");
    let name = options.name.clone().unwrap_or_else(|| folder.to_owned());
    let (model_config, weights) = model_of::<S>(runs, options.average)?;
    let weights = &*weights;
    let stored = serde_json::to_value(&model_config).map_err(|e| TrainError::Run {
        path: run.dir.clone(),
        reason: e.to_string(),
    })?;
    let mut manifest = Manifest::new(&name, &config.system, &config.preset, stored);
    let model = S::init(&model_config, specials, device)?;
    let trained = trained_tasks(&model, config);
    let served = model.tasks();
    manifest.tasks = Task::ALL
        .into_iter()
        .filter(|task| trained.contains(task) && served.contains(task))
        .collect();
    manifest.provenance = Provenance {
        data: options.data.clone().unwrap_or_else(|| {
            let layout = config.data.layout.as_deref().unwrap_or("layout by its files");
            format!("{:?} ({layout})", config.data.roots)
        }),
        training: each(runs, training)?.join("; and beside it "),
        command: options.command.clone().unwrap_or_default(),
        seeds: each(runs, |_, config| seeds(config))?.concat(),
        ..Provenance::default()
    };
    manifest.answers = Run::answers(&run.dir)?;
    if manifest.tasks.contains(&Task::Findings) {
        let labels = model_config.labels();
        manifest.labels = calibrated(
            &manifest,
            weights,
            tokenizer.clone(),
            &labels,
            config,
            device,
            note,
        )?;
    }
    if manifest.tasks.contains(&Task::Check) {
        manifest.check = check_limits(&manifest, weights, tokenizer.clone(), config, device, note)?;
    }
    let json = tokenizer.map(|t| t.to_json()).transpose()?;
    write(out, manifest, weights, json.as_deref(), options.weights)?;
    put_gate(config, out, device, note)?;
    Ok(put_trial(out)?)
}

/// What is told of each run and its config.
fn each<T>(runs: &[Run], tell: impl Fn(&Run, &RunConfig) -> T) -> Result<Vec<T>, TrainError> {
    let told = runs.iter().map(|run| Ok(tell(run, &run.config()?)));
    told.collect()
}

/// Config and weights of the one run, or of the ensemble of several.
fn model_of<S: Trainable>(runs: &[Run], average: bool) -> Result<(S::Config, Cow<'_, Arrays>), TrainError> {
    let refuse = |run: &Run, reason: String| TrainError::Run {
        path: run.dir.clone(),
        reason,
    };
    let mut members = Vec::with_capacity(runs.len());
    for run in runs {
        let weights = if average {
            run.average.as_ref()
        } else {
            Some(&run.weights)
        };
        members.push(weights.ok_or_else(|| {
            let reason = "it keeps no average of its weights; leave --average out";
            refuse(run, reason.to_owned())
        })?);
    }
    let (first, others) = (&runs[0], &runs[1..]);
    let config: S::Config = first.model_config()?;
    if others.is_empty() {
        return Ok((config, Cow::Borrowed(members[0])));
    }
    for run in others {
        run.model_config::<S::Config>()?;
        if run.model != first.model {
            let reason = format!(
                "its model is not that of {}: an ensemble's runs have one config",
                first.dir.display()
            );
            return Err(refuse(run, reason));
        }
    }
    let (config, weights) = S::ensemble(&config, &members).ok_or_else(|| {
        refuse(
            first,
            format!(
                "runs of {} cannot be one ensemble; export one of them",
                S::Config::NAME
            ),
        )
    })?;
    Ok((config, Cow::Owned(weights)))
}

/// Fits the bundle's gate, from the weights as they are stored, to the pictures of the run's data.
fn put_gate(config: &RunConfig, out: &Path, device: &Device, note: &dyn Fn(&str)) -> Result<(), TrainError> {
    let of = |split| -> Result<Vec<PathBuf>, TrainError> {
        let studies = studies(config, split)?;
        Ok(studies.into_iter().map(|study| study.image).collect())
    };
    let session = Session::open(&Bundle::open(out)?, device)?;
    match fit_gate(
        &session,
        &of(Split::Train)?,
        &of(Split::Validate)?,
        &[],
        &mut |_| (),
    ) {
        Ok(gate) => put_files(out, &[(gate::FILE, &gate.bytes()?)]).map(|_| ())?,
        Err(GateError::Encode(error)) => return Err(error.into()),
        Err(GateError::Bundle(error)) => return Err(error.into()),
        // A run of a few pictures is a bundle all the same.
        Err(error) => note(&format!(
            "the bundle cannot tell what is unlike its training pictures: {error}"
        )),
    }
    Ok(())
}

/// The studies with an image in a split of the run's data, as far as the data are here.
fn studies(config: &RunConfig, split: Split) -> Result<Vec<Study>, TrainError> {
    let layout = config.data.layout.as_deref().map(str::parse).transpose();
    let layout = layout.map_err(DataError::from)?;
    let options = ReadOptions {
        split: Some(split),
        views: config.data.views.into(),
        every_image: config.data.every_image,
    };
    let roots = config.data.roots.iter().filter(|root| root.is_dir());
    let read = roots.flat_map(|root| load(root, layout, &options));
    let read = read.flat_map(|loaded| loaded.studies);
    Ok(read.filter(Study::has_image).collect())
}

/// The tasks of the objectives of this run, and of the runs before it as far as what they trained has stood since: the tasks of
/// an image encoder that was frozen then.
fn trained_tasks<S: Trainable>(model: &S, config: &RunConfig) -> Vec<Task> {
    let mut tasks = S::learned(&|objective| config.on(objective));
    let frozen = frozen_parts(model, config);
    let backbone = |name: &String| S::param_group(name) == crate::systems::train::ParamGroup::Backbone;
    let of_backbone: Vec<String> = nn::shapes(model).into_keys().filter(backbone).collect();
    let stood = of_backbone.iter().all(|name| {
        let first = name.split('.').next().unwrap_or_default();
        let taken = config.init_only.is_empty() || config.init_only.iter().any(|part| part == first);
        taken && frozen.iter().any(|part| part == first)
    });
    if stood
        && !of_backbone.is_empty()
        && let Some((before, _)) = before(config)
    {
        // Of what stood only the image's own reading is left: what a head learned over it may have moved.
        let own = trained_tasks(model, &before);
        tasks.extend(own.into_iter().filter(|task| *task == Task::Findings));
    }
    tasks
}

/// The labels of a set with temperature and operating point, fitted on the validation split of the run's data.
fn calibrated(
    manifest: &Manifest,
    weights: &Arrays,
    tokenizer: Option<Tokenizer>,
    set: &LabelSet,
    config: &RunConfig,
    device: &Device,
    note: &dyn Fn(&str),
) -> Result<Vec<Label>, TrainError> {
    let plain: Vec<Label> = set.labels.iter().map(Label::new).collect();
    let studies = studies(config, Split::Validate)?;
    if studies.is_empty() {
        note(
            "the run's data have no validation split here: probabilities stay as they are, present from one half on",
        );
        return Ok(plain);
    }
    let specials = tokenizer.as_ref().map_or(Specials::BERT, Tokenizer::specials);
    let model = load_model(manifest, weights.clone(), specials, device)?;
    let mut own = manifest.clone();
    own.labels = plain;
    let session = Session::from_parts(own, model, tokenizer, device.clone())?;
    let cases = pollster::block_on(evaluate_findings(&session, &studies, false, None, |_| ()))?;
    note(&format!(
        "temperatures and operating points fitted on {} studies of the validation split",
        studies.len()
    ));
    Ok(calibrate(set, &cases.logits, &cases.truth))
}

/// Reports that the limits of checking are fitted on, at most.
const CHECKED: usize = 500;

/// From where on doubts of a checked report are marked, fitted on the validation split of the run's data.
fn check_limits(
    manifest: &Manifest,
    weights: &Arrays,
    tokenizer: Option<Tokenizer>,
    config: &RunConfig,
    device: &Device,
    note: &dyn Fn(&str),
) -> Result<Option<CheckLimits>, TrainError> {
    let specials = tokenizer.as_ref().map_or(Specials::BERT, Tokenizer::specials);
    let model = load_model(manifest, weights.clone(), specials, device)?;
    let session = Session::from_parts(manifest.clone(), model, tokenizer, device.clone())?;
    let mut studies = studies(config, Split::Validate)?;
    studies.retain(|study| !session.reference(&study.report).trim().is_empty());
    studies.truncate(CHECKED);
    let checked = pollster::block_on(check_as_written(&session, &studies))?;
    match fit_limits(&checked) {
        None => note("the run's data have no validation split here: no doubt of a checked report is marked"),
        Some(_) => note(&format!(
            "limits of marks fitted on {} reports of the validation split",
            checked.len()
        )),
    }
    Ok(fit_limits(&checked))
}

/// A run in words, and before it the run that it began with.
fn training(run: &Run, config: &RunConfig) -> String {
    let objectives = config.objectives.iter().filter(|(_, weight)| **weight > 0.0);
    let objectives: Vec<String> = objectives
        .map(|(name, weight)| format!("{name} x{weight}"))
        .collect();
    let own = format!(
        "{} steps of {} examples on {}",
        run.step,
        config.optim.batch,
        objectives.join(" and ")
    );
    let before = before(config)
        .and_then(|(config, dir)| Some(training(&Run::open(&dir, Which::Newest).ok()?, &config)));
    before.map_or(own.clone(), |before| format!("{before}; then {own}"))
}

fn seeds(config: &RunConfig) -> Vec<u64> {
    let mut seeds = before(config).map_or(Vec::new(), |(config, _)| seeds(&config));
    seeds.push(config.seed);
    seeds
}

/// The config of the run that `init` names, where it is a run that is still there.
fn before(config: &RunConfig) -> Option<(RunConfig, PathBuf)> {
    let dir = config.init.clone()?;
    let text = std::fs::read_to_string(dir.join("config.toml")).ok()?;
    Some((toml::from_str(&text).ok()?, dir))
}
