//! The page with a Clinical-BERT of the reader's own, opened from a folder: it drafts, finds, and shows which regions each word of the
//! draft attends to.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests run natively and have a clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use hilum_browser_tests::{Browser, Setting, run};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

/// Trains a tiny one on eight phantoms, until it says their words, and makes a bundle of it.
fn bundle(setting: &Setting, dir: &Path) {
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let drawn = "phantom --layout openi --size 64 --count 8 --seed 9 --split train --out";
    setting.make(&[&drawn.split(' ').collect::<Vec<_>>()[..], &[&at("data")]].concat());
    std::fs::write(
        at("run.toml"),
        format!(
            "system = \"clinical-bert\"\npreset = \"tiny\"\nout = {:?}\n\
             [model]\nbert.vocabulary = 400\nmax_tokens = 30\ndiagnosis = \"cls\"\noccurrences = 1\n\
             [data]\nroots = [{:?}]\nall = true\n\
             [objectives]\nimm = 0.01\nreport = 1.0\ndiagnosis = 1.0\n\
             [optim]\nlr = 3e-3\nbatch = 8\nsteps = 150\n",
            at("run"),
            at("data")
        ),
    )
    .unwrap();
    setting.make(&["pretrain", &at("run.toml"), "--device", "cpu"]);
    setting.make(&["export", "--from", &at("run"), "--out", &at("clinical")]);
}

/// Waits until a script says so.
async fn until(browser: &Browser, script: &str) {
    let began = Instant::now();
    while browser.script(script).await != true {
        let said = browser.text("#models-said").await;
        assert!(began.elapsed() < LIMIT, "never: {script}; {said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_clinical_bert_from_a_folder_drafts_finds_and_shows_its_words_maps() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        bundle(&setting, dir.path());
        let folder = dir.path().join("clinical");
        let picture = setting.page.join("samples/effusion.png");
        let on = ["--bundle", folder.to_str().unwrap(), "--device", "cpu"];
        let greedy = ["draft", picture.to_str().unwrap(), "--beam", "1"];
        let theirs: Value = setting.hilum(&[&greedy[..], &on].concat(), &[]);

        let (_server, browser) = Browser::at(&setting, &setting.page, "device=cpu").await;
        browser.click("#models").await;
        browser.choose_folder(&folder).await;
        let open = "return document.querySelector(\".model[data-name='clinical']\")?.dataset.state.startsWith('open') === true";
        until(&browser, open).await;
        // The demo drafts too; without it everything goes to the other.
        let close = "const b = document.querySelector(\".model[data-name='demo'] .close:enabled\"); b?.click(); return b !== null";
        until(&browser, close).await;
        until(
            &browser,
            "return document.querySelectorAll('.model .close').length === 0",
        )
        .await;
        browser.click("#models-close").await;

        browser.sample("effusion.png").await;
        let text = browser.draft(LIMIT).await;
        assert_eq!(text, theirs["text"].as_str().unwrap());
        assert!(text.contains(' '), "too short to point at: {text:?}");
        browser.click("#find").await;
        browser.until("#findings", "data-state", &["done"], LIMIT).await;
        browser.click("#looked").await;
        browser.until("#looks", "data-state", &["done"], LIMIT).await;
        browser
            .script("document.querySelector('.words button').focus()")
            .await;
        browser.until(".words button", "class", &["seen"], LIMIT).await;
        let shown = browser
            .script("return document.querySelector('#heat').checkVisibility()")
            .await;
        assert_eq!(shown, true);
        browser.picture("clinical-bert-1280.png").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}
