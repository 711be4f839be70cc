//! `hilum findings IMAGE`.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use hilum::image::{WindowChoice, decode_file, prepare};
use hilum::systems::learn::Learner;
use hilum::systems::medvill::MedVill;
use hilum::tasks::finding_logits;
use serde_json::{Value, json};

use super::draft::{Loaded, load};
use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The radiograph: DICOM, PNG or JPEG.
    image: PathBuf,
    /// The bundle; without it, the demo bundle.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// The window: a number, a name, or CENTRE,WIDTH.
    #[arg(long, allow_hyphen_values = true)]
    window: Option<WindowChoice>,
}

/// What the model's image encoder makes of a file, `(1, K, features)`.
pub fn encode(
    model: &MedVill,
    path: &std::path::Path,
    window: Option<&WindowChoice>,
    device: &Device,
) -> anyhow::Result<Tensor<3>> {
    let radiograph = decode_file(path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    let gray = radiograph.display(window.unwrap_or(&WindowChoice::Default))?;
    let prepared = prepare(&gray, model.config().size);
    let pixels = burn::tensor::TensorData::new(prepared.pixels, [1, prepared.size, prepared.size]);
    Ok(model.features(Tensor::from_data(pixels, device)))
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let Loaded {
        bundle,
        model,
        tokenizer,
    } = load(args.bundle.as_deref(), &chosen.device)?;
    let features = encode(&model, &args.image, args.window.as_ref(), &chosen.device)?;
    let logits = pollster::block_on(finding_logits(&model, features, None, tokenizer.specials()))?;
    let mut readings = logits[0].readings(&bundle.manifest().calibrations());
    readings.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let rows: Vec<Value> = readings
        .iter()
        .map(|r| {
            json!({
                "name": r.finding.name(), "probability": r.probability, "operating_point": r.operating_point,
                "present": r.present(), "side": r.side.map(|s| s.name()),
            })
        })
        .collect();
    let lines: Vec<String> = readings
        .iter()
        .map(|r| {
            let mark = if r.present() { "*" } else { " " };
            let side = r.side.map(|s| format!("  {}", s.name())).unwrap_or_default();
            format!(
                "{mark} {:28} {:5.3}  (from {:.3}){side}",
                r.finding.name(),
                r.probability,
                r.operating_point
            )
        })
        .collect();
    globals.tell(
        &json!({ "findings": rows, "device": chosen.name }),
        lines.join("\n"),
    )
}
