//! The loop, and the run's folder: `config.toml`, `tokenizer.json`, `metrics.jsonl`, `curves.svg`, `checkpoints/`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::{RunConfig, TrainError};
use super::corpus::{Corpus, Example, stream, training_text};
use super::maps::Maps;
use super::optimizer::{AdamW, Pace, warmup_cosine};
use super::{curves, objectives};
use crate::data::{Split, Study};
use crate::nn::{self, Arrays};
use crate::systems::medvill::{MedVill, MedVillConfig};
use crate::text::Tokenizer;

/// What the loop tells while it runs.
pub enum Progress<'a> {
    /// Pictures read, of so many.
    Reading(usize, usize),
    /// A step is done: number, of so many, losses by name.
    Step(usize, usize, &'a BTreeMap<&'static str, f32>),
    /// A checkpoint was written.
    Checkpoint(&'a Path),
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    step: usize,
    rate: f64,
    seconds: f64,
    #[serde(flatten)]
    values: BTreeMap<String, f32>,
}

/// What a checkpoint holds beside its tensors.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    step: usize,
    model: MedVillConfig,
}

/// A run's folder, read.
pub struct Run {
    /// The folder.
    pub dir: PathBuf,
    /// Steps done at its newest whole checkpoint.
    pub step: usize,
    /// Sizes of the model.
    pub model: MedVillConfig,
    /// Its weights.
    pub weights: Arrays,
    /// The optimiser's memory.
    pub optimizer: Arrays,
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Io { doing, path, source }
}

impl Run {
    /// The newest whole checkpoint of a run.
    ///
    /// # Errors
    /// When the folder holds none or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, TrainError> {
        let checkpoint = newest(dir)?.ok_or_else(|| TrainError::Config {
            path: dir.to_owned(),
            reason: "the run has no whole checkpoint; train it first".to_owned(),
        })?;
        let path = checkpoint.join("state.json");
        let text = std::fs::read_to_string(&path).map_err(io("reading", &path))?;
        let state: State =
            serde_json::from_str(&text).map_err(|e| TrainError::Config { path, reason: e.to_string() })?;
        Ok(Self {
            dir: dir.to_owned(),
            step: state.step,
            model: state.model,
            weights: crate::bundle::checkpoint::read(&checkpoint.join("weights.safetensors"))?,
            optimizer: crate::bundle::checkpoint::read(&checkpoint.join("optimizer.safetensors"))?,
        })
    }

    /// The tokenizer of a run.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tokenizer(dir: &Path) -> Result<Tokenizer, TrainError> {
        let path = dir.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(io("reading", &path))?;
        Ok(Tokenizer::from_json(&bytes)?)
    }
}

/// What a run begins with: an earlier run or a bundle.
struct Start {
    model: MedVillConfig,
    weights: Arrays,
    tokenizer: Option<Tokenizer>,
}

impl Start {
    fn open(from: &Path) -> Result<Self, TrainError> {
        if !from.join("bundle.json").is_file() {
            let run = Run::open(from)?;
            return Ok(Self { model: run.model, weights: run.weights, tokenizer: Some(Run::tokenizer(from)?) });
        }
        let bundle = crate::bundle::Bundle::open(from)?;
        let model = serde_json::from_value(bundle.manifest().config.clone())
            .map_err(|e| TrainError::Config { path: from.join("bundle.json"), reason: e.to_string() })?;
        let tokenizer = bundle.tokenizer()?.map(|bytes| Tokenizer::from_json(&bytes)).transpose()?;
        Ok(Self { model, weights: bundle.arrays()?, tokenizer })
    }
}

/// The newest folder under `checkpoints/` that was finished: an unfinished one still has its temporary name.
fn newest(dir: &Path) -> Result<Option<PathBuf>, TrainError> {
    let folder = dir.join("checkpoints");
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut whole = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(io("listing", &folder))? {
        let path = entry.map_err(io("listing", &folder))?.path();
        if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("step-")) {
            whole.push(path);
        }
    }
    Ok(whole.into_iter().max())
}

