//! `hilum tables --out DIR`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use hilum::train::{PAPERS, PaperTables, Part, TableOptions, markdown, svg, tables};

use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The folder of phantoms, runs and tables.
    #[arg(long)]
    out: PathBuf,
    /// Seeds, each with phantoms and weights of its own.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=30))]
    seeds: u64,
    /// Multiplies steps and phantoms; 1 is for two cores and an hour.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// What this process makes beside others.
    #[arg(long, hide = true)]
    part: Option<Part>,
    /// The system whose paper's tables are made.
    #[arg(long, default_value = PAPERS[0].system, value_parser = PossibleValuesParser::new(PAPERS.map(|p| p.system)))]
    system: String,
    /// Compare this variant; may be given several times. Without it all but the ablations, which take longer than an
    /// hour (medvill: all-features, r-101, d-121, tienet; clinical-bert: k-3, k-5, k-7).
    #[arg(long = "variant")]
    variants: Vec<String>,
    /// Fine-tune for this task; may be given several times. Without it all.
    #[arg(long = "task")]
    tasks: Vec<String>,
}

/// Refuses a name that is none of `known`.
fn among<'a>(what: &str, given: &[String], known: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let known: Vec<&str> = known.collect();
    for name in given {
        anyhow::ensure!(
            known.contains(&name.as_str()),
            "--{what} {name} is none of {}",
            known.join(", ")
        );
    }
    Ok(())
}

fn paper(args: &Args) -> anyhow::Result<&'static PaperTables> {
    let paper = PAPERS.iter().find(|paper| paper.system == args.system);
    let paper = paper.with_context(|| format!("{} has no tables", args.system))?;
    let parts = args.part.iter().filter_map(|part| part.variant.clone());
    let variants: Vec<String> = args.variants.iter().cloned().chain(parts).collect();
    among("variant", &variants, paper.variants.iter().map(|v| v.key))?;
    among("task", &args.tasks, paper.tasks.iter().map(|t| t.name))?;
    Ok(paper)
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.scale > 0.0 && args.scale <= 1000.0,
        "--scale {} must be greater than 0 and at most 1000",
        args.scale
    );
    let paper = paper(args)?;
    let chosen = globals.open_device()?;
    let began = std::time::Instant::now();
    let tell = |what: &str| eprintln!("[{:6.0} s] {what}", began.elapsed().as_secs_f64());
    let (variants, tasks) = (args.variants.clone(), args.tasks.clone());
    let options = TableOptions {
        seeds: args.seeds,
        scale: args.scale,
        part: args.part.clone(),
        variants,
        tasks,
    };
    if args.part.is_none() {
        options.claim(&args.out)?;
    }
    if args.part.is_none() && chosen.adapter.is_none() {
        for parts in options.parts(paper) {
            side_by_side(&parts)?;
        }
    }
    let made = tables(paper, options, &args.out, &chosen.device, &tell)?;
    if args.part.is_some() {
        return Ok(());
    }
    let text = markdown(paper, &made);
    std::fs::write(args.out.join("tables.md"), &text)?;
    std::fs::write(args.out.join("tables.svg"), svg(paper, &made))?;
    std::fs::write(args.out.join("tables.json"), serde_json::to_string_pretty(&made)?)?;
    tell("done");
    globals.tell(&serde_json::to_value(&made)?, text)
}

/// Makes parts in processes of their own, as many at once as there are cores: one process leaves cores idle
/// between the layers of a network this small.
fn side_by_side(parts: &[Part]) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / parts.len().max(1)).max(1).to_string();
    let executable = std::env::current_exe()?;
    let make = |part: &Part| {
        std::process::Command::new(&executable)
            .args(std::env::args_os().skip(1))
            .args(["--part", &part.to_string()])
            .env("RAYON_NUM_THREADS", &threads)
            .stdout(std::process::Stdio::null())
            .status()
    };
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while let Some(part) = parts
            .get(next.fetch_add(1, Relaxed))
            .filter(|_| !failed.load(Relaxed))
        {
            let made = make(part);
            if !made.as_ref().is_ok_and(|status| status.success()) {
                failed.store(true, Relaxed);
                made?;
                anyhow::bail!("part {part} failed, see above; what was made before is kept");
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(parts.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| anyhow::bail!("a worker panicked"))
        })
    })
}
