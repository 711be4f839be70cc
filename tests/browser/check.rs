//! A report checked on the page: by a bundle that is loaded when it is first asked, against the command on the same picture and report;
//! its marks answered by keyboard and pointer.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hilum_browser_tests::{Browser, Setting, copied, copy, publish, run};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
/// What the page says on the CPU and what the command says: f32 both, in another order of sums.
const APART: f64 = 1e-3;
/// Letters of more than a byte come before, between and behind what may be marked.
const REPORT: &str = "Prüfung — large left pleural effusion. The “right” lung is clear.\nNo pneumothorax.\nNäheres: left rib fracture.";

/// Trains a tiny bundle that checks, on phantoms, for so few steps that it doubts what is right.
fn bundle(setting: &Setting, dir: &Path) -> PathBuf {
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let drawn = "phantom --layout openi --size 64 --count 60 --seed 3 --out";
    setting.make(&[&drawn.split(' ').collect::<Vec<_>>()[..], &[&at("data")]].concat());
    let text = format!(
        "system = \"xvl\"\npreset = \"tiny\"\nout = {:?}\nseed = 1\ncheckpoint_every = 100\nvalidate = []\n\
         [model]\nbert.vocabulary = 400\nbert.positions = 100\nmax_tokens = 60\n\
         [data]\nroots = [{:?}]\n\
         [objectives]\ncontrast = 1.0\nitm = 1.0\nmlm = 1.0\n\
         [optim]\nlr = 1e-3\nsteps = 40\nema = 0.9\nbatch = 8\n",
        at("run"),
        at("data")
    );
    std::fs::write(at("run.toml"), text).unwrap();
    setting.make(&["pretrain", &at("run.toml"), "--device", "cpu"]);
    setting.make(&[
        "export",
        "--from",
        &at("run"),
        "--out",
        &at("check"),
        "--device",
        "cpu",
    ]);
    dir.join("check")
}

/// Has a bundle mark all sides and the most doubtful words; between what is marked and what is not there is room for other sums.
fn mark(bundle: &Path, checked: &Value) {
    let doubts = checked["words"].as_array().unwrap().iter();
    let mut doubts: Vec<f64> = doubts.filter_map(|word| word["doubt"].as_f64()).collect();
    doubts.sort_by(|a, b| b.total_cmp(a));
    let gap = |at: &usize| ((doubts[*at] - doubts[at + 1]) * 1e6) as u64;
    let at = (2..6).max_by_key(gap).unwrap();
    let path = bundle.join("bundle.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let word = (doubts[at] + doubts[at + 1]) / 2.0;
    manifest["check"] =
        json!({ "matching": 0.1, "side": -100.0, "word": word, "sentence": 100.0, "finding": 100.0 });
    std::fs::write(&path, manifest.to_string()).unwrap();
}

/// The page, published with the demo and a bundle that checks, of which it asks nothing else.
fn page_with(setting: &Setting, dir: &Path, bundle: &Path) -> PathBuf {
    let page = copied(setting, dir);
    copy(bundle, &page.join("models/check"));
    publish(&page, &["demo", "check"]);
    let index = page.join("index.html");
    let html = std::fs::read_to_string(&index).unwrap();
    let manifest = std::fs::read(bundle.join("bundle.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let own = |tasks: &Value| format!("\"tasks\":{tasks}").replace('"', "&quot;");
    let all = own(&manifest["tasks"]);
    let only = html.replace(&all, &own(&json!(["check"])));
    assert!(html.contains(&all) && !only.contains(&all));
    std::fs::write(&index, only).unwrap();
    page
}

async fn done(browser: &Browser) {
    let state = browser
        .until("#checking", "data-state", &["done", "failed"], LIMIT)
        .await;
    assert_eq!(state, "done", "{}", browser.text("#checking").await);
}

/// The marks of the list: what is written, from where to where in bytes, and what is proposed.
async fn marks(browser: &Browser) -> Vec<Value> {
    let script = "return [...document.querySelectorAll('#check-marks li')].map((e) => ({ \
        doubt: e.dataset.doubt, start: Number(e.dataset.start), end: Number(e.dataset.end), \
        proposal: e.dataset.proposal ?? null, written: e.querySelector('q').textContent }))";
    browser.script(script).await.as_array().unwrap().clone()
}

async fn value(browser: &Browser) -> String {
    let value = browser
        .script("return document.querySelector('#check-text').value")
        .await;
    value.as_str().unwrap().to_owned()
}

/// The mark that has the keyboard.
async fn focused(browser: &Browser) -> Value {
    browser
        .script("return document.activeElement.closest('#check-marks li')?.dataset.at ?? null")
        .await
}

async fn hidden(browser: &Browser, css: &str) -> bool {
    let script = format!("return !document.querySelector({css:?}).checkVisibility()");
    browser.script(&script).await == true
}

/// Presses a key where the keyboard is.
async fn key(browser: &Browser, key: &str) {
    let script = format!(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: {key:?}, bubbles: true, cancelable: true }}))"
    );
    browser.script(&script).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// A report with what a mark proposes in the place of its span.
