//! The page: built by trunk, its modules made smaller, served by the command.

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
    shrink(&folder())?;
    Ok(folder())
}

/// Drops the names of functions from the page's modules: half of their bytes, and of use to a debugger only.
fn shrink(page: &Path) -> Result<(), String> {
    let fail =
        |path: &Path, error: std::io::Error| format!("{} could not be rewritten: {error}.", path.display());
    for module in fs::read_dir(page)
        .map_err(|error| fail(page, error))?
        .flatten()
        .map(|entry| entry.path())
    {
        if module.extension().is_some_and(|end| end == "wasm") {
            let bytes = fs::read(&module).map_err(|error| fail(&module, error))?;
            let small = without_names(&bytes)
                .ok_or_else(|| format!("{} is no WebAssembly module.", module.display()))?;
            fs::write(&module, &small).map_err(|error| fail(&module, error))?;
            println!(
                "{}: {} bytes, {} with names",
                module.display(),
                small.len(),
                bytes.len()
            );
        }
    }
    Ok(())
}

/// A module without its custom sections `name`, `producers` and `.debug...` (WebAssembly core specification,
/// 5.5.2).
fn without_names(module: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 8;
    if !module.starts_with(b"\0asm") || module.len() < HEADER {
        return None;
    }
    let mut out = module[..HEADER].to_vec();
    let mut at = HEADER;
    while at < module.len() {
        let (length, content) = leb128(module, at + 1)?;
        let end = content.checked_add(length).filter(|end| *end <= module.len())?;
        let named = |names: &[&str]| -> Option<bool> {
            let (length, text) = leb128(module, content)?;
            let name = module.get(text..text.checked_add(length)?)?;
            Some(names.iter().any(|start| name.starts_with(start.as_bytes())))
        };
        if module[at] != 0 || !named(&["name", "producers", ".debug"])? {
            out.extend_from_slice(&module[at..end]);
        }
        at = end;
    }
    Some(out)
}

/// An unsigned number of the format, and where it ends.
fn leb128(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0usize;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_and_all_else_stays() {
        let section = |id: u8, content: &[u8]| [&[id, content.len() as u8], content].concat();
        let code = section(10, &[1, 2, 0, 11]);
        let kept = section(0, b"\x05other!");
        let module = [
            b"\0asm\x01\0\0\0".to_vec(),
            kept.clone(),
            code.clone(),
            section(0, b"\x04name!!"),
        ]
        .concat();
        assert_eq!(
            without_names(&module),
            Some([&module[..8], &kept, &code].concat())
        );
        assert_eq!(without_names(b"text"), None);
        assert_eq!(without_names(&module[..module.len() - 1]), None);
    }
}
