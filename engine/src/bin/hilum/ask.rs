//! `hilum ask IMAGE "QUESTION"`.

use std::path::PathBuf;

use hilum::image::WindowChoice;
use hilum::tasks::ask;
use serde_json::{Value, json};

use super::draft::{Loaded, load};
use super::findings::encode;
use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The radiograph: DICOM, PNG or JPEG.
    image: PathBuf,
    /// The question.
    question: String,
    /// The bundle; without it, the demo bundle.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// The window: a number, a name, or CENTRE,WIDTH.
    #[arg(long, allow_hyphen_values = true)]
    window: Option<WindowChoice>,
    /// So many answers, likeliest first.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    answers: u8,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    anyhow::ensure!(
        !args.question.trim().is_empty(),
        "the question is empty; write one in quotation marks"
    );
    let chosen = globals.open_device()?;
    let Loaded {
        bundle,
        model,
        tokenizer,
    } = load(args.bundle.as_deref(), &chosen.device)?;
    let features = encode(&model, &args.image, args.window.as_ref(), &chosen.device)?;
    let known = &bundle.manifest().answers;
    let asked = [args.question.as_str()];
    let found = ask(&model, &tokenizer, known, features, &asked, args.answers as usize);
    let found = pollster::block_on(found)?.swap_remove(0);
    let rows: Vec<Value> = found
        .iter()
        .map(|(a, p)| json!({ "answer": a, "probability": p }))
        .collect();
    let lines: Vec<String> = found.iter().map(|(a, p)| format!("{p:5.3}  {a}")).collect();
    let answer = found.first().map(|(a, _)| a.clone()).unwrap_or_default();
    globals.tell(
        &json!({ "answer": answer, "answers": rows, "device": chosen.name }),
        lines.join("\n"),
    )
}
