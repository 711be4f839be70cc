// Layer norm of a sum: output = norm(x + residual) * weight + bias, row by row (Ba et al. 2016, eq. 4).
//
// x, residual and output are (rows, width), weight and bias (width). One workgroup owns one row; the variance
// is taken around the mean in a second pass, since the difference of two large sums would lose it.
//
// `{{ residual }}` is filled in by engine/src/kernels/layer_norm.rs, which also holds the reference.

const THREADS: u32 = 64u;
const RESIDUAL: bool = {{ residual }};

struct Params {
    rows: u32,
    width: u32,
    // Bits of an f32.
    epsilon: u32,
    // Workgroups along x, of which there may not be as many as there are rows.
    across: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> residual: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> partial: array<f32, THREADS>;

// The sum of every thread's value, known to every thread.
fn total(thread: u32, value: f32) -> f32 {
    partial[thread] = value;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (thread < half) {
            partial[thread] += partial[thread + half];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}

fn read(i: u32) -> f32 {
    if (RESIDUAL) {
        return x[i] + residual[i];
    }
    return x[i];
}

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = group.y * params.across + group.x;
    if (row >= params.rows) {
        return;
    }
    let width = params.width;
    let base = row * width;
    var sum = 0.0;
    for (var i = thread; i < width; i += THREADS) {
        sum += read(base + i);
    }
    let mean = total(thread, sum) / f32(width);
    var squares = 0.0;
    for (var i = thread; i < width; i += THREADS) {
        let d = read(base + i) - mean;
        squares += d * d;
    }
    let scale = 1.0 / sqrt(total(thread, squares) / f32(width) + bitcast<f32>(params.epsilon));
    for (var i = thread; i < width; i += THREADS) {
        output[base + i] = (read(base + i) - mean) * scale * weight[i] + bias[i];
    }
}
