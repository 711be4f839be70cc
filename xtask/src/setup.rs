//! `cargo xtask setup`: what the tests and the page need, installed ahead of time.

use crate::report::{Outcome, Report};
use crate::{apt, browser, rustup, tools, vulkan, wasm};

/// What to set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    test: bool,
    wasm: bool,
}

impl Wanted {
    /// Reads the options; neither means both.
    ///
    /// # Errors
    /// A sentence that names an unknown option.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut wanted = Self {
            test: false,
            wasm: false,
        };
        for argument in arguments {
            match argument.as_str() {
                "--test" => wanted.test = true,
                "--wasm" => wanted.wasm = true,
                other => {
                    return Err(format!(
                        "`cargo xtask setup` has no option `{other}`; it has --test and --wasm."
                    ));
                }
            }
        }
        Ok(if wanted.test || wanted.wasm {
            wanted
        } else {
            Self {
                test: true,
                wasm: true,
            }
        })
    }
}

/// Sets up what is wanted. Returns whether all of it is there.
pub fn run(wanted: Wanted) -> bool {
    let mut report = Report::default();
    if wanted.test {
        report.part("rustfmt", || {
            done(rustup::ensure_component("rustfmt", "fmt").map(|()| "present".into()))
        });
        report.part("clippy", || {
            done(rustup::ensure_component("clippy", "clippy").map(|()| "present".into()))
        });
        report.part("vulkan", || done(vulkan::ensure().map(|driver| driver.words())));
        report.part("emulator", || {
            done(apt::ensure_emulator().map(|()| "present".into()))
        });
        report.part("browser", || {
            done(browser::ensure().map(|driver| driver.display().to_string()))
        });
    }
    if wanted.wasm {
        report.part("wasm", || done(wasm::ensure().map(|toolchain| toolchain.words())));
        report.part("tools", || {
            done(tools::ensure().map(|folder| folder.display().to_string()))
        });
    }
    println!("{}", report.summary());
    report.good()
}

fn done(result: Result<String, String>) -> Outcome {
    result.map_or_else(Outcome::Failed, Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_means_everything() {
        assert_eq!(
            Wanted::parse(&[]),
            Ok(Wanted {
                test: true,
                wasm: true
            })
        );
        assert_eq!(
            Wanted::parse(&["--wasm".into()]),
            Ok(Wanted {
                test: false,
                wasm: true
            })
        );
    }
}
