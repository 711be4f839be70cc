//! The page: built by trunk, its modules made smaller, served by the command.

use crate::{apt, shell, tools, wasm};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The built page.
pub fn folder() -> PathBuf {
    shell::root().join("dist")
}

/// Sets up what the page's build needs and builds it in release.
///
/// # Errors
/// A sentence that says what is missing or what failed.
pub fn build() -> Result<PathBuf, String> {
    let toolchain = wasm::ensure()?;
    println!("{}", toolchain.words());
    let bin = tools::ensure()?;
    let mut trunk = shell::command(&bin.join("trunk").to_string_lossy());
    trunk.args(["--config", "trunk.toml", "build", "--release"]);
    toolchain.apply(&mut trunk);
    // trunk takes wasm-bindgen from the path where its version is the right one, and misreads the other variable.
    trunk.env("PATH", with_path(&bin)).env_remove("NO_COLOR");
    shell::run(&mut trunk)?;
    shrink(&folder())?;
    Ok(folder())
}

/// Drops names from the page's modules and optimises them, where binaryen is there or can be installed.
fn shrink(page: &Path) -> Result<(), String> {
    if shell::capture(shell::command("wasm-opt").arg("--version")).is_none() {
        apt::ensure(&["binaryen"])?;
    }
    let entries = fs::read_dir(page).map_err(|error| format!("{} could not be read: {error}.", page.display()))?;
    for module in entries.flatten().map(|entry| entry.path()) {
        if module.extension().is_none_or(|end| end != "wasm") {
            continue;
        }
        let small = module.with_extension("small");
        let features = ["--enable-simd", "--enable-bulk-memory", "--enable-sign-ext", "--enable-mutable-globals"];
        let more = ["--enable-nontrapping-float-to-int", "--enable-reference-types", "--enable-multivalue"];
        let mut optimise = shell::command("wasm-opt");
        optimise.args(["-O1", "--strip-debug", "--strip-producers", "--strip-target-features"]);
        shell::run(optimise.args(features).args(more).arg(&module).arg("-o").arg(&small))?;
        fs::rename(&small, &module)
            .map_err(|error| format!("{} could not be put in place: {error}.", small.display()))?;
    }
    Ok(())
}

fn with_path(first: &Path) -> OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(first.to_owned()).chain(std::env::split_paths(&old));
    // A path with a separator in it cannot be joined; then the old one has to do.
    std::env::join_paths(all).unwrap_or(old)
}

/// `cargo xtask demo`: builds page and command, serves the page, prints its address.
pub fn demo() -> bool {
    let served = build().and_then(|page| {
        let mut serve = shell::cargo(&["run", "--release", "--package", "hilum", "--", "serve", "--dir"]);
        shell::run(serve.arg(page))
    });
    if let Err(reason) = &served {
        eprintln!("{reason}");
    }
    served.is_ok()
}