fn save(dir: &Path, step: usize, model: &MedVill, optimizer: &AdamW) -> Result<PathBuf, TrainError> {
    let folder = dir.join("checkpoints");
    let temporary = folder.join("unfinished");
    let _ = std::fs::remove_dir_all(&temporary);
    std::fs::create_dir_all(&temporary).map_err(io("creating", &temporary))?;
    crate::bundle::checkpoint::write_safetensors(&temporary.join("weights.safetensors"), &nn::parameters(model)?)?;
    crate::bundle::checkpoint::write_safetensors(&temporary.join("optimizer.safetensors"), &optimizer.state()?)?;
    let state = State { step, model: model.config().clone() };
    let path = temporary.join("state.json");
    let text = serde_json::to_string_pretty(&state).unwrap_or_default();
    std::fs::write(&path, text).map_err(io("writing", &path))?;
    let whole = folder.join(format!("step-{step:08}"));
    let _ = std::fs::remove_dir_all(&whole);
    std::fs::rename(&temporary, &whole).map_err(io("renaming", &temporary))?;
    let mut old: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(io("listing", &folder))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("step-")))
        .collect();
    old.sort();
    for path in old.iter().rev().skip(2) {
        let _ = std::fs::remove_dir_all(path);
    }
    Ok(whole)
}

