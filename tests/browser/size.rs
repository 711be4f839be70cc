//! What the page weighs on its way: raw and after brotli, against a budget.
#![allow(clippy::unwrap_used)]

use hilum_browser_tests::Setting;

/// All programs of the page after brotli, in bytes.
const BUDGET: usize = 4 << 20;

#[test]
fn the_page_is_within_its_budget() {
    let Some(setting) = Setting::find() else { return };
    let mut sum = 0;
    let mut files: Vec<_> = std::fs::read_dir(&setting.page)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for path in files.iter().filter(|p| {
        p.extension()
            .is_some_and(|e| e == "wasm" || e == "js" || e == "css")
    }) {
        let bytes = std::fs::read(path).unwrap();
        let mut small = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams {
            quality: 9,
            lgwin: 24,
            ..Default::default()
        };
        brotli::BrotliCompress(&mut bytes.as_slice(), &mut small, &parameters).unwrap();
        sum += small.len();
        let name = path.file_name().unwrap().to_string_lossy();
        println!("SIZE {name}: {} bytes, {} after brotli", bytes.len(), small.len());
    }
    println!("SIZE in all: {sum} bytes after brotli of {BUDGET}");
    assert!(
        sum > 100_000,
        "the page's programs are missing in {}",
        setting.page.display()
    );
    assert!(
        sum <= BUDGET,
        "the page's programs weigh {sum} bytes after brotli, more than {BUDGET}"
    );
}
