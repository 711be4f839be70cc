//! Findings, similar cases and answers on the page, against the command on the same picture; and where they
//! are not offered.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hilum_browser_tests::{Browser, Setting, copied, copy, run};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
const QUESTION: &str = "Is there a pleural effusion?";
const WORDS: &str = "left pleural effusion";
const PANELS: [&str; 3] = ["#findings", "#similar", "#asking"];

/// The page with a tiny bundle for all tasks beside its own, trained for a few steps: its answers mean
/// nothing, but they differ.
fn page_with_tasks(setting: &Setting, dir: &Path) -> PathBuf {
    let page = copied(setting, dir);
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (data, run, config) = (at("data"), at("run"), at("run.toml"));
    let bundle = page.join("models/tasks").to_str().unwrap().to_owned();
    let text = format!(
        "system = \"medvill\"\npreset = \"tiny\"\nout = {run:?}\nseed = 4\n\
         [model]\nsampled = 3\nmax_tokens = 40\nanswer_softmax = true\n\
         [model.preprocessing]\nsize = 64\n\
         [model.ours]\nfindings_head = true\n\
         [data]\nroots = [{data:?}]\n\
         [objectives]\nfindings = 1.0\nreport = 1.0\npairs = 1.0\nvqa = 1.0\n\
         [optim]\nlr = 2e-3\nbatch = 8\nsteps = 24\n"
    );
    std::fs::write(&config, text).unwrap();
    let cpu = ["--device", "cpu"];
    let make = |arguments: &[&str]| setting.make(&[arguments, &cpu].concat());
    make(&[
        "phantom",
        "--layout",
        "mimic-cxr",
        "--count",
        "24",
        "--size",
        "96",
        "--seed",
        "5",
        "--out",
        &data,
    ]);
    make(&["finetune", &config]);
    make(&["export", "--from", &run, "--out", &bundle]);
    make(&[
        "gallery",
        "build",
        "--bundle",
        &bundle,
        "--data",
        &data,
        "--count",
        "6",
        "--source",
        "Six phantoms",
    ]);
    page
}

