//! How often the page dispatches to the GPU, counted in its worker.

use hilum_browser_tests::Told;

/// Dispatches at most: until the first word, and for each word after it.
const MOST_DISPATCHES: (usize, usize) = (235, 45);
/// Counts, in the worker, what is dispatched to the GPU before each reading back.
pub const COUNTER: &str = r#"
let dispatched = 0;
const watch = (type, name, then) => {
  const own = type.prototype[name];
  type.prototype[name] = function (...given) { then(); return own.apply(this, given); };
};
watch(GPUComputePassEncoder, "dispatchWorkgroups", () => dispatched++);
watch(GPUComputePassEncoder, "dispatchWorkgroupsIndirect", () => dispatched++);
watch(GPUBuffer, "mapAsync", () => { console.info(`DISPATCHED ${dispatched}.`); dispatched = 0; });
"#;

/// How often the GPU is dispatched to before each word is read back.
pub fn count(console: &[Told], pieces: usize) {
    let number = |told: &Told| {
        told.words
            .split("DISPATCHED ")
            .nth(1)?
            .split('.')
            .next()?
            .parse::<usize>()
            .ok()
    };
    let counts: Vec<usize> = console.iter().filter_map(number).collect();
    let [picture, first, words @ ..] = counts.as_slice() else {
        panic!("a picture and a draft read back: {counts:?}");
    };
    let most = words.iter().max().copied().unwrap_or_default();
    println!(
        "GPU dispatches: picture {picture}, context and first word {first}, each further word {most} at most"
    );
    // One reading back for the gate, one a word, and one for the SEP that ends the draft.
    assert_eq!(counts.len(), pieces + 2, "{counts:?}");
    assert!(
        picture + first <= MOST_DISPATCHES.0 && most <= MOST_DISPATCHES.1,
        "more dispatches than there were: {counts:?}"
    );
}
