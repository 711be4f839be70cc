//! System packages on Debian and Ubuntu.

use crate::shell;
use std::fs;
use std::process::Command;

/// Makes sure that the packages are installed.
///
/// # Errors
/// A sentence that says which packages are missing and how to install them, where this cannot be done from
/// here: no apt, no rights, or a package that this release does not have.
pub fn ensure(packages: &[&str]) -> Result<(), String> {
    if shell::capture(Command::new("apt-get").arg("--version")).is_none() {
        return Err(format!(
            "this is no Debian or Ubuntu; install what these packages hold: {}",
            packages.join(" ")
        ));
    }
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    if !is_root() {
        return Err(format!("packages are missing; run as root: {by_hand}"));
    }
    if lists_missing() {
        update()?;
        return install(&missing).map_err(|error| format!("{error} By hand: {by_hand}"));
    }
    // Old lists name versions that the server no longer has: then once more with new ones.
    install(&missing)
        .or_else(|_| update().and_then(|()| install(&missing)))
        .map_err(|error| format!("{error} By hand: {by_hand}"))
}

/// Makes sure that processors with fewer instructions can be emulated, where there are programs of theirs.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_emulator() -> Result<(), String> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) && !on_path("qemu-x86_64") {
        return ensure(&["qemu-user"]);
    }
    Ok(())
}

fn on_path(program: &str) -> bool {
    shell::capture(Command::new(program).arg("--version")).is_some()
}

/// Whether packages can be installed from here.
pub fn is_root() -> bool {
    shell::capture(Command::new("id").arg("-u")).as_deref() == Some("0")
}

fn installed(package: &str) -> bool {
    let status = shell::capture(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]));
    status.as_deref() == Some("installed")
}

/// Container images are shipped without the lists of packages.
fn lists_missing() -> bool {
    let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    !lists
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

fn update() -> Result<(), String> {
    shell::run(apt_get().arg("update"))
}

fn install(packages: &[&str]) -> Result<(), String> {
    shell::run(
        apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
}

fn apt_get() -> Command {
    let mut command = shell::command("apt-get");
    command.arg("-qq").args([
        "-o",
        "Acquire::Retries=1",
        "-o",
        "Acquire::http::Timeout=20",
        "-o",
        "Acquire::https::Timeout=20",
    ]);
    // Another apt may be at work on a machine that has just started.
    command
        .args(["-o", "DPkg::Lock::Timeout=120"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}
