//! `hilum trace --bundle B --in X.safetensors --out Y.safetensors`.

use std::path::PathBuf;

use hilum::bundle::checkpoint;
use hilum::nn::Trace;

use super::globals::Globals;
use super::session;

#[derive(clap::Args)]
pub struct Args {
    /// The bundle.
    #[arg(long)]
    bundle: PathBuf,
    /// Inputs, by the names of the system's reference tensors: for MedViLL `in.image` normalised (batch, channels, size, size),
    /// `in.input_ids` (batch, tokens), and optionally `in.visual_positions`, `in.cls_tok`, `in.sep_tok`, `in.mlm_labels`,
    /// `in.is_aligned`.
    #[arg(long = "in")]
    input: PathBuf,
    /// Where the named intermediates go.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let (_, session) = session::open(Some(&args.bundle), &chosen.device)?;
    let given = checkpoint::read_safetensors_any(&args.input)?;
    let mut trace = Trace::on();
    session.system().trace(&given, &mut trace)?;
    let outputs = trace.into_arrays()?;
    checkpoint::write_safetensors(&args.out, &outputs)?;
    globals.tell(
        &serde_json::json!({ "out": args.out, "tensors": outputs.len(), "device": chosen.name }),
        format_args!(
            "{}: {} tensors, {}",
            args.out.display(),
            outputs.len(),
            chosen.name
        ),
    )
}
