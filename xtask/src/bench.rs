//! `cargo xtask bench`: the engine against other libraries, over the same weights and inputs.
//!
//! `hilum bench` is one side, `tests/peers/peer.py` the other; row 6 is measured in a browser ([`web`]). A case is timed only where both sides' outputs agree; the
//! sides take turns, so that what else the machine does falls on both.

mod peers;
mod side;
mod table;
mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{checkout, shell};
use side::{Compared, Side};
use table::{Row, Table};
use web::Web;

/// Time for the turns of one case: all cases, with what building and exporting takes, stay below 15 minutes.
const CASE: Duration = Duration::from_secs(6);
/// Turns at least.
const LEAST: usize = 5;
/// A turn that takes longer than this is slow, and then there are fewer.
const SLOW_MS: f64 = 4e3;
const LEAST_SLOW: usize = 3;
/// A turn repeats quick passes for at least this long.
const TURN_MS: f64 = 60.0;
/// Before a turn: the other side's threads spin for a while after their last piece of work, those of ONNX Runtime for
/// 55 ms.
const REST: Duration = Duration::from_millis(100);

/// What to measure, and how to tell it.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    only: Vec<String>,
    json: bool,
    threads: usize,
}

impl Options {
    /// Reads `--only ROW`, `--json` and `--threads N`.
    ///
    /// # Errors
    /// A sentence that names the wrong option.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            json: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value = || value.clone().or_else(|| rest.next().cloned());
            match name {
                "--json" => options.json = true,
                "--only" => {
                    let rows = value().ok_or("`--only` needs a row: `--only 1`, `--only draft,2`.")?;
                    options
                        .only
                        .extend(rows.split(',').map(|row| row.trim().to_owned()));
                }
                "--threads" => {
                    let number = value().unwrap_or_default();
                    options.threads = number
                        .parse()
                        .ok()
                        .filter(|threads| *threads > 0)
                        .ok_or_else(|| format!("`--threads` needs a number above 0, not {number:?}."))?;
                }
                other => {
                    return Err(format!(
                        "`cargo xtask bench` has no option `{other}`; it has --only, --json and --threads."
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// A case as `hilum bench --list` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Case {
    row: String,
    group: String,
    name: String,
    title: String,
}

impl Case {
    fn read(line: &str) -> Option<Self> {
        let mut parts = line.split('\t').map(str::to_owned);
        Some(Self {
            row: parts.next()?,
            group: parts.next()?,
            name: parts.next()?,
            title: parts.next()?,
        })
    }

    fn is(&self, word: &str) -> bool {
        [&self.row, &self.group, &self.name]
            .iter()
            .any(|own| *own == word)
    }
}

/// The cases that `only` names, all where it names none.
fn chosen(cases: Vec<Case>, only: &[String]) -> Result<Vec<Case>, String> {
    if let Some(word) = only.iter().find(|word| !cases.iter().any(|case| case.is(word))) {
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        return Err(format!(
            "There is no row `{word}`; give a row's number or one of {}.",
            names.join(", ")
        ));
    }
    let wanted = |case: &Case| only.is_empty() || only.iter().any(|word| case.is(word));
    Ok(cases.into_iter().filter(wanted).collect())
}

/// Measures and prints. Returns whether every case that was asked for was measured.
pub fn run(options: &Options) -> bool {
    match measure(options) {
        Ok(whole) => whole,
        Err(reason) => {
            eprintln!("{reason}");
            false
        }
    }
}

fn measure(options: &Options) -> Result<bool, String> {
    let began = Instant::now();
    checkout::claim()?;
    let python = peers::ensure()?;
    let built = build()?;
    let listed = shell::capture(shell::command(&built.to_string_lossy()).args(["bench", "--list"]));
    let listed = listed.ok_or("`hilum bench --list` failed.")?;
    let mut cases: Vec<Case> = listed
        .lines()
        .filter_map(Case::read)
        .chain(web::cases())
        .collect();
    cases.sort_by(|a, b| a.row.cmp(&b.row));
    let cases = chosen(cases, &options.only)?;
    // A copy: another build may put a new command in its place meanwhile.
    let own = scratch("command")?;
    let engine = own.join("hilum");
    fs::copy(&built, &engine)
        .map_err(|error| format!("{} could not be copied: {error}.", built.display()))?;
    let mut table = Table::new(options.json, options.threads);
    let mut whole = true;
    let mut web = None;
    for group in cases.chunk_by(|a, b| a.group == b.group) {
        let folder = scratch(&group[0].group)?;
        let outcome = if group[0].row == web::ROW {
            let web = web.get_or_insert_with(Web::ensure);
            web.as_ref()
                .map_err(Clone::clone)
                .and_then(|web| web.compare(&engine, &python, group, &folder, &mut table))
        } else {
            compare(&engine, &python, group, &folder, options.threads, &mut table)
        };
        // What is left in the temporary folder is no loss.
        let _ = fs::remove_dir_all(&folder);
        match outcome {
            Ok(measured) => whole &= measured == group.len(),
            Err(reason) => {
                whole = false;
                eprintln!("{}: {reason}", group[0].group);
            }
        }
    }
    let _ = fs::remove_dir_all(own);
    table.close(began.elapsed());
    Ok(whole)
}

/// The command, built in release; what cargo says goes to standard error.
fn build() -> Result<PathBuf, String> {
    let status = shell::cargo(&["build", "--release", "--package", "hilum"]).status();
    match status {
        Ok(status) if status.success() => Ok(shell::target_dir().join("release/hilum")),
        _ => Err("the command `hilum` could not be built; see above.".to_owned()),
    }
}

/// An empty folder for what the sides hand each other.
fn scratch(group: &str) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("hilum-bench-{}-{group}", std::process::id()));
    fs::create_dir_all(&folder)
        .map_err(|error| format!("{} could not be made: {error}.", folder.display()))?;
    Ok(folder)
}

/// One group's cases: both sides opened, compared and timed. Returns how many were measured.
fn compare(
    engine: &Path,
    python: &Path,
    group: &[Case],
    folder: &Path,
    threads: usize,
    table: &mut Table,
) -> Result<usize, String> {
    let names: Vec<&str> = group.iter().map(|case| case.name.as_str()).collect();
    let mut peer = shell::command(&python.to_string_lossy());
    peer.args(["-W", "ignore", "tests/peers/peer.py", &group[0].group])
        .args(&names);
    peer.arg("--folder")
        .arg(folder)
        .args(["--threads", &threads.to_string()]);
    let mut peer = Side::start(limited(&mut peer, threads), "the peer")?;
    peer.expect("prepared")?;
    let mut ours = shell::command(&engine.to_string_lossy());
    ours.arg("bench").args(&names).arg("--serve").arg(folder);
    let mut ours = Side::start(limited(&mut ours, threads), "hilum")?;
    ours.expect("ready")?;
    peer.say("compare")?;
    let verdicts = peer.verdicts()?;
    let mut measured = 0;
    for case in group {
        let verdict = verdicts.iter().find(|(name, _)| *name == case.name);
        match verdict.map(|(_, compared)| compared) {
            Some(Compared::Agrees { gap, peer: name }) => {
                let turns = turns(&mut ours, &mut peer, &case.name)?;
                table.add(Row::new(
                    case.row.clone(),
                    case.name.clone(),
                    case.title.clone(),
                    name.clone(),
                    gap.clone(),
                    &turns,
                ));
                measured += 1;
            }
            Some(Compared::Differs(reason)) => eprintln!("{} was not timed: {reason}", case.name),
            None => eprintln!("{} was not timed: the peer said nothing of it", case.name),
        }
    }
    ours.quit();
    peer.quit();
    Ok(measured)
}

/// The same number of threads, whatever a library takes it from.
fn limited(command: &mut Command, threads: usize) -> &mut Command {
    for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(variable, threads.to_string());
    }
    command
}

/// Times of both sides, turn by turn, in milliseconds a pass.
fn turns(ours: &mut Side, peer: &mut Side, case: &str) -> Result<Vec<(f64, f64)>, String> {
    let mut turn = |count: usize| -> Result<(f64, f64), String> {
        let line = format!("run {case} {count}");
        sleep(REST);
        let own = ours.time(&line)?;
        sleep(REST);
        Ok((own, peer.time(&line)?))
    };
    // Warm-up; a slow pass needs none but the one behind the comparison of outputs, and so tells how long a turn takes.
    let (mut own, mut other) = turn(1)?;
    if own + other < SLOW_MS {
        (own, other) = turn(1)?;
    }
    let (count, number) = plan(own, other);
    if count > 1 {
        turn(count)?;
    }
    (0..number).map(|_| turn(count)).collect()
}

/// Passes a turn and turns, from the milliseconds that a pass takes on either side.
fn plan(own: f64, other: f64) -> (usize, usize) {
    let count = (TURN_MS / own.min(other).max(1e-3)).ceil().clamp(1.0, 1000.0);
    let turn = count * (own + other) + 2e3 * REST.as_secs_f64();
    let number = 1e3 * CASE.as_secs_f64() / turn;
    let least = if turn < SLOW_MS { LEAST } else { LEAST_SLOW };
    (count as usize, (number as usize).max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let read = options("--only 1,draft --only=7 --json --threads 3").unwrap();
        assert_eq!(read.only, ["1", "draft", "7"]);
        assert_eq!((read.json, read.threads), (true, 3));
        let plain = options("").unwrap();
        assert!(plain.only.is_empty() && !plain.json && plain.threads > 0);
        for (line, needle) in [
            ("--fast", "`--fast`"),
            ("--only", "--only 1"),
            ("--threads 0", "\"0\""),
        ] {
            let message = options(line).expect_err(line);
            assert!(message.contains(needle), "`{line}` answered: {message}");
        }
    }

    #[test]
    fn cases_are_chosen_by_row_group_and_name() {
        let list =
            "1\tencoder\tencoder\tEncoder\n2\tresnet\tresnet-x1\tResNet\n2\tresnet\tresnet-x16\tResNet, 16";
        let cases: Vec<Case> = list.lines().filter_map(Case::read).collect();
        let names = |words: &[&str]| {
            let only: Vec<String> = words.iter().map(|&word| word.into()).collect();
            chosen(cases.clone(), &only)
                .map(|cases| cases.into_iter().map(|case| case.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["2"]).unwrap(), ["resnet-x1", "resnet-x16"]);
        assert_eq!(names(&["resnet-x16", "1"]).unwrap(), ["encoder", "resnet-x16"]);
        assert_eq!(names(&[]).unwrap().len(), 3);
        assert!(names(&["3"]).unwrap_err().contains("`3`"));
    }

    #[test]
    fn quick_passes_are_repeated_and_slow_ones_are_few() {
        // 150 passes on both sides and two rests are 335 ms.
        assert_eq!(plan(0.5, 0.4), (150, 17));
        assert_eq!(plan(1500.0, 900.0), (1, LEAST));
        assert_eq!(plan(6000.0, 2000.0), (1, LEAST_SLOW));
    }
}
