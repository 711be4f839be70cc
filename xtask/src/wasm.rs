//! The compiler for `wasm32-unknown-unknown`: rustup's where its server can be reached, Debian's otherwise.
//!
//! Debian and the networks of hospitals often reach a package mirror and crates.io, but not rustup's server.
//! Debian's
//! `rustc-web`, `cargo-web` and `rust-web-src` hold a compiler and the sources of the standard library, from which the
//! library for WebAssembly is built once (about a minute) and put beside the compiler's own.

use crate::{apt, rustup, shell};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target's name.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The name under which Debian's compiler is known to rustup.
const LINKED: &str = "debian-web";
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_LIBRARIES: &str = "/usr/lib/rustlib/wasm32-unknown-unknown/lib";

/// A compiler that builds for WebAssembly, as variables for the commands that use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toolchain {
    variables: Vec<(&'static str, OsString)>,
}

impl Toolchain {
    /// rustup's tool chain, the one that called us.
    fn rustup() -> Self {
        Self::default()
    }

    /// Debian's: another version than rustup's, so it has a build folder of its own.
    fn debian() -> Self {
        let mut variables = vec![
            ("RUSTUP_TOOLCHAIN", LINKED.into()),
            ("CARGO", "/usr/bin/cargo".into()),
            ("RUSTC", "/usr/bin/rustc".into()),
            ("CARGO_TARGET_DIR", shell::target_dir().join(LINKED).into()),
        ];
        if let Some(linker) = rust_lld() {
            variables.push(("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker.into()));
        }
        Self { variables }
    }

    /// Makes a command use this compiler.
    pub fn apply(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// The build folder of this compiler.
    pub fn target_dir(&self) -> PathBuf {
        let named = self
            .variables
            .iter()
            .find(|(name, _)| *name == "CARGO_TARGET_DIR");
        named.map_or_else(shell::target_dir, |(_, folder)| PathBuf::from(folder))
    }

    /// Whether it is rustup's, which has the linter too.
    pub fn is_rustup(&self) -> bool {
        self.variables.is_empty()
    }

    /// The compiler in words.
    pub fn words(&self) -> String {
        let version = shell::capture(self.rustc().arg("--version")).unwrap_or_else(|| "no compiler".into());
        let origin = if self.is_rustup() {
            "the tool chain in use"
        } else {
            "Debian's rustc-web"
        };
        format!("{version}, {origin}")
    }

    /// `cargo` of this tool chain.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = shell::command(if self.is_rustup() {
            "cargo"
        } else {
            "/usr/bin/cargo"
        });
        command.args(arguments);
        self.apply(&mut command);
        command
    }

    fn rustc(&self) -> Command {
        let mut command = shell::command(if self.is_rustup() {
            "rustc"
        } else {
            "/usr/bin/rustc"
        });
        self.apply(&mut command);
        command
    }

    /// Whether it compiles a small library for WebAssembly. To try is surer than to look for files: after an
    /// upgrade of the compiler the old libraries are still there and do not fit.
    fn works(&self) -> bool {
        let folder = std::env::temp_dir().join(format!("hilum-wasm-probe-{}", std::process::id()));
        let source = folder.join("probe.rs");
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&source, "pub fn probe() -> Vec<String> { vec![String::new()] }\n"));
        let works = written.is_ok()
            && shell::capture(
                self.rustc()
                    .args([
                        "--target",
                        TARGET,
                        "--crate-type",
                        "lib",
                        "--emit",
                        "metadata",
                        "--out-dir",
                    ])
                    .arg(&folder)
                    .arg(&source),
            )
            .is_some();
        // A folder left in the temporary folder does no harm.
        let _ = fs::remove_dir_all(&folder);
        works
    }
}