/// Trains as `config` says, from scratch, from `init`, or on from its own newest checkpoint with `resume`.
///
/// `stop` is asked after each step: when it says so, a checkpoint is written and the run ends there.
///
/// # Errors
/// See [`TrainError`]; what was trained until the newest checkpoint stays.
pub fn train(
    config: &RunConfig,
    studies: &[Study],
    device: &Device,
    resume: bool,
    stop: &dyn Fn() -> bool,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<PathBuf, TrainError> {
    let dir = &config.out;
    std::fs::create_dir_all(dir).map_err(io("creating", dir))?;
    let refuse = |reason: String| Err(TrainError::Config { path: dir.clone(), reason });
    if !resume && newest(dir)?.is_some() {
        return refuse(
            "the folder holds a run already; pass --resume to go on with it, or name another out".to_owned(),
        );
    }
    let own = if resume { newest(dir)?.map(|_| Run::open(dir)).transpose()? } else { None };
    if let (Some(run), Some(whole)) = (&own, newest(dir)?)
        && run.step >= config.optim.steps
    {
        return Ok(whole);
    }
    let init = match (&own, &config.init) {
        (None, Some(from)) => Some(Start::open(from)?),
        _ => None,
    };
    let init = init.as_ref();

    let mut training: Vec<Study> = studies.iter().filter(|s| s.split == Split::Train).cloned().collect();
    training.truncate(config.data.limit.unwrap_or(usize::MAX));
    let mut held_out: Vec<Study> = studies.iter().filter(|s| s.split == Split::Validate).cloned().collect();
    held_out.truncate(256);
    if training.is_empty() {
        return Err(TrainError::Empty { reason: "the data set has no study in its training split".to_owned() });
    }

    let mut sizes = match (&own, init) {
        (Some(run), _) => run.model.clone(),
        (None, Some(start)) if config.init_only.is_empty() => start.model.clone(),
        _ => MedVillConfig::preset(&config.preset).unwrap_or_else(MedVillConfig::demo),
    };
    if config.objectives.findings > 0.0 && !sizes.map_findings {
        return refuse(format!("objectives.findings needs a preset with map_findings, {} has none", config.preset));
    }
    let tokenizer = match (&own, init.and_then(|start| start.tokenizer.clone())) {
        (Some(run), _) => Run::tokenizer(&run.dir)?,
        (None, Some(tokenizer)) => tokenizer,
        _ => Tokenizer::train(training.iter().map(|s| training_text(s).to_owned()), sizes.bert.vocabulary)?,
    };
    sizes.bert.vocabulary = tokenizer.vocabulary_size();
    write_folder(config, &tokenizer)?;

    let total = training.len() + held_out.len();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let tick = || {
        let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        progress(Progress::Reading(done, total));
    };
    let corpus = Corpus::read(&training, sizes.size, sizes.words, &tokenizer, &tick)?;
    let validation = Corpus::read(&held_out, sizes.size, sizes.words, &tokenizer, &tick)?;

    // First weights are drawn on the CPU, so that a seed means the same on every device.
    let cpu = Device::flex();
    cpu.seed(config.seed);
    let fresh = nn::parameters(&MedVill::new(&sizes, &cpu)?)?;
    let autodiff = device.clone().autodiff();
    autodiff.seed(config.seed);
    let mut model = nn::load(MedVill::new(&sizes, &autodiff)?, &fresh, &autodiff, false)?;
    if let Some(run) = &own {
        model = nn::load(model, &run.weights, &autodiff, false)?;
    } else if let Some(start) = init {
        let part = !config.init_only.is_empty();
        let first = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        if let Some(odd) = config.init_only.iter().find(|part| !start.weights.keys().any(|name| first(name) == **part))
        {
            return refuse(format!("init_only names {odd:?}, but init has no parameter under that name"));
        }
        let wanted = |name: &str| !part || config.init_only.contains(&first(name));
        let weights = start.weights.iter().filter(|(name, _)| wanted(name));
        let weights = weights.map(|(name, array)| (name.clone(), array.clone())).collect();
        model = nn::load(model, &weights, &autodiff, part)?;
    }
    let frozen = config.optim.image_rate == Some(0.0);
    if frozen {
        model = model.freeze_image();
    }
    let mut optimizer = own.as_ref().map_or_else(AdamW::default, |run| AdamW::restore(&run.optimizer, device));
    let start = own.as_ref().map_or(0, |run| run.step);
    let words = objectives::Words::new(&tokenizer);
    if config.objectives.sides > 0.0 && !words.tell_sides() {
        return refuse(
            "objectives.sides finds no whole left and right in the tokenizer's words; set it to 0".to_owned(),
        );
    }
    // A frozen image encoder sees the same pictures every epoch: its maps are computed once.
    let maps = frozen.then(|| Maps::compute(&model, &corpus, device));
    let validation_maps = frozen.then(|| Maps::compute(&model, &validation, device));

    let mut log = open_log(dir, start)?;
    let began = Instant::now();
    let per_epoch = corpus.examples.len().div_ceil(config.optim.batch);
    let mut batches = (usize::MAX, Vec::new());
    let mut newest_path = PathBuf::new();
    for step in start..config.optim.steps {
        let epoch = step / per_epoch;
        if batches.0 != epoch {
            batches = (epoch, corpus.batches(config.seed, epoch, config.optim.batch));
        }
        let batch = &batches.1[step % per_epoch];
        let mut rng = stream(config.seed ^ 0x5eed, step as u64);
        let features = match &maps {
            Some(maps) => maps.batch(batch, &autodiff),
            None => {
                let shifts = config.data.augment.then_some(&mut rng);
                let picture = model.picture(corpus.pictures(batch, shifts, &autodiff));
                model.encode_image(picture, |_, _| ())
            }
        };
        let examples: Vec<&Example> = batch.iter().map(|&i| &corpus.examples[i]).collect();
        let (total, parts) = losses(&model, features, &examples, config, &words, &mut rng);
        let gradients = total.backward();
        let rate = |peak| warmup_cosine(step, config.optim.steps, config.optim.warmup, peak);
        let (text, image) = (rate(config.optim.rate), rate(config.optim.image_rate.unwrap_or(config.optim.rate)));
        let pace = |name: &str, rank: usize| Pace {
            rate: if name.starts_with("image.") || name.starts_with("map_findings") { image } else { text },
            decay: if rank > 1 { config.optim.weight_decay } else { 0.0 },
        };
        let (moved, norm) = optimizer.step(model, &gradients, config.optim.clip, &pace);
        model = moved;

        // One read-back a step, of all numbers at once.
        let names: Vec<&'static str> = parts.iter().map(|p| p.0).chain(norm.as_ref().map(|_| "norm")).collect();
        let tensors: Vec<Tensor<1>> = parts.into_iter().map(|p| p.1.inner()).chain(norm).collect();
        let numbers: Vec<f32> = Tensor::cat(tensors, 0).into_data().iter::<f32>().collect();
        let values: BTreeMap<&'static str, f32> = names.into_iter().zip(numbers).collect();
        if let Some(loss) = values.values().find(|v| !v.is_finite()) {
            return Err(TrainError::Diverged { step, loss: *loss });
        }
        progress(Progress::Step(step + 1, config.optim.steps, &values));

        let last = step + 1 == config.optim.steps || stop();
        let mut line: BTreeMap<String, f32> = values.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        if last || (step + 1) % config.checkpoint_every == 0 {
            line.extend(validate(&model.valid(), &validation, validation_maps.as_ref(), config, &words, device));
        }
        let seconds = began.elapsed().as_secs_f64();
        let line = Line { step: step + 1, rate: text, seconds, values: line };
        let text = serde_json::to_string(&line).unwrap_or_default();
        writeln!(log, "{text}").map_err(io("writing", &dir.join("metrics.jsonl")))?;
        if last || (step + 1) % config.checkpoint_every == 0 {
            newest_path = save(dir, step + 1, &model, &optimizer)?;
            draw(dir)?;
            progress(Progress::Checkpoint(&newest_path));
        }
        if last {
            break;
        }
    }
    Ok(newest_path)
}

fn write_folder(config: &RunConfig, tokenizer: &Tokenizer) -> Result<(), TrainError> {
    let path = config.out.join("config.toml");
    let text =
        toml::to_string_pretty(config).map_err(|e| TrainError::Config { path: path.clone(), reason: e.to_string() })?;
    std::fs::write(&path, text).map_err(io("writing", &path))?;
    let path = config.out.join("tokenizer.json");
    std::fs::write(&path, tokenizer.to_json()?).map_err(io("writing", &path))
}

/// The log from its beginning, or, when resuming, with the lines after the checkpoint dropped.
fn open_log(dir: &Path, start: usize) -> Result<std::fs::File, TrainError> {
    let path = dir.join("metrics.jsonl");
    let kept: String = std::fs::read_to_string(&path)
        .unwrap_or_default()
        .lines()
        .filter(|line| serde_json::from_str::<Line>(line).is_ok_and(|l| l.step <= start))
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(&path, kept).map_err(io("writing", &path))?;
    std::fs::OpenOptions::new().append(true).open(&path).map_err(io("opening", &path))
}

fn draw(dir: &Path) -> Result<(), TrainError> {
    let path = dir.join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).map_err(io("reading", &path))?;
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in text.lines().filter_map(|l| serde_json::from_str::<Line>(l).ok()) {
        for (name, value) in line.values.into_iter().filter(|(name, _)| name != "norm") {
            series.entry(name).or_default().push((line.step as f64, f64::from(value)));
        }
    }
    for points in series.values_mut() {
        // Training losses are drawn as means of about 200 stretches, else the noise hides the slope.
        let chunk = points.len().div_ceil(200).max(1);
        *points = points
            .chunks(chunk)
            .map(|c| (c[c.len() - 1].0, c.iter().map(|p| p.1).sum::<f64>() / c.len() as f64))
            .collect();
    }
    let path = dir.join("curves.svg");
    std::fs::write(&path, curves::svg(&series.into_iter().collect::<Vec<_>>())).map_err(io("writing", &path))
}

