//! Several bundles in one page: listed, opened from the server and from a folder, kept, freed and closed; each task goes to the one
//! that is at home with the picture, and a published one opens by itself where it may be.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests run natively and have a clock")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hilum_browser_tests::{Browser, Setting, copied, copy, publish, run, sha256, with_program};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

/// A copy of the demo bundle under another name, with only some of its tasks. `limit` multiplies how unlike its training pictures a
/// picture may be: for a large one nothing is foreign.
fn bundle(setting: &Setting, dir: &Path, name: &str, tasks: &[&str], limit: f32) {
    copy(&setting.page.join("models/demo"), dir);
    let gate = dir.join("gate.safetensors");
    let mut bytes = std::fs::read(&gate).unwrap();
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(header["limit"]["dtype"], "F32", "{header}");
    let begin = 8 + length + usize::try_from(header["limit"]["data_offsets"][0].as_u64().unwrap()).unwrap();
    let own = f32::from_le_bytes(bytes[begin..begin + 4].try_into().unwrap());
    bytes[begin..begin + 4].copy_from_slice(&(own * limit).to_le_bytes());
    std::fs::write(&gate, &bytes).unwrap();

    let path = dir.join("bundle.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["name"] = json!(name);
    manifest["tasks"] = json!(tasks);
    manifest["provenance"]["data"] = json!(format!("what {name} has seen"));
    let files = manifest["files"].as_array_mut().unwrap();
    let entry = files
        .iter_mut()
        .find(|file| file["path"] == "gate.safetensors")
        .unwrap();
    entry["sha256"] = json!(sha256(&bytes));
    std::fs::write(&path, manifest.to_string()).unwrap();
}

/// The page, published with the demo and with further bundles: name, tasks, limit.
fn page_with(setting: &Setting, dir: &Path, more: &[(&str, &[&str], f32)]) -> PathBuf {
    let page = copied(setting, dir);
    for (name, tasks, limit) in more {
        bundle(setting, &page.join("models").join(name), name, tasks, *limit);
    }
    let names = std::iter::once("demo").chain(more.iter().map(|(name, ..)| *name));
    publish(&page, &names.collect::<Vec<_>>());
    page
}

/// A picture that the demo has seen nothing like.
fn foreign() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../www/page.png");
    path.canonicalize().unwrap()
}

/// The state of each bundle in the panel, by name.
async fn states(browser: &Browser) -> Vec<(String, String)> {
    let script =
        "return [...document.querySelectorAll('.model')].map((e) => [e.dataset.name, e.dataset.state])";
    serde_json::from_value(browser.script(script).await).unwrap()
}

