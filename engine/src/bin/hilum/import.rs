//! `hilum import --system S --from CHECKPOINT --out B`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use hilum::bundle::{Arrays, Dtype, Manifest, Provenance, checkpoint, import, write};
use hilum::nn::{DenseNetConfig, ResNetConfig, parameters, shapes};
use hilum::systems::learn::Sizes;
use hilum::systems::medvill::{MedVill, MedVillConfig};
use hilum::text::Tokenizer;

use super::draft::check_vocabulary;
use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The system.
    #[arg(long, value_parser = [MedVillConfig::SYSTEM])]
    system: String,
    /// A checkpoint, .safetensors, .bin, .pth or .pt; several are joined (BERT and ResNet apart).
    #[arg(long, required = true)]
    from: Vec<PathBuf>,
    /// The bundle's folder.
    #[arg(long)]
    out: PathBuf,
    /// The preset whose sizes the checkpoint has; without it, the first that fits.
    #[arg(long, value_parser = MedVillConfig::PRESETS.to_vec())]
    preset: Option<String>,
    /// The vocabulary that belongs to it: vocab.txt or tokenizer.json.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// How weights are stored: f32, f16 or q8.
    #[arg(long, default_value = "f32")]
    weights: Dtype,
    /// Fill what the checkpoint lacks with random weights (of --seed).
    #[arg(long)]
    allow_missing: bool,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let mut weights = Arrays::new();
    let mut notes = Vec::new();
    for path in &args.from {
        let read = checkpoint::read_with_notes(path)?;
        weights.extend(read.arrays);
        notes.extend(read.notes);
    }
    let presets: Vec<&str> = match &args.preset {
        Some(name) => vec![name.as_str()],
        None => MedVillConfig::PRESETS.to_vec(),
    };
    let device = hilum::device::cpu().device;
    device.seed(globals.seed.unwrap_or(0));
    let mut refusals = Vec::new();
    for preset in presets {
        let Some(mut config) = MedVillConfig::preset(preset) else {
            bail!(
                "the system {} has no preset {preset}; it has {}",
                args.system,
                MedVillConfig::PRESETS.join(", ")
            );
        };
        // The vocabulary is the checkpoint's own, and so are the layers that not every checkpoint has.
        // They may be stored under the name of the decoder alone, which is tied to the word table.
        let table = import::Table::of(&args.system)?;
        let is_words = |name: &str| matches!(table.target(name), import::Target::Name(target) if target == "text.word_embeddings.weight");
        if let Some(words) = weights.iter().find(|(name, _)| is_words(name)) {
            config.bert.vocabulary = words.1.shape.first().copied().unwrap_or(config.bert.vocabulary);
        }
        // The release's fine-tuned files, for generation and VQA, lack the prefix and place SEP after the
        // picture.
        config.separator_after_visual = weights
            .keys()
            .any(|name| name.contains("img_encoder.model.") && !name.starts_with("enc."));
        // The paper's ablations have another image encoder: R-101, D-121.
        config.densenet = weights
            .keys()
            .any(|n| n.ends_with("conv0.weight"))
            .then(DenseNetConfig::densenet121);
        if weights
            .keys()
            .any(|name| name.contains("layer3.22.") || name.contains("img_encoder.model.6.22."))
        {
            config.image.depths = ResNetConfig::resnet101().depths;
        }
        config.map_findings = weights.contains_key("map_findings.weight");
        config.own_grid = weights.contains_key("visual.grid.weight");
        config.findings_projection = weights.contains_key("visual.findings.weight");
        config.cells_projection = weights.contains_key("visual.cells.weight");
        let model = MedVill::new(&config, &device)?;
        let imported = match import(&args.system, &weights, &shapes(&model), args.allow_missing) {
            Ok(imported) => imported,
            Err(error) => {
                refusals.push((preset, error));
                continue;
            }
        };
        let mut arrays = parameters(&model)?;
        arrays.extend(imported.arrays);
        let tokenizer = args.tokenizer.as_deref().map(Tokenizer::read).transpose()?;
        let mut manifest = Manifest::new(&args.system, &args.system, preset, serde_json::to_value(&config)?);
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
        if let Some(tokenizer) = &tokenizer {
            check_vocabulary(tokenizer, config.bert.vocabulary)?;
        }
        manifest.tasks = vec!["draft".to_owned()];
        let json = tokenizer.map(|t| t.to_json()).transpose()?;
        write(&args.out, manifest, &arrays, json.as_deref(), args.weights)?;
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
    Err(anyhow::Error::new(error).context(format!("{} does not fit the preset {preset}", names(&args.from))))
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
