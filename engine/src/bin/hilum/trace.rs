//! `hilum trace --bundle B --in X.safetensors --out Y.safetensors`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use hilum::bundle::{AnyArrays, Bundle, checkpoint, load_model};
use hilum::tasks::{TraceInput, trace};
use hilum::text::{Specials, Tokenizer};

use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The bundle.
    #[arg(long)]
    bundle: PathBuf,
    /// Inputs: `in.image` normalised (batch, channels, size, size), `in.input_ids` (batch, words), and
    /// optionally
    /// `in.visual_positions`, `in.cls_tok`, `in.sep_tok`, `in.mlm_labels`, `in.is_aligned`.
    #[arg(long = "in")]
    input: PathBuf,
    /// Where the named intermediates go.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let bundle = Bundle::open(&args.bundle)?;
    let model = load_model(bundle.manifest(), bundle.arrays()?, &chosen.device)?;
    let given = checkpoint::read_safetensors_any(&args.input)?;
    let Some(image) = given.get("in.image").and_then(|a| a.float()) else {
        bail!("{} has no in.image with numbers", args.input.display());
    };
    let words = rows(&given, "in.input_ids")?.context("the input has no in.input_ids with integers")?;
    let words = words
        .into_iter()
        .map(|row| row.into_iter().map(u32::try_from).collect::<Result<Vec<_>, _>>())
        .collect::<Result<Vec<_>, _>>()
        .context("in.input_ids holds a negative word")?;
    let tokenizer = bundle
        .tokenizer()?
        .map(|bytes| Tokenizer::from_json(&bytes))
        .transpose()?;
    let mut specials = tokenizer.map_or(Specials::BERT, |t| t.specials());
    for (name, id) in [
        ("in.cls_tok", &mut specials.cls),
        ("in.sep_tok", &mut specials.sep),
    ] {
        if let Some(first) = rows(&given, name)?.and_then(|rows| rows.first()?.first().copied()) {
            *id = u32::try_from(first).with_context(|| format!("{name} is negative"))?;
        }
    }
    // A file of reference tensors tells which visual tokens its own pass kept; PAD is 0 there as in BERT.
    let kept = match rows(&given, "in.visual_positions")? {
        Some(rows) => Some(rows),
        None => rows(&given, "out.visual_positions")?,
    };
    let grid = kept.and_then(|rows| rows.into_iter().next()).unwrap_or_default();
    let grid = grid
        .into_iter()
        .map(usize::try_from)
        .collect::<Result<_, _>>()
        .context("a visual position is negative")?;
    let input = TraceInput {
        image: image.clone(),
        words,
        grid,
        specials,
        mlm_labels: rows(&given, "in.mlm_labels")?,
        aligned: given
            .get("in.is_aligned")
            .and_then(|a| a.int())
            .map(|a| a.data.clone()),
    };
    let outputs = trace(&model, &input, &chosen.device)?;
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

/// An integer tensor as rows of its last axis.
fn rows(given: &AnyArrays, name: &str) -> anyhow::Result<Option<Vec<Vec<i64>>>> {
    let Some(array) = given.get(name) else {
        return Ok(None);
    };
    let Some(array) = array.int() else {
        bail!("{name} must hold integers")
    };
    let width = array.shape.last().copied().unwrap_or(1).max(1);
    Ok(Some(array.data.chunks(width).map(<[i64]>::to_vec).collect()))
}
