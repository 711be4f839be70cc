//! Where the words of a draft looked: on the page as the command draws it, with the pointer and with the keyboard.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use hilum_browser_tests::{Browser, Server, Setting, run};
use serde_json::{Value, json};

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

/// Moves the pointer to the middle of an element, or to the corner of the window.
async fn point(browser: &Browser, css: Option<&str>) {
    let script = |css: &str| {
        format!(
            "const area = document.querySelector({css:?}).getBoundingClientRect(); return [area.x + area.width / 2, area.y + area.height / 2]"
        )
    };
    let at = match css {
        Some(css) => browser.script(&script(css)).await,
        None => json!([1, 1]),
    };
    let event = json!({ "type": "mouseMoved", "x": at[0], "y": at[1] });
    browser.devtools("Input.dispatchMouseEvent", event).await;
}

/// Presses a key wherever the keyboard is.
async fn press(browser: &Browser, key: &str) {
    for kind in ["keyDown", "keyUp"] {
        let event = json!({ "type": kind, "key": key, "code": key });
        browser.devtools("Input.dispatchKeyEvent", event).await;
    }
}

/// The cell, row by row, in which the map is strongest.
async fn peak(browser: &Browser, side: usize) -> usize {
    let script = "const c = document.querySelector('#heat'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let best = 3; for (let i = 3; i < d.length; i += 4) if (d[i] > d[best]) best = i;
        const at = (best - 3) / 4; return [at % c.width / c.width, Math.floor(at / c.width) / c.height]";
    let found = browser.script(script).await;
    let cell = |at: &Value| (at.as_f64().unwrap() * side as f64) as usize;
    cell(&found[1]) * side + cell(&found[0])
}

/// Whether a map lies over the radiograph.
async fn shown(browser: &Browser) -> bool {
    browser
        .script("return document.querySelector('#heat').checkVisibility()")
        .await
        == true
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
        let server = Server::start(&setting, &setting.page);
        let browser = Browser::start(&setting).await;
        browser.open(&format!("{}?device=cpu", server.url)).await;
        browser.ready().await;
        let hidden = "return document.querySelector('#looked').hidden";
        assert_eq!(browser.script(hidden).await, true);
        browser.sample("effusion.png").await;
        let text = browser.draft(LIMIT).await;
        assert_eq!(browser.attribute("#looks", "data-state").await, "none");

        browser.click("#looked").await;
        browser.until("#looks", "data-state", &["done"], LIMIT).await;
        assert_eq!(browser.attribute("#looked", "aria-pressed").await, "true");
        assert_eq!(browser.text(".words").await, text);
        assert!(!shown(&browser).await);

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
        point(&browser, Some(&css)).await;
        browser.until(&css, "class", &["seen"], LIMIT).await;
        assert!(shown(&browser).await);
        let (panel, ours) = (&theirs[at], peak(&browser, 7).await);
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

        point(&browser, None).await;
        browser.until(&css, "class", &[""], LIMIT).await;
        assert!(!shown(&browser).await);

        // The words stay those of the draft when the text is edited.
        browser.write("#text", " Unchanged.").await;
        assert!(browser.text("#looks .hint").await.contains("changed"));
        assert_eq!(browser.text(".words").await, text);

        // The keyboard goes from word to word; Escape puts them away and goes back to the button.
        browser
            .script(&format!("document.querySelector({css:?}).focus()"))
            .await;
        assert!(shown(&browser).await);
        press(&browser, "ArrowLeft").await;
        browser
            .until(
                &format!(".words button[data-at='{}']", at - 1),
                "class",
                &["seen"],
                LIMIT,
            )
            .await;
        assert!(shown(&browser).await);
        press(&browser, "Escape").await;
        browser.until("#looked", "aria-pressed", &["false"], LIMIT).await;
        assert!(!shown(&browser).await);
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
