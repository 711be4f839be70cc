//! `hilum gallery build|search`, and `hilum similar IMAGE|"TEXT"`.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use hilum::bundle::{Array, Gallery, GalleryCase, GalleryIndex, gallery};
use hilum::data::{Layout, ReadOptions, load as load_data};
use hilum::image::encode::jpeg_bytes;
use hilum::image::{WindowChoice, decode_file, prepare};
use hilum::systems::medvill::MedVill;
use hilum::tasks::{match_probabilities, truth_of};
use hilum::text::{Finding, Labeler, Tokenizer};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::draft::{Loaded, demo_bundle, load};
use super::findings::encode;
use super::globals::Globals;

/// Pictures a row of the sheet.
const COLUMNS: usize = 20;
const QUALITY: u8 = 80;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Puts cases of a data set into a bundle, for it to be searched.
    Build(Build),
    /// Searches a bundle's gallery; the same as `hilum similar`.
    Search(Search),
}

#[derive(clap::Args)]
pub struct Build {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    /// The data set's folder.
    #[arg(long)]
    data: PathBuf,
    /// Its layout, where it is not recognised by its files.
    #[arg(long)]
    layout: Option<Layout>,
    /// Cases at most.
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Pixels a side of the pictures to look at.
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u16).range(16..=512))]
    thumbnail: u16,
    /// Where the cases come from, in a sentence.
    #[arg(long)]
    source: Option<String>,
}

#[derive(clap::Args)]
pub struct Search {
    /// A radiograph's file, or a report or part of one.
    query: String,
    /// The bundle; without it, the demo bundle.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Cases at most.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// The window: a number, a name, or CENTRE,WIDTH.
    #[arg(long, allow_hyphen_values = true)]
    window: Option<WindowChoice>,
}

pub fn run(command: &Command, globals: &Globals) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => build(args, globals),
        Command::Search(args) => search(args, globals),
    }
}

