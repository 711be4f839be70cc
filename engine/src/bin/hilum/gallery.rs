//! `hilum gallery build|search`, and `hilum similar IMAGE|"TEXT"`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use hilum::bundle::{Array, Gallery, GalleryCase, GalleryIndex, gallery};
use hilum::data::{Layout, ReadOptions, Study, load as load_data};
use hilum::image::encode::jpeg_bytes;
use hilum::image::{Gray8, WindowChoice, prepare};
use hilum::systems::Task;
use hilum::tasks::{Query, best_cases, label_set};
use hilum::text::Labeler;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::globals::Globals;
use super::session::{self, demo_bundle};

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
    /// The part of the data set that the cases come from: train, validate, test or all.
    #[arg(long, default_value = "all", value_parser = ["train", "validate", "test", "all"])]
    split: String,
    /// Keeps no picture of a case, only what the model compares, its labels and its report: for pictures that may not be
    /// passed on.
    #[arg(long)]
    no_pictures: bool,
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
    let (_, session) = session::open(Some(&args.bundle), &chosen.device)?;
    // A model that reads both compares by the report; one of pictures alone needs none.
    let by_code = session.compares_codes();
    if !by_code {
        session.offers(Task::Retrieve)?;
    }
    let loaded = load_data(&args.data, args.layout, &ReadOptions::default())?;
    let usable = |s: &&Study| {
        (args.split == "all" || s.split.name() == args.split)
            && s.has_image()
            && (by_code || !s.report.longer().is_empty())
    };
    let studies: Vec<_> = loaded.studies.iter().filter(usable).take(args.count).collect();
    anyhow::ensure!(
        !studies.is_empty(),
        "{} has no study with a picture{}",
        args.data.display(),
        if by_code { "" } else { " and a report" }
    );
    let mut sheet = (!args.no_pictures).then(|| Sheet::new(args.thumbnail as usize, studies.len()));
    let (labeler, set) = (Labeler::new(), label_set(&session));
    let (mut cases, mut features) = (Vec::new(), Vec::new());
    let bar = ProgressBar::new(studies.len() as u64);
    for (number, study) in studies.iter().enumerate() {
        let gray = session::read(&study.image)?.display(&WindowChoice::Default)?;
        let kept = session.kept_of(session.encode_gray(&gray).tokens);
        features.extend(kept.into_data().iter::<f32>());
        if let Some(sheet) = &mut sheet {
            sheet.put(number, &gray);
        }
        let targets = study.targets(&set, &labeler);
        let labels = set.labels.iter().zip(targets);
        let labels = labels
            .filter(|(_, target)| *target == Some(true))
            .map(|(label, _)| label.name.clone());
        cases.push(GalleryCase {
            id: study.id.clone(),
            report: study.report.longer().to_owned(),
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
        thumbnail: sheet.as_ref().map_or(0, |sheet| sheet.side),
        columns: sheet.as_ref().map_or(0, |_| COLUMNS),
        cases,
    };
    let [cells, width] = session.kept_shape();
    let features = Array {
        shape: vec![studies.len(), cells, width],
        data: features,
    };
    let sheet = sheet.map(|sheet| sheet.jpeg()).transpose()?;
    let manifest = gallery::put(&args.bundle, &Gallery { index, features }, sheet.as_deref())?;
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

/// The pictures of the cases, to look at.
struct Sheet {
    side: usize,
    rows: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    fn new(side: usize, cases: usize) -> Self {
        let rows = cases.div_ceil(COLUMNS);
        Self {
            side,
            rows,
            pixels: vec![0; COLUMNS * side * rows * side],
        }
    }

    fn put(&mut self, number: usize, gray: &Gray8) {
        let side = self.side;
        let (x, y) = (number % COLUMNS * side, number / COLUMNS * side);
        for (row, line) in prepare(gray, side).pixels.chunks(side).enumerate() {
            let at = (y + row) * COLUMNS * side + x;
            for (place, value) in self.pixels[at..at + side].iter_mut().zip(line) {
                *place = (value * 255.0).round() as u8;
            }
        }
    }

    fn jpeg(&self) -> anyhow::Result<Vec<u8>> {
        Ok(jpeg_bytes(
            &self.pixels,
            COLUMNS * self.side,
            self.rows * self.side,
            QUALITY,
        )?)
    }
}

pub fn search(args: &Search, globals: &Globals) -> anyhow::Result<()> {
    let chosen = globals.open_device()?;
    let path = args.bundle.clone().map_or_else(demo_bundle, Ok)?;
    let (bundle, session) = session::open(Some(&path), &chosen.device)?;
    session.offers(Task::Retrieve)?;
    let Some(gallery) = session::gallery(&bundle, &session)? else {
        anyhow::bail!(
            "the bundle {} has no gallery; add one with hilum gallery build",
            path.display()
        );
    };
    let file = Path::new(&args.query);
    let image = if file.is_file() {
        Some(session::encode(&session, file, args.window.as_ref())?)
    } else {
        let named = file.extension().and_then(|e| e.to_str()).is_some_and(|e| {
            ["png", "jpg", "jpeg", "dcm", "dicom"].contains(&e.to_ascii_lowercase().as_str())
        });
        anyhow::ensure!(
            !named,
            "there is no file {}; name a radiograph, or write a text",
            file.display()
        );
        None
    };
    let judged = image
        .as_ref()
        .map(|image| session::judge(&session, image))
        .transpose()?;
    let tokens = image.as_ref().map(|image| &image.tokens);
    let query = tokens.map_or(Query::Text(&args.query), Query::Image);
    let go_on = async |_: usize, _: usize| ControlFlow::Continue(());
    let found = pollster::block_on(gallery.search(&session, query, go_on))?.unwrap_or_default();
    let found = best_cases(&gallery, &found, args.count as usize);
    let rows: Vec<Value> = found
        .cases
        .iter()
        .map(|c| json!({ "id": c.id, c.closeness.name(): c.closeness.value(), "labels": c.labels, "report": c.report }))
        .collect();
    let line = |c: &hilum::tasks::Case| {
        let labels = c.labels.join(", ");
        let line = format!("{:5.3}  {}  [{labels}]", c.closeness.value(), c.id);
        match c.report.is_empty() {
            true => line,
            false => format!("{line}\n       {}", c.report),
        }
    };
    let lines: Vec<String> = found.cases.iter().map(line).collect();
    let mut told = json!({ "cases": rows, "source": found.source, "device": chosen.name });
    if let Some(judged) = judged {
        judged.put(&mut told);
    }
    globals.tell(&told, lines.join("\n"))
}
