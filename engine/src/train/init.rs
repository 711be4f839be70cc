//! What a run begins with: sizes, words, answers and first weights, its own or those of another run or a
//! bundle.

use std::path::Path;

use burn::tensor::Device;

use super::config::RunConfig;
use super::corpus::answers;
use super::error::TrainError;
use super::folder::{Run, Which};
use crate::data::Study;
use crate::nn::{self, Arrays};
use crate::systems::train::{ParamGroup, Vocabulary};
use crate::systems::{DataFacts, SystemConfig, Trainable};
use crate::text::{Finding, LabelName, LabelSet, Mesh, Specials, Tokenizer, has_han, plain_name};

/// What a run begins with: an earlier run or a bundle.
pub(super) struct Init {
    system: String,
    config: serde_json::Value,
    weights: Arrays,
    tokenizer: Option<Tokenizer>,
    answers: Vec<String>,
}

impl Init {
    pub(super) fn open(from: &Path) -> Result<Self, TrainError> {
        if !from.join("bundle.json").is_file() {
            let run = Run::open(from, Which::Newest)?;
            return Ok(Self {
                system: run.config()?.system,
                config: run.model.clone(),
                tokenizer: Run::tokenizer(from)?,
                answers: Run::answers(from)?,
                weights: run.weights,
            });
        }
        let bundle = crate::bundle::Bundle::open(from)?;
        let manifest = bundle.manifest();
        let tokenizer = bundle
            .tokenizer()?
            .map(|bytes| Tokenizer::from_json(&bytes))
            .transpose()?;
        Ok(Self {
            system: manifest.system.clone(),
            config: manifest.config.clone(),
            weights: bundle.arrays()?,
            tokenizer,
            answers: manifest.answers.clone(),
        })
    }

    /// Its config, as that of a system.
    fn config<C: SystemConfig>(&self, from: &Path) -> Result<C, TrainError> {
        let refuse = |reason: String| TrainError::Run {
            path: from.to_owned(),
            reason,
        };
        if self.system != C::NAME {
            return Err(refuse(format!(
                "it is of the system {}, and this run of {}; begin with one of the same system, or name in init_only what both \
                 have",
                self.system,
                C::NAME
            )));
        }
        let wrong = |e: serde_json::Error| refuse(format!("its model is not one of {}: {e}", C::NAME));
        serde_json::from_value(self.config.clone()).map_err(wrong)
    }
}

