//! The page in headless Chromium: on WebGPU and on the CPU, against the command, and when things go wrong.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests run natively and have a clock")]

mod dispatches;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dispatches::{COUNTER, count};
use hilum_browser_tests::{Browser, Server, Setting, copied, run, sha256, with_program};
use serde_json::{Value, json};

/// Chromium's own software Vulkan driver: the shell's WebGPU on it is the page's.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";
const DRAFT: Duration = Duration::from_secs(240);

/// A phantom as a hospital would send it.
fn phantom(setting: &Setting, dir: &Path) -> PathBuf {
    let out = dir.join("phantom");
    let arguments = [
        "phantom", "--count", "1", "--size", "512", "--seed", "77", "--format", "dicom", "--out",
    ];
    setting.hilum(&[&arguments[..], &[out.to_str().unwrap()]].concat(), &[]);
    let mut folders = vec![out];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            match path.extension().is_some_and(|e| e == "dcm") {
                true => return path,
                false if path.is_dir() => folders.push(path),
                false => {}
            }
        }
    }
    panic!("the command wrote no DICOM file");
}

/// The page's text is the shell's; where they part, the first difference is at a near tie of the shell's two
/// best words.
fn same(page: &str, pieces: &str, shell: &Value) {
    let text = shell["text"].as_str().unwrap();
    assert!(
        text.split_whitespace().count() > 4,
        "too short to prove anything: {text:?}"
    );
    if page == text {
        return;
    }
    let tokens = shell["tokens"].as_array().unwrap();
    let ours: Vec<&str> = pieces.split(' ').collect();
    let differs = |(i, token): (usize, &Value)| ours.get(i).is_none_or(|piece| token["text"] != *piece);
    let first = tokens.iter().enumerate().position(differs);
    let lead = first
        .and_then(|i| tokens[i]["lead"].as_f64())
        .unwrap_or(f64::INFINITY);
    assert!(
        lead < 1e-3,
        "the page wrote {page:?}, the shell {text:?}: they part at piece {first:?}, whose lead is {lead}"
    );
    println!("page and shell part at piece {first:?}, a near tie (lead {lead:.1e})");
}

async fn drafts_as_the_shell_does(setting: &Setting, device: &str, variables: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let file = phantom(setting, dir.path());
    let bundle = setting.page.join("models/demo");
    let shell = [
        "draft",
        file.to_str().unwrap(),
        "--device",
        device,
        "--bundle",
        bundle.to_str().unwrap(),
    ];
    let shell = setting.hilum(&shell, variables);

    let page = with_program(setting, dir.path(), COUNTER);
    let (server, browser) = Browser::at(setting, &page, &format!("device={device}")).await;
    println!(
        "{device}, first visit: {}",
        browser.attribute("main", "data-measured").await
    );
    browser.bring(&file, "drop").await;
    browser
        .until("main", "data-picture", &["read"], Duration::from_secs(30))
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let text = browser.draft(DRAFT).await;
    println!(
        "{device}: {} Shell: {}",
        browser.text("#outcome").await,
        shell["timing"]
    );
    browser.picture(&format!("{device}-1280.png")).await;
    let pieces = browser.attribute(".report", "data-pieces").await;
    same(&text, &pieces, &shell);
    let console = browser.console().await;
    let grave: Vec<_> = console
        .iter()
        .filter(|told| told.grave)
        .map(|told| &told.words)
        .collect();
    assert!(grave.is_empty(), "{grave:?}");
    if device == "webgpu" {
        count(&console, pieces.split(' ').count());
    }

    let asked = browser
        .script("return performance.getEntriesByType('resource').map((e) => new URL(e.name).origin)")
        .await;
    let own = server.url.trim_end_matches('/');
    assert!(
        asked
            .as_array()
            .is_some_and(|all| all.len() > 3 && all.iter().all(|origin| origin == own)),
        "{asked}"
    );

    // A second visit asks the network for nothing: there is no server any more.
    assert_eq!(
        browser
            .script("return navigator.serviceWorker.ready.then(r => r.active !== null)")
            .await,
        true
    );
    let url = format!("{}?device={device}", server.url);
    drop(server);
    browser.open(&url).await;
    browser.ready().await;
    let measured = browser.attribute("main", "data-measured").await;
    println!("{device}, second visit: {measured}");
    assert!(measured.contains("downloaded 0 B"), "{measured}");
    browser.end().await;
}

#[test]
fn on_the_cpu_the_page_drafts_what_the_shell_drafts_and_again_without_a_server() {
    let Some(setting) = Setting::find() else { return };
    run(drafts_as_the_shell_does(&setting, "cpu", &[]));
}

#[test]
fn on_webgpu_the_page_drafts_what_the_shell_drafts_and_again_without_a_server() {
    let Some(setting) = Setting::find() else { return };
    if !Path::new(SWIFTSHADER).is_file() {
        println!("SKIPPED: {SWIFTSHADER} is not there, so the shell has not the browser's device");
        return;
    }
    let variables = [
        ("VK_DRIVER_FILES", SWIFTSHADER),
        ("VK_ICD_FILENAMES", SWIFTSHADER),
    ];
    run(drafts_as_the_shell_does(&setting, "webgpu", &variables));
}