/// Finds or installs a compiler for WebAssembly; quick when there is one.
///
/// # Errors
/// A sentence with what was tried and what to do.
pub fn ensure() -> Result<Toolchain, String> {
    let here = Toolchain::rustup();
    let debian = Toolchain::debian();
    // Before rustup's server is asked: where it does not answer, each run would wait for it.
    if here.works() {
        return Ok(here);
    }
    if debian.works() {
        link()?;
        return Ok(debian);
    }
    let first = match rustup::add(&["target", "add", TARGET]) {
        Ok(()) if here.works() => return Ok(here),
        Ok(()) => format!("the target {TARGET} was added, yet does not compile"),
        Err(error) => error,
    };
    println!("rustup cannot provide {TARGET}: {first}\nTrying Debian's compiler instead.");
    ensure_debian(&debian).map_err(|second| {
        let [first, second] = [&first, &second].map(|reason| reason.trim_end_matches('.'));
        format!(
            "rustup: {first}. Debian's compiler: {second}. Where there is internet, run `rustup target add {TARGET}`."
        )
    })?;
    Ok(debian)
}

fn ensure_debian(debian: &Toolchain) -> Result<(), String> {
    apt::ensure(&PACKAGES)?;
    install_libraries(debian)?;
    if !debian.works() {
        return Err(format!(
            "the standard library was built into {DEBIAN_LIBRARIES}, yet does not compile."
        ));
    }
    link()
}

/// Gives Debian's compiler a name in rustup, for tools such as trunk, which call `cargo` themselves.
fn link() -> Result<(), String> {
    if rustup::present()
        && shell::capture(shell::command("rustc").arg(format!("+{LINKED}")).arg("-V")).is_none()
    {
        shell::run(shell::command("rustup").args(["toolchain", "link", LINKED, "/usr"]))?;
    }
    Ok(())
}

/// Builds the standard library for WebAssembly from its sources and puts it beside Debian's compiler.
fn install_libraries(debian: &Toolchain) -> Result<(), String> {
    if !apt::is_root() {
        return Err(format!(
            "the standard library for {TARGET} has to be put into {DEBIAN_LIBRARIES}: run `cargo xtask setup --wasm` as root once."
        ));
    }
    // Outside the workspace, whose compiler flags are for the page and not for the standard library.
    let folder = std::env::temp_dir().join(format!("hilum-wasm-std-{}", std::process::id()));
    let result = build_libraries(debian, &folder).and_then(|built| replace_libraries(&built));
    // A folder left in the temporary folder does no harm.
    let _ = fs::remove_dir_all(&folder);
    result
}

/// Returns the paths of the libraries that the build made.
fn build_libraries(debian: &Toolchain, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let manifest = "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{} could not be written: {error}.", path.display()))
    };
    write("Cargo.toml", manifest)?;
    write(
        "src/lib.rs",
        "//! Exists only so that the standard library is built.\n",
    )?;
    let mut build = debian.cargo(&[
        "build",
        "--release",
        "-Z",
        "build-std=std,panic_abort",
        "--target",
        TARGET,
    ]);
    build
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("RUSTC_BOOTSTRAP", "1");
    build
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    shell::run(&mut build)?;
    let built = libraries(&folder.join("target").join(TARGET).join("release/deps"));
    let built: Vec<PathBuf> = built
        .into_iter()
        .filter(|path| !file_name(path).starts_with("libseed-"))
        .collect();
    if built.is_empty() {
        Err("the build of the standard library left no libraries.".into())
    } else {
        Ok(built)
    }
}

/// Replaces what an older compiler left, so that no library is there twice.
fn replace_libraries(built: &[PathBuf]) -> Result<(), String> {
    let home = Path::new(DEBIAN_LIBRARIES);
    let fail = |error: std::io::Error| format!("{DEBIAN_LIBRARIES} could not be filled: {error}.");
    fs::create_dir_all(home).map_err(fail)?;
    for old in libraries(home) {
        fs::remove_file(old).map_err(fail)?;
    }
    for library in built {
        fs::copy(library, home.join(file_name(library))).map_err(fail)?;
    }
    Ok(())
}

fn libraries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "rlib"))
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The linker that comes with rustup's tool chain; Debian's compiler has none for WebAssembly.
fn rust_lld() -> Option<PathBuf> {
    let about = shell::capture(shell::command("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "))?;
    let sysroot = shell::capture(shell::command("rustc").args(["--print", "sysroot"]))?;
    let linker = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    linker.exists().then_some(linker)
}
