//! The loop: order, schedule, parts of a batch, clipping, EMA, validation, checkpoints. One for all systems.
//!
//! Whatever is drawn at step n depends on the seed and n alone, so that a run that was broken off and resumed
//! does what it would have done (on the CPU bit for bit).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::config::{OptimConfig, RunConfig};
use super::corpus::{Corpus, Drawn};
use super::error::TrainError;
use super::feature_cache::FeatureCache;
use super::folder::{self, BestSoFar, Line, Run, State, Tensors};
use super::init::frozen_parts;
use super::optimizer::{GradientAccumulator, Optimizer, ParamOptions};
use super::schedule::Schedule;
use super::validate::{Validation, restore_memory, save_memory};
use crate::nn::{self, Ema, stream};
use crate::systems::Trainable;
use crate::systems::train::{
    Images, Losses, Memory, ParamGroup, Progress as StepProgress, StepContext, Vocabulary, Weights,
};

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

/// A run between its first step and its last.
pub(super) struct Loop<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) device: &'a Device,
    pub(super) vocabulary: Vocabulary,
    pub(super) corpus: Corpus,
    pub(super) validation: Corpus,
    pub(super) held_out: Validation,
    pub(super) own: Option<Run>,
    pub(super) stop: &'a dyn Fn() -> bool,
    pub(super) progress: &'a dyn Fn(Progress<'_>),
}

/// The parts of one step's batch, ready for the network, or why there are none.
type Ready = Result<Vec<Drawn>, TrainError>;

