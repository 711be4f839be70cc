//! `hilum findings IMAGE`.

use std::path::PathBuf;

use hilum::image::WindowChoice;
use hilum::systems::Task;
use hilum::tasks::{finding_logits, readings};
use serde_json::{Value, json};

use super::globals::Globals;
use super::session;

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

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let (_, session) = session::open(args.bundle.as_deref(), &chosen.device)?;
    session.offers(Task::Findings)?;
    let image = session::encode(&session, &args.image, args.window.as_ref())?;
    let judged = session::judge(&session, &image)?;
    let logits = pollster::block_on(finding_logits(&session, image.tokens, None))?;
    let mut readings = readings(&session.manifest.labels, &logits[0]);
    readings.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let rows: Vec<Value> = readings
        .iter()
        .map(|r| {
            json!({
                "name": r.name, "probability": r.probability, "operating_point": r.operating_point,
                "present": r.present(), "side": r.side.map(|s| s.name()), "area": r.area,
            })
        })
        .collect();
    let lines: Vec<String> = readings
        .iter()
        .map(|r| {
            let mark = if r.present() { "*" } else { " " };
            let side = r.side.map(|s| format!("  {}", s.name())).unwrap_or_default();
            let area = r.area.map(|area| format!("  {area}"));
            format!(
                "{mark} {:28} {:5.3}  (from {:.3}){side}{}",
                r.name,
                r.probability,
                r.operating_point,
                area.unwrap_or_default()
            )
        })
        .collect();
    let mut told = json!({ "findings": rows, "device": chosen.name });
    judged.put(&mut told);
    globals.tell(&told, lines.join("\n"))
}
