//! `hilum draft IMAGE`; of a bundle that does not draft, see `structured`.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use hilum::image::WindowChoice;
use hilum::systems::Task;
use hilum::tasks::{DraftOptions, Drafter, attention as attention_of, dense_attention, draft_text};
use hilum::text::Presenter;
use serde_json::json;

use super::attention;
use super::globals::{Globals, say};
use super::session;
use super::structured;

/// Tokens at most, where nothing is said.
const WORDS: usize = 128;

#[derive(clap::Args)]
pub struct Args {
    /// The radiograph: DICOM, PNG or JPEG.
    image: PathBuf,
    /// The bundle; without it, the demo bundle that comes with the project.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Hypotheses kept, 1 is greedy; what the model's paper has where nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    beam: Option<u8>,
    /// Tokens at most.
    #[arg(long, default_value_t = WORDS)]
    words: usize,
    /// The window: a number, a name, or CENTRE,WIDTH.
    #[arg(long, allow_hyphen_values = true)]
    window: Option<WindowChoice>,
    /// Compute every word from the whole sequence, without the key and value cache.
    #[arg(long)]
    no_cache: bool,
    /// Write where each word looked as a picture.
    #[arg(long, value_name = "F.svg")]
    attention: Option<PathBuf>,
}

impl Args {
    /// Refuses what only concerns a model that drafts.
    fn refuse_drafting(&self) -> anyhow::Result<()> {
        let given = [
            ("--beam", self.beam.is_some()),
            ("--words", self.words != WORDS),
            ("--no-cache", self.no_cache),
            ("--attention", self.attention.is_some()),
        ];
        let given: Vec<&str> = given
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        anyhow::ensure!(
            given.is_empty(),
            "this bundle does not draft, and its text is written from its findings: leave out {}, which only \
             concerns a draft, or name a bundle that drafts",
            given.join(", ")
        );
        Ok(())
    }
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let began = Instant::now();
    let radiograph = session::read(&args.image)?;
    let window = args.window.clone().unwrap_or(WindowChoice::Default);
    let gray = radiograph
        .display(&window)
        .with_context(|| args.image.display().to_string())?;
    let prepare_ms = began.elapsed().as_secs_f64() * 1e3;
    let chosen = globals.open_device()?;
    let (bundle, session) = session::open(args.bundle.as_deref(), &chosen.device)?;
    let tasks = &session.manifest.tasks;
    if !tasks.contains(&Task::Draft) && tasks.contains(&Task::Findings) {
        args.refuse_drafting()?;
        return structured::run(&bundle, &session, &gray, &chosen, globals);
    }
    session.offers(Task::Draft)?;
    let drafter = Drafter::new(&session)?;
    let tokenizer = session.tokenizer(Task::Draft)?;

    let began = Instant::now();
    let image = session.encode_gray(&gray);
    chosen
        .device
        .sync()
        .map_err(|e| anyhow::anyhow!("the device failed while it read the image: {e}"))?;
    let encode_ms = began.elapsed().as_secs_f64() * 1e3;

    let judged = session::judge(&session, &image)?;

    let options = DraftOptions {
        beam: args.beam.map_or(drafter.papers_beam(), usize::from),
        max_tokens: args.words,
        cache: !args.no_cache,
    };
    let mut first_token_ms = 0.0;
    let mut times = Vec::new();
    let mut stream = Presenter::new(tokenizer);
    let quiet = globals.json;
    let mut out = std::io::stdout();
    let began = Instant::now();
    let draft = pollster::block_on(drafter.draft(image.tokens.clone(), options, |token| {
        times.push(began.elapsed().as_secs_f64() * 1e3);
        if times.len() == 1 {
            first_token_ms = times[0];
        }
        // A closed pipe ends the draft, not the command with a panic.
        if !quiet
            && write!(out, "{}", stream.push(token.id))
                .and_then(|()| out.flush())
                .is_err()
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }))?;
    let total = began.elapsed().as_secs_f64();
    let tokens_per_s = draft.tokens.len() as f64 / total.max(1e-9);
    let ids = draft.ids();
    if let Some(path) = &args.attention {
        let looks = pollster::block_on(attention_of(&session, image.tokens.clone(), &ids))?;
        let dense = pollster::block_on(dense_attention(&session, image.tokens, &ids))?;
        let mesh = session.generator()?.mesh();
        let token = |(at, id): (usize, &u32)| attention::Token {
            piece: tokenizer.piece(*id),
            look: looks[at].clone(),
            dense: dense.get(at).filter(|_| mesh.contains(id)).cloned(),
            mesh: mesh.contains(id),
        };
        let tokens: Vec<_> = ids.iter().enumerate().map(token).collect();
        std::fs::write(path, attention::svg(&image.prepared, &tokens)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    // A beam settles all words at its end: there is no time of each.
    let each_ms: Vec<f64> = if options.beam > 1 {
        Vec::new()
    } else {
        times.windows(2).map(|w| w[1] - w[0]).collect()
    };
    if globals.json {
        let tokens: Vec<_> = draft
            .tokens
            .iter()
            .map(|w| json!({ "text": tokenizer.piece(w.id), "probability": w.probability, "lead": w.margin }))
            .collect();
        let manifest = bundle.manifest();
        let mut told = json!({
            "text": draft_text(tokenizer, &draft),
            "made": "draft",
            "tokens": tokens,
            "finished": draft.finished,
            "timing": {
                "prepare_ms": prepare_ms,
                "encode_ms": encode_ms,
                "first_token_ms": prepare_ms + encode_ms + first_token_ms,
                "tokens_per_s": tokens_per_s,
                "token_ms": each_ms,
            },
            "device": chosen.name,
            "bundle": { "name": manifest.name, "version": manifest.version, "sha256": bundle.sha256() },
        });
        judged.put(&mut told);
        return say(told);
    }
    say(stream.finish())?;
    if !draft.finished {
        eprintln!(
            "note: the draft stopped at {} tokens, before the model ended it",
            draft.tokens.len()
        );
    }
    eprintln!(
        "first word after {:.0} ms (picture {prepare_ms:.0} ms, encoder {encode_ms:.0} ms), {tokens_per_s:.1} word \
         pieces a second, {}; research software, not for clinical use",
        prepare_ms + encode_ms + first_token_ms,
        chosen.name
    );
    Ok(())
}
