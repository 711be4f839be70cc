//! What a run begins with: sizes, words, answers and first weights, its own or those of another run or a
//! bundle.

use std::path::Path;

use burn::tensor::Device;

use super::config::RunConfig;
use super::corpus::{answers, training_text};
use super::error::TrainError;
use super::folder::{Run, Which};
use crate::data::Study;
use crate::nn::{self, Arrays};
use crate::systems::learn::{Learner, Place, Settled, Sizes};
use crate::text::Tokenizer;

/// What a run begins with: an earlier run or a bundle.
pub(super) struct Start<C> {
    sizes: C,
    weights: Arrays,
    tokenizer: Option<Tokenizer>,
    answers: Vec<String>,
}

impl<C: Sizes> Start<C> {
    pub(super) fn open(from: &Path) -> Result<Self, TrainError> {
        if !from.join("bundle.json").is_file() {
            let run = Run::open(from, Which::Newest)?;
            let (tokenizer, answers) = (Some(Run::tokenizer(from)?), Run::answers(from)?);
            return Ok(Self {
                sizes: run.sizes()?,
                weights: run.weights,
                tokenizer,
                answers,
            });
        }
        let bundle = crate::bundle::Bundle::open(from)?;
        let manifest = bundle.manifest();
        let sizes = serde_json::from_value(manifest.config.clone()).map_err(|e| TrainError::Run {
            path: from.join("bundle.json"),
            reason: e.to_string(),
        })?;
        let tokenizer = bundle
            .tokenizer()?
            .map(|bytes| Tokenizer::from_json(&bytes))
            .transpose()?;
        Ok(Self {
            sizes,
            weights: bundle.arrays()?,
            tokenizer,
            answers: manifest.answers.clone(),
        })
    }
}

/// Sizes, words and answers: the run's own, those of what it begins with, or new ones.
pub(super) fn prepare<C: Sizes>(
    config: &RunConfig,
    own: Option<&Run>,
    init: Option<&Start<C>>,
    training: &[Study],
    more_words: &[String],
    asks: bool,
) -> Result<(C, Tokenizer, Vec<String>), TrainError> {
    if let Some(run) = own {
        return Ok((run.sizes()?, Run::tokenizer(&run.dir)?, Run::answers(&run.dir)?));
    }
    let sizes: C = match init {
        Some(start) if config.init_only.is_empty() && config.model.is_empty() => start.sizes.clone(),
        _ => config.sizes().map_err(|(key, reason)| TrainError::Config {
            path: config.out.clone(),
            reason: format!("{key} {reason}"),
        })?,
    };
    let tokenizer = match init.and_then(|start| start.tokenizer.clone()) {
        Some(tokenizer) => tokenizer,
        None => {
            let reports = training.iter().map(|s| training_text(s).to_owned());
            let questions = training.iter().flat_map(|s| &s.questions).map(|q| q.text.clone());
            Tokenizer::train(
                reports.chain(questions).chain(more_words.iter().cloned()),
                sizes.vocabulary(),
            )?
        }
    };
    let known = init.map_or(&[][..], |start| &start.answers);
    let answers = match (asks, sizes.answers()) {
        (true, 0) => {
            let own = answers(training, usize::MAX);
            // A head that is gone on with keeps the order of its answers.
            if own.iter().all(|answer| known.contains(answer)) {
                known.to_vec()
            } else {
                own
            }
        }
        (true, _) if !known.is_empty() && known.len() == sizes.answers() => known.to_vec(),
        (true, most) => answers(training, most),
        (false, _) => known.to_vec(),
    };
    let settled = Settled {
        vocabulary: tokenizer.vocabulary_size(),
        answers: answers.len(),
        studies: training.len(),
        on: &|name| config.objectives.get(name).is_some_and(|w| *w > 0.0),
        before: init.map(|start| &start.sizes),
    };
    Ok((sizes.settled(&settled)?, tokenizer, answers))
}

/// The model as the first step finds it, on the autodiff device.
pub(super) fn first_model<S: Learner>(
    config: &RunConfig,
    sizes: &S::Config,
    own: Option<&Run>,
    init: Option<&Start<S::Config>>,
    device: &Device,
) -> Result<S, TrainError> {
    // First weights are drawn on the CPU, so that a seed means the same on every device.
    let cpu = Device::flex();
    cpu.seed(config.seed);
    let fresh = nn::parameters(&S::random(sizes, &cpu)?)?;
    let autodiff = device.clone().autodiff();
    let mut model = nn::load(S::random(sizes, &autodiff)?, &fresh, &autodiff, false)?;
    if let Some(run) = own {
        model = nn::load(model, &run.weights, &autodiff, false)?;
    } else if let Some(start) = init {
        let first = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        if let Some(odd) = config
            .init_only
            .iter()
            .find(|part| !start.weights.keys().any(|name| first(name) == **part))
        {
            let reason = format!("init_only names {odd:?}, but init has no parameter under that name");
            return Err(TrainError::Run {
                path: config.out.clone(),
                reason,
            });
        }
        let wanted = |name: &str| config.init_only.is_empty() || config.init_only.contains(&first(name));
        // A head that only one of the two has is no fault: tasks differ.
        let shapes = nn::shapes(&model);
        let head = |name: &str| S::place(name) == Place::Head;
        let fits =
            |name: &str, shape: &Vec<usize>| shapes.get(name).is_some_and(|s| s == shape) || !head(name);
        let weights = start
            .weights
            .iter()
            .filter(|(name, array)| wanted(name) && fits(name, &array.shape));
        let weights: Arrays = weights
            .map(|(name, array)| (name.clone(), array.clone()))
            .collect();
        if config.init_only.is_empty()
            && let Some(missing) = shapes
                .keys()
                .find(|name| !head(name) && !weights.contains_key(*name))
        {
            let reason = format!("init lacks {missing}; name what to take from it in init_only");
            return Err(TrainError::Run {
                path: config.out.clone(),
                reason,
            });
        }
        model = nn::load(model, &weights, &autodiff, true)?;
    }
    Ok(if config.optim.image_rate == Some(0.0) {
        model.freeze_backbone()
    } else {
        model
    })
}

/// Tells which keys differ from those with which the run began.
pub(super) fn tell_changes(config: &RunConfig, tell: &dyn Fn(&str)) {
    let Ok(text) = std::fs::read_to_string(config.out.join("config.toml")) else {
        return;
    };
    let (Ok(before), Ok(now)) = (text.parse::<toml::Table>(), toml::Table::try_from(config)) else {
        return;
    };
    for (key, value) in &now {
        let Some(was) = before.get(key).filter(|was| *was != value) else {
            continue;
        };
        let parts = value.as_table().into_iter().flat_map(|t| t.keys());
        let changed = parts.filter(|part| was.get(part.as_str()) != value.get(part.as_str()));
        let names: Vec<String> = changed.map(|part| format!("{key}.{part}")).collect();
        let names = if names.is_empty() {
            key.clone()
        } else {
            names.join(", ")
        };
        tell(&format!(
            "{names} changed since the run began: it will not end as it would have"
        ));
    }
}
