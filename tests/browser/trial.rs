//! Where the page computes when that is left open: both devices tried at the first start, the faster right one kept; an adapter
//! that computes wrongly or is lost in its trial is told and left; a browser without WebGPU writes the same words.
//!
//! The browser's own adapter computes in software and is never tried; a program in the worker says that it is none.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use hilum_browser_tests::{Browser, Server, Setting, copy, run, with_program};
use serde_json::{Value, json};

/// The adapter says that it is no software, and the console when it is opened.
const HARDWARE: &str = r#"
Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
const request = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = function (...given) { console.info("OPENED."); return request.apply(this, given); };
"#;
/// From the adapter's first work on the clock runs slowly, so that the adapter is the faster one.
const FAST: &str = r#"
const now = Performance.prototype.now;
let since = null;
Performance.prototype.now = function () {
  const time = now.call(this);
  return since === null ? time : since + (time - since) / 1e4;
};
const submit = GPUQueue.prototype.submit;
GPUQueue.prototype.submit = function (...given) { since ??= now.call(performance); return submit.apply(this, given); };
"#;
/// Norms are computed wrongly.
const WRONG: &str = r#"
const compile = GPUDevice.prototype.createShaderModule;
GPUDevice.prototype.createShaderModule = function (given) {
  const code = given.code.replaceAll("1.0 / sqrt(total(thread, squares)", "0.2 * sqrt(total(thread, squares)");
  if (code !== given.code) console.info("SPOILT.");
  return compile.call(this, { ...given, code });
};
"#;
/// The device is lost while it works.
const LOST: &str = r#"
const devices = [], open = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...given) {
  const device = await open.apply(this, given);
  devices.push(device);
  return device;
};
const submit = GPUQueue.prototype.submit;
let left = 12;
GPUQueue.prototype.submit = function (...given) {
  if (--left === 0) devices.forEach((device) => device.destroy());
  return submit.apply(this, given);
};
"#;
/// As in a browser without WebGPU.
const WITHOUT: &str = "Object.defineProperty(WorkerNavigator.prototype, 'gpu', { get: () => undefined });\n";
const DRAFT: Duration = Duration::from_secs(120);

/// What the page says of the device, and what of its trial.
async fn told(browser: &Browser) -> (String, String) {
    let device = browser.text("#computes").await;
    (
        device.trim().to_owned(),
        browser.attribute("#computes", "title").await,
    )
}

/// How often the console was told a word since the last look.
async fn count(browser: &Browser, word: &str) -> usize {
    let console = browser.console().await;
    console.iter().filter(|told| told.words.contains(word)).count()
}

/// A page with a program in its worker, opened with nothing said of the device.
async fn started(setting: &Setting, program: &str) -> (tempfile::TempDir, Server, Browser) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(setting, &with_program(setting, dir.path(), program));
    let browser = Browser::start(setting).await;
    browser.open(&server.url).await;
    browser.ready().await;
    (dir, server, browser)
}

#[test]
fn the_first_start_tries_both_devices_and_later_ones_open_the_faster() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        for (program, device) in [(String::new(), "CPU"), (FAST.to_owned(), "WebGPU")] {
            let (_dir, server, browser) = started(&setting, &format!("{HARDWARE}{program}")).await;
            let (on, trial) = told(&browser).await;
            println!(
                "{on}. {trial}. {}",
                browser.attribute("main", "data-measured").await
            );
            assert!(on.starts_with(device), "{on}");
            assert!(
                trial.contains("this start") && trial.contains("ms, graphics adapter"),
                "{trial}"
            );
            assert_eq!(browser.text("#notice").await, "");
            assert_eq!(count(&browser, "OPENED").await, 1);

            browser.open(&server.url).await;
            browser.ready().await;
            let (again, kept) = told(&browser).await;
            println!(
                "{again}. {kept}. {}",
                browser.attribute("main", "data-measured").await
            );
            assert_eq!(again, on);
            assert_eq!(kept, trial.replace("this start", "an earlier start"));
            assert_eq!(count(&browser, "OPENED").await, usize::from(device == "WebGPU"));
            browser.sample("effusion.png").await;
            assert!(browser.draft(DRAFT).await.contains("effusion"));
            browser.end().await;
        }
    });
}

