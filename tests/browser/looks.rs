//! Where the words of a draft looked: on the page as the command draws it, with the pointer and with the keyboard.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use hilum_browser_tests::{Browser, Setting, run};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(120);
/// A word of the finding that the sample shows.
const WORD: &str = "effusion";

/// A word of the command's picture: its text, its share in percent, and the cells that it draws brightest, row by row.
struct Panel {
    word: String,
    percent: f64,
    peaks: Vec<usize>,
}

fn attribute(element: &str, name: &str) -> f64 {
    let (_, rest) = element.split_once(&format!("{name}=\"")).unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}

/// What `hilum draft --attention` drew.
fn panels(svg: &str) -> Vec<Panel> {
    let panel = |text: &str| {
        let (cells, caption) = text.split_once("<text ").unwrap();
        let (_, caption) = caption.split_once('>').unwrap();
        let (word, share) = caption.split_once(" <tspan").unwrap();
        let percent = share.split_once('>').unwrap().1.split_once('%').unwrap().0;
        let cells: Vec<&str> = cells.split("<rect ").skip(1).collect();
        let most = cells
            .iter()
            .map(|cell| attribute(cell, "opacity"))
            .fold(0.0, f64::max);
        let at = |cell: &&str| {
            let place = |name| (attribute(cell, name) / attribute(cell, "width")).round() as usize;
            let columns = (132.0 / attribute(cell, "width")).round() as usize;
            place("y") * columns + place("x")
        };
        let brightest = cells.iter().filter(|cell| attribute(cell, "opacity") >= most);
        Panel {
            word: word.to_owned(),
            percent: percent.parse().unwrap(),
            peaks: brightest.map(at).collect(),
        }
    };
    svg.split("<g transform=\"translate").skip(1).map(panel).collect()
}

fn drawn(setting: &Setting, picture: &Path, dir: &Path) -> Vec<Panel> {
    let svg = dir.join("looks.svg");
    let bundle = setting.page.join("models/demo");
    let arguments = [
        "draft",
        picture.to_str().unwrap(),
        "--bundle",
        bundle.to_str().unwrap(),
        "--device",
        "cpu",
        "--attention",
        svg.to_str().unwrap(),
    ];
    setting.make(&arguments);
    panels(&std::fs::read_to_string(svg).unwrap())
}

#[test]
fn a_word_under_the_pointer_shows_where_it_looked_as_the_command_draws_it() {
    let Some(setting) = Setting::find() else { return };
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let theirs = drawn(&setting, &setting.page.join("samples/effusion.png"), dir.path());
        let (_server, browser) = Browser::at(&setting, &setting.page, "device=cpu").await;
        let hidden = "return document.querySelector('#looked').hidden";
        assert_eq!(browser.script(hidden).await, true);
        browser.sample("effusion.png").await;
        let text = browser.draft(LIMIT).await;
        assert_eq!(browser.attribute("#looks", "data-state").await, "none");

        browser.click("#looked").await;
        browser.until("#looks", "data-state", &["done"], LIMIT).await;
        assert_eq!(browser.attribute("#looked", "aria-pressed").await, "true");
        assert_eq!(browser.text(".words").await, text);
        assert!(!browser.shows_map().await);

        // The command tells punctuation apart, the page has it with the word before it.
        let words = browser
            .script("return [...document.querySelectorAll('.words button')].map((b) => b.textContent.toLowerCase().replace(/[^a-z]/g, ''))")
            .await;
        let theirs: Vec<Panel> = theirs
            .into_iter()
            .filter(|panel| panel.word.chars().any(char::is_alphanumeric))
            .collect();
        let names: Vec<&str> = theirs.iter().map(|panel| panel.word.as_str()).collect();
        assert_eq!(words, json!(names));

        let at = names.iter().position(|name| *name == WORD).unwrap();
        let css = format!(".words button[data-at='{at}']");
        browser.point(Some(&css)).await;
        browser.until(&css, "class", &["seen"], LIMIT).await;
        assert!(browser.shows_map().await);
        let (panel, ours) = (&theirs[at], browser.peak(7).await);
        assert!(panel.peaks.contains(&ours), "{ours} is not in {:?}", panel.peaks);
        // A pleural effusion on the patient's left is at the right of the picture.
        let told = browser.text("#looks .told").await;
        assert!(told.contains("lower right"), "{told}");
        assert!(told.contains(&format!("{}%", panel.percent)), "{told}");
        browser.picture("looks-1280.png").await;
        browser
            .script("document.querySelectorAll('.viewer button').forEach((b) => b.textContent === 'Invert' && b.click())")
            .await;
        browser.picture("looks-inverted-1280.png").await;

        browser.point(None).await;
        browser.until(&css, "class", &[""], LIMIT).await;
        assert!(!browser.shows_map().await);

        // The words stay those of the draft when the text is edited.
        browser.write("#text", " Unchanged.").await;
        assert!(browser.text("#looks .hint").await.contains("changed"));
        assert_eq!(browser.text(".words").await, text);

        // The keyboard goes from word to word; Escape puts them away and goes back to the button.
        browser
            .script(&format!("document.querySelector({css:?}).focus()"))
            .await;
        assert!(browser.shows_map().await);
        browser.press("ArrowLeft").await;
        browser
            .until(
                &format!(".words button[data-at='{}']", at - 1),
                "class",
                &["seen"],
                LIMIT,
            )
            .await;
        assert!(browser.shows_map().await);
        browser.press("Escape").await;
        browser.until("#looked", "aria-pressed", &["false"], LIMIT).await;
        assert!(!browser.shows_map().await);
        assert_eq!(browser.script("return document.activeElement.id").await, "looked");
        // What the engine said is kept.
        assert_eq!(browser.attribute("#looks", "data-state").await, "done");

        browser.click("#looked").await;
        browser.size(390, 844).await;
        browser
            .script(&format!("document.querySelector({css:?}).focus(); document.querySelector('#looks').scrollIntoView({{ block: 'end' }})"))
            .await;
        browser.picture("looks-390.png").await;
        browser.size(1280, 860).await;

        // Another radiograph has no words yet.
        browser.sample("normal.png").await;
        assert_eq!(browser.script(hidden).await, true);
        assert_eq!(browser.attribute("#looks", "data-state").await, "none");
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.end().await;
    });
}
