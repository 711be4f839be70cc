//! Tells the page the hash of the bundle that it is published with, so that a second visit need not ask the
//! server for it.

use sha2::{Digest, Sha256};

fn main() {
    let path = "../www/models/demo/bundle.json";
    println!("cargo::rerun-if-changed={path}");
    // Without a bundle the page still builds; it then asks the server for whatever is there.
    let hash = std::fs::read(path).map(|bytes| {
        Sha256::digest(bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    });
    println!(
        "cargo::rustc-env=HILUM_BUNDLE_SHA256={}",
        hash.unwrap_or_default()
    );
}
