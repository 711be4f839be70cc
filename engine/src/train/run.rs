//! The loop: order, schedule, parts of a batch, clipping, average, validation, checkpoints. One for all
//! systems.
//!
//! Whatever is drawn at step n depends on the seed and n alone, so that a run that was broken off and resumed
//! does what it would have done (on the CPU to the last bit).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::average::Average;
use super::config::{OptimConfig, RunConfig};
use super::corpus::{Corpus, Drawn};
use super::error::{TrainError, io};
use super::folder::{self, BestSoFar, Line, Run, State, Tensors, Which};
use super::maps::Maps;
use super::optimizer::{Optimizer, Pace, Sum};
use super::schedule::Schedule;
use super::start::{Start, first_model, prepare, tell_changes};
use crate::data::{Split, Study};
use crate::nn;
use crate::systems::SYSTEMS;
use crate::systems::learn::{Learner, Losses, Pictures, Place, Sizes, Words, stream};
use crate::systems::medvill::{MedVill, MedVillConfig};

/// Purposes of random streams beside the order of the examples.
const DRAW: u64 = 0x5eed;
const MIX: u64 = 0x1a7e;
const DROPOUT: u64 = 0xd409;
const VALIDATION: u64 = 0xa11d;

/// Batches that are made ready ahead of the loop.
const AHEAD: usize = 4;

/// Most examples of validation in one pass.
const VALIDATION_BATCH: usize = 32;

