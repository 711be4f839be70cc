//! Row 6: what the page's worker computes on the CPU, in headless Chromium, against onnxruntime-web in the same browser.
//!
//! `app/worker/tests/bench.rs` is the engine's side, `tests/peers/web/` the page of both, `tests/peers/web.py` drives it. Both
//! are compared with the outputs of `hilum bench`, which writes weights and inputs.

use std::fs;
use std::path::{Path, PathBuf};

use super::peers;
use super::side::{Compared, Side};
use super::table::{Row, Table};
use super::{Case, turns};
use crate::{browser, page, shell, tools, wasm};

/// The row's number.
pub const ROW: &str = "6";
/// What is measured: a case of `hilum bench`, and what it is called.
const SUBJECTS: [(&str, &str); 3] = [
    ("encoder-768", "Encoder 12 x 768, 316 tokens"),
    ("encoder-384", "Encoder 4 x 384, 64 tokens"),
    ("draft", "Demo, image to the whole draft"),
];
/// Ours and the peer: the end of the name, what it says, our module, the peer's threads.
const WAYS: [(&str, &str, &str, &str); 3] = [
    ("", "in Chromium", "bench_relaxed.wasm", "1"),
    (
        "-portable",
        "in Chromium, ours without relaxed SIMD",
        "bench_bg.wasm",
        "1",
    ),
    (
        "-2",
        "in Chromium, the peer with 2 threads",
        "bench_relaxed.wasm",
        "2",
    ),
];

/// The row's cases; a group's name is that of the case in `hilum bench`, with `page-` before it.
pub fn cases() -> Vec<Case> {
    let case = |(subject, title): &(&str, &str), (end, way, ..): &(&str, &str, &str, &str)| Case {
        row: ROW.to_owned(),
        group: format!("page-{subject}"),
        name: format!("page-{subject}{end}"),
        title: format!("{title}, {way}"),
    };
    SUBJECTS
        .iter()
        .flat_map(|subject| WAYS.iter().map(move |way| case(subject, way)))
        .collect()
}

/// What the row needs: the browser's driver, the engine's programs, the peer's.
pub struct Web {
    driver: PathBuf,
    engine: PathBuf,
    runtime: PathBuf,
}

impl Web {
    /// Finds, installs and builds it.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn ensure() -> Result<Self, String> {
        Ok(Self {
            driver: browser::ensure()?,
            runtime: peers::onnxruntime_web()?,
            engine: build()?,
        })
    }

    /// A group's cases. Returns how many were measured.
    ///
    /// # Errors
    /// A sentence where a side ends.
    pub fn compare(
        &self,
        engine: &Path,
        python: &Path,
        group: &[Case],
        folder: &Path,
        table: &mut Table,
    ) -> Result<usize, String> {
        let Some(subject) = group[0].group.strip_prefix("page-") else {
            return Err(format!("{} is no group of the page.", group[0].group));
        };
        let mut native = shell::command(&engine.to_string_lossy());
        let native = native.args(["bench", subject, "--serve"]).arg(folder);
        let mut native = Side::start(native, "hilum")?;
        native.expect("ready")?;
        native.quit();
        let mut measured = 0;
        for case in group {
            let end = &case.name[case.group.len()..];
            let Some((_, _, module, threads)) = WAYS.iter().find(|(own, ..)| *own == end) else {
                continue;
            };
            let side = |name, programs: &Path, more: &[&str]| {
                let mut command = shell::command(&python.to_string_lossy());
                command.args(["-W", "ignore", "tests/peers/web.py", name, subject, "--name"]);
                command
                    .arg(&case.name)
                    .args(more)
                    .arg("--folder")
                    .arg(folder)
                    .arg("--programs")
                    .arg(programs)
                    .arg("--driver")
                    .arg(&self.driver);
                command
            };
            let mut ours = side("engine", &self.engine, &["--module", module]);
            let mut peer = side("onnx", &self.runtime, &["--threads", threads]);
            let mut ours = Side::start(&mut ours, "our page")?;
            let mut peer = Side::start(&mut peer, "the peer's page")?;
            if let Some((gap, name)) = agreed(case, [ours.verdicts()?, peer.verdicts()?]) {
                let turns = turns(&mut ours, &mut peer, &case.name)?;
                let row = (case.row.clone(), case.name.clone(), case.title.clone());
                table.add(Row::new(row.0, row.1, row.2, name, gap, &turns));
                measured += 1;
            }
            ours.quit();
            peer.quit();
        }
        Ok(measured)
    }
}

/// The larger gap of both sides and the peer's name, where both agree with the engine; what does not is said.
fn agreed(case: &Case, verdicts: [Vec<(String, Compared)>; 2]) -> Option<(String, String)> {
    let mut worst: Option<(String, String)> = None;
    for verdict in verdicts.into_iter().map(|told| told.into_iter().next()) {
        match verdict {
            Some((_, Compared::Agrees { gap, peer })) => {
                let size = |gap: &str| gap.parse::<f64>().unwrap_or(f64::INFINITY);
                let gap = match worst {
                    Some((other, _)) if size(&other) > size(&gap) => other,
                    _ => gap,
                };
                worst = Some((gap, peer));
            }
            Some((_, Compared::Differs(reason))) => {
                eprintln!("{} was not timed: {reason}", case.name);
                return None;
            }
            None => {
                eprintln!("{} was not timed: a side said nothing of it", case.name);
                return None;
            }
        }
    }
    worst
}

/// The engine's program for a browser with its two modules, in a folder of its own. What the tools say goes to standard error.
fn build() -> Result<PathBuf, String> {
    let toolchain = wasm::ensure()?;
    let bindgen = tools::ensure()?.join("wasm-bindgen");
    let arguments = ["build", "--profile", "page", "--package", "hilum-worker"];
    let mut cargo = toolchain.cargo(&arguments);
    cargo.args(["--example", "bench", "--target", wasm::TARGET]);
    peers::quiet(&mut cargo)?;
    let built = toolchain.target_dir().join(wasm::TARGET);
    let built = built.join("page/examples/bench.wasm");
    let folder = shell::target_dir().join("bench-page");
    fs::create_dir_all(&folder)
        .map_err(|error| format!("{} could not be made: {error}.", folder.display()))?;
    let mut bindgen = shell::command(&bindgen.to_string_lossy());
    bindgen.args(["--target", "web", "--out-name", "bench", "--out-dir"]);
    peers::quiet(bindgen.arg(&folder).arg(built))?;
    page::finish(&folder, "bench")?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_by_subject_and_way() {
        let cases = cases();
        assert_eq!(cases.len(), SUBJECTS.len() * WAYS.len());
        let case = &cases[5];
        assert_eq!(
            (case.row.as_str(), case.group.as_str(), case.name.as_str()),
            ("6", "page-encoder-384", "page-encoder-384-2")
        );
    }

    #[test]
    fn both_sides_have_to_agree_and_the_larger_gap_is_told() {
        let agrees = |gap: &str, peer: &str| {
            let (gap, peer) = (gap.to_owned(), peer.to_owned());
            vec![(String::new(), Compared::Agrees { gap, peer })]
        };
        let case = &cases()[0];
        let found = agreed(case, [agrees("2.0e-06", "Hilum"), agrees("7.0e-07", "peer")]);
        assert_eq!(found, Some(("2.0e-06".to_owned(), "peer".to_owned())));
        let differs = vec![(String::new(), Compared::Differs("far off".to_owned()))];
        assert_eq!(agreed(case, [agrees("0", "Hilum"), differs]), None);
        assert_eq!(agreed(case, [agrees("0", "Hilum"), Vec::new()]), None);
    }
}
