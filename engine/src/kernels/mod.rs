//! The Rust side of `shaders/`: an op is its guards, its kernel and its plain reference.
//!
//! A reference is written with differentiable tensor operations and runs everywhere; the kernel runs on
//! WebGPU alone, forward alone. Which of the two serves is chosen in one place a role: `nn::attention` for
//! attention, `nn::layers` for the rest.

mod attention;
mod attention_decode;
mod batch_norm;
mod launch;
mod layer_norm;
mod linear_rows;

pub use attention::{MAX_HEAD_DIM, Mask, MaskKind, attention_reference, masked_attention};
pub use attention_decode::{decode_attention, decode_attention_reference};
pub use batch_norm::{Statistics, batch_norm, batch_norm_reference};
pub use launch::runs_wgsl;
pub use layer_norm::{layer_norm_reference, sum_layer_norm};
pub use linear_rows::{MAX_ROWS, exact_gelu, linear_reference, linear_rows};

/// The WGSL sources by file name, templates unfilled, for validation.
pub const SHADERS: [(&str, &str); 5] = [
    ("attention.wgsl", attention::SOURCE),
    ("attention_decode.wgsl", attention_decode::SOURCE),
    ("batch_norm.wgsl", batch_norm::SOURCE),
    ("layer_norm.wgsl", layer_norm::SOURCE),
    ("linear_rows.wgsl", linear_rows::SOURCE),
];