/// What the loop tells while it runs.
pub enum Progress<'a> {
    /// Something worth knowing.
    Note(&'a str),
    /// A step is done: number, of so many, losses by name.
    Step(usize, usize, &'a BTreeMap<String, f32>),
    /// A checkpoint was written.
    Checkpoint(&'a Path),
}

/// Trains as `config` says, from scratch, from `init`, or on from its own newest checkpoint with `resume`.
///
/// `more_words` are further texts for the tokenizer. `stop` is asked after each step: when it says so, a checkpoint is
/// written and the run ends there.
///
/// # Errors
/// See [`TrainError`]; what was trained until the newest checkpoint stays.
pub fn train(
    config: &RunConfig,
    studies: &[Study],
    more_words: &[String],
    device: &Device,
    resume: bool,
    stop: &dyn Fn() -> bool,
    progress: &dyn Fn(Progress<'_>),
) -> Result<PathBuf, TrainError> {
    match config.system.as_str() {
        MedVillConfig::SYSTEM => {
            train_as::<MedVill>(config, studies, more_words, device, resume, stop, progress)
        }
        other => {
            let reason = format!(
                "system {other:?} is not one of: {}",
                SYSTEMS.map(|s| s.name).join(", ")
            );
            Err(TrainError::Config {
                path: config.out.clone(),
                reason,
            })
        }
    }
}

/// [`train`] for one system.
pub(super) fn train_as<S: Learner>(
    config: &RunConfig,
    studies: &[Study],
    more_words: &[String],
    device: &Device,
    resume: bool,
    stop: &dyn Fn() -> bool,
    progress: &dyn Fn(Progress<'_>),
) -> Result<PathBuf, TrainError> {
    let dir = &config.out;
    let refuse = |reason: String| {
        Err(TrainError::Run {
            path: dir.clone(),
            reason,
        })
    };
    let whole = folder::newest(dir)?;
    if !resume && whole.is_some() {
        return refuse(
            "it holds a run already; pass --resume to go on with it, or name another out".to_owned(),
        );
    }
    std::fs::create_dir_all(dir).map_err(io("creating", dir))?;
    let own = whole
        .as_ref()
        .map(|_| Run::open(dir, Which::Newest))
        .transpose()?;
    if let (Some(run), Some(whole)) = (&own, whole)
        && run.step >= config.optim.steps
    {
        return Ok(whole);
    }
    let init = match (&own, &config.init) {
        (None, Some(from)) => Some(Start::open(from)?),
        _ => None,
    };
    if own.is_some() {
        tell_changes(config, &|note| progress(Progress::Note(note)));
    }

    let part = |splits: &[Split], most: usize| -> Vec<Study> {
        let shown = |s: &&Study| s.has_image() && (!config.data.by_question || !s.questions.is_empty());
        studies
            .iter()
            .filter(|s| splits.contains(&s.split))
            .filter(shown)
            .take(most)
            .cloned()
            .collect()
    };
    let (learned, judged): (&[Split], &[Split]) = match config.data.all {
        true => (&[Split::Train, Split::Validate], &[]),
        false => (&[Split::Train], &[Split::Validate]),
    };
    let training = part(learned, config.data.limit.unwrap_or(usize::MAX));
    let held_out = part(judged, config.data.validate_limit);
    if training.is_empty() {
        let what = if config.data.by_question {
            "picture with questions"
        } else {
            "study with a picture"
        };
        return Err(TrainError::Empty {
            reason: format!("the data sets have no {what} in their training split"),
        });
    }

    let asks = config.objectives.get("vqa").is_some_and(|w| *w > 0.0);
    let (sizes, tokenizer, answers) =
        prepare::<S::Config>(config, own.as_ref(), init.as_ref(), &training, more_words, asks)?;
    let words = Words::new(&tokenizer);
    if config.objectives.get("sides").is_some_and(|w| *w > 0.0) && !words.tell_sides() {
        return refuse(
            "objectives.sides finds no whole left and right in the tokenizer's words; set it to 0".to_owned(),
        );
    }
    if asks && answers.is_empty() {
        return refuse(
            "objectives.vqa finds no question in the training split; give data with questions".to_owned(),
        );
    }
    folder::write_about(config, &tokenizer, &answers)?;
    let corpus = |studies: &[Study]| {
        Corpus::new(
            studies,
            sizes.picture(),
            sizes.words(),
            &tokenizer,
            &answers,
            &config.data,
        )
    };
    let (corpus, validation) = (corpus(&training)?, corpus(&held_out)?);

    let mut model: S = first_model(config, &sizes, own.as_ref(), init.as_ref(), device)?;
    if own.is_none() {
        model = model.count(&corpus.examples);
    }
    Loop {
        config,
        device,
        words,
        corpus,
        validation,
        own,
        stop,
        progress,
    }
    .run(model)
}

struct Loop<'a> {
    config: &'a RunConfig,
    device: &'a Device,
    words: Words,
    corpus: Corpus,
    validation: Corpus,
    own: Option<Run>,
    stop: &'a dyn Fn() -> bool,
    progress: &'a dyn Fn(Progress<'_>),
}

/// The parts of one step's batch, ready for the network, or why there are none.
type Ready = Result<Vec<Drawn>, TrainError>;

impl Loop<'_> {
    fn run<S: Learner>(&self, model: S) -> Result<PathBuf, TrainError> {
        let start = self.own.as_ref().map_or(0, |run| run.step);
        let frozen = self.config.optim.image_rate == Some(0.0);
        // A frozen image encoder sees the same pictures every epoch: its maps are computed once, where they
        // fit.
        let still = frozen && !self.config.data.augment;
        let maps = if still {
            Maps::of(&model, &self.corpus, self.device)?
        } else {
            None
        };
        let held_out = if frozen {
            Maps::of(&model, &self.validation, self.device)?
        } else {
            None
        };
        let (with_pixels, steps) = (maps.is_none(), start..self.config.optim.steps);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<Ready>(AHEAD);
            let (corpus, config) = (&self.corpus, self.config);
            scope.spawn(move || {
                let mut epoch = (usize::MAX, Vec::new());
                for step in steps {
                    let ready = parts(corpus, config, step, &mut epoch, with_pixels);
                    let last = ready.is_err();
                    // The loop is gone when nobody takes it.
                    if sender.send(ready).is_err() || last {
                        return;
                    }
                }
            });
            self.steps(model, start, maps.as_ref(), held_out.as_ref(), &receiver)
        })
    }

    fn steps<S: Learner>(
        &self,
        mut model: S,
        start: usize,
        maps: Option<&Maps>,
        held_out: Option<&Maps>,
        ready: &Receiver<Ready>,
    ) -> Result<PathBuf, TrainError> {
        let (config, dir) = (self.config, &self.config.out);
        let optim = &config.optim;
        let autodiff = self.device.clone().autodiff();
        let mut optimizer = Optimizer::new(optim.method, optim.betas, optim.momentum);
        let mut average = (optim.ema > 0.0).then(|| Average::new(model.valid(), optim.ema));
        let mut best = None;
        if let Some(run) = &self.own {
            optimizer.restore(run.state.optimizer_steps, &run.optimizer, self.device);
            best = run.state.best;
            if let (Some(own), Some(weights)) = (&mut average, &run.average) {
                own.module = nn::load(own.module.clone(), weights, self.device, false)?;
            }
        }
        let (schedule, depth) = (schedule(optim), model.depth());
        let mut log = folder::open_log(dir, start)?;
        let (began, mut waited) = (Instant::now(), 0.0);
        let mut newest = PathBuf::new();
        for step in start..optim.steps {
            let mut rng = stream(config.seed ^ MIX, step as u64);
            let weights = config.weights(rng.random());
            let mut sum = Sum::default();
            let mut named: BTreeMap<&'static str, Tensor<1>> = BTreeMap::new();
            let asked = Instant::now();
            let drawn = ready.recv();
            waited += asked.elapsed().as_secs_f64();
            let parts = match drawn {
                Ok(Ok(parts)) => parts,
                Ok(Err(error)) => {
                    // Nothing is lost to a damaged picture.
                    if step > start {
                        self.save(step, &model, &optimizer, average.as_ref(), best, false)?;
                    }
                    return Err(error);
                }
                Err(_) => {
                    let reason = "no batch came: the thread that reads pictures ended".to_owned();
                    return Err(TrainError::Run {
                        path: dir.clone(),
                        reason,
                    });
                }
            };
            for (part, mut drawn) in parts.into_iter().enumerate() {
                let pictures = match maps {
                    Some(maps) => Pictures::Features(maps.batch(&drawn.studies, &autodiff)),
                    None => {
                        Pictures::Pixels(self.corpus.tensor(std::mem::take(&mut drawn.pixels), &autodiff))
                    }
                };
                // Dropout draws from the device, masks from the stream: both begin anew with each part.
                let place = (step * optim.accumulate + part) as u64;
                let mut rng = stream(config.seed ^ DRAW ^ 1, place);
                autodiff.seed(stream(config.seed ^ DROPOUT, place).random());
                let losses = model.losses(
                    &self.corpus.batch(&drawn, pictures),
                    &weights,
                    &self.words,
                    &mut rng,
                );
                let Some(total) = total(&losses, &weights) else {
                    continue;
                };
                sum.add(&model, &total.backward(), drawn.share);
                for (name, loss) in losses {
                    let loss = loss.inner().mul_scalar(drawn.share);
                    named
                        .entry(name)
                        .and_modify(|sum| *sum = sum.clone() + loss.clone())
                        .or_insert(loss);
                }
            }
            let pace = |name: &str, rank: usize| pace(optim, depth, schedule.at(step), S::place(name), rank);
            let (moved, norm) = optimizer.step(model.clone(), &sum, optim.clip, &pace);
            model = moved;
            average = average.map(|average| average.update(&model));
            let values = read_back(named, norm);
            if let Some(loss) = values.values().find(|v| !v.is_finite()) {
                return Err(TrainError::Diverged { step, loss: *loss });
            }
            (self.progress)(Progress::Step(step + 1, optim.steps, &values));

            let last = step + 1 == optim.steps || (self.stop)();
            let checkpoint = last || (step + 1).is_multiple_of(config.checkpoint_every);
            let mut values = values;
            let mut is_best = false;
            if checkpoint {
                let judged = average
                    .as_ref()
                    .map_or_else(|| model.valid(), |average| average.module.clone());
                values.extend(self.validate(&judged, held_out)?);
                if let Some((wanted, value)) =
                    config.best.as_ref().and_then(|b| Some((b, *values.get(&b.key)?)))
                {
                    let better = |than: f32| if wanted.higher { value > than } else { value < than };
                    is_best = best.is_none_or(|b: BestSoFar| better(b.value));
                    if is_best {
                        best = Some(BestSoFar {
                            value,
                            step: step + 1,
                        });
                    }
                } else if let Some(wanted) = &config.best {
                    let known: Vec<&str> = values.keys().map(String::as_str).collect();
                    let reason = format!(
                        "best.key {:?} is not measured; there are {}",
                        wanted.key,
                        known.join(", ")
                    );
                    return Err(TrainError::Run {
                        path: dir.clone(),
                        reason,
                    });
                }
            }
            let (seconds, rate) = (began.elapsed().as_secs_f64(), optim.rate * schedule.at(step));
            folder::log(
                &mut log,
                dir,
                &Line {
                    step: step + 1,
                    rate,
                    seconds,
                    waited,
                    values,
                },
            )?;
            if checkpoint {
                newest = self.save(step + 1, &model, &optimizer, average.as_ref(), best, is_best)?;
                folder::draw(dir)?;
                (self.progress)(Progress::Checkpoint(&newest));
            }
            if last {
                break;
            }
        }
        Ok(newest)
    }

    fn save<S: Learner>(
        &self,
        step: usize,
        model: &S,
        optimizer: &Optimizer,
        average: Option<&Average<S>>,
        best: Option<BestSoFar>,
        is_best: bool,
    ) -> Result<PathBuf, TrainError> {
        let sizes = serde_json::to_value(model.sizes()).map_err(|e| TrainError::Run {
            path: self.config.out.clone(),
            reason: e.to_string(),
        })?;
        let state = State {
            step,
            optimizer_steps: optimizer.steps(),
            model: sizes,
            best,
        };
        let tensors = Tensors {
            // `valid` brings running statistics up to the last update; a plain visit finds them one update behind.
            weights: nn::parameters(&model.valid())?,
            optimizer: optimizer.state()?,
            average: average.map(|a| nn::parameters(&a.module)).transpose()?,
        };
        folder::save(&self.config.out, &state, &tensors, is_best)
    }

    /// Mean losses and measures over the held-out examples.
    fn validate<S: Learner>(
        &self,
        model: &S,
        maps: Option<&Maps>,
    ) -> Result<BTreeMap<String, f32>, TrainError> {
        // By name: what was summed, and over how much.
        let mut sums: BTreeMap<&str, (f32, f32)> = BTreeMap::new();
        let mut shares: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        let indices: Vec<usize> = (0..self.validation.len()).collect();
        for (number, batch) in indices.chunks(VALIDATION_BATCH).enumerate() {
            let mut rng = stream(self.config.seed ^ VALIDATION, number as u64);
            let mut drawn = self
                .validation
                .draw(batch, &mut rng, false, false, maps.is_none())?;
            let pictures = match maps {
                Some(maps) => maps.batch(&drawn.studies, self.device),
                None => model.features(
                    self.validation
                        .tensor(std::mem::take(&mut drawn.pixels), self.device),
                ),
            };
            let batch = self.validation.batch(&drawn, Pictures::Features(pictures));
            let count = batch.examples.len() as f32;
            for (name, loss) in model.losses(&batch, &self.config.objectives, &self.words, &mut rng) {
                let sum = sums.entry(name).or_insert((0.0, 0.0));
                *sum = (sum.0 + loss.into_scalar::<f32>() * count, sum.1 + count);
            }
            for (name, right, of) in model.measures(&batch, &self.config.objectives, &self.words) {
                let share = shares.entry(name).or_insert((0.0, 0.0));
                *share = (share.0 + right, share.1 + of);
            }
        }
        let losses = sums
            .into_iter()
            .map(|(name, (sum, count))| (name, sum / count.max(1.0)));
        let measures = shares
            .into_iter()
            .map(|(name, (right, of))| (name, (right / of.max(1.0)) as f32));
        Ok(losses
            .chain(measures)
            .map(|(name, value)| (format!("validation_{name}"), value))
            .collect())
    }
}

