//! The report from findings on the page: lines that say what the findings say, flips that change the text, and a text edited by
//! hand that stays.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests run natively and have a clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use hilum_browser_tests::{Browser, Server, Setting, copied, copy, run};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
/// Keys as WebDriver sends them.
const DOWN: &str = "\u{e015}";

/// The form's lines.
async fn lines(browser: &Browser) -> Vec<Value> {
    let script = "return [...document.querySelectorAll('.entry')].map((e) => ({ ...e.dataset, state: ['present', 'absent', 'open'].find((s) => e.classList.contains(s)), touched: e.classList.contains('touched') }))";
    browser.script(script).await.as_array().unwrap().clone()
}

fn named<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    lines.iter().find(|line| line["line"] == name).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

/// Presses Structured and waits until the form is there.
async fn fill(browser: &Browser) {
    browser.click("#structured").await;
    filled(browser).await;
}

async fn filled(browser: &Browser) {
    browser
        .until("#findings", "data-state", &["done", "failed"], LIMIT)
        .await;
    let began = Instant::now();
    while browser
        .script("return document.querySelector('#form').hidden")
        .await
        == true
    {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "no form: {}",
            browser.text("#outcome").await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn saved(browser: &Browser, file: &Path) -> String {
    let _ = std::fs::remove_file(file);
    browser.click("#download").await;
    let began = Instant::now();
    while !file.is_file() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "nothing was downloaded"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::read_to_string(file).unwrap()
}

async fn hidden(browser: &Browser, css: &str) -> bool {
    let script = format!("return document.querySelector({css:?}).closest('[hidden]') !== null");
    browser.script(&script).await == true
}

#[test]
fn a_form_is_filled_in_and_never_writes_over_the_reader() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&setting, &setting.page);
        let browser = Browser::start(&setting).await;
        let to = json!({ "behavior": "allow", "downloadPath": dir.path() });
        browser.devtools("Browser.setDownloadBehavior", to).await;
        browser.open(&format!("{}?device=cpu", server.url)).await;
        browser.ready().await;
        browser.sample("effusion.png").await;
        let draft = browser.draft(LIMIT).await;
        fill(&browser).await;

        // Each line says what its finding says, and the sentences what the lines say.
        let form = lines(&browser).await;
        let script = "return [...document.querySelectorAll('#findings tbody tr')].map((e) => e.dataset)";
        let findings = browser.script(script).await;
        assert_eq!(form.len(), 13, "{form:?}");
        for line in &form {
            let twin = |row: &&Value| row["name"] == line["label"];
            let finding = findings.as_array().unwrap().iter().find(twin);
            let finding = finding.unwrap_or_else(|| panic!("{line} is in no row of {findings}"));
            let state = match (finding["present"] == "true", number(&finding["probability"])) {
                (true, _) => "present",
                (false, p) if p <= 0.01 => "absent",
                // Where the thresholds lie is the unit tests' to tell.
                _ => continue,
            };
            assert_eq!(line["state"], state, "{line} and {finding}");
        }
        assert_eq!(named(&form, "Pleural effusion")["state"], "present");
        assert!(form.iter().all(|line| line["touched"] == false));
        let first = browser.report().await;
        assert!(
            first.contains("pleural effusion.") && first.contains("Heart and mediastinum: "),
            "{first}"
        );
        let outcome = browser.text("#outcome").await;
        assert!(
            outcome.contains("present") && outcome.contains("left open"),
            "{outcome}"
        );
        assert!(hidden(&browser, "#rewrite").await);
        browser.picture("structured-1280.png").await;
        browser.size(1280, 1100).await;
        browser.picture("structured-1280-1100.png").await;

        // One tap flips a line.
        browser
            .click("[data-line='Fracture'] [aria-label='Present']")
            .await;
        let text = browser.report().await;
        assert!(text.contains("Bones: There is a fracture."), "{text}");
        browser.click("[data-line='Fracture'] [aria-label='Right']").await;
        let text = browser.report().await;
        assert!(
            text.contains("Bones: There is a fracture on the right."),
            "{text}"
        );
        assert_eq!(named(&lines(&browser).await, "Fracture")["touched"], true);
        // Keys do, too: O clears, an arrow goes to the next line, P states it.
        browser
            .write(
                "[data-line='Fracture'] [aria-label='Present']",
                &format!("o{DOWN}"),
            )
            .await;
        let at = "return document.activeElement.closest('.entry').dataset.line";
        assert_eq!(browser.script(at).await, "Support devices");
        browser
            .write("[data-line='Support devices'] [aria-pressed='true']", "p")
            .await;
        let text = browser.report().await;
        assert!(
            !text.contains("Bones:") && text.contains("Devices: Support devices are in place."),
            "{text}"
        );

        // What the reader writes by hand stays, whatever the lines say then.
        browser.write("#text", " Compared with the prior film.").await;
        assert!(!hidden(&browser, "#rewrite").await);
        browser
            .click("[data-line='Fracture'] [aria-label='Absent']")
            .await;
        browser.click("#find").await;
        browser.until("#findings", "data-state", &["done"], LIMIT).await;
        let edited = browser.report().await;
        assert!(
            edited.ends_with(" Compared with the prior film.") && !edited.contains("fracture"),
            "{edited}"
        );
        browser.size(1280, 1100).await;
        browser.picture("structured-edited-1280.png").await;
        let file = dir.path().join("report-draft.txt");
        let text = saved(&browser, &file).await;
        for part in [
            edited.as_str(),
            "Prefilled by Hilum from findings of demo (medvill), bundle SHA-256 ",
            "not for clinical use",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }

        // The form writes anew when it is asked to, and there is a way back. What was touched is still as it was set.
        browser.click("#rewrite").await;
        let text = browser.report().await;
        assert!(
            text.contains("Bones: No fracture.") && !text.contains("prior film"),
            "{text}"
        );
        browser.click("#restore").await;
        assert_eq!(browser.report().await, edited);
        browser.click("#restore").await;
        assert_eq!(browser.report().await, text);
        browser
            .click("[data-line='Fracture'] [aria-label='Left open']")
            .await;
        assert!(!browser.report().await.contains("fracture"));

        browser.size(390, 1800).await;
        let wide = browser
            .script("return document.documentElement.scrollWidth")
            .await;
        assert!(
            wide.as_u64().unwrap() <= 390,
            "the page is {wide} px wide in a window of 390"
        );
        browser.picture("structured-390.png").await;
        browser.size(1280, 860).await;

        // A draft takes the editor and says so where it goes; the form comes back as it was.
        assert_eq!(browser.draft(LIMIT).await, draft);
        assert!(hidden(&browser, "#form .region").await);
        assert!(
            saved(&browser, &file)
                .await
                .contains("Drafted by Hilum with demo")
        );
        browser.click("#structured").await;
        assert!(
            browser
                .report()
                .await
                .contains("Devices: Support devices are in place.")
        );

        // Another picture has another form.
        browser.sample("normal.png").await;
        assert!(lines(&browser).await.is_empty() && browser.report().await.is_empty());
        fill(&browser).await;
        assert!(lines(&browser).await.iter().all(|line| line["touched"] == false));
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}

