//! The worker's two modules: with relaxed SIMD for browsers that take it, without for the others. Both write the same words.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hilum_browser_tests::{Browser, Setting, copy, run};

const LIMIT: Duration = Duration::from_secs(120);
/// Says which module the worker asks for.
const TOLD: &str = r#"
const own = self.fetch;
self.fetch = (...given) => {
  console.info(`ASKED ${given[0].url ?? given[0]}.`);
  return own(...given);
};
"#;
/// A browser without relaxed SIMD, as the worker's choice sees it.
const WITHOUT: &str = "WebAssembly.validate = () => false;\n";

/// The page, in whose worker a program runs first.
fn with_program(setting: &Setting, dir: &Path, program: &str) -> PathBuf {
    copy(&setting.page, dir);
    let boot = dir.join("worker-boot.js");
    let own = std::fs::read_to_string(&boot).unwrap();
    std::fs::write(&boot, format!("{program}{own}")).unwrap();
    dir.to_owned()
}

/// The words that the page writes of a sample on the CPU, what each piece is, and the console.
async fn draft(setting: &Setting, page: &Path) -> (String, String, Vec<String>) {
    let (_server, browser) = Browser::at(setting, page, "device=cpu").await;
    browser.sample("effusion.png").await;
    let text = browser.draft(LIMIT).await;
    let pieces = browser.attribute(".report", "data-pieces").await;
    let console = browser.console().await;
    browser.end().await;
    (text, pieces, console.into_iter().map(|told| told.words).collect())
}

#[test]
fn both_modules_write_the_same_words_and_each_browser_loads_one() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = |name: &str, program: &str| with_program(&setting, &dir.path().join(name), program);
        let (text, pieces, console) = draft(&setting, &page("with", TOLD)).await;
        let asked = |console: &[String], module: &str| {
            console.iter().any(|words| words.contains(&format!("{module}.")))
        };
        assert!(
            asked(&console, "worker_relaxed.wasm") && !asked(&console, "worker_bg.wasm"),
            "{console:?}"
        );
        let plain = page("without", &format!("{TOLD}{WITHOUT}"));
        let (text_plain, pieces_plain, console) = draft(&setting, &plain).await;
        assert!(
            asked(&console, "worker_bg.wasm") && !asked(&console, "worker_relaxed.wasm"),
            "{console:?}"
        );
        assert!(text.split_whitespace().count() > 4, "{text:?}");
        assert_eq!((text, pieces), (text_plain, pieces_plain));
    });
}