/// The parts of step `step`, each drawn from its own stream; `epoch` keeps the order of the epoch that was
/// last asked for.
fn parts(
    corpus: &Corpus,
    config: &RunConfig,
    step: usize,
    epoch: &mut (usize, Vec<Vec<usize>>),
    with_pixels: bool,
) -> Ready {
    let (size, parts) = (config.optim.batch, config.optim.accumulate);
    let per_epoch = corpus.len().div_ceil(size);
    let number = step / per_epoch;
    if epoch.0 != number {
        *epoch = (number, corpus.batches(config.seed, number, size));
    }
    let batch = &epoch.1[step % per_epoch];
    let mut drawn = Vec::with_capacity(parts);
    for part in 0..parts {
        let (from, to) = (batch.len() * part / parts, batch.len() * (part + 1) / parts);
        if from == to {
            continue;
        }
        let mut rng = stream(config.seed ^ DRAW, (step * parts + part) as u64);
        let part = corpus.draw(&batch[from..to], &mut rng, config.data.augment, true, with_pixels)?;
        drawn.push(Drawn {
            share: (to - from) as f64 / batch.len() as f64,
            ..part
        });
    }
    Ok(drawn)
}

/// The weighted sum; `None` where nothing was found to learn from.
fn total(losses: &Losses, weights: &BTreeMap<String, f64>) -> Option<Tensor<1>> {
    let weighted = losses.iter().map(|(name, loss)| {
        loss.clone()
            .mul_scalar(weights.get(*name).copied().unwrap_or(0.0))
    });
    weighted.reduce(|sum, loss| sum + loss)
}