/// What is settled before the first step.
pub(super) struct Prepared<C> {
    /// The model's config.
    pub model: C,
    /// The tokenizer; `None` where nothing is read.
    pub tokenizer: Option<Tokenizer>,
    /// The answers that are known.
    pub answers: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl<C> Prepared<C> {
    /// The special tokens.
    pub(super) fn specials(&self) -> Specials {
        self.tokenizer
            .as_ref()
            .map_or(Specials::BERT, Tokenizer::specials)
    }
}

/// Config, tokenizer and answers (`reads`: whether an objective reads reports): the run's own, those of what it begins with, or new ones.
pub(super) fn prepare<C: SystemConfig>(
    config: &RunConfig,
    reads: bool,
    own: Option<&Run>,
    init: Option<&Init>,
    training: &[Study],
    more_words: &[String],
) -> Result<Prepared<C>, TrainError> {
    if let Some(run) = own {
        return Ok(Prepared {
            model: run.model_config()?,
            tokenizer: Run::tokenizer(&run.dir)?,
            answers: Run::answers(&run.dir)?,
            notes: Vec::new(),
        });
    }
    let from = config.init.as_deref().unwrap_or(&config.out);
    let model: C = match init {
        Some(start) if config.init_only.is_empty() && config.model.is_empty() => start.config(from)?,
        _ => config
            .model_config()
            .map_err(|(key, reason)| TrainError::Config {
                path: config.out.clone(),
                reason: format!("{key} {reason}"),
            })?,
    };
    let begun = init.and_then(|start| start.tokenizer.clone());
    let begun = begun.filter(|_| !config.data.own_words);
    let goes_on = begun.is_some();
    let tokenizer = match (begun, model.text()) {
        (_, None) => None,
        (Some(tokenizer), _) => Some(tokenizer),
        (None, Some(text)) => {
            let reports = training.iter().map(|s| s.report.text(text.sections).into_owned());
            // A word is whole by its occurrences in reports: so few questions' words as there are would each be a word.
            let asked = training.iter().filter(|_| text.occurrences.is_none());
            let questions = asked.flat_map(|s| &s.questions).map(|q| q.text.clone());
            let texts = reports.chain(questions).chain(more_words.iter().cloned());
            let texts: Vec<String> = texts.filter(|text| !text.trim().is_empty()).collect();
            // A run of images alone reads nothing.
            let train = |texts: Vec<String>| match text.occurrences {
                Some(least) => Tokenizer::train_words(texts.into_iter(), least, text.vocabulary),
                None => Tokenizer::train(texts.into_iter(), text.vocabulary),
            };
            (!texts.is_empty()).then(|| train(texts)).transpose()?
        }
    };
    let known = init.map_or(&[][..], |start| &start.answers);
    let asks = config.on("vqa");
    let answers = match (asks, model.answers()) {
        (true, 0) => {
            let own = answers(training, usize::MAX);
            // A head that is gone on with keeps the order of its answers.
            if own.iter().all(|answer| known.contains(answer)) {
                known.to_vec()
            } else {
                own
            }
        }
        (true, _) if !known.is_empty() && known.len() == model.answers() => known.to_vec(),
        (true, most) => answers(training, most),
        (false, _) => known.to_vec(),
    };
    let mesh = tokenizer
        .as_ref()
        .map_or_else(|| Ok(Vec::new()), |t| mesh_tokens(config, training, t))?;
    let encoded = |answer: &String| match &tokenizer {
        Some(tokenizer) => tokenizer.encode_closed(answer, usize::MAX),
        None => Ok(Vec::new()),
    };
    let answer_tokens: Vec<Vec<u32>> = answers.iter().map(encoded).collect::<Result<_, _>>()?;
    let facts = DataFacts {
        mesh: (!mesh.is_empty() || !goes_on).then_some(mesh.as_slice()),
        vocabulary: tokenizer.as_ref().map_or(0, Tokenizer::vocabulary_size),
        side_tokens: tokenizer.as_ref().map_or(0, |t| Vocabulary::new(t).sides.len()),
        answers: &answer_tokens,
        studies: training.len(),
        together: config.optim.batch.min(training.len()) / config.optim.accumulate.max(1),
        on: &|name| config.on(name),
    };
    let model = model.with_data(&facts)?;
    let notes = match &tokenizer {
        Some(tokenizer) if reads => unsayable(config, &model.labels(), tokenizer)?,
        _ => Vec::new(),
    };
    Ok(Prepared {
        model,
        tokenizer,
        answers,
        notes,
    })
}

/// Labels that a vocabulary of whole words has no word for, and whose findings reports in it cannot state: a note, or an error where
/// that is all of them. Chinese has words of its own for them.
fn unsayable(
    config: &RunConfig,
    labels: &LabelSet,
    tokenizer: &Tokenizer,
) -> Result<Vec<String>, TrainError> {
    let pieces = 0..tokenizer.vocabulary_size() as u32;
    if !tokenizer.is_words() || pieces.into_iter().any(|id| has_han(&tokenizer.piece(id))) {
        return Ok(Vec::new());
    }
    let none = plain_name(Finding::NoFinding.name());
    let of_interest = |label: &&LabelName| label.side.is_none() && plain_name(&label.name) != none;
    let names: Vec<&str> = labels
        .labels
        .iter()
        .filter(of_interest)
        .map(|label| label.name.as_str())
        .collect();
    let lacks = |name: &&str| {
        let words = name.split(|c: char| !c.is_alphanumeric());
        !words
            .map(str::to_lowercase)
            .any(|word| tokenizer.id(&word).is_some())
    };
    let lacking: Vec<&str> = names.iter().copied().filter(lacks).collect();
    if lacking.is_empty() {
        return Ok(Vec::new());
    }
    let listed = lacking.join(", ");
    if lacking.len() == names.len() {
        let reason = format!(
            "the vocabulary has no word of any label ({listed}), so that reports in it can state none; give reports that name them, or \
             fewer model.occurrences"
        );
        return Err(TrainError::Config {
            path: config.out.clone(),
            reason,
        });
    }
    Ok(vec![format!(
        "The vocabulary has no word of {listed}: too few reports name them for drafts to state them."
    )])
}

/// Tokens that are words of Medical Subject Headings: of those that the training studies are published with, and of the
/// config's list.
fn mesh_tokens(
    config: &RunConfig,
    training: &[Study],
    tokenizer: &Tokenizer,
) -> Result<Vec<u32>, TrainError> {
    let mut tokens = Mesh::new(training.iter().flat_map(Study::headings)).tokens(tokenizer);
    if let Some(path) = &config.data.mesh {
        let listed = Mesh::read(path)?.tokens(tokenizer);
        if listed.is_empty() {
            let reason = format!(
                "none of the words of data.mesh = {path:?} stands in the reports' vocabulary; give a list in the reports' language, such                  as NLM's descriptors for English"
            );
            return Err(TrainError::Config {
                path: config.out.clone(),
                reason,
            });
        }
        tokens.extend(listed);
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// The weights of a model with another vocabulary, by the words of this one: rows of words that both know are copied, the others
/// stay as they were drawn.
fn with_own_words<S: Trainable>(
    mut weights: Arrays,
    from: &Tokenizer,
    to: &Tokenizer,
    fresh: &Arrays,
) -> Arrays {
    let rows: Vec<Option<u32>> = (0..to.vocabulary_size() as u32)
        .map(|id| from.id(&to.piece(id)))
        .collect();
    for name in S::WORD_ROWS {
        let (Some(old), Some(new)) = (weights.get(*name), fresh.get(*name)) else {
            continue;
        };
        let width = new.data.len() / rows.len().max(1);
        let mut array = new.clone();
        for (place, row) in array.data.chunks_mut(width.max(1)).zip(&rows) {
            let known = row.and_then(|row| old.data.get(row as usize * width..(row as usize + 1) * width));
            if let Some(known) = known {
                place.copy_from_slice(known);
            }
        }
        weights.insert((*name).to_owned(), array);
    }
    weights
}

/// The model as the first step finds it, on the autodiff device.
pub(super) fn first_model<S: Trainable>(
    config: &RunConfig,
    prepared: &Prepared<S::Config>,
    own: Option<&Run>,
    init: Option<&Init>,
    device: &Device,
) -> Result<S, TrainError> {
    // First weights are drawn on the CPU, so that a seed means the same on every device.
    let cpu = Device::flex();
    cpu.seed(config.seed);
    let specials = prepared.specials();
    let fresh = nn::parameters(&S::init(&prepared.model, specials, &cpu)?)?;
    let autodiff = device.clone().autodiff();
    let mut model = nn::load(
        S::init(&prepared.model, specials, &autodiff)?,
        &fresh,
        &autodiff,
        false,
    )?;
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
        let own_words = match (&start.tokenizer, &prepared.tokenizer) {
            (Some(from), Some(to)) if config.data.own_words => {
                Some(with_own_words::<S>(start.weights.clone(), from, to, &fresh))
            }
            _ => None,
        };
        let began = own_words.unwrap_or_else(|| start.weights.clone());
        let began = S::first_weights(&prepared.model, began);
        let wanted = |name: &str| config.init_only.is_empty() || config.init_only.contains(&first(name));
        // A head that only one of the two has is no fault: tasks differ.
        let shapes = nn::shapes(&model);
        let head = |name: &str| S::param_group(name) == ParamGroup::Head;
        let fits =
            |name: &str, shape: &Vec<usize>| shapes.get(name).is_some_and(|s| s == shape) || !head(name);
        let weights = began
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
    frozen(model, config)
}

/// Parts of a model that do not learn: what `optim.freeze` names, and the image encoder where its learning rate is 0.
pub(super) fn frozen_parts<S: Trainable>(model: &S, config: &RunConfig) -> Vec<String> {
    let still = config.optim.backbone_lr == Some(0.0);
    let mut parts: Vec<String> = nn::shapes(model)
        .into_keys()
        .filter(|name| still && S::param_group(name) == ParamGroup::Backbone)
        .filter_map(|name| Some(name.split('.').next()?.to_owned()))
        .collect();
    parts.extend(config.optim.freeze.iter().cloned());
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// The model with those parts frozen.
fn frozen<S: Trainable>(model: S, config: &RunConfig) -> Result<S, TrainError> {
    let parts = frozen_parts(&model, config);
    let refuse = |reason: String| TrainError::Config {
        path: config.out.clone(),
        reason,
    };
    let names = nn::shapes(&model);
    let first = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
    if let Some(odd) = parts
        .iter()
        .find(|part| !names.keys().any(|name| first(name) == **part))
    {
        return Err(refuse(format!(
            "optim.freeze names {odd:?}, but the model has no parameter under that name"
        )));
    }
    if parts.is_empty() {
        return Ok(model);
    }
    let patterns = parts.iter().map(|part| format!("^{part}(\\.|$)")).collect();
    let group = burn::module::ParamGroup::from_any_regexes::<String>(patterns)
        .map_err(|e| refuse(format!("optim.freeze cannot be used: {e:?}")))?;
    Ok(model.freeze_group(group))
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
