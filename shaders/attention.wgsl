// Masked attention, forward: softmax(Q K^T / sqrt(d) + mask) V, without ever holding the mask or the score
// matrix.
//
// Q is (batch, queries, heads * HEAD_DIM), K and V are (batch, keys, heads * HEAD_DIM), the output is shaped
// like Q. One workgroup owns ROWS query rows of one head; it walks the keys in tiles of COLS and keeps a
// running softmax (row maximum, row sum, weighted values). A row that may attend to nothing yields zeros.
//
// `{{ head_dim }}` and `{{ columns }}` are filled in by engine/src/kernels/attention.rs, which also holds the
// reference: the wider the head, the fewer columns a tile has, so that all tiles fit 16 KiB.

const HEAD_DIM: u32 = {{ head_dim }}u;
const ROWS: u32 = 16u;
const LANES: u32 = 4u;
const COLS: u32 = {{ columns }}u;
const THREADS: u32 = 64u;
const SLICE: u32 = (HEAD_DIM + LANES - 1u) / LANES;
const NOTHING: f32 = -3.0e38;

struct Params {
    batch: u32,
    queries: u32,
    keys: u32,
    heads: u32,
    // Columns of the leading block: CLS, visual tokens, SEP.
    context: u32,
    // Position of query row 0 in the sequence.
    query_start: u32,
    // Code of the kind, see `may_attend`.
    kind: u32,
    // Words in front of their masked copies (pseudo-masked kind alone).
    words: u32,
}

@group(0) @binding(0) var<storage, read_write> query: array<f32>;
@group(0) @binding(1) var<storage, read_write> key: array<f32>;
@group(0) @binding(2) var<storage, read_write> value: array<f32>;
// Columns that are no padding, one count a sample.
@group(0) @binding(3) var<storage, read_write> lengths: array<i32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> query_tile: array<f32, ROWS * HEAD_DIM>;
var<workgroup> key_tile: array<f32, COLS * HEAD_DIM>;
var<workgroup> value_tile: array<f32, COLS * HEAD_DIM>;
var<workgroup> score_tile: array<f32, ROWS * COLS>;

fn may_attend(row: u32, column: u32, length: u32) -> bool {
    let c = params.context;
    switch params.kind {
        case 0u: { // bidirectional
            return column < length;
        }
        case 1u: { // sequence to sequence
            return column < c || (row >= c && column <= row);
        }
        case 2u: { // bidirectional auto-regressive
            if (row >= c) {
                return column < c || column <= row;
            }
            return column < c || column < length;
        }
        case 3u: { // the same, visual rows see padding as well
            return column < c || row < c || column <= row;
        }
        case 4u: { // non-crossing
            return (row < c) == (column < c) && column < length;
        }
        case 5u: { // pseudo-masked: word rows as sequence to sequence, masked copy t sees the words before t and itself
            let copies = c + params.words;
            if (row < copies) {
                return column < c || (row >= c && column <= row);
            }
            return column < row - params.words || column == row;
        }
        default: {
            return false;
        }
    }
}

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let head = group.y;
    let sample = group.z;
    let width = params.heads * HEAD_DIM;
    let first_row = group.x * ROWS;
    let row = thread / LANES;
    let lane = thread % LANES;
    let query_row = first_row + row;
    let position = params.query_start + query_row;
    let length = u32(max(lengths[sample], 0));
    let scale = 1.0 / sqrt(f32(HEAD_DIM));

    for (var i = thread; i < ROWS * HEAD_DIM; i += THREADS) {
        let r = first_row + i / HEAD_DIM;
        var x = 0.0;
        if (r < params.queries) {
            x = query[(sample * params.queries + r) * width + head * HEAD_DIM + i % HEAD_DIM];
        }
        query_tile[i] = x;
    }

    var best = NOTHING;
    var total = 0.0;
    var mixed: array<f32, SLICE>;
    for (var t = 0u; t < SLICE; t++) {
        mixed[t] = 0.0;
    }

    for (var first_column = 0u; first_column < params.keys; first_column += COLS) {
        workgroupBarrier();
        for (var i = thread; i < COLS * HEAD_DIM; i += THREADS) {
            let c = first_column + i / HEAD_DIM;
            var k = 0.0;
            var v = 0.0;
            if (c < params.keys) {
                let at = (sample * params.keys + c) * width + head * HEAD_DIM + i % HEAD_DIM;
                k = key[at];
                v = value[at];
            }
            key_tile[i] = k;
            value_tile[i] = v;
        }
        workgroupBarrier();

        for (var c = lane; c < COLS; c += LANES) {
            let column = first_column + c;
            var score = NOTHING;
            if (column < params.keys && may_attend(position, column, length)) {
                var dot = 0.0;
                for (var d = 0u; d < HEAD_DIM; d++) {
                    dot += query_tile[row * HEAD_DIM + d] * key_tile[c * HEAD_DIM + d];
                }
                score = dot * scale;
            }
            score_tile[row * COLS + c] = score;
        }
        workgroupBarrier();

        var tile_best = best;
        for (var c = 0u; c < COLS; c++) {
            tile_best = max(tile_best, score_tile[row * COLS + c]);
        }
        let fade = exp(best - tile_best);
        best = tile_best;
        total *= fade;
        for (var t = 0u; t < SLICE; t++) {
            mixed[t] *= fade;
        }
        for (var c = 0u; c < COLS; c++) {
            let score = score_tile[row * COLS + c];
            if (score > NOTHING) {
                let weight = exp(score - best);
                total += weight;
                for (var t = 0u; t < SLICE; t++) {
                    let d = lane + t * LANES;
                    if (d < HEAD_DIM) {
                        mixed[t] += weight * value_tile[c * HEAD_DIM + d];
                    }
                }
            }
        }
    }

    if (query_row < params.queries) {
        let at = (sample * params.queries + query_row) * width + head * HEAD_DIM;
        for (var t = 0u; t < SLICE; t++) {
            let d = lane + t * LANES;
            if (d < HEAD_DIM) {
                output[at + d] = select(0.0, mixed[t] / total, total > 0.0);
            }
        }
    }
}
