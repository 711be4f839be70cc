//! `hilum import --system S --from CHECKPOINT --out B`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Error, ensure};
use hilum::bundle::{Arrays, Dtype, Head, Manifest, Provenance, checkpoint, import, write};
use hilum::nn::{parameters, shapes};
use hilum::systems::{Model, SYSTEMS, Task, names as system_names};
use hilum::tasks::put_trial;
use hilum::text::{Specials, Tokenizer};

use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The system.
    #[arg(long)]
    system: String,
    /// A checkpoint, .safetensors, .bin, .pth or .pt; several are joined (BERT and ResNet apart).
    #[arg(long, required = true)]
    from: Vec<PathBuf>,
    /// The bundle's folder.
    #[arg(long)]
    out: PathBuf,
    /// The preset whose sizes the checkpoint has; without it, the first that fits.
    #[arg(long)]
    preset: Option<String>,
    /// The vocabulary that belongs to it: vocab.txt or tokenizer.json.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// The labels of a classifier's outputs in their order, joined by commas, in the place of the file's own; an empty name leaves
    /// an output out.
    #[arg(long)]
    labels: Option<String>,
    /// How weights are stored: f32, f16 or q8.
    #[arg(long, default_value = "f32")]
    weights: Dtype,
    /// Fill what the checkpoint lacks with random weights (of --seed).
    #[arg(long)]
    allow_missing: bool,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let system = SYSTEMS.iter().find(|s| s.name == args.system);
    let system = system.with_context(|| {
        format!(
            "this engine has no system {:?}; choose one of: {}",
            args.system,
            system_names()
        )
    })?;
    let presets = match args.preset.as_deref() {
        Some(name) => vec![name],
        None => system.presets.to_vec(),
    };
    let mut weights = Arrays::new();
    let (mut words, mut notes) = (BTreeMap::new(), Vec::new());
    for path in &args.from {
        let read = checkpoint::read_with_notes(path)?;
        weights.extend(read.arrays);
        words.extend(read.words);
        notes.extend(read.notes);
    }
    let given: Option<Vec<String>> = args
        .labels
        .as_deref()
        .map(|labels| labels.split(',').map(str::to_owned).collect());
    let stem = args.from[0].file_stem().unwrap_or_default().to_string_lossy();
    let head = Head::read(system.name, &mut weights, &words, &stem, given.as_deref());
    let head = head.with_context(|| format!("{} cannot be imported", names(&args.from)))?;
    let mut chosen = Vec::new();
    for preset in presets {
        let labels = Model::preset_labels(system.name, preset)?;
        if head.as_ref().is_none_or(|head| head.fits(&labels)) {
            chosen.push((preset, labels));
        }
    }
    if let Some(head) = head.as_ref().filter(|_| chosen.is_empty()) {
        return Err(Error::new(head.unnamed()).context(format!("{} cannot be imported", names(&args.from))));
    }
    let tokenizer = args.tokenizer.as_deref().map(Tokenizer::read).transpose()?;
    let specials = tokenizer.as_ref().map_or(Specials::BERT, Tokenizer::specials);
    let device = hilum::device::cpu().device;
    device.seed(globals.seed.unwrap_or(0));
    let mut refusals = Vec::new();
    for (preset, labels) in chosen {
        let settled = head
            .as_ref()
            .map(|head| head.settle(&labels, &weights))
            .transpose()?;
        let weights = settled.as_ref().map_or(&weights, |settled| &settled.arrays);
        let own: Option<Vec<String>> = settled
            .as_ref()
            .map(|settled| settled.labels.iter().map(|label| label.name.clone()).collect());
        let config = Model::config_with(system.name, preset, weights, own.as_deref())?;
        let model = Model::new(system.name, &config, specials, &device)?;
        let imported = match import(system.name, weights, &shapes(&model), args.allow_missing) {
            Ok(imported) => imported,
            Err(error) => {
                refusals.push((preset, error));
                continue;
            }
        };
        let mut arrays = parameters(&model)?;
        arrays.extend(imported.arrays);
        if let (Some(tokenizer), Some(text)) = (&tokenizer, model.as_system().spec().text) {
            let (tokens, vocabulary) = (tokenizer.vocabulary_size(), text.vocabulary);
            ensure!(
                tokens == vocabulary,
                "the tokenizer has {tokens} tokens, the model {vocabulary}; give the model its own tokenizer"
            );
        }
        let mut manifest = Manifest::new(system.name, system.name, preset, config);
        manifest.provenance = Provenance {
            training: format!("imported from {}", names(&args.from)),
            command: "hilum import".to_owned(),
            seeds: if args.allow_missing {
                vec![globals.seed.unwrap_or(0)]
            } else {
                Vec::new()
            },
            ..Provenance::default()
        };
        // Heads of other tasks are trained when a checkpoint is fine-tuned, unless it came with one.
        let whole = |task: &Task| *task == Task::Draft || (*task == Task::Findings && settled.is_some());
        manifest.tasks = model.as_system().tasks().into_iter().filter(whole).collect();
        if let Some(settled) = settled {
            manifest.labels = settled.labels;
            notes.extend(settled.notes);
        }
        let json = tokenizer.map(|t| t.to_json()).transpose()?;
        write(&args.out, manifest, &arrays, json.as_deref(), args.weights)?;
        put_trial(&args.out)?;
        notes.extend(imported.notes);
        for note in &notes {
            eprintln!("note: {note}");
        }
        return globals.tell(
            &serde_json::json!({ "bundle": args.out, "preset": preset, "tensors": arrays.len(), "notes": notes }),
            format_args!("{}: {} {preset}, {} tensors", args.out.display(), args.system, arrays.len()),
        );
    }
    // The preset that came nearest says most.
    let nearest = refusals
        .into_iter()
        .min_by_key(|(_, error)| error.to_string().len());
    let (preset, error) = nearest.context("no preset was tried")?;
    Err(Error::new(error).context(format!("{} does not fit the preset {preset}", names(&args.from))))
}

fn names(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|p| {
            p.file_name()
                .unwrap_or(p.as_os_str())
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.join(", ")
}
