//! `hilum bench [ROW..]`: how long the engine takes for what `cargo xtask bench` compares with other libraries.
//!
//! With `--serve DIR` it is one side of that comparison: weights, inputs and outputs go to `DIR`, and then each line
//! `run CASE COUNT` on standard input is answered by the mean time of a pass in milliseconds.

mod case;
mod decoding;
mod medvill;
mod networks;
mod training;
mod weights;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use hilum::bundle::checkpoint::write_safetensors;
use serde_json::json;

use super::globals::{DeviceChoice, Globals, say};
use case::{GROUPS, Pass, Setting, Subject, select};

#[derive(clap::Args)]
pub struct Args {
    /// What to measure: numbers of rows, groups or cases; all of them where none is named.
    rows: Vec<String>,
    /// Passes of each case.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// List rows, groups, cases and titles, separated by tabs.
    #[arg(long)]
    list: bool,
    /// Write weights, inputs and outputs of one group to a folder, then serve timed passes on standard input and output.
    #[arg(long, value_name = "DIR")]
    serve: Option<PathBuf>,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    if args.list {
        return list();
    }
    // The CPU unless WebGPU is asked for: the peers compute there.
    let chosen = match globals.device {
        DeviceChoice::Webgpu => globals.open_device()?,
        DeviceChoice::Auto | DeviceChoice::Cpu => hilum::device::cpu(),
    };
    let setting = Setting {
        device: &chosen.device,
        seed: globals.seed.unwrap_or(0),
        folder: args.serve.as_deref(),
    };
    match &args.serve {
        Some(folder) => serve(args, &setting, folder),
        None => alone(args, globals, &setting, &chosen.name),
    }
}

fn list() -> anyhow::Result<()> {
    for group in GROUPS {
        for case in group.cases {
            say(format_args!(
                "{}\t{}\t{}\t{}",
                group.row, group.name, case.name, case.title
            ))?;
        }
    }
    Ok(())
}

/// Milliseconds of `count` passes, on average.
fn time(pass: &mut Pass, count: u32) -> anyhow::Result<f64> {
    let began = Instant::now();
    for _ in 0..count {
        (pass.run)()?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3 / f64::from(count))
}

fn serve(args: &Args, setting: &Setting<'_>, folder: &Path) -> anyhow::Result<()> {
    let selected = select(&args.rows)?;
    let [(group, cases)] = selected.as_slice() else {
        bail!("--serve takes the cases of one group at a time")
    };
    let Subject {
        config,
        weights,
        mut passes,
    } = (group.build)(cases, setting)?;
    let path = folder.join("config.json");
    std::fs::write(&path, config.to_string()).with_context(|| path.display().to_string())?;
    write_safetensors(&folder.join("weights.safetensors"), &weights)?;
    drop(weights);
    for pass in &mut passes {
        let arrays = std::mem::take(&mut pass.arrays);
        write_safetensors(&folder.join(format!("{}.safetensors", pass.case)), &arrays)?;
    }
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["run", case, count] => {
                let pass = passes.iter_mut().find(|pass| pass.case == *case);
                let pass = pass.with_context(|| format!("{case} is not being served"))?;
                let count = count.parse().with_context(|| format!("{count:?} passes"))?;
                say(time(pass, count)?)?;
            }
            ["quit"] => break,
            _ => bail!("{line:?} is neither `run CASE COUNT` nor `quit`"),
        }
    }
    Ok(())
}

fn alone(args: &Args, globals: &Globals, setting: &Setting<'_>, device: &str) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    if !globals.json {
        say(format_args!(
            "{device}, {} threads; medians of {} passes, spread: interquartile range by the median\n",
            rayon::current_num_threads(),
            args.runs
        ))?;
        say("| Row | What | ms | Spread |\n|---|---|---|---|")?;
    }
    for (group, cases) in select(&args.rows)? {
        // What only a peer can write is left out, unless it was asked for.
        if group.name == "decode" && args.rows.is_empty() {
            eprintln!(
                "note: row {} needs the peers' files: cargo xtask bench",
                group.row
            );
            continue;
        }
        for mut pass in (group.build)(&cases, setting)?.passes {
            let times = (0..args.runs).map(|_| time(&mut pass, 1));
            let (median, spread) = median_and_spread(times.collect::<anyhow::Result<_>>()?);
            rows.push(json!({ "row": pass.case, "ours_ms": median, "spread": spread }));
            let titled = group.cases.iter().find(|case| case.name == pass.case);
            let title = titled.map_or(pass.case, |case| case.title);
            if !globals.json {
                say(format_args!(
                    "| {} `{}` | {title} | {median:.2} | {:.0}% |",
                    group.row,
                    pass.case,
                    spread * 100.0
                ))?;
            }
        }
    }
    if globals.json {
        say(json!({ "rows": rows }))?;
    }
    Ok(())
}

/// The median, and the interquartile range divided by it.
fn median_and_spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = part * (values.len().saturating_sub(1)) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let value = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        value(low) + (value(high) - value(low)) * place.fract()
    };
    let median = at(0.5);
    (median, (at(0.75) - at(0.25)) / median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_the_middle_half() {
        let (median, spread) = median_and_spread(vec![90.0, 10.0, 11.0, 9.0, 10.0]);
        assert_eq!((median, spread), (10.0, 0.1));
        assert_eq!(median_and_spread(vec![4.0]), (4.0, 0.0));
        assert_eq!(median_and_spread(vec![1.0, 3.0]).0, 2.0);
    }
}
