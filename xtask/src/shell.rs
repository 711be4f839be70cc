//! Child processes: run them, look at what they say, stop them when they stall.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The root of the workspace.
pub fn root() -> PathBuf {
    // Asked at run time first: a cached build may have been made from a clone that has moved.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}

/// The build folder that cargo uses for this workspace.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => root().join(folder),
        _ => root().join("target"),
    }
}

/// A command that runs in the root of the workspace, free of what `cargo run` added to our own library path.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).env_remove("LD_LIBRARY_PATH");
    command
}

/// `cargo` as the person who called us runs it: the same tool chain.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command("cargo");
    cargo.args(arguments);
    cargo
}

/// A command in words, for messages.
pub fn words(command: &Command) -> String {
    let line: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    line.join(" ")
}

/// Runs a command whose output the reader sees.
///
/// # Errors
/// A sentence when it cannot be started or ends with another status than 0.
pub fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", words(command));
    let status = command.status().map_err(|error| not_started(command, &error))?;
    check(command, status)
}

/// Runs a command whose output the reader sees, and hands each line of its standard output to `watch` too.
///
/// # Errors
/// A sentence when it cannot be started or ends with another status than 0.
pub fn run_watched(command: &mut Command, mut watch: impl FnMut(&str)) -> Result<(), String> {
    println!("$ {}", words(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        let mut out = std::io::stdout().lock();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // A closed terminal is no reason to stop the tests: their outcome is in the exit status.
            let _ = out.write_all(&line).and_then(|()| out.flush());
            watch(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    let status = child.wait().map_err(|error| not_started(command, &error))?;
    check(command, status)
}

/// The trimmed standard output of a quick command; `None` where it is missing or fails.
pub fn capture(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command that downloads; `progress` returns a number that changes while it gets anywhere.
///
/// # Errors
/// A sentence when it cannot be started, fails, or makes no progress for the time of `patience`.
pub fn run_unless_stalled(
    command: &mut Command,
    patience: Duration,
    progress: impl Fn() -> u64,
) -> Result<(), String> {
    println!("$ {}", words(command));
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let mut last = (progress(), Instant::now());
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return check(command, status),
            Ok(None) => {}
            Err(error) => return Err(not_started(command, &error)),
        }
        let now = progress();
        if now != last.0 {
            last = (now, Instant::now());
        }
        if last.1.elapsed() > patience {
            stop(&mut child);
            return Err(format!(
                "`{}` got nowhere for {} s and was stopped.",
                words(command),
                patience.as_secs()
            ));
        }
        sleep(Duration::from_millis(100));
    }
}

fn stop(child: &mut Child) {
    // Both fail only when the child has ended by itself in this very moment.
    let _ = child.kill();
    let _ = child.wait();
}

fn check(command: &Command, status: ExitStatus) -> Result<(), String> {
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` ended with {status}.", words(command)))
    }
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` could not be run: {error}.", words(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_command_is_stopped_and_named() {
        let begun = Instant::now();
        let error = run_unless_stalled(Command::new("sleep").arg("30"), Duration::from_millis(300), || 7);
        assert!(error.is_err_and(|message| message.contains("sleep 30")));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn progress_keeps_a_slow_command_alive() {
        let begun = Instant::now();
        let moving = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        assert_eq!(
            run_unless_stalled(
                Command::new("sleep").arg("0.6"),
                Duration::from_millis(300),
                moving
            ),
            Ok(())
        );
    }

    #[test]
    fn watched_lines_arrive_and_a_failure_is_told() {
        let mut lines = Vec::new();
        let result = run_watched(
            Command::new("sh").args(["-c", "echo one; echo two; exit 3"]),
            |line| lines.push(line.to_owned()),
        );
        assert_eq!(lines, ["one", "two"]);
        assert!(result.is_err_and(|message| message.contains("exit status: 3")));
    }
}