#[test]
fn an_adapter_that_computes_wrongly_is_told_and_left() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let (_dir, server, browser) = started(&setting, &format!("{HARDWARE}{WRONG}")).await;
        assert!(count(&browser, "SPOILT").await > 0);
        let said = "The graphics adapter gave wrong words in a trial; the CPU computes.";
        assert_eq!(browser.text("#notice").await, said);
        let (on, _) = told(&browser).await;
        assert!(on.starts_with("CPU") && on.contains("wrong words"), "{on}");
        browser.picture("wrong-adapter-1280.png").await;
        browser.sample("effusion.png").await;
        assert!(browser.draft(DRAFT).await.contains("effusion"));
        // It is left for good, and not tried again.
        browser.open(&server.url).await;
        browser.ready().await;
        assert_eq!(told(&browser).await.0, on);
        assert_eq!(count(&browser, "OPENED").await, 0);
        // Who asks for it gets it, and is told.
        browser.open(&format!("{}?device=webgpu", server.url)).await;
        browser.ready().await;
        let (on, _) = told(&browser).await;
        assert!(on.starts_with("WebGPU") && on.contains("wrong words"), "{on}");
        assert!(browser.text("#notice").await.contains("Do not rely on it"));
        browser.end().await;
    });
}

#[test]
fn an_adapter_that_is_lost_in_its_trial_is_left_for_the_cpu() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let (_dir, _server, browser) = started(&setting, &format!("{HARDWARE}{LOST}")).await;
        let (on, _) = told(&browser).await;
        assert!(on.starts_with("CPU") && on.contains("failed in a trial"), "{on}");
        let said = browser.text("#notice").await;
        assert!(said.ends_with("; the CPU computes."), "{said}");
        browser.sample("effusion.png").await;
        assert!(browser.draft(DRAFT).await.contains("effusion"));
        browser.end().await;
    });
}

#[test]
fn other_words_than_the_manifest_records_are_told() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = with_program(&setting, dir.path(), "");
        let bundle = page.join("models/other");
        copy(&page.join("models/demo"), &bundle);
        let manifest = bundle.join("bundle.json");
        let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        let second = value["trial"]["tokens"][1].as_u64().unwrap();
        value["trial"]["tokens"][1] = json!(second + 1);
        std::fs::write(&manifest, value.to_string()).unwrap();
        let (server, browser) = Browser::at(&setting, &page, "device=cpu&bundle=models/other").await;
        let url = format!("{}?device=cpu&bundle=models/other", server.url);
        let said = browser.text("#notice").await;
        assert!(said.contains("the model or this program is damaged"), "{said}");
        // A picture that it records and this program does not draw is no reason to complain.
        value["trial"]["picture"] = json!(99);
        std::fs::write(&manifest, value.to_string()).unwrap();
        browser.open(&url).await;
        browser.ready().await;
        assert_eq!(browser.text("#notice").await, "");
        browser.end().await;
    });
}

#[test]
fn without_webgpu_the_words_are_the_same() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let mut texts = Vec::new();
        for (program, why) in [("", "software"), (WITHOUT, "no WebGPU adapter")] {
            let (_dir, _server, browser) = started(&setting, program).await;
            let (on, trial) = told(&browser).await;
            assert!(on.starts_with("CPU") && on.contains(why), "{on}");
            assert_eq!(trial, "");
            browser.sample("effusion.png").await;
            texts.push(browser.draft(DRAFT).await);
            assert_eq!(browser.complaints().await, Vec::<String>::new());
            browser.end().await;
        }
        assert!(
            texts[0].split_whitespace().count() > 4 && texts[0] == texts[1],
            "{texts:?}"
        );
    });
}
