//! `cargo xtask test`: everything that must hold before a change goes in.

use crate::report::{Outcome, Report};
use crate::{apt, browser, checkout, page, rustup, shell, tools, vulkan, wasm};
use std::process::Command;

/// Tells the tests whether WebGPU has to work: `1`, a driver is there and a test that finds no adapter fails;
/// `0`, there is none and such a test says that it skipped.
const WEBGPU_VARIABLE: &str = "HILUM_TEST_WEBGPU";

/// The packages whose tests run natively.
const NATIVE: [&str; 16] = [
    "-p",
    "hilum",
    "-p",
    "hilum-cpu",
    "-p",
    "hilum-data",
    "-p",
    "hilum-image",
    "-p",
    "hilum-protocol",
    "-p",
    "hilum-task",
    "-p",
    "hilum-text",
    "-p",
    "xtask",
];

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The sources are formatted.
    Fmt,
    /// The linter has nothing to say.
    Clippy,
    /// Unit, parity and command-line tests, on the CPU and on WebGPU.
    Native,
    /// The page builds for WebAssembly.
    Page,
    /// The engine's tests in a browser's worker.
    Worker,
    /// The page works in a real browser, and weighs no more than it may.
    Browser,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Fmt,
        Self::Clippy,
        Self::Native,
        Self::Page,
        Self::Worker,
        Self::Browser,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Native => "native",
            Self::Page => "page",
            Self::Worker => "worker",
            Self::Browser => "browser",
        }
    }
}

/// Reads the options: `--only` with one or more parts, or nothing for all.
///
/// # Errors
/// A sentence that names the wrong option or part.
pub fn parse_parts(arguments: &[String]) -> Result<Vec<Part>, String> {
    let names = match arguments {
        [] => return Ok(Part::ALL.to_vec()),
        [option, names] if option == "--only" => names.as_str(),
        [option] if option.starts_with("--only=") => &option["--only=".len()..],
        [option] if option == "--only" => {
            return Err("`--only` needs parts: fmt, clippy, native, page, worker, browser.".into());
        }
        [other, ..] => return Err(format!("`cargo xtask test` takes `--only PARTS`, not `{other}`.")),
    };
    let find = |name: &str| Part::ALL.into_iter().find(|part| part.name() == name.trim());
    let parts: Result<Vec<Part>, String> = names
        .split(',')
        .map(|name| {
            find(name).ok_or(format!(
                "There is no part `{name}`; there are fmt, clippy, native, page, worker and browser."
            ))
        })
        .collect();
    // In the order of all parts, each once, however they were named.
    parts.map(|parts| {
        Part::ALL
            .into_iter()
            .filter(|part| parts.contains(part))
            .collect()
    })
}

/// Sets up and runs the parts; a part that fails does not stop the others. Returns whether none failed.
pub fn run(parts: &[Part]) -> bool {
    if let Err(reason) = checkout::claim() {
        eprintln!("{reason}");
        return false;
    }
    let mut report = Report::default();
    for part in parts {
        match part {
            Part::Fmt => report.part("fmt", fmt),
            Part::Clippy => report.part("clippy", clippy),
            Part::Native => native(&mut report),
            Part::Page => report.part("page", page_build),
            Part::Worker => report.part("worker", worker_tests),
            Part::Browser => report.part("browser", browser_tests),
        }
    }
    println!("{}", report.summary());
    report.good()
}

fn fmt() -> Outcome {
    if let Err(reason) = rustup::ensure_component("rustfmt", "fmt") {
        return Outcome::Skipped(reason);
    }
    verdict(
        shell::run(&mut shell::cargo(&["fmt", "--all", "--check"])),
        "formatted",
    )
}

fn clippy() -> Outcome {
    if let Err(reason) = rustup::ensure_component("clippy", "clippy") {
        return Outcome::Skipped(reason);
    }
    // Apart from each other: what one needs of shared crates would make cargo build another's anew.
    let native: [&[&str]; 2] = [&NATIVE, &["-p", "hilum-browser-tests"]];
    for packages in native {
        let arguments = [
            &["clippy", "--release"],
            packages,
            &["--all-targets", "--", "-D", "warnings"],
        ]
        .concat();
        if let Err(reason) = shell::run(&mut shell::cargo(&arguments)) {
            return Outcome::Failed(reason);
        }
    }
    let toolchain = match wasm::ensure() {
        Ok(toolchain) if toolchain.is_rustup() => toolchain,
        _ => {
            return Outcome::Passed(
                "no warnings; the page was not linted, for want of rustup's wasm target".into(),
            );
        }
    };
    let page = [
        "-p",
        "hilum-page",
        "-p",
        "hilum-worker",
        "-p",
        "hilum-protocol",
        "--all-targets",
    ];
    let target = ["clippy", "--profile", "page", "--target", wasm::TARGET];
    let arguments = [&target[..], &page, &["--", "-D", "warnings"]].concat();
    verdict(shell::run(&mut toolchain.cargo(&arguments)), "no warnings")
}

