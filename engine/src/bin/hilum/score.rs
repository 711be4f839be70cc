//! `hilum score`: measures of generated reports, a table or JSON.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use hilum::data::read_words;
use hilum::metrics::{ClinicalScores, GenerationScores, Texts, clinical_scores, generation_scores};
use hilum::text::Labeler;
use serde::Serialize;

use crate::globals::Globals;

/// Score generated reports against reference reports
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The generated reports, one a line, tokens joined by spaces
    #[arg(long)]
    candidates: PathBuf,
    /// The reference reports, one a line; several of one report separated by tabs
    #[arg(long)]
    references: PathBuf,
    /// A folder of METEOR's data: meteor-1.5.jar unpacked, with paraphrase-en.gz. Without it METEOR counts
    /// words and stems only
    #[arg(long, value_name = "DIR")]
    meteor_data: Option<PathBuf>,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Scores {
    #[serde(flatten)]
    generation: GenerationScores,
    #[serde(flatten)]
    clinical: ClinicalScores,
}

/// Runs it.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let (candidates, references) = (read(&args.candidates)?, read(&args.references)?);
    let references: Vec<Vec<&str>> = references.lines().map(references_of).collect();
    let lines = candidates.lines().count();
    ensure!(
        lines == references.len(),
        "{} has {lines} lines and {} has {}; line k of one is scored against line k of the other, give them the same number",
        args.candidates.display(),
        args.references.display(),
        references.len()
    );
    let pairs: Vec<Texts<'_>> = candidates
        .lines()
        .zip(references.iter().map(Vec::as_slice))
        .collect();
    let generation = generation_scores(&pairs, args.meteor_data.as_deref())?;
    let clinical = clinical_scores(&pairs, &Labeler::new());
    let text = table(&generation, &clinical);
    globals.tell(&serde_json::to_value(Scores { generation, clinical })?, text)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = read_words(path).with_context(|| format!("cannot read {} as text", path.display()))?;
    // Files that were joined keep the marks with which each of them began.
    Ok(text.replace("\n\u{feff}", "\n"))
}

/// The references of a line; what is blank beside another is a stray tab.
fn references_of(line: &str) -> Vec<&str> {
    let all: Vec<&str> = line.split('\t').filter(|r| !r.trim().is_empty()).collect();
    if all.is_empty() { vec![""] } else { all }
}

fn table(generation: &GenerationScores, clinical: &ClinicalScores) -> String {
    let bleu = &generation.bleu;
    let rows = [
        ("BLEU-1", bleu.bleu_1),
        ("BLEU-2", bleu.bleu_2),
        ("BLEU-3", bleu.bleu_3),
        ("BLEU-4", bleu.bleu_4),
        ("METEOR", generation.meteor),
        ("ROUGE-L", generation.rouge_l),
        ("CIDEr", generation.cider),
        ("clinical accuracy", clinical.accuracy),
        ("clinical precision", clinical.precision),
        ("clinical recall", clinical.recall),
        ("clinical micro F1", clinical.micro_f1),
    ];
    let mut out = format!("{:<20} {:>7}\n", "reports", generation.n);
    for (name, value) in rows {
        out += &format!("{name:<20} {value:>7.4}\n");
    }
    out + &format!("METEOR ran: {}", generation.meteor_stages.join(", "))
}
