//! What tests of the command share.

use std::process::{Command, Output};

/// The command with these arguments, on the CPU.
pub fn hilum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilum"))
        .args(["--device", "cpu"])
        .args(arguments)
        .output()
        .unwrap()
}
