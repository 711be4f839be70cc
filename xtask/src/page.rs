//! The page: built by trunk, its modules made smaller, served by the command.

use crate::module::without_names;
use crate::relaxed::relaxed;
use crate::{checkout, shell, tools, wasm};
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
    checkout::claim()?;
    let toolchain = wasm::ensure()?;
    println!("{}", toolchain.words());
    let bin = tools::ensure()?;
    let mut trunk = shell::command(&bin.join("trunk").to_string_lossy());
    trunk.args(["--config", "trunk.toml", "build", "--cargo-profile", "page"]);
    toolchain.apply(&mut trunk);
    // trunk takes wasm-bindgen from the path where its version is the right one, and misreads the other
    // variable.
    trunk.env("PATH", with_path(&bin)).env_remove("NO_COLOR");
    shell::run(&mut trunk)?;
    finish(&folder(), "worker")?;
    Ok(folder())
}

/// Finishes wasm-bindgen's output in a folder: `PROGRAM_bg.wasm` gets a copy `PROGRAM_relaxed.wasm` for browsers with relaxed
/// SIMD, and all modules lose the names of their functions: half of their bytes, and of use to a debugger only.
///
/// # Errors
/// A file that cannot be read or written, and one that is no module.
pub fn finish(folder: &Path, program: &str) -> Result<(), String> {
    let portable = folder.join(format!("{program}_bg.wasm"));
    let (module, fused) = relaxed(&read(&portable)?)
        .ok_or_else(|| format!("{} is not what the compiler writes.", portable.display()))?;
    // A kernel without a single one would be a compiler that lays out products otherwise: then the copy is of no use.
    if fused == 0 {
        return Err(format!("{} has no kernels to fuse.", portable.display()));
    }
    eprintln!("{}: {fused} products fused with their sums", portable.display());
    write(&folder.join(format!("{program}_relaxed.wasm")), &module)?;
    let entries =
        fs::read_dir(folder).map_err(|error| format!("{} could not be read: {error}.", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|end| end == "wasm") {
            shrink(&path)?;
        }
    }
    Ok(())
}

fn shrink(module: &Path) -> Result<(), String> {
    let bytes = read(module)?;
    let small =
        without_names(&bytes).ok_or_else(|| format!("{} is no WebAssembly module.", module.display()))?;
    eprintln!(
        "{}: {} bytes, {} with names",
        module.display(),
        small.len(),
        bytes.len()
    );
    write(module, &small)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{} could not be read: {error}.", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{} could not be written: {error}.", path.display()))
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