/// All numbers of a step in one reading back.
fn read_back(named: BTreeMap<&'static str, Tensor<1>>, norm: Option<Tensor<1>>) -> BTreeMap<String, f32> {
    let names: Vec<String> = named
        .keys()
        .map(|n| (*n).to_owned())
        .chain(norm.as_ref().map(|_| "norm".to_owned()))
        .collect();
    let tensors: Vec<Tensor<1>> = named.into_values().chain(norm).collect();
    if tensors.is_empty() {
        return BTreeMap::new();
    }
    let numbers: Vec<f32> = Tensor::cat(tensors, 0).into_data().iter::<f32>().collect();
    names.into_iter().zip(numbers).collect()
}

fn schedule(optim: &OptimConfig) -> Schedule {
    let rise = (optim.warmup * optim.steps as f64).max(1.0);
    Schedule {
        fall: optim.schedule,
        rise,
        steps: optim.steps,
        floor: optim.floor,
        power: optim.power,
    }
}

/// Rate and decay of a parameter: by where it stands, and no decay for norms and biases.
fn pace(optim: &OptimConfig, depth: usize, share: f64, place: Place, rank: usize) -> Pace {
    let decayed = |layer: usize| optim.layer_decay.powi((depth + 1 - layer.min(depth + 1)) as i32);
    let rate = match place {
        Place::Backbone => optim.image_rate.unwrap_or(optim.rate * decayed(0)),
        Place::Layer(layer) => optim.rate * decayed(layer),
        Place::Head => optim.head_rate.unwrap_or(optim.rate),
    };
    Pace {
        rate: rate * share,
        decay: if rank > 1 { optim.weight_decay } else { 0.0 },
    }
}

#[cfg(test)]
mod tests;
