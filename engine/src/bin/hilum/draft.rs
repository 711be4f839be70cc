//! `hilum draft IMAGE`.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use hilum::bundle::{Bundle, load_model};
use hilum::image::{WindowChoice, decode_file, prepare};
use hilum::systems::medvill::MedVill;
use hilum::tasks::{DraftOptions, Drafter, looks};
use hilum::text::{Presenter, Tokenizer, present};
use serde_json::json;

use super::attention;
use super::globals::{Globals, say};

#[derive(clap::Args)]
pub struct Args {
    /// The radiograph: DICOM, PNG or JPEG.
    image: PathBuf,
    /// The bundle; without it, the demo bundle that comes with the project.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Hypotheses kept; 1 is greedy.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    beam: u8,
    /// Words at most.
    #[arg(long, default_value_t = 128)]
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

/// A bundle's model and words, on a device.
pub struct Loaded {
    pub bundle: Bundle,
    pub model: MedVill,
    pub tokenizer: Tokenizer,
}

/// The bundle at `path`, or the demo bundle.
pub fn load(path: Option<&Path>, device: &burn::tensor::Device) -> anyhow::Result<Loaded> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => demo_bundle()?,
    };
    let bundle = Bundle::open(&path)?;
    let tokenizer = bundle.tokenizer()?.with_context(|| {
        format!(
            "the bundle {} has no tokenizer; import it with one",
            path.display()
        )
    })?;
    let tokenizer = Tokenizer::from_json(&tokenizer)?;
    let model = load_model(bundle.manifest(), bundle.arrays()?, device)?;
    check_vocabulary(&tokenizer, model.config().bert.vocabulary)?;
    Ok(Loaded {
        bundle,
        model,
        tokenizer,
    })
}

/// Refuses a tokenizer that is not the model's.
pub fn check_vocabulary(tokenizer: &Tokenizer, words: usize) -> anyhow::Result<()> {
    let pieces = tokenizer.vocabulary_size();
    anyhow::ensure!(
        pieces == words,
        "the tokenizer has {pieces} word pieces, the model {words}; give the model its own"
    );
    Ok(())
}

/// `www/models/demo` in the working folder, beside the executable's workspace, or where the command was built.
pub fn demo_bundle() -> anyhow::Result<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut places = vec![PathBuf::from("."), built];
    if let Ok(executable) = std::env::current_exe() {
        places.extend(executable.ancestors().skip(1).take(3).map(Path::to_owned));
    }
    places
        .into_iter()
        .map(|place| place.join("www/models/demo"))
        .find(|place| place.join("bundle.json").is_file())
        .context("no demo bundle was found at www/models/demo; name a bundle with --bundle")
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let began = Instant::now();
    let radiograph = decode_file(&args.image).with_context(|| args.image.display().to_string())?;
    for note in &radiograph.notes {
        eprintln!("note: {note}");
    }
    let window = args.window.clone().unwrap_or(WindowChoice::Default);
    let gray = radiograph
        .display(&window)
        .with_context(|| args.image.display().to_string())?;
    let decoded = began.elapsed();
    let chosen = globals.open_device()?;
    let Loaded {
        bundle,
        model,
        tokenizer,
    } = load(args.bundle.as_deref(), &chosen.device)?;
    let drafter = Drafter::new(&model, &tokenizer);

    let began = Instant::now();
    let picture = prepare(&gray, model.config().size);
    let prepare_ms = (decoded + began.elapsed()).as_secs_f64() * 1e3;
    let began = Instant::now();
    let features = drafter.encode(&picture, &chosen.device)?;
    chosen
        .device
        .sync()
        .map_err(|e| anyhow::anyhow!("the device failed while it read the picture: {e}"))?;
    let encode_ms = began.elapsed().as_secs_f64() * 1e3;

    let options = DraftOptions {
        beam: args.beam.into(),
        words: args.words,
        cache: !args.no_cache,
    };
    let mut first_token_ms = 0.0;
    let mut times = Vec::new();
    let mut stream = Presenter::new(&tokenizer);
    let quiet = globals.json;
    let mut out = std::io::stdout();
    let began = Instant::now();
    let draft = pollster::block_on(drafter.draft(features.clone(), options, |word| {
        times.push(began.elapsed().as_secs_f64() * 1e3);
        if times.len() == 1 {
            first_token_ms = times[0];
        }
        // A closed pipe ends the draft, not the command with a panic.
        if !quiet
            && write!(out, "{}", stream.push(word.id))
                .and_then(|()| out.flush())
                .is_err()
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }))?;
    let total = began.elapsed().as_secs_f64();
    let tokens_per_s = draft.words.len() as f64 / total.max(1e-9);
    let ids: Vec<u32> = draft.words.iter().map(|w| w.id).collect();
    if let Some(path) = &args.attention {
        let looks = pollster::block_on(looks(&model, features, &ids, tokenizer.specials()))?;
        let pieces: Vec<String> = ids.iter().map(|id| tokenizer.piece(*id)).collect();
        std::fs::write(path, attention::svg(&picture, &pieces, &looks)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    // A beam settles all words at its end: there is no time of each.
    let each_ms: Vec<f64> = if args.beam > 1 {
        Vec::new()
    } else {
        times.windows(2).map(|w| w[1] - w[0]).collect()
    };
    if globals.json {
        let tokens: Vec<_> = draft
            .words
            .iter()
            .map(|w| json!({ "text": tokenizer.piece(w.id), "probability": w.probability, "lead": w.lead }))
            .collect();
        let manifest = bundle.manifest();
        return say(json!({
            "text": present(&tokenizer.decode(&ids)),
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
        }));
    }
    say(stream.finish())?;
    if !draft.finished {
        eprintln!(
            "note: the draft stopped at {} word pieces without coming to its end",
            draft.words.len()
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
