//! What rustup can add to the tool chain in use, given up quickly where its server cannot be reached.

use crate::shell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a download may stand still. A closed network often answers nothing at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether rustup manages the tool chain here.
pub fn present() -> bool {
    shell::capture(shell::command("rustup").arg("--version")).is_some()
}

/// Adds a component such as `rustfmt`, unless `probe`, a cargo subcommand, already works.
///
/// # Errors
/// A sentence when the component is missing and cannot be added.
pub fn ensure_component(name: &str, probe: &str) -> Result<(), String> {
    if shell::capture(&mut shell::cargo(&[probe, "--version"])).is_some() {
        return Ok(());
    }
    add(&["component", "add", name])
}

/// Runs `rustup ARGUMENTS`, which downloads, and stops it where the server does not answer.
///
/// # Errors
/// A sentence when there is no rustup, or the download fails or stands still.
pub fn add(arguments: &[&str]) -> Result<(), String> {
    if !present() {
        return Err(format!(
            "there is no rustup to run `rustup {}`",
            arguments.join(" ")
        ));
    }
    let mut command: Command = shell::command("rustup");
    command
        .args(arguments)
        .env("RUSTUP_MAX_RETRIES", "1")
        .env("RUST_BACKTRACE", "0");
    let folders = home().map(|home| [home.join("downloads"), home.join("tmp")]);
    shell::run_unless_stalled(&mut command, PATIENCE, || {
        folders.iter().flatten().map(|folder| size(folder)).sum()
    })
}

/// Where rustup keeps what it downloads.
fn home() -> Option<PathBuf> {
    let own = std::env::var_os("RUSTUP_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    own.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")))
}

/// Bytes in the files of a folder and of those below it; 0 where it is missing.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let about = entry.metadata().ok()?;
        Some(if about.is_dir() {
            size(&entry.path())
        } else {
            about.len()
        })
    });
    sizes.sum()
}