fn accepted(report: &str, mark: &Value) -> String {
    let place = |name: &str| usize::try_from(mark[name].as_u64().unwrap()).unwrap();
    let (start, end) = (place("start"), place("end"));
    [
        &report[..start],
        mark["proposal"].as_str().unwrap(),
        &report[end..],
    ]
    .concat()
}

/// Both texts without the blanks, of which a sentence takes some with it.
fn same(ours: &str, theirs: &str) {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(plain(ours), plain(theirs));
}

#[test]
fn a_report_is_checked_as_the_command_does_and_its_marks_are_answered() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let bundle = bundle(&setting, dir.path());
        let file = dir.path().join("report.txt");
        std::fs::write(&file, REPORT).unwrap();
        let picture = setting.page.join("samples/effusion.png");
        let command = [
            "check",
            picture.to_str().unwrap(),
            file.to_str().unwrap(),
            "--bundle",
            bundle.to_str().unwrap(),
            "--device",
            "cpu",
        ];
        mark(&bundle, &setting.hilum(&command, &[]));
        let theirs = setting.hilum(&command, &[]);
        let page = page_with(&setting, dir.path(), &bundle);

        let (_server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        // Nothing of the bundle has come before it is asked.
        let fetched = "return performance.getEntriesByType('resource').filter((e) => e.name.includes('models/check')).length";
        assert_eq!(browser.script(fetched).await, 0);
        assert!(!browser.text("#engine").await.contains("check"));
        assert!(browser.text("#checking").await.contains("MB) is loaded when"));
        let disabled = "return document.querySelector('#check').disabled";
        assert_eq!(browser.script(disabled).await, true);
        browser.sample("effusion.png").await;
        // Without a report there is nothing to check.
        assert_eq!(browser.script(disabled).await, true);
        browser.write("#check-text", " ").await;
        assert_eq!(browser.script(disabled).await, true);

        // What is no text is said, and leaves what is there; a text takes its place, with Windows' ends of lines and its mark of UTF-8.
        let odd = dir.path().join("odd.txt");
        std::fs::write(&odd, [0xff, 0xfe, 0x00]).unwrap();
        browser.write("#check-file", odd.to_str().unwrap()).await;
        browser.until_says("#check-note", "UTF-8").await;
        assert_eq!(value(&browser).await, " ");
        std::fs::write(&odd, format!("\u{feff}{}", REPORT.replace('\n', "\r\n"))).unwrap();
        browser.write("#check-file", odd.to_str().unwrap()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(value(&browser).await, REPORT);

        browser.click("#check").await;
        done(&browser).await;
        assert_eq!(browser.attribute("#checking .by", "data-by").await, "check");
        let matching: f64 = browser
            .attribute("#checking", "data-match")
            .await
            .parse()
            .unwrap();
        let apart = (matching - theirs["matching"].as_f64().unwrap()).abs();
        assert!(apart < APART, "{matching} is not {}", theirs["matching"]);
        let exchanged: f64 = browser
            .attribute("#checking", "data-exchanged")
            .await
            .parse()
            .unwrap();
        assert!((exchanged - theirs["exchanged"].as_f64().unwrap()).abs() < APART);
        let said = browser.text("#check-told").await;
        assert!(said.contains("this radiograph (operating point"), "{said}");
        let ours = marks(&browser).await;
        let wanted = theirs["marks"].as_array().unwrap();
        assert!(wanted.len() > 2, "too few to answer: {theirs}");
        assert_eq!(ours.len(), wanted.len(), "{ours:?} {wanted:?}");
        for (own, mark) in ours.iter().zip(wanted) {
            for name in ["doubt", "start", "end", "proposal"] {
                assert_eq!(own[name], mark[name], "{ours:?} {wanted:?}");
            }
            let place = |name: &str| usize::try_from(mark[name].as_u64().unwrap()).unwrap();
            assert_eq!(own["written"], REPORT[place("start")..place("end")]);
        }
        // The text is the report, and as much of it is marked.
        assert_eq!(browser.text("#check-marked").await, REPORT);
        let count = browser
            .script("return document.querySelectorAll('#check-marked mark').length")
            .await;
        assert_eq!(count, ours.len());
        browser.size(1280, 1800).await;
        browser.picture("check-1280.png").await;
        browser.size(390, 3000).await;
        browser.picture("check-390.png").await;
        browser.size(1280, 860).await;

        // The keyboard is at the first mark; what is kept changes nothing, what is accepted takes its place.
        assert_eq!(focused(&browser).await, "0");
        key(&browser, "ArrowDown").await;
        assert_eq!(focused(&browser).await, "1");
        key(&browser, "k").await;
        assert_eq!(value(&browser).await, REPORT);
        assert_eq!(marks(&browser).await.len(), ours.len() - 1);
        assert_eq!(focused(&browser).await, "1");
        key(&browser, "ArrowUp").await;
        key(&browser, "a").await;
        same(&value(&browser).await, &accepted(REPORT, &ours[0]));
        assert_eq!(focused(&browser).await, "0");
        // The others have moved along.
        let text = value(&browser).await;
        for mark in marks(&browser).await {
            let place = |name: &str| usize::try_from(mark[name].as_u64().unwrap()).unwrap();
            assert_eq!(mark["written"], text[place("start")..place("end")]);
        }
        let next = marks(&browser).await[0].clone();
        browser.click("#check-marks li .accept").await;
        same(&value(&browser).await, &accepted(&text, &next));
        browser.click("#check-undo").await;
        assert_eq!(value(&browser).await, text);

        // A change by hand makes it stale; the same text again is not.
        assert!(hidden(&browser, "#check-stale").await);
        browser.write("#check-text", "x").await;
        assert!(!hidden(&browser, "#check-stale").await);
        assert_eq!(
            browser
                .script("return document.querySelector('#checked').inert")
                .await,
            true
        );
        browser.write("#check-text", "\u{e003}").await;
        assert!(hidden(&browser, "#check-stale").await);

        // The bundle answers nothing else; the reader's own text can be checked; what is no report is refused in words.
        browser.click("#search-picture").await;
        browser
            .until("#similar", "data-state", &["done", "failed"], LIMIT)
            .await;
        assert_eq!(browser.attribute("#similar .by", "data-by").await, "demo");
        browser
            .write(
                "#text",
                "Knee, two views. No fracture of the femur, tibia or patella.",
            )
            .await;
        browser.click("#check-own").await;
        browser.click("#check").await;
        browser.until("#checking", "data-state", &["failed"], LIMIT).await;
        assert!(browser.text("#checking").await.contains("knee"));
        browser.click("#check-restore").await;
        assert_eq!(value(&browser).await, text);

        // Another picture: the result goes, the report stays.
        browser.click("#check").await;
        done(&browser).await;
        browser.sample("normal.png").await;
        assert_eq!(browser.attribute("#checking", "data-state").await, "none");
        assert!(hidden(&browser, "#checked").await);
        assert_eq!(value(&browser).await, text);
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

#[test]
fn a_mark_that_is_pointed_at_shows_where_the_model_looked_for_it() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=cpu").await;
        browser.sample("effusion.png").await;
        let text = "Findings: Large right pleural effusion. The heart is markedly enlarged.";
        browser.write("#check-text", text).await;
        browser.click("#check").await;
        done(&browser).await;
        // The keyboard is at the first mark by itself: that shows nothing. The pointer may be at one, since the panel was scrolled.
        browser.point(None).await;
        browser.until_says("#check-looked", "Point at").await;
        assert_eq!(focused(&browser).await, "0");
        assert!(!browser.shows_map().await);
        let mut peaks = Vec::new();
        for css in ["#check-marked mark[data-at='0']", "#check-marks li[data-at='0']"] {
            browser.point(Some(css)).await;
            // The effusion is the patient's left one, at the right of the picture.
            browser
                .until_says("#check-looked", "“right”: strongest at the lower right")
                .await;
            assert!(browser.shows_map().await, "{css}");
            let mark = browser.attribute("#check-marked [data-at='0']", "class").await;
            assert_eq!(mark, "seen", "{css}");
            peaks.push(browser.peak(4).await);
            browser.picture("check-map-1280.png").await;
            browser.point(None).await;
            browser.until_says("#check-looked", "Point at").await;
            assert!(!browser.shows_map().await, "{css}");
        }
        assert_eq!(peaks[0], peaks[1]);
        // The keys that go from mark to mark show theirs; what takes the mark, the text or the picture away takes the map.
        let by_key = async || {
            browser
                .script("document.querySelector('#check-marks li').focus()")
                .await;
            browser.press("ArrowDown").await;
            browser.until_says("#check-looked", "strongest at the").await;
            assert!(browser.shows_map().await);
        };
        by_key().await;
        browser.press("k").await;
        browser.until_says("#check-looked", "“right”").await;
        assert!(browser.shows_map().await);
        browser.click("#check-undo").await;
        by_key().await;
        browser.write("#check-text", "x").await;
        assert!(!browser.shows_map().await);
        browser.write("#check-text", "\u{e003}").await;
        by_key().await;
        browser.sample("normal.png").await;
        assert!(!browser.shows_map().await);
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

/// A structured report (DICOM, implicit little endian): nodes of its tree, each a kind, a name and what it says or holds.
struct Node<'a>(&'a str, &'a str, &'a str, &'a [Node<'a>]);

