// Batch norm with running statistics, then a residual and a rectifier where they follow: output = relu((x -
// mean) / sqrt(variance + epsilon) * weight + bias + residual) (Ioffe and Szegedy 2015, algorithm 2).
//
// x, residual and output have one order in memory, whichever it is: `step` is how far apart a pixel's
// channels lie in it. The other four are (channels). Each thread owns four values, 64 apart.
//
// `{{ residual }}` and `{{ relu }}` are filled in by engine/src/kernels/batch_norm.rs, which also holds the reference.

const THREADS: u32 = 64u;
const EACH: u32 = 4u;
const RESIDUAL: bool = {{ residual }};
const RELU: bool = {{ relu }};

struct Params {
    count: u32,
    channels: u32,
    step: u32,
    // Bits of an f32.
    epsilon: u32,
    // Workgroups along x.
    across: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> residual: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> variance: array<f32>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> output: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first = (group.y * params.across + group.x) * THREADS * EACH + thread;
    for (var e = 0u; e < EACH; e++) {
        let i = first + e * THREADS;
        if (i < params.count) {
            let c = (i / params.step) % params.channels;
            let scale = weight[c] / sqrt(variance[c] + bitcast<f32>(params.epsilon));
            var value = (x[i] - mean[c]) * scale + bias[c];
            if (RESIDUAL) {
                value += residual[i];
            }
            if (RELU) {
                value = max(value, 0.0);
            }
            output[i] = value;
        }
    }
}
