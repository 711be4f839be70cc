//! `hilum tables --out DIR`.

use std::path::PathBuf;

use hilum::train::{TableOptions, markdown, svg, tables};

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
    /// Make the runs of this seed alone, beside other processes; a last call without it writes the tables.
    #[arg(long)]
    only: Option<u64>,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.scale > 0.0 && args.scale <= 1000.0,
        "--scale {} must be greater than 0 and at most 1000",
        args.scale
    );
    let chosen = globals.open_device()?;
    let began = std::time::Instant::now();
    let tell = |what: &str| eprintln!("[{:6.0} s] {what}", began.elapsed().as_secs_f64());
    let options = TableOptions { seeds: args.seeds, scale: args.scale, only: args.only };
    anyhow::ensure!(
        args.only.is_none_or(|only| only < args.seeds),
        "--only must be less than --seeds, {}: seeds count from 0",
        args.seeds
    );
    if args.only.is_none() && chosen.adapter.is_none() {
        side_by_side(args.seeds as usize)?;
    }
    let made = tables(options, &args.out, &chosen.device, &tell)?;
    if args.only.is_some() {
        return globals.tell(&serde_json::json!({ "out": args.out }), format!("{}", args.out.display()));
    }
    let text = markdown(&made);
    std::fs::write(args.out.join("tables.md"), &text)?;
    std::fs::write(args.out.join("tables.svg"), svg(&made))?;
    std::fs::write(args.out.join("tables.json"), serde_json::to_string_pretty(&made)?)?;
    tell("done");
    globals.tell(&serde_json::to_value(&made)?, text)
}

/// Makes the runs of all seeds in processes of their own, as many at once as there are cores: one process leaves cores idle
/// between the layers of a network this small.
fn side_by_side(seeds: usize) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<usize> = (0..seeds).collect();
    for wave in all.chunks(cores) {
        let threads = (cores / wave.len()).max(1).to_string();
        let begin = |seed: &usize| {
            std::process::Command::new(std::env::current_exe()?)
                .args(std::env::args_os().skip(1))
                .args(["--only", &seed.to_string()])
                .env("RAYON_NUM_THREADS", &threads)
                .stdout(std::process::Stdio::null())
                .spawn()
        };
        let mut children = wave.iter().map(begin).collect::<Result<Vec<_>, _>>()?;
        let ended = children.iter_mut().map(std::process::Child::wait).collect::<Result<Vec<_>, _>>()?;
        anyhow::ensure!(ended.iter().all(|s| s.success()), "a seed's runs failed; what was made before is kept");
    }
    Ok(())
}
