//! The page with a classifier's bundle: what its labels are worth, and similar cases without films.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use hilum_browser_tests::{Browser, Setting, copied, run};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(120);

async fn done(browser: &Browser, panel: &str) {
    let state = browser
        .until(panel, "data-state", &["done", "failed"], LIMIT)
        .await;
    assert_eq!(state, "done", "{}", browser.text(panel).await);
}

#[test]
fn a_classifier_finds_similar_cases_without_films_and_says_what_its_labels_are_worth() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let page = copied(&setting, dir.path());
        let (films, finder) = (at("films"), at("page/models/finder"));
        let drawn = "phantom --layout nih14 --size 96 --count 60 --seed 9 --split train --out";
        setting.make(&[&drawn.split(' ').collect::<Vec<_>>()[..], &[&films]].concat());
        std::fs::write(
            at("run.toml"),
            format!(
                "system = \"findings\"\npreset = \"tiny\"\nout = {:?}\n[data]\nroots = [{films:?}]\nall = true\n\
                 [objectives]\nfindings = 1.0\n[optim]\nlr = 1e-3\nbatch = 8\nsteps = 2\n",
                at("run")
            ),
        )
        .unwrap();
        setting.make(&["finetune", &at("run.toml"), "--device", "cpu"]);
        setting.make(&[
            "export",
            "--from",
            &at("run"),
            "--out",
            &finder,
            "--name",
            "finder",
        ]);
        let data = ["--bundle", &finder, "--data", &films];
        setting.make(&[&["gallery", "build", "--no-pictures"], &data[..]].concat());
        let scored = "evaluate --task findings --split all --bootstraps 200 --record phantoms";
        setting.make(&[&scored.split(' ').collect::<Vec<_>>()[..], &data].concat());

        let (_server, browser) = Browser::at(&setting, &page, "device=cpu&bundle=models/finder").await;
        browser.sample("effusion.png").await;
        browser.click("#find").await;
        done(&browser, "#findings").await;
        let said = browser.text("#findings tbody").await;
        assert!(said.contains("AUC 0.") || said.contains("AUC 1."), "{said}");
        browser.click("#search-picture").await;
        done(&browser, "#similar").await;
        let found = browser
            .script(
                "const cases = [...document.querySelectorAll('.case')]; \
                 const form = document.querySelector('#similar form'); \
                 return { closeness: cases.map(c => Number(c.dataset.similarity)), ids: cases.map(c => c.dataset.id), \
                 pictures: document.querySelectorAll('.case canvas').length, words: form.offsetParent !== null }",
            )
            .await;
        assert_eq!((&found["pictures"], &found["words"]), (&json!(0), &json!(false)));
        // The command finds the same.
        let sample = page.join("samples/effusion.png");
        let similar = [
            "similar",
            sample.to_str().unwrap(),
            "--bundle",
            &finder,
            "--device",
            "cpu",
        ];
        let theirs = setting.hilum(&similar, &[]);
        let theirs = theirs["cases"].as_array().unwrap();
        assert_eq!(theirs.len(), found["ids"].as_array().unwrap().len());
        for (case, (id, closeness)) in theirs.iter().zip(
            found["ids"]
                .as_array()
                .unwrap()
                .iter()
                .zip(found["closeness"].as_array().unwrap()),
        ) {
            assert_eq!(&case["id"], id);
            let apart = case["similarity"].as_f64().unwrap() - closeness.as_f64().unwrap();
            assert!(apart.abs() < 1e-2, "{case} is {closeness} in the page");
        }
        browser.picture("similar-codes-1280.png").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}
