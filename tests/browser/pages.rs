//! Copies of the built page: with other bundles, and with programs in its worker.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Setting;

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from)
        .expect("a folder")
        .map(|e| e.expect("an entry"))
    {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &target),
            false => _ = std::fs::copy(&path, &target).expect("a file"),
        }
    }
}

/// A copy of the page in a folder.
pub fn copied(setting: &Setting, dir: &Path) -> PathBuf {
    let page = dir.join("page");
    copy(&setting.page, &page);
    page
}

/// As a manifest has it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Has a copied page say that it is published with these bundles of its folder `models` and no others.
pub fn publish(page: &Path, names: &[&str]) {
    let listed = |name: &&str| {
        let bytes = std::fs::read(page.join("models").join(name).join("bundle.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        json!({ "at": format!("models/{name}"), "bundle": {
            "name": manifest["name"], "sha256": sha256(&bytes), "system": manifest["system"], "data": manifest["provenance"]["data"],
            "tasks": manifest["tasks"], "reads_text": !manifest["tokenizer"].is_null(), "bytes": bytes.len(),
        }})
    };
    let table: Value = names.iter().map(listed).collect();
    let content = table.to_string().replace('&', "&amp;").replace('"', "&quot;");
    let index = page.join("index.html");
    let html = std::fs::read_to_string(&index).unwrap();
    assert!(html.contains("</head>"));
    let meta = format!("<meta name=\"hilum-models\" content=\"{content}\"></head>");
    std::fs::write(&index, html.replace("</head>", &meta)).unwrap();
}

/// A copy of the page, in whose worker a program runs first.
pub fn with_program(setting: &Setting, dir: &Path, program: &str) -> PathBuf {
    let page = copied(setting, dir);
    let boot = page.join("worker-boot.js");
    let own = std::fs::read_to_string(&boot).unwrap();
    std::fs::write(&boot, format!("{program}{own}")).unwrap();
    publish(&page, &["demo"]);
    page
}
