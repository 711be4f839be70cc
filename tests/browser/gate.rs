//! A picture that is unlike what the model was trained on: said above report and panels, before anything is asked.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use hilum_browser_tests::{Browser, Setting, copied, copy, publish, run};

const LIMIT: Duration = Duration::from_secs(60);
const JUDGED: [&str; 3] = ["alike", "foreign", "unknown"];

#[test]
fn what_is_unlike_the_training_pictures_is_said_above_all_panels() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = copied(&setting, dir.path());
        publish(&page, &["demo"]);
        // The same bundle without its gate.
        let bundle = page.join("models/plain");
        copy(&page.join("models/demo"), &bundle);
        std::fs::remove_file(bundle.join("gate.safetensors")).unwrap();
        let manifest = std::fs::read_to_string(bundle.join("bundle.json")).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let files = manifest["files"].as_array_mut().unwrap();
        files.retain(|file| file["path"] != "gate.safetensors");
        std::fs::write(bundle.join("bundle.json"), manifest.to_string()).unwrap();
        let foreign = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../www/page.png")
            .canonicalize()
            .unwrap();

        let (server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        let judged = async || browser.until("main", "data-judged", &JUDGED, LIMIT).await;
        browser.sample("effusion.png").await;
        assert_eq!(judged().await, "alike");
        let there = browser
            .script("return document.querySelector('#gate') !== null")
            .await;
        assert_eq!(there, false);

        // Nothing was asked yet.
        browser.choose(&foreign).await;
        browser.until("main", "data-judged", &["foreign"], LIMIT).await;
        let words = browser.text("#gate").await;
        assert!(words.contains("unlike what the model was trained on"), "{words}");
        let unlikeness: f64 = browser
            .attribute("#gate", "data-unlikeness")
            .await
            .parse()
            .unwrap();
        let theirs = setting.hilum(&["findings", foreign.to_str().unwrap(), "--device", "cpu"], &[]);
        assert!(
            (unlikeness - theirs["unlikeness"].as_f64().unwrap()).abs() < 1e-3 * unlikeness,
            "{theirs}"
        );
        let above = "const top = (s) => document.querySelector(s).getBoundingClientRect().top; \
                     return top('#gate') < top('#text') && top('#gate') < top('#findings')";
        assert_eq!(browser.script(above).await, true);
        browser.picture("gate-1280.png").await;
        browser.click("#structured").await;
        let open = "const lines = [...document.querySelectorAll('#form [data-line]')]; \
                    const open = (line) => line.querySelector(\"[aria-label='Left open']\").ariaPressed === 'true'; \
                    return lines.length > 0 && lines.every(open)";
        browser.until("#findings", "data-state", &["done"], LIMIT).await;
        assert_eq!(browser.script(open).await, true);

        // Another picture, another judgement.
        browser.sample("normal.png").await;
        browser.until("main", "data-judged", &["alike"], LIMIT).await;

        browser
            .open(&format!("{}?device=cpu&bundle=models/plain", server.url))
            .await;
        browser.ready().await;
        browser.sample("effusion.png").await;
        assert_eq!(judged().await, "unknown");
        assert!(browser.text("#gate").await.contains("cannot tell"));
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
        drop(server);
    });
}
