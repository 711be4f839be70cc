//! The Rust side of `shaders/`: an op is its guards, its kernel and its plain reference.
//!
//! A reference is written with differentiable tensor operations and runs everywhere; the kernel runs on WebGPU alone,
//! forward alone. Which of the two serves is chosen in one place a role: `nn::attention` for attention.

mod attention;
mod attention_decode;
mod launch;

pub use attention::{MAX_HEAD_DIM, Mask, Rule, attention_reference, masked_attention};
pub use attention_decode::{decode_attention, decode_attention_reference};
pub use launch::runs_wgsl;

/// The WGSL sources by file name, templates unfilled, for validation.
pub const SHADERS: [(&str, &str); 2] =
    [("attention.wgsl", attention::SOURCE), ("attention_decode.wgsl", attention_decode::SOURCE)];
