//! `hilum check IMAGE REPORT`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context;
use hilum::image::{ReportText, WindowChoice, looks_like_dicom, read_report};
use hilum::systems::Task;
use hilum::tasks::{
    Checked, Doubt, Mark, Subject, Suggestion, TaskRequest, TaskResult, checkable, perform, word_looks,
};
use serde_json::{Value, json};

use super::attention;
use super::globals::Globals;
use super::session;

/// Words that are listed where they are not all asked for.
const LISTED: usize = 10;

#[derive(clap::Args)]
pub struct Args {
    /// The radiograph: DICOM, PNG or JPEG.
    image: PathBuf,
    /// The report: a text file or a DICOM structured report, or - for standard input.
    report: PathBuf,
    /// A bundle that checks reports.
    #[arg(long)]
    bundle: PathBuf,
    /// Write where in the picture each word was looked for (Grad-CAM) to this SVG.
    #[arg(long)]
    maps: Option<PathBuf>,
    /// The window: a number, a name, or CENTRE,WIDTH.
    #[arg(long, allow_hyphen_values = true)]
    window: Option<WindowChoice>,
}

/// The report's text, and what there is to say of how it was read.
fn read(path: &std::path::Path) -> anyhow::Result<ReportText> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
        bytes
    } else {
        std::fs::read(path).with_context(|| format!("reading {}", path.display()))?
    };
    if looks_like_dicom(&bytes) {
        return read_report(&bytes).with_context(|| format!("reading {}", path.display()));
    }
    let text = String::from_utf8(bytes).ok();
    let text = text.with_context(|| {
        format!(
            "{} is neither text in UTF-8 nor a DICOM structured report; save the report as plain text",
            path.display()
        )
    })?;
    Ok(ReportText {
        text,
        notes: Vec::new(),
    })
}

/// What the operating point says of the match.
fn verdict(checked: &Checked) -> String {
    let Some(limits) = checked.limits else {
        return String::new();
    };
    let limit = limits.matching;
    if checked.matching < limit {
        format!(": may not belong to this radiograph (operating point {limit:.3})")
    } else {
        format!(" (operating point {limit:.3})")
    }
}

/// A mark as a line: why, what is written, and what might stand there.
fn in_words(mark: &Mark, report: &str) -> String {
    let why = match mark.doubt {
        Doubt::Side => "side",
        Doubt::Finding => "finding",
        Doubt::Sentence => "sentence",
        Doubt::Word => "word",
    };
    let written = report.get(mark.start..mark.end).unwrap_or_default();
    let instead = match (&mark.finding, mark.proposal.as_deref()) {
        (Some(finding), _) => format!("the radiograph is read otherwise: {finding}"),
        (None, Some("")) => "the report matches better without it".to_owned(),
        (None, Some(proposal)) => format!("likelier: {proposal}"),
        (None, None) => String::new(),
    };
    format!("  {why:8} {:5.1}  {written:?}  {instead}", mark.strength)
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let ReportText { text: report, notes } = read(&args.report)?;
    checkable(&report)?;
    let chosen = globals.open_device()?;
    let (bundle, session) = session::open(Some(&args.bundle), &chosen.device)?;
    session.offers(Task::Check)?;
    let image = session::encode(&session, &args.image, args.window.as_ref())?;
    let judged = session::judge(&session, &image)?;
    let gallery = session::gallery(&bundle, &session)?;
    let subject = Subject {
        image: Some(&image),
        gallery: gallery.as_ref(),
    };
    let request = TaskRequest::Check { text: report.clone() };
    let all = async |_| ControlFlow::Continue(());
    let result = pollster::block_on(perform(&session, &request, subject, &|| 0.0, all))?;
    let TaskResult::Check(checked) = result else {
        anyhow::bail!("the check was broken off");
    };
    if let Some(path) = &args.maps {
        let tokenizer = session.tokenizer(Task::Check)?;
        let looks = pollster::block_on(word_looks(&session, &image.tokens, &report))?;
        let looks = looks.context("this bundle's model has no maps of words")?;
        let token = |(id, look)| attention::Token {
            piece: tokenizer.piece(id),
            look,
            dense: None,
            mesh: false,
        };
        let tokens: Vec<_> = looks.into_iter().map(token).collect();
        std::fs::write(path, attention::grad_cam_svg(&image.prepared, &tokens)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
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
    let sentences: Vec<Value> = checked
        .sentences
        .iter()
        .map(|sentence| {
            json!({
                "start": sentence.start, "end": sentence.end, "match_without": sentence.without,
                "doubt": checked.sentence_doubt(sentence),
            })
        })
        .collect();
    let marks = checked.marks();
    let mut lines: Vec<String> = notes.iter().map(|note| format!("report: {note}")).collect();
    lines.push(format!("match {:5.3}{}", checked.matching, verdict(&checked)));
    if let Some(exchanged) = checked.exchanged {
        lines.push(format!("match {exchanged:5.3} with left and right exchanged"));
    }
    if checked.limits.is_some() {
        lines.push(match marks.len() {
            0 => "nothing marked".to_owned(),
            count => format!("{count} marked"),
        });
    }
    lines.extend(marks.iter().map(|mark| in_words(mark, &report)));
    if let Some(Suggestion { id, report, matching }) = &checked.suggestion {
        lines.push(format!(
            "  {id} of the gallery matches better ({matching:.3}): {report}"
        ));
    }
    lines.extend(checked.not_checked());
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
        "matching": checked.matching, "exchanged": checked.exchanged, "side_doubt": checked.side_doubt(), "words": words,
        "sentences": sentences, "contradictions": checked.contradictions, "marks": marks, "limits": checked.limits,
        "suggestion": checked.suggestion, "unread": checked.unread, "left_out": checked.left_out, "report": report, "notes": notes, "device": chosen.name,
    });
    judged.put(&mut told);
    globals.tell(&told, lines.join("\n"))
}
