//! What the page weighs on its way: raw and after brotli, against a budget.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use hilum_browser_tests::Setting;

/// All programs that one browser loads, after brotli, in bytes.
const BUDGET: usize = 4 << 20;
/// The worker's modules, of which a browser loads one.
const MODULES: [&str; 2] = ["worker_bg.wasm", "worker_relaxed.wasm"];

fn compressed(path: &Path) -> usize {
    let bytes = std::fs::read(path).unwrap();
    let mut small = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 9,
        lgwin: 24,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut small, &parameters).unwrap();
    println!(
        "SIZE {}: {} bytes, {} after brotli",
        path.file_name().unwrap().to_string_lossy(),
        bytes.len(),
        small.len()
    );
    small.len()
}

#[test]
fn the_page_is_within_its_budget_whichever_module_a_browser_loads() {
    let Some(setting) = Setting::find() else { return };
    let mut files: Vec<_> = std::fs::read_dir(&setting.page)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "wasm" || e == "js" || e == "css")
        })
        .collect();
    files.sort();
    let is_module = |path: &Path| MODULES.iter().any(|module| path.ends_with(module));
    let shared: usize = files
        .iter()
        .filter(|path| !is_module(path))
        .map(|path| compressed(path))
        .sum();
    for module in MODULES {
        let path = setting.page.join(module);
        assert!(path.is_file(), "{} is missing", path.display());
        let sum = shared + compressed(&path);
        println!("SIZE with {module}: {sum} bytes after brotli of {BUDGET}");
        assert!(
            sum <= BUDGET,
            "the page's programs weigh {sum} bytes after brotli with {module}, more than {BUDGET}"
        );
    }
}