/// The elements that `css` finds, as the values of their data attributes.
async fn data(browser: &Browser, css: &str) -> Vec<Value> {
    let script = format!("return [...document.querySelectorAll({css:?})].map((e) => ({{ ...e.dataset }}))");
    browser.script(&script).await.as_array().unwrap().clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

fn near(ours: &Value, theirs: &Value, most: f64) {
    let (ours, theirs) = (number(ours), number(theirs));
    assert!(
        (ours - theirs).abs() <= most,
        "the page says {ours}, the command {theirs}"
    );
}

/// The page's rows are the command's, by name, and fall in probability.
fn same(ours: &[Value], name: &str, theirs: &Value, key: &str, most: f64) {
    let theirs = theirs.as_array().unwrap();
    for row in ours {
        let twin = theirs
            .iter()
            .find(|twin| twin[key] == row[name])
            .unwrap_or_else(|| panic!("{row} is not in {theirs:?}"));
        near(&row["probability"], &twin["probability"], most);
    }
    let falls = |pair: &[Value]| number(&pair[0]["probability"]) >= number(&pair[1]["probability"]);
    assert!(ours.windows(2).all(falls), "{ours:?}");
}

async fn done(browser: &Browser, panel: &str) {
    let state = browser
        .until(panel, "data-state", &["done", "failed"], LIMIT)
        .await;
    assert_eq!(state, "done", "{}", browser.text(panel).await);
}

/// How wide the page is in its window.
async fn width(browser: &Browser) -> u64 {
    browser
        .script("return document.documentElement.scrollWidth")
        .await
        .as_u64()
        .unwrap()
}

#[test]
fn panels_say_what_the_command_says_and_belong_to_the_open_picture() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = page_with_tasks(&setting, dir.path());
        let bundle = page.join("models/tasks").to_str().unwrap().to_owned();
        let picture = page.join("samples/effusion.png").to_str().unwrap().to_owned();
        let on = ["--bundle", &bundle, "--device", "cpu"];
        let ask = |arguments: &[&str]| setting.hilum(&[arguments, &on].concat(), &[]);

        let (server, browser) = Browser::at(&setting, &page, "device=cpu&bundle=models/tasks").await;
        let url = format!("{}?device=cpu&bundle=models/tasks", server.url);
        assert_eq!(
            browser
                .script("return document.querySelector('#find').disabled")
                .await,
            true
        );
        browser.sample("effusion.png").await;

        browser.click("#find").await;
        done(&browser, "#findings").await;
        let theirs = ask(&["findings", &picture]);
        let ours = data(&browser, "#findings tbody tr").await;
        assert_eq!(ours.len(), 14);
        same(&ours, "name", &theirs["findings"], "name", 1e-3);
        for row in &ours {
            let twin = theirs["findings"]
                .as_array()
                .unwrap()
                .iter()
                .find(|twin| twin["name"] == row["name"])
                .unwrap();
            let tie = (number(&twin["probability"]) - number(&twin["operating_point"])).abs() < 1e-3;
            let says = twin["present"].to_string();
            assert!(
                tie || row["present"].as_str() == Some(says.as_str()),
                "{row} and {twin}"
            );
        }

        browser.write("#question", QUESTION).await;
        browser.click("#ask").await;
        done(&browser, "#asking").await;
        // The return key asks, too.
        browser.write("#question", "Where is it?\u{e007}").await;
        done(&browser, "#asking").await;
        let questions = browser
            .script("return [...document.querySelectorAll('.question')].map((q) => q.textContent)")
            .await;
        assert_eq!(questions, json!(["Where is it?", QUESTION]));
        let theirs = ask(&["ask", &picture, QUESTION]);
        let ours = data(&browser, ".asked:last-child ol li").await;
        // A question that opens with "is" is answered by yes or no, of three answers at most.
        let said = |answers: &[serde_json::Value]| -> Vec<String> {
            let text = |a: &serde_json::Value| a["answer"].as_str().unwrap_or_default().to_owned();
            let mut said: Vec<String> = answers.iter().map(text).collect();
            said.sort();
            said
        };
        assert_eq!(said(&ours), ["no", "yes"]);
        assert_eq!(said(theirs["answers"].as_array().unwrap()), ["no", "yes"]);
        same(&ours, "answer", &theirs["answers"], "answer", 1e-3);

        // The gallery comes when it is first searched, and not before.
        let galleries = "return performance.getEntriesByType('resource').filter((e) => e.name.includes('gallery')).length";
        assert_eq!(browser.script(galleries).await, 0);
        browser.click("#search-picture").await;
        done(&browser, "#similar").await;
        let theirs = ask(&["similar", &picture, "--count", "6"]);
        let ours = data(&browser, ".case").await;
        assert_eq!(ours.len(), 5);
        same(&ours, "id", &theirs["cases"], "id", 1e-3);
        let text = browser.text(".case .quoted").await;
        assert!(
            theirs["cases"]
                .as_array()
                .unwrap()
                .iter()
                .any(|case| case["report"] == text),
            "{text:?}"
        );
        // Each case's own picture is drawn: they are no two alike, and none is blank.
        let drawn = "return [...document.querySelectorAll('.case canvas')].map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.reduce((s, v, i) => s + v * (i % 9973), 0))";
        let drawn = browser.script(drawn).await;
        let mut sums: Vec<u64> = drawn
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s.as_u64().unwrap())
            .collect();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), 5, "{drawn}");
        browser.size(1280, 1500).await;
        browser.picture("panels-1280.png").await;
        browser.size(1280, 860).await;
        browser.picture("panels-1280-860.png").await;
        // The panels scroll beside the radiograph; the page does not.
        let high = browser
            .script("return document.documentElement.scrollHeight")
            .await;
        assert_eq!(high, 860, "the page is higher than its window");
        browser.size(390, 3000).await;
        assert!(
            width(&browser).await <= 390,
            "the page is {} px wide in a window of 390",
            width(&browser).await
        );
        browser.picture("panels-390.png").await;
        browser.size(390, 844).await;
        browser
            .script("document.querySelector('#findings').scrollIntoView()")
            .await;
        browser.picture("panels-390-844.png").await;
        browser.size(1280, 860).await;

        browser.write("#search-text", WORDS).await;
        browser.click("#search").await;
        done(&browser, "#similar").await;
        let theirs = ask(&["similar", WORDS, "--count", "6"]);
        same(&data(&browser, ".case").await, "id", &theirs["cases"], "id", 1e-3);

        // Another picture empties the panels.
        browser.sample("normal.png").await;
        for panel in PANELS {
            assert_eq!(browser.attribute(panel, "data-state").await, "none", "{panel}");
        }
        let left = data(&browser, "#findings tr, .case, .asked").await;
        assert!(left.is_empty(), "{left:?}");
        browser.picture("panels-empty-1280.png").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());

        // The gallery was kept: on a second visit it need not be on the server.
        std::fs::remove_dir_all(page.join("models/tasks/gallery")).unwrap();
        browser.open(&url).await;
        browser.ready().await;
        browser.write("#search-text", WORDS).await;
        browser.click("#search").await;
        done(&browser, "#similar").await;
        same(&data(&browser, ".case").await, "id", &theirs["cases"], "id", 1e-3);
        browser.end().await;
    });
}