#[test]
fn what_is_no_picture_is_said_in_words_and_samples_and_sizes_work() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let words = dir.path().join("words.dcm");
        std::fs::write(&words, "The heart is normal in size.").unwrap();
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=cpu").await;
        browser.picture("empty-1280.png").await;
        browser.choose(&words).await;
        browser
            .until("main", "data-picture", &["unreadable"], Duration::from_secs(30))
            .await;
        let said = browser.text("#unreadable").await;
        assert!(said.contains("words.dcm") && said.contains("text"), "{said}");
        browser.picture("unreadable-1280.png").await;
        browser
            .bring(&setting.page.join("samples/devices.png"), "paste")
            .await;
        browser
            .until("main", "data-picture", &["read"], Duration::from_secs(30))
            .await;
        assert!(browser.text(".facts").await.contains("devices.png"));

        browser.sample("effusion.png").await;
        let report = browser.draft(DRAFT).await;
        assert!(report.split_whitespace().count() > 4, "{report:?}");
        browser.picture("sample-1280.png").await;
        browser.size(390, 844).await;
        browser.picture("sample-390.png").await;
        let wide = browser
            .script("return document.documentElement.scrollWidth")
            .await
            .as_u64()
            .unwrap();
        assert!(wide <= 390, "the page is {wide} px wide in a window of 390");

        // A new window by number changes what is seen; a text that was written is not lost to a new draft.
        let sum = "const c = document.querySelector('canvas'); const o = new OffscreenCanvas(c.width, c.height).getContext('2d'); o.drawImage(c, 0, 0); const d = o.getImageData(0, 0, c.width, c.height).data; let s = 0; for (let i = 0; i < d.length; i += 4) s += d[i]; return s";
        let before = browser.script(sum).await.as_f64().unwrap();
        let set = "const i = document.querySelector('#window-width'); i.value = 60; i.dispatchEvent(new Event('change', { bubbles: true }))";
        browser.script(set).await;
        let after = browser.script(sum).await.as_f64().unwrap();
        assert!(
            (before - after).abs() > 1000.0,
            "the window changed nothing: {before} and {after}"
        );
        // So does a drag, and the keyboard zooms.
        let looked = "const c = document.querySelector('canvas');
            const at = (kind, x, y) => c.dispatchEvent(new PointerEvent(kind, { pointerId: 7, clientX: x, clientY: y, buttons: 1, bubbles: true }));
            at('pointerdown', 100, 200); at('pointermove', 140, 210); at('pointerup', 140, 210);
            c.dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true, cancelable: true }));
            return new Promise((done) => setTimeout(() => done([Number(document.querySelector('#window-width').value), c.style.transform]), 200))";
        let looked = browser.script(looked).await;
        assert!(
            looked[0].as_f64().unwrap() > 70.0,
            "the drag did not widen the window: {looked}"
        );
        assert!(
            looked[1].as_str().unwrap().contains("scale(1.25"),
            "the key did not zoom: {looked}"
        );
        browser.click("[data-sample='normal.png']").await;
        browser
            .until(".report", "data-draft", &["none"], Duration::from_secs(30))
            .await;
        browser.click("#restore").await;
        assert_eq!(browser.report().await, report);
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

#[test]
fn a_draft_is_stopped_copied_and_saved() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&setting, &setting.page);
        let browser = Browser::start(&setting).await;
        let to = json!({ "behavior": "allow", "downloadPath": dir.path() });
        browser.devtools("Browser.setDownloadBehavior", to).await;
        let permissions = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        browser.devtools("Browser.grantPermissions", permissions).await;
        // On the software adapter a word takes long enough to be stopped after.
        browser.open(&format!("{}?device=webgpu", server.url)).await;
        browser.ready().await;
        browser.sample("effusion.png").await;
        browser.click("#draft").await;
        browser.words().await;
        browser.stop().await;
        assert!(
            browser.text("#outcome").await.contains("Stopped"),
            "{}",
            browser.text("#outcome").await
        );
        let text = browser.report().await;
        assert!(
            !text.is_empty() && !text.ends_with('.'),
            "the draft went on: {text:?}"
        );

        browser.click("#copy").await;
        browser.click("#download").await;
        let file = dir.path().join("report-draft.txt");
        let began = Instant::now();
        while !file.is_file() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "nothing was downloaded"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let saved = std::fs::read_to_string(&file).unwrap();
        let hash = sha256(&std::fs::read(setting.page.join("models/demo/bundle.json")).unwrap());
        for part in [
            text.as_str(),
            "medvill",
            "demo",
            &hash,
            "Research software, not for clinical use",
        ] {
            assert!(saved.contains(part), "{part:?} is not in {saved:?}");
        }
        assert!(browser.text("#outcome").await.contains("Copied"));
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

