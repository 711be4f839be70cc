//! Tells the page which bundles it is published with: the demo first, then by name. With their hashes it need not ask the
//! server for what the browser keeps.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MODELS: &str = "../www/models";
const FIRST: &str = "demo";
const CHECKS: &str = "check";

fn main() {
    println!("cargo::rerun-if-changed={MODELS}");
    // Without a bundle the page still builds; it then asks the server for whatever is there.
    let folders = std::fs::read_dir(MODELS).into_iter().flatten().flatten();
    let mut names: Vec<_> = folders
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_by_key(|name| (name != FIRST, name.clone()));
    let all: Vec<Value> = names.iter().filter_map(|name| listed(name)).collect();
    println!("cargo::rustc-env=HILUM_MODELS={}", Value::from(all));
}

/// A folder's bundle in the form of the protocol's `Listed`; nothing where it holds none.
fn listed(name: &str) -> Option<Value> {
    let path = Path::new(MODELS).join(name).join("bundle.json");
    println!("cargo::rerun-if-changed={}", path.display());
    let bytes = std::fs::read(&path).ok()?;
    let manifest: Value = serde_json::from_slice(&bytes).ok()?;
    let files = manifest["files"].as_array()?;
    let has_gallery = files.iter().any(|file| file["path"] == "gallery/cases.json");
    let tasks = manifest["tasks"].as_array()?.iter();
    let mut tasks: Vec<_> = tasks.filter(|task| has_gallery || *task != "retrieve").collect();
    // Who checks reports beside the demo is asked for nothing else; it reads findings for its own use.
    if name != FIRST && tasks.iter().any(|task| *task == CHECKS) {
        tasks.retain(|task| *task == CHECKS);
    }
    let sizes = files.iter().filter_map(|file| file["bytes"].as_u64());
    let hash: String = Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let bundle = json!({
        "name": manifest["name"],
        "sha256": hash,
        "system": manifest["system"],
        "data": manifest["provenance"]["data"].as_str().unwrap_or_default(),
        "tasks": tasks,
        "reads_text": !manifest["tokenizer"].is_null(),
        "bytes": sizes.sum::<u64>() + bytes.len() as u64,
    });
    Some(json!({ "at": format!("models/{name}"), "bundle": bundle }))
}