impl Loop<'_> {
    /// Trains to the end, or until it is stopped; the newest checkpoint's folder.
    pub(super) fn run<S: Trainable>(&self, model: S) -> Result<PathBuf, TrainError> {
        let start = self.own.as_ref().map_or(0, |run| run.step);
        let frozen = !frozen_parts(&model, self.config).is_empty();
        let still = |corpus: &Corpus| frozen && corpus.has_images();
        // A frozen image encoder sees the same images every epoch: its features are computed once, where they fit.
        let whole =
            still(&self.corpus) && self.config.data.augment.get().is_none() && self.corpus.views() == 1;
        let features = if whole && backbone_is_frozen(&model, self.config) {
            FeatureCache::of(&model, &self.corpus, self.device)?
        } else {
            None
        };
        let whole = still(&self.validation) && self.validation.views() == 1;
        let held_out = if whole && backbone_is_frozen(&model, self.config) {
            FeatureCache::of(&model, &self.validation, self.device)?
        } else {
            None
        };
        let (with_pixels, steps) = (features.is_none(), start..self.config.optim.steps);
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
            self.steps(model, start, features.as_ref(), held_out.as_ref(), &receiver)
        })
    }

    fn steps<S: Trainable>(
        &self,
        mut model: S,
        start: usize,
        features: Option<&FeatureCache>,
        held_out: Option<&FeatureCache>,
        ready: &Receiver<Ready>,
    ) -> Result<PathBuf, TrainError> {
        let (config, dir) = (self.config, &self.config.out);
        let optim = &config.optim;
        let autodiff = self.device.clone().autodiff();
        let mut optimizer = Optimizer::new(optim.method, optim.betas, optim.momentum);
        let mut ema = (optim.ema > 0.0).then(|| Ema::new(model.valid(), optim.ema));
        let (mut best, mut memory) = (None, Memory::default());
        if let Some(run) = &self.own {
            optimizer.restore(run.state.optimizer_steps, &run.optimizer, self.device);
            best = run.state.best;
            memory = restore_memory(run, self.device)?;
            if let (Some(own), Some(weights)) = (&mut ema, &run.average) {
                own.module = nn::load(own.module.clone(), weights, self.device, false)?;
            }
        }
        let (schedule, layers) = (schedule(optim), model.layers());
        let mut log = folder::open_log(dir, start)?;
        let (began, mut waited) = (Instant::now(), 0.0);
        let mut newest = PathBuf::new();
        for step in start..optim.steps {
            let mut rng = stream(config.seed ^ MIX, step as u64);
            let weights = config.weights(rng.random());
            let mut sum = GradientAccumulator::default();
            let at = StepProgress {
                step,
                steps: optim.steps,
            };
            let mut named: BTreeMap<&'static str, Tensor<1>> = BTreeMap::new();
            let asked = Instant::now();
            let drawn = ready.recv();
            waited += asked.elapsed().as_secs_f64();
            let parts = match drawn {
                Ok(Ok(parts)) => parts,
                Ok(Err(error)) => {
                    // Nothing is lost to a damaged picture.
                    if step > start {
                        self.save(step, &model, &optimizer, ema.as_ref(), &memory, best, false)?;
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
                let images = match features {
                    Some(features) => Images::Features(features.batch(&drawn.studies, &autodiff)),
                    None if drawn.pixels.is_empty() => Images::None,
                    None => Images::Pixels(self.corpus.tensor(std::mem::take(&mut drawn.pixels), &autodiff)),
                };
                // Dropout draws from the device, masks from the stream: both begin anew with each part.
                let place = (step * optim.accumulate + part) as u64;
                let mut rng = stream(config.seed ^ DRAW ^ 1, place);
                autodiff.seed(stream(config.seed ^ DROPOUT, place).random());
                let mut context = StepContext {
                    weights: &weights,
                    rng: &mut rng,
                    progress: at,
                    teacher: ema.as_ref().map(|ema| &ema.module),
                    memory: &mut memory,
                    vocabulary: &self.vocabulary,
                };
                let losses = model.losses(&self.corpus.batch(&drawn, images), &mut context);
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
            let options = |name: &str, rank: usize| {
                param_options(optim, layers, schedule.at(step), S::param_group(name), rank)
            };
            let (moved, norm) = optimizer.step(model.clone(), &sum, optim.clip, &options);
            model = moved.after_step(at);
            ema = ema.map(|ema| ema.update(&model));
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
                let judged = ema
                    .as_ref()
                    .map_or_else(|| model.valid(), |ema| ema.module.clone());
                values.extend(self.validate(&judged, held_out)?);
                values.extend(self.held_out.score(judged, self.device)?);
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
            let (seconds, lr) = (began.elapsed().as_secs_f64(), optim.lr * schedule.at(step));
            folder::log(
                &mut log,
                dir,
                &Line {
                    step: step + 1,
                    lr,
                    seconds,
                    waited,
                    values,
                },
            )?;
            if checkpoint {
                newest = self.save(step + 1, &model, &optimizer, ema.as_ref(), &memory, best, is_best)?;
                folder::draw(dir)?;
                (self.progress)(Progress::Checkpoint(&newest));
            }
            if last {
                for remark in model.remarks() {
                    (self.progress)(Progress::Note(&remark));
                }
                break;
            }
        }
        Ok(newest)
    }

    #[allow(clippy::too_many_arguments, reason = "a checkpoint is that many things")]
    fn save<S: Trainable>(
        &self,
        step: usize,
        model: &S,
        optimizer: &Optimizer,
        ema: Option<&Ema<S>>,
        memory: &Memory,
        best: Option<BestSoFar>,
        is_best: bool,
    ) -> Result<PathBuf, TrainError> {
        let own = serde_json::to_value(model.config()).map_err(|e| TrainError::Run {
            path: self.config.out.clone(),
            reason: e.to_string(),
        })?;
        let state = State {
            step,
            optimizer_steps: optimizer.steps(),
            model: own,
            best,
            queues: memory
                .queues
                .iter()
                .map(|(name, queue)| Ok((name.clone(), queue.state()?.1)))
                .collect::<Result<_, TrainError>>()?,
        };
        let tensors = Tensors {
            // `valid` brings running statistics up to the last update; a plain visit finds them one update behind.
            weights: nn::parameters(&model.valid())?,
            optimizer: optimizer.state()?,
            average: ema.map(|ema| nn::parameters(&ema.module)).transpose()?,
            memory: save_memory(memory)?,
        };
        folder::save(&self.config.out, &state, &tensors, is_best)
    }

    /// Mean losses over the held-out examples, on their pixels unless a frozen encoder's features serve.
    fn validate<S: Trainable>(
        &self,
        model: &S,
        features: Option<&FeatureCache>,
    ) -> Result<BTreeMap<String, f32>, TrainError> {
        // By name: what was summed, and over how much.
        let mut sums: BTreeMap<&str, (f32, f32)> = BTreeMap::new();
        let weights = Weights(self.config.objectives.clone());
        // What a loss remembers of training is not touched by validation.
        let mut memory = Memory::default();
        let indices: Vec<usize> = (0..self.validation.len()).collect();
        for (number, batch) in indices.chunks(VALIDATION_BATCH).enumerate() {
            let mut rng = stream(self.config.seed ^ VALIDATION, number as u64);
            let mut drawn = self.validation.draw(batch, &mut rng, None, features.is_none())?;
            let images = match features {
                Some(features) => Images::Features(features.batch(&drawn.studies, self.device)),
                None if drawn.pixels.is_empty() => Images::None,
                None => Images::Pixels(
                    self.validation
                        .tensor(std::mem::take(&mut drawn.pixels), self.device),
                ),
            };
            let mut context = StepContext {
                weights: &weights,
                rng: &mut rng,
                progress: StepProgress {
                    step: self.config.optim.steps,
                    steps: self.config.optim.steps,
                },
                teacher: None,
                memory: &mut memory,
                vocabulary: &self.vocabulary,
            };
            let count = batch.len() as f32;
            for (name, loss) in model.losses(&self.validation.batch(&drawn, images), &mut context) {
                let value = loss.into_data().iter::<f32>().sum::<f32>();
                let sum = sums.entry(name).or_default();
                *sum = (sum.0 + value * count, sum.1 + count);
            }
        }
        let mean = |(name, (sum, count)): (&str, (f32, f32))| (format!("validation_{name}"), sum / count);
        Ok(sums.into_iter().map(mean).collect())
    }
}

/// Whether all of the image encoder is frozen.
fn backbone_is_frozen<S: Trainable>(model: &S, config: &RunConfig) -> bool {
    let parts = frozen_parts(model, config);
    let frozen = |name: &String| parts.iter().any(|part| name.split('.').next() == Some(part));
    let backbone = nn::shapes(model).into_keys();
    backbone
        .filter(|name| S::stands_before_cached(name))
        .all(|name| frozen(&name))
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
        let part = corpus.draw(&batch[from..to], &mut rng, config.data.augment.get(), with_pixels)?;
        drawn.push(Drawn {
            share: (to - from) as f64 / batch.len() as f64,
            ..part
        });
    }
    Ok(drawn)
}

/// The weighted sum; `None` where nothing was found to learn from.
fn total(losses: &Losses, weights: &Weights) -> Option<Tensor<1>> {
    let weighted = losses
        .iter()
        .map(|(name, loss)| loss.clone().mul_scalar(weights.of(name)));
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
    Schedule {
        decay: optim.schedule,
        warmup_steps: (optim.warmup * optim.steps as f64).max(1.0),
        steps: optim.steps,
        min_lr: optim.min_lr,
        power: optim.power,
    }
}

/// Learning rate and decay of a parameter: by where it stands, and no decay for norms and biases.
fn param_options(
    optim: &OptimConfig,
    layers: usize,
    share: f64,
    group: ParamGroup,
    rank: usize,
) -> ParamOptions {
    let decayed = |layer: usize| {
        optim
            .layer_decay
            .powi((layers + 1 - layer.min(layers + 1)) as i32)
    };
    let lr = match group {
        ParamGroup::Backbone => optim.backbone_lr.unwrap_or(optim.lr * decayed(0)),
        ParamGroup::Layer(layer) => optim.lr * decayed(layer),
        ParamGroup::Head => optim.head_lr.unwrap_or(optim.lr),
    };
    ParamOptions {
        lr: lr * share,
        weight_decay: if rank > 1 { optim.weight_decay } else { 0.0 },
    }
}

#[cfg(test)]
mod tests;
