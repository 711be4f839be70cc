//! `hilum trial [--bundle B] [--write]`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use hilum::tasks::{TRIAL_TOKENS, put_trial, recorded, trial};
use hilum::text::present;
use serde_json::json;

use super::globals::Globals;
use super::session::{self, demo_bundle};

#[derive(clap::Args)]
pub struct Args {
    /// The bundle; without it, the demo bundle that comes with the project.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Record what the CPU says in the bundle's manifest, in the place of what is there.
    #[arg(long)]
    write: bool,
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let path = args.bundle.clone().map_or_else(demo_bundle, Ok)?;
    if args.write {
        put_trial(&path)?;
    }
    let chosen = globals.open_device()?;
    let (_, session) = session::open(Some(&path), &chosen.device)?;
    let go_on = async |_| ControlFlow::Continue(());
    let say = || pollster::block_on(trial(&session, TRIAL_TOKENS, go_on));
    // The first one compiles kernels and packs weights.
    let said = say()?;
    let began = Instant::now();
    say()?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let ids: Vec<u32> = said.tokens.iter().map(|token| token.id).collect();
    let words = session.tokenizer.as_ref().map(|t| present(&t.decode(&ids)));
    let words = words.unwrap_or_default();
    let expected = recorded(&session.manifest).map(|trial| trial.text.clone());
    ensure!(
        said.right != Some(false),
        "{} says {words:?} where the bundle records {:?}: the device computes wrongly, or the bundle is damaged",
        chosen.name,
        expected.unwrap_or_default()
    );
    let verdict = match said.right {
        Some(_) => "as the bundle records",
        None => "the bundle records no trial to compare with; record one with --write",
    };
    let value = json!({
        "device": chosen.name, "right": said.right, "text": words, "numbers": said.numbers, "ms": ms,
    });
    globals.tell(
        &value,
        format_args!("{words}\n{}: {verdict}; {ms:.0} ms", chosen.name),
    )
}