type Parts = Vec<(&'static str, Tensor<1>)>;

fn losses(
    model: &MedVill,
    features: Tensor<3>,
    batch: &[&Example],
    config: &RunConfig,
    words: &objectives::Words,
    rng: &mut rand_chacha::ChaCha8Rng,
) -> (Tensor<1>, Parts) {
    let weights = &config.objectives;
    let mut parts: Parts = Vec::new();
    let mut total: Option<Tensor<1>> = None;
    let mut add = |name, weight: f64, loss: Tensor<1>| {
        parts.push((name, loss.clone()));
        let weighted = loss.mul_scalar(weight);
        total = Some(match total.take() {
            Some(total) => total + weighted,
            None => weighted,
        });
    };
    if weights.findings > 0.0
        && let Some(loss) = objectives::findings(model, features.clone(), batch)
    {
        add("findings", weights.findings, loss);
    }
    if weights.report > 0.0 {
        let (report, sides) = objectives::report(model, features.clone(), batch, words);
        add("report", weights.report, report);
        if let Some(sides) = sides {
            add("sides", weights.sides, sides);
        }
    }
    if weights.mlm > 0.0 {
        add("mlm", weights.mlm, objectives::mlm(model, features.clone(), batch, words, rng));
    }
    // The config refuses a run without a loss; a model without the layer that its only loss needs learns nothing.
    let total = total.unwrap_or_else(|| features.sum().mul_scalar(0.0));
    (total, parts)
}

fn validate(
    model: &MedVill,
    corpus: &Corpus,
    maps: Option<&Maps>,
    config: &RunConfig,
    words: &objectives::Words,
    device: &Device,
) -> BTreeMap<String, f32> {
    let mut sums: BTreeMap<String, (f32, usize)> = BTreeMap::new();
    let (mut right, mut claimed, mut true_all) = (0usize, 0usize, 0usize);
    let (mut sides_right, mut sides) = (0usize, 0usize);
    let indices: Vec<usize> = (0..corpus.examples.len()).collect();
    for (number, batch) in indices.chunks(32).enumerate() {
        let mut rng = stream(config.seed ^ 0xa11d, number as u64);
        let features = match maps {
            Some(maps) => maps.batch(batch, device),
            None => model.encode_image(model.picture(corpus.pictures(batch, None, device)), |_, _| ()),
        };
        let examples: Vec<&Example> = batch.iter().map(|&i| &corpus.examples[i]).collect();
        let (_, parts) = losses(model, features.clone(), &examples, config, words, &mut rng);
        for (name, loss) in parts {
            let entry = sums.entry(format!("validation_{name}")).or_default();
            entry.0 += loss.into_scalar::<f32>() * batch.len() as f32;
            entry.1 += batch.len();
        }
        if config.objectives.findings > 0.0
            && let Some(logits) = model.map_findings(features.clone(), &(0..features.dims()[1]).collect::<Vec<_>>())
        {
            let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
            for (sample, example) in examples.iter().enumerate() {
                for (category, target) in example.findings[0].iter().enumerate().skip(1) {
                    let says = logits[sample * 42 + category] > 0.0;
                    let is = *target == Some(true);
                    right += usize::from(says && is);
                    claimed += usize::from(says);
                    true_all += usize::from(is);
                    if let (true, Some(left), Some(right)) =
                        (is, example.findings[1][category], example.findings[2][category])
                    {
                        let says = |side: usize| logits[sample * 42 + side * 14 + category] > 0.0;
                        sides += 1;
                        sides_right += usize::from(says(1) == left && says(2) == right);
                    }
                }
            }
        }
    }
    let mut out: BTreeMap<String, f32> = sums.into_iter().map(|(k, (sum, n))| (k, sum / n.max(1) as f32)).collect();
    if config.objectives.findings > 0.0 {
        out.insert("validation_side".to_owned(), sides_right as f32 / sides.max(1) as f32);
        out.insert("validation_micro_f1".to_owned(), 2.0 * right as f32 / (claimed + true_all).max(1) as f32);
    }
    out
}
