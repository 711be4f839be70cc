//! What the browser tests stand on: the page's server, the browser's driver, the command.
//!
//! Three variables name what is tested; `cargo xtask test` sets them: `HILUM_BIN` (the command),
//! `HILUM_PAGE_DIR` (the built page), `HILUM_CHROMEDRIVER`. `HILUM_SCREENSHOTS`, where it is set, is a folder
//! for pictures of the page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may unwrap: its panic is its message"
)]
#![allow(clippy::disallowed_methods, reason = "tests run natively and have a clock")]

use std::fmt::Debug;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

mod pages;

pub use pages::{copied, copy, publish, sha256, with_program};

/// What is tested, or nothing, said in words, where it was not built.
pub struct Setting {
    /// The command.
    pub command: PathBuf,
    /// The built page.
    pub page: PathBuf,
    chromedriver: PathBuf,
}

impl Setting {
    /// From the variables.
    pub fn find() -> Option<Self> {
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let found = path("HILUM_BIN")
            .zip(path("HILUM_PAGE_DIR"))
            .zip(path("HILUM_CHROMEDRIVER"));
        if found.is_none() {
            println!(
                "SKIPPED: HILUM_BIN, HILUM_PAGE_DIR and HILUM_CHROMEDRIVER are not all set; `cargo xtask test` sets them"
            );
        }
        found.map(|((command, page), chromedriver)| Self {
            command,
            page,
            chromedriver,
        })
    }