async fn until_state(browser: &Browser, name: &str, wanted: &str) {
    let began = Instant::now();
    loop {
        let all = states(browser).await;
        if all.iter().any(|(own, state)| own == name && state == wanted) {
            return;
        }
        assert!(
            began.elapsed() < LIMIT,
            "{name} is not {wanted:?}: {all:?}; {}; {:?}",
            browser.text("#models-said").await,
            browser.complaints().await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_said(browser: &Browser, parts: &[&str]) {
    let began = Instant::now();
    loop {
        let said = browser.text("#models-said").await;
        if parts.iter().all(|part| said.contains(part)) {
            return;
        }
        assert!(began.elapsed() < LIMIT, "{parts:?} is not in {said:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Presses a row's button as soon as it can be pressed. Rows are put together anew, so it is found and pressed at once.
async fn press(browser: &Browser, name: &str, button: &str) {
    let css = format!(".model[data-name='{name}'] .{button}:enabled");
    let script = format!("const b = document.querySelector({css:?}); b?.click(); return b !== null");
    let began = Instant::now();
    while browser.script(&script).await != true {
        assert!(began.elapsed() < LIMIT, "{name} has no {button} to press");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_folder_is_opened_kept_there_again_and_freed() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = page_with(&setting, dir.path(), &[]);
        let (server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        browser.click("#models").await;
        until_state(&browser, "demo", "open, kept in this browser, on the server").await;
        let row = browser.text(".model").await;
        for part in [
            "drafts reports, reads findings, finds similar cases and answers questions",
            "medvill",
            "phantoms",
            "SHA-256",
        ] {
            assert!(row.contains(part), "{part:?} is not in {row:?}");
        }
        // The only one that is open cannot be closed.
        let closes = "return document.querySelectorAll('.model .close').length";
        assert_eq!(browser.script(closes).await, 0);

        let folder = dir.path().join("Thorax Nr. 7 ü");
        bundle(&setting, &folder, "second", &["findings"], 1.0);
        browser.choose_folder(&folder).await;
        until_state(&browser, "second", "open, kept in this browser").await;
        assert!(browser.text("#engine").await.contains("demo and second"));
        for (width, height) in [(1400, 900), (390, 844)] {
            browser.size(width, height).await;
            browser.picture(&format!("models-{width}.png")).await;
            let wide = browser
                .script("return document.documentElement.scrollWidth")
                .await;
            assert!(
                wide.as_u64().unwrap() <= u64::from(width),
                "{wide} px wide in {width}"
            );
        }
        browser.size(1280, 860).await;
        // Once more is said, and changes nothing.
        browser.choose_folder(&folder).await;
        until_said(&browser, &["was not opened", "open already", "second"]).await;
        assert_eq!(states(&browser).await.len(), 2);

        // Its folder is gone; it is there all the same, and what it needs comes from storage.
        std::fs::remove_dir_all(&folder).unwrap();
        browser.open(&format!("{}?device=cpu", server.url)).await;
        browser.ready().await;
        browser.click("#models").await;
        until_state(&browser, "second", "open, kept in this browser").await;

        // What both have in common stays for the one that is kept.
        press(&browser, "second", "free").await;
        until_state(&browser, "second", "open").await;
        press(&browser, "second", "close").await;
        browser.click("#models-close").await;
        browser.open(&format!("{}?device=cpu", server.url)).await;
        browser.ready().await;
        let measured = browser.attribute("main", "data-measured").await;
        assert!(measured.contains("downloaded 0 B"), "{measured}");
        browser.click("#models").await;
        until_state(&browser, "demo", "open, kept in this browser, on the server").await;
        assert_eq!(states(&browser).await.len(), 1);
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

#[test]
fn what_is_no_bundle_or_a_damaged_one_is_said_and_nothing_else_is_lost() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = page_with(&setting, dir.path(), &[]);
        let (server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        browser.sample("effusion.png").await;
        browser.write("#text", "Supine.").await;
        browser.click("#models").await;
        let empty = dir.path().join("holiday");
        std::fs::create_dir(&empty).unwrap();
        std::fs::write(empty.join("beach.jpg"), "sand").unwrap();
        browser.choose_folder(&empty).await;
        until_said(&browser, &["holiday has no bundle.json"]).await;

        let make = |name: &str| {
            let folder = dir.path().join(name);
            bundle(&setting, &folder, name, &["findings"], 1.0);
            folder
        };
        let damaged = make("damaged");
        // What the demo has is in storage already, and whole: the damage is in what it has not.
        let gate = damaged.join("gate.safetensors");
        let mut bytes = std::fs::read(&gate).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&gate, &bytes).unwrap();
        let manifest = damaged.join("bundle.json");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let text = text.replace(
            &sha256(&std::fs::read(setting.page.join("models/demo/gate.safetensors")).unwrap()),
            &"0".repeat(64),
        );
        std::fs::write(&manifest, text).unwrap();
        browser.choose_folder(&damaged).await;
        until_said(
            &browser,
            &["damaged was not opened", "gate.safetensors", "SHA-256"],
        )
        .await;

        std::fs::remove_file(&gate).unwrap();
        browser.choose_folder(&damaged).await;
        until_said(&browser, &["the folder has no gate.safetensors"]).await;

        let unknown = make("unknown");
        let manifest = unknown.join("bundle.json");
        let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        value["system"] = json!("oracle");
        std::fs::write(&manifest, value.to_string()).unwrap();
        browser.choose_folder(&unknown).await;
        until_said(&browser, &["unknown was not opened", "oracle"]).await;
        browser.picture("models-refused-1280.png").await;

        // Nothing of them is kept, and what was there works.
        let kept = "return caches.open('hilum-bundles-2').then((c) => c.keys()).then((k) => k.length)";
        let files = 1 + 3;
        assert_eq!(browser.script(kept).await, files);
        browser.click("#models-close").await;
        assert_eq!(browser.report().await, "Supine.");
        browser.click("#find").await;
        browser.until("#findings", "data-state", &["done"], LIMIT).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
        drop(server);
    });
}

#[test]
fn a_published_bundle_opens_by_itself_where_the_open_ones_are_foreign_and_serves_its_tasks() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let more: [(&str, &[&str], f32); 3] = [
            ("alien", &["findings"], 1.0),
            ("ward", &["findings", "retrieve"], 1000.0),
            ("spare", &["findings"], 1000.0),
        ];
        let page = page_with(&setting, dir.path(), &more);
        let (_server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        browser.sample("effusion.png").await;
        browser.until("main", "data-judged", &["alike"], LIMIT).await;
        assert_eq!(browser.text("#engine .by, #adding").await, "");
        browser.click("#models").await;
        until_state(&browser, "ward", "on the server").await;
        browser.click("#models-close").await;

        browser.choose(&foreign()).await;
        browser.until("main", "data-judged", &["partly"], LIMIT).await;
        until_state(&browser, "ward", "open, kept in this browser, on the server").await;
        // One after the other, until one is at home.
        until_state(&browser, "alien", "open, kept in this browser, on the server").await;
        assert!(
            states(&browser)
                .await
                .contains(&("spare".to_owned(), "on the server".to_owned()))
        );
        let banner = browser.text("#gate").await;
        assert!(
            banner.contains("This picture is unlike what demo was trained on, which here drafts reports and answers questions."),
            "{banner}"
        );
        for (panel, name) in [
            ("#findings", "ward"),
            ("#similar", "ward"),
            ("#asking", "demo"),
            (".report", "demo"),
        ] {
            assert_eq!(
                browser.attribute(&format!("{panel} .by"), "data-by").await,
                name,
                "{panel}"
            );
        }
        // The form, whose findings are at home, is the way on, and not all of its lines are left open.
        let primary = "return ['#structured', '#draft'].map((b) => document.querySelector(b).classList.contains('primary'))";
        assert_eq!(browser.script(primary).await, json!([true, false]));
        browser.picture("routed-1280.png").await;
        browser.click("#structured").await;
        browser.until("#findings", "data-state", &["done"], LIMIT).await;
        let said =
            "return [...document.querySelectorAll('.entry')].some((e) => !e.classList.contains('open'))";
        let began = Instant::now();
        while browser.script(said).await != true {
            assert!(began.elapsed() < LIMIT, "every line is left open");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let downloads = json!({ "behavior": "allow", "downloadPath": dir.path() });
        browser.devtools("Browser.setDownloadBehavior", downloads).await;
        browser.click("#download").await;
        let file = dir.path().join("report-draft.txt");
        let began = Instant::now();
        while !file.is_file() {
            assert!(began.elapsed() < LIMIT, "nothing was downloaded");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let saved = std::fs::read_to_string(&file).unwrap();
        assert!(saved.contains("from findings of ward (medvill)"), "{saved}");

        // Without it the banner is the whole one again, and it is not opened a second time.
        browser.click("#models").await;
        press(&browser, "ward", "close").await;
        until_state(&browser, "ward", "kept in this browser, on the server").await;
        until_state(&browser, "spare", "open, kept in this browser, on the server").await;
        press(&browser, "spare", "close").await;
        browser.until("main", "data-judged", &["foreign"], LIMIT).await;
        assert!(
            browser
                .text("#gate")
                .await
                .contains("unlike what the model was trained on")
        );
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

#[test]
fn an_engine_that_is_restarted_brings_all_bundles_back() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        // Nothing is kept here: the folder itself is what there is.
        let forbid = "Object.defineProperty(self, 'caches', { get() { throw new DOMException('forbidden', 'SecurityError'); } });\n";
        let page = with_program(&setting, dir.path(), forbid);
        let (_server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        let folder = dir.path().join("second");
        bundle(&setting, &folder, "second", &["findings"], 1000.0);
        browser.click("#models").await;
        browser.choose_folder(&folder).await;
        until_state(&browser, "second", "open").await;
        assert!(browser.text("#notice").await.contains("open for this visit only"));
        browser.click("#models-close").await;
        browser.choose(&foreign()).await;
        browser.until("main", "data-judged", &["partly"], LIMIT).await;
        browser
            .script("const d = document.querySelector('#device'); d.value = 'webgpu'; d.dispatchEvent(new Event('change', { bubbles: true }))")
            .await;
        browser.until("main", "data-engine", &["loading"], LIMIT).await;
        browser.ready().await;
        assert!(browser.text("#engine").await.contains("demo and second"));
        until_state(&browser, "second", "open").await;
        browser.click("#find").await;
        browser.until("#findings", "data-state", &["done"], LIMIT).await;
        assert_eq!(browser.attribute("#findings .by", "data-by").await, "second");
        browser.end().await;
    });
}
