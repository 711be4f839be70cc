//! The bundle of films that the page is published with: a film opens it, a phantom stays with the demo.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hilum_browser_tests::{Browser, Setting, run};

const LIMIT: Duration = Duration::from_secs(120);
/// What the page says on the CPU and what the command says: f32 both, in another order of sums.
const APART: f64 = 1e-3;

/// A film of a patient whom training did not see.
fn film() -> Option<PathBuf> {
    let films = std::env::var_os("HILUM_DATA_DIR").map(|dir| Path::new(&dir).join("films"));
    let found = films.and_then(|films| {
        let list = std::fs::read_to_string(films.join("test_list.txt")).ok()?;
        Some(films.join("images").join(list.lines().next()?))
    });
    if found.is_none() {
        println!("SKIPPED: HILUM_DATA_DIR is not set or has no folder `films`");
    }
    found
}

async fn done(browser: &Browser, panel: &str) {
    let state = browser
        .until(panel, "data-state", &["done", "failed"], LIMIT)
        .await;
    assert_eq!(state, "done", "{}", browser.text(panel).await);
}

#[test]
fn a_film_opens_the_bundle_of_films_and_a_phantom_stays_with_the_demo() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=cpu").await;
        browser.sample("effusion.png").await;
        browser.until("main", "data-judged", &["alike"], LIMIT).await;
        assert!(!browser.text("#engine").await.contains("films"));

        let Some(film) = film() else { return };
        browser.choose(&film).await;
        browser.until("main", "data-judged", &["partly"], LIMIT).await;
        browser.click("#structured").await;
        done(&browser, "#findings").await;
        assert_eq!(browser.attribute("#findings .by", "data-by").await, "films");
        // What each finding is worth on films that it has not seen.
        let said = browser.text("#findings").await;
        assert!(
            said.contains("AUC 0.8") && said.contains("no better than chance"),
            "{said}"
        );
        browser.click("#models").await;
        assert!(
            browser
                .text(".model[data-name='films']")
                .await
                .contains("NIH Clinical Center")
        );
        browser.click("#models-close").await;
        browser.size(1280, 1800).await;
        browser.picture("films-1280.png").await;

        // The command finds the same.
        let bundle = setting.page.join("models/films");
        let command = [
            "findings",
            film.to_str().unwrap(),
            "--bundle",
            bundle.to_str().unwrap(),
            "--device",
            "cpu",
        ];
        let theirs = setting.hilum(&command, &[]);
        assert_eq!(theirs["foreign"], false, "{theirs}");
        let rows = browser
            .script(
                "return Object.fromEntries([...document.querySelectorAll('#findings tbody tr')]\
                 .map((row) => [row.dataset.name, Number(row.dataset.probability)]))",
            )
            .await;
        for finding in theirs["findings"].as_array().unwrap() {
            let own = rows[finding["name"].as_str().unwrap()].as_f64().unwrap();
            let apart = (own - finding["probability"].as_f64().unwrap()).abs();
            assert!(apart < APART, "{finding} is {own} in the page");
        }

        browser.click("#search-picture").await;
        done(&browser, "#similar").await;
        assert_eq!(browser.attribute("#similar .by", "data-by").await, "films");
        browser.picture("films-similar-1280.png").await;

        browser.sample("normal.png").await;
        browser.until("main", "data-judged", &["alike"], LIMIT).await;
        browser.click("#find").await;
        done(&browser, "#findings").await;
        assert_eq!(browser.attribute("#findings .by", "data-by").await, "demo");
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}