fn element(tag: u32, value: &[u8]) -> Vec<u8> {
    let mut out = [((tag >> 16) as u16).to_le_bytes(), (tag as u16).to_le_bytes()].concat();
    let padded = value.len().next_multiple_of(2);
    out.extend((padded as u32).to_le_bytes());
    out.extend(value);
    out.resize(8 + padded, b' ');
    out
}

fn nodes(all: &[Node]) -> Vec<u8> {
    let item = |Node(kind, name, text, children): &Node| {
        let name = element(0xfffe_e000, &element(0x0008_0104, name.as_bytes()));
        let all = [
            element(0x0040_a010, b"CONTAINS"),
            element(0x0040_a040, kind.as_bytes()),
            element(0x0040_a043, &name),
            element(0x0040_a160, text.as_bytes()),
            nodes(children),
        ];
        element(0xfffe_e000, &all.concat())
    };
    element(0x0040_a730, &all.iter().flat_map(item).collect::<Vec<_>>())
}

fn structured(tree: &[Node]) -> Vec<u8> {
    let class = b"1.2.840.10008.5.1.4.1.1.88.11";
    let set = [element(0x0008_0005, b"ISO_IR 192"), element(0x0008_0016, class)];
    [set.concat(), nodes(tree)].concat()
}

#[test]
fn a_structured_report_is_taken_for_its_text_wherever_it_is_brought() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=cpu").await;
        browser.sample("effusion.png").await;
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let text = Node("TEXT", "Finding", "Große left pleural effusion.", &[]);
        let number = Node("NUM", "Diameter", "", &[]);
        let bytes = structured(&[
            Node("CONTAINER", "Findings", "", &[text, number]),
            Node(
                "CONTAINER",
                "Impression",
                "",
                &[Node("TEXT", "Impression", "Effusion.", &[])],
            ),
        ]);
        let report = file("report.dcm", &bytes);
        let wanted = "Findings:\nGroße left pleural effusion.\n\nImpression:\nEffusion.";
        browser.write("#check-file", report.to_str().unwrap()).await;
        browser
            .until_says("#check-note", "1 measurement or code was left out")
            .await;
        assert_eq!(value(&browser).await, wanted);

        // What has no text, and what is cut short, is said, and nothing is lost.
        let numbers = file("numbers.dcm", &structured(&[Node("NUM", "Diameter", "", &[])]));
        browser.write("#check-file", numbers.to_str().unwrap()).await;
        browser
            .until_says("#check-note", "measurements and codes alone")
            .await;
        browser
            .write("#check-file", file("cut.dcm", &bytes[..150]).to_str().unwrap())
            .await;
        browser.until_says("#check-note", "cut short").await;
        assert_eq!(value(&browser).await, wanted);

        // Where a radiograph is expected it is told from one: the radiograph stays, and what was in the box can be brought back.
        browser.write("#check-text", " Mine.").await;
        browser.bring(&report, "drop").await;
        browser
            .until_says("#notice", "is a report, not a radiograph")
            .await;
        browser.until_says("#check-note", "left out").await;
        assert_eq!(value(&browser).await, wanted);
        assert_eq!(browser.attribute("main", "data-picture").await, "read");
        browser.click("#check-restore").await;
        assert_eq!(value(&browser).await, format!("{wanted} Mine."));

        // The command reads the same of it.
        browser.click("#check-restore").await;
        browser.click("#check").await;
        done(&browser).await;
        let (picture, bundle) = (
            setting.page.join("samples/effusion.png"),
            setting.page.join("models/check"),
        );
        let [picture, report, bundle] = [&picture, &report, &bundle].map(|path| path.to_str().unwrap());
        let theirs = setting.hilum(
            &["check", picture, report, "--bundle", bundle, "--device", "cpu"],
            &[],
        );
        assert_eq!(theirs["report"], wanted);
        assert!(
            theirs["notes"][0].as_str().unwrap().contains("left out"),
            "{theirs}"
        );
        // Headings are nothing to a model.
        let plain = file("plain.txt", "Große left pleural effusion. Effusion.".as_bytes());
        let plain = setting.hilum(
            &[
                "check",
                picture,
                plain.to_str().unwrap(),
                "--bundle",
                bundle,
                "--device",
                "cpu",
            ],
            &[],
        );
        assert_eq!(theirs["matching"], plain["matching"]);
        assert_eq!(theirs["words"].as_array().unwrap().len(), 5);
        let matching: f64 = browser
            .attribute("#checking", "data-match")
            .await
            .parse()
            .unwrap();
        assert!((matching - theirs["matching"].as_f64().unwrap()).abs() < APART);
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

#[test]
fn without_a_bundle_that_checks_there_is_no_panel() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = copied(&setting, dir.path());
        publish(&page, &["demo"]);
        let (_server, browser) = Browser::at(&setting, &page, "device=cpu").await;
        let there = "return document.querySelector('#checking') !== null";
        assert_eq!(browser.script(there).await, false);
        assert!(browser.text("#not-offered").await.contains("check reports"));
        browser.end().await;
    });
}
