//! `hilum check IMAGE REPORT`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context;
use hilum::image::WindowChoice;
use hilum::systems::Task;
use hilum::tasks::{check, checkable};
use serde_json::{Value, json};

use super::globals::Globals;
use super::session;

/// Words that are listed where they are not all asked for.
const LISTED: usize = 10;

#[derive(clap::Args)]
pub struct Args {
    /// The radiograph: DICOM, PNG or JPEG.
    image: PathBuf,
    /// The report: a text file, or - for standard input.
    report: PathBuf,
    /// A bundle that checks reports.
    #[arg(long)]
    bundle: PathBuf,
    /// The window: a number, a name, or CENTRE,WIDTH.
    #[arg(long, allow_hyphen_values = true)]
    window: Option<WindowChoice>,
}

fn read(path: &std::path::Path) -> anyhow::Result<String> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
        bytes
    } else {
        std::fs::read(path).with_context(|| format!("reading {}", path.display()))?
    };
    let text = String::from_utf8(bytes).ok();
    text.with_context(|| {
        format!(
            "{} is no text in UTF-8; save the report as plain text",
            path.display()
        )
    })
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let report = read(&args.report)?;
    checkable(&report)?;
    let chosen = globals.open_device()?;
    let (_, session) = session::open(Some(&args.bundle), &chosen.device)?;
    session.offers(Task::Check)?;
    let image = session::encode(&session, &args.image, args.window.as_ref())?;
    let judged = session::judge(&session, &image)?;
    let all = async |_, _| ControlFlow::Continue(());
    let checked = pollster::block_on(check(&session, &image.tokens, &report, all))?;
    let checked = checked.context("the check was broken off")?;
    let words: Vec<Value> = checked
        .words
        .iter()
        .map(|word| {
            json!({
                "start": word.start, "end": word.end, "written": word.written, "probability": word.probability,
                "likeliest": word.likeliest, "likeliest_probability": word.likeliest_probability,
                "doubt": word.doubt(), "side": word.side,
            })
        })
        .collect();
    let mut lines = vec![format!("match {:5.3}", checked.matching)];
    if let Some(exchanged) = checked.exchanged {
        lines.push(format!("match {exchanged:5.3} with left and right exchanged"));
    }
    if checked.unread > 0 {
        lines.push(format!(
            "{} words at the end are not read: the report is too long for this model",
            checked.unread
        ));
    }
    let mut doubtful: Vec<_> = checked.words.iter().filter(|word| word.doubt() > 0.0).collect();
    doubtful.sort_by(|a, b| b.side.cmp(&a.side).then(b.doubt().total_cmp(&a.doubt())));
    if !doubtful.is_empty() {
        lines.push(format!(
            "{:20} {:>11}  {:20} {:>11}",
            "word", "probability", "likeliest", "probability"
        ));
    }
    lines.extend(doubtful.iter().take(LISTED).map(|word| {
        format!(
            "{:20} {:11.3}  {:20} {:11.3}",
            word.written, word.probability, word.likeliest, word.likeliest_probability
        )
    }));
    let mut told = json!({
        "matching": checked.matching, "exchanged": checked.exchanged, "words": words, "unread": checked.unread,
        "device": chosen.name,
    });
    judged.put(&mut told);
    globals.tell(&told, lines.join("\n"))
}
