//! A side of the comparison: a process that answers lines with lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a side may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a peer says of a case.
#[derive(Debug, PartialEq, Eq)]
pub enum Compared {
    /// The outputs agree: the largest relative difference, and the peer's name.
    Agrees {
        /// As the peer wrote it.
        gap: String,
        /// Library and version.
        peer: String,
    },
    /// They do not, or the peer could not run it.
    Differs(String),
}

/// Reads a line `agrees CASE GAP PEER`, `differs CASE GAP OUTPUT` or `fails CASE REASON`.
fn verdict(line: &str) -> Option<(String, Compared)> {
    let mut words = line.splitn(3, ' ');
    let (kind, case, rest) = (words.next()?, words.next()?, words.next()?);
    let (gap, name) = rest.split_once(' ').unwrap_or((rest, ""));
    let compared = match kind {
        "agrees" => Compared::Agrees {
            gap: gap.to_owned(),
            peer: name.to_owned(),
        },
        "differs" => Compared::Differs(format!("the outputs disagree, {name} by {gap} (relative)")),
        "fails" => Compared::Differs(format!("the peer failed: {rest}")),
        _ => return None,
    };
    Some((case.to_owned(), compared))
}

/// A running side. It is ended when it is dropped.
pub struct Side {
    name: &'static str,
    child: Child,
    /// There until the side is ended.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Side {
    /// Starts a side; what it says on standard error is seen.
    ///
    /// # Errors
    /// A sentence when it cannot be started.
    pub fn start(command: &mut Command, name: &'static str) -> Result<Self, String> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| format!("{name} could not be started: {error}."))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                name,
                child,
                input: Some(input),
                output: BufReader::new(output),
            }),
            _ => Err(format!("{name} has no standard input or output.")),
        }
    }

    /// Sends a line.
    ///
    /// # Errors
    /// A sentence when the process has ended.
    pub fn say(&mut self, line: &str) -> Result<(), String> {
        let Some(input) = &mut self.input else {
            return Err(format!("{} was ended.", self.name));
        };
        let sent = writeln!(input, "{line}").and_then(|()| input.flush());
        sent.map_err(|error| format!("{} ended: {error}.", self.name))
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err(format!("{} ended; see above.", self.name)),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("{} could not be read: {error}.", self.name)),
        }
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// A sentence when another comes or none.
    pub fn expect(&mut self, wanted: &str) -> Result<(), String> {
        let line = self.line()?;
        if line == wanted {
            return Ok(());
        }
        Err(format!("{} said {line:?}, not {wanted:?}.", self.name))
    }

    /// Sends `line` and reads a time.
    ///
    /// # Errors
    /// A sentence when no time comes.
    pub fn time(&mut self, line: &str) -> Result<f64, String> {
        self.say(line)?;
        let answer = self.line()?;
        answer
            .parse()
            .map_err(|_| format!("{} answered {answer:?} to {line:?}.", self.name))
    }

    /// What a peer says of each case, until it is ready.
    ///
    /// # Errors
    /// A sentence when it ends before.
    pub fn verdicts(&mut self) -> Result<Vec<(String, Compared)>, String> {
        let mut verdicts = Vec::new();
        loop {
            let line = self.line()?;
            if line == "ready" {
                return Ok(verdicts);
            }
            // A library may print what it likes.
            verdicts.extend(verdict(&line));
        }
    }

    /// Ends it in peace.
    pub fn quit(mut self) {
        let _ = self.say("quit");
        let _ = self.child.wait();
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // A side with a browser ends that when its input does.
        self.input = None;
        let began = Instant::now();
        while began.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(20));
        }
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_told_apart() {
        let agrees = Compared::Agrees {
            gap: "1.1e-06".into(),
            peer: "ONNX Runtime 1.32.0".into(),
        };
        assert_eq!(
            verdict("agrees draft 1.1e-06 ONNX Runtime 1.32.0"),
            Some(("draft".into(), agrees))
        );
        let Some((case, Compared::Differs(reason))) = verdict("differs vit 2.0e-01 map") else {
            panic!("a difference is one")
        };
        assert!(case == "vit" && reason.contains("map by 2.0e-01"), "{reason}");
        assert!(matches!(
            verdict("fails vit ValueError: no"),
            Some((_, Compared::Differs(_)))
        ));
        assert_eq!(verdict("loading the library took a while"), None);
    }

    #[test]
    fn a_side_that_ends_is_told() {
        let mut side = Side::start(
            Command::new("sh").args(["-c", "read line; echo 4.5; exit"]),
            "the peer",
        )
        .unwrap();
        assert_eq!(side.time("run a 1"), Ok(4.5));
        assert!(side.time("run a 1").unwrap_err().contains("the peer ended"));
    }
}