#[test]
fn a_bundle_that_only_reads_findings_has_a_form() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let page = copied(&setting, dir.path());
        let bundle = page.join("models/findings");
        copy(&page.join("models/demo"), &bundle);
        let manifest = bundle.join("bundle.json");
        let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        value["tasks"] = json!(["findings"]);
        std::fs::write(&manifest, value.to_string()).unwrap();
        let (_server, browser) = Browser::at(&setting, &page, "device=cpu&bundle=models/findings").await;
        let off = "return document.querySelector('#structured').disabled";
        assert_eq!(browser.script(off).await, true);
        browser.sample("effusion.png").await;
        // What is written while the findings are on their way stays, too.
        browser
            .script(
                "document.querySelector('#structured').click(); const text = document.querySelector('#text');
                text.value = 'Supine.'; text.dispatchEvent(new Event('input', { bubbles: true }))",
            )
            .await;
        filled(&browser).await;
        assert_eq!(browser.report().await, "Supine.");
        browser.click("#rewrite").await;
        browser.picture("structured-findings-only-1280.png").await;
        // It is what the command writes.
        let picture = page.join("samples/effusion.png");
        let shell = [
            "draft",
            picture.to_str().unwrap(),
            "--device",
            "cpu",
            "--bundle",
            bundle.to_str().unwrap(),
        ];
        let shell = setting.hilum(&shell, &[]);
        assert_eq!(shell["made"], "structured");
        assert_eq!(browser.report().await, shell["text"].as_str().unwrap());
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}
