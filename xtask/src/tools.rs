//! The page's build tools, at pinned versions, in a folder of the project's own: `tools` in the build folder.

use crate::shell;
use std::fs;
use std::path::PathBuf;

/// trunk's version. Its lock file is followed.
const TRUNK: &str = "0.21.14";

/// Where the tools are.
fn folder() -> PathBuf {
    shell::target_dir().join("tools")
}

/// Finds or installs trunk and wasm-bindgen; quick where they are there. Returns the folder of their
/// programs.
///
/// # Errors
/// A sentence where one cannot be built.
pub fn ensure() -> Result<PathBuf, String> {
    install("trunk", "trunk", TRUNK, true)?;
    // The lock file of wasm-bindgen-cli names a version that was withdrawn, so it is not followed.
    install(
        "wasm-bindgen-cli",
        "wasm-bindgen",
        &wasm_bindgen_version()?,
        false,
    )?;
    Ok(folder().join("bin"))
}

/// The page's modules and the tool must be of the very same version.
fn wasm_bindgen_version() -> Result<String, String> {
    let lock = shell::root().join("Cargo.lock");
    let text = fs::read_to_string(&lock)
        .map_err(|error| format!("{} could not be read: {error}.", lock.display()))?;
    locked_version(&text, "wasm-bindgen")
        .ok_or_else(|| format!("{} does not name wasm-bindgen.", lock.display()))
}

fn locked_version(lock: &str, name: &str) -> Option<String> {
    let entry = lock
        .split("[[package]]")
        .find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")))?;
    let version = entry.lines().find_map(|line| line.strip_prefix("version = "))?;
    Some(version.trim_matches('"').to_owned())
}

fn install(package: &str, program: &str, version: &str, locked: bool) -> Result<(), String> {
    let path = folder().join("bin").join(program);
    let says = shell::capture(shell::command(&path.to_string_lossy()).arg("--version"));
    if says.is_some_and(|says| says.split_whitespace().any(|word| word == version)) {
        return Ok(());
    }
    println!(
        "Building {package} {version} once; it stays in {}.",
        folder().display()
    );
    let build = folder().join("build");
    let mut command = shell::cargo(&[
        "install",
        package,
        "--version",
        version,
        "--force",
        "--debug",
        "--root",
    ]);
    // A little optimisation: without any, wasm-bindgen takes minutes over the worker; with all, its build
    // does.
    command
        .arg(folder())
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.env_remove("RUSTFLAGS");
    if locked {
        command.arg("--locked");
    }
    shell::run(&mut command)?;
    // The next tool shares little with this one; what is left only takes space.
    let _ = fs::remove_dir_all(build);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_package_and_of_no_other() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.5\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen").as_deref(), Some("0.2.5"));
        assert_eq!(locked_version(lock, "trunk"), None);
    }
}
