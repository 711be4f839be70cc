// A linear layer over a few rows, as decoding has them, with its bias and GELU: output = act(x * weight +
// bias).
//
// x is (ROWS, inputs), weight (inputs, outputs), bias (outputs), output (ROWS, outputs). The weights are read
// once, whatever the number of rows. A workgroup owns 16 columns; four threads share a column and each takes
// every fourth input.
//
// `{{ rows }}` and `{{ gelu }}` are filled in by engine/src/kernels/linear_rows.rs, which also holds the reference.

const ROWS: u32 = {{ rows }}u;
const GELU: bool = {{ gelu }};
const THREADS: u32 = 64u;
const COLUMNS: u32 = 16u;
const SLICES: u32 = 4u;

struct Params {
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> partial: array<f32, ROWS * THREADS>;

// Abramowitz and Stegun, 7.1.26: within 1.5e-7.
fn erf(value: f32) -> f32 {
    let a = abs(value);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(value) * (1.0 - p * exp(-a * a));
}

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first = group.x * COLUMNS;
    let own = first + thread % COLUMNS;
    var sums: array<f32, ROWS>;
    if (own < params.outputs) {
        for (var i = thread / COLUMNS; i < params.inputs; i += SLICES) {
            let w = weight[i * params.outputs + own];
            for (var r = 0u; r < ROWS; r++) {
                sums[r] += x[r * params.inputs + i] * w;
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        partial[r * THREADS + thread] = sums[r];
    }
    workgroupBarrier();

    for (var i = thread; i < ROWS * COLUMNS; i += THREADS) {
        let row = i / COLUMNS;
        let column = first + i % COLUMNS;
        if (column < params.outputs) {
            var value = bias[column];
            for (var s = 0u; s < SLICES; s++) {
                value += partial[row * THREADS + s * COLUMNS + i % COLUMNS];
            }
            if (GELU) {
                value = 0.5 * value * (1.0 + erf(value * 0.70710678));
            }
            output[row * params.outputs + column] = value;
        }
    }
}
