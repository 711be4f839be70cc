//! `cargo xtask`: set-up of the tool chain and all tests, in one command on a new machine.
//!
//! Standard library only, so that it builds in seconds before anything else is there.
//! Exit status: 0 done, 1 failed, 2 usage.

mod apt;
mod bench;
mod browser;
mod checkout;
mod module;
mod page;
mod relaxed;
mod report;
mod rustup;
mod setup;
mod shell;
mod test;
mod tools;
mod vulkan;
mod wasm;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  setup [--test] [--wasm]   install what the tests need, the WebAssembly target, or (with neither) both
  demo                      set up, build page and command, serve the page on this machine, print its address
  test [--only PARTS]       set up, then run everything; PARTS: fmt, clippy, native, page, worker, browser, comma-separated
  bench [--only ROWS] [--json] [--threads N]
                            time the engine against ONNX Runtime, PyTorch and pydicom, which are installed first; ROWS: row
                            numbers or names, comma-separated, as the table has them
  help                      this text

Tests read two folders where these variables name them:
  HILUM_PARITY_DIR          reference tensors made with other libraries
  HILUM_DATA_DIR            public data sets in their published layouts
HILUM_PEERS names a Python environment with tests/peers/requirements.txt for bench to use instead of its own.
CARGO_TARGET_DIR moves the build folder, for instance to a cache that outlives a clone.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// Runs the named command. `Ok(false)`: it ran and something failed; `Err`: it was called wrongly.
fn dispatch(arguments: &[String]) -> Result<bool, String> {
    let (command, rest) = arguments.split_first().ok_or(USAGE)?;
    match command.as_str() {
        "setup" => Ok(setup::run(setup::Wanted::parse(rest)?)),
        "test" => Ok(test::run(&test::parse_parts(rest)?)),
        "demo" => match rest {
            [] => Ok(page::demo()),
            [other, ..] => Err(format!(
                "`cargo xtask demo` takes no options, not `{other}` either."
            )),
        },
        "bench" => Ok(bench::run(&bench::Options::parse(rest)?)),
        "dist" => Err(format!("`cargo xtask {command}` comes in a later version.")),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        other => Err(format!("There is no command `{other}`.\n\n{USAGE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn wrong_calls_are_usage_errors_that_name_the_mistake() {
        for (line, needle) in [
            ("", "Usage"),
            ("deploy", "`deploy`"),
            ("test --only speed", "`speed`"),
            ("test --only", "--only"),
            ("test fmt", "`fmt`"),
            ("setup --gpu", "`--gpu`"),
            ("demo --fast", "`--fast`"),
            ("bench --fast", "`--fast`"),
            ("dist", "later"),
        ] {
            let message = dispatch(&words(line)).expect_err(line);
            assert!(message.contains(needle), "`{line}` answered: {message}");
        }
    }
}