#[test]
fn a_damaged_and_a_missing_shard_are_said_in_words() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = copied(&setting, dir.path());
        let shard = page.join("models/demo/weights-000.safetensors");
        let mut bytes = std::fs::read(&shard).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&shard, &bytes).unwrap();
        let server = Server::start(&setting, &page);
        let browser = Browser::start(&setting).await;
        let failed = async || {
            browser.open(&format!("{}?device=cpu", server.url)).await;
            browser
                .until("main", "data-engine", &["failed"], Duration::from_secs(60))
                .await;
            browser.text("#engine").await
        };
        let said = failed().await;
        assert!(said.contains("weights-000") && said.contains("SHA-256"), "{said}");
        std::fs::remove_file(&shard).unwrap();
        let said = failed().await;
        assert!(said.contains("weights-000") && said.contains("404"), "{said}");
        browser.end().await;
    });
}

#[test]
fn a_lost_device_is_rebuilt_once_and_then_said() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=webgpu").await;
        browser.sample("effusion.png").await;
        browser.click("#draft").await;
        let lose = "window.dispatchEvent(new Event('hilum-lose-device'))";
        browser.script(lose).await;
        browser
            .until("main", "data-engine", &["loading"], Duration::from_secs(30))
            .await;
        browser.ready().await;
        assert!(browser.text("#notice").await.contains("lost"));
        browser.words().await;
        browser.stop().await;
        assert_eq!(browser.attribute(".report", "data-draft").await, "done");
        // Lost again at once, it is given up in words, and the CPU is a way on.
        browser.script(lose).await;
        browser
            .until("main", "data-engine", &["failed"], Duration::from_secs(30))
            .await;
        assert!(browser.text("#engine").await.contains("CPU"));
        browser.picture("lost-1280.png").await;
        browser
            .script("[...document.querySelectorAll('#engine button')].at(-1).click()")
            .await;
        browser.ready().await;
        assert!(browser.text("#engine").await.contains("CPU"));
        browser.end().await;
    });
}

#[test]
fn forbidden_storage_and_a_damaged_program_are_said_in_words() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        // As a private window of some browsers has it.
        let forbid = "Object.defineProperty(self, 'caches', { get() { throw new DOMException('forbidden', 'SecurityError'); } });\n";
        let page = with_program(&setting, dir.path(), forbid);
        let (server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        let said = browser.text("#notice").await;
        assert!(
            said.contains("keeps no data") && said.contains("downloaded at every visit"),
            "{said}"
        );

        // Whichever of the two the browser takes.
        let modules = ["worker_bg.wasm", "worker_relaxed.wasm"].map(|name| page.join(name));
        let whole = modules.each_ref().map(|module| std::fs::read(module).unwrap());
        for (module, bytes) in modules.iter().zip(&whole) {
            std::fs::write(module, &bytes[..bytes.len() / 2]).unwrap();
        }
        browser.open(&format!("{}?device=cpu", server.url)).await;
        browser
            .until("main", "data-engine", &["failed"], Duration::from_secs(60))
            .await;
        let said = browser.text("#engine").await;
        assert!(
            said.contains("did not load") && said.contains("Try again"),
            "{said}"
        );
        for (module, bytes) in modules.iter().zip(&whole) {
            std::fs::write(module, bytes).unwrap();
        }
        browser
            .script("document.querySelector('#engine button').click()")
            .await;
        browser.ready().await;
        browser.end().await;
    });
}

#[test]
fn full_storage_and_missing_simd_are_said_in_words() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let server = Server::start(&setting, &setting.page);
        let browser = Browser::start(&setting).await;
        let origin = server.url.trim_end_matches('/');
        browser
            .devtools(
                "Storage.overrideQuotaForOrigin",
                json!({ "origin": origin, "quotaSize": 1000 }),
            )
            .await;
        browser.open(&format!("{}?device=cpu", server.url)).await;
        browser.ready().await;
        let said = browser.text("#notice").await;
        assert!(
            said.contains("storage") && said.contains("downloaded at every visit"),
            "{said}"
        );

        let source = "WebAssembly.validate = () => false";
        browser
            .devtools(
                "Page.addScriptToEvaluateOnNewDocument",
                json!({ "source": source }),
            )
            .await;
        browser.open(&format!("{}?device=cpu", server.url)).await;
        browser
            .until("#waiting", "role", &["alert"], Duration::from_secs(10))
            .await;
        assert!(browser.text("#waiting").await.contains("SIMD"));
        browser.end().await;
    });
}

#[test]
fn a_page_that_slept_in_mid_draft_ends_its_draft() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=webgpu").await;
        browser.sample("devices.png").await;
        browser.click("#draft").await;
        browser
            .devtools("Page.setWebLifecycleState", json!({ "state": "frozen" }))
            .await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        browser
            .devtools("Page.setWebLifecycleState", json!({ "state": "active" }))
            .await;
        let before = browser.report().await;
        let state = async || browser.attribute(".report", "data-draft").await;
        let began = Instant::now();
        while state().await == "running" && browser.report().await == before {
            assert!(began.elapsed() < DRAFT, "no word came after the sleep");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if state().await == "running" {
            browser.stop().await;
        }
        assert_eq!(state().await, "done");
        browser.end().await;
    });
}
