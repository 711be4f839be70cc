//! The libraries that the engine is compared with, at pinned versions, in a Python environment of the project's own: `peers`
//! in the build folder, or the one that `HILUM_PEERS` names. onnxruntime-web lies beside it, as npm packs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

/// What is installed.
const REQUIREMENTS: &str = "tests/peers/requirements.txt";
/// onnxruntime-web's version.
const WEB: &str = "1.30.0";
/// Names an environment to use as it is.
const VARIABLE: &str = "HILUM_PEERS";
/// What the peers' programs import.
const IMPORTS: &str =
    "import gdcm, imagecodecs, numpy, onnx, onnxruntime, pydicom, pylibjpeg, torch, torchvision";

/// The Python of the peers, installed where it is not there yet; quick where it is.
///
/// # Errors
/// A sentence that says what is missing and what to do.
pub fn ensure() -> Result<PathBuf, String> {
    if let Some(named) = named() {
        let python = python_in(&named);
        return check(&python, &format!("{VARIABLE} names an environment without them"));
    }
    let folder = folder();
    let python = python_in(&folder);
    let path = shell::root().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&path)
        .map_err(|error| format!("{} could not be read: {error}.", path.display()))?;
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return check(&python, &format!("remove {} and try again", folder.display()));
    }
    eprintln!(
        "Installing the peers once, several gigabytes; they stay in {}.",
        folder.display()
    );
    quiet(Command::new("python3").args(["-m", "venv"]).arg(&folder)).map_err(|reason| {
        format!("{reason} The peers need Python 3.11 or newer with venv (Debian: apt-get install python3-venv), or {VARIABLE}, the folder of a virtual environment that holds {REQUIREMENTS}.")
    })?;
    quiet(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(&path),
    )
    .map_err(|reason| {
        format!(
            "{reason} Install {REQUIREMENTS} into a virtual environment by hand and name it in {VARIABLE}."
        )
    })?;
    let python = check(&python, &format!("see {REQUIREMENTS}"))?;
    fs::write(&stamp, wanted)
        .map_err(|error| format!("{} could not be written: {error}.", stamp.display()))?;
    Ok(python)
}

/// The folder of onnxruntime-web's programs, fetched where it is not there yet.
///
/// # Errors
/// A sentence that says what is missing and what to do.
pub fn onnxruntime_web() -> Result<PathBuf, String> {
    let peers = named().unwrap_or_else(folder);
    let home = peers.join(format!("onnxruntime-web-{WEB}"));
    let programs = home.join("package/dist");
    if programs.join("ort.wasm.min.mjs").is_file() {
        return Ok(programs);
    }
    fs::create_dir_all(&home).map_err(|error| format!("{} could not be made: {error}.", home.display()))?;
    let package = format!("onnxruntime-web@{WEB}");
    let remedy = format!(
        "Row 6 needs npm (Debian: apt-get install npm), or {package} unpacked by hand into {}.",
        home.display()
    );
    quiet(
        Command::new("npm")
            .args(["pack", "--silent", &package])
            .current_dir(&home),
    )
    .and_then(|()| {
        let archive = format!("onnxruntime-web-{WEB}.tgz");
        quiet(Command::new("tar").args(["-xzf", &archive]).current_dir(&home))
    })
    .map_err(|reason| format!("{reason} {remedy}"))?;
    Ok(programs)
}

fn named() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|named| !named.is_empty());
    named.map(PathBuf::from)
}

fn folder() -> PathBuf {
    shell::target_dir().join("peers")
}

fn python_in(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    })
}

/// Whether the libraries can be imported.
fn check(python: &Path, remedy: &str) -> Result<PathBuf, String> {
    quiet(Command::new(python).args(["-W", "ignore", "-c", IMPORTS]))
        .map_err(|reason| format!("{reason} The peers are not all there: {remedy}."))?;
    Ok(python.to_owned())
}

/// Runs a command whose output goes to standard error alone: standard output is the table's.
///
/// # Errors
/// A sentence where it cannot be run or fails.
pub fn quiet(command: &mut Command) -> Result<(), String> {
    let words = shell::words(command);
    match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{words}` ended with {status}.")),
        Err(error) => Err(format!("`{words}` could not be run: {error}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_the_remedy() {
        let error = check(Path::new("/nowhere/bin/python"), "see the list").unwrap_err();
        assert!(
            error.contains("/nowhere/bin/python") && error.contains("see the list"),
            "{error}"
        );
        let error = quiet(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
