//! The command `hilum`: one file a subcommand, parsing and printing only.

#![allow(
    clippy::disallowed_methods,
    reason = "the command is native: it may read the clock"
)]
#![allow(
    missing_docs,
    reason = "a subcommand's Args and run need no more words than its header"
)]

mod ask;
mod attention;
mod bench;
mod check;
mod data;
mod decode;
mod doctor;
mod draft;
mod evaluate;
mod export;
mod findings;
mod finetune;
mod gallery;
mod gate;
mod globals;
mod import;
mod label;
mod memory;
mod phantom;
mod pool;
mod quiet;
mod score;
mod serve;
mod session;
mod structured;
mod systems;
mod tables;
mod trace;
mod trial;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use globals::Globals;

/// Drafts chest-radiograph reports on your own device. Research software, not for clinical use.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the systems, their tasks and presets.
    Systems,
    /// Shows adapters, limits and what would be used.
    Doctor,
    /// Decodes a radiograph to .npy (after the modality LUT) or .png (as displayed).
    Decode(decode::Args),
    /// Draws synthetic radiographs with reports, in a published data set's layout.
    Phantom(phantom::Args),
    /// Counts what a data set holds.
    Data(data::Args),
    /// Labels reports with CheXpert's 14 categories.
    Label(label::Args),
    /// Pre-trains as a config says.
    Pretrain(finetune::Args),
    /// Trains for tasks as a config says.
    Finetune(finetune::Args),
    /// Scores a bundle on a data set.
    Evaluate(evaluate::Args),
    /// Makes a bundle of a published checkpoint.
    Import(import::Args),
    /// Makes a bundle of a run.
    Export(export::Args),
    /// Writes named intermediates of a forward pass, for parity.
    Trace(trace::Args),
    /// Compares what a device says of a picture drawn by a formula with what the bundle records.
    Trial(trial::Args),
    /// Drafts a report from a radiograph; with a bundle that only reads findings, it is written from those.
    Draft(draft::Args),
    /// Finds what a radiograph shows, with calibrated probabilities.
    Findings(findings::Args),
    /// Checks a report against its radiograph.
    Check(check::Args),
    /// Answers a question of a radiograph.
    Ask(ask::Args),
    /// Finds similar cases in a bundle's gallery, by a radiograph or by words.
    Similar(gallery::Search),
    /// Builds and searches a bundle's gallery.
    #[command(subcommand)]
    Gallery(gallery::Command),
    /// Fits and checks what tells a bundle that a picture is unlike what it was trained on.
    #[command(subcommand)]
    Gate(gate::Command),
    /// Scores generated reports against references.
    Score(score::Args),
    /// Makes small-scale versions of the papers' tables, on phantoms.
    Tables(tables::Args),
    /// Times what `cargo xtask bench` compares with other libraries.
    Bench(bench::Args),
    /// Serves the page to this machine's browsers.
    Serve(serve::Args),
}

fn main() -> ExitCode {
    memory::keep_blocks();
    // clap exits 2 on a wrong usage, 0 on help.
    let cli = Cli::parse();
    let globals = &cli.globals;
    // These list adapters.
    if globals.device != globals::DeviceChoice::Cpu || matches!(cli.command, Command::Doctor) {
        quiet::settle();
    }
    let outcome = match cli.command {
        // Its threads wait for browsers, and nothing is computed.
        Command::Serve(_) => run(&cli),
        _ => pool::enter(|| run(&cli)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hilum: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let globals = &cli.globals;
    match &cli.command {
        Command::Systems => systems::run(globals),
        Command::Doctor => doctor::run(globals),
        Command::Decode(args) => decode::run(args, globals),
        Command::Phantom(args) => phantom::run(args, globals),
        Command::Data(args) => data::run(args, globals),
        Command::Label(args) => label::run(args, globals),
        Command::Pretrain(args) | Command::Finetune(args) => finetune::run(args, globals),
        Command::Evaluate(args) => evaluate::run(args, globals),
        Command::Import(args) => import::run(args, globals),
        Command::Export(args) => export::run(args, globals),
        Command::Trace(args) => trace::run(args, globals),
        Command::Trial(args) => trial::run(args, globals),
        Command::Draft(args) => draft::run(args, globals),
        Command::Findings(args) => findings::run(args, globals),
        Command::Check(args) => check::run(args, globals),
        Command::Ask(args) => ask::run(args, globals),
        Command::Similar(args) => gallery::search(args, globals),
        Command::Gallery(command) => gallery::run(command, globals),
        Command::Gate(command) => gate::run(command, globals),
        Command::Score(args) => score::run(args, globals),
        Command::Tables(args) => tables::run(args, globals),
        Command::Bench(args) => bench::run(args, globals),
        Command::Serve(args) => serve::run(args, globals),
    }
}

/// The chain of an error as one line, what is repeated by a cause left out.
fn sentence(error: &anyhow::Error) -> String {
    let mut out = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if out.contains(&cause) {
            continue;
        }
        if !out.is_empty() {
            out += ": ";
        }
        out += &cause;
    }
    out.replace('\n', " ")
}
