// One decoding step: writes the keys and values of the newest rows into a static cache, then attends from
// those rows to everything up to and including themselves.
//
// Q and the new K, V are (batch, rows, heads * HEAD_DIM); the caches are (batch, capacity, heads * HEAD_DIM)
// and are written in place. One workgroup owns one head of one sample, so that its own barrier orders write
// and read.
//
// `{{ head_dim }}` is filled in by engine/src/kernels/attention_decode.rs, which also holds the reference.

const HEAD_DIM: u32 = {{ head_dim }}u;
const THREADS: u32 = 64u;
// Values of a head that one invocation mixes: thread, thread + THREADS, ..
const SLICE: u32 = (HEAD_DIM + THREADS - 1u) / THREADS;
const NOTHING: f32 = -3.0e38;

struct Params {
    batch: u32,
    rows: u32,
    capacity: u32,
    heads: u32,
    // Position of the first new row in the cache.
    start: u32,
}

@group(0) @binding(0) var<storage, read_write> query: array<f32>;
@group(0) @binding(1) var<storage, read_write> new_key: array<f32>;
@group(0) @binding(2) var<storage, read_write> new_value: array<f32>;
@group(0) @binding(3) var<storage, read_write> key_cache: array<f32>;
@group(0) @binding(4) var<storage, read_write> value_cache: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> query_row: array<f32, HEAD_DIM>;
var<workgroup> scores: array<f32, THREADS>;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let head = group.x;
    let sample = group.y;
    let width = params.heads * HEAD_DIM;
    let scale = 1.0 / sqrt(f32(HEAD_DIM));
    let new_base = sample * params.rows * width + head * HEAD_DIM;
    let cache_base = sample * params.capacity * width + head * HEAD_DIM;

    for (var i = thread; i < params.rows * HEAD_DIM; i += THREADS) {
        let r = i / HEAD_DIM;
        let d = i % HEAD_DIM;
        if (params.start + r < params.capacity) {
            key_cache[cache_base + (params.start + r) * width + d] = new_key[new_base + r * width + d];
            value_cache[cache_base + (params.start + r) * width + d] = new_value[new_base + r * width + d];
        }
    }
    storageBarrier();
    workgroupBarrier();

    for (var r = 0u; r < params.rows; r++) {
        let columns = min(params.start + r + 1u, params.capacity);
        for (var d = thread; d < HEAD_DIM; d += THREADS) {
            query_row[d] = query[new_base + r * width + d];
        }
        var best = NOTHING;
        var total = 0.0;
        var mixed: array<f32, SLICE>;
        for (var t = 0u; t < SLICE; t++) {
            mixed[t] = 0.0;
        }
        for (var first = 0u; first < columns; first += THREADS) {
            workgroupBarrier();
            let column = first + thread;
            var score = NOTHING;
            if (column < columns) {
                var dot = 0.0;
                for (var d = 0u; d < HEAD_DIM; d++) {
                    dot += query_row[d] * key_cache[cache_base + column * width + d];
                }
                score = dot * scale;
            }
            scores[thread] = score;
            workgroupBarrier();

            let count = min(THREADS, columns - first);
            var chunk_best = best;
            for (var c = 0u; c < count; c++) {
                chunk_best = max(chunk_best, scores[c]);
            }
            let fade = exp(best - chunk_best);
            best = chunk_best;
            total *= fade;
            for (var t = 0u; t < SLICE; t++) {
                mixed[t] *= fade;
            }
            for (var c = 0u; c < count; c++) {
                let weight = exp(scores[c] - best);
                total += weight;
                let at = cache_base + (first + c) * width;
                for (var t = 0u; t < SLICE; t++) {
                    let d = thread + t * THREADS;
                    if (d < HEAD_DIM) {
                        mixed[t] += weight * value_cache[at + d];
                    }
                }
            }
        }
        for (var t = 0u; t < SLICE; t++) {
            let d = thread + t * THREADS;
            if (d < HEAD_DIM) {
                output[new_base + r * width + d] = select(0.0, mixed[t] / total, total > 0.0);
            }
        }
        workgroupBarrier();
    }
}
