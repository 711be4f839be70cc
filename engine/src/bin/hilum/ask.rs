//! `hilum ask IMAGE "QUESTION"`.

use std::path::PathBuf;

use hilum::image::WindowChoice;
use hilum::systems::Task;
use hilum::tasks::{AnswerOptions, ask};
use serde_json::{Value, json};

use super::globals::Globals;
use super::session;

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
    /// Answers to show, most probable first.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    answers: u8,
    /// Have the model write its answer instead of choosing among those it knows.
    #[arg(long)]
    write: bool,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    anyhow::ensure!(
        !args.question.trim().is_empty(),
        "the question is empty; write one in quotation marks"
    );
    let chosen = globals.open_device()?;
    let (_, session) = session::open(args.bundle.as_deref(), &chosen.device)?;
    session.offers(Task::Vqa)?;
    let image = session::encode(&session, &args.image, args.window.as_ref())?;
    let judged = session::judge(&session, &image)?;
    let options = AnswerOptions {
        most: args.answers as usize,
        written: args.write,
        ..AnswerOptions::default()
    };
    let asked = [args.question.as_str()];
    let found = pollster::block_on(ask(&session, image.tokens, &asked, options))?.swap_remove(0);
    let rows: Vec<Value> = found
        .iter()
        .map(|(a, p)| json!({ "answer": a, "probability": p }))
        .collect();
    let lines: Vec<String> = found.iter().map(|(a, p)| format!("{p:5.3}  {a}")).collect();
    let answer = found.first().map(|(a, _)| a.clone()).unwrap_or_default();
    let mut told = json!({ "answer": answer, "answers": rows, "device": chosen.name });
    judged.put(&mut told);
    globals.tell(&told, lines.join("\n"))
}