fn native(report: &mut Report) {
    let driver = vulkan::ensure();
    // Without it a test says that it was skipped.
    if let Err(reason) = apt::ensure_emulator() {
        println!("No emulator of older processors: {reason}");
    }
    report.part("native", || {
        let arguments = [
            &["test", "--release"],
            &NATIVE[..],
            &["--no-fail-fast", "--", "--show-output"],
        ]
        .concat();
        let mut tests = shell::cargo(&arguments);
        match &driver {
            Ok(driver) => {
                println!("WebGPU runs on {}.", driver.words());
                driver.apply(tests.env(WEBGPU_VARIABLE, "1"));
            }
            Err(_) => _ = tests.env(WEBGPU_VARIABLE, "0"),
        }
        tallied(&mut tests, "native")
    });
    // The halves of the tests that need WebGPU are inside the run above; what was left out is said on its
    // own.
    if let Err(reason) = driver {
        report.part("webgpu", || {
            Outcome::Skipped(format!("the tests ran on the CPU only: {reason}"))
        });
    }
}

/// Runs tests and counts what they say.
fn tallied(tests: &mut Command, part: &str) -> Outcome {
    let mut tally = Tally::default();
    let result = shell::run_watched(tests, |line| tally.read(line));
    for line in &tally.skipped {
        println!("SKIPPED within {part}: {line}");
    }
    match result {
        Ok(()) if tally.passed == 0 => Outcome::Failed("not one test ran".into()),
        result => verdict(result, &tally.words()),
    }
}

fn page_build() -> Outcome {
    // Without a compiler for WebAssembly there is nothing to test; that is said, and is no failure of the
    // project.
    if let Err(reason) = wasm::ensure() {
        return Outcome::Skipped(reason);
    }
    verdict(page::build().map(|_| ()), "the page is built")
}

fn worker_tests() -> Outcome {
    let found = wasm::ensure().and_then(|toolchain| Ok((toolchain, tools::ensure()?, browser::ensure()?)));
    let (toolchain, tools, driver) = match found {
        Ok(found) => found,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let arguments = [
        "test",
        "--profile",
        "page",
        "--package",
        "hilum-worker",
        "--test",
        "engine",
        "--target",
        wasm::TARGET,
    ];
    let mut tests = toolchain.cargo(&arguments);
    tests.env(
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER",
        tools.join("wasm-bindgen-test-runner"),
    );
    // A software adapter takes its time to compile shaders.
    tests
        .env("CHROMEDRIVER", driver)
        .env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    tallied(&mut tests, "worker")
}

fn browser_tests() -> Outcome {
    if !page::folder().join("index.html").is_file() {
        return Outcome::Skipped("the page is not built".into());
    }
    let driver = match browser::ensure() {
        Ok(driver) => driver,
        Err(reason) => return Outcome::Skipped(reason),
    };
    // The command that the page is compared with; the native tests have built it already.
    let built = shell::run(&mut shell::cargo(&["build", "--release", "--package", "hilum"]));
    if let Err(reason) = built {
        return Outcome::Failed(reason);
    }
    let command = shell::target_dir().join("release/hilum");
    // One browser at a time: a software adapter has no use for a second one beside it.
    let arguments = [
        "test",
        "--release",
        "--package",
        "hilum-browser-tests",
        "--no-fail-fast",
        "--",
        "--show-output",
        "--test-threads=1",
    ];
    let mut tests = shell::cargo(&arguments);
    tests
        .env("HILUM_BIN", command)
        .env("HILUM_PAGE_DIR", page::folder())
        .env("HILUM_CHROMEDRIVER", driver);
    tallied(&mut tests, "browser")
}

fn verdict(result: Result<(), String>, note: &str) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Passed(note.into()))
}

/// What the test programs said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// Lines in which a test says that it skipped something.
    skipped: Vec<String>,
}

impl Tally {
    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            // test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
            let count = |word: &str| {
                let before = counts
                    .split([';', '.'])
                    .find_map(|piece| piece.trim().strip_suffix(word));
                before
                    .and_then(|number| number.trim().parse::<usize>().ok())
                    .unwrap_or(0)
            };
            self.passed += count("passed");
            self.failed += count("failed");
            self.ignored += count("ignored");
        } else if line.trim_start().to_lowercase().starts_with("skipped") {
            self.skipped.push(line.trim().to_owned());
        }
    }

    fn words(&self) -> String {
        let Self {
            passed,
            failed,
            ignored,
            skipped,
        } = self;
        format!(
            "{passed} tests passed, {failed} failed, {ignored} ignored, {} said that they skipped",
            skipped.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_once_and_in_order() {
        let parse = |words: &[&str]| parse_parts(&words.iter().map(|&word| word.into()).collect::<Vec<_>>());
        assert_eq!(parse(&[]), Ok(Part::ALL.to_vec()));
        assert_eq!(
            parse(&["--only", "page, fmt,fmt"]),
            Ok(vec![Part::Fmt, Part::Page])
        );
        assert_eq!(parse(&["--only=clippy"]), Ok(vec![Part::Clippy]));
        assert!(parse(&["--only", "fmt,"]).is_err());
    }

    #[test]
    fn the_tally_sums_test_programs_and_keeps_what_was_skipped() {
        let mut tally = Tally::default();
        for line in [
            "running 4 tests",
            "test image::skipped_rows ... ok",
            "SKIPPED: HILUM_PARITY_DIR is not set",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            tally.read(line);
        }
        let skipped = vec!["SKIPPED: HILUM_PARITY_DIR is not set".to_owned()];
        assert_eq!(
            tally,
            Tally {
                passed: 5,
                failed: 1,
                ignored: 1,
                skipped
            }
        );
    }
}