#[test]
fn on_webgpu_panels_answer_while_a_draft_is_under_way_and_a_damaged_gallery_is_said_in_words() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = page_with_tasks(&setting, dir.path());
        let bundle = page.join("models/tasks").to_str().unwrap().to_owned();
        let picture = page.join("samples/devices.png").to_str().unwrap().to_owned();
        let theirs = setting.hilum(
            &["findings", &picture, "--bundle", &bundle, "--device", "cpu"],
            &[],
        );
        let (server, browser) = Browser::at(&setting, &page, "device=webgpu&bundle=models/tasks").await;
        browser.sample("devices.png").await;
        browser.click("#draft").await;
        // All at once: none waits for the end of another, and none is lost.
        browser
            .script(
                "document.querySelector('#find').click(); document.querySelector('#search-picture').click()",
            )
            .await;
        browser.write("#question", &format!("{QUESTION}\u{e007}")).await;
        for panel in PANELS {
            done(&browser, panel).await;
        }
        browser.until(".report", "data-draft", &["done"], LIMIT).await;
        same(
            &data(&browser, "#findings tbody tr").await,
            "name",
            &theirs["findings"],
            "name",
            1e-2,
        );
        assert_eq!(browser.complaints().await, Vec::<String>::new());

        // What a lost device owed is asked of the next one.
        browser
            .script("window.dispatchEvent(new Event('hilum-lose-device')); document.querySelector('#find').click()")
            .await;
        browser
            .until("main", "data-engine", &["loading"], Duration::from_secs(30))
            .await;
        browser.ready().await;
        done(&browser, "#findings").await;
        same(
            &data(&browser, "#findings tbody tr").await,
            "name",
            &theirs["findings"],
            "name",
            1e-2,
        );

        let maps = page.join("models/tasks/gallery/features.safetensors");
        let mut bytes = std::fs::read(&maps).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&maps, &bytes).unwrap();
        let fresh = Browser::start(&setting).await;
        fresh
            .open(&format!("{}?device=cpu&bundle=models/tasks", server.url))
            .await;
        fresh.ready().await;
        fresh.write("#search-text", &format!("{WORDS}\u{e007}")).await;
        fresh.until("#similar", "data-state", &["failed"], LIMIT).await;
        let said = fresh.text("#similar .told").await;
        assert!(
            said.contains("features.safetensors") && said.contains("SHA-256"),
            "{said}"
        );
        fresh.end().await;
        browser.end().await;
    });
}

#[test]
fn a_panel_is_there_only_where_the_bundle_offers_it() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let manifest = std::fs::read(setting.page.join("models/demo/bundle.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let has = |task: &str| {
            manifest["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .any(|name| name == task)
        };
        let gallery = manifest["files"]
            .as_array()
            .unwrap()
            .iter()
            .any(|file| file["path"] == "gallery/cases.json");
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=cpu").await;
        for (panel, offered) in
            PANELS
                .into_iter()
                .zip([has("findings"), has("retrieve") && gallery, has("vqa")])
        {
            let there = browser
                .script(&format!("return document.querySelector({panel:?}) !== null"))
                .await;
            assert_eq!(there, offered, "{panel}");
        }
        browser.end().await;
    });
}

#[test]
fn a_bundle_that_cannot_draft_opens_and_the_page_says_what_it_lacks() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = copied(&setting, dir.path());
        let bundle = page.join("models/findings");
        copy(&page.join("models/demo"), &bundle);
        let manifest = bundle.join("bundle.json");
        let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        value["tasks"] = json!(["findings"]);
        value["provenance"]["data"] = json!("a thousand drawings");
        std::fs::write(&manifest, value.to_string()).unwrap();
        let (_server, browser) = Browser::at(&setting, &page, "device=cpu&bundle=models/findings").await;
        let hidden = "return document.querySelector('#draft').hidden";
        assert_eq!(browser.script(hidden).await, true);
        let said = browser.text("#not-offered").await;
        assert!(
            said.contains("draft reports") && said.contains("answer questions"),
            "{said}"
        );
        let said = browser.text("#disclaimer").await;
        assert!(
            said.contains("a thousand drawings") && said.contains("not for clinical use"),
            "{said}"
        );
        browser.sample("effusion.png").await;
        browser.click("#find").await;
        done(&browser, "#findings").await;
        assert!(!data(&browser, "#findings tbody tr").await.is_empty());
        browser.picture("findings-only-1280.png").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}
