//! `hilum serve` from the outside: types, headers, ranges, compression, and nothing that lies outside of its folder.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hilum"));
        command
            .args(["serve", "--port", "0", "--json", "--dir"])
            .arg(dir)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = serde_json::from_str::<serde_json::Value>(&line).unwrap()["url"]
            .as_str()
            .unwrap()
            .to_owned();
        Self {
            child,
            address: url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
        }
    }

    /// Sends the path as it is: a library would tidy it up.
    fn get(&self, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
            self.address
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers = headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Answer {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }
}

#[test]
fn files_come_with_their_types_headers_ranges_and_compression() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("index.html", "<!doctype html><title>x</title>");
    write("engine.wasm", "\0asm");
    write("page.js", &"export const word = 1;\n".repeat(400));
    std::fs::create_dir(dir.path().join("models")).unwrap();
    write("models/weights-000.safetensors", &"0123456789".repeat(100));
    let server = Server::start(dir.path());
    for (path, kind) in [
        ("/", "text/html"),
        ("/engine.wasm", "application/wasm"),
        ("/page.js", "text/javascript"),
    ] {
        let answer = server.get(path, "");
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.headers["content-type"].starts_with(kind),
            "{path}: {:?}",
            answer.headers
        );
        let policy = &answer.headers["content-security-policy"];
        assert!(
            policy.contains("default-src 'none'") && policy.contains("'wasm-unsafe-eval'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
            "{policy}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    // What is written down for other servers is what this one sends.
    let written =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/README.md")).unwrap();
    assert!(written.contains(&server.get("/", "").headers["content-security-policy"]));

    let whole = server.get("/models/weights-000.safetensors", "Accept-Encoding: br\r\n");
    assert!(!whole.headers.contains_key("content-encoding") && whole.body.len() == 1000);
    let part = server.get("/models/weights-000.safetensors", "Range: bytes=2-4\r\n");
    assert_eq!((part.status, part.body.as_slice()), (206, &b"234"[..]));
    assert_eq!(part.headers["content-range"], "bytes 2-4/1000");
    assert_eq!(
        server
            .get("/models/weights-000.safetensors", "Range: bytes=2000-\r\n")
            .status,
        416
    );
    let small = server.get("/page.js", "Accept-Encoding: br\r\n");
    assert_eq!(small.headers["content-encoding"], "br");
    assert!(small.body.len() < 2000, "{} bytes", small.body.len());
    let seen = server.get("/page.js", "").headers["last-modified"].clone();
    assert_eq!(
        server
            .get("/page.js", &format!("If-Modified-Since: {seen}\r\n"))
            .status,
        304
    );
}

#[test]
fn nothing_outside_of_the_folder_and_no_listing() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page");
    std::fs::create_dir_all(page.join("models")).unwrap();
    std::fs::write(page.join("index.html"), "page").unwrap();
    std::fs::write(dir.path().join("secret.txt"), "secret").unwrap();
    let server = Server::start(&page);
    for path in [
        "/../secret.txt",
        "/models/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/models/%2e%2e%2f%2e%2e%2fsecret.txt",
        "//secret.txt",
        "/..\\secret.txt",
        "/models/",
        "/nowhere",
    ] {
        let answer = server.get(path, "");
        assert!(answer.status >= 300, "{path}: {}", answer.status);
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("secret"),
            "{path}"
        );
        assert!(answer.headers.contains_key("content-security-policy"), "{path}");
    }
}

#[test]
fn a_folder_without_a_page_and_a_port_in_use_are_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_hilum"))
            .arg("serve")
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        error
    };
    let folder = dir.path().to_str().unwrap();
    assert!(refused(&["--dir", folder]).contains("index.html"));
    std::fs::write(dir.path().join("index.html"), "page").unwrap();
    let server = Server::start(dir.path());
    let port = server.address.rsplit(':').next().unwrap();
    assert!(refused(&["--dir", folder, "--port", port]).contains("--port 0"));
}
