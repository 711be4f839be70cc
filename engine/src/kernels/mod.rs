//! An op is its guards, its kernels and its plain reference.
//!
//! A reference is written with differentiable tensor operations and runs everywhere. The kernels are those of
//! `shaders/` on WebGPU, forward alone, and those of `hilum-cpu` on the CPU, with gradients of their own in
//! [`training`]. Which of them serves is chosen in one place a role: `nn::attention` for attention, `nn::layers` for
//! the rest.

mod attention;
mod attention_decode;
mod batch_norm;
mod conv;
mod cpu;
mod launch;
mod layer_norm;
mod linear;
mod pool;
mod training;

pub use attention::{MAX_HEAD_DIM, Mask, MaskKind, attention_reference, masked_attention};
pub use attention_decode::{decode_attention, decode_attention_cpu, decode_attention_reference};
pub use batch_norm::{Statistics, batch_norm, batch_norm_reference};
pub use conv::{After, ConvSteps, conv};
pub use hilum_cpu::side_by_side;
pub use launch::{runs_cpu_kernels, runs_kernels, runs_wgsl};
pub use layer_norm::{layer_norm_reference, sum_layer_norm};
pub use linear::{MAX_ROWS, exact_gelu, linear, linear_reference, tied_linear, tied_linear_reference};
pub use pool::{PoolSteps, max_pool};
pub use training::{
    AdamWStep, adamw, attention_recorded, batch_norm_recorded, conv_recorded, layer_norm_recorded,
    linear_recorded, records_kernels,
};

/// The WGSL sources by file name, templates unfilled, for validation.
pub const SHADERS: [(&str, &str); 5] = [
    ("attention.wgsl", attention::SOURCE),
    ("attention_decode.wgsl", attention_decode::SOURCE),
    ("batch_norm.wgsl", batch_norm::SOURCE),
    ("layer_norm.wgsl", layer_norm::SOURCE),
    ("linear_rows.wgsl", linear::SOURCE),
];