    /// Runs the command for what it writes.
    pub fn make(&self, arguments: &[&str]) {
        let output = Command::new(&self.command)
            .args(arguments)
            .output()
            .expect("the command runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The command's JSON answer.
    pub fn hilum(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Value {
        let output = Command::new(&self.command)
            .args(arguments)
            .arg("--json")
            .envs(variables.iter().copied())
            .output();
        let output = output.expect("the command runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("the command speaks JSON")
    }
}

/// A program that ends with its owner.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program and reads its output until `found` finds what it looks for.
fn start<T>(command: &mut Command, found: impl Fn(&str) -> Option<T>) -> (Program, T) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    let program = Program(child);
    for line in lines.map_while(Result::ok) {
        if let Some(value) = found(&line) {
            return (program, value);
        }
    }
    panic!("{command:?} ended before it said where it listens");
}

/// `hilum serve` over a folder.
pub struct Server {
    _program: Program,
    /// Its address, with a closing slash.
    pub url: String,
}

impl Server {
    /// Serves `dir`.
    pub fn start(setting: &Setting, dir: &Path) -> Self {
        let mut command = Command::new(&setting.command);
        command.args(["serve", "--port", "0", "--json", "--dir"]).arg(dir);
        let (program, url) = start(&mut command, |line| {
            serde_json::from_str::<Value>(line)
                .ok()
                .and_then(|v| Some(v.get("url")?.as_str()?.to_owned()))
        });
        Self {
            _program: program,
            url,
        }
    }
}

/// A command of the driver that the library does not name.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// A line of the console.
pub struct Told {
    /// Whether it is a warning or an error.
    pub grave: bool,
    /// What it says.
    pub words: String,
}

/// Headless Chromium with the page, and all that a test asks of it.
pub struct Browser {
    client: Client,
    _driver: Program,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A fresh browser with an empty profile; WebGPU on its own software adapter.
    pub async fn start(setting: &Setting) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut command = Command::new(&setting.chromedriver);
        let (driver, port) = start(command.arg("--port=0"), |line| {
            let port = line.split_once("started successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--enable-unsafe-webgpu".to_owned(),
            "--use-webgpu-adapter=swiftshader".to_owned(),
            "--window-size=1280,860".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), json!({ "args": arguments }));
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("the browser starts");
        Self {
            client,
            _driver: driver,
            _profile: profile,
        }
    }

    /// A page, served, in a fresh browser, its engine ready; `asked` is what its address asks for, as `device=cpu`.
    pub async fn at(setting: &Setting, page: &Path, asked: &str) -> (Server, Self) {
        let server = Server::start(setting, page);
        let browser = Self::start(setting).await;
        browser.open(&format!("{}?{asked}", server.url)).await;
        browser.ready().await;
        (server, browser)
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page opens");
    }

    /// Runs a script in the page.
    pub async fn script(&self, script: &str) -> Value {
        self.client
            .execute(script, Vec::new())
            .await
            .expect("the script runs")
    }

    /// An attribute of the first element that `css` finds; empty where there is none.
    pub async fn attribute(&self, css: &str, name: &str) -> String {
        let script = format!("return document.querySelector({css:?})?.getAttribute({name:?}) ?? ''");
        self.script(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// The text of the first element that `css` finds, whether it can be seen or not.
    pub async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({css:?})?.textContent ?? ''");
        self.script(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// The report in the editor.
    pub async fn report(&self) -> String {
        self.script("return document.querySelector('#text')?.value ?? ''")
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until an attribute has a value; where `limit` passes, the page's own words are the panic's
    /// message.
    pub async fn until(&self, css: &str, name: &str, wanted: &[&str], limit: Duration) -> String {
        let began = Instant::now();
        loop {
            let value = self.attribute(css, name).await;
            if wanted.contains(&value.as_str()) {
                return value;
            }
            if began.elapsed() > limit {
                let page = self.script("return document.body.innerText").await;
                let log = self.complaints().await;
                panic!(
                    "{css} {name} is {value:?}, not one of {wanted:?}, after {limit:?}; the page says: {page}; console: {log:?}"
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until an element's text has a part.
    pub async fn until_says(&self, css: &str, part: &str) {
        let began = Instant::now();
        while !self.text(css).await.contains(part) {
            let said = self.text(css).await;
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "{css}: {said:?}, not {part:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the engine is ready.
    pub async fn ready(&self) {
        self.until("main", "data-engine", &["ready"], Duration::from_secs(180))
            .await;
    }

    /// Gives the page a file, as a reader who chooses one.
    pub async fn choose(&self, file: &Path) {
        self.write("#file", file.to_str().expect("a path of text")).await;
    }

    /// Gives the page a folder with a bundle, as a reader who chooses one.
    pub async fn choose_folder(&self, folder: &Path) {
        self.write("#folder", folder.to_str().expect("a path of text"))
            .await;
    }

    /// Drops a file on the page, or pastes it: `event` is `drop` or `paste`.
    pub async fn bring(&self, file: &Path, event: &str) {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let bytes = std::fs::read(file).expect("the file can be read");
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let script = "const [name, hex, kind] = arguments, data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(hex.match(/../g) ?? [], (h) => parseInt(h, 16))], name));
            const all = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
            const event = kind === 'drop' ? new DragEvent(kind, all) : new ClipboardEvent(kind, all);
            document.querySelector('main').dispatchEvent(event);
            return event.defaultPrevented";
        let taken = self
            .client
            .execute(script, vec![name.into(), hex.into(), event.into()])
            .await;
        assert_eq!(
            taken.expect("the script runs"),
            true,
            "the page did not take what was brought by {event}"
        );
    }

    /// Opens one of the page's samples.
    pub async fn sample(&self, file: &str) {
        self.click(&format!("[data-sample='{file}']")).await;
        self.until("main", "data-picture", &["read"], Duration::from_secs(30))
            .await;
    }

    /// Clicks.
    pub async fn click(&self, css: &str) {
        let element = self.client.find(Locator::Css(css)).await.expect("it is there");
        element.click().await.expect("it can be clicked");
    }

    /// Types into a field.
    pub async fn write(&self, css: &str, text: &str) {
        let field = self.client.find(Locator::Css(css)).await.expect("it is there");
        field.send_keys(text).await.expect("it takes keys");
    }

    /// Drafts the picture on the desk and waits for the end.
    pub async fn draft(&self, limit: Duration) -> String {
        self.click("#draft").await;
        self.until(".report", "data-draft", &["done", "failed"], limit)
            .await;
        self.report().await
    }

    /// What the console was told since the last look at it.
    pub async fn console(&self) -> Vec<Told> {
        let log = self
            .client
            .issue_cmd(Own {
                path: "se/log",
                body: json!({ "type": "browser" }),
            })
            .await;
        let entries = log.expect("the console can be read");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let grave = |e: &Value| e["level"] == "SEVERE" || e["level"] == "WARNING";
        entries
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| Told {
                grave: grave(e),
                words: text(&e["message"]),
            })
            .collect()
    }

    /// Its warnings and errors.
    pub async fn complaints(&self) -> Vec<String> {
        self.console()
            .await
            .into_iter()
            .filter(|told| told.grave)
            .map(|told| told.words)
            .collect()
    }

    /// Waits until the draft has words.
    pub async fn words(&self) {
        let began = Instant::now();
        while self.report().await.is_empty() {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "no word came: {}",
                self.text("#outcome").await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the draft and waits for its end.
    pub async fn stop(&self) {
        self.click("#stop").await;
        self.until(
            ".report",
            "data-draft",
            &["done", "failed"],
            Duration::from_secs(60),
        )
        .await;
    }

    /// A command of the browser's developer tools.
    pub async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.client
            .issue_cmd(Own {
                path: "goog/cdp/execute",
                body,
            })
            .await
            .expect("the developer tools do as asked");
    }

    /// Makes the page so wide and high.
    pub async fn size(&self, width: u32, height: u32) {
        let parameters =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", parameters)
            .await;
    }

    /// Moves the pointer to the middle of an element, or to the corner of the window.
    pub async fn point(&self, css: Option<&str>) {
        let at = match css {
            Some(css) => {
                let script = format!(
                    "const element = document.querySelector({css:?}); element.scrollIntoView({{ block: 'nearest' }});
                    const area = element.getBoundingClientRect(); return [area.x + area.width / 2, area.y + area.height / 2]"
                );
                self.script(&script).await
            }
            None => json!([1, 1]),
        };
        let event = json!({ "type": "mouseMoved", "x": at[0], "y": at[1] });
        self.devtools("Input.dispatchMouseEvent", event).await;
    }

    /// Presses a key wherever the keyboard is.
    pub async fn press(&self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key });
            self.devtools("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Whether a map lies over the radiograph.
    pub async fn shows_map(&self) -> bool {
        let visible = "return document.querySelector('#heat').checkVisibility()";
        self.script(visible).await == true
    }

    /// The cell, row by row of `side`, in which the map is strongest.
    pub async fn peak(&self, side: usize) -> usize {
        let script = "const heat = document.querySelector('#heat'), c = document.createElement('canvas');
            c.width = heat.width; c.height = heat.height; const copy = c.getContext('2d', { willReadFrequently: true });
            copy.drawImage(heat, 0, 0); const d = copy.getImageData(0, 0, c.width, c.height).data;
            let best = 3; for (let i = 3; i < d.length; i += 4) if (d[i] > d[best]) best = i;
            const at = (best - 3) / 4; return [at % c.width / c.width, Math.floor(at / c.width) / c.height]";
        let found = self.script(script).await;
        let cell = |at: &Value| (at.as_f64().unwrap() * side as f64) as usize;
        cell(&found[1]) * side + cell(&found[0])
    }

    /// A picture of the page, into the folder of `HILUM_SCREENSHOTS` where it is set.
    pub async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("HILUM_SCREENSHOTS").map(PathBuf::from) {
            let png = self.client.screenshot().await.expect("a screenshot");
            std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::write(folder.join(name), png))
                .expect("a file");
        }
    }

    /// Ends the browser.
    pub async fn end(self) {
        // It may have ended already.
        let _ = self.client.close().await;
    }
}

/// Runs a test that waits.
pub fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test);
}