fn build(args: &Build, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let Loaded { model, .. } = load(Some(&args.bundle), &chosen.device)?;
    let loaded = load_data(&args.data, args.layout, &ReadOptions::default())?;
    let told = |s: &&hilum::data::Study| s.has_image() && !s.report.longer().is_empty();
    let studies: Vec<_> = loaded.studies.iter().filter(told).take(args.count).collect();
    anyhow::ensure!(
        !studies.is_empty(),
        "{} has no study with a picture and a report",
        args.data.display()
    );
    let (side, rows) = (args.thumbnail as usize, studies.len().div_ceil(COLUMNS));
    let mut sheet = vec![0u8; COLUMNS * side * rows * side];
    let labeler = Labeler::new();
    let (mut cases, mut features, mut shape) = (Vec::new(), Vec::new(), [0; 3]);
    let bar = ProgressBar::new(studies.len() as u64);
    for (number, study) in studies.iter().enumerate() {
        let map = encode(&model, &study.image, None, &chosen.device)?;
        shape = map.dims();
        features.extend(map.into_data().iter::<f32>());
        let gray = decode_file(&study.image)?.display(&WindowChoice::Default)?;
        let picture = prepare(&gray, side).pixels;
        let (x, y) = (number % COLUMNS * side, number / COLUMNS * side);
        for (row, line) in picture.chunks(side).enumerate() {
            let at = (y + row) * COLUMNS * side + x;
            for (place, value) in sheet[at..at + side].iter_mut().zip(line) {
                *place = (value * 255.0).round() as u8;
            }
        }
        let truth = truth_of(study, &labeler).0;
        let labels = Finding::ALL
            .iter()
            .filter(|f| truth[**f as usize] == Some(true))
            .map(|f| f.name().to_owned());
        let report = study.report.longer().to_owned();
        cases.push(GalleryCase {
            id: study.id.clone(),
            report,
            labels: labels.collect(),
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let source = args
        .source
        .clone()
        .unwrap_or_else(|| format!("{} ({})", args.data.display(), loaded.layout));
    let index = GalleryIndex {
        source,
        thumbnail: side,
        columns: COLUMNS,
        cases,
    };
    let features = Array {
        shape: vec![studies.len(), shape[1], shape[2]],
        data: features,
    };
    let sheet = jpeg_bytes(&sheet, COLUMNS * side, rows * side, QUALITY)?;
    let manifest = gallery::put(&args.bundle, &Gallery { index, features }, &sheet)?;
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    globals.tell(
        &json!({ "bundle": args.bundle, "cases": studies.len(), "bytes": bytes }),
        format_args!(
            "{}: {} cases, {:.1} MB in all",
            args.bundle.display(),
            studies.len(),
            bytes as f64 / 1e6
        ),
    )
}

/// The matching probability of every case with the query, by the case's report or, for a text, by its
/// picture.
fn scores(
    model: &MedVill,
    tokenizer: &Tokenizer,
    gallery: &Gallery,
    args: &Search,
    device: &Device,
) -> anyhow::Result<Vec<f32>> {
    let words = model.config().words;
    let count = gallery.index.cases.len();
    let path = Path::new(&args.query);
    let (features, texts, pairs);
    if path.is_file() {
        features = encode(model, path, args.window.as_ref(), device)?;
        let encoded = gallery
            .index
            .cases
            .iter()
            .map(|case| tokenizer.encode_closed(&case.report, words));
        texts = encoded.collect::<Result<Vec<_>, _>>()?;
        pairs = (0..count).map(|case| (0, case)).collect::<Vec<_>>();
    } else {
        let picture = path.extension().and_then(|e| e.to_str()).is_some_and(|e| {
            ["png", "jpg", "jpeg", "dcm", "dicom"].contains(&e.to_ascii_lowercase().as_str())
        });
        anyhow::ensure!(
            !picture,
            "there is no file {}; name a radiograph, or write a text",
            path.display()
        );
        anyhow::ensure!(
            !args.query.trim().is_empty(),
            "the query is empty; name a radiograph, or write a text"
        );
        let &[cases, tokens, width] = &gallery.features.shape[..] else {
            anyhow::bail!("the gallery's maps have another form than the model's; build it again")
        };
        let data = TensorData::new(gallery.features.data.clone(), [cases, tokens, width]);
        features = Tensor::<3>::from_data(data, device);
        texts = vec![tokenizer.encode_closed(&args.query, words)?];
        pairs = (0..count).map(|case| (case, 0)).collect();
    }
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    Ok(pollster::block_on(match_probabilities(
        model,
        &features,
        &texts,
        &pairs,
        tokenizer.specials(),
    ))?)
}

pub fn search(args: &Search, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let path = args.bundle.clone().map_or_else(demo_bundle, Ok)?;
    let Loaded {
        bundle,
        model,
        tokenizer,
    } = load(Some(&path), &chosen.device)?;
    let Some(gallery) = gallery::open(&bundle)? else {
        anyhow::bail!(
            "the bundle {} has no gallery; add one with hilum gallery build",
            path.display()
        );
    };
    let scores = scores(&model, &tokenizer, &gallery, args, &chosen.device)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(args.count as usize);
    let cases = order.iter().map(|&i| (&gallery.index.cases[i], scores[i]));
    let rows: Vec<Value> = cases
        .clone()
        .map(|(c, p)| json!({ "id": c.id, "probability": p, "labels": c.labels, "report": c.report }))
        .collect();
    let lines: Vec<String> = cases
        .map(|(c, p)| {
            format!(
                "{p:5.3}  {}  [{}]\n       {}",
                c.id,
                c.labels.join(", "),
                c.report
            )
        })
        .collect();
    globals.tell(
        &json!({ "cases": rows, "source": gallery.index.source, "device": chosen.name }),
        lines.join("\n"),
    )
}
